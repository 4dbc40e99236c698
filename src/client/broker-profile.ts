/**
 * What is known about a broker by measurement, and not by what it says? Types only.
 */

/**
 * What an application may rely on at one broker. `unknown`, the default of each field, promises
 * nothing; everything that this package promises holds under it.
 */
export interface BrokerProfile {
  /** Whether PUBACK and PUBREC say 0x10 if nobody has subscribed. */
  readonly noMatchingSubscribers?: boolean | 'unknown' | undefined
  /**
   * What comes for a message that matches two filters of one client: one copy for each filter, one
   * copy with both identifiers, or one copy with one identifier.
   */
  readonly overlap?: 'separate' | 'merged' | 'one-id' | 'unknown' | undefined
  /** Whether retained messages come before a message that is published after the SUBACK. */
  readonly retainedBeforeFence?: boolean | 'unknown' | undefined
  /** Whether retained messages expire. */
  readonly retainedExpires?: boolean | 'unknown' | undefined
  /** Whether the will is published when another connection takes the session over. */
  readonly willOnTakeover?: boolean | 'unknown' | undefined
  /** Whether a Shared Subscription gives the messages of a lost member to another one. */
  readonly sharedRedistribution?: boolean | 'unknown' | undefined
}
