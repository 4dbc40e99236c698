/**
 * What do the reducers keep between two steps?
 *
 * The state is plain data in groups; each group says how long it lives. A state is never changed
 * after a step returned it, so keeping one is taking a snapshot.
 */
import type { Config, ReconnectPolicy } from './config.ts'
import type { DeviationKind } from './deviations.ts'
import type { Failure, ProtocolVersion, QoS, ReceivedConnack } from './facts.ts'
import type { PacketTable } from './packet-table.ts'
import type { IsolationState, ProgressState } from './progress-state.ts'
import type { SessionState } from './session-state.ts'
import type { RenewalQueue, SilenceWatch, SplitSubscribe } from './subscribing-state.ts'

export interface State {
  readonly config: Config
  readonly session: SessionState
  readonly connection: ConnectionState
  readonly keepAlive: KeepAliveState
  readonly reconnect: ReconnectState
  readonly outgoing: OutgoingState
  readonly incoming: IncomingState
  readonly progress: ProgressState
  /** Null while nothing is sent one at a time. */
  readonly isolation: IsolationState | null
  readonly flow: FlowState
  readonly counters: Counters
}

// -------------------------------------------------------------------------------------- connection

/**
 * The state of a connection. docs/LIFECYCLE.md describes each, and what leads from one to the next.
 */
export type ConnectionKind =
  | 'idle'
  | 'connecting'
  | 'connected'
  | 'disconnected'
  | 'suspended'
  | 'closing'
  | 'closed'
  | 'failed'

/**
 * Lives from one attempt to the next, except for `epoch`, `drainBy`, `drainThrough` and `endsWith`,
 * which live with the loop.
 */
export interface ConnectionState {
  readonly kind: ConnectionKind
  /** Why the connection is in this state, or null if nothing failed. */
  readonly reason: Failure | null
  /** The number of CONNACKs that accepted this client, which names the connection. */
  readonly epoch: number
  /** Whether a transport is open or being opened. It stays true until the loop reports its end. */
  readonly engaged: boolean
  /** Whether the transport is open. */
  readonly opened: boolean
  readonly protocolVersion: ProtocolVersion
  /** Whether any byte was received on this transport. */
  readonly heard: boolean
  /** The instant by which this attempt must have received its CONNACK. */
  readonly connectBy: number
  /** The instant of the CONNACK, or -1 before it. */
  readonly connackAt: number
  /** In `disconnected` and `suspended`: the instant of the next attempt. */
  readonly retryAt: number
  /** The instant at which a closing transport is destroyed; Infinity if none is closing. */
  readonly closeBy: number
  /**
   * What happens once the end of the closing transport is reported, or null if no transport is
   * closing.
   */
  readonly afterClose: AfterClose | null
  /**
   * Nothing more is taken, and requests in flight may settle until this instant; Infinity if not
   * draining.
   */
  readonly drainBy: number
  /**
   * While draining: the sequence of the last message that the consumer had when that began, and so
   * owes the acknowledgement of.
   */
  readonly drainThrough: number
  readonly connack: ReceivedConnack | null
  readonly limits: Limits
  /** Whether the requests of `onConnected` are awaited. */
  readonly birthsPending: boolean
  /** The PINGREQs without a PINGRESP, oldest first. */
  readonly pings: readonly SentPing[]
  /**
   * Whether a PINGREQ was answered on this connection; with caution, since the last packet that may
   * have harmed it.
   */
  readonly pingAnswered: boolean
  /** The kinds of deviations of which the user was warned on this connection. */
  readonly deviations: readonly DeviationKind[]
  /** The enhanced authentication under way, or null. (4.12) */
  readonly exchange: AuthenticationExchange | null
  /** The failure with which the loop ends once the transport has closed. */
  readonly endsWith: Failure | null
}

/**
 * `retry`: wait as the policy says. `retryImmediately`: the same, but a network hint ends the wait.
 * `redial`: dial without consulting the policy. `fail`: end the loop with the reason. `end`: end
 * the loop as the user asked.
 */
export type AfterClose = 'retry' | 'retryImmediately' | 'redial' | 'fail' | 'end'

interface SentPing {
  /**
   * The number that the loop gave to the user's `ping`, or 0 for a PINGREQ of the engine itself.
   */
  readonly id: number
  readonly sentAt: number
}

/** `verifying` means that the server sent its last packet and the authenticator checks it. */
export interface AuthenticationExchange {
  readonly by: 'connect' | 'client' | 'server'
  readonly turn: 'ours' | 'theirs' | 'verifying'
  /** Whether the server knows about the exchange. */
  readonly begun: boolean
  /** The instant by which it must end; Infinity if the time limit of the CONNACK applies. */
  readonly until: number
}

/**
 * The limits of the server, from its CONNACK. A limit that it does not name has the default of the
 * standard.
 */
export interface Limits {
  /**
   * The number of publishes at QoS > 0 that the server accepts without acknowledgement, 1 to
   * 65,535.
   */
  readonly receiveMaximum: number
  /** The largest packet that the server accepts, in bytes. */
  readonly maximumPacketSize: number
  /** The highest QoS at which the server accepts a publish. */
  readonly maximumQoS: QoS
  /** Whether the server accepts retained messages. */
  readonly retainAvailable: boolean
  /** Whether the server accepts topic filters with wildcards. */
  readonly wildcardSubscriptionAvailable: boolean
  /** Whether the server accepts subscription identifiers. */
  readonly subscriptionIdentifiersAvailable: boolean
  /** Whether the server accepts shared subscriptions. */
  readonly sharedSubscriptionAvailable: boolean
  /** How long the server keeps the session after the connection, in seconds. */
  readonly sessionExpiryInterval: number
  /** The number of topic aliases that this client may use. */
  readonly topicAliasMaximum: number
}

/** Lives with the connection. */
export interface KeepAliveState {
  /** The interval in ms, or 0 if keep-alive is off. */
  readonly intervalMs: number
  readonly sentAt: number
  readonly receivedAt: number
  /** Whether a PINGREQ was handed to the transport and no byte was received since. */
  readonly pinging: boolean
  readonly pingedAt: number
  /** The instant at which the kernel took that PINGREQ, or -1 before that. */
  readonly pingTakenAt: number
  readonly readingPaused: boolean
  /** Since when the pending write has made no progress. */
  readonly standsSince: number
  /** The last instant at which a backed-up write made progress. */
  readonly movedAt: number
  /** Whether bytes were handed to the transport that the kernel has not taken. */
  readonly writing: boolean
}

// ------------------------------------------------------------------------- between two connections

/** Lives with the loop. */
export interface ReconnectState {
  readonly policy: ReconnectPolicy
  /** The number of failed attempts since the last stable connection; -1 if that has just ended. */
  readonly attempt: number
  /** The number of attempts since the loop was made, which is the number of the latest. */
  readonly dials: number
  readonly everConnected: boolean
  /** The version of the next CONNECT. */
  readonly version: ProtocolVersion
  /** Whether `version` may still become 4. */
  readonly versionMayFall: boolean
  /** How often in a row the server closed within seconds of its CONNACK. */
  readonly quickCloses: number
  /** The index of the server that is dialled, or was dialled last. */
  readonly host: number
  /** The number of redirects in a row without a stable connection and without a wait. */
  readonly redirects: number
  /**
   * Where the server moved permanently (0x9D), which is where each round begins; null if it did
   * not.
   */
  readonly moved: string | null
  /** The most filters that a SUBSCRIBE may carry, after connections were lost with one open. */
  readonly filtersMax: number
  /**
   * The index of the server that was seen to keep a session, NOBODY, or NEVER if a server said that
   * it keeps one that it cannot have.
   */
  readonly keptBy: number
  /** The current outage, or null while there is a connection and before the first attempt. */
  readonly outage: Outage | null
}

/** Lives from the loss of a connection (or from the start) to the next good CONNACK. */
export interface Outage {
  readonly downSince: number
  /** Requests of this order and above were taken in this outage, and never sent. */
  readonly firstOrder: number
  /** Whether it has lasted so long that requests are taken ahead. */
  readonly lasts: boolean
  /** The instant by which the server must have ended the session; Infinity if it need not. */
  readonly expiresAt: number
  /** The number of attempts so far. */
  readonly dials: number
  /** The servers of the list that were not tried in this round. */
  readonly hostsLeft: readonly number[]
  /** The server that is dialled in the place of `host`, or null. */
  readonly redirect: Redirect | null
  /** Whether refused credentials were renewed already. */
  readonly renewing: boolean
  /** The connectivity check under way, or null. */
  readonly checking: Checking | null
  /** Whether the CONNECT of this attempt asked for a new session. */
  readonly asksCleanStart: boolean
  /**
   * The client identifier of this attempt. It becomes the session's once the server has accepted
   * it.
   */
  readonly clientId: string
  /** Whether the session of this client belongs to another client identifier. */
  readonly foreign: boolean
  /** The Keep Alive of this attempt in seconds. */
  readonly keepAlive: number
}

export interface Redirect {
  /** The Server Reference as received. (3.2.2.3.16) */
  readonly reference: string
  /** Whether the server moved permanently (0x9D). */
  readonly permanent: boolean
}

/** A connectivity check before another server is tried, and what its answer is needed for. */
interface Checking {
  readonly host: number
  readonly failure: Failure
  readonly allowed: boolean
  readonly random: number
  /** Without an answer by this instant the client counts as offline. */
  readonly by: number
}

// -------------------------------------------------------------------------------- out, in and flow

/**
 * Lives with the connection, except for `refused` and `confirmed`, which live with the loop.
 */
export interface OutgoingState {
  /** The number of publishes in flight (D4, the window is never exceeded). */
  readonly inFlight: number
  /** How many of them are at QoS 2. */
  readonly inFlightQos2: number
  /** The packet identifiers to be sent again on this connection. Those before `resendAt` were. */
  readonly resend: readonly number[]
  readonly resendAt: number
  /** The number of SUBSCRIBE and UNSUBSCRIBE packets sent on this connection and not answered. */
  readonly subscribing: number
  /** The number of PUBRELs that were sent again on this connection and not answered. */
  readonly releasing: number
  /** The renewals, or null if all were sent. What is left is for the next CONNACK. */
  readonly renewals: RenewalQueue | null
  /** The SUBSCRIBEs of the user that are being sent in parts: one, and those that are late. */
  readonly splits: readonly SplitSubscribe[]
  /** The watch over a resumed session, or null if it is not doubted. */
  readonly silence: SilenceWatch | null
  /** The number of QoS 0 publishes that the kernel has not taken. */
  readonly unconfirmed: number
  /** The number of QoS 0 publishes that are settled, since the loop began. */
  readonly confirmed: number
  /** The handle of the group whose messages the loop was asked for, or 0. */
  readonly apart: number
  /**
   * No request exceeds `ackTimeout` before this instant, on the clock that stands still during
   * pauses.
   */
  readonly ackCheckAt: number
  /** The latest subscriptions that were refused by the server or by the limits of its CONNACK. */
  readonly refused: readonly RefusedSubscription[]
}

interface RefusedSubscription {
  readonly topic: string
  readonly qos: QoS
  readonly reasonCode: number
  /** Whether its renewal was given up without an answer of the server. */
  readonly givenUp: boolean
}

/**
 * Lives with the connection, except for the sequence numbers and `adoptedInFlight`, which live with
 * the loop.
 */
export interface IncomingState {
  /** The unacknowledged QoS 1 and 2 messages, by the low 16 bits of their sequence. */
  readonly pending: PacketTable<PendingAck>
  /** The lowest sequence that is not acknowledged. */
  readonly pendingFrom: number
  readonly nextSequence: number
  /** The first sequence of this connection. An acknowledgement of a lower one is stale. */
  readonly epochFrom: number
  readonly yieldedThrough: number
  /** The number of unhandled QoS 2 messages from earlier connections. */
  readonly unhandledEarlier: number
  /** The sequence about whose missing acknowledgement the user was warned. */
  readonly warnedFrom: number
  /** The topic of the message that was acknowledged last on this connection; '' if none was. */
  readonly acknowledgedTopic: string
  readonly acknowledgedId: number
  /** The number of messages that count against Receive Maximum. */
  readonly unacknowledged: number
  /**
   * The number of messages that the server sent again on this connection after it resumed the
   * session.
   */
  readonly repeats: number
  /** Whether the user was warned that an adopted session had messages in flight. */
  readonly adoptedInFlight: boolean
  /** The topics by alias. */
  readonly aliases: readonly (string | undefined)[]
}

export interface PendingAck {
  readonly messageId: number
  readonly topic: string
  readonly qos: 1 | 2
  readonly acknowledged: boolean
  readonly reasonCode: number
  readonly at: number
}

/** Lives with the loop. */
export interface FlowState {
  readonly bufferedPackets: number
  readonly bufferedBytes: number
  readonly paused: boolean
  /** The instant at which a pause ends by itself. */
  readonly pausedUntil: number
  /** The throttle in first transmissions per second; 0 means no limit. */
  readonly perSecond: number
  /** The instant of the next first transmission. */
  readonly nextTransmissionAt: number
  /** Whether the transport holds as many unsent bytes as it may. */
  readonly congested: boolean
  readonly requestsEnded: boolean
  /** Since when reading has waited for the consumer, or -1 if it does not. */
  readonly consumerAwaitedSince: number
  /** Whether the user was warned about that. */
  readonly warned: boolean
  /** Whether more packets are read than `maxBufferedPackets`, because an answer is awaited. */
  readonly reserve: boolean
  /** When the consumer last took a packet. */
  readonly pulledAt: number
  /** Whether the loop was asked whose answers cannot be read, since the consumer last did so. */
  readonly unreadAsked: boolean
  /** The time spent in pauses, which `ackTimeout` does not count. */
  readonly pausedMs: number
  readonly pausedSince: number
  /** Whether new publishes are diverted (T9, publishes are diverted during an outage). */
  readonly diverting: boolean
  /** The number of diverted publishes without an outcome. */
  readonly diverted: number
}

/** Lives with the loop. */
export interface Counters {
  readonly taken: number
  readonly settled: number
  /** The number of application messages sent. */
  readonly sent: number
  /** The number of application messages received. */
  readonly received: number
  readonly acknowledged: number
  readonly reconnections: { readonly [cause: string]: number }
  /** How often the server deviated from the standard and the connection went on, by kind. */
  readonly deviations: { readonly [K in DeviationKind]?: number }
  /** The round trip of the last PINGREQ that was answered, or -1 if none was. */
  readonly roundTripMs: number
}
