/**
 * How much may be sent now? The window, the throttle, and the caution after a suspicious close
 * decide.
 *
 * The window counts PUBLISH packets above QoS 0 that were sent on this connection and are not
 * acknowledged (D4, the window is never exceeded). While the loop is cautious, one request is sent
 * at a time (D6, one bad request never stalls the others).
 */
import type { Config } from './config.ts'
import type { Draft } from './draft.ts'
import type { RequestFacts } from './facts.ts'
import type { SessionState } from './session-state.ts'
import type { ConnectionState, FlowState, OutgoingState } from './state.ts'

/** The number of packet identifiers. (2.2.1) */
export const MESSAGE_IDS = 65_535

/**
 * How much of a throttled second may be sent in one burst, in ms (E3, controls lose and reorder
 * nothing).
 */
const BURST_MS = 100

interface WindowParts {
  readonly config: Config
  readonly session: SessionState
  readonly connection: ConnectionState
  readonly outgoing: OutgoingState
}

/** @returns how many publishes above QoS 0 may still be sent, without regard to caution. */
export function windowLeft({ connection, config, outgoing }: Omit<WindowParts, 'session'>): number {
  return Math.min(connection.limits.receiveMaximum, config.maxInflight) - outgoing.inFlight
}

/** @returns how many of the requests that the window or caution can hold back may be sent now. */
export function sendable(parts: WindowParts): number {
  if (!isCautious(parts)) return windowLeft(parts)
  const { outgoing, connection } = parts
  const busy = outgoing.inFlight + outgoing.subscribing
  return connection.pingAnswered && busy === 0 ? 1 : 0
}

/** @returns whether one request is sent at a time, because one of them may be poison. */
export function isCautious({ session }: Pick<WindowParts, 'session'>): boolean {
  return session.cautiousBelow > 0
}

export function isResending({ outgoing }: Pick<WindowParts, 'outgoing'>): boolean {
  return outgoing.resendAt < outgoing.resend.length
}

export function waitingCount(session: Pick<SessionState, 'waiting' | 'waitingAt'>): number {
  return session.waiting.length - session.waitingAt
}

/** @returns whether the request counts against the window. */
export function isWindowed(facts: RequestFacts): boolean {
  return facts.kind === 'publish' && facts.qos > 0
}

/** @returns when the throttle allows the next first transmission. */
export function transmissionDueAt(
  flow: Pick<FlowState, 'perSecond' | 'nextTransmissionAt'>,
): number {
  return flow.nextTransmissionAt - Math.max(0, BURST_MS - 1000 / flow.perSecond)
}

/** @returns whether the throttle allows a first transmission now. */
export function mayTransmit(flow: FlowState, at: number): boolean {
  return flow.perSecond === 0 || at >= transmissionDueAt(flow)
}

/**
 * @returns whether the first waiting request waits for the throttle, and not for something else.
 */
export function waitsForThrottle(parts: WindowParts): boolean {
  const { session, connection } = parts
  const head = session.waiting[session.waitingAt]
  if (head === undefined || connection.birthsPending || isCautious(parts)) return false
  return !isResending(parts) && (!isWindowed(head.facts) || windowLeft(parts) > 0)
}

/** Ends the caution once all requests that were in flight at the suspicious close are settled. */
export function endCaution(d: Draft): void {
  if (!isCautious(d) || isResending(d) || d.outgoing.inFlight + d.outgoing.subscribing > 0) return
  // Births are waiting in front of those requests and have a higher order.
  const { waiting, waitingAt, cautiousBelow } = d.session
  if (!waiting.some(({ order }, i) => i >= waitingAt && order < cautiousBelow)) {
    d.session.cautiousBelow = 0
  }
}
