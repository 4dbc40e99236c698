/**
 * How does a spool look on disk? As records of many requests, bits that mark those of them which
 * are settled, and totals.
 *
 * A record and its bits have the number of its first request in their keys.
 */
import type { SentRequest } from '../../requests/vocabulary.ts'
import type { Database, Operation } from '../store/database.ts'
import { keyOf, numberOf } from '../store/numbered-keys.ts'
import { RecordWriter, readRecord } from '../store/request-records.ts'
import { requestBytes } from '../store/request-size.ts'
import { Chunk } from './chunks.ts'

export interface Totals {
  /** The highest number that was given to a request. */
  readonly last: number
  /** How many requests are not settled. */
  readonly size: number
  /** Their bytes. */
  readonly bytes: number
}

/** A record as the database gives it. */
export type StoredRecord = readonly [key: string, value: Uint8Array]

/** How much is read in one go. */
const RECORDS_READ_BYTES = 512 << 10

const RECORD = 'r'
const SETTLED_BITS = 'm'
const DAMAGED = 'x'
const TOTALS = 't'

export function putRecord(first: number, value: Uint8Array): Operation {
  return { type: 'put', key: keyOf(RECORD, first), value }
}

export function putTotals(totals: Totals): Operation {
  return { type: 'put', key: TOTALS, value: Buffer.from(JSON.stringify(totals)) }
}

/**
 * @returns the totals that were stored last. They are counted again if the stored ones may be
 *   wrong.
 */
export async function readTotals(database: Database): Promise<Totals> {
  const stored = database.repaired ? undefined : await database.get(TOTALS)
  return stored === undefined ? countAll(database) : JSON.parse(Buffer.from(stored).toString())
}

async function countAll(database: Database): Promise<Totals> {
  let totals: Totals = { last: 0, size: 0, bytes: 0 }
  for (;;) {
    const found = await readRecords(database, totals.last)
    if (found.length === 0) return totals
    for (const record of found) {
      const chunk = await readChunk(database, record)
      totals = {
        last: Math.max(numberOf(record[0]), chunk?.last ?? 0),
        size: totals.size + (chunk?.left ?? 0),
        bytes: totals.bytes + (chunk?.bytes ?? 0),
      }
    }
  }
}

/** @returns the next records whose first number is above `after`; none if there are none. */
export function readRecords(database: Database, after: number): Promise<readonly StoredRecord[]> {
  return database.range({ gt: keyOf(RECORD, after), lt: `${RECORD}~` }, RECORDS_READ_BYTES)
}

/** @returns the requests of a record, or null if it is damaged. */
export async function readChunk(
  database: Database,
  [key, value]: StoredRecord,
): Promise<Chunk | null> {
  const first = numberOf(key)
  const chunk = new Chunk(first, true)
  const isIntact = readRecord(value, (request, expiresAt) => {
    chunk.add(request, requestBytes(request), expiresAt)
  })
  if (!isIntact) return null
  const bits = await database.get(keyOf(SETTLED_BITS, first))
  if (bits !== undefined) chunk.applySettledBits(bits)
  return chunk
}

/** Moves a damaged record to another key, so that it can still be examined. */
export function setAside([key, value]: StoredRecord): Operation[] {
  return [
    { type: 'put', key: DAMAGED + key, value: Buffer.from(value) },
    { type: 'del', key },
  ]
}

/** Stores which requests of a chunk are settled; removes the record if all of them are. */
export function settledChanges(chunk: Chunk): Operation[] {
  if (chunk.left > 0) return [putSettledBits(chunk)]
  return [RECORD, SETTLED_BITS].map((kind) => ({ type: 'del', key: keyOf(kind, chunk.first) }))
}

/** Stores a chunk that was only in memory. The requests that are left keep their numbers. */
export function putChunk(chunk: Chunk): Operation[] {
  const writer = new RecordWriter()
  chunk.requests.forEach((request, i) => {
    writer.add(request ?? PLACEHOLDER, chunk.expiryAt(i))
  })
  const record = putRecord(chunk.first, writer.finish())
  return chunk.left < chunk.requests.length ? [record, putSettledBits(chunk)] : [record]
}

/** Stands in a record for a request that is settled. */
const PLACEHOLDER: SentRequest = { cmd: 'unsubscribe', unsubscriptions: [] }

function putSettledBits(chunk: Chunk): Operation {
  return { type: 'put', key: keyOf(SETTLED_BITS, chunk.first), value: chunk.settledBits() }
}
