/**
 * A session on disk: what an outcome or an acknowledgement rests on is there before the packet leaves. (S1, R2)
 *
 * A session is many small records, and a commit writes a journal of those that changed since the last one: what two states of
 * the reducers share is not even looked at. A request is written once, whatever becomes of it; beside it stands how far it is.
 * When the journals have outgrown the session, it is written whole and they go.
 */

import { StorageError } from '../../errors.ts'
import { differences, emptyTable, type PacketTable } from '../../protocol/packet-table.ts'
import type { OpenRequest } from '../../protocol/session-state.ts'
import { subscriptionsOf } from '../../protocol/subscriptions.ts'
import {
  type HeldRecord,
  numbersOf,
  openRecords,
  receivedRecord,
  Session,
  type SessionParts,
  type SessionRecord,
  type SessionStore,
  waitingRecords,
} from '../../requests/session.ts'
import { Database, type Operation } from '../store/database.ts'
import { type Change, JournalWriter, replayJournal } from '../store/journal.ts'
import { RecordWriter, readRecord } from '../store/request-records.ts'

/** Last of a session that is written whole. */
const WHOLE = 'whole'
/** Numbers, and what else is no list. */
const HEAD = 'head'
const SUBSCRIPTIONS = 'subscriptions'
/** By packet identifier: how far a request is. */
const OPEN = 'o'
/** By order: a request without identifier, or a group of them. */
const WAITING = 'w'
/** Orders of these, where they do not wait in that of their numbers. */
const SEQUENCE = 'sequence'
/** By order: the requests themselves. */
const REQUEST = 'q'
/** By packet identifier: a message at QoS 2. */
const RECEIVED = 'm'
/** By key: an outcome that its source has not confirmed. */
const SETTLING = 's'

const NO_REQUESTS: PacketTable<OpenRequest> = emptyTable()
const NOTHING = Buffer.from('[]')
const ALL = { gte: 'j', lt: 'k' }
/** Journals smaller than this are not worth writing the session whole. */
const JOURNAL_BYTES = 4 << 20
/** Read at once. */
const READ_BYTES = 8 << 20
/** Of one journal: what is written and read at once stays small. */
const RECORD_BYTES = 1 << 20

class DiskSession implements SessionStore {
  readonly #directory: string
  /** Null: closed; a later `load` opens it again. */
  #database: Database | null
  /** What is on disk. Null: nobody has compared yet. */
  #kept: SessionParts | null = null
  /** Journals on disk: from, up to before; and their size. */
  #first = 0
  #next = 0
  #bytes = 0
  /** Of the session, when it was last written whole. */
  #wholeBytes = 0
  readonly #requests = new RecordWriter()
  readonly #writer = new JournalWriter()

  constructor(directory: string, database: Database) {
    this.#directory = directory
    this.#database = database
  }

  async load(): Promise<Session | null> {
    this.#database ??= await Database.open(this.#directory, KIND)
    this.#kept = null
    const { records, isTorn } = await this.#replay(this.#database)
    const head = records.get(HEAD)
    if (head === undefined) return null
    const record: SessionRecord = {
      ...(read(head) as ReturnType<typeof numbersOf>),
      // The last commits are lost: what was received and acknowledged since is not known.
      final: !isTorn,
      held: heldOf(records),
      received: listOf(records, RECEIVED),
      subscriptions: read(records.get(SUBSCRIPTIONS) ?? NOTHING) as Subscriptions,
      settling: listOf(records, SETTLING),
    }
    return new Session(record, { record })
  }

  /**
   * Up to the first journal that is missing or damaged; what follows it would be changes of something else.
   * @throws StorageError where the session itself is damaged, and not only what changed since.
   */
  async #replay(database: Database): Promise<{ records: Map<string, Buffer>; isTorn: boolean }> {
    const records = new Map<string, Buffer>()
    let isWhole = true
    let after: string = ALL.gte
    this.#first = 0
    this.#next = 0
    for (;;) {
      const journals = await database.range({ gt: after, lt: ALL.lt }, READ_BYTES)
      for (const [key, journal] of journals) {
        const number = numberOf(key)
        if (this.#next === 0) this.#first = number
        else isWhole &&= number === this.#next
        isWhole &&= replayJournal(journal, records)
        this.#next = number + 1
        after = key
      }
      if (journals.length > 0) continue
      if (this.#next === 0 || records.has(WHOLE)) {
        return { records, isTorn: !isWhole || database.repaired }
      }
      throw new StorageError(
        `The session in ${this.#directory} is damaged; move the directory away to begin a new one`,
        { code: 'DAMAGED' },
      )
    }
  }

  async commit(session: Session): Promise<void> {
    const parts = session.parts!
    const outgrown = this.#bytes > Math.max(JOURNAL_BYTES, 4 * this.#wholeBytes)
    const whole = this.#kept === null || outgrown
    const changes = this.#changes(whole ? null : this.#kept, parts)
    if (whole) changes.push(put(WHOLE, true))
    const journals = this.#journalsOf(changes)
    const added = journals.reduce((sum, { length }) => sum + length, 0)
    const next = this.#next + journals.length
    const operations = journals.map((value, i): Operation => {
      return { type: 'put', key: keyOf(this.#next + i), value }
    })
    if (whole) for (let i = this.#first; i < this.#next; i++) operations.push(del(keyOf(i)))
    await this.#database!.commit(operations, added)
    if (whole) this.#first = this.#next
    this.#next = next
    this.#bytes = whole ? added : this.#bytes + added
    if (whole) this.#wholeBytes = added
    this.#kept = parts
  }

  #journalsOf(changes: readonly Change[]): Buffer[] {
    const journals: Buffer[] = []
    for (const change of changes) {
      this.#writer.add(change)
      if (this.#writer.bytes > RECORD_BYTES) journals.push(this.#writer.finish())
    }
    journals.push(this.#writer.finish())
    return journals
  }

  async close(): Promise<void> {
    const database = this.#database
    this.#database = null
    await database?.close()
  }

  #changes(before: SessionParts | null, now: SessionParts): Change[] {
    const { state } = now
    const operations: Change[] = [put(HEAD, numbersOf(state))]
    const requests = new Requests(this.#requests)
    for (const [id, was, is] of differences(before?.state.open ?? NO_REQUESTS, state.open)) {
      const [old] = was === undefined ? [] : openRecords(before!, id, was)
      const [held] = is === undefined ? [] : openRecords(now, id, is)
      if (old !== undefined) requests.remove(old.order)
      if (held === undefined) {
        if (old !== undefined) operations.push(gone(OPEN, id))
        continue
      }
      requests.add(held.order, [held])
      operations.push(put(nameOf(OPEN, id), progressOf(held)))
    }
    this.#waitingChanges(before, now, requests, operations)
    const received = before?.state.received ?? emptyTable()
    for (const [id, , message] of differences(received, state.received)) {
      if (message === undefined) operations.push(gone(RECEIVED, id))
      else operations.push(put(nameOf(RECEIVED, id), receivedRecord(id, message)))
    }
    if (before?.state.subscriptions !== state.subscriptions) {
      operations.push(put(SUBSCRIPTIONS, subscriptionsOf(state.subscriptions)))
    }
    this.#settlingChanges(before, now, operations)
    requests.finish(operations)
    return operations
  }

  #waitingChanges(
    before: SessionParts | null,
    now: SessionParts,
    requests: Requests,
    operations: Change[],
  ): void {
    const was = waitingOf(before)
    const is = waitingOf(now)
    for (const [order, request] of was) {
      if (is.get(order) === request) continue
      requests.remove(order)
      if (!is.has(order)) operations.push(gone(WAITING, order))
    }
    for (const [order, request] of is) {
      if (was.get(order) === request) continue
      const held = waitingRecords(now, request)
      if (held.length === 0) continue
      requests.add(order, held)
      operations.push(put(nameOf(WAITING, order), progressOf(held[0]!)))
    }
    const sequence = sequenceOf(is)
    if (sequence !== null) operations.push(put(SEQUENCE, sequence))
    else if (sequenceOf(was) !== null) operations.push({ key: SEQUENCE, value: null })
  }

  #settlingChanges(before: SessionParts | null, now: SessionParts, operations: Change[]): void {
    const was = before?.settling ?? new Map()
    const is = now.settling
    if (was === is) return
    for (const key of was.keys()) if (!is.has(key)) operations.push(gone(SETTLING, key))
    for (const [key, { ok }] of is) {
      if (was.get(key)?.ok !== ok) operations.push(put(nameOf(SETTLING, key), [key, ok]))
    }
  }
}

type Subscriptions = SessionRecord['subscriptions']
type Progress = Omit<HeldRecord, 'request'>

/** Requests that come and go within one commit: what only changes its place is not written again. */
class Requests {
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

  finish(operations: Change[]): void {
    for (const order of this.#removed) {
      if (!this.#added.has(order)) operations.push(gone(REQUEST, order))
    }
    for (const [order, held] of this.#added) {
      if (this.#removed.has(order)) continue
      for (const { request } of held) this.#writer.add(request, 0)
      operations.push({ key: nameOf(REQUEST, order), value: this.#writer.finish() })
    }
  }
}

function waitingOf(parts: SessionParts | null) {
  const { waiting, waitingAt } = parts?.state ?? { waiting: [], waitingAt: 0 }
  return new Map(waiting.slice(waitingAt).map((request) => [request.order, request]))
}

/** Null: ascending. */
function sequenceOf(waiting: ReadonlyMap<number, unknown>): readonly number[] | null {
  let last = 0
  for (const order of waiting.keys()) {
    if (order < last) return [...waiting.keys()]
    last = order
  }
  return null
}

function progressOf({ request, ...progress }: HeldRecord): Progress {
  return progress
}

/** In their order, as a session lists them: what has an identifier first. */
function heldOf(records: ReadonlyMap<string, Buffer>): HeldRecord[] {
  const [open, waiting] = [OPEN, WAITING].map((kind) =>
    listOf<Progress>(records, kind).sort((a, b) => a.order - b.order),
  )
  const sequence = records.get(SEQUENCE)
  if (sequence !== undefined) {
    const places = new Map((read(sequence) as number[]).map((order, place) => [order, place]))
    waiting!.sort((a, b) => places.get(a.order)! - places.get(b.order)!)
  }
  return [...open!, ...waiting!].flatMap((progress) => {
    const requests: HeldRecord[] = []
    readRecord(records.get(nameOf(REQUEST, progress.order)) ?? NOTHING, (request) => {
      requests.push({ ...progress, request })
    })
    return requests
  })
}

function listOf<T>(records: ReadonlyMap<string, Buffer>, kind: string): T[] {
  const found: T[] = []
  for (const [key, value] of records) {
    if (key.startsWith(kind) && key[kind.length] === ' ') found.push(read(value) as T)
  }
  return found
}

function nameOf(kind: string, id: number | string): string {
  return `${kind} ${typeof id === 'string' ? JSON.stringify(id) : id}`
}

function put(key: string, value: unknown): Change {
  return { key, value: JSON.stringify(value) }
}

function gone(kind: string, id: number | string): Change {
  return { key: nameOf(kind, id), value: null }
}

function del(key: string): Operation {
  return { type: 'del', key }
}

/** Numbers in the order of their names. */
function keyOf(journal: number): string {
  return `j${journal.toString(16).padStart(14, '0')}`
}

function numberOf(key: string): number {
  return Number.parseInt(key.slice(1), 16)
}

function read(value: Buffer): unknown {
  return JSON.parse(value.toString())
}

const KIND = 'session'

/**
 * Opens a session that is kept in a directory, made where there is none, for one loop at a time: `eventloop({ session })`.
 *
 * The loop closes it at its end; given to another loop it is opened again. Needs the package `classic-level`.
 * @throws UsageError without `classic-level`, or for a directory of something else.
 * @throws StorageError where the directory is in use (`IN_USE`, naming the process), or cannot be read or made.
 */
export async function openSession(directory: string): Promise<SessionStore> {
  return new DiskSession(directory, await Database.open(directory, KIND))
}
