/**
 * One gateway of the drill: a loop that publishes numbered messages without end, and an account of
 * what became of each.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Eventloop,
  type EventloopOptions,
  eventloop,
  publish,
  type QoS,
  subscribe,
} from '../../src/index.ts'
import { until } from '../support/process.ts'

export interface Report {
  readonly name: string
  readonly produced: number
  /** How many faults of each kind there were. */
  readonly faults: Readonly<Record<string, number>>
  readonly figures: Readonly<Record<string, unknown>>
  /** What went wrong. If it is empty, every promise was kept. */
  readonly problems: readonly string[]
}

export interface Station {
  readonly name: string
  /** Causes one fault and waits until it is over. @returns the name of the fault. */
  disturb(random: () => number): Promise<string>
  /** Stops producing, waits until all messages have arrived, and reports. */
  finish(): Promise<Omit<Report, 'faults'>>
}

/** Ends things in the opposite order of their beginning. */
export class Scope {
  readonly #ends: (() => unknown)[] = []

  readonly onTestFinished = (end: () => unknown): void => {
    this.#ends.push(end)
  }

  async end(): Promise<void> {
    for (const end of this.#ends.reverse()) await end()
  }
}

export class Gateway {
  readonly loop: Eventloop
  produced = 0
  /** Payloads whose outcome was not good, and the reason. */
  readonly failed = new Map<string, string>()
  settled = 0
  #producing = true
  #error: unknown = null
  readonly #driving: Promise<void>

  constructor(
    options: EventloopOptions,
    { topic, qos, everyMs }: { topic: string; qos: QoS; everyMs: number },
  ) {
    const samples = async function* (this: Gateway) {
      while (this.#producing) {
        yield publish(topic, String(this.produced++), { qos })
        await sleep(everyMs)
      }
    }
    this.loop = eventloop(
      {
        reconnect: 'always',
        until: 'settled',
        onSettled: (request, outcome) => {
          if (request.cmd !== 'publish') return
          this.settled++
          if (!outcome.ok) this.failed.set(String(request.payload), String(outcome.error))
        },
        ...options,
      },
      samples.call(this),
    )
    this.#driving = this.#drive()
  }

  async #drive(): Promise<void> {
    try {
      for await (const _ of this.loop);
    } catch (error) {
      this.#error = error
    }
  }

  /** Sends no more messages; resolves when each has its outcome. */
  async stop(): Promise<void> {
    this.#producing = false
    await this.#driving
  }

  /** Compares the account with what arrived. @returns what does not add up. */
  problems(arrived: (payload: string) => boolean): string[] {
    const problems: string[] = []
    if (this.#error !== null) problems.push(`the loop ended with ${String(this.#error)}`)
    if (this.settled !== this.produced) {
      problems.push(`${this.produced} were produced, ${this.settled} settled`)
    }
    for (const [payload, why] of this.failed) problems.push(`${payload} failed: ${why}`)
    const lost = Array.from({ length: this.produced }, (_, i) => String(i)).filter(
      (payload) => !this.failed.has(payload) && !arrived(payload),
    )
    if (lost.length > 0) problems.push(`lost: ${lost.length}, the first ${lost.slice(0, 5).join()}`)
    return problems.slice(0, 20)
  }

  get reconnections(): Readonly<Record<string, number>> {
    return this.loop.state.counters.reconnections
  }
}

/** A subscriber that stays connected to the broker and counts what arrives. */
export class Observer {
  readonly arrived = new Map<string, number>()
  readonly #loop: Eventloop
  readonly #reading: Promise<void>

  constructor(options: EventloopOptions, topic: string) {
    const steady = { reconnect: 'always', cleanStart: false, keepAlive: 0 } as const
    this.#loop = eventloop({ ...steady, ...options }, [subscribe(topic, { qos: 2 })])
    this.#reading = this.#read()
  }

  async #read(): Promise<void> {
    for await (const packet of this.#loop) {
      if (packet.cmd !== 'publish') continue
      const payload = packet.payload.toString()
      this.arrived.set(payload, (this.arrived.get(payload) ?? 0) + 1)
    }
  }

  /** Resolves once the broker knows of the subscription. */
  async ready(): Promise<void> {
    const granted = () => this.#loop.state.subscriptions.some(({ status }) => status === 'granted')
    await until(granted, 'the observer is subscribed', 60_000)
  }

  async stop(): Promise<void> {
    this.#loop.shutdown()
    await this.#reading
  }
}

/**
 * A message that did not arrive in time is reported as a problem; an error would hide the others.
 */
export async function arrives(condition: () => boolean, ms = 60_000): Promise<void> {
  await until(condition, 'everything arrives', ms).catch(() => {})
}

export const between = (random: () => number, from: number, to: number) =>
  Math.round(from + random() * (to - from))

export const repeats = (counts: ReadonlyMap<string, number>) =>
  [...counts.values()].reduce((sum, count) => sum + count - 1, 0)
