/**
 * How does a session look on disk? As many small records, so that a commit writes only those that
 * changed.
 *
 * A request is written once, under its order. Its progress, which changes, is a record of its own:
 * the packet identifier, the stage, and whether the request is settled.
 */
import { type Bytes, utf8Text } from '#bytes'
import type {
  HeldRecord,
  numbersOf,
  ReceivedRecord,
  SessionRecord,
} from '../../requests/session-records.ts'
import type { Change } from '../store/journal.ts'
import { readRecord } from '../store/request-records.ts'

/** The record that is written last when a session is written whole. */
export const WHOLE = 'whole'
/** The numbers of the session and all other fields that are not lists. */
export const HEAD = 'head'
export const SUBSCRIPTIONS = 'subscriptions'
/** By packet identifier: the progress of a request in flight. */
export const OPEN = 'o'
/** By order: the progress of a request without packet identifier, or of a group of them. */
export const WAITING = 'w'
/** The orders of the waiting requests in queue order; stored only if they are not ascending. */
export const SEQUENCE = 'sequence'
/** By order: a request, or the requests of a group. */
export const REQUEST = 'q'
/** By packet identifier: a QoS 2 message that was received. */
export const RECEIVED = 'm'
/** By key: an outcome that the request stream has not confirmed. */
export const SETTLING = 's'

/** The fields of a `HeldRecord` that may change while the request is held. */
type StoredProgress = Omit<HeldRecord, 'request'>

export function progressOf({ request, ...progress }: HeldRecord): StoredProgress {
  return progress
}

/** @returns the key of a record in a list. */
export function recordKeyOf(kind: string, id: number | string): string {
  return `${kind} ${typeof id === 'string' ? JSON.stringify(id) : id}`
}

export function put(key: string, value: unknown): Change {
  return { key, value: JSON.stringify(value) }
}

export function remove(kind: string, id: number | string): Change {
  return { key: recordKeyOf(kind, id), value: null }
}

/**
 * @param final False if the last commits may be lost, so that it is not known what was received and
 *   acknowledged after the rest.
 * @returns the session, or null if none was stored.
 */
export function sessionRecordOf(
  records: ReadonlyMap<string, Bytes>,
  final: boolean,
): SessionRecord | null {
  const head = records.get(HEAD)
  if (head === undefined) return null
  const subscriptions = records.get(SUBSCRIPTIONS)
  return {
    ...(parseRecord(head) as ReturnType<typeof numbersOf>),
    final,
    held: heldOf(records),
    received: listOf<ReceivedRecord>(records, RECEIVED),
    subscriptions:
      subscriptions === undefined
        ? []
        : (parseRecord(subscriptions) as SessionRecord['subscriptions']),
    settling: listOf(records, SETTLING),
  }
}

/**
 * @returns the held requests in the order of a session: first those in flight, then the waiting.
 */
function heldOf(records: ReadonlyMap<string, Bytes>): HeldRecord[] {
  const [open, waiting] = [OPEN, WAITING].map((kind) =>
    listOf<StoredProgress>(records, kind).sort((a, b) => a.order - b.order),
  )
  const sequence = records.get(SEQUENCE)
  if (sequence !== undefined) {
    const places = new Map(
      (parseRecord(sequence) as number[]).map((order, place) => [order, place]),
    )
    waiting!.sort((a, b) => places.get(a.order)! - places.get(b.order)!)
  }
  return [...open!, ...waiting!].flatMap((progress) => {
    const held: HeldRecord[] = []
    const record = records.get(recordKeyOf(REQUEST, progress.order))
    if (record !== undefined) {
      readRecord(record, (request) => {
        held.push({ ...progress, request })
      })
    }
    return held
  })
}

function listOf<T>(records: ReadonlyMap<string, Bytes>, kind: string): T[] {
  const found: T[] = []
  for (const [key, value] of records) {
    if (key.startsWith(kind) && key[kind.length] === ' ') found.push(parseRecord(value) as T)
  }
  return found
}

function parseRecord(value: Bytes): unknown {
  return JSON.parse(utf8Text(value, 0, value.length))
}
