/**
 * How are events handled, a few at a time, and again if that fails? (B7, an event is acknowledged
 * when it was handled; B8, no event is refused by its acknowledgement; B11, a poison event is not
 * in the way for ever)
 */
import type { Message } from '../client/index.ts'
import { nameTaken } from './bus-errors.ts'
import type { ListenerInsides } from './bus-insides.ts'
import type { BusParts } from './bus-parts.ts'
import { envelopeOf } from './event-envelope.ts'
import { runHooks } from './hook-table.ts'
import type { HandleContext } from './hook-types.ts'
import { LISTENER_CLOSE_MS, ListenerCore } from './listener-core.ts'
import { decideOnEvent, type ListenerPlan } from './listener-plan.ts'
import type { BusEvent, BusListener, ListenerStats } from './listener-types.ts'
import type { EventSource, ReceivedEvent } from './received-event.ts'
import { timeBudget } from './settled-within.ts'

/** Why an event was left: the listener closes, and the event stays unacknowledged. */
const LEFT = Symbol('left')

type OrderBy = NonNullable<ListenerPlan['orderBy']>

interface EventTurn {
  readonly work: Promise<void>
}

export class HandlerListener implements BusListener, ListenerInsides {
  readonly #core: ListenerCore
  readonly #handler: (event: BusEvent<never>) => unknown
  /** Events whose handlers run, by the name under which they are recognized. */
  readonly #running = new Map<string, Promise<void>>()
  /** Messages whose handlers run, or are about to. */
  readonly #inHand = new Set<Message>()
  /** The end of the last event of each text of `orderBy`. */
  readonly #chains = new Map<string, Promise<void>>()
  /** With `orderBy`: the latest event that came has its place in a chain. */
  #lastTurn: Promise<unknown> = Promise.resolve()
  readonly #closing = new AbortController()
  #waiting: (() => void)[] = []
  #interrupt: (() => void) | null = null
  #failure: { readonly error: unknown } | null = null
  #closed: Promise<void> | null = null
  readonly #done: Promise<void>
  #end: { resolve(): void; reject(error: unknown): void } | null = null
  readonly #left: () => void

  /** @param left is called when the name of the listener is free again. */
  constructor(
    bus: BusParts,
    plan: ListenerPlan,
    sources: readonly EventSource[],
    handler: (event: BusEvent<never>) => unknown,
    left: () => void,
  ) {
    this.#core = new ListenerCore(bus, plan, sources)
    this.#handler = handler
    this.#left = left
    this.#done = new Promise((resolve, reject) => {
      this.#end = { resolve, reject }
    })
    // Whoever awaits `run()` is told as well.
    this.#done.catch(() => {})
  }

  get name(): string {
    return this.#core.plan.name
  }

  get granted(): Promise<void> {
    return this.#core.granted
  }

  get done(): Promise<void> {
    return this.#done
  }

  get stats(): ListenerStats {
    return Object.freeze({ ...this.#core.stats })
  }

  get sources(): readonly EventSource[] {
    return this.#core.sources
  }

  get waiting(): number {
    return this.#core.subscription.state.waiting
  }

  get oldestFiredAt(): number | null {
    const times = [...this.#inHand].flatMap((message) => envelopeOf(message).firedAt ?? [])
    return times.length === 0 ? null : Math.min(...times)
  }

  /** Handles events until the signal is aborted. @throws what ended the listener. */
  async drive(signal: AbortSignal): Promise<void> {
    if (this.#closed !== null) return
    const { subscription, client, plan, stats } = this.#core
    const stop = new AbortController()
    const interrupt = () => stop.abort()
    this.#interrupt = interrupt
    signal.addEventListener('abort', interrupt)
    if (signal.aborted) stop.abort()
    // It reads, and so hears of lost connections, while all handlers are busy.
    const reading = client.run({ signal: stop.signal })
    reading.catch(() => {})
    try {
      while (!stop.signal.aborted) {
        if (stats.running >= plan.concurrency) {
          await new Promise<void>((resolve) => this.#waiting.push(resolve))
          continue
        }
        const { done, value } = await subscription.next({ signal: stop.signal })
        if (done) break
        void this.#begin(value)
      }
      await reading
    } catch (error) {
      if (!stop.signal.aborted) this.#fail(error)
    } finally {
      signal.removeEventListener('abort', interrupt)
      stop.abort()
    }
    if (this.#failure !== null) throw this.#failure.error
  }

  async #begin(message: Message): Promise<void> {
    this.#core.stats.running++
    this.#inHand.add(message)
    try {
      await this.#work(message)
    } catch (error) {
      if (error !== LEFT) this.#fail(error)
    }
    this.#core.stats.running--
    this.#inHand.delete(message)
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  async #work(message: Message): Promise<void> {
    const event = this.#core.read(message)
    if (event === null) return
    const { dedupeId } = event
    const same = dedupeId === null ? undefined : this.#running.get(dedupeId)
    if (same !== undefined) {
      // It came again while its handler runs: it is handled when that is.
      await same
      this.#core.stats.repeated++
      return message.ack()
    }
    // What a slow store answers about a copy may be older than the end of the handler.
    const work = this.#unlessKnown(event)
    if (dedupeId === null) return work
    this.#running.set(dedupeId, work)
    try {
      await work
    } finally {
      this.#running.delete(dedupeId)
    }
  }

  async #unlessKnown(event: ReceivedEvent): Promise<void> {
    const { orderBy } = this.#core.plan
    if (orderBy === undefined) {
      if (await this.#core.isToBeHandled(event)) await this.#handle(event)
      return
    }
    // A store or a schema may answer sooner about a later event, which must not overtake.
    const turn = this.#lastTurn.then(() => this.#turnOf(event, orderBy))
    this.#lastTurn = turn.catch(() => {})
    await (await turn)?.work
  }

  /** @returns the work on an event, which may have begun; null if there is nothing to do. */
  async #turnOf(event: ReceivedEvent, orderBy: OrderBy): Promise<EventTurn | null> {
    if (!(await this.#core.isToBeHandled(event))) return null
    const text = await this.#textOf(event, orderBy)
    if (text === null) return { work: this.#handle(event) }
    const before = this.#chains.get(text) ?? Promise.resolve()
    // One that failed has ended the listener, so that nothing follows it.
    const work = before
      .then(() => this.#handle(event))
      .finally(() => {
        if (this.#chains.get(text) === work) this.#chains.delete(text)
      })
    this.#chains.set(text, work)
    return { work }
  }

  /** @returns null for an event that does not fit its schema, if its text would be of its value. */
  async #textOf(event: ReceivedEvent, orderBy: OrderBy): Promise<string | null> {
    const { reader } = this.#core
    try {
      event.value = await reader.validated(event, reader.decode(event))
    } catch {
      try {
        return String(orderBy(event))
      } catch {
        return null
      }
    }
    return String(orderBy(event))
  }

  async #handle(event: ReceivedEvent): Promise<void> {
    const { bus, plan, stats } = this.#core
    for (;;) {
      if (this.#failure !== null || this.#closing.signal.aborted) throw LEFT
      const report = this.#core.reported(event)
      const outcome = await this.#attempt(event)
      if (outcome === null) {
        report?.(null)
        stats.handled++
        return this.#core.settle(event)
      }
      const { error, isFinal } = outcome
      // It was acknowledged before it failed: nothing can be done.
      if (event.settling !== null) {
        report?.({ error, action: null })
        this.#core.warn(event, error, 'it was acknowledged before')
        return event.settling
      }
      const decision = decideOnEvent(plan, bus.clock, event, error, event.attempt, isFinal)
      report?.({ error, action: decision.action })
      if (decision.action === 'stop') {
        this.#core.warn(event, error, 'ends the run; it comes again in the next one')
        throw error
      }
      if (decision.action !== 'retry') return this.#core.giveUp(event, error, decision.action)
      if (event.attempt === 1) this.#core.warn(event, error, 'is handled again')
      await this.#delay(decision.delayMs)
      stats.retried++
      event.attempt++
    }
  }

  /** @returns null if the handler ended well, else why not, and whether that is final. */
  async #attempt(
    event: ReceivedEvent,
  ): Promise<{ readonly error: unknown; readonly isFinal: boolean } | null> {
    const { bus, reader } = this.#core
    let isValid = false
    const run = async (given: unknown) => {
      event.value = await reader.validated(event, given)
      isValid = true
      return this.#traced(event)
    }
    try {
      const given = reader.decode(event)
      const hooks = bus.hooks.of('handle', event.api)
      if (hooks.length === 0) await run(given)
      else {
        const { api, id, headers, attempt, source } = event
        const context: HandleContext = {
          ...{ kind: 'handle', api, version: source.api.version, name: event.event },
          ...{ value: given, headers, attempt, id: id ?? '', listener: this.name },
        }
        await runHooks(hooks, context, () => run(context.value))
      }
      return null
    } catch (error) {
      return { error, isFinal: !isValid }
    }
  }

  #traced(event: ReceivedEvent): unknown {
    const { bus, client } = this.#core
    const { trace } = bus.clientOptions
    if (trace === undefined) return this.#handler(event as unknown as BusEvent<never>)
    const handle = async () => this.#handler(event as unknown as BusEvent<never>)
    const { topic, payload } = event.message
    const operation = {
      kind: 'process',
      clientId: client.state.clientId,
      topic,
      template: this.#core.reader.filters[0],
      userProperties: event.headers,
      key: undefined,
      payloadBytes: payload.length,
    } as const
    return trace(operation, handle)
  }

  /** @throws LEFT if the listener closes meanwhile. */
  #delay(ms: number): Promise<void> {
    const { clock } = this.#core.bus
    const { signal } = this.#closing
    return new Promise((resolve, reject) => {
      const left = () => {
        clock.clearTimer(timer)
        reject(LEFT)
      }
      const timer = clock.setTimer(() => {
        signal.removeEventListener('abort', left)
        resolve()
      }, ms)
      if (signal.aborted) left()
      else signal.addEventListener('abort', left)
    })
  }

  /** The listener ends with an error; what it has not acknowledged comes again. */
  #fail(cause: unknown): void {
    if (this.#failure !== null || this.#closed !== null) return
    const error = nameTaken(this.#core.bus, cause)
    this.#failure = { error }
    this.#end?.reject(error)
    void this.close()
  }

  close({
    timeout = LISTENER_CLOSE_MS,
  }: {
    readonly timeout?: number | undefined
  } = {}): Promise<void> {
    this.#closed ??= this.#close(timeout)
    return this.#closed
  }

  async #close(timeout: number): Promise<void> {
    const left = timeBudget(this.#core.bus.clock, timeout)
    this.#interrupt?.()
    this.#closing.abort()
    for (const resolve of this.#waiting.splice(0)) resolve()
    await this.#idle(timeout)
    await this.#core.close(left)
    this.#left()
    this.#end?.resolve()
  }

  /** Resolves when no handler runs, or after `timeout` ms. */
  async #idle(timeout: number): Promise<void> {
    const { bus, stats } = this.#core
    let isLate = false
    const timer = bus.clock.setTimer(() => {
      isLate = true
      for (const resolve of this.#waiting.splice(0)) resolve()
    }, timeout)
    while (stats.running > 0 && !isLate) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    bus.clock.clearTimer(timer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
