/**
 * What does the program of a process do? It serves, listens, fires and calls as the scenario says,
 * as a user would write it; it ends when its bus fails, and whoever watches over it begins it again.
 */
import * as z from 'zod'
import {
  type Api,
  type Bus,
  type BusEvent,
  type BusOptions,
  defineApi,
  type EventIterator,
  type ListenerOptions,
  type ServedCall,
  type TaskRun,
} from '../../../src/bus/index.ts'
import type { CallLedger } from './bus-calls.ts'
import { type EventLedger, type Name, RETRIES } from './bus-events.ts'
import type { KeptIds } from './bus-keeping.ts'
import type { Life } from './bus-process.ts'
import type { ReportLedger } from './bus-reported.ts'
import type { EventOrder, ReleaseName, RpcName, Setup } from './bus-scenario.ts'
import { TASK_SECONDS, type TaskLedger } from './bus-tasks.ts'

const anything = z.unknown()
const RPC = { input: anything, output: anything }
const TEXT = z.string()
const RPCS = {
  plain: RPC,
  again: { ...RPC, idempotent: true },
  refuse: { ...RPC, errors: { LOCKED: z.object({ n: z.number() }) } },
  fail: RPC,
  ...{ unfit: RPC, strict: RPC, wrong: RPC, odd: RPC },
}
const EVENTS = { sold: { payload: anything }, moved: { payload: anything } }

const SHOP_RPCS = {
  ...RPCS,
  strict: { input: TEXT, output: anything },
  wrong: { input: anything, output: TEXT },
}
const CALLED = z.object({ n: z.number(), slowMs: z.number() })
/** What the service has. */
export const SHOPS = {
  first: defineApi({ name: 'shop', version: '1.1.0', events: EVENTS, rpcs: SHOP_RPCS }),
  wider: defineApi({
    ...{ name: 'shop', version: '1.1.1', events: EVENTS },
    // One of its schemas has no JSON form. (B15)
    rpcs: { ...SHOP_RPCS, more: { ...RPC, output: z.custom(() => true) } },
  }),
  narrower: defineApi({
    ...{ name: 'shop', version: '1.1.2', events: EVENTS },
    rpcs: { ...SHOP_RPCS, plain: { input: CALLED, output: anything } },
  }),
} satisfies Record<ReleaseName, Api>
/** What callers have. */
export const LATER_SHOP = defineApi({
  ...{ name: 'shop', version: '1.2.0', events: EVENTS },
  rpcs: {
    ...{ ...RPCS, later: RPC },
    ...{ unfit: { input: TEXT, output: anything }, odd: { input: anything, output: TEXT } },
  },
})
const NEXT_SHOP = defineApi({ name: 'shop', version: '2.0.0', rpcs: { major: RPC } })
const ABSENT = defineApi({ name: 'absent', version: '1.0.0', rpcs: { absent: RPC } })

export interface ProgramHost {
  readonly events: EventLedger
  readonly calls: CallLedger
  readonly tasks: TaskLedger
  readonly reports: ReportLedger
  readonly setup: Setup
  createBus(options: BusOptions): Bus
  now(): number
  touch(): void
  say(line: string): void
  problem(id: string, what: string): void
  /** A promise that must settle, unless the process is killed. */
  track(life: Life, what: string, promise: Promise<unknown>): void
  /** @returns whether the broker has the subscriptions of a listener. */
  isSubscribed(clientId: string): boolean
  /** The API of a process breaks what lies at the broker. */
  refused(life: Life): void
  /** The program has to end. */
  failed(life: Life): void
}

/** More than a write to the outbox takes. */
const SLOW_DISK_MS = 100

interface Ordered {
  readonly n: number
}

export class Program {
  readonly bus: Bus
  readonly life: Life
  readonly #host: ProgramHost
  readonly #shop: (typeof SHOPS)['first']

  constructor(life: Life, host: ProgramHost) {
    this.life = life
    this.#host = host
    this.#shop = SHOPS[life.release] as (typeof SHOPS)['first']
    const { seat } = life
    const { service } = seat.setup
    const late = () => {
      if (life.closeMs < SLOW_DISK_MS) return
      host.problem('B18', `${life.name} uses its outbox after close()`)
    }
    this.bus = host.createBus({
      ...{ service, process: seat.name, client: life.clientOptions() },
      presence: host.setup.presence,
      ...(seat.setup.serves ? { outbox: seat.outbox.open(life, late) } : {}),
    })
    if (seat.setup.serves) this.#serve()
    this.bus.every({ seconds: TASK_SECONDS }, (run) => this.#runTask(run))
    for (const name of host.events.names) {
      if (name.service === service) this.#listen(name)
    }
    // With `onBreaking: 'refuse'` it begins when the schemas are compared.
    this.bus.hook({
      start: (_, next) => {
        host.tasks.begin(life)
        return next()
      },
    })
    const running = this.bus.run().catch((error: unknown) => {
      if (life.isOver) return
      const { code } = Object(error) as { readonly code?: string }
      const isTakenOver = code === 'SESSION_TAKEN_OVER' && life.isHaunted
      if (code === 'SCHEMA_BREAKING') host.refused(life)
      else if (!isOrdered(error) && !isTakenOver) {
        const id = String(error).includes('loadSchema') ? 'B14' : 'B11'
        host.problem(id, `run() of ${life.name} fails: ${error}`)
      }
      host.failed(life)
    })
    void running.then(() => {
      host.touch()
      life.isRunning = false
      if (life.isOver || life.isEnding) return
      host.failed(life)
    })
  }

  // ----------------------------------------------------------------------------------------- calls

  #serve(): void {
    const { life } = this
    const handle = (rpc: string) => async (input: unknown, call: ServedCall<never>) => {
      if (life.isDead) return new Promise<never>(() => {})
      const { n, slowMs } = input as { n: number; slowMs: number }
      this.#host.say(`  ${life.name} executes ${n} (${rpc})`)
      this.#host.calls.executes(n, rpc, life, call.deadline)
      const handler = { deadline: call.deadline }
      life.handlers.add(handler)
      if (slowMs > 0) await life.sleep(slowMs)
      life.handlers.delete(handler)
      if (rpc === 'refuse')
        (call as unknown as ServedCall<(typeof RPCS)['refuse']>).fail('LOCKED', { n })
      if (rpc === 'fail') throw new Error('secret')
      return n
    }
    const { concurrency, answerUnknown } = life.seat.setup
    const names = Object.keys(this.#shop.rpcs)
    const implementation = Object.fromEntries(names.map((rpc) => [rpc, handle(rpc)]))
    const { schema: lifetime, onBreaking } = this.#host.setup
    this.bus.serve(this.#shop, implementation as never, {
      ...{ concurrency, answerUnknown },
      schema: { lifetime, onBreaking },
    })
  }

  /** (B22) */
  async #runTask({ dueAt, missed }: TaskRun): Promise<void> {
    const { life } = this
    if (life.isDead) return new Promise(() => {})
    const { tasks, setup } = this.#host
    const count = tasks.runs(life, dueAt, missed)
    const handler = { deadline: Number.POSITIVE_INFINITY }
    life.handlers.add(handler)
    if (count % 3 === 0 && setup.slowTaskMs > 0) await life.sleep(setup.slowTaskMs)
    life.handlers.delete(handler)
    tasks.ended(life)
  }

  call(rpc: RpcName, slowMs: number, timeout: number): void {
    const { life } = this
    const host = this.#host
    const called = host.calls.begin(life, rpc, slowMs, timeout)
    const api = { absent: ABSENT, major: NEXT_SHOP }[rpc as string] ?? LATER_SHOP
    const functions = this.bus.api(api as typeof LATER_SHOP) as unknown as Record<
      string,
      (i: unknown, o: object) => Promise<unknown>
    >
    const result = functions[rpc]!({ n: called.n, slowMs }, { timeout }).then(
      (value) => {
        if (!life.isDead) host.calls.resolved(called, value)
      },
      (error: unknown) => {
        if (life.isDead) return
        host.calls.rejected(called, error)
      },
    )
    void result.then(() => {
      called.isSettled = true
      host.reports.ended('call')
      host.touch()
    })
    host.track(life, `call ${called.n} of ${rpc}`, result)
  }

  // ---------------------------------------------------------------------------------------- events

  fire(order: EventOrder, durable: boolean): void {
    const { life } = this
    const host = this.#host
    const event = host.events.begin(life.seat, durable, order)
    const options = { id: `e${event.n}`, durable, ...(order.key === '' ? {} : { key: order.key }) }
    const fired = this.bus.fire(this.#shop, order.event, { n: event.n }, options).then(
      ({ unheard }) => {
        if (life.isDead) return
        if (!durable && event.arrivals === 0) {
          host.problem('B6', `event ${event.n} is fired, and did not come to the broker`)
        }
        if (
          !durable &&
          unheard &&
          host.events.owed().some((one) => one.startsWith(`${event.n} `))
        ) {
          host.problem('B6', `event ${event.n} is said to be unheard`)
        }
        event.isFired = true
      },
      (error: { readonly code?: string }) => {
        if (life.isDead || life.isEnding || life.isOver) return
        host.problem('B9', `event ${event.n} of ${life.name} is rejected: ${error}`)
      },
    )
    void fired.then(() => host.reports.ended('fire'))
    host.track(life, `fire() of ${event.n}`, fired)
  }

  #listen(name: Name): void {
    const { setup } = name
    const { dedupe, maxRedeliveries, concurrency, isOrdered: inOrder, stream } = setup
    const { life } = this
    const ids =
      dedupe === 'own' ? life.seat.idsOf(setup.name) : dedupe === 'shared' ? name.ids : null
    const api = this.bus.api(this.#shop)
    const ports = setup.events.map((event) => api[event])
    const options: ListenerOptions<unknown> = {
      ...{ concurrency, stream },
      onError: setup.isFunction ? () => setup.onError : setup.onError,
      retry: { max: RETRIES, minMs: 50, maxMs: 400, then: setup.then },
      ...(inOrder ? { orderBy: ({ key }: BusEvent) => key ?? '' } : {}),
      dedupe: this.#dedupe(name, ids),
      ...(maxRedeliveries > 0 ? { maxRedeliveries } : {}),
    }
    if (setup.how === 'iterated') {
      void this.#iterate(name, ids, this.bus.listen(setup.name, ports, options))
      return
    }
    const handle = async (event: BusEvent) => {
      try {
        await this.#handle(name, ids, event)
      } finally {
        this.#host.reports.ended('handle')
      }
    }
    const listener = this.bus.listen(setup.name, ports, options, handle)
    const granted = () => {
      if (life.isOver || this.#host.isSubscribed(`bus.${name.owner}@${life.seat.name}`)) return
      this.#host.problem('B10', `${life.name} says that ${name.owner} is granted, and it is not`)
    }
    // Without a grant there is nothing to say: the listener has ended.
    listener.granted.then(granted, () => {})
    listener.done.catch(() => {
      life.isFailing = true
    })
  }

  #dedupe({ setup }: Name, ids: KeptIds | null): ListenerOptions['dedupe'] {
    if (setup.dedupe === 'none') return false
    if (ids === null) return { memory: 1000 }
    const { life } = this
    const fails = () => {
      const isFailing = life.storeFails
      life.storeFails = false
      life.hasForgotten ||= isFailing
      return isFailing
    }
    return { store: ids.open(life, fails) }
  }

  async #handle(name: Name, ids: KeptIds | null, event: BusEvent): Promise<void> {
    const { life } = this
    if (life.isDead) return new Promise(() => {})
    const { n } = event.value as Ordered
    const { events } = this.#host
    const what = `${n} of ${name.owner}`
    this.#host.say(`  ${life.name} handles ${what}, attempt ${event.attempt}`)
    const fails = events.begins(name, life, n, event.attempt, ids)
    const { slowMs, early } = events.of(n)!.order
    if (early) {
      events.handled(name, life, n)
      event.ack()
    }
    // What is iterated, close() does not know of.
    const handler = { deadline: Number.POSITIVE_INFINITY }
    if (name.setup.how === 'handler') life.handlers.add(handler)
    if (slowMs > 0) await life.sleep(slowMs)
    life.handlers.delete(handler)
    if (fails && !early) {
      events.failed(name, life, n)
      throw new Error(`event ${n} fails as ordered`)
    }
    this.#host.say(`  ${life.name} has handled ${what}`)
    events.handled(name, life, n)
  }

  async #iterate(name: Name, ids: KeptIds | null, iterator: EventIterator<unknown>): Promise<void> {
    const { life } = this
    try {
      for await (const event of iterator) {
        if (life.isDead) return
        await this.#handle(name, ids, event)
      }
    } catch (error) {
      if (life.isDead || life.isEnding) return
      if (!isOrdered(error)) this.#host.problem('B7', `${name.owner} is ended by ${error}`)
    }
    if (!life.isOver && !life.isEnding) this.#host.failed(life)
  }

  /** @returns who is there, and what each has. (B20) */
  async discover(): Promise<readonly string[]> {
    const found: string[] = []
    for await (const { service, process, apis, listeners } of this.bus.discover()) {
      const has = [
        ...apis.map(({ version }) => version),
        ...listeners.map(({ name }) => name).sort(),
      ]
      found.push([`${service}/${process}`, ...has].join(' '))
    }
    return found.sort()
  }

  /** @returns the names of the processes of the service that are present. (B21) */
  async present(): Promise<readonly string[]> {
    const members = await this.bus.processes!.get()
    return members.map(({ client }) => client).sort()
  }

  async close(timeout: number): Promise<void> {
    await this.bus.close({ timeout })
  }
}

function isOrdered(error: unknown): boolean {
  return error instanceof Error && error.message.includes('as ordered')
}
