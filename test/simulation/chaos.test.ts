/**
 * Goal: at least once, exactly once, order and window, through any mixture of cuts, slow acknowledgements and lost sessions.
 * Method: a model broker in memory that keeps the truth, a virtual clock, and one seed for everything that is random.
 */
import type { Duplex } from 'node:stream'
import mqtt, { type IPublishPacket, type Packet } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { eventloop, publish, subscribe } from '../../src/index.ts'
import { memoryPair } from '../../src/transport/memory.ts'
import { VirtualClock } from '../support/clock.ts'
import { randomOf } from '../support/random.ts'

interface Outbound {
  readonly messageId: number
  readonly payload: string
  readonly qos: 1 | 2
  stage: 'publish' | 'pubrel'
  sent: boolean
}

/** What a broker remembers of one client, and what it saw. */
class ModelBroker {
  readonly #random: () => number
  readonly #clock: VirtualClock
  readonly #version: 4 | 5
  session = false
  quiet = false
  readonly #received = new Set<number>()
  #outbound: Outbound[] = []
  #nextId = 1
  readonly delivered: { readonly payload: string; readonly qos: number }[] = []
  readonly problems: string[] = []
  socket: Duplex | null = null
  lost = 0

  constructor(random: () => number, clock: VirtualClock, version: 4 | 5) {
    this.#random = random
    this.#clock = clock
    this.#version = version
  }

  readonly transport = (): Duplex => {
    const [client, server] = memoryPair()
    this.socket = server
    const parser = mqtt.parser({ protocolVersion: this.#version })
    const window = 1 + Math.floor(this.#random() * 8)
    const open = new Set<number>()
    const doomed = this.quiet ? Number.POSITIVE_INFINITY : Math.floor(this.#random() * 120)
    let seen = 0
    const send = (packet: Packet) => {
      if (!server.destroyed) server.write(mqtt.generate(packet, { protocolVersion: this.#version }))
    }
    const later = (packet: Packet, done?: () => void) => {
      const answer = () => {
        done?.()
        send(packet)
      }
      if (this.quiet || this.#random() < 0.6) answer()
      else if (this.#random() < 0.9) this.#clock.setTimer(answer, this.#random() * 50)
    }
    parser.on('packet', (packet: Packet) => {
      if (server.destroyed) return
      if (++seen > doomed) {
        server.destroy()
        return
      }
      const messageId = packet.messageId ?? 0
      switch (packet.cmd) {
        case 'connect': {
          const lost = !this.quiet && this.#random() < 0.05
          if (lost || packet.clean) this.#forget(lost)
          const sessionPresent = this.session
          this.session = true
          const limits = { properties: { receiveMaximum: window } }
          send({
            cmd: 'connack',
            sessionPresent,
            reasonCode: 0,
            returnCode: 0,
            ...(this.#version === 5 ? limits : {}),
          })
          for (const message of this.#outbound) message.sent = false
          this.push()
          return
        }
        case 'publish':
          return this.#published(packet, messageId, open, window, later)
        case 'pubrel':
          this.#received.delete(messageId)
          return later({ cmd: 'pubcomp', messageId, reasonCode: 0 }, () => open.delete(messageId))
        case 'puback':
        case 'pubcomp':
          this.#outbound = this.#outbound.filter((message) => message.messageId !== messageId)
          return this.push()
        case 'pubrec': {
          const message = this.#outbound.find((one) => one.messageId === messageId)
          if (message) message.stage = 'pubrel'
          return send({ cmd: 'pubrel', messageId, reasonCode: 0 })
        }
        case 'subscribe':
          return later({
            cmd: 'suback',
            messageId,
            granted: packet.subscriptions.map(({ qos }) => qos),
          })
        case 'pingreq':
          return send({ cmd: 'pingresp' })
        default:
          return
      }
    })
    server.on('data', (chunk: Buffer) => parser.parse(chunk))
    server.on('error', () => {})
    return client
  }

  #published(
    packet: IPublishPacket,
    messageId: number,
    open: Set<number>,
    window: number,
    later: (packet: Packet, done?: () => void) => void,
  ): void {
    const payload = packet.payload.toString()
    if (packet.qos > 0) {
      open.add(messageId)
      const limit = this.#version === 5 ? window : 1000
      if (open.size > limit) this.problems.push(`${open.size} in flight, ${limit} allowed`)
    }
    if (packet.qos === 2) {
      if (this.#received.has(messageId) !== packet.dup && !packet.dup) {
        this.problems.push(`identifier ${messageId} used again while open`)
      }
      if (!this.#received.has(messageId)) this.delivered.push({ payload, qos: 2 })
      this.#received.add(messageId)
      return later({ cmd: 'pubrec', messageId, reasonCode: 0 })
    }
    this.delivered.push({ payload, qos: packet.qos })
    if (packet.qos === 1)
      later({ cmd: 'puback', messageId, reasonCode: 0 }, () => open.delete(messageId))
  }

  #forget(lost: boolean): void {
    if (lost) this.lost++
    this.session = false
    this.#received.clear()
    this.#outbound = []
  }

  /** A message for the client, kept until it is acknowledged. */
  offer(payload: string, qos: 1 | 2): void {
    this.#outbound.push({ messageId: this.#nextId, payload, qos, stage: 'publish', sent: false })
    this.#nextId = (this.#nextId % 200) + 1
    this.push()
  }

  push(): void {
    const { socket } = this
    if (socket === null || socket.destroyed || !this.session) return
    for (const message of this.#outbound) {
      if (message.sent) continue
      message.sent = true
      const { messageId, payload, qos, stage } = message
      const packet: Packet =
        stage === 'pubrel'
          ? { cmd: 'pubrel', messageId, reasonCode: 0 }
          : { cmd: 'publish', topic: 'down', payload, qos, dup: true, retain: false, messageId }
      socket.write(mqtt.generate(packet, { protocolVersion: this.#version }))
    }
  }
}

async function scenario(seed: number): Promise<void> {
  const random = randomOf(seed)
  const clock = new VirtualClock()
  clock.random = random
  const version = random() < 0.5 ? 5 : 4
  const broker = new ModelBroker(random, clock, version)
  const count = 60
  const requests = Array.from({ length: count }, (_, i) =>
    publish('up', String(i), { qos: ((i % 2) + 1) as 1 | 2 }),
  )
  const outcomes = new Map<string, number>()
  const loop = eventloop(
    {
      transport: broker.transport,
      platform: clock,
      clientId: 'model',
      protocolVersion: version,
      cleanStart: false,
      session: 'adopt',
      until: 'closed',
      maxInflight: 1000,
      keepAlive: 5,
      reconnect: { when: 'always', minMs: 1, maxMs: 20 },
      onSettled: (request) => {
        if (request.cmd !== 'publish') return
        const key = String(request.payload)
        outcomes.set(key, (outcomes.get(key) ?? 0) + 1)
      },
    },
    [subscribe('down', { qos: 2 }), ...requests],
  )
  const got: { payload: string; qos: number }[] = []
  let stopped = false
  const consumer = (async () => {
    for await (const packet of loop) {
      if (packet.cmd === 'publish')
        got.push({ payload: packet.payload.toString(), qos: packet.qos })
      if (stopped) break
      if (random() < 0.02)
        await new Promise<void>((resolve) => clock.setTimer(resolve, random() * 30))
    }
  })()
  let offered = 0
  for (let round = 0; round < 400; round++) {
    broker.quiet = round > 150
    // What was never acknowledged is only sent again on a new connection.
    if (round === 151) broker.socket?.destroy()
    await clock.advance(random() * 20)
    if (offered < 40 && broker.session && random() < 0.5)
      broker.offer(String(offered), ((offered++ % 2) + 1) as 1 | 2)
    if (!broker.quiet && random() < 0.03) broker.socket?.destroy()
    if (!broker.quiet && random() < 0.02) loop.reconnect()
    if (outcomes.size === count && round > 200) break
  }
  const why = `seed ${seed}, version ${version}, sessions lost ${broker.lost}`
  expect(broker.problems, why).toEqual([])
  expect(
    [...outcomes.values()].filter((n) => n !== 1),
    why,
  ).toEqual([])
  expect(outcomes.size, `${why}: outcomes`).toBe(count)
  const counters = loop.state.counters
  expect(counters.taken, why).toBe(counters.settled + counters.held)
  for (const qos of [1, 2]) {
    const all = broker.delivered
      .filter((one) => one.qos === qos)
      .map(({ payload }) => Number(payload))
    const first = [...new Set(all)]
    expect(first.length, `${why}: QoS ${qos} arrived`).toBe(count / 2)
    expect(first, `${why}: QoS ${qos} in order`).toEqual([...first].sort((a, b) => a - b))
    if (qos === 2 && broker.lost === 0) expect(all.length, `${why}: once`).toBe(count / 2)
    if (broker.lost > 0) continue
    const down = got.filter((one) => one.qos === qos).map(({ payload }) => Number(payload))
    const firstDown = [...new Set(down)]
    expect(firstDown.length, `${why}: QoS ${qos} received`).toBe(
      Math.floor((offered + (qos === 1 ? 1 : 0)) / 2),
    )
    if (qos === 2) expect(down.length, `${why}: received once`).toBe(firstDown.length)
  }
  stopped = true
  const end = loop.return()
  await clock.advance(2000)
  await end
  await clock.advance(100)
  await consumer
}

const first = Number(process.env['SEED'] ?? 1)
const seeds = process.env['SEED'] ? 1 : Number(process.env['SEEDS'] ?? 100)

test(`[D1] [D2] [D3] [D4] [D5] [R2] [R6] ${seeds} seeds of chaos lose, double and reorder nothing`, {
  timeout: 280_000,
}, async () => {
  for (let seed = first; seed < first + seeds; seed++) await scenario(seed)
})
