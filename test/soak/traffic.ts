/**
 * Traffic that checks itself: numbered messages at every QoS from one loop to another, through
 * mosquitto, each loop behind a relay of its own. The check keeps one number for each QoS, so that
 * a soak of any length needs constant memory.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ConnectionFailure,
  type Eventloop,
  type EventloopOptions,
  eventloop,
  type Outcome,
  publish,
  type QoS,
  type Request,
  subscribe,
  unsubscribe,
} from '../../src/index.ts'

import { Arrivals } from './arrivals.ts'

/** Head of a payload: number and length; every other byte is the number's last one. */
const HEAD_BYTES = 8
/** Inputs of the reducers that a recording keeps. */
const RECORDED = 20_000
const LEVELS = [0, 1, 2] as const

export interface Pace {
  /** One batch is sent every `everyMs`. */
  readonly everyMs: number
  readonly batch: number
}

type PerQoS = [number, number, number]

export interface Counts {
  readonly accepted: PerQoS
  readonly settled: PerQoS
  readonly failed: PerQoS
  readonly arrived: PerQoS
  readonly repeated: PerQoS
  /** How many came after a later one. */
  readonly late: PerQoS
  bytes: number
  subscriptions: number
}

interface Setup {
  /** The name of the pair, in client identifiers and topics. */
  readonly name: string
  readonly version: 4 | 5
  readonly urls: readonly [sender: string, receiver: string]
  readonly pace: Pace
  readonly random: () => number
  readonly record: boolean
  /** How long the receiver takes for each message, in ms. */
  readonly consumerMs: number
  /** Of the receiver. */
  readonly receiveMaximum?: number
  /** Of the sender. */
  readonly maxInflight?: number
}

export class Traffic {
  readonly counts: Counts = {
    accepted: [0, 0, 0],
    settled: [0, 0, 0],
    failed: [0, 0, 0],
    arrived: [0, 0, 0],
    repeated: [0, 0, 0],
    late: [0, 0, 0],
    bytes: 0,
    subscriptions: 0,
  }
  /** Rules that the broker was found to have broken. */
  readonly violations = new Set<string>()
  /** How often the loops gave a warning, by its code. */
  readonly warnings: Record<string, number> = {}
  /** Promises that were broken, the first few. */
  readonly problems: string[] = []
  readonly loops: readonly [sender: Eventloop, receiver: Eventloop]
  readonly name: string
  readonly #random: () => number
  readonly #pace: Pace
  readonly #consumerMs: number
  readonly #arrivals = { 1: new Arrivals(), 2: new Arrivals() } as const
  #lastAtQoS0 = 0
  /** Is resolved once the receiver has subscribed: what is sent before does not arrive. */
  readonly #receiving: Promise<void>
  #received!: () => void
  #stopped = false

  constructor({ name, version, urls, pace, random, record, ...limits }: Setup) {
    const { consumerMs, receiveMaximum, maxInflight } = limits
    this.name = name
    this.#random = random
    this.#pace = pace
    this.#consumerMs = consumerMs
    this.#receiving = new Promise((resolve) => {
      this.#received = resolve
    })
    const common = {
      protocolVersion: version,
      onWarning: ({ code }) => {
        this.warnings[code] = (this.warnings[code] ?? 0) + 1
      },
      cleanStart: false,
      session: 'adopt',
      keepAlive: 3,
      connectTimeout: 3000,
      reconnect: {
        when: 'always',
        minMs: 10,
        maxMs: 500,
        stableMs: 1000,
        retryable: (failure: ConnectionFailure) => {
          if (failure.source === 'protocol') this.violations.add(failure.message)
          return true
        },
      },
      ...(record ? { recorder: { inputs: RECORDED, bytes: true } } : {}),
    } as const satisfies EventloopOptions
    const sender = eventloop(
      {
        ...common,
        maxInflight,
        url: urls[0],
        clientId: `${name}-sender`,
        until: 'settled',
        onSettled: (request, outcome) => this.#settled(request, outcome),
      },
      this.#requests(),
    )
    const receiver = eventloop(
      { ...common, receiveMaximum, url: urls[1], clientId: `${name}-receiver`, until: 'closed' },
      [subscribe(`${name}/+`, { qos: 2 })],
    )
    this.loops = [sender, receiver]
  }

  /**
   * Resolves once what was accepted has arrived, after `stop()`. Rejects if a loop ends with an
   * error.
   */
  async run(subscribed: () => void): Promise<void> {
    const [sender, receiver] = this.loops
    const received = this.#receive(receiver, () => {
      this.#received()
      subscribed()
    })
    const sent = (async () => {
      for await (const _ of sender);
      this.#finish()
    })()
    await Promise.all([sent, received])
  }

  stop(): void {
    this.#stopped = true
  }

  get complete(): boolean {
    const [sender] = this.loops
    const { kind } = sender.state.connection
    if (!this.#stopped || kind !== 'closed') return false
    return this.lacking === 0
  }

  /** How many messages at QoS 1 and 2 were accepted and have not arrived. */
  get lacking(): number {
    const { accepted } = this.counts
    return this.#arrivals[1].lacking(accepted[1]) + this.#arrivals[2].lacking(accepted[2])
  }

  async *#requests(): AsyncGenerator<Request[]> {
    let subscribed = false
    await this.#receiving
    while (!this.#stopped) {
      await sleep(this.#pace.everyMs)
      const batch: Request[] = []
      for (let i = 0; i < this.#pace.batch; i++) batch.push(this.#publish())
      if (this.#random() < 0.005) {
        const filter = `${this.name}-other/#`
        batch.push(subscribed ? unsubscribe(filter) : subscribe(filter, { qos: 1 }))
        subscribed = !subscribed
      }
      yield batch
    }
    // The last messages of each QoS: the receiver waits for them to know that everything has
    // arrived.
    yield LEVELS.map((qos) => this.#publish(qos))
  }

  #publish(qos: QoS = LEVELS[Math.floor(this.#random() * 3)]!): Request {
    const large = this.#random() < 0.02
    const room = Math.floor(2 ** (4 + this.#random() * (large ? 12 : 5)))
    const payload = Buffer.alloc(HEAD_BYTES + room)
    const number = ++this.counts.accepted[qos]
    payload.fill(number & 0xff)
    payload.writeUInt32BE(number, 0)
    payload.writeUInt32BE(payload.length, 4)
    this.counts.bytes += payload.length
    return publish(`${this.name}/${qos}`, payload, { qos })
  }

  #settled(request: Request, outcome: Outcome): void {
    if (request.cmd !== 'publish') {
      this.counts.subscriptions++
      if (!outcome.ok) this.#problem(`${request.cmd} failed: ${outcome.error}`)
      return
    }
    const qos = request.qos ?? 0
    if (outcome.ok) this.counts.settled[qos]++
    else this.counts.failed[qos]++
    if (!outcome.ok && qos > 0) this.#problem(`a publish at QoS ${qos} failed: ${outcome.error}`)
  }

  async #receive(receiver: Eventloop, subscribed: () => void): Promise<void> {
    for await (const packet of receiver) {
      if (packet.cmd === 'suback') subscribed()
      if (packet.cmd !== 'publish') continue
      this.#arrived(Number(packet.topic.at(-1)) as QoS, packet.payload)
      if (this.#consumerMs > 0) await sleep(this.#consumerMs)
      if (this.#random() < 0.001) await sleep(this.#random() * 100)
    }
  }

  #arrived(qos: QoS, payload: Buffer): void {
    const number = payload.readUInt32BE(0)
    const filler = payload.subarray(HEAD_BYTES)
    if (payload.readUInt32BE(4) !== payload.length || filler.some((b) => b !== (number & 0xff))) {
      this.#problem(`QoS ${qos}: message ${number} is damaged`)
    }
    if (qos === 0) this.#arrivedAtQoS0(number)
    else this.#arrivedOnce(qos, number)
  }

  /** What comes at QoS 0 may be lost, and is never repeated. */
  #arrivedAtQoS0(number: number): void {
    if (number <= this.#lastAtQoS0) {
      this.counts.repeated[0]++
      this.#problem(`QoS 0: message ${number} came again after ${this.#lastAtQoS0}`)
      return
    }
    this.#lastAtQoS0 = number
    this.counts.arrived[0]++
  }

  /**
   * To a client that takes its time mosquitto 2.0.11 sends a new message before some that wait: the
   * packet identifiers, which it gives when it queues a message, come out of order. So the order is
   * not checked with slow consumers.
   */
  #arrivedOnce(qos: 1 | 2, number: number): void {
    const { last } = this.#arrivals[qos]
    const arrival = this.#arrivals[qos].note(number)
    if (arrival === 'repeated') this.counts.repeated[qos]++
    else this.counts.arrived[qos]++
    if (arrival === 'late') this.counts.late[qos]++
    if (arrival === 'repeated' && qos === 2) {
      this.#problem(`QoS 2: message ${number} came again after ${last}`)
    }
    if (this.#consumerMs === 0 && (arrival === 'ahead' || arrival === 'late')) {
      this.#problem(`QoS ${qos}: message ${number} came after ${last}`)
    }
  }

  #finish(): void {
    const { accepted, settled, failed } = this.counts
    for (const qos of LEVELS) {
      if (settled[qos] + failed[qos] === accepted[qos]) continue
      this.#problem(
        `QoS ${qos}: ${accepted[qos]} accepted, ${settled[qos]} + ${failed[qos]} outcomes`,
      )
    }
  }

  #problem(what: string): void {
    if (this.problems.length < 20) this.problems.push(`${this.name}: ${what}`)
  }
}
