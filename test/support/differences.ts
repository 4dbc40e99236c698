/**
 * What does each broker do differently from the standard, or from what its users expect?
 *
 * A line of docs/BROKERS.md has a proof here, which runs against that broker. Most proofs use a
 * client that obeys nothing, so that a line says what the broker does and not what this package
 * makes of it. A broker that does not do any more what its line says fails the proof, and the line
 * is not written.
 */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import mqtt, { type Packet } from 'mqtt-packet'
import { expect } from 'vitest'
import { WebSocket } from 'ws'
import type { Broker } from './brokers.ts'
import { DURABLE, Mosquitto } from './mosquitto.ts'
import { freePort, servesClients } from './ports.ts'
import { start, until } from './process.ts'
import { RawClient } from './raw-client.ts'

export interface Surroundings {
  readonly broker: Broker
  /** A folder that is removed after the test. */
  readonly folder: string
}

export interface Difference {
  /** One or two sentences of Markdown. */
  readonly says: string
  /** Fails if the broker does not do what the line says. */
  proof(surroundings: Surroundings): Promise<void>
}

type Lines = readonly Difference[]

const KEPT = { clean: false, properties: { sessionExpiryInterval: 1000 } } as const
/** How long nothing must come so that it counts as not coming, in ms. */
const QUIET_MS = 1000

let named = 0

/** Opens a connection with a client identifier of its own, and waits for the CONNACK. */
async function opened(
  url: string,
  version: 4 | 5,
  connect: Parameters<typeof RawClient.open>[3] = {},
  clientId = `raw${++named}`,
): Promise<RawClient> {
  const client = RawClient.open(url, version, clientId, connect)
  await client.got('connack')
  return client
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => ({ payload: `${i}` }))

async function closes(client: RawClient): Promise<void> {
  await until(() => client.closed, 'the broker closes the connection')
}

/** A PUBLISH at QoS 1 of which the topic has these bytes. */
function publishTo(topic: readonly number[]): Buffer {
  const body = [0, topic.length, ...topic, 0, 1]
  return Buffer.from([0x32, body.length, ...body])
}

/** Proves that a topic which the standard forbids is accepted and forwarded. */
async function forwards(url: string, filter: string, topic: readonly number[]): Promise<void> {
  const receiver = await opened(url, 4)
  await receiver.subscribe(filter, 1)
  const sender = await opened(url, 4)
  sender.send(publishTo(topic))
  await sender.got('puback')
  const sent = Buffer.from([0, topic.length, ...topic])
  await until(() => receiver.bytes.includes(sent), 'the topic is forwarded as it is')
  receiver.cut()
  sender.cut()
}

/** Proves whether retained messages survive a restart. */
async function retains({ broker }: Surroundings, survives: boolean): Promise<void> {
  const sender = await opened(broker.url, 4)
  await sender.publish([{ topic: 'retained-across', payload: 'x', retain: true }])
  await broker.restart()
  const receiver = await opened(broker.url, 4)
  await receiver.subscribe('retained-across', 1)
  if (survives) await receiver.got('publish')
  else await sleep(QUIET_MS)
  expect(receiver.of('publish')).toHaveLength(survives ? 1 : 0)
}

// --------------------------------------------------------------------------------------- mosquitto

/** Receives messages at QoS 1 without acknowledging, then acknowledges three of them. */
async function fallBehind(client: RawClient): Promise<number> {
  await sleep(QUIET_MS / 2)
  for (const { messageId } of client.of('publish').slice(0, 3)) {
    client.send({ cmd: 'puback', messageId: messageId! })
  }
  await sleep(QUIET_MS / 2)
  return client.of('publish').length - 3
}

const mosquitto: Lines = [
  {
    says: 'It acknowledges first and saves afterwards: what it acknowledged since it saved last is lost with a SIGKILL, whatever the client does. Set `autosave_on_changes true` and `autosave_interval 1`.',
    async proof() {
      await using broker = await Mosquitto.start(['persistence true'])
      const { url } = broker
      await (await opened(url, 5, KEPT, 'kept')).subscribe('t', 1)
      await broker.restart('SIGTERM')
      await (await opened(url, 5)).publish(numbered(1))
      await broker.restart('SIGKILL')
      const resumed = await opened(url, 5, KEPT, 'kept')
      expect(resumed.of('connack')[0]!.sessionPresent).toBe(true)
      await sleep(QUIET_MS)
      expect(resumed.of('publish')).toEqual([])
    },
  },
  {
    says: 'Of the publishes at QoS 2 that a client of MQTT 3.1.1 has in flight, version 2.0.11 forwards only the first `max_inflight_messages` (20), although it acknowledges all of them; the others are lost. This package has at most 20 in flight by itself then; on MQTT 5 the broker announces its limit.',
    async proof() {
      await using broker = await Mosquitto.start()
      const receiver = await opened(broker.url, 5)
      await receiver.subscribe('t', 0)
      const sender = await opened(broker.url, 4)
      await sender.publish(numbered(100).map((message) => ({ ...message, qos: 2 })))
      await sender.got('pubrec', 100)
      for (let messageId = 1; messageId <= 100; messageId++)
        sender.send({ cmd: 'pubrel', messageId })
      await sender.got('pubcomp', 100)
      await sleep(QUIET_MS)
      expect(receiver.of('publish')).toHaveLength(20)
    },
  },
  {
    says: 'With `max_queued_messages 0`, version 2.0.11 closes an MQTT 3.1.1 connection that has more than `max_inflight_messages` (20) publishes at QoS 2 in flight.',
    async proof() {
      await using broker = await Mosquitto.start(['max_queued_messages 0'])
      const sender = await opened(broker.url, 4)
      sender.publish(numbered(30).map((message) => ({ ...message, qos: 2 })))
      await closes(sender)
    },
  },
  {
    says: 'Version 2.0.11 sends more unacknowledged messages than the Receive Maximum of an MQTT 5 client allows as soon as the client acknowledges: 20 with a Receive Maximum of 5. Each reconnection of a receiver that has fallen behind adds to them.',
    async proof() {
      await using broker = await Mosquitto.start()
      const slow = { ...KEPT, properties: { ...KEPT.properties, receiveMaximum: 5 } }
      let receiver = await opened(broker.url, 5, slow, 'slow')
      await receiver.subscribe('t', 1)
      await (await opened(broker.url, 5)).publish(numbered(200))
      const open = [await fallBehind(receiver)]
      for (let i = 0; i < 2; i++) {
        receiver.cut()
        receiver = await opened(broker.url, 5, slow, 'slow')
        open.push(await fallBehind(receiver))
      }
      expect(open[0]).toBeGreaterThan(5)
      expect(open[1]).toBeGreaterThan(open[0]!)
      expect(open[2]).toBeGreaterThan(open[1]!)
    },
  },
  {
    says: 'Version 2.0.11 forgets the shared subscriptions of a session over its own restart, and keeps its other ones.',
    async proof() {
      await using broker = await Mosquitto.start(DURABLE)
      const { url } = broker
      const before = await opened(url, 5, KEPT, 'sharing')
      await before.subscribe('$share/group/shared', 1)
      await before.subscribe('own', 1)
      await broker.restart('SIGTERM')
      const after = await opened(url, 5, KEPT, 'sharing')
      expect(after.of('connack')[0]!.sessionPresent).toBe(true)
      await (await opened(url, 5)).publish([{ topic: 'shared' }, { topic: 'own' }])
      await after.got('publish')
      await sleep(QUIET_MS)
      expect(after.of('publish').map(({ topic }) => topic)).toEqual(['own'])
    },
  },
  {
    says: 'Version 2.0.11 keeps no session over its own restart that an MQTT 5 client began with Clean Start 1, whatever its Session Expiry Interval.',
    async proof() {
      await using broker = await Mosquitto.start(DURABLE)
      const { url } = broker
      await (await opened(url, 5, KEPT, 'from 0')).subscribe('t', 1)
      await (await opened(url, 5, { ...KEPT, clean: true }, 'from 1')).subscribe('t', 1)
      await broker.restart('SIGTERM')
      for (const [clientId, kept] of [['from 0', true] as const, ['from 1', false] as const]) {
        const { packets } = await opened(url, 5, KEPT, clientId)
        expect(packets[0]).toMatchObject({ cmd: 'connack', sessionPresent: kept })
      }
    },
  },
  {
    says: 'It answers a packet of MQTT 3.1.1 that is larger than `max_packet_size` by closing the connection.',
    async proof() {
      await using broker = await Mosquitto.start(['max_packet_size 2000'])
      const sender = await opened(broker.url, 4)
      sender.publish([{ payload: Buffer.alloc(3000) }]).catch(() => {})
      await closes(sender)
    },
  },
  {
    says: 'Version 2.0.11 sends a message over WebSocket in pieces of 4 KiB, one every 100 ms: half a megabyte takes 13 seconds, and what is behind it waits. It reads at full speed.',
    async proof() {
      const port = await freePort()
      const below = [`listener ${port} 127.0.0.1`, 'protocol websockets']
      await using _ = await Mosquitto.start(['listener {port} 127.0.0.1', ...below])
      const socket = new WebSocket(`ws://127.0.0.1:${port}`, 'mqtt')
      const send = (packet: Packet) => socket.send(mqtt.generate(packet))
      await once(socket, 'open')
      send({
        cmd: 'connect',
        clientId: 'frames',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clean: true,
      })
      await once(socket, 'message')
      const sendsLarge = async () => {
        const began = performance.now()
        const common = { cmd: 'publish', topic: 't', qos: 1, messageId: 1 } as const
        send({ ...common, payload: Buffer.alloc(40 << 10), dup: false, retain: false })
        await once(socket, 'message')
        return performance.now() - began
      }
      expect(await sendsLarge()).toBeLessThan(800)
      send({ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: 't', qos: 0 }] })
      await once(socket, 'message')
      expect(await sendsLarge()).toBeGreaterThan(800)
      socket.terminate()
    },
  },
]

// ---------------------------------------------------------------------------------- other brokers

const ejabberd: Lines = [
  {
    says: 'Sessions are in memory, and a restart loses them (see the table). Retained messages are kept.',
    proof: (surroundings) => retains(surroundings, true),
  },
  {
    says: 'It refuses a filter of more than eight levels (`max_topic_depth`) with the code 0x8F, in MQTT 3.1.1 too, which has only 0x80.',
    async proof({ broker }) {
      const client = await opened(broker.url, 4)
      client.send({
        cmd: 'subscribe',
        messageId: 5,
        subscriptions: [{ topic: '1/2/3/4/5/6/7/8/9/10', qos: 1 }],
      })
      const refusal = Buffer.from([0x90, 3, 0, 5, 0x8f])
      await until(() => client.bytes.includes(refusal), 'SUBACK with 0x8F')
    },
  },
  {
    says: 'While a message at QoS 1 or 2 is not acknowledged it sends nothing else to that client, at QoS 0 neither. With `it-mqtt/client`: what waits for a message while another one is in hand waits in vain, such as a request in the body of a subscription, `synced` of retained messages that nobody takes, and an answer of more than 64 parts. Set `acks: "receipt"`, or `qos: 0` for requests.',
    async proof({ broker }) {
      const receiver = await opened(broker.url, 4)
      await receiver.subscribe('ahead', 1)
      await receiver.subscribe('ahead0', 0)
      const sender = await opened(broker.url, 4)
      await sender.publish([{ topic: 'ahead' }, { topic: 'ahead0', qos: 0 }, { topic: 'ahead' }])
      const first = await receiver.got('publish')
      await sleep(QUIET_MS)
      expect(receiver.of('publish')).toHaveLength(1)
      receiver.send({ cmd: 'puback', messageId: first.messageId! })
      await receiver.got('publish', 2)
    },
  },
  {
    says: 'It closes the connection on a shared subscription.',
    async proof({ broker }) {
      const client = await opened(broker.url, 4)
      client.subscribe('$share/group/t', 1).catch(() => {})
      await closes(client)
    },
  },
]

const rabbit: Lines = [
  {
    says: 'It answers a PUBLISH at QoS 2 with a PUBACK, as if it were at QoS 1, and grants QoS 1 at most.',
    async proof({ broker }) {
      const client = await opened(broker.url, 4)
      await client.publish([{ qos: 2 }])
      expect((await client.got('puback')).messageId).toBe(1)
      expect(await client.subscribe('t', 2)).toEqual([1])
    },
  },
  {
    says: 'It forwards topics with `+`, `#` and U+0000, which the standard forbids.',
    async proof({ broker }) {
      for (const text of ['a/+/b', 'a/#', 'a/\0'])
        await forwards(broker.url, 'a/#', [...Buffer.from(text)])
    },
  },
  {
    says: 'It accepts `$share/…` as an ordinary filter, to which nothing is published.',
    async proof({ broker }) {
      const client = await opened(broker.url, 4)
      expect(await client.subscribe('$share/group/plain', 1)).toEqual([1])
      await client.publish([{ topic: 'plain' }])
      await sleep(QUIET_MS)
      expect(client.of('publish')).toEqual([])
    },
  },
  {
    says: 'Version 3.10 closes the connection without a CONNACK on MQTT 5.',
    async proof({ broker }) {
      const client = RawClient.open(broker.url, 5, 'five')
      await closes(client)
      expect(client.bytes).toHaveLength(0)
    },
  },
  {
    says: 'Retained messages are in memory, and a restart loses them.',
    proof: (surroundings) => retains(surroundings, false),
  },
]

const nats: Lines = [
  {
    says: 'It sends what was not acknowledged again after `ack_wait`, 30 s by default: on a connection that was not lost too, so that a message that is handled for longer comes twice; and to a client that has reconnected not before, behind later messages.',
    async proof({ folder }) {
      const [own, port] = [await freePort(), await freePort()]
      const file = join(folder, 'waiting.conf')
      const lines = [
        `listen: 127.0.0.1:${own}`,
        'server_name: waiting',
        `jetstream { store_dir: ${folder}/waiting }`,
        `mqtt { listen: 127.0.0.1:${port}, ack_wait: "${QUIET_MS}ms" }`,
      ]
      writeFileSync(file, `${lines.join('\n')}\n`)
      const server = start('nats-server', ['-c', file])
      try {
        await until(() => servesClients(port), 'NATS serves clients')
        const url = `mqtt://127.0.0.1:${port}`
        const kept = { clean: false }
        let receiver = await opened(url, 4, kept, 'waiting')
        await receiver.subscribe('t', 1)
        const sender = await opened(url, 4)
        await sender.publish([{ topic: 't', payload: '1' }])
        await receiver.got('publish')
        // It comes again on the same connection.
        expect(await receiver.got('publish', 2)).toMatchObject({ dup: true })
        receiver.cut()
        receiver = await opened(url, 4, kept, 'waiting')
        await sender.publish([{ topic: 't', payload: '2' }])
        const both = [await receiver.got('publish'), await receiver.got('publish', 2)]
        expect(both.map(({ payload }) => payload.toString())).toEqual(['2', '1'])
      } finally {
        server.kill('SIGKILL')
      }
    },
  },
  {
    says: 'It grants QoS 1 if QoS 2 is asked for. A PUBLISH at QoS 2 ends the connection.',
    async proof({ broker }) {
      const client = await opened(broker.url, 4)
      expect(await client.subscribe('t', 2)).toEqual([1])
      await client.publish([{ qos: 2 }])
      await closes(client)
    },
  },
  {
    says: 'It forwards topics with U+0000, and topics that are not UTF-8.',
    async proof({ broker }) {
      for (const end of [0, 0xff]) await forwards(broker.url, 'a/#', [0x61, 0x2f, end])
    },
  },
  {
    says: 'It refuses a filter with a dot. Response topics have none: in them dots of the client identifier are `%2E`.',
    async proof({ broker }) {
      const client = await opened(broker.url, 4)
      expect(await client.subscribe('clients/bus.a@b/r/1', 1)).toEqual([0x80])
      expect(await client.subscribe('clients/bus-a@b/r/1', 1)).toEqual([1])
    },
  },
  {
    says: 'A client that subscribes to `#` is sent messages of the broker itself too, even before the SUBACK.',
    async proof({ broker }) {
      const client = await opened(broker.url, 4)
      await client.subscribe('#', 0)
      const before = client.packets.slice(
        1,
        client.packets.findIndex(({ cmd }) => cmd === 'suback'),
      )
      const topics = before.flatMap((packet) => (packet.cmd === 'publish' ? [packet.topic] : []))
      expect(topics.some((topic) => topic.startsWith('$'))).toBe(true)
    },
  },
  {
    says: 'With Keep Alive 1 it allows 1 s instead of 1.5 s. Use 2 s or more.',
    async proof({ broker }) {
      const silences: number[] = []
      // A machine under load is late; the shortest silence is the one that was measured best.
      for (let i = 0; i < 3; i++) {
        const client = await opened(broker.url, 4, { keepalive: 1 })
        const startedAt = performance.now()
        await closes(client)
        silences.push(performance.now() - startedAt)
      }
      expect(Math.min(...silences)).toBeLessThan(1400)
    },
  },
  {
    says: 'It needs JetStream and a server name for MQTT.',
    async proof({ folder }) {
      const parts = { name: 'server_name: lone', store: `jetstream { store_dir: ${folder}/lone }` }
      for (const [given, lacking] of [
        ['name', 'JetStream'] as const,
        ['store', 'server name'] as const,
      ]) {
        const file = join(folder, `without-${given}.conf`)
        const listen = [await freePort(), await freePort()]
        const lines = [`listen: 127.0.0.1:${listen[0]}`, parts[given]]
        writeFileSync(file, `${[...lines, `mqtt { listen: 127.0.0.1:${listen[1]} }`].join('\n')}\n`)
        const { status, stderr } = spawnSync('nats-server', ['-c', file], {
          encoding: 'utf8',
          timeout: 10_000,
        })
        expect([lacking, status]).toEqual([lacking, 1])
        expect(stderr).toMatch(new RegExp(lacking, 'i'))
      }
    },
  },
]

const aedes: Lines = [
  {
    says: 'After a reconnection it sends messages that were not acknowledged again without DUP.',
    async proof({ broker }) {
      let receiver = await opened(broker.url, 4, { clean: false }, 'again')
      await receiver.subscribe('again', 1)
      await (await opened(broker.url, 4)).publish([{ topic: 'again' }])
      await receiver.got('publish')
      receiver.cut()
      receiver = await opened(broker.url, 4, { clean: false }, 'again')
      expect(await receiver.got('publish')).toMatchObject({ dup: false })
      receiver.cut()
    },
  },
  {
    says: 'A session that is kept (Clean Session 0) loses messages at QoS 1 if two of its filters overlap. Use filters that do not, or Clean Session 1.',
    async proof({ broker }) {
      const came = new Set<string>()
      for (let connection = 0; connection < 3; connection++) {
        const receiver = await opened(broker.url, 4, { clean: false }, 'overlapping')
        if (connection === 0) {
          for (const filter of ['lossy/a', 'lossy/+']) await receiver.subscribe(filter, 1)
          const sender = await opened(broker.url, 4)
          await sender.publish(numbered(10).map((one) => ({ ...one, topic: 'lossy/a' })))
        }
        await sleep(QUIET_MS / 4)
        for (const { payload } of receiver.of('publish')) came.add(payload.toString())
        receiver.cut()
      }
      expect(came.size).toBeGreaterThan(0)
      expect(came.size).toBeLessThan(10)
    },
  },
  {
    says: 'Everything is in memory unless it is given a persistence: a restart loses sessions (see the table) and retained messages.',
    proof: (surroundings) => retains(surroundings, false),
  },
]

/** By the name of the broker. */
export const DIFFERENCES: Readonly<Record<string, Lines>> = {
  mosquitto,
  ejabberd,
  RabbitMQ: rabbit,
  NATS: nats,
  aedes,
}
