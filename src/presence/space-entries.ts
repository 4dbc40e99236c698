/**
 * What is kept of a space: its connections, and the last record of each member. Plain data.
 */
import { type ConnectionSign, newSign } from './connection-sign.ts'
import type { Leased } from './lease-heap.ts'
import type { Member } from './presence-types.ts'
import type { MemberRecord } from './records.ts'

/** A connection, with those whom it has entered here. */
export interface SpaceConnection extends Leased {
  readonly name: string
  readonly sign: ConnectionSign
  readonly members: Map<string, SpaceMember>
  /** In seconds; 0: it has no lease. */
  ttl: number
  /** How many of them have not left: its topic is read for their sake. */
  present: number
  /** The sync in which it was last seen to be known to the server. */
  round: number
}

/** The last record of a member. */
export interface SpaceMember {
  readonly client: string
  readonly connection: SpaceConnection
  epoch: number
  seq: number
  data: unknown
  /** Whether the record says that the member has left, or was taken away. */
  gone: boolean
  /** Whether it counts as there, and was reported so. */
  visible: boolean
  since: 'sync' | 'live'
  /** The sync in which its record was last seen. */
  round: number
}

/** @param ttl what is assumed until the connection says its own. */
export function newSpaceConnection(name: string, ttl: number): SpaceConnection {
  const due = { dueAt: Number.POSITIVE_INFINITY, heapedAt: Number.POSITIVE_INFINITY }
  return { name, sign: newSign(), members: new Map(), ttl, present: 0, round: 0, ...due }
}

/** @returns a member as users see it. */
export function memberOf(
  { client, connection, data, since }: SpaceMember,
  certainty: Member['certainty'],
): Member {
  return Object.freeze({ client, connection: connection.name, data, since, certainty })
}

/** Whether a record was written after the last one of its member. */
export function isNewer(record: MemberRecord, { epoch, seq }: SpaceMember): boolean {
  return record.epoch > epoch || (record.epoch === epoch && record.seq > seq)
}

/** Whether two values of JSON are the same. */
export function isSameData(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}
