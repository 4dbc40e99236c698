/**
 * What must a commit write? The records in which two states of a session differ.
 *
 * The states share most of their data, and parts that both share are not compared.
 */
import { differences, emptyTable, type PacketTable } from '../../protocol/packet-table.ts'
import type { OpenRequest, WaitingRequest } from '../../protocol/session-state.ts'
import { subscriptionsOf } from '../../protocol/subscriptions.ts'
import {
  type HeldRecord,
  numbersOf,
  openRecords,
  receivedRecord,
  type SessionParts,
  waitingRecords,
} from '../../requests/session-records.ts'
import type { Change } from '../store/journal.ts'
import type { RecordWriter } from '../store/request-records.ts'
import {
  HEAD,
  OPEN,
  progressOf,
  put,
  RECEIVED,
  REQUEST,
  recordKeyOf,
  remove,
  SEQUENCE,
  SETTLING,
  SUBSCRIPTIONS,
  WAITING,
} from './stored-session.ts'

const NO_REQUESTS: PacketTable<OpenRequest> = emptyTable()

/**
 * @param before The state that is on disk, or null if all of the session is to be written.
 * @param writer An empty writer; it is empty again afterwards.
 */
export function changesBetween(
  before: SessionParts | null,
  now: SessionParts,
  writer: RecordWriter,
): Change[] {
  const changes: Change[] = [put(HEAD, numbersOf(now.state))]
  const requests = new RequestChanges(writer)
  addOpen(before, now, requests, changes)
  addWaiting(before, now, requests, changes)
  addReceived(before, now, changes)
  if (before?.state.subscriptions !== now.state.subscriptions) {
    changes.push(put(SUBSCRIPTIONS, subscriptionsOf(now.state.subscriptions)))
  }
  addSettling(before, now, changes)
  requests.addTo(changes)
  return changes
}

/**
 * Collects the requests that were added and removed since the last commit. A request that only
 * moves, from the waiting to those in flight, is not written again.
 */
class RequestChanges {
  readonly #writer: RecordWriter
  readonly #removed = new Set<number>()
  readonly #added = new Map<number, readonly HeldRecord[]>()

  constructor(writer: RecordWriter) {
    this.#writer = writer
  }

  remove(order: number): void {
    this.#removed.add(order)
  }

  add(order: number, held: readonly HeldRecord[]): void {
    this.#added.set(order, held)
  }

  addTo(changes: Change[]): void {
    for (const order of this.#removed) {
      if (!this.#added.has(order)) changes.push(remove(REQUEST, order))
    }
    for (const [order, held] of this.#added) {
      if (this.#removed.has(order)) continue
      for (const { request } of held) this.#writer.add(request, 0)
      changes.push({ key: recordKeyOf(REQUEST, order), value: this.#writer.finish() })
    }
  }
}

function addOpen(
  before: SessionParts | null,
  now: SessionParts,
  requests: RequestChanges,
  changes: Change[],
): void {
  for (const [id, was, is] of differences(before?.state.open ?? NO_REQUESTS, now.state.open)) {
    const [old] = was === undefined ? [] : openRecords(before!, id, was)
    const [held] = is === undefined ? [] : openRecords(now, id, is)
    if (old !== undefined) requests.remove(old.order)
    if (held === undefined) {
      if (old !== undefined) changes.push(remove(OPEN, id))
      continue
    }
    requests.add(held.order, [held])
    changes.push(put(recordKeyOf(OPEN, id), progressOf(held)))
  }
}

function addWaiting(
  before: SessionParts | null,
  now: SessionParts,
  requests: RequestChanges,
  changes: Change[],
): void {
  const was = waitingOf(before)
  const is = waitingOf(now)
  for (const [order, request] of was) {
    if (is.get(order) === request) continue
    requests.remove(order)
    if (!is.has(order)) changes.push(remove(WAITING, order))
  }
  for (const [order, request] of is) {
    if (was.get(order) === request) continue
    const held = waitingRecords(now, request)
    if (held.length === 0) continue
    requests.add(order, held)
    changes.push(put(recordKeyOf(WAITING, order), progressOf(held[0]!)))
  }
  const sequence = sequenceOf(is)
  if (sequence !== null) changes.push(put(SEQUENCE, sequence))
  else if (sequenceOf(was) !== null) changes.push({ key: SEQUENCE, value: null })
}

function waitingOf(parts: SessionParts | null): ReadonlyMap<number, WaitingRequest> {
  const { waiting, waitingAt } = parts?.state ?? { waiting: [], waitingAt: 0 }
  return new Map(waiting.slice(waitingAt).map((request) => [request.order, request]))
}

/** @returns the orders of the waiting requests, or null if they are ascending. */
function sequenceOf(waiting: ReadonlyMap<number, unknown>): readonly number[] | null {
  let last = 0
  for (const order of waiting.keys()) {
    if (order < last) return [...waiting.keys()]
    last = order
  }
  return null
}

function addReceived(before: SessionParts | null, now: SessionParts, changes: Change[]): void {
  const was = before?.state.received ?? emptyTable()
  for (const [id, , message] of differences(was, now.state.received)) {
    if (message === undefined) changes.push(remove(RECEIVED, id))
    else changes.push(put(recordKeyOf(RECEIVED, id), receivedRecord(id, message)))
  }
}

function addSettling(before: SessionParts | null, now: SessionParts, changes: Change[]): void {
  const was = before?.settling ?? new Map()
  const is = now.settling
  if (was === is) return
  for (const key of was.keys()) if (!is.has(key)) changes.push(remove(SETTLING, key))
  for (const [key, { ok }] of is) {
    if (was.get(key)?.ok !== ok) changes.push(put(recordKeyOf(SETTLING, key), [key, ok]))
  }
}
