/**
 * Goal: a server cannot make memory grow without bound, nor change what every object inherits.
 * Method: servers that send as much of the worst as they can, and a check of what the loop keeps of
 * it.
 */
import { generate, type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import {
  decodeSession,
  type EventloopOptions,
  encodeSession,
  eventloop,
  publish,
  type Request,
} from '../../src/index.ts'
import { replay } from '../../src/loop/recorder.ts'
import { VirtualClock } from '../support/clock.ts'
import { startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

const properties = (n: number) => ({
  userProperties: Object.fromEntries(
    Array.from({ length: n }, (_, i) => [`${'k'.repeat(40)}${i}`, 'v'.repeat(40)]),
  ),
})
const message = (messageId: number, qos: 0 | 1 | 2, more: object = {}): Packet => ({
  cmd: 'publish',
  topic: 't',
  payload: 'x',
  qos,
  dup: false,
  retain: false,
  ...(qos > 0 ? { messageId } : {}),
  ...more,
})
const bytes = (packet: Packet) => generate(packet, { protocolVersion: 5 })

/** Runs a loop whose consumer never calls `next()`, and a server that sends all of this. */
async function flooded(options: EventloopOptions, chunks: Iterable<Uint8Array>) {
  const started = startLoop({ until: 'closed', ...options }, [], undefined, { manual: true })
  const first = started.loop.next()
  await started.clock.advance(0)
  await first
  const connection = started.server.current
  // The server answers nothing: no PUBREL for a PUBREC.
  connection.autoAck = false
  for (const chunk of chunks) {
    if (connection.closed) break
    connection.send(chunk)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await started.clock.advance(0)
  return { ...started, connection }
}

function* times<T>(n: number, make: (i: number) => T): Generator<T> {
  for (let i = 1; i <= n; i++) yield make(i)
}

describe('what a server can make a loop keep', () => {
  test('[R3] a million bytes of messages at QoS 0 that a consumer does not take: as many as it allows', async () => {
    const chunk = Buffer.concat([...times(200, () => bytes(message(0, 0)))])
    const { loop } = await flooded(
      { maxBufferedPackets: 100 },
      times(200, () => chunk),
    )
    expect(loop.state.counters.bufferedPackets).toBe(100)
    await loop.return()
  })

  test('[R3] large messages: maxBufferedBytes, and one more', async () => {
    const large = bytes(message(0, 0, { payload: Buffer.alloc(100_000) }))
    const { loop } = await flooded(
      { maxBufferedBytes: 1_000_000 },
      times(100, () => large),
    )
    expect(loop.state.counters.bufferedBytes).toBeLessThanOrEqual(1_000_000 + 200_000)
    await loop.return()
  })

  test('[R3] messages of a byte with a thousand properties count with all their bytes', async () => {
    const heavy = bytes(message(0, 0, { properties: properties(500) }))
    const { loop } = await flooded(
      { maxBufferedBytes: 1_000_000 },
      times(100, () => heavy),
    )
    expect(loop.state.counters.bufferedBytes).toBeLessThanOrEqual(1_000_000 + 200_000)
    expect(loop.state.counters.bufferedPackets).toBeLessThan(40)
    await loop.return()
  })

  test('[MQTT-3.3.4-9] more than Receive Maximum without acknowledgement: 0x93', async () => {
    const { loop, connection } = await flooded(
      { receiveMaximum: 10, acks: 'manual', reconnect: 'never', tolerance: 'strict' },
      times(50, (i) => bytes(message(i, 2))),
    )
    expect(connection.of('disconnect')[0]).toMatchObject({ reasonCode: 0x93 })
    expect(loop.session.record().received.length).toBeLessThanOrEqual(10)
  })

  test('[MQTT-4.3.3-6] QoS 2 without a PUBREL: at most Receive Maximum identifiers', async () => {
    const { loop, connection } = await flooded(
      { receiveMaximum: 10, acks: 'receipt', reconnect: 'never', tolerance: 'strict' },
      times(1000, (i) => bytes(message(i, 2))),
    )
    expect(connection.of('disconnect')[0]).toMatchObject({ reasonCode: 0x93 })
    expect(loop.session.record().received.length).toBeLessThanOrEqual(10)
  })

  test('[R3] with tolerance field: more than Receive Maximum, and reading is paused', async () => {
    const { loop, connection } = await flooded(
      { receiveMaximum: 10, acks: 'manual', reconnect: 'never' },
      times(2000, (i) => bytes(message(i, 2))),
    )
    expect(connection.closed).toBe(false)
    expect(loop.session.record().received.length).toBeLessThanOrEqual(20)
    await loop.return()
  })

  test('[MQTT-3.3.2-8] with tolerance field: an alias beyond what was allowed is not kept', async () => {
    const { loop, connection } = await flooded(
      { topicAliasMaximum: 5, reconnect: 'never' },
      times(100, (i) => bytes(message(0, 0, { properties: { topicAlias: i } }))),
    )
    expect(connection.closed).toBe(false)
    expect(loop.state.counters.deviations).toEqual({ TOPIC_ALIAS: 95 })
    await loop.return()
  })

  test('[I2] [MQTT-3.1.2-24] a packet beyond Maximum Packet Size is refused at its header', async () => {
    const { connection } = await flooded({ maximumPacketSize: 1000, reconnect: 'never' }, [
      Buffer.from([0x30, 0xe9, 0x07]),
    ])
    expect(connection.of('disconnect')[0]).toMatchObject({ reasonCode: 0x95 })
  })

  test('[MQTT-3.3.2-8] a Topic Alias beyond what was allowed is refused, and none is kept', async () => {
    const { connection } = await flooded(
      { topicAliasMaximum: 5, reconnect: 'never', tolerance: 'strict' },
      times(10, (i) => bytes(message(0, 0, { properties: { topicAlias: i } }))),
    )
    expect(connection.of('disconnect')[0]).toMatchObject({ reasonCode: 0x94 })
  })
})

describe('what every object inherits', () => {
  const text = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'

  test.each([
    ['a request', () => [...Object.values(JSON.parse(text)), publish('a', '', JSON.parse(text))]],
    ['an option', () => tryTo(() => eventloop({ url: 'mqtt://h', ...JSON.parse(text) }))],
    ['a session', () => tryTo(() => decodeSession(`it-mqtt session 1 x\n${text}\n`))],
    ['a recording', () => tryTo(() => [...replay(text)])],
  ])('%s from JSON changes nothing', (_, use) => {
    use()
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  test('user properties of the server may have any name', async () => {
    const names = ['__proto__', 'constructor', 'prototype', 'toString']
    const encoded = names.flatMap((name) => {
      const n = Buffer.from(name)
      return [0x26, 0, n.length, ...n, 0, 1, 0x31]
    })
    const rest = [0, 1, 0x74, encoded.length, ...encoded, 0x78]
    const { loop } = await flooded({ until: 'closed' }, [Buffer.from([0x30, rest.length, ...rest])])
    const { value } = await loop.next()
    expect(value).toMatchObject({ cmd: 'publish', topic: 't' })
    const found = (value as { properties: { userProperties: object } }).properties.userProperties
    expect(Object.keys(found).sort()).toEqual([...names].sort())
    expect(({} as { 1?: unknown })[1]).toBeUndefined()
    expect(Object.getPrototypeOf({}).toString).toBe(Object.prototype.toString)
    await loop.return()
  })

  test('a session with a request whose key is __proto__ is kept as it is', async () => {
    const request = { ...publish('a', 'b', { qos: 1 }), key: '__proto__' } as Request
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const started = startLoop({ until: 'closed' }, [request], undefined, { server })
    await started.clock.advance(0)
    started.loop.shutdown()
    await started.clock.advance(2000)
    const again = decodeSession(encodeSession(started.loop.session))
    expect(again.held.map(({ key }) => key)).toEqual(['__proto__'])
  })
})

function tryTo(use: () => unknown): void {
  try {
    use()
  } catch {
    // A refusal is as good as no effect.
  }
}
