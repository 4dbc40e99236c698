/**
 * What `loop.state` shows: an immutable snapshot, made from the state of the reducers when it is asked for.
 */
import type { ConnectionFailure } from '../options/options.ts'
import type {
  ConnectionKind,
  Limits,
  ProtocolVersion,
  QoS,
  RequestFacts,
  State,
} from '../protocol/contract.ts'
import { isWaiting } from '../protocol/lifecycle.ts'
import { waitingCount } from '../protocol/outgoing.ts'
import { entries } from '../protocol/packet-table.ts'
import { subscriptionsOf } from '../protocol/subscriptions.ts'
import { publicFailure } from './transitions.ts'

export interface LoopState {
  readonly connection: {
    readonly kind: ConnectionKind
    /** What led here; null: nothing went wrong. */
    readonly reason: ConnectionFailure | null
    /** In `disconnected` and `suspended`: when the next attempt is due, in ms on the loop's clock. */
    readonly retryAt: number | null
    /** Where it goes or went last, without password. */
    readonly endpoint: string
    readonly protocolVersion: ProtocolVersion
    /** What the server agreed to in its CONNACK; null: there is no connection. */
    readonly limits: Limits | null
    /** Seconds, as agreed; 0: none. */
    readonly keepAlive: number
  }
  readonly clientId: string
  readonly paused: boolean
  /** New publishes go to `divert.to`. */
  readonly diverting: boolean
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
    /** Publishes on the other way (`divert`) and not settled. */
    readonly diverted: number
    /** Bytes that the kernel has not taken: of packets handed to the transport, and of requests that wait for their turn. */
    readonly queuedBytes: number
    /** Of the last PINGREQ that was answered; null: none was. */
    readonly roundTripMs: number | null
  }
  /** What was asked for, oldest first. Made when it is read. */
  readonly subscriptions: readonly SubscriptionState[]
}

export interface SubscriptionState {
  readonly topic: string
  /** As asked. */
  readonly qos: QoS
  /**
   * `requested`: without an answer; `granted`; `refused`, the latest hundred of them, until asked again; `renewing`: the server
   * lost the session and is asked again.
   */
  readonly status: 'requested' | 'granted' | 'refused' | 'renewing'
  /** What the server granted, or had granted before it was asked again; null: nothing. */
  readonly granted: QoS | null
  /** Of a refusal. */
  readonly reasonCode?: number
}

/** `gathered`: requests taken that the reducers have not heard of yet. */
export function viewOf(
  state: State,
  gathered: number,
  pendingBytes: number,
  endpoint: string,
): LoopState {
  const { connection, session, outgoing, flow, counters, keepAlive } = state
  const { kind, reason, retryAt, protocolVersion } = connection
  let subscriptions: readonly SubscriptionState[] | undefined
  return Object.freeze({
    connection: Object.freeze({
      kind,
      reason: reason === null ? null : publicFailure(reason),
      retryAt: isWaiting(kind) && retryAt !== Number.POSITIVE_INFINITY ? retryAt : null,
      endpoint,
      protocolVersion,
      limits: kind === 'connected' ? connection.limits : null,
      keepAlive: keepAlive.intervalMs / 1000,
    }),
    clientId: session.clientId,
    paused: flow.paused,
    diverting: flow.diverting,
    counters: Object.freeze({
      taken: counters.taken + gathered,
      settled: counters.settled,
      held: heldCount(state, gathered),
      inFlight: outgoing.inFlight,
      sent: counters.sent,
      received: counters.received,
      acknowledged: counters.acknowledged,
      bufferedPackets: flow.bufferedPackets,
      bufferedBytes: flow.bufferedBytes,
      reconnections: counters.reconnections,
      diverted: flow.diverted,
      get queuedBytes() {
        const { waiting, waitingAt } = session
        return waiting.slice(waitingAt).reduce((sum, { facts }) => sum + facts.bytes, pendingBytes)
      },
      roundTripMs: counters.roundTripMs < 0 ? null : counters.roundTripMs,
    }),
    get subscriptions() {
      subscriptions ??= subscriptionStates(state)
      return subscriptions
    },
  })
}

/**
 * @param gathered requests taken that the reducers have not been given yet.
 * @returns how many requests are held.
 */
export function heldCount({ session, outgoing, flow }: State, gathered: number): number {
  return session.owed + waitingCount(session) + outgoing.unconfirmed + flow.diverted + gathered
}

function subscriptionStates({ session, outgoing }: State): readonly SubscriptionState[] {
  const states = new Map<string, SubscriptionState>()
  for (const { subscription, granted } of subscriptionsOf(session.subscriptions)) {
    const { topic, qos } = subscription
    states.set(topic, { topic, qos, status: 'granted', granted })
  }
  for (const { topic, qos, reasonCode } of outgoing.refused) {
    const granted = states.get(topic)?.granted ?? null
    states.set(topic, { topic, qos, status: 'refused', granted, reasonCode })
  }
  const ask = (facts: RequestFacts, status: 'requested' | 'renewing') => {
    if (facts.kind !== 'subscribe') return
    for (const { topic, qos } of facts.subscriptions) {
      const granted = states.get(topic)?.granted ?? null
      states.set(topic, { topic, qos, status, granted })
    }
  }
  for (const [, { facts, stage, settled }] of entries(session.open)) {
    if (stage === 'renewal') ask(facts, 'renewing')
    else if (!settled) ask(facts, 'requested')
  }
  for (const { facts } of session.waiting.slice(session.waitingAt)) ask(facts, 'requested')
  return [...states.values()]
}
