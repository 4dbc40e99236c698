/**
 * Services at two nodes of a cluster: four workers that answer calls and listen to events, two
 * senders that call and fire without a pause. Two of the workers and one sender begin at the node
 * that is killed later; all of them know the other one too.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { type Api, type Bus, createBus, defineApi } from '../../src/bus/index.ts'
import type { BrokerCluster } from './cluster-facts.ts'
import { until } from './process.ts'

const WORKERS = 4
const SENDERS = 2
/** The time between two events of a sender, and two calls, in ms. */
const PACE_MS = 10
const CALL_MS = 3000
/** A node that is killed may have acknowledged what it has not passed on, in ms. */
const IN_DOUBT_MS = 1000
const RUN_MS = 60_000

/** Without Shared Subscriptions each worker has a part of the work of its own. */
export const work = (worker: number) =>
  defineApi({
    name: `work/${worker}`,
    version: '1.0.0',
    rpcs: { square: { input: z.number(), output: z.number(), idempotent: true } },
  })
export const news = defineApi({
  name: 'news',
  version: '1.0.0',
  events: { happened: { payload: z.string() } },
})

interface FiredEvent {
  readonly name: string
  readonly sender: number
  readonly acknowledgedAt: number
}

export class ClusterFleet {
  readonly #cluster: BrokerCluster
  readonly #version: 4 | 5
  readonly #buses: Bus[] = []
  readonly #handled: Set<string>[] = Array.from({ length: WORKERS }, () => new Set())
  readonly #fired: FiredEvent[] = []
  readonly #calls = { begun: 0, answered: 0, told: new Map<string, number>() }
  /** What the calls to each worker were answered with, by the worker. */
  readonly #answers = Array.from({ length: WORKERS }, () => 0)
  readonly #failures: unknown[] = []
  readonly #senders: Promise<unknown>[] = []
  #isOver = false
  #killedAt = Number.POSITIVE_INFINITY

  constructor(cluster: BrokerCluster, version: 4 | 5) {
    this.#cluster = cluster
    this.#version = version
  }

  async start(): Promise<void> {
    const granted: Promise<unknown>[] = []
    for (let worker = 0; worker < WORKERS; worker++) {
      const bus = this.#bus('fleet', `w${worker}`, worker % 2)
      const square = (size: number) => size * size
      granted.push(bus.serve(work(worker), { square }, { share: false }).granted)
      const handled = this.#handled[worker]!
      const options = { share: false, sessionExpiryInterval: 3600 } as const
      const listener = bus.api(news).happened.listen('ledger', options, ({ value }) => {
        handled.add(value)
      })
      granted.push(listener.granted)
      bus.run().catch((error: unknown) => this.#failures.push(error))
    }
    await Promise.all(granted)
    for (let sender = 0; sender < SENDERS; sender++) {
      const bus = this.#bus('sender', `s${sender}`, sender % 2)
      bus.serve(news, {})
      this.#senders.push(this.#fire(bus, sender), this.#call(bus))
    }
  }

  #bus(service: string, process: string, first: number): Bus {
    const urls = this.#cluster.nodes.map(({ url }) => url)
    const bus = createBus({
      ...{ service, process },
      client: {
        url: first === 0 ? urls : urls.toReversed(),
        protocolVersion: this.#version,
        reconnect: { when: 'always', minMs: 50, maxMs: 500 },
        onWarning: () => {},
      },
    })
    this.#buses.push(bus)
    return bus
  }

  async #fire(bus: Bus, sender: number): Promise<void> {
    for (let i = 0; !this.#isOver; i++) {
      const name = `${sender}-${i}`
      await bus.fire(news, 'happened', name)
      this.#fired.push({ name, sender, acknowledgedAt: performance.now() })
      await pause()
    }
  }

  async #call(bus: Bus): Promise<void> {
    const callers = Array.from({ length: WORKERS }, (_, worker) => bus.api(work(worker) as Api))
    const calls: Promise<void>[] = []
    for (let i = 0; !this.#isOver; i++) {
      const worker = i % WORKERS
      calls.push(this.#ask(worker, i, callers[worker] as never))
      await pause()
    }
    await Promise.all(calls)
  }

  async #ask(worker: number, size: number, caller: ReturnType<Bus['api']>): Promise<void> {
    this.#calls.begun++
    const { square } = caller as unknown as {
      square(input: number, options: { timeout: number }): Promise<number>
    }
    try {
      if ((await square(size, { timeout: CALL_MS })) !== size * size) throw new Error('wrong')
      this.#calls.answered++
      this.#answers[worker]!++
    } catch (error) {
      const { code = String(error) } = error as { readonly code?: string }
      this.#calls.told.set(code, (this.#calls.told.get(code) ?? 0) + 1)
    }
  }

  /** Waits until each worker has answered calls and handled events that were made from now on. */
  async goesOn(count = 50): Promise<void> {
    const answers = [...this.#answers]
    const handled = this.#handled.map(({ size }) => size)
    await until(
      () =>
        this.#answers.every((now, worker) => now >= answers[worker]! + count / 5) &&
        this.#handled.every(({ size }, worker) => size >= handled[worker]! + count),
      () => `the fleet goes on: ${JSON.stringify(this.figures())} ${this.#failures}`,
      RUN_MS,
    )
  }

  /** A node was killed just now. */
  killed(): void {
    this.#killedAt = performance.now()
  }

  /** Calls and fires nothing more, and waits for what is under way. */
  async finish(): Promise<void> {
    this.#isOver = true
    await Promise.race([Promise.all(this.#senders), sleep(2 * CALL_MS)])
    const names = this.#lossless().map(({ name }) => name)
    const living = this.#handled.filter((_, worker) => worker % 2 === 1)
    await until(
      () => living.every((handled) => names.every((name) => handled.has(name))),
      () => `all events come to those who live: ${JSON.stringify(this.figures())}`,
    ).catch(() => {})
  }

  /** @returns the events that no node had acknowledged and was killed a moment later. */
  #lossless(): readonly FiredEvent[] {
    const inDoubtSince = this.#killedAt - IN_DOUBT_MS
    return this.#fired.filter(
      ({ sender, acknowledgedAt: at }) =>
        sender === 1 || at < inDoubtSince || at > this.#killedAt + IN_DOUBT_MS,
    )
  }

  figures() {
    const missed = (worker: number, events: readonly FiredEvent[]) =>
      events.filter(({ name }) => !this.#handled[worker]!.has(name)).map(({ name }) => name)
    const { begun, answered, told } = this.#calls
    const names = new Set(this.#lossless().map(({ name }) => name))
    return {
      ...{ calls: begun, answered, told: Object.fromEntries(told) },
      pendingCalls: begun - answered - [...told.values()].reduce((sum, one) => sum + one, 0),
      events: this.#fired.length,
      missedAtLiving: [1, 3].flatMap((worker) =>
        missed(worker, this.#fired).filter((name) => names.has(name)),
      ),
      missedInDoubt: missed(1, this.#fired).filter((name) => !names.has(name)).length,
      missedAtKilled: missed(0, this.#fired).length + missed(2, this.#fired).length,
      failures: this.#failures.map(String),
    }
  }

  async close(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#buses.map((bus) => bus.close({ timeout: 1000 })))
  }
}

const pause = () => sleep(PACE_MS)
