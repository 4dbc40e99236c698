/**
 * Which part of the state tells whether the loop gets on, and what holds it up? (`suspicion.ts`)
 */

import type { SubscriptionFacts } from './facts.ts'

/**
 * What is kept while packets are sent one at a time (`window.ts`). Lives from the CONNACK of a
 * cautious connection to the next CONNACK.
 */
export interface IsolationState {
  /** The filters whose SUBACK came after the last PINGRESP. */
  readonly unproven: readonly SubscriptionFacts[]
  /** The number of open PINGREQs whose answers prove nothing. */
  readonly pingsAhead: number
  /** The instant of the CONNACK, or of the last packet that was sent alone. */
  readonly sentAt: number
  /**
   * With a session store: the packet identifier of what was sent alone, once the transport has it;
   * 0 while it waits for the commit.
   */
  readonly handed: number
  /** Until this instant, messages from the server are acknowledged first; 0 once it is over. */
  readonly deliveriesBy: number
  /** Whether `onConnected` is called once the caution has ended. */
  readonly birthsDeferred: boolean
  /** What was sent alone and is not answered for so long that the others are sent meanwhile. */
  readonly excused: readonly number[]
}

/** Lives with the loop. It compares the end of a connection or attempt with the one before. */
export interface ProgressState {
  /** How many ends in a row had the same cause, with no progress in between. */
  readonly losses: number
  /** How many of them resumed a session in which the same refused message came again. */
  readonly locked: number
  readonly cause: string
  /** Whether the last end was that of a connection, and not of an attempt. */
  readonly connected: boolean
  /** What was the first thing open at the last end. */
  readonly first: FirstOpen | null
  /** How much was settled and delivered until then; see `suspicion.ts`. */
  readonly made: number
  /** How many messages were received again in resumed sessions until then. */
  readonly repeats: number
  /** Whether the server was asked and does not answer PINGREQs, so that nothing is proved. */
  readonly unprovable: boolean
  /** The filters that are suspected. */
  readonly accused: readonly AccusedFilter[]
}

/** The first thing that had begun and not ended when a connection was lost. */
export type FirstOpen =
  | { readonly kind: 'request'; readonly handle: number }
  /** A SUBSCRIBE of the engine itself. `filters` is their number. */
  | { readonly kind: 'renewal'; readonly filter: string; readonly filters: number }
  | OpenDelivery

/** A message from the server, as far as it could be read. */
interface OpenDelivery {
  readonly kind: 'delivery'
  readonly topic: string
  readonly messageId: number
  /**
   * `refused`: it cannot be read, or must not be sent. `acknowledged`: nothing is open, and this
   * was the last message that was acknowledged.
   */
  readonly state: 'open' | 'refused' | 'acknowledged'
}

export interface AccusedFilter {
  readonly filter: string
  readonly strikes: number
}
