/**
 * Which part of the state is the session, and outlives connections, loops and processes?
 *
 * A saved session holds these fields; `requests/session.ts` writes and reads them as text.
 */
import type {
  AckPacket,
  Properties,
  ProtocolVersion,
  QoS,
  RequestFacts,
  SubscriptionFacts,
} from './facts.ts'
import type { PacketTable } from './packet-table.ts'

/** Lives with the session. It holds what a later loop or process needs to continue. */
export interface SessionState {
  readonly clientId: string
  /** The version that a server accepted, or 0 before the first CONNACK. */
  readonly protocolVersion: ProtocolVersion | 0
  /** The requests that have a packet identifier, by that identifier. */
  readonly open: PacketTable<OpenRequest>
  /** The number of open requests that have no outcome yet. */
  readonly owed: number
  /**
   * The requests without a packet identifier, oldest first. They were never sent, or are to be sent
   * again as new ones. The entries before `waitingAt` have left already.
   */
  readonly waiting: readonly WaitingRequest[]
  readonly waitingAt: number
  /** No waiting message expires before this instant. */
  readonly waitingExpiresAt: number
  readonly nextMessageId: number
  readonly nextOrder: number
  /**
   * Whether requests are sent one at a time, because one of them may be what the server closes
   * connections on (D6, one bad request never stalls the others).
   */
  readonly cautious: boolean
  /** The QoS 2 messages received and not yet released, by packet identifier. */
  readonly received: PacketTable<ReceivedMessage>
  readonly nextDeliveryId: number
  /** The granted subscriptions, in buckets by a hash of the filter. */
  readonly subscriptions: PacketTable<readonly HeldSubscription[]>
  readonly subscriptionCount: number
  /** The most filters in one SUBSCRIBE of the user that a server answered. */
  readonly filtersGranted: number
  /** Whether the server's session was adopted, so that its subscriptions are unknown here. */
  readonly adopted: boolean
  /**
   * How many of the next packet identifiers may be in use on the server by a message of QoS 2 that
   * an earlier process left half sent.
   */
  readonly doubtfulIds: number
}

export type OpenStage =
  | 'publish' // QoS 1 or 2, not answered
  | 'cleared' // the same, sent behind a PUBREL that clears its identifier and is not answered
  | 'pubrel' // QoS 2, PUBREC received
  | 'subscribe'
  | 'unsubscribe'
  | 'renewal' // a SUBSCRIBE of the engine itself, whose outcome is not reported

export interface OpenRequest {
  readonly facts: RequestFacts
  readonly stage: OpenStage
  /** The place in the order of first sendings, which resending keeps. */
  readonly order: number
  /** The connection on which the request was last sent. It is in flight on that connection only. */
  readonly epoch: number
  /** The connection on which a packet of this request was last sent, PUBREL included. */
  readonly touchedEpoch: number
  /** The instant of sending, on a clock that stands still during pauses (for `ackTimeout`). */
  readonly sentAt: number
  /** How far this request is suspected; see `suspicion.ts`. */
  readonly strikes: number
  /**
   * Whether the outcome was given already (cancelled or timed out) and only the identifier is in
   * use.
   */
  readonly settled: boolean
  /** The PUBREC, if it says that nobody has subscribed: the outcome has it, not the PUBCOMP. */
  readonly unmatched?: AckPacket
}

export interface WaitingRequest {
  readonly facts: RequestFacts
  readonly order: number
  readonly strikes: number
}

export interface ReceivedMessage {
  readonly deliveryId: number
  /**
   * The sequence under which the consumer got the message, or 0 if this process did not yield it.
   */
  readonly sequence: number
  /** The sequence under which its PUBREC is due on this connection, or 0 if none is. */
  readonly pendingSequence: number
  /**
   * `arrived`: yielded, or about to be. `unseen`: the connection was lost before the consumer took
   * it. `restored`: an earlier process may have yielded it. `handled`: its PUBREC may be sent, or
   * was sent.
   */
  readonly stage: 'arrived' | 'unseen' | 'restored' | 'handled'
  /** Whether an earlier process may have yielded the message. */
  readonly again: boolean
}

export interface HeldSubscription {
  readonly subscription: SubscriptionFacts
  readonly properties: Properties | undefined
  readonly order: number
  /** The reason code of the SUBACK: 0, 1 or 2. */
  readonly granted: QoS
}
