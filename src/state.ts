/**
 * What `loop.state` shows: an immutable snapshot, made from the state of the reducers when it is asked for.
 */
import type {
  ConnectionKind,
  Failure,
  HeldSubscription,
  Limits,
  ProtocolVersion,
  QoS,
  State,
} from './protocol/contract.ts'
import { waitingCount } from './protocol/outgoing.ts'
import { subscriptionsOf } from './protocol/subscriptions.ts'

export interface LoopState {
  readonly connection: {
    readonly kind: ConnectionKind
    /** What led here; null: nothing went wrong. */
    readonly reason: Failure | null
    /** In `disconnected`: when the next attempt is due, in ms on the loop's clock. */
    readonly retryAt: number | null
    readonly protocolVersion: ProtocolVersion
    /** What the server agreed to in its CONNACK; null: there is no connection. */
    readonly limits: Limits | null
    /** Seconds, as agreed; 0: none. */
    readonly keepAlive: number
  }
  readonly clientId: string
  readonly paused: boolean
  readonly counters: {
    /** Requests taken from the stream; at any instant settled + held. */
    readonly taken: number
    readonly settled: number
    /** Taken, without an outcome. */
    readonly held: number
    /** Publishes at QoS > 0 in the window of this connection. */
    readonly inFlight: number
    /** Application messages sent the first time, received, and acknowledged to us. */
    readonly sent: number
    readonly received: number
    readonly acknowledged: number
    /** Received and not yet pulled. */
    readonly bufferedPackets: number
    readonly bufferedBytes: number
    /** Connections lost and tried again, by the code of the failure. */
    readonly reconnections: { readonly [code: string]: number }
  }
  /** What is subscribed, oldest first. Made when it is read. */
  readonly subscriptions: readonly {
    readonly topic: string
    readonly qos: QoS
    readonly granted: QoS
  }[]
}

/** `gathered`: requests taken that the reducers have not heard of yet. */
export function viewOf(state: State, gathered: number): LoopState {
  const { connection, session, outgoing, flow, counters, keepAlive } = state
  const { kind, reason, retryAt, protocolVersion } = connection
  const held = session.owed + waitingCount(session) + outgoing.unconfirmed + gathered
  let subscriptions: readonly HeldSubscription[] | undefined
  return Object.freeze({
    connection: Object.freeze({
      kind,
      reason,
      retryAt: kind === 'disconnected' && retryAt !== Number.POSITIVE_INFINITY ? retryAt : null,
      protocolVersion,
      limits: kind === 'connected' ? connection.limits : null,
      keepAlive: keepAlive.intervalMs / 1000,
    }),
    clientId: session.clientId,
    paused: flow.paused,
    counters: Object.freeze({
      taken: counters.taken + gathered,
      settled: counters.settled,
      held,
      inFlight: outgoing.inFlight,
      sent: counters.sent,
      received: counters.received,
      acknowledged: counters.acknowledged,
      bufferedPackets: flow.bufferedPackets,
      bufferedBytes: flow.bufferedBytes,
      reconnections: counters.reconnections,
    }),
    get subscriptions() {
      subscriptions ??= subscriptionsOf(session.subscriptions)
      return subscriptions.map(({ subscription, granted }) => ({
        topic: subscription.topic,
        qos: subscription.qos,
        granted,
      }))
    },
  })
}
