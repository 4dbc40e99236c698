/**
 * What have a listener with a handler and one that is iterated in common? A connection of its own,
 * what recognizes events that come again, and what becomes of those that fail. (B6, an event
 * reaches each listener name at least once; B7, an event is acknowledged when it was handled; B8,
 * no event is refused by its acknowledgement)
 */
import {
  type Client,
  createClient,
  hostOf,
  type Message,
  type Subscription,
} from '../client/index.ts'
import { MqttError, UsageError, type UserProperties } from '../index.ts'
import {
  BUS_PROPERTIES,
  busClientId,
  deadKeeperId,
  deadTopics,
  listenerShare,
} from './bus-names.ts'
import { type BusParts, hasProperties } from './bus-parts.ts'
import type { BusReports } from './bus-reports.ts'
import { keepDeadLetters } from './dead-keeper.ts'
import { FormerEvents } from './former-events.ts'
import type { ListenerPlan } from './listener-plan.ts'
import type { ListenerStats } from './listener-types.ts'
import { EventReader, type EventSource, type ReceivedEvent } from './received-event.ts'
import { settledWithin } from './settled-within.ts'

/** How long a listener that closes waits for what is under way, unless somebody says otherwise. */
export const LISTENER_CLOSE_MS = 10_000
/** The longest text of an error that a dead letter has. */
const REASON_LENGTH_MAX = 4096
/** After which time a server that did not keep dead letters is asked again. */
const KEEP_AGAIN_MS = 60_000
/** How often it is asked at once: several processes may take the session from each other. */
const KEEP_ROUNDS = 4
const OTHER_KEEPS_MS = 300
/** How long a listener that closes looks for copies of what was handled. */
const COPIES_MS = 1000
/** How many events the server may send ahead, at least: as many as most servers send at most. */
const AHEAD = 20

export class ListenerCore {
  readonly bus: BusParts
  readonly plan: ListenerPlan
  readonly client: Client
  readonly subscription: Subscription
  readonly reader: EventReader
  readonly stats: { -readonly [Name in keyof ListenerStats]: ListenerStats[Name] } = {
    ...{ received: 0, handled: 0, running: 0, retried: 0 },
    ...{ repeated: 0, skipped: 0, dead: 0, passed: 0 },
  }
  readonly sources: readonly EventSource[]
  readonly #owner: string
  readonly #ending = new AbortController()
  /** Whether the server keeps dead letters, while it is asked to. */
  #keeping: Promise<Error | null> | null = null
  /** After a refusal it is not asked again before this time. */
  #keepAgainAt = 0
  #loss = ''

  constructor(bus: BusParts, plan: ListenerPlan, sources: readonly EventSource[]) {
    this.bus = bus
    this.plan = plan
    this.sources = sources
    this.#owner = listenerShare(bus.service, plan.name)
    this.reader = new EventReader(bus, plan, sources, (event) => this.#acknowledge(event))
    this.client = createClient(listenerOptions(bus, plan))
    const former = new FormerEvents(bus, plan)
    hostOf(this.client).onUnasked((packet) => {
      this.stats.received++
      this.stats.passed++
      return former.filtersOf(packet)
    })
    this.subscription = this.client.subscribe(this.reader.filters, {
      ...{ qos: 1, acks: 'manual', retained: 'none', onLeave: 'keep' },
    }) as Subscription
  }

  get granted(): Promise<void> {
    return this.subscription.granted.then(() => {})
  }

  /**
   * Takes a message.
   * @returns an event that is to be handled; null if there is nothing to do.
   * @throws what the dedupe store throws.
   */
  async take(message: Message): Promise<ReceivedEvent | null> {
    const event = this.read(message)
    return event !== null && (await this.isToBeHandled(event)) ? event : null
  }

  /** @returns the event of a message, or null for one that nobody listens to. */
  read(message: Message): ReceivedEvent | null {
    this.stats.received++
    const event = this.reader.read(message)
    if (event !== null) return event
    this.stats.passed++
    message.ack()
    return null
  }

  /**
   * Looks an event up; one that was handled before is acknowledged.
   * @throws what the dedupe store throws.
   */
  async isToBeHandled(event: ReceivedEvent): Promise<boolean> {
    const { dedupe, maxRedeliveries } = this.plan
    if (dedupe === null || event.dedupeId === null) return true
    if (await this.#isKnown(event)) return false
    if (maxRedeliveries === undefined) return true
    const begun = await dedupe.begin!(event.dedupeId)
    if (begun <= maxRedeliveries) return true
    const reason = new Error(`handlers began with it ${begun - 1} times, and it was not handled`)
    await this.giveUp(event, reason, 'deadLetter')
    return false
  }

  /** @returns whether an event was handled before; then it is acknowledged. */
  async #isKnown(event: ReceivedEvent): Promise<boolean> {
    const { dedupe } = this.plan
    if (dedupe === null || event.dedupeId === null) return false
    if (!(await dedupe.seen(event.dedupeId))) return false
    this.stats.repeated++
    event.message.ack()
    return true
  }

  /** Closes the connection, once what was handled is acknowledged. (B18, a bus ends in order) */
  async close(left: () => number): Promise<void> {
    const { clock } = this.bus
    this.#ending.abort()
    if (this.#keeping !== null) await settledWithin(clock, this.#keeping, left())
    const late = new AbortController()
    const copies = this.#acknowledgeCopies(late.signal)
    await settledWithin(clock, copies, Math.min(COPIES_MS, left()))
    late.abort()
    await this.client.close({ timeout: left() })
  }

  /** After the loss of a connection, events that were handled may have come again, and wait. */
  async #acknowledgeCopies(signal: AbortSignal): Promise<void> {
    while (this.subscription.state.waiting > 0 && !signal.aborted) {
      const { done, value } = await this.subscription.next()
      if (done || !value.redelivered) return
      const event = this.read(value)
      // Acknowledgements leave in the order of the messages.
      if (event !== null && !(await this.#isKnown(event))) return
    }
  }

  /** Gives an event up. @throws what the server or the store answers. */
  async giveUp(event: ReceivedEvent, error: unknown, action: 'skip' | 'deadLetter'): Promise<void> {
    if (action === 'skip') {
      this.stats.skipped++
      this.warn(event, error, 'is skipped')
    } else {
      const loss = await this.#bury(event, error).catch((refusal: unknown) => {
        const isClosed = this.#ending.signal.aborted
        if (!isClosed)
          this.warn(event, error, `cannot become a dead letter (${errorText(refusal)})`)
        throw refusal
      })
      this.stats.dead++
      this.warn(event, error, loss === null ? 'becomes a dead letter' : `is lost, since ${loss}`)
    }
    await this.settle(event)
  }

  /**
   * The event was handled: first it is remembered, then acknowledged. (B7, an event is acknowledged
   * when it was handled)
   * @returns a promise of both, also if this began before: until then it is in hand.
   */
  settle(event: ReceivedEvent): Promise<void> {
    event.settling ??= this.#settle(event)
    return event.settling
  }

  async #settle(event: ReceivedEvent): Promise<void> {
    const { dedupe } = this.plan
    if (dedupe !== null && event.dedupeId !== null) await dedupe.done(event.dedupeId)
    event.message.ack()
  }

  #acknowledge(event: ReceivedEvent): void {
    this.settle(event).catch((error: unknown) => {
      this.warn(event, error, 'it was handled, and may come again')
    })
  }

  /**
   * Publishes an event to the dead letters: as it came, and with the reason. If nobody gets it, the
   * server is asked to keep dead letters, and gets it once more.
   * @returns why it is lost, as far as the server says; null if it is not.
   * @throws what the server answers; `ENDED` if the listener closes: then the event comes again.
   */
  async #bury(event: ReceivedEvent, error: unknown): Promise<string | null> {
    const { clock, clientOptions } = this.bus
    const { signal } = this.#ending
    for (let round = 1; !(await this.#publishLetter(event, error)); round++) {
      if (signal.aborted) throw new UsageError('the listener is closed', { code: 'ENDED' })
      if (clock.now() < this.#keepAgainAt) return this.#loss
      const place = this.#place
      const otherMs = OTHER_KEEPS_MS * round
      this.#keeping ??= keepDeadLetters(clock, clientOptions, place, otherMs, signal)
      let refusal: Error | null
      try {
        refusal = await this.#keeping
      } finally {
        this.#keeping = null
      }
      if (refusal === null && (round < KEEP_ROUNDS || signal.aborted)) continue
      this.#keepAgainAt = clock.now() + KEEP_AGAIN_MS
      this.#loss =
        refusal === null
          ? 'the server does not keep the session that is made for it'
          : `the server refuses to keep it (${refusal.message}); permit the client identifier ` +
            `"${deadKeeperId(place)}" to subscribe to ${deadTopics(place)}/#`
      return this.#loss
    }
    return null
  }

  get #place() {
    const { service, prefix } = this.bus
    return { prefix, service, listener: this.plan.name }
  }

  /** @returns false if the server says that nobody gets it. */
  async #publishLetter(given: ReceivedEvent, error: unknown): Promise<boolean> {
    const { message, api, event, topic } = given
    const { properties } = message
    const userProperties: UserProperties = {
      ...properties?.userProperties,
      [BUS_PROPERTIES.topic]: topic,
      [BUS_PROPERTIES.code]: error instanceof MqttError ? error.code : errorName(error),
      [BUS_PROPERTIES.message]: errorText(error).slice(0, REASON_LENGTH_MAX),
    }
    const { contentType, payloadFormatIndicator } = properties ?? {}
    const { noMatchingSubscribers } = await this.client.publish(
      `${deadTopics(this.#place)}/${api}/${event}`,
      message.payload,
      {
        ...{ qos: 1, retain: this.plan.retainDead },
        ...((await hasProperties(this.client))
          ? { properties: { contentType, payloadFormatIndicator, userProperties } }
          : {}),
      },
    )
    return !noMatchingSubscribers || this.plan.retainDead
  }

  /** An attempt to handle an event begins. @returns what reports its end, if anybody listens. */
  reported(event: ReceivedEvent): ReturnType<BusReports['handle']> | null {
    const { reports } = this.bus
    if (!reports.hasEventListeners) return null
    const { source, id, by, attempt, payload } = event
    return reports.handle({
      ...{ kind: 'handle', api: source.api.name, version: source.api.version },
      ...{ event: source.event, id, by, listener: this.plan.name, attempt },
      payloadBytes: payload.length,
    })
  }

  warn(event: ReceivedEvent, error: unknown, outcome: string): void {
    const what = `listen: ${this.#owner}: the event ${event.api} ${event.event} (${event.id})`
    const message = `${what} failed, and ${outcome}: ${errorText(error)}`
    this.bus.warn('EVENT_FAILED', message, event.api, error)
  }
}

/** A connection of its own, with a session that is the queue of the listener. */
function listenerOptions(bus: BusParts, plan: ListenerPlan): Parameters<typeof createClient>[0] {
  const { session, will, responseTopic, clientId, ...rest } = bus.clientOptions
  const hasExpiry = rest.protocolVersion === undefined || rest.protocolVersion === 5
  return {
    ...rest,
    clientId: busClientId(bus.prefix, bus.service, bus.process, plan.name),
    cleanStart: false,
    ...(hasExpiry
      ? {
          sessionExpiryInterval: plan.expirySeconds,
          // Events that wait here can be given to no other process.
          receiveMaximum: Math.min(65_535, Math.max(AHEAD, 2 * plan.concurrency)),
        }
      : {}),
  }
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.name : 'Error'
}

/** @returns the message of what was thrown, which may be anything. */
export function errorText(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error)
  } catch {
    return 'something that has no text was thrown'
  }
}
