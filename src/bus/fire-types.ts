/** What do users write who announce events, and what are they told? Types only. */
import type { Outcome, Request, SentRequest, UserProperties } from '../index.ts'
import type { FiredPayload } from './api-types.ts'

/** Where events wait on disk until the server has them: a `spool()` of `it-mqtt/disk`. */
export interface EventOutbox extends AsyncIterable<readonly Request[]> {
  /** Resolves when the request is safe. */
  push(request: SentRequest): Promise<unknown>
  /** Is told what became of a request. */
  settled(request: Request, outcome: Outcome): void | Promise<void>
}

/** The options of `fire()`. */
export interface FireOptions {
  /** The last level of the topic, which listeners may subscribe to alone. Default: none. */
  readonly key?: string | undefined
  /** The name of the event, 1 to 200 characters: listeners drop what they had. Default: a UUID. */
  readonly id?: string | undefined
  /** User Properties of the event. */
  readonly headers?: UserProperties | undefined
  /**
   * Whether it resolves when the event is in the outbox, from which `run()` sends it in order.
   * Default false: it resolves when the server has the event.
   */
  readonly durable?: boolean | undefined
  /** Gives the event up, if it has not left. Not with `durable`. */
  readonly signal?: AbortSignal | undefined
}

/** What `fire()` resolves with. */
export interface Fired {
  /** The name of the event. */
  readonly id: string
  /**
   * Whether the server says that nobody has subscribed to the event; false if it says nothing, and
   * for an event in the outbox.
   */
  readonly unheard: boolean
}

/** The arguments of `fire()` behind the event. */
export type FireArguments<Event> =
  FiredPayload<Event> extends undefined
    ? [payload?: undefined, options?: FireOptions]
    : [payload: FiredPayload<Event>, options?: FireOptions]
