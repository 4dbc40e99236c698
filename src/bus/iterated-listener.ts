/**
 * How are events given to one who iterates them? An event is handled when the next one is asked
 * for. (B7, an event is acknowledged when it was handled)
 */
import { MqttError } from '../index.ts'
import { nameTaken } from './bus-errors.ts'
import type { ListenerInsides } from './bus-insides.ts'
import type { BusParts } from './bus-parts.ts'
import { LISTENER_CLOSE_MS, ListenerCore } from './listener-core.ts'
import { decideOnEvent, type ListenerPlan } from './listener-plan.ts'
import type { BusEvent, EventIterator, ListenerStats } from './listener-types.ts'
import type { EventSource, ReceivedEvent } from './received-event.ts'
import { settledWithin, timeBudget } from './settled-within.ts'

type NextResult = IteratorResult<BusEvent<unknown>, undefined>
type NextEventOptions = Parameters<EventIterator['next']>[0]

const NO_EVENT: NextResult = Object.freeze({ done: true, value: undefined })

export class IteratedListener implements EventIterator, ListenerInsides {
  readonly #core: ListenerCore
  readonly #left: () => void
  /** The event that was given last. */
  #given: ReceivedEvent | null = null
  #report: ReturnType<ListenerCore['reported']> = null
  #isOver = false
  /** The last event that was handled is being remembered. */
  #settling: Promise<void> = Promise.resolve()
  /** Calls are answered one after the other. */
  #last: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | null = null

  /** @param left is called when the name of the listener is free again. */
  constructor(
    bus: BusParts,
    plan: ListenerPlan,
    sources: readonly EventSource[],
    left: () => void,
  ) {
    this.#core = new ListenerCore(bus, plan, sources)
    this.#left = left
  }

  get granted(): Promise<void> {
    return this.#core.granted
  }

  get stats(): ListenerStats {
    const running = this.#given === null ? 0 : 1
    return Object.freeze({ ...this.#core.stats, running })
  }

  get name(): string {
    return this.#core.plan.name
  }

  get sources(): readonly EventSource[] {
    return this.#core.sources
  }

  get waiting(): number {
    return this.#core.subscription.state.waiting
  }

  get oldestFiredAt(): number | null {
    return this.#given?.firedAt ?? null
  }

  next(options?: NextEventOptions): Promise<NextResult> {
    const result = this.#last.then(() => this.#next(options))
    this.#last = result.catch(() => {})
    return result
  }

  async #next(options: NextEventOptions): Promise<NextResult> {
    if (this.#isOver) return NO_EVENT
    try {
      return await this.#nextEvent(options)
    } catch (error) {
      // An event that was about to be given up stays at the server.
      const isClosed = this.#isOver && error instanceof MqttError && error.code === 'ENDED'
      if (isClosed) return NO_EVENT
      throw error
    }
  }

  async #nextEvent(options: NextEventOptions): Promise<NextResult> {
    await this.#orEnd(this.#handled())
    for (;;) {
      const { done, value: message } = await this.#core.subscription
        .next(options)
        .catch((error: unknown) => Promise.reject(nameTaken(this.#core.bus, error)))
      if (done) return NO_EVENT
      const event = await this.#orEnd(this.#core.take(message))
      if (event !== null && (await this.#isValid(event))) {
        // It was closed meanwhile: the event stays at the server.
        if (this.#isOver) return NO_EVENT
        this.#given = event
        this.#report = this.#core.reported(event)
        return { done: false, value: event }
      }
    }
  }

  /** A store that fails ends the listener: its event comes again, and others would wait for it. */
  async #orEnd<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      void this.close()
      throw error
    }
  }

  /** The event that was given last is handled. */
  async #handled(): Promise<void> {
    const event = this.#given
    this.#given = null
    if (event === null) return
    this.#report?.(null)
    this.#core.stats.handled++
    this.#settling = this.#core.settle(event)
    await this.#settling
  }

  /** @throws the error of an event that is not valid, if that ends the listener. */
  async #isValid(event: ReceivedEvent): Promise<boolean> {
    const { reader, plan, bus } = this.#core
    try {
      event.value = await reader.validated(event, reader.decode(event))
      return true
    } catch (error) {
      const { action } = decideOnEvent(plan, bus.clock, event, error, 1, true)
      this.#core.reported(event)?.({ error, action })
      if (action === 'skip' || action === 'deadLetter') {
        await this.#core.giveUp(event, error, action)
        return false
      }
      void this.close()
      throw error
    }
  }

  async return(): Promise<NextResult> {
    await this.close()
    return NO_EVENT
  }

  /** The event that was given last is not acknowledged. */
  close({ timeout }: { readonly timeout?: number | undefined } = {}): Promise<void> {
    this.#closed ??= this.#close(timeout)
    return this.#closed
  }

  async #close(timeout = LISTENER_CLOSE_MS): Promise<void> {
    this.#isOver = true
    const { clock } = this.#core.bus
    const left = timeBudget(clock, timeout)
    // What is handled is acknowledged once it is remembered.
    await settledWithin(clock, this.#settling, timeout)
    await this.#core.close(left)
    this.#left()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
