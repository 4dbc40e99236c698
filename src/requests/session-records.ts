/**
 * What is a session as plain data, outside of a loop? The request objects, and for each the numbers
 * that the reducers need to go on with it.
 */

import type { ProtocolVersion, RequestFacts } from '../protocol/facts.ts'
import { entries } from '../protocol/packet-table.ts'
import type {
  HeldSubscription,
  OpenRequest,
  OpenStage,
  ReceivedMessage,
  SessionState,
  WaitingRequest,
} from '../protocol/session-state.ts'
import { subscriptionsOf } from '../protocol/subscriptions.ts'
import type { Key } from './keys.ts'
import type { Slots } from './slots.ts'
import type { Outcome, SentRequest } from './vocabulary.ts'

/** A request that has no outcome, or whose packet identifier is still in use. */
export interface HeldRecord {
  readonly request: SentRequest
  /** The position in the order of the requests. */
  readonly order: number
  /** How often the connection was lost while this request was suspected (D6). */
  readonly strikes: number
  /** When it expires, in ms since 1970; 0: never. */
  readonly expiresAt: number
  /** The packet identifier; 0 if it has none. */
  readonly messageId: number
  readonly stage: Exclude<OpenStage, 'cleared'> | 'waiting'
  /** Whether its outcome was given, so that only the packet identifier is still in use. */
  readonly settled: boolean
}

/** A QoS 2 message from the server whose exchange is not complete. */
export interface ReceivedRecord {
  readonly messageId: number
  readonly deliveryId: number
  readonly stage: 'unseen' | 'restored' | 'handled'
  readonly again: boolean
}

/** A whole session; everything in it is plain data but the request objects. */
export interface SessionRecord {
  readonly clientId: string
  /** 0 if there was no good CONNACK yet. */
  readonly protocolVersion: ProtocolVersion | 0
  readonly final: boolean
  readonly nextMessageId: number
  readonly nextOrder: number
  readonly nextDeliveryId: number
  /** Left out by versions that did not count them. */
  readonly filtersGranted?: number
  readonly adopted: boolean
  /** Left out by versions that did not know of them. */
  readonly doubtfulIds?: number
  readonly held: readonly HeldRecord[]
  readonly received: readonly ReceivedRecord[]
  readonly subscriptions: readonly HeldSubscription[]
  /** Keys with an outcome that the stream has not confirmed (D7), and whether it was good. */
  readonly settling: readonly (readonly [key: Key, ok: boolean])[]
}

/** A session as it was in a loop at one moment; nothing in it changes. */
export interface SessionParts {
  readonly state: SessionState
  readonly slots: Slots
  readonly settling: ReadonlyMap<Key, Outcome>
  /** Milliseconds to add to the loop's clock for the wall clock. */
  readonly wallOffsetMs: number
}

export function recordOf(parts: SessionParts, final: boolean): SessionRecord {
  const { state, settling } = parts
  const held: HeldRecord[] = []
  for (const [messageId, request] of entries(state.open)) {
    held.push(...openRecords(parts, messageId, request))
  }
  held.sort((a, b) => a.order - b.order)
  for (const request of state.waiting.slice(state.waitingAt)) {
    held.push(...waitingRecords(parts, request))
  }
  return {
    ...numbersOf(state),
    final,
    held,
    received: [...entries(state.received)].map(([id, message]) => receivedRecord(id, message)),
    subscriptions: subscriptionsOf(state.subscriptions),
    settling: [...settling].map(([key, { ok }]) => [key, ok] as const),
  }
}

/** @returns the part of a record that is no list. */
export function numbersOf(state: SessionState) {
  const { clientId, protocolVersion, nextMessageId, nextOrder, nextDeliveryId } = state
  const { filtersGranted, adopted, doubtfulIds } = state
  return {
    ...{ clientId, protocolVersion, nextMessageId, nextOrder, nextDeliveryId },
    ...{ filtersGranted, adopted, doubtfulIds },
  }
}

/** @returns the record of a request with a packet identifier; none for a request of the engine. */
export function openRecords(
  parts: SessionParts,
  messageId: number,
  { facts, stage, order, strikes, settled }: OpenRequest,
): HeldRecord[] {
  // Whether the PUBREL that clears an identifier arrived is known on its own connection only.
  const reached = stage === 'cleared' ? 'publish' : stage
  const expiresAt = wallExpiryOf(parts, facts)
  const rest = { order, strikes, expiresAt, messageId, stage: reached, settled }
  return requestsIn(parts.slots[facts.handle]).map((request) => ({ ...rest, request }))
}

/** @returns the record of a request without a packet identifier, or those of a group. */
export function waitingRecords(
  parts: SessionParts,
  { facts, order, strikes }: WaitingRequest,
): HeldRecord[] {
  const rest = {
    order,
    strikes,
    expiresAt: wallExpiryOf(parts, facts),
    messageId: 0,
    settled: false,
  }
  const stage = 'waiting'
  return requestsIn(parts.slots[facts.handle]).map((request) => ({ ...rest, stage, request }))
}

function wallExpiryOf({ wallOffsetMs }: SessionParts, facts: RequestFacts): number {
  return facts.kind === 'publish' && facts.expiresAt > 0 ? facts.expiresAt + wallOffsetMs : 0
}

export function receivedRecord(
  messageId: number,
  { deliveryId, stage, again }: ReceivedMessage,
): ReceivedRecord {
  const arrived = stage === 'arrived'
  return { messageId, deliveryId, stage: arrived ? 'restored' : stage, again: again || arrived }
}

function requestsIn(slot: Slots[number]): readonly SentRequest[] {
  if (slot === undefined) return []
  return slot.kind === 'group' ? slot.requests : [slot.request]
}

/**
 * A copy that is not final may be old: the server has gone on since. So received identifiers may be
 * those of other messages now, and identifiers of this side may be in use.
 *
 * @param random 0 ≤ r < 1.
 * @returns what may be taken from the record.
 */
export function restorable(record: SessionRecord, random: number): SessionRecord {
  if (record.final) return record
  return { ...record, received: [], nextMessageId: farFrom(record.nextMessageId, random) }
}

/**
 * Continues the numbering at a random distance. The server may have seen later identifiers since
 * the copy was made, and another process may have been restored from the same copy.
 */
function farFrom(messageId: number, random: number): number {
  const distance = 16_384 + Math.floor(random * 32_768)
  return ((messageId + distance) % 65_535) + 1
}
