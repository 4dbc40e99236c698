/**
 * `run()`: sends a bounded number of requests, waits until each is settled, and disconnects.
 */

import { describe, UsageError } from '../errors.ts'
import type { EventloopOptions } from '../options/options.ts'
import { ignoreAbort, listenForAbort } from '../platform/abort-listeners.ts'
import { machine } from '../platform/machine.ts'
import type { Session } from '../requests/session.ts'
import type { Requests } from '../requests/source.ts'
import type { Incoming, Request } from '../requests/vocabulary.ts'
import type { Connected } from './connect.ts'
import { driveLoop } from './eventloop.ts'

/** Options of `run`. */
export interface RunOptions {
  /**
   * After this many milliseconds, more than 0, the run stops and returns the unsettled requests.
   * Default: no limit.
   */
  readonly timeout?: number
  /** If this signal is aborted, the run ends and rejects with the reason of the signal. */
  readonly signal?: AbortSignal
  /**
   * The loop calls this function with each packet. A message at QoS > 0 is acknowledged when the
   * function has returned and the promise that it may return has resolved. Without this function no
   * message is acknowledged.
   */
  readonly onPacket?: (packet: Incoming) => unknown
}

/** The result of `run`. */
export interface RunResult {
  /**
   * The number of requests that have an outcome, the failed ones included: `taken` is this number
   * plus the length of `unsettled`.
   */
  readonly settled: number
  /** The requests that failed, in the order of their outcomes, each with its error. */
  readonly failed: readonly {
    /** The request, as it was given. */
    readonly request: Request
    /** The reason of the failure. */
    readonly error: unknown
  }[]
  /**
   * How many acknowledgements with each reason code were received, such as `{ 0: 8, 16: 2 }`. A
   * PUBACK or PUBREC has one code, in MQTT 3 always 0; a SUBACK or UNSUBACK has one for each
   * filter.
   */
  readonly reasonCodes: Readonly<Record<number, number>>
  /** How many publishes were delivered to nobody, as far as the server says so (0x10, MQTT 5). */
  readonly unmatched: number
  /** The requests that were taken and have no outcome; `session` holds them. */
  readonly unsettled: readonly Request[]
  /** How many requests were taken from the stream. */
  readonly taken: number
  /** The session at the end, for a later loop. */
  readonly session: Session
}

/** The reason code of a PUBACK or PUBREC for a message that nobody has subscribed to. */
const NO_MATCHING_SUBSCRIBERS = 0x10

/** @returns the reason codes of a packet that says whether a request is accepted. */
function codesOf(packet: Incoming): readonly number[] {
  switch (packet.cmd) {
    case 'puback':
    case 'pubrec':
      return [packet.reasonCode ?? 0]
    case 'suback':
    case 'unsuback':
      return packet.granted
    default:
      return []
  }
}

/**
 * Drives a loop until every request is settled, and disconnects.
 * @returns how many requests were taken and settled, which of them failed, and the session.
 * @throws UsageError for an argument that cannot be used; any error that ends the loop, with a
 *   `RunResult` as its `result`.
 */
export async function run(
  options: string | URL | EventloopOptions | Connected,
  requests: Requests,
  { timeout, signal, onPacket }: RunOptions = {},
): Promise<RunResult> {
  validate(timeout, signal, onPacket)
  signal?.throwIfAborted()
  let settled = 0
  const reasonCodes: Record<number, number> = {}
  const failed: { request: Request; error: unknown }[] = []
  const loop = driveLoop(options, requests, undefined, {
    until: 'settled',
    acks: onPacket === undefined ? 'none' : 'pull',
    settled: (request, outcome) => {
      settled++
      if (!outcome.ok) failed.push({ request, error: outcome.error })
    },
  })
  const result = (): RunResult => {
    const { session, state } = loop
    const unmatched = reasonCodes[NO_MATCHING_SUBSCRIBERS] ?? 0
    const { taken } = state.counters
    return { settled, failed, reasonCodes, unmatched, unsettled: session.held, taken, session }
  }
  // After the time-out the run no longer waits for the user's `onPacket`.
  let stop = () => {}
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
  })
  const expire = () => {
    loop.shutdown()
    stop()
  }
  const abort = () => {
    void loop.return()
    stop()
  }
  const timer = timeout === undefined ? null : machine.setTimer(expire, timeout)
  if (signal !== undefined) listenForAbort(signal, abort)
  try {
    for await (const packet of loop) {
      for (const code of codesOf(packet)) reasonCodes[code] = (reasonCodes[code] ?? 0) + 1
      if (onPacket !== undefined) await Promise.race([onPacket(packet), stopped])
    }
    signal?.throwIfAborted()
    return result()
  } catch (error) {
    if (!signal?.aborted && error instanceof Error && Object.isExtensible(error)) {
      // It is not enumerable: whoever prints the error would print every request and its payload.
      const value = result()
      Object.defineProperty(error, 'result', { value, configurable: true, writable: true })
    }
    throw error
  } finally {
    if (timer !== null) machine.clearTimer(timer)
    if (signal !== undefined) ignoreAbort(signal, abort)
  }
}

function validate(timeout: unknown, signal: unknown, onPacket: unknown): void {
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout > 0)) {
    throw new UsageError(
      `timeout: a number of ms above 0 is expected, ${describe(timeout)} was given`,
    )
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new UsageError(`signal: an AbortSignal is expected, ${describe(signal)} was given`)
  }
  if (onPacket !== undefined && typeof onPacket !== 'function') {
    throw new UsageError(`onPacket: a function is expected, ${describe(onPacket)} was given`)
  }
}
