/**
 * `eventloop()`: an MQTT connection as a value that you iterate.
 */

import {
  type EventloopOptions,
  hasSession,
  type ReconnectOptions,
  resolveOptions,
} from '../options/options.ts'
import type { Session } from '../requests/session.ts'
import { type Requests, Source } from '../requests/source.ts'
import type { Control, Incoming } from '../requests/vocabulary.ts'
import { Connected } from './connect.ts'
import { Loop, type Observer } from './loop.ts'
import type { LoopState } from './loop-state.ts'
import type { Transition } from './transitions.ts'

/**
 * Yields every packet that the server sends, except repeats of a QoS 2 PUBLISH and CONNACKs that refuse (these are errors).
 * Nothing runs before the first `next()`; from then on it lives within its bounds, whether or not a `next()` is outstanding;
 * nothing is left when it has ended.
 */
export interface Eventloop extends AsyncIterableIterator<Incoming, undefined>, AsyncDisposable {
  next(): Promise<IteratorResult<Incoming, undefined>>
  /** Ends the loop (E2): DISCONNECT, at most 1 s for the server to close, the request stream's `return()`. */
  return(): Promise<IteratorResult<Incoming, undefined>>
  throw(error?: unknown): Promise<IteratorResult<Incoming, undefined>>
  [Symbol.asyncIterator](): Eventloop
  /** An immutable snapshot, counters included. O(1). */
  readonly state: LoopState
  /** The part that outlives a connection. O(1). Final once the loop has ended; before, a copy of the moment. */
  readonly session: Session
  /**
   * Acknowledges a message, in any order; acknowledgements leave in the order received. `reasonCode` (MQTT 5) of 0x80 and more
   * refuses it. `'stale'`: the message is of an older connection, or acknowledged already; the broker redelivers what is not.
   */
  ack(packet: Incoming, reasonCode?: number): 'queued' | 'stale'
  /** Stops taking requests and reading, for `ms` or until `resume`; the connection is kept alive. */
  pause(ms?: number): void
  resume(): void
  /** First transmissions per second; null lifts the bound. */
  throttle(perSecond: number | null): void
  /** Drops the connection and dials again, perhaps with another policy. */
  reconnect(policy?: ReconnectOptions): void
  /** Takes nothing more, lets what is in flight settle for at most `timeout` ms (default 10,000), and ends. */
  disconnect(timeout?: number): void
  /** Ends at once, with the session in hand. */
  shutdown(): void
  /** What the option `recorder` kept, as text for `it-mqtt replay`; null: nothing is kept. */
  recording(): string | null
  /**
   * The connection as it changes, from now on until the loop has ended. Several may watch, and none holds up the loop: who leaves
   * 1,024 of them untaken is told so by an error and may watch again.
   */
  transitions(): AsyncIterableIterator<Transition, undefined>
  /** Begins enhanced authentication anew; resolves when both sides are content. MQTT 5, with an `authenticator`. (4.12.1) */
  reauthenticate(): Promise<void>
  /** Resolves when the server has answered; rejects after keepAlive without an answer, or where there is no connection. */
  ping(): Promise<{ readonly roundTripMs: number }>
}

/**
 * @param options a URL, options, or what `connect()` resolved with.
 * @param requests pulled only as far as the window allows (D4). None: an empty stream.
 * @param controls take effect at once, whatever the backlog of requests; keep nothing alive.
 * @throws UsageError for what cannot be used, naming it.
 */
export function eventloop(
  options: string | URL | EventloopOptions | Connected,
  requests?: Requests,
  controls?: Iterable<Control> | AsyncIterable<Control>,
): Eventloop {
  return openLoop(options, requests, controls)
}

/** `eventloop()` for those in this package that look on. */
export function openLoop(
  options: string | URL | EventloopOptions | Connected,
  requests: Requests | undefined,
  controls: Iterable<Control> | AsyncIterable<Control> | undefined,
  observer?: Observer,
): Eventloop {
  const resolved = options instanceof Connected ? null : resolveOptions(options)
  const goesOn = resolved === null ? (options as Connected).hasSession : hasSession(resolved)
  const source = requests === undefined ? null : Source.of(requests, goesOn)
  const steering = controls === undefined ? null : Source.of(controls, goesOn)
  const loop =
    resolved === null
      ? (options as Connected).claim(source, steering)
      : new Loop(resolved, source, steering)
  if (observer !== undefined) loop.observe(observer)
  return loop
}
