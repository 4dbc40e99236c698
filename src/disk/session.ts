/**
 * A session on disk: what an outcome or an acknowledgement rests on is there before the packet leaves. (S1, R2)
 *
 * A session is many small records, and a commit writes those that changed since the last one: what two states of the reducers
 * share is not even looked at. A request is written once, whatever becomes of it; beside it stands how far it is.
 */
import type { OpenRequest } from '../protocol/contract.ts'
import { differences, emptyTable, type PacketTable } from '../protocol/packet-table.ts'
import { subscriptionsOf } from '../protocol/subscriptions.ts'
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
} from '../session.ts'
import { Database, type Operation } from './database.ts'
import { RecordWriter, readRecord } from './records.ts'

/** Numbers, and what else is no list. */
const HEAD = 'head'
const SUBSCRIPTIONS = 'subscriptions'
/** By packet identifier: how far a request is. */
const OPEN = 'o'
/** By order: a request without identifier, or a group of them. */
const WAITING = 'w'
/** By order: the requests themselves. */
const REQUEST = 'q'
/** By packet identifier: a message at QoS 2. */
const RECEIVED = 'm'
/** By key: an outcome that its source has not confirmed. */
const SETTLING = 's'

const NO_REQUESTS: PacketTable<OpenRequest> = emptyTable()
const NOTHING = Buffer.from('[]')
const ALL = { gt: '!~', lt: '~' }

class DiskSession implements SessionStore {
  readonly #directory: string
  /** Null: closed; a later `load` opens it again. */
  #database: Database | null
  /** What is on disk. Null: nobody has compared yet. */
  #kept: SessionParts | null = null
  readonly #writer = new RecordWriter()

  constructor(directory: string, database: Database) {
    this.#directory = directory
    this.#database = database
  }

  async load(): Promise<Session | null> {
    this.#database ??= await Database.open(this.#directory, KIND)
    this.#kept = null
    const records = new Map(await this.#database.range(ALL))
    const head = records.get(HEAD)
    if (head === undefined) return null
    const record: SessionRecord = {
      ...(read(head) as ReturnType<typeof numbersOf>),
      final: true,
      held: heldOf(records),
      received: listOf(records, RECEIVED),
      subscriptions: read(records.get(SUBSCRIPTIONS) ?? NOTHING) as Subscriptions,
      settling: listOf(records, SETTLING),
    }
    return new Session(record, { record })
  }

  async commit(session: Session): Promise<void> {
    const database = this.#database!
    const parts = session.parts!
    const clearing = this.#kept === null ? await this.#clear(database) : []
    const changes = this.#changes(this.#kept, parts)
    const added = changes.reduce((sum, one) => sum + (one.type === 'put' ? one.value.length : 0), 0)
    await database.commit([...clearing, ...changes], added)
    this.#kept = parts
  }

  async close(): Promise<void> {
    const database = this.#database
    this.#database = null
    await database?.close()
  }

  /** What an earlier life left. */
  async #clear(database: Database): Promise<Operation[]> {
    const records = await database.range(ALL)
    return records.map(([key]) => ({ type: 'del', key }))
  }

  #changes(before: SessionParts | null, now: SessionParts): Operation[] {
    const { state } = now
    const operations: Operation[] = [put(HEAD, numbersOf(state))]
    const requests = new Requests(this.#writer)
    for (const [id, was, is] of differences(before?.state.open ?? NO_REQUESTS, state.open)) {
      const [old] = was === undefined ? [] : openRecords(before!, id, was)
      const [held] = is === undefined ? [] : openRecords(now, id, is)
      if (old !== undefined) requests.remove(old.order)
      if (held === undefined) {
        if (old !== undefined) operations.push(del(OPEN, id))
        continue
      }
      requests.add(held.order, [held])
      operations.push(put(nameOf(OPEN, id), progressOf(held)))
    }
    this.#waitingChanges(before, now, requests, operations)
    const received = before?.state.received ?? emptyTable()
    for (const [id, , message] of differences(received, state.received)) {
      if (message === undefined) operations.push(del(RECEIVED, id))
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
    operations: Operation[],
  ): void {
    const was = waitingOf(before)
    const is = waitingOf(now)
    for (const [order, request] of was) {
      if (is.get(order) === request) continue
      requests.remove(order)
      if (!is.has(order)) operations.push(del(WAITING, order))
    }
    for (const [order, request] of is) {
      if (was.get(order) === request) continue
      const held = waitingRecords(now, request)
      if (held.length === 0) continue
      requests.add(order, held)
      operations.push(put(nameOf(WAITING, order), progressOf(held[0]!)))
    }
  }

  #settlingChanges(before: SessionParts | null, now: SessionParts, operations: Operation[]): void {
    const was = before?.settling ?? new Map()
    const is = now.settling
    if (was === is) return
    for (const key of was.keys()) if (!is.has(key)) operations.push(del(SETTLING, key))
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

  finish(operations: Operation[]): void {
    for (const order of this.#removed) {
      if (!this.#added.has(order)) operations.push(del(REQUEST, order))
    }
    for (const [order, held] of this.#added) {
      if (this.#removed.has(order)) continue
      for (const { request } of held) this.#writer.add({ request, bytes: 0, expiresAt: 0 })
      operations.push({ type: 'put', key: nameOf(REQUEST, order), value: this.#writer.finish() })
    }
  }
}

function waitingOf(parts: SessionParts | null) {
  const { waiting, waitingAt } = parts?.state ?? { waiting: [], waitingAt: 0 }
  return new Map(waiting.slice(waitingAt).map((request) => [request.order, request]))
}

function progressOf({ request, ...progress }: HeldRecord): Progress {
  return progress
}

/** In their order, as a session lists them. */
function heldOf(records: ReadonlyMap<string, Uint8Array>): HeldRecord[] {
  const held = [OPEN, WAITING].flatMap((kind) =>
    (listOf(records, kind) as Progress[]).flatMap((progress) => {
      const record = records.get(nameOf(REQUEST, progress.order))
      const requests = record === undefined ? null : readRecord(record)
      return (requests ?? []).map(({ request }): HeldRecord => ({ ...progress, request }))
    }),
  )
  return held.sort((a, b) => a.order - b.order)
}

function listOf<T>(records: ReadonlyMap<string, Uint8Array>, kind: string): T[] {
  const found: T[] = []
  for (const [key, value] of records) {
    if (key.startsWith(kind) && key[kind.length] === ' ') found.push(read(value) as T)
  }
  return found
}

function nameOf(kind: string, id: number | string): string {
  return `${kind} ${typeof id === 'string' ? JSON.stringify(id) : id}`
}

function put(key: string, value: unknown): Operation {
  return { type: 'put', key, value: Buffer.from(JSON.stringify(value)) }
}

function del(kind: string, id: number | string): Operation {
  return { type: 'del', key: nameOf(kind, id) }
}

function read(value: Uint8Array): unknown {
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString())
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
