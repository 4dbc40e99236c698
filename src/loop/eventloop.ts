/**
 * `eventloop()`: an MQTT connection as a value that you iterate. The object that users get has the
 * public methods only; the `Loop` that implements them is hidden.
 */

import { UsageError } from '../errors.ts'
import type { EventloopOptions, Warning } from '../options/options.ts'
import { hasSession, resolveOptions } from '../options/resolve.ts'
import { INSPECT } from '../platform/machine.ts'
import { prepareControl } from '../requests/prepare-control.ts'
import type { Session } from '../requests/session.ts'
import { type Requests, Source } from '../requests/source.ts'
import type {
  Control,
  Incoming,
  IncomingPublish,
  ReconnectOptions,
  ReconnectWhen,
} from '../requests/vocabulary.ts'
import type { LoopChoices } from './beginning.ts'
import { Connected } from './connect.ts'
import { Consumers } from './consumers.ts'
import { acknowledge, DRAIN_MS, ping, reauthenticate, waitingBefore, warnFor } from './controls.ts'
import { Loop } from './loop.ts'
import { isFinished, type LoopState, viewOf } from './loop-state.ts'
import type { Driver } from './parts.ts'
import { watchersOf } from './perform.ts'
import type { Transition } from './transitions.ts'
import { endpointFor } from './where.ts'

type Result = IteratorResult<Incoming, undefined>

/**
 * Yields every packet that the server sends, except repeats of a QoS 2 PUBLISH and CONNACKs that
 * refuse, which are errors; with `packets: 'messages'` only messages, CONNACKs and SUBACKs of
 * renewals. Nothing runs before the first `next()`. From then on the loop runs whether or not a
 * `next()` is outstanding; its buffers are bounded. Nothing is left when it has ended.
 */
export interface Eventloop extends AsyncIterableIterator<Incoming, undefined>, AsyncDisposable {
  /**
   * @returns the next packet. Calls are answered in order, one packet each. The error that ended
   * the loop rejects the oldest outstanding call.
   */
  next(): Promise<IteratorResult<Incoming, undefined>>
  /**
   * Takes a packet as `next()` does, if one was received already. It begins nothing and waits for
   * nothing: a consumer that takes many packets saves a promise for each.
   * @returns the packet, or undefined if none is there, an earlier `next()` waits, or the loop has
   *   not begun or has ended.
   */
  tryNext(): Incoming | undefined
  /**
   * Ends the loop: sends DISCONNECT, waits at most 1 s for the server to close, and calls the
   * request stream's `return()`.
   */
  return(): Promise<IteratorResult<Incoming, undefined>>
  /** Ends the loop as `return()` does, and rejects with `error`. */
  throw(error?: unknown): Promise<IteratorResult<Incoming, undefined>>
  /**
   * @returns the loop itself the first time. Later an object with the same methods, so that the
   *   warning `CONSUMERS_SHARE` can be given if two consumers take packets from one loop.
   */
  [Symbol.asyncIterator](): Eventloop
  /** An immutable snapshot of the loop, counters included. Reading it is O(1). */
  readonly state: LoopState
  /**
   * The part of the state that outlives a connection. Reading it is O(1). It is final once the loop
   * has ended; before that it may be outdated a moment later.
   */
  readonly session: Session
  /**
   * Acknowledges a message. Messages may be acknowledged in any order; the acknowledgements are
   * sent in the order received.
   * @param reasonCode MQTT 5 only; 0x80 and above refuses the message.
   * @returns `'stale'` if the message came on an older connection or is acknowledged already. The
   *   server sends a message again that was not acknowledged.
   */
  ack(packet: IncomingPublish, reasonCode?: number): 'queued' | 'stale'
  /**
   * @returns how many messages at QoS 1 and 2 were received before this one on the same connection
   *   and are not acknowledged yet: the acknowledgement of this one is sent after theirs, whenever
   *   `ack` is called [MQTT-4.6.0-2]. 0 if none is before it, if its acknowledgement was sent, or
   *   if its connection is gone. The time that it takes grows with the number.
   * @throws UsageError for a packet that is not a PUBLISH.
   */
  waitingBefore(packet: IncomingPublish): number
  /**
   * Stops taking requests and reading, for `ms` or until `resume`. The connection is kept alive.
   */
  pause(ms?: number): void
  /** Ends a `pause`. */
  resume(): void
  /** Bounds how many requests are sent the first time per second; null lifts the bound. */
  throttle(perSecond: number | null): void
  /** Drops the connection and dials again, with another reconnect policy if one is given. */
  reconnect(policy?: ReconnectWhen | ReconnectOptions): void
  /**
   * Takes the requests that were given in this turn, as far as the window allows, and no more. Lets
   * what was taken settle, and the consumer acknowledge the messages that it has, for at most
   * `timeout` ms (default 10,000), and ends.
   */
  disconnect(timeout?: number): void
  /** Ends immediately; `session` holds what has no outcome. */
  shutdown(): void
  /**
   * @returns the recording of the option `recorder`, as text for `it-mqtt replay`, or null if
   *   nothing is recorded.
   */
  recording(): string | null
  /**
   * Watches the connection change, from now on until the loop has ended. There may be several of
   * these iterators, and none of them delays the loop. An iterator with 1,024 transitions that were
   * not taken ends with an error; another one may be opened.
   */
  transitions(): AsyncIterableIterator<Transition, undefined>
  /**
   * Begins enhanced authentication again; resolves when both sides accept. MQTT 5, with an
   * `authenticator`. (section 4.12.1)
   */
  reauthenticate(): Promise<void>
  /**
   * Sends a PINGREQ; resolves when the server answers, and rejects after keepAlive, or if there is
   * no connection.
   */
  ping(): Promise<{
    /** The time from the PINGREQ to its PINGRESP, in ms. */
    readonly roundTripMs: number
  }>
  /**
   * Reports a warning as the loop reports its own: to `onWarning`, or, without it, the first of
   * each code to the process. For code that is built on a loop; it works before the first `next()`
   * and after the end, too.
   * @throws UsageError for a warning without a code or a message.
   */
  warn(warning: Warning): void
}

/**
 * Makes a loop. It connects at the first `next()`.
 * @param options a URL, options, or what `connect()` resolved with.
 * @param requests pulled only as far as the window allows (D4). Default: an empty stream.
 * @param controls take effect immediately, whatever the backlog of requests. They do not keep the
 *   loop alive.
 * @param choices options that replace those of `connect()`, if `options` is what it resolved with.
 * @throws UsageError for what cannot be used, naming it.
 */
export function eventloop(
  options: string | URL | EventloopOptions | Connected,
  requests?: Requests,
  controls?: Iterable<Control> | AsyncIterable<Control>,
  choices?: LoopChoices,
): Eventloop {
  if (choices !== undefined && !(options instanceof Connected)) {
    const message = 'choices: they are for a value of connect(); give them among the options'
    throw new UsageError(message)
  }
  return driveLoop(options, requests, controls, null, choices)
}

/** `eventloop()` for code of this package that drives the loop and sees each outcome. */
export function driveLoop(
  options: string | URL | EventloopOptions | Connected,
  requests: Requests | undefined,
  controls: Iterable<Control> | AsyncIterable<Control> | undefined,
  driver: Driver | null,
  choices: LoopChoices | null = null,
): Eventloop {
  const resolved = options instanceof Connected ? null : resolveOptions(options)
  const goesOn = resolved === null ? (options as Connected).hasSession : hasSession(resolved)
  const source = requests === undefined ? null : Source.of(requests, goesOn)
  const steering = controls === undefined ? null : Source.of(controls, goesOn)
  return new EventloopObject(
    resolved === null
      ? (options as Connected).claim(source, steering, driver, choices)
      : new Loop(resolved, source, steering, driver),
  )
}

class EventloopObject implements Eventloop {
  readonly #loop: Loop
  /** Whether an iterator was asked for. */
  #iterated = false
  /** Null until a second iterator was asked for. */
  #consumers: Consumers | null

  constructor(loop: Loop, consumers: Consumers | null = null) {
    this.#loop = loop
    this.#consumers = consumers
  }

  next(): Promise<Result> {
    if (this.#consumers !== null) this.#consumers.asks(this)
    return this.#loop.next()
  }

  tryNext(): Incoming | undefined {
    if (this.#consumers !== null) this.#consumers.asks(this)
    return this.#loop.tryNext()
  }

  return(): Promise<Result> {
    return this.#loop.return()
  }

  async throw(error?: unknown): Promise<Result> {
    await this.#loop.return()
    throw error
  }

  [Symbol.asyncIterator](): Eventloop {
    if (this.#iterated) {
      this.#consumers ??= new Consumers(this.#loop, this)
      return new EventloopObject(this.#loop, this.#consumers)
    }
    this.#iterated = true
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loop.return()
  }

  get state(): LoopState {
    const loop = this.#loop
    const queuedBytes = loop.link?.outbox.pendingBytes ?? 0
    return viewOf(loop.snapshot(), loop.intake.pending, queuedBytes, endpointFor(loop))
  }

  /** Shows no request, no password and no payload, because this ends up in logs. */
  [INSPECT](): string {
    const { connection, clientId, counters } = this.state
    const { taken, settled, held } = counters
    const client = `${connection.kind}, ${connection.endpoint}, clientId "${clientId}"`
    return `Eventloop { ${client}, taken ${taken}, settled ${settled}, held ${held} }`
  }

  get session(): Session {
    return this.#loop.session(isFinished(this.#loop))
  }

  recording(): string | null {
    return this.#loop.recorder?.text() ?? null
  }

  transitions(): AsyncIterableIterator<Transition, undefined> {
    return watchersOf(this.#loop).watch()
  }

  ack(packet: IncomingPublish, reasonCode = 0): 'queued' | 'stale' {
    return acknowledge(this.#loop, packet, reasonCode)
  }

  waitingBefore(packet: IncomingPublish): number {
    return waitingBefore(this.#loop, packet)
  }

  pause(ms?: number): void {
    this.#control(ms === undefined ? { cmd: 'pause' } : { cmd: 'pause', ms })
  }

  resume(): void {
    this.#control({ cmd: 'resume' })
  }

  throttle(perSecond: number | null): void {
    this.#control({ cmd: 'throttle', perSecond })
  }

  reconnect(reconnect?: ReconnectWhen | ReconnectOptions): void {
    this.#control(reconnect === undefined ? { cmd: 'reconnect' } : { cmd: 'reconnect', reconnect })
  }

  disconnect(timeout = DRAIN_MS): void {
    this.#control({ cmd: 'disconnect', timeout })
  }

  shutdown(): void {
    this.#control({ cmd: 'shutdown' })
  }

  ping(): Promise<{ roundTripMs: number }> {
    return answerOf((settle) => {
      ping(this.#loop, (error, roundTripMs) => settle(error, { roundTripMs }))
    })
  }

  reauthenticate(): Promise<void> {
    return answerOf((settle) => reauthenticate(this.#loop, (error) => settle(error, undefined)))
  }

  warn(warning: Warning): void {
    warnFor(this.#loop, warning)
  }

  #control(control: Control): void {
    this.#loop.control(prepareControl(control), false)
  }
}

/**
 * @returns a promise that `ask` settles. If the caller ignores it, a rejection is not reported as
 *   unhandled.
 */
function answerOf<T>(ask: (settle: (error: unknown, value: T) => void) => void): Promise<T> {
  const answer = new Promise<T>((resolve, reject) => {
    ask((error, value) => (error === null ? resolve(value) : reject(error)))
  })
  answer.catch(() => {})
  return answer
}
