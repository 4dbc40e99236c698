/**
 * How much may be sent now? The window, the throttle, and the caution after a suspicious close
 * decide.
 *
 * The window counts PUBLISH packets above QoS 0 that were sent on this connection and are not
 * acknowledged (D4, the window is never exceeded). A server of MQTT 3.1.1 cannot say how many it
 * takes, and some lose the messages at QoS 2 that are too many, so fewer are sent to it then.
 *
 * While the loop is cautious, one packet is sent at a time, on a connection that was proved by a
 * PINGREQ (D6, one bad request never stalls the others). The PINGRESP is awaited again after a
 * packet whose answer comes before its consequences (SUBSCRIBE), or that has none (QoS 0).
 */
import type { Config } from './config.ts'
import type { Draft } from './draft.ts'
import { NO_ITEMS, type PublishFacts, type RequestFacts, type SubscriptionFacts } from './facts.ts'
import type { IsolationState } from './progress-state.ts'
import type { SessionState } from './session-state.ts'
import type {
  ConnectionState,
  FlowState,
  IncomingState,
  KeepAliveState,
  OutgoingState,
} from './state.ts'

/** The number of packet identifiers. (2.2.1) */
export const MESSAGE_IDS = 65_535

/**
 * How much of a throttled second may be sent in one burst, in ms (E3, controls lose and reorder
 * nothing).
 */
const BURST_MS = 100

/**
 * A request with this number of strikes or more is suspected, and isolated. Further strikes are
 * losses that it alone can have caused.
 */
export const SUSPECT = 4

/**
 * How long the others wait for the answer to a packet that was sent alone, or to a part of a
 * SUBSCRIBE, in ms. A server that says nothing must not hold up everything else.
 */
export const UNANSWERED_MS = 10_000
/** If several are not answered, the others wait less for each of them, but never less than this. */
const UNANSWERED_MIN_MS = 1000

/** The same for the PINGREQ that proves the connection, in ms; less if keep-alive needs it. */
const PROOF_MS = 60_000

/**
 * How long after the CONNACK of a cautious connection the messages that come are acknowledged
 * before anything is sent, in ms. What the server sends again comes in that time.
 */
export const DELIVERIES_MS = 1000

interface WindowParts {
  readonly config: Config
  readonly session: SessionState
  readonly connection: ConnectionState
  readonly outgoing: OutgoingState
  readonly isolation: IsolationState | null
  readonly keepAlive: Pick<KeepAliveState, 'intervalMs'>
  readonly incoming: Pick<IncomingState, 'unacknowledged'>
}

type LimitParts = Pick<WindowParts, 'connection' | 'config' | 'outgoing'>

/** @returns how many publishes above QoS 0 may still be sent, without regard to caution. */
export function windowLeft({ connection, config, outgoing }: LimitParts): number {
  const window = Math.min(connection.limits.receiveMaximum, config.maxInflight)
  const isUnannounced = connection.protocolVersion !== 5 && outgoing.inFlightQos2 > 0
  return (isUnannounced ? Math.min(window, config.maxInflightQos2) : window) - outgoing.inFlight
}

type Flight = { -readonly [K in 'inFlight' | 'inFlightQos2']: OutgoingState[K] }

/** Counts a publish above QoS 0 that is sent. */
export function entersFlight(outgoing: Flight, { qos }: PublishFacts): void {
  outgoing.inFlight++
  if (qos === 2) outgoing.inFlightQos2++
}

/** Counts a publish above QoS 0 that was acknowledged. */
export function leavesFlight(outgoing: Flight, facts: RequestFacts): void {
  outgoing.inFlight--
  if (facts.kind === 'publish' && facts.qos === 2) outgoing.inFlightQos2--
}

/** @returns how many of the requests that the window or caution can hold back may be sent now. */
export function sendable(parts: WindowParts): number {
  if (!isCautious(parts)) return windowLeft(parts)
  const ready = parts.connection.pingAnswered && !isBusy(parts) && !awaitsDeliveries(parts)
  return ready ? 1 : 0
}

/** @returns whether messages from the server are to be acknowledged before anything is sent. */
function awaitsDeliveries({ isolation, incoming }: Pick<WindowParts, 'isolation' | 'incoming'>) {
  return isolation !== null && isolation.deliveriesBy > 0 && incoming.unacknowledged > 0
}

/** @returns whether anything that was sent on this connection is awaited still. */
function isBusy({ outgoing, isolation }: Pick<WindowParts, 'outgoing' | 'isolation'>): boolean {
  const excused = isolation === null ? 0 : isolation.excused.length
  return outgoing.inFlight + outgoing.subscribing + outgoing.releasing > excused
}

/** Notes that a request was answered, which may have been waited for no longer. */
export function noteAnswered({ isolation }: Draft, messageId: number): void {
  if (isolation === null || !isolation.excused.includes(messageId)) return
  isolation.excused = isolation.excused.filter((id) => id !== messageId)
}

/** @returns whether one request is sent at a time, because one of them is suspected. */
export function isCautious({ session }: Pick<WindowParts, 'session'>): boolean {
  return session.cautious
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
  if (head?.facts.kind !== 'publish') return false
  if (connection.birthsPending || isCautious(parts)) return false
  if (isRenewing(parts) || isResending(parts)) return false
  return !isWindowed(head.facts) || windowLeft(parts) > 0
}

/** @returns whether a renewal is still to be sent, which goes before everything else. */
export function isRenewing({ outgoing }: Pick<WindowParts, 'outgoing'>): boolean {
  return outgoing.renewals !== null
}

/** With caution: requires another PINGRESP before the next packet, after these were granted. */
export function proveAgain(d: Draft, granted: readonly SubscriptionFacts[]): void {
  const { isolation, connection } = d
  if (!isCautious(d) || isolation === null || d.progress.unprovable) return
  connection.pingAnswered = false
  isolation.pingsAhead = connection.pings.length
  isolation.unproven = granted
}

/** @returns when the PINGREQ is due that proves the connection, or Infinity if none is. */
export function proofDueAt({ session, connection, isolation }: WindowParts): number {
  if (isolation === null || !session.cautious || connection.pingAnswered) return Infinity
  return connection.pings.length > isolation.pingsAhead ? Infinity : isolation.sentAt
}

/**
 * With caution: requires another PINGRESP after messages were acknowledged, because the server may
 * close on the acknowledgement.
 */
export function deliveriesAcknowledged(d: Draft): void {
  const { isolation } = d
  if (isolation === null || isolation.deliveriesBy === 0 || isBusy(d)) return
  proveAgain(d, isolation.unproven)
}

/** @returns when messages from the server are no longer waited for, or Infinity. */
export function deliveriesEndAt({ session, isolation }: WindowParts): number {
  if (isolation === null || !session.cautious || isolation.deliveriesBy === 0) return Infinity
  return isolation.deliveriesBy
}

/** @returns when an answer is waited for no longer, or Infinity. */
export function isolationEndsAt(parts: WindowParts): number {
  const { session, connection, isolation, keepAlive } = parts
  if (isolation === null || !session.cautious) return Infinity
  if (connection.pingAnswered) {
    const each = UNANSWERED_MS / (1 + isolation.excused.length)
    return isolation.sentAt + Math.max(UNANSWERED_MIN_MS, each)
  }
  // A connection is dead half of Keep Alive after a PINGREQ.
  return isolation.sentAt + Math.min(PROOF_MS, keepAlive.intervalMs / 4 || PROOF_MS)
}

/** Ends the caution once everything that was suspected is settled. */
export function endCaution(d: Draft): void {
  if (!isCautious(d) || isRenewing(d) || isResending(d) || isBusy(d)) return
  // Without a connection, what is to be sent again is not known yet.
  if (d.connection.kind !== 'connected') return
  if (d.outgoing.splits.some(({ late }) => !late)) return
  if (d.isolation !== null && d.isolation.unproven.length > 0) return
  const { waiting, waitingAt } = d.session
  if (!waiting.some(({ strikes }, i) => i >= waitingAt && strikes > 0)) giveUpCaution(d)
}

/** Ends the caution, and asks for the births that waited for its end. */
export function giveUpCaution(d: Draft): void {
  const { session, connection, isolation } = d
  session.cautious = false
  if (isolation === null) return
  isolation.unproven = NO_ITEMS
  const { connack } = connection
  if (!isolation.birthsDeferred || connack === null) return
  if (connection.kind !== 'connected') return
  isolation.birthsDeferred = false
  connection.birthsPending = true
  d.effects.push({ type: 'births', packet: connack })
}
