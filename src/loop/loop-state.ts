/**
 * `loop.state`: an immutable snapshot for the user, made from the state of the reducers when it is
 * read.
 */

import type { ProtocolVersion, QoS, RequestFacts } from '../protocol/facts.ts'
import { unansweredPings } from '../protocol/keepalive.ts'
import { isDown, isWaiting } from '../protocol/lifecycle.ts'
import { entries } from '../protocol/packet-table.ts'
import type { ConnectionKind, Limits, State } from '../protocol/state.ts'
import { subscriptionsOf } from '../protocol/subscriptions.ts'
import { waitingCount } from '../protocol/window.ts'
import type { ConnectionFailure } from '../requests/vocabulary.ts'
import { publicFailure } from './transitions.ts'

/** An immutable snapshot of a loop: `loop.state`. */
export interface LoopState {
  /** The connection as it is now. */
  readonly connection: {
    /** The state of docs/LIFECYCLE.md in which the connection is. */
    readonly kind: ConnectionKind
    /** The failure that led here, or null if nothing went wrong. */
    readonly reason: ConnectionFailure | null
    /**
     * The number of the current or latest attempt to connect: 0 before the first, and 1 more for
     * each, as long as the loop lives. An attempt whose transport could not be opened counts too.
     */
    readonly attempt: number
    /** When the next attempt is due, in ms on the loop's clock; null if none is. */
    readonly retryAt: number | null
    /**
     * Since when there is no connection, in ms on the loop's clock: the loss of the last one, or
     * the start. Failed attempts do not change it. Null if there is a connection, before the start,
     * and once the loop is ending.
     */
    readonly downSince: number | null
    /**
     * How many PINGREQs were sent since the server last sent anything, and none was answered; those
     * of the engine count, and at most 100. 0 if there is no connection, and while nothing is read,
     * because the consumer is slow or the loop is paused: then silence proves nothing.
     */
    readonly unansweredPings: number
    /** The server of the current or the last attempt, without password. */
    readonly endpoint: string
    /** The version of MQTT in use: 5, 4 (3.1.1) or 3 (3.1). */
    readonly protocolVersion: ProtocolVersion
    /** The limits of the server's CONNACK, or null if there is no connection. */
    readonly limits: Limits | null
    /** The agreed Keep Alive in seconds; 0 means none. */
    readonly keepAlive: number
  }
  /** The client identifier; the server may have assigned it. */
  readonly clientId: string
  /** Whether `pause` is in effect. */
  readonly paused: boolean
  /** Whether new publishes are diverted to `divert.to`. */
  readonly diverting: boolean
  /** Counts since the loop was made, and amounts of this moment. */
  readonly counters: {
    /** The number of requests taken from the stream; `taken = settled + held` at every instant. */
    readonly taken: number
    /** Requests that have an outcome. */
    readonly settled: number
    /** Requests taken that have no outcome yet. */
    readonly held: number
    /** Publishes at QoS > 0 that were sent on this connection and are not acknowledged for good. */
    readonly inFlight: number
    /** Application messages sent, repetitions not counted. */
    readonly sent: number
    /** Application messages received, repetitions at QoS 2 not counted. */
    readonly received: number
    /** Application messages that the server acknowledged. */
    readonly acknowledged: number
    /** Packets received that the consumer has not taken. */
    readonly bufferedPackets: number
    /** Bytes of these packets. */
    readonly bufferedBytes: number
    /** How often a connection was lost and another one tried, by the code of the failure. */
    readonly reconnections: { readonly [code: string]: number }
    /**
     * How often the server broke a rule of the standard and the connection went on, by the kind of
     * the deviation; docs/TOLERANCE.md lists them. (`tolerance`)
     */
    readonly deviations: { readonly [kind: string]: number }
    /** Publishes that were diverted and are not settled. */
    readonly diverted: number
    /**
     * Bytes of requests that are not sent yet, and of packets that the kernel has not taken from
     * the transport.
     */
    readonly queuedBytes: number
    /** The round trip of the last PINGREQ that was answered, in ms; null if none was. */
    readonly roundTripMs: number | null
  }
  /** The subscriptions that were requested, oldest first. */
  readonly subscriptions: readonly SubscriptionState[]
}

/** A topic filter that was subscribed to, and the answer of the server. */
export interface SubscriptionState {
  /** The topic filter. */
  readonly topic: string
  /** The QoS that was requested. */
  readonly qos: QoS
  /**
   * `requested`: there is no answer yet. `granted`: the server accepted it. `refused`: the server
   * did not; the latest hundred are kept until they are requested again. `renewing`: the server
   * lost the session, or may have forgotten this part of it, and the loop subscribes again.
   */
  readonly status: 'requested' | 'granted' | 'refused' | 'renewing'
  /** The QoS that the server granted last, or null if it granted none. */
  readonly granted: QoS | null
  /** The reason code of a refusal. */
  readonly reasonCode?: number
  /**
   * True if the loop has given up to renew it without an answer of the server: a limit of the
   * CONNACK excludes it, or connections were lost on it again and again.
   */
  readonly givenUp?: boolean
}

/**
 * @param gathered requests taken that the reducers have not been given yet.
 * @param pendingBytes bytes that the kernel has not taken.
 * @param endpoint the server, without its password.
 */
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
      attempt: state.reconnect.dials,
      retryAt: isWaiting(kind) && retryAt !== Number.POSITIVE_INFINITY ? retryAt : null,
      downSince: isDown(kind) ? (state.reconnect.outage?.downSince ?? null) : null,
      unansweredPings: kind === 'connected' ? unansweredPings(state) : 0,
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
      deviations: counters.deviations,
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

/** Whether the reducers have finished. After that only the session store may still be open. */
export function isFinished({ state }: { readonly state: State }): boolean {
  const { kind } = state.connection
  return kind === 'closed' || kind === 'failed'
}

function subscriptionStates({ session, outgoing }: State): readonly SubscriptionState[] {
  const states = new Map<string, SubscriptionState>()
  for (const { subscription, granted } of subscriptionsOf(session.subscriptions)) {
    const { topic, qos } = subscription
    states.set(topic, { topic, qos, status: 'granted', granted })
  }
  for (const { topic, qos, reasonCode, givenUp } of outgoing.refused) {
    const granted = states.get(topic)?.granted ?? null
    const own = givenUp ? { givenUp } : {}
    states.set(topic, { topic, qos, status: 'refused', granted, reasonCode, ...own })
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
