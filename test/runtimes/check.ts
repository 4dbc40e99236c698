/**
 * A program that a runtime runs with the installed package: does one thing, prints what came of it
 * and ends by itself. `npm run runtimes` bundles it, without the package, and starts it once for each
 * row of docs/RUNTIMES.md.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, connect as openSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import {
  connect,
  decodeSession,
  type EventloopOptions,
  encodeSession,
  eventloop,
  publish,
  subscribe,
} from 'it-mqtt'
import type { Given } from './servers.ts'

const RESTART_REQUESTS = 2000
/** Acknowledgements after which the broker is restarted. */
const RESTART_AFTER = 500
const LARGE_BYTES = 20_000
/** The CONNACK of MQTT 5, without properties. */
const CONNACK = Buffer.from([0x20, 3, 0, 0, 0])

const [name = '', given = '{}'] = process.argv.slice(2)
const { urls, ca, versions } = JSON.parse(given) as Given
const unique = () => `runtimes-${randomBytes(6).toString('hex')}`
const tls = { ca: readFileSync(ca) }

/** Publishes at each QoS to itself, in each version of the protocol. */
async function exchange(options: EventloopOptions): Promise<string> {
  for (const protocolVersion of versions) {
    const topic = unique()
    const sent = ['', 'twenty degrees: 20 °C', randomBytes(LARGE_BYTES / 2).toString('hex')]
    const got: string[] = []
    const requests = sent.map((text, qos) => publish(topic, text, { qos: qos as 0 | 1 | 2 }))
    const loop = eventloop({ ...options, protocolVersion, until: 'closed' }, [
      subscribe(topic, { qos: 2 }),
      ...requests,
    ])
    for await (const packet of loop) {
      if (packet.cmd !== 'publish') continue
      assert.equal(packet.qos, got.length)
      got.push(packet.payload.toString())
      if (got.length === sent.length) loop.shutdown()
    }
    assert.deepEqual(got, sent)
  }
  return 'yes'
}

async function refusal(options: EventloopOptions): Promise<string> {
  const error = await connect({ ...options, reconnect: 'never' }).then(
    () => assert.fail('a certificate that nobody may trust was trusted'),
    (thrown: { code: string }) => thrown,
  )
  return error.code
}

async function overTls(): Promise<string> {
  await exchange({ url: urls.mqtts, tls })
  const untrusted = await refusal({ url: urls.mqtts })
  assert.match(untrusted, /^(UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|CERT_)/)
  const misnamed = await refusal({ url: urls.mqtts, tls: { ...tls, servername: 'elsewhere' } })
  assert.equal(misnamed, 'ERR_TLS_CERT_ALTNAME_INVALID')
  return 'yes, and refused without `ca` and for another name'
}

/** The broker restarts in the middle; the one who started this program does that. */
async function restart(): Promise<string> {
  const topic = unique()
  let delivered = 0
  const connections: boolean[] = []
  const requests = Array.from({ length: RESTART_REQUESTS }, (_, number) =>
    publish(topic, String(number), { qos: 1 }),
  )
  const loop = eventloop(
    {
      ...{ url: urls.mqtt, clientId: unique(), cleanStart: false, until: 'settled' },
      sessionExpiryInterval: 300,
      maxInflight: 20,
      reconnect: { minMs: 20, maxMs: 200 },
      onSettled: (_, outcome) => {
        if (!outcome.ok) return
        delivered++
        if (delivered !== RESTART_AFTER) return
        loop.throttle(100)
        console.log('restart')
      },
    },
    requests,
  )
  for await (const packet of loop) {
    if (packet.cmd !== 'connack') continue
    connections.push(packet.sessionPresent)
    if (connections.length > 1) loop.throttle(null)
  }
  assert.equal(delivered, RESTART_REQUESTS)
  assert.deepEqual(connections, [false, true])
  return `${delivered.toLocaleString('en')} of ${RESTART_REQUESTS.toLocaleString('en')}, session kept`
}

/** The text of a session goes on with what a server that never acknowledges had received. */
async function savedSession(): Promise<string> {
  const server = createServer((socket) => void socket.write(CONNACK)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const clientId = unique()
  const silent = { url: `mqtt://127.0.0.1:${port}`, clientId, cleanStart: false } as const
  const loop = eventloop(silent, [publish(unique(), 'kept', { qos: 2, key: 'reading-1' })])
  await loop.next()
  loop.shutdown()
  await loop.return()
  server.close()
  const text = encodeSession(loop.session)
  assert.equal(loop.session.held.length, 1)
  let delivered = 0
  const again = eventloop({
    ...{ url: urls.mqtt, clientId, cleanStart: false },
    session: decodeSession(text),
    onSettled: (_, { ok }) => {
      if (ok) delivered++
    },
  })
  for await (const _packet of again);
  assert.equal(delivered, 1)
  return 'yes'
}

/** A spool and a session on disk, opened again after their loop has ended. */
async function onDisk(): Promise<string> {
  const { openSession, spool } = await import('it-mqtt/disk')
  const folder = mkdtempSync(join(tmpdir(), 'it-mqtt-runtimes-'))
  try {
    const open = () => spool(join(folder, 'queue'))
    const pushing = await open()
    await pushing.push([publish(unique(), 'one', { qos: 1 }), publish(unique(), 'two', { qos: 1 })])
    await pushing.close()
    const queue = await open()
    queue.end()
    const session = await openSession(join(folder, 'session'))
    let delivered = 0
    for await (const packet of eventloop({ url: urls.mqtt, clientId: unique(), session }, queue)) {
      if (packet.cmd === 'puback') delivered++
    }
    assert.equal(queue.size, 0)
    await queue.close()
    assert.equal(delivered, 2)
    return 'yes'
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Events over the broker, in order and to their end. */
async function eventStream(): Promise<string> {
  if (!versions.includes(5)) return 'not run, the broker has no MQTT 5'
  const { defineEvents, openEventStream, overMqtt } = await import('it-mqtt/event-stream')
  const { createClient, text } = await import('it-mqtt/client')
  const topic = unique()
  const events = defineEvents({ said: { codec: text } })
  const [from, to] = [createClient(urls.mqtt), createClient(urls.mqtt)]
  const reading = openEventStream(overMqtt(to, { receiveFilter: topic }), {
    events,
    role: 'server',
  })
  const said: unknown[] = []
  const read = (async () => {
    for await (const { value } of reading) said.push(value)
  })()
  await to.ping()
  const writing = openEventStream(overMqtt(from, { sendTopic: topic }), { events, role: 'client' })
  await writing.send.said('ünï')
  await writing.send.said('two')
  await writing.end()
  await read
  assert.deepEqual(said, ['ünï', 'two'])
  await Promise.all([from.close(), to.close()])
  return 'yes'
}

const checks: Readonly<Record<string, () => Promise<string>>> = {
  mqtt: () => exchange({ url: urls.mqtt }),
  mqtts: overTls,
  unix: () => exchange({ url: urls.unix }),
  ws: () => exchange({ url: urls.ws }),
  streams: () =>
    exchange({
      url: urls.mqtt,
      transport: async ({ host, port }) => {
        const socket = openSocket({ host, port: port! })
        await once(socket, 'connect')
        return Duplex.toWeb(socket)
      },
    }),
  restart,
  session: savedSession,
  disk: onDisk,
  events: eventStream,
}

console.log(await checks[name]!())
