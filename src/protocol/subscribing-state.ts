/**
 * What is kept while renewals are sent, while a SUBSCRIBE is sent in parts, and while a resumed
 * session is watched?
 */
import type { SubscribeFacts } from './facts.ts'

/** The renewals after a CONNACK. */
export interface RenewalQueue {
  readonly packets: readonly SubscribeFacts[]
  /** How many of them were sent. */
  readonly sent: number
  /** With caution, those from here on have one filter each and are sent one at a time. */
  readonly apartFrom: number
}

/** A SUBSCRIBE whose parts leave one after the other, under one packet identifier. */
export interface SplitSubscribe {
  readonly messageId: number
  /** The reason codes of the parts that were answered. */
  readonly granted: readonly number[]
  /** The number of filters in the part that is not answered; 0 between two parts. */
  readonly filters: number
  /** When that part was sent. */
  readonly sentAt: number
  /** Whether its answer is missing for so long that other requests may pass it. */
  readonly late: boolean
}

/** A resumed session that is doubted if no message has come by then. */
export interface SilenceWatch {
  readonly until: number
  /** The number of messages that had been received when the session was resumed. */
  readonly received: number
}
