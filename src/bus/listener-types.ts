/**
 * What do users write who listen to events, and what are they given? Types only.
 */
import type { UserProperties } from '../index.ts'

/** What becomes of an event that was not handled. */
export type EventAction =
  /** It stays unacknowledged, and the listener ends: a later life or another process gets it. */
  | 'stop'
  /** It counts as handled, and is reported. */
  | 'skip'
  /** It is handled again after a delay; meanwhile others wait behind it. */
  | 'retry'
  /** It is published to the dead letters of its listener, and counts as handled. */
  | 'deadLetter'

/** How often and when an event is handled again. */
export interface RetryOptions {
  /** How many attempts follow the first one, 1 to 1,000,000. Default 5. */
  readonly max?: number | undefined
  /** The first delay in ms; each further one is twice as long. Default 100. */
  readonly minMs?: number | undefined
  /** The longest delay in ms. Each delay varies at random by half. Default 30,000. */
  readonly maxMs?: number | undefined
  /** What happens after the last attempt. Default `stop`. */
  readonly then?: 'stop' | 'skip' | 'deadLetter' | undefined
}

/** Remembers which events were handled. Its answers may be promises. */
export interface EventDedupe {
  /** @returns whether the event was handled. The id has the names of service and listener in it. */
  seen(id: string): boolean | PromiseLike<boolean>
  /** The event was handled: resolves when that is safe. It may be called again for one id. */
  done(id: string): unknown
  /**
   * A handler is about to begin: needed for `maxRedeliveries` only.
   * @returns how often handlers began with this event, this time included.
   */
  begin?(id: string): number | PromiseLike<number>
}

/** The options of `listen()`. */
export interface ListenerOptions<Value = unknown> {
  /**
   * What happens if a handler throws, or an event does not fit its schema. A function is asked each
   * time. Default `stop`.
   */
  readonly onError?:
    | EventAction
    | ((event: BusEvent<Value>, error: unknown, attempt: number) => EventAction)
    | undefined
  /** For `retry`. */
  readonly retry?: RetryOptions | undefined
  /** How many handlers may run, 1 to 65,535. Default 1, which keeps the order. */
  readonly concurrency?: number | undefined
  /**
   * Events with the same text are handled in order, also with more `concurrency`. It is given the
   * value before hooks change it. An event that does not fit its schema has no value then: it has
   * no place in the order if the function throws.
   */
  readonly orderBy?: ((event: BusEvent<Value>) => string) | undefined
  /**
   * How events that come again are recognized: the latest in memory, or a store, such as
   * `openDedupe()` of `it-mqtt/disk`. False: they are handled again. Default
   * `{ memory: 10_000 }`.
   */
  readonly dedupe?:
    | false
    | {
        /** How many of the latest events are known, 1 to 10,000,000. */
        readonly memory: number
      }
    | {
        /** Where handled events are remembered beyond the process. */
        readonly store: EventDedupe
      }
    | undefined
  /**
   * After how many attempts in all lives an event becomes a dead letter, at least 1. It needs a
   * `dedupe` store with `begin`. Default: never.
   */
  readonly maxRedeliveries?: number | undefined
  /**
   * Whether the processes of the service share the name, so that each event comes to one of them.
   * False: this process alone has it; for servers without Shared Subscriptions. Default true.
   */
  readonly share?: boolean | undefined
  /**
   * What one subscription is: the events that are listened to, or all events of their APIs, in one
   * order. Events of other names are passed over. Default `event`.
   */
  readonly stream?: 'event' | 'api' | undefined
  /**
   * How many seconds the server keeps the session, and with it the events, while the process is
   * away, 1 to 4,294,967,295. Default 604,800, seven days.
   */
  readonly sessionExpiryInterval?: number | undefined
  /** Whether dead letters are retained. Default false: they are published as events are. */
  readonly retainDead?: boolean | undefined
}

/** The options of a listener that need no code. */
export interface ListenerSettings
  extends Omit<ListenerOptions<never>, 'onError' | 'orderBy' | 'dedupe'> {
  /** What happens if a handler throws. Default `stop`. */
  readonly onError?: EventAction | undefined
  /** How events that come again are recognized, or false: they are handled again. */
  readonly dedupe?:
    | false
    | {
        /** How many of the latest events are known, 1 to 10,000,000. */
        readonly memory: number
      }
    | undefined
}

/** An event, as a listener gets it. */
export interface BusEvent<Value = unknown> {
  /** The name of the API. */
  readonly api: string
  /** The name of the event. */
  readonly event: string
  /** The version of the sender's API, as it says, or null. */
  readonly version: string | null
  /** The name of this very event, or null if the sender gave none: then it is never recognized. */
  readonly id: string | null
  /** The name under which a `dedupe` store knows it; null if it has no id. */
  readonly dedupeId: string | null
  /** The last level of the topic, or null. */
  readonly key: string | null
  /** The payload, decoded and validated. */
  readonly value: Value
  /** Which attempt it is in this process, from 1. */
  readonly attempt: number
  /** Whether the server says that it may have been given before. */
  readonly redelivered: boolean
  /** When it was fired, in ms since 1970, as the sender says, or null. */
  readonly firedAt: number | null
  /**
   * Who fired it, as `service/process`, or the source of a CloudEvent of others: a claim. Null if
   * the sender does not say.
   */
  readonly by: string | null
  /** The User Properties; of a CloudEvent in structured mode its attributes too. */
  readonly headers: UserProperties
  /** The payload as it came. */
  readonly payload: Uint8Array
  /** Says that it is handled, before the handler ends. With a `dedupe` store it waits for that. */
  ack(): void
}

/** What became of the events of a listener. */
export interface ListenerStats {
  /** Events that came, those that came again included. */
  readonly received: number
  /** Events whose handler ended well. */
  readonly handled: number
  /** Handlers that run or wait for their next attempt. */
  readonly running: number
  /** Attempts after the first one. */
  readonly retried: number
  /** Events that were handled before. */
  readonly repeated: number
  /** Events that were given up (`skip`). */
  readonly skipped: number
  /** Events that became dead letters. */
  readonly dead: number
  /** Events of other names (`stream: 'api'`), and topics below an event that are none of its. */
  readonly passed: number
}

/** A listener with a handler. It runs while `bus.run()` is awaited. */
export interface BusListener extends AsyncDisposable {
  /** Its name. */
  readonly name: string
  /** Resolves when the server has granted its filters. Reading it makes it connect. */
  readonly granted: Promise<void>
  /** Resolves when it was closed, and rejects with what ended it. It does not drive it. */
  readonly done: Promise<void>
  /** What became of its events. */
  readonly stats: ListenerStats
  /**
   * Takes no more events, waits at most `timeout` ms (default 10,000) for handlers, and
   * disconnects. The server keeps what comes.
   */
  close(options?: { readonly timeout?: number | undefined }): Promise<void>
}

/** Events to be iterated. An event counts as handled when the next one is asked for. */
export interface EventIterator<Value = unknown>
  extends AsyncIterableIterator<BusEvent<Value>, undefined>,
    AsyncDisposable {
  /** Resolves when the server has granted its filters. Reading it makes it connect. */
  readonly granted: Promise<void>
  /** What became of its events. */
  readonly stats: ListenerStats
  /** The next event; the one before is handled. */
  next(options?: {
    readonly signal?: AbortSignal | undefined
    readonly timeout?: number | undefined
  }): Promise<IteratorResult<BusEvent<Value>, undefined>>
  /** Ends it. The event that was given last counts as not handled. */
  return(): Promise<IteratorResult<BusEvent<Value>, undefined>>
}
