/**
 * What is known about a broker by measurement, and not by what it says? Types only.
 * `it-mqtt/doctor` measures it.
 */

/** How a broker answers what it refuses. */
export type RefusalForm =
  /** A reason code of 0x80 or above in the acknowledgement. */
  | 'code'
  /** It closes the connection. */
  | 'closed'
  /** It acknowledges a message as any other, and gives it to nobody. */
  | 'dropped'
  /** There is no answer. */
  | 'silence'

/**
 * What an application may rely on at one broker. `unknown`, the default of each field, promises
 * nothing; everything that this package promises holds under it.
 */
export interface BrokerProfile {
  /**
   * The version of MQTT with which it was measured. On a connection with another one (5, or
   * an older one) the loop and the client act on `filtersPerSubscribe` only. If it is left out or
   * unknown, the profile counts for each version.
   */
  readonly protocolVersion?: 5 | 4 | 3 | 'unknown' | undefined

  // What the loop acts on.

  /**
   * How many filters one SUBSCRIBE may have, 1 to 65,535: the default of the option
   * `filtersPerSubscribe`.
   */
  readonly filtersPerSubscribe?: number | 'unknown' | undefined
  /**
   * The largest packet that the broker takes, in bytes, at least 16, where it does not announce it:
   * a larger request has the outcome `PACKET_TOO_LARGE`.
   */
  readonly maximumPacketSize?: number | 'unknown' | undefined
  /**
   * Whether there are Shared Subscriptions. If false, one is refused without being sent, as if the
   * CONNACK had said so. A CONNACK that says that there are some wins.
   */
  readonly sharedSubscriptions?: boolean | 'unknown' | undefined

  // What the client acts on.

  /**
   * What comes for a message that matches two filters of one client: one copy for each filter, one
   * copy with both identifiers, or one copy with one identifier.
   */
  readonly overlap?: 'separate' | 'merged' | 'one-id' | 'unknown' | undefined
  /** Whether retained messages come before a message that is published after the SUBACK. */
  readonly retainedBeforeFence?: boolean | 'unknown' | undefined

  // What an application may decide by.

  /** The highest QoS that the broker grants and forwards. */
  readonly maximumQoS?: 0 | 1 | 2 | 'unknown' | undefined
  /** Whether PUBACK says 0x10 if nobody has subscribed. PUBREC may not. */
  readonly noMatchingSubscribers?: boolean | 'unknown' | undefined
  /** Whether PUBACK says 0x10, too, if all who have subscribed are away. */
  readonly noMatchingWhileAway?: boolean | 'unknown' | undefined
  /** Whether filters with wildcards bring retained messages. */
  readonly retainedByWildcard?: boolean | 'unknown' | undefined
  /** Whether retained messages expire. */
  readonly retainedExpires?: boolean | 'unknown' | undefined
  /** Whether a retained message comes with what is left of its Message Expiry Interval. */
  readonly expiryCountsDown?: boolean | 'unknown' | undefined
  /** Whether Retain Handling 1 brings retained messages for a new subscription only. */
  readonly retainHandling?: boolean | 'unknown' | undefined
  /** Whether a session outlives its connection, and the CONNACK says so. */
  readonly sessionKept?: boolean | 'unknown' | undefined
  /** Whether the will of a connection that is lost is published. */
  readonly willPublished?: boolean | 'unknown' | undefined
  /**
   * Whether the will is published when another connection takes the session over. `new`: it is the
   * will of the new connection, although that one lives.
   */
  readonly willOnTakeover?: boolean | 'new' | 'unknown' | undefined
  /** Whether a will with a delay is withheld if the session goes on in time. */
  readonly willDelayObeyed?: boolean | 'unknown' | undefined
  /** Whether a will with a delay is published as soon as its session ends. */
  readonly willAtSessionEnd?: boolean | 'unknown' | undefined
  /**
   * Whether a Shared Subscription gives the messages of a lost member to another one.
   */
  readonly sharedRedistribution?: boolean | 'unknown' | undefined
  /**
   * Whether a Shared Subscription gives nothing to a member that is away if another one is there.
   */
  readonly sharedSkipsAway?: boolean | 'unknown' | undefined
  /** Whether a Shared Subscription keeps messages while all of its members are away. */
  readonly sharedKept?: boolean | 'unknown' | undefined
  /** Whether the broker never sends more unacknowledged messages than the Receive Maximum. */
  readonly receiveMaximumObeyed?: boolean | 'unknown' | undefined
  /** Whether the broker never sends a packet larger than the client's Maximum Packet Size. */
  readonly packetSizeObeyed?: boolean | 'unknown' | undefined
  /** Whether the broker sends further messages while one is not acknowledged. */
  readonly sendsAhead?: boolean | 'unknown' | undefined
  /** Whether messages of one publisher to one topic come in their order. */
  readonly ordered?: boolean | 'unknown' | undefined
  /** Whether messages of one publisher come in their order over several topics. */
  readonly orderedOverTopics?: boolean | 'unknown' | undefined
  /** Whether the broker gives Response Information to those who ask. */
  readonly responseInformation?: boolean | 'unknown' | undefined
  /** How it answers a publish that it refuses: each form that was seen. */
  readonly refusedPublish?: readonly RefusalForm[] | 'unknown' | undefined
  /** How it answers a subscription that it refuses: each form that was seen. */
  readonly refusedSubscribe?: readonly RefusalForm[] | 'unknown' | undefined
}
