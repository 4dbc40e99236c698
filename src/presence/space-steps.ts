/**
 * What goes into the view of a space, and what comes out? Types only.
 */
import type { PresenceChange } from './presence-types.ts'
import type { ConnectionRecord, MemberRecord, MemberTopic } from './records.ts'

export type ChangeAction = PresenceChange['action']

/** How a message came. */
export interface RecordArrival {
  /** When, in ms on this client's own clock. */
  readonly at: number
  /** Whether the server had kept it, and sends it because of a subscription. */
  readonly retained: boolean
  /** How old it is, in ms, where the server says so; else 0. */
  readonly ageMs: number
}

/** What can happen. A record is null if the message was empty. */
export type ViewInput =
  | {
      readonly type: 'member'
      readonly topic: MemberTopic
      readonly record: MemberRecord | null
      readonly arrival: RecordArrival
    }
  | {
      readonly type: 'connection'
      readonly connection: string
      readonly record: ConnectionRecord | null
      readonly arrival: RecordArrival
    }
  | { readonly type: 'syncBegins' | 'syncFails' }
  | { readonly type: 'syncEnds'; readonly certainty: 'ordered' | 'quiet'; readonly at: number }
  | { readonly type: 'time'; readonly at: number }

/** What is to be done. */
export type ViewEffect =
  | { readonly type: 'change'; readonly change: PresenceChange }
  /** Read the topic of a connection, or read it no more. */
  | { readonly type: 'watch' | 'unwatch'; readonly connection: string }
  /** Remove what a connection left on the server: the records of these members, and its own. */
  | {
      readonly type: 'clear'
      readonly members: readonly MemberTopic[]
      readonly connection: string
    }
  /** There are more members than are kept. */
  | { readonly type: 'full' }

/** What is not the same for every space. */
export interface ViewLimits {
  readonly maxMembers: number
  readonly janitor: boolean
}
