/**
 * All that goes in and out of the reducers, on one page: State, Input, Effect.
 *
 *   step(state, input or inputs) → { state, effects }
 *
 * Rules of the room. No clock, no randomness, no promise, no Node: time (`at`, ms, monotonic) and random numbers (0 ≤ r < 1)
 * arrive in the input. A state is never changed once returned: keeping one is taking a snapshot. It is plain data; where the
 * loop holds a request object it holds its handle, a number that the loop chose and does not use again before it is released.
 */
import type { PacketTable } from './packet-table.ts'

export type QoS = 0 | 1 | 2
export type ProtocolVersion = 3 | 4 | 5

// ---------------------------------------------------------------------------------------------------------------- packets

/** Properties as decoded; which names may stand in which packet is the codec's business. */
export type Properties = { readonly [name: string]: unknown }

export interface ConnackPacket {
  readonly cmd: 'connack'
  readonly sessionPresent: boolean
  /** MQTT 5. */
  readonly reasonCode?: number
  /** MQTT 3.1 and 3.1.1. */
  readonly returnCode?: number
  readonly properties?: Properties
}

export interface PublishPacket {
  readonly cmd: 'publish'
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly dup: boolean
  readonly retain: boolean
  readonly messageId?: number
  readonly properties?: Properties
}

export interface AckPacket {
  readonly cmd: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'
  readonly messageId: number
  /** Always 0 in MQTT 3. */
  readonly reasonCode: number
  readonly properties?: Properties
}

export interface SubscriptionAckPacket {
  readonly cmd: 'suback' | 'unsuback'
  readonly messageId: number
  readonly granted: readonly number[]
  readonly properties?: Properties
}

export interface PingrespPacket {
  readonly cmd: 'pingresp'
}

export interface ReasonPacket {
  readonly cmd: 'disconnect' | 'auth'
  readonly reasonCode: number
  readonly properties?: Properties
}

/** What a decoder hands over: well formed by itself; whether it may come now is for the reducers to say. */
export type ServerPacket =
  | ConnackPacket
  | PublishPacket
  | AckPacket
  | SubscriptionAckPacket
  | PingrespPacket
  | ReasonPacket

// --------------------------------------------------------------------------------------------------------------- requests

/** What the reducers know of a request. `bytes`: its size on the wire as MQTT 5, before anything that the engine adds. */
export type RequestFacts = PublishFacts | SubscribeFacts | UnsubscribeFacts

export interface PublishFacts {
  readonly kind: 'publish'
  readonly handle: number
  readonly qos: QoS
  readonly retain: boolean
  readonly bytes: number
  /** The instant at which the message expires; 0 = never. */
  readonly expiresAt: number
  /** How many messages this stands for: 1, or a group at QoS 0 that leaves together; `bytes` is that of the largest. */
  readonly count: number
}

export interface SubscriptionFacts {
  readonly topic: string
  readonly qos: QoS
  readonly nl?: boolean
  readonly rap?: boolean
  readonly rh?: 0 | 1 | 2
}

export interface SubscribeFacts {
  readonly kind: 'subscribe'
  readonly handle: number
  readonly bytes: number
  readonly subscriptions: readonly SubscriptionFacts[]
  readonly properties: Properties | undefined
}

export interface UnsubscribeFacts {
  readonly kind: 'unsubscribe'
  readonly handle: number
  readonly bytes: number
  readonly unsubscriptions: readonly string[]
}

// ------------------------------------------------------------------------------------------------------------------ config

export type Acks = 'pull' | 'receipt' | 'manual'
export type Until = 'idle' | 'settled' | 'closed'

export interface ReconnectPolicy {
  readonly when: 'always' | 'after-first-success' | 'never'
  readonly minMs: number
  readonly maxMs: number
  readonly stableMs: number
}

/** The options as far as reducers need them: resolved, plain, in the units that the names say. */
export interface Config {
  readonly protocolVersion: ProtocolVersion
  /** Version 4 may be asked where version 5 is refused. */
  readonly versionMayFall: boolean
  readonly cleanStart: boolean
  /** Whether a store keeps the session; `empty`: none that ever met a server. */
  readonly store: 'none' | 'empty' | 'kept'
  /** A session was given: the first connection goes on with it. */
  readonly resumes: boolean
  /** The server's session is taken as it stands. */
  readonly adopt: boolean
  /** Seconds. */
  readonly sessionExpiryInterval: number
  /** Seconds; 0 = none. */
  readonly keepAlive: number
  readonly connectTimeoutMs: number
  readonly reconnect: ReconnectPolicy
  readonly maxInflight: number
  readonly receiveMaximum: number
  readonly maxBufferedPackets: number
  readonly maxBufferedBytes: number
  /** Of packets to us, in bytes. */
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  readonly acks: Acks
  readonly onSessionLost: 'republish' | 'fail'
  readonly ackTimeout: { readonly afterMs: number; readonly then: 'reconnect' | 'fail' } | null
  readonly quarantineAfter: number
  readonly until: Until
  /** Whether `onConnected` was given: the backlog waits for its requests. */
  readonly hasBirths: boolean
  readonly disconnectReason: number
  readonly authenticationMethod: string | null
  /** Who may begin an authentication once connected, where there is somebody who answers; `none`: there is not. */
  readonly authenticator: 'none' | 'client' | 'either'
  readonly requestProblemInformation: boolean
  readonly roads: RoadsConfig
  /** When new publishes go another way, and how many at a time. */
  readonly divert: { readonly afterMs: number; readonly concurrency: number } | null
  /** After how long a silent consumer or a forgotten acknowledgement is worth a warning. */
  readonly warnAfterMs: number
}

/** How another connection is come by. Most loops share the defaults. */
export interface RoadsConfig {
  /** Servers in the list: the first is the primary. */
  readonly hosts: number
  /** Whether somebody can say that this side is online, before another server is tried. */
  readonly checksConnectivity: boolean
  readonly followRedirects: boolean
  /** Options come anew for each attempt, and with them credentials. */
  readonly renewsCredentials: boolean
  /** Without a connection for as long, the loop is suspended… */
  readonly suspendAfterMs: number
  /** …and tries again this often, half of it more or less. */
  readonly suspendedRetryMs: number
}

// ---------------------------------------------------------------------------------------------------------------- failures

/** What went wrong with a connection or a request. The loop makes an error of it. */
export interface Failure {
  /** When: `dial` until the road is open, `handshake` until CONNACK, then `connected`; `request` for a single request. */
  readonly phase: 'dial' | 'handshake' | 'connected' | 'request'
  /** Who is at fault: the family of the error. */
  readonly source: 'usage' | 'protocol' | 'refused' | 'connection' | 'storage' | 'bug'
  readonly code: string
  readonly retryable: boolean
  /** What, where, what to do. */
  readonly message: string
  /** Of the standard, where there is one. */
  readonly reasonCode?: number
  /** The rule that was broken, where one was. */
  readonly clause?: string
  readonly packet?: ServerPacket
  /** The loop's own reference to an underlying error. */
  readonly cause?: number
}

// ------------------------------------------------------------------------------------------------------------------- state

export interface State {
  readonly config: Config
  readonly session: SessionState
  readonly connection: ConnectionState
  readonly keepAlive: KeepAliveState
  readonly reconnect: ReconnectState
  readonly outgoing: OutgoingState
  readonly incoming: IncomingState
  readonly flow: FlowState
  readonly counters: Counters
}

/** Lives with the session: what a later loop, or a later process, needs to go on. */
export interface SessionState {
  readonly clientId: string
  /** What a broker agreed to; 0 before the first CONNACK. */
  readonly protocolVersion: ProtocolVersion | 0
  /** Packet identifiers in use. */
  readonly open: PacketTable<OpenRequest>
  /** How many of them still owe an outcome. */
  readonly owed: number
  /** Requests without an identifier, oldest first, from `waitingAt` on: never sent, or to be sent again as new ones. */
  readonly waiting: readonly WaitingRequest[]
  readonly waitingAt: number
  /** No message that waits expires before this instant. */
  readonly waitingExpiresAt: number
  readonly nextMessageId: number
  readonly nextOrder: number
  /** Requests of a lower order are sent one at a time: one of them may be poison (D6). 0: none. */
  readonly cautiousBelow: number
  /** QoS 2 messages received and not yet released, by packet identifier. */
  readonly received: PacketTable<ReceivedMessage>
  readonly nextDeliveryId: number
  /** Buckets by a hash of the filter. */
  readonly subscriptions: PacketTable<readonly HeldSubscription[]>
  readonly subscriptionCount: number
  /** A session was adopted whose subscriptions nobody here knows. */
  readonly adopted: boolean
}

export type OpenStage =
  | 'publish' // QoS 1 or 2, no answer yet
  | 'pubrel' // QoS 2, PUBREC came
  | 'subscribe'
  | 'unsubscribe'
  | 'renewal' // a SUBSCRIBE of the engine's own; nobody waits for its outcome

export interface OpenRequest {
  readonly facts: RequestFacts
  readonly stage: OpenStage
  /** Of its first sending: it is sent again in this order. */
  readonly order: number
  /** The connection on which it was last sent; only there it counts as in flight. */
  readonly epoch: number
  /** The connection on which anything of it was sent last, a PUBREL included. */
  readonly touchedEpoch: number
  /** On the clock of `ackTimeout`, which stands still in pauses. */
  readonly sentAt: number
  readonly strikes: number
  /** The outcome was given already (cancelled, timed out): only the identifier is still taken. */
  readonly settled: boolean
}

export interface WaitingRequest {
  readonly facts: RequestFacts
  readonly order: number
  readonly strikes: number
}

export interface ReceivedMessage {
  readonly deliveryId: number
  /** Under which the consumer got it; 0: it did not in this process. */
  readonly sequence: number
  /** Under which it waits for its PUBREC on this connection; 0: it does not. */
  readonly pendingSequence: number
  /**
   * `arrived`: yielded or about to be. `unseen`: the connection broke before the consumer took it. `restored`: a process
   * that died may have yielded it. `handled`: PUBREC may leave, or has left.
   */
  readonly stage: 'arrived' | 'unseen' | 'restored' | 'handled'
  /** An earlier process may have yielded it. */
  readonly again: boolean
}

export interface HeldSubscription {
  readonly subscription: SubscriptionFacts
  readonly properties: Properties | undefined
  readonly order: number
  /** Reason code of the SUBACK: 0, 1 or 2. */
  readonly granted: QoS
}

export type ConnectionKind =
  | 'idle'
  | 'connecting'
  | 'connected'
  | 'disconnected'
  | 'suspended'
  | 'closing'
  | 'closed'
  | 'failed'

/** A PINGREQ that was sent. */
export interface SentPing {
  readonly at: number
  /** The id of the input that asked for it; 0 if the engine sent it by itself. */
  readonly id: number
}

export interface ConnectionState {
  readonly kind: ConnectionKind
  /** What led here. */
  readonly reason: Failure | null
  /** Counts the CONNACKs that accepted us; names a connection. */
  readonly epoch: number
  /** A transport is open or being opened; its end has not been told yet. */
  readonly engaged: boolean
  /** The transport is open. */
  readonly opened: boolean
  readonly protocolVersion: ProtocolVersion
  /** Any byte came on this transport. */
  readonly heard: boolean
  /** When this attempt must have its CONNACK. */
  readonly connectBy: number
  readonly connackAt: number
  /** In `disconnected` and `suspended`: when the next attempt is due. */
  readonly retryAt: number
  /** When a transport that we are closing is destroyed; Infinity: we are not closing one. */
  readonly closeBy: number
  /** How the transport that we are closing shall be judged once its end is told. */
  readonly verdict: 'retry' | 'retryAtOnce' | 'now' | 'fail' | 'end' | null
  /** Nothing more is taken, what is in flight may settle until then; Infinity: not draining. */
  readonly drainBy: number
  readonly connack: ConnackPacket | null
  readonly limits: Limits
  /** The requests of `onConnected` are awaited. */
  readonly birthsPending: boolean
  /** The PINGREQs that no PINGRESP has answered, oldest first. */
  readonly pings: readonly SentPing[]
  /** A PINGREQ was answered on this connection. */
  readonly pingAnswered: boolean
  /** Enhanced authentication under way. (4.12) */
  readonly exchange: Exchange | null
  /** What the loop ends with, once it is closed. */
  readonly endsWith: Failure | null
}

/** `verifying`: the server has said its last word, and the authenticator judges it. */
export interface Exchange {
  readonly by: 'connect' | 'client' | 'server'
  readonly turn: 'ours' | 'theirs' | 'verifying'
  /** The server knows of it. */
  readonly begun: boolean
  /** When it must have ended; Infinity: the time limit of the CONNACK is that of the exchange. */
  readonly until: number
}

/** What the CONNACK agreed to. */
export interface Limits {
  readonly receiveMaximum: number
  readonly maximumPacketSize: number
  readonly maximumQoS: QoS
  readonly retainAvailable: boolean
  readonly wildcardSubscriptionAvailable: boolean
  readonly subscriptionIdentifiersAvailable: boolean
  readonly sharedSubscriptionAvailable: boolean
  readonly sessionExpiryInterval: number
  /** Aliases that we may use for topics. */
  readonly topicAliasMaximum: number
}

/** Lives with the connection. */
export interface KeepAliveState {
  /** 0 = none. */
  readonly intervalMs: number
  readonly sentAt: number
  readonly receivedAt: number
  /** A PINGREQ was handed over and no byte has come since. */
  readonly pinging: boolean
  readonly pingedAt: number
  /** When the kernel took that PINGREQ; -1: not yet. */
  readonly pingTakenAt: number
  readonly readingPaused: boolean
  /** Since when the write that the kernel has not taken stands still. */
  readonly standsSince: number
  /** When a write that had been backed up last moved. */
  readonly movedAt: number
  /** Something was handed over that the kernel has not taken. */
  readonly writing: boolean
}

/** Lives with the loop. */
export interface ReconnectState {
  readonly policy: ReconnectPolicy
  /** Failed attempts since the last stable connection. */
  readonly attempt: number
  readonly everConnected: boolean
  /** The version to ask for next, and whether it may still fall to 4. */
  readonly version: ProtocolVersion
  readonly versionMayFall: boolean
  /** Closes by the server within seconds of its CONNACK, in a row. */
  readonly quickCloses: number
  /** Which of the list is dialled, or was last. */
  readonly host: number
  /** Servers that sent us away, in a row: without a stable connection and without a wait between. */
  readonly redirects: number
  /** Where the server moved (0x9D): each round begins there. */
  readonly moved: string | null
  /** From one connection to the next; null: there is one, or there was no attempt yet. */
  readonly road: Road | null
}

/** Lives from one connection to the next, over all attempts between. */
export interface Road {
  /** Since when there is no connection. */
  readonly downSince: number
  /** When the server must have ended the session that it held for us; Infinity: it need not. */
  readonly expiresAt: number
  /** Attempts so far. */
  readonly dials: number
  /** Servers of the list that this round has not tried. */
  readonly hostsLeft: readonly number[]
  /** Where a server sent us instead. */
  readonly redirect: Redirect | null
  /** Credentials that were refused are being renewed. */
  readonly renewing: boolean
  /** Another server waits for the word that this side is online. */
  readonly checking: Checking | null
  /** What the CONNECT of this attempt asked for. */
  readonly asksCleanStart: boolean
  /** Its client identifier; the session's own only once the server has accepted it. */
  readonly clientId: string
  /** There is something of ours that belongs to another client identifier. */
  readonly foreign: boolean
  /** Seconds, as it said. */
  readonly keepAlive: number
}

export interface Redirect {
  /** Server Reference, as it came. (3.2.2.3.16) */
  readonly reference: string
  /** 0x9D: not only for now. */
  readonly permanent: boolean
}

export interface Checking {
  readonly host: number
  readonly failure: Failure
  readonly allowed: boolean
  readonly random: number
  /** Without an answer until then this side counts as offline. */
  readonly by: number
}

/** Lives with the connection. */
export interface OutgoingState {
  /** As D4 counts. */
  readonly inFlight: number
  /** Identifiers to be sent again on this connection, from `resendAt` on. */
  readonly resend: readonly number[]
  readonly resendAt: number
  /** SUBSCRIBE and UNSUBSCRIBE sent on this connection and not answered. */
  readonly subscribing: number
  /** QoS 0 publishes handed over that the kernel has not taken. */
  readonly unconfirmed: number
  /** The group that was asked to be taken apart; 0: none is. */
  readonly apart: number
  /** No request exceeds `ackTimeout` before this instant on its clock. */
  readonly ackCheckAt: number
  /** Subscriptions that the server, or what it said in its CONNACK, refused: the latest. Lives with the loop. */
  readonly refused: readonly RefusedSubscription[]
}

export interface RefusedSubscription {
  readonly topic: string
  readonly qos: QoS
  readonly reasonCode: number
}

/** Lives with the connection, but for the sequence numbers, which live with the loop. */
export interface IncomingState {
  /** QoS 1 and 2 messages that are not acknowledged, in the order received; keyed by the low 16 bits of the sequence. */
  readonly pending: PacketTable<PendingAck>
  readonly pendingFrom: number
  readonly nextSequence: number
  /** The first sequence of this connection: an acknowledgement of a lower one is stale. */
  readonly epochFrom: number
  readonly yieldedThrough: number
  /** Messages at QoS 2 of earlier connections that the consumer holds and has not handled. */
  readonly inHand: number
  /** The head of the order about which the user was warned. */
  readonly warnedFrom: number
  /** As Receive Maximum counts. */
  readonly unacknowledged: number
  /** Messages that came again on this connection, of a session that it resumed. */
  readonly repeats: number
  /** Topics by alias. */
  readonly aliases: readonly (string | undefined)[]
}

export interface PendingAck {
  readonly messageId: number
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
  /** When a pause ends by itself. */
  readonly pausedUntil: number
  /** First transmissions a second; 0 = no limit. */
  readonly perSecond: number
  /** When the next first transmission is due. */
  readonly nextTransmissionAt: number
  /** The transport holds as much unsent as it may. */
  readonly congested: boolean
  readonly requestsEnded: boolean
  /** Since when reading waits for the consumer; -1: it does not. */
  readonly consumerAwaitedSince: number
  readonly warned: boolean
  /** Time spent in pauses, so that `ackTimeout` can stand still. */
  readonly pausedMs: number
  readonly pausedSince: number
  /** New publishes go another way (T9). */
  readonly diverting: boolean
  /** Publishes that went there and are not settled. */
  readonly diverted: number
}

export interface Counters {
  readonly taken: number
  readonly settled: number
  /** Application messages. */
  readonly sent: number
  readonly received: number
  readonly acknowledged: number
  readonly reconnections: { readonly [cause: string]: number }
  /** Of the last PINGREQ that was answered; -1: none was. */
  readonly roundTripMs: number
}

// ------------------------------------------------------------------------------------------------------------------ inputs

/** Everything that can happen to a loop. `at`: ms on a clock that only goes forward. */
export type Input =
  /** The first `next()`. */
  | { readonly type: 'start'; readonly at: number }
  /** The transport is open. `attempt`: what the options of this attempt changed; null: nothing. */
  | { readonly type: 'opened'; readonly at: number; readonly attempt: AttemptFacts | null }
  /** What `checkConnectivity` asked. */
  | { readonly type: 'connectivity'; readonly at: number; readonly online: boolean }
  /** Somebody who knows the network says that it came or went. */
  | { readonly type: 'network'; readonly at: number; readonly online: boolean }
  /** The authenticator answers, or is content with what the server said last. */
  | { readonly type: 'authenticated'; readonly at: number; readonly data: Uint8Array | null }
  | { readonly type: 'unauthenticated'; readonly at: number; readonly failure: Failure }
  | { readonly type: 'reauthenticate'; readonly at: number }
  /** The other way has settled a publish. `failure`: what it rejected with. */
  | {
      readonly type: 'diverted'
      readonly at: number
      readonly handle: number
      readonly failure: Failure | null
    }
  /** Bytes came, and these packets were whole. */
  | { readonly type: 'received'; readonly at: number; readonly packets: readonly ServerPacket[] }
  /** The decoder refused what came. */
  | {
      readonly type: 'malformed'
      readonly at: number
      readonly reasonCode: number
      readonly clause: string
      readonly message: string
    }
  /** The kernel took a write: how many QoS 0 publishes and whether a PINGREQ were in it, whether more is under way. */
  | {
      readonly type: 'written'
      readonly at: number
      readonly publishes: number
      readonly ping: boolean
      readonly more: boolean
    }
  /** What waited for a commit was handed to the transport. */
  | { readonly type: 'released'; readonly at: number }
  /** The transport holds as much unsent as it may, or no longer. */
  | { readonly type: 'congestion'; readonly at: number; readonly congested: boolean }
  /** The transport is closing and takes nothing more; what it gave before comes next, and then its end. */
  | { readonly type: 'unwritable'; readonly at: number }
  /** The transport is closed, or could not be opened. `random` spaces the next attempt. */
  | {
      readonly type: 'lost'
      readonly at: number
      readonly random: number
      readonly failure: Failure
      readonly byPeer: boolean /** The user's word on whether to retry; null: none. */
      readonly retryable: boolean | null
    }
  | {
      readonly type: 'requests'
      readonly at: number
      readonly requests: readonly RequestFacts[] /** Kept for a later loop. */
      readonly hold: boolean
    }
  /** Requests that were refused at the door; their outcome is given already. */
  | { readonly type: 'refused'; readonly at: number; readonly count: number }
  /** The answer to the effect `births`. */
  | { readonly type: 'births'; readonly at: number; readonly requests: readonly RequestFacts[] }
  | { readonly type: 'requestsEnded'; readonly at: number }
  | {
      readonly type: 'cancel'
      readonly at: number
      readonly handle: number
      readonly cause: number
    }
  /** A group was taken apart, as `takeApart` asked: these are its messages. */
  | {
      readonly type: 'apart'
      readonly at: number
      readonly handle: number
      readonly requests: readonly RequestFacts[]
    }
  /** The consumer took packets; it has seen and handled QoS > 0 messages up to these sequences. */
  | {
      readonly type: 'pulled'
      readonly at: number
      readonly packets: number
      readonly bytes: number
      readonly yieldedThrough: number
      readonly handledThrough: number
    }
  | {
      readonly type: 'ack'
      readonly at: number
      readonly sequence: number
      readonly messageId: number
      readonly reasonCode: number
    }
  | { readonly type: 'pause'; readonly at: number; readonly ms: number }
  | { readonly type: 'resume'; readonly at: number }
  | { readonly type: 'throttle'; readonly at: number; readonly perSecond: number }
  | { readonly type: 'reconnect'; readonly at: number; readonly policy: ReconnectPolicy | null }
  /** The user wants a PINGREQ sent; `id` is above 0, and the effect `pong` names it. */
  | { readonly type: 'ping'; readonly at: number; readonly id: number }
  | {
      readonly type: 'disconnect'
      readonly at: number
      readonly timeoutMs: number
      readonly failure: Failure | null
    }
  | { readonly type: 'shutdown'; readonly at: number; readonly failure: Failure | null }
  /** A deadline may have passed. */
  | { readonly type: 'tick'; readonly at: number }

export type InputType = Input['type']

/** What the user gave for one attempt, as far as reducers need it. */
export interface AttemptFacts {
  readonly clientId: string
  /** Seconds. */
  readonly keepAlive: number
}

// ----------------------------------------------------------------------------------------------------------------- effects

/** What the loop has to do, in order. */
export type Effect =
  /** `host`: which of the list; `redirect`: what to dial in its place. `attempt` counts from 1 since the last connection. */
  | {
      readonly type: 'dial'
      readonly protocolVersion: ProtocolVersion
      readonly host: number
      readonly redirect: string | null
      readonly attempt: number
    }
  | TransitionEffect
  /** Is this side online? The answer is the input `connectivity`. */
  | { readonly type: 'checkConnectivity' }
  /** The authenticator's turn: to begin, to answer `data`, or to judge the last word of the server. */
  | {
      readonly type: 'authenticate'
      readonly step: 'begin' | 'answer' | 'judge'
      readonly by: 'client' | 'server'
      readonly data: Uint8Array | null
    }
  | { readonly type: 'auth'; readonly reasonCode: number; readonly data: Uint8Array | null }
  /** An authentication that was asked for has ended; null: well. */
  | { readonly type: 'reauthenticated'; readonly failure: Failure | null }
  /** This publish goes the other way; the answer is the input `diverted`. */
  | { readonly type: 'divert'; readonly handle: number }
  | {
      readonly type: 'connect'
      readonly clientId: string
      readonly cleanStart: boolean
      /** Seconds. */
      readonly keepAlive: number
      readonly protocolVersion: ProtocolVersion
    }
  | PublishEffect
  /** `facts.handle` is 0 for a renewal. */
  | { readonly type: 'subscribe'; readonly messageId: number; readonly facts: SubscribeFacts }
  | { readonly type: 'unsubscribe'; readonly messageId: number; readonly facts: UnsubscribeFacts }
  | AcknowledgeEffect
  | { readonly type: 'pingreq' }
  | {
      readonly type: 'disconnect'
      readonly reasonCode: number
      readonly properties: Properties | undefined
    }
  /** Write what is left and close; `patient`: the server may close first. */
  | { readonly type: 'close'; readonly patient: boolean }
  | { readonly type: 'destroy' }
  | { readonly type: 'pauseReading' }
  | { readonly type: 'resumeReading' }
  | YieldEffect
  /** Messages at QoS > 0 that the consumer has not taken wait for the CONNACK (R6)… */
  | { readonly type: 'withhold' }
  /** …which drops them in favour of the redelivery, or lets them go. `before`: the first sequence of this connection. */
  | { readonly type: 'unwithhold'; readonly drop: boolean; readonly before: number }
  | SettleEffect
  /** The oldest `count` QoS 0 publishes handed over: the kernel took them, or the connection broke first. */
  | { readonly type: 'confirm'; readonly count: number; readonly failure: Failure | null }
  /** A group that cannot leave whole: its messages are wanted one by one. */
  | { readonly type: 'takeApart'; readonly handle: number }
  | { readonly type: 'births'; readonly packet: ConnackPacket }
  /** The PINGREQs that `ping` sent are answered. */
  /** A PINGREQ was answered. `id` is 0 if the engine had sent it by itself. */
  | { readonly type: 'pong'; readonly id: number }
  | { readonly type: 'warn'; readonly code: string; readonly message: string }
  /** The loop is over. */
  | { readonly type: 'finished'; readonly failure: Failure | null }

/** The connection went from one kind to another; from `disconnected` to itself where only `retryAt` is new. */
export interface TransitionEffect {
  readonly type: 'transition'
  readonly from: ConnectionKind
  readonly to: ConnectionKind
  readonly reason: Failure | null
  readonly at: number
  /** Infinity: no attempt is due. */
  readonly retryAt: number
}

export interface PublishEffect {
  readonly type: 'publish'
  readonly handle: number
  readonly qos: QoS
  /** 0 at QoS 0. */
  readonly messageId: number
  readonly dup: boolean
  /** Message Expiry Interval that is left, in seconds; -1: the message has none. */
  readonly expirySeconds: number
}

export interface AcknowledgeEffect {
  readonly type: 'acknowledge'
  readonly cmd: AckPacket['cmd']
  readonly messageId: number
  readonly reasonCode: number
}

export interface YieldEffect {
  readonly type: 'yield'
  readonly packet: ServerPacket
  /** Of the request that it answers; 0: none. */
  readonly handle: number
  /** Of a message at QoS > 0; 0: none. */
  readonly sequence: number
  /** Of a message at QoS 2; 0: none. */
  readonly deliveryId: number
  readonly redelivered: boolean
  /** What it counts for in the buffer. */
  readonly bytes: number
}

export interface SettleEffect {
  readonly type: 'settle'
  readonly handle: number
  /** Null: the outcome is good, or was given before. */
  readonly failure: Failure | null
  readonly packet: ServerPacket | null
  /** The outcome is due now. */
  readonly outcome: boolean
  /** The handle is free again. */
  readonly release: boolean
}

export interface Step {
  readonly state: State
  readonly effects: readonly Effect[]
}
