/**
 * How does a spool look on disk? As records of many requests, bits that mark those of them which
 * are settled, totals, and how far producers got.
 *
 * A record and its bits have the number of its first request in their keys.
 */
import type { SentRequest } from '../../requests/vocabulary.ts'
import { checkedJson, checkedValueOf } from '../store/checked-record.ts'
import { keyOf, numberOf } from '../store/numbered-keys.ts'
import type { Operation, RecordDatabase, StoredRecord } from '../store/record-database.ts'
import { RecordWriter, readRecord } from '../store/request-records.ts'
import { expiryOf, requestBytes } from '../store/request-size.ts'
import { Chunk } from './chunks.ts'
import { type Amount, amountOf, EMPTY_AMOUNT, sum, type Totals } from './totals.ts'

/** How much is read in one go. */
const RECORDS_READ_BYTES = 512 << 10

const RECORD = 'r'
const SETTLED_BITS = 'm'
const DAMAGED = 'x'
const TOTALS = 't'
const POSITION = 'p'
const AFTER_POSITIONS = 'q'

export function putRecord(first: number, value: Uint8Array): Operation {
  return { type: 'put', key: keyOf(RECORD, first), value }
}

export function putTotals(totals: Totals): Operation {
  return { type: 'put', key: TOTALS, value: checkedJson(totals) }
}

/** @returns the totals that were stored last; null if there are none, or they are damaged. */
export async function readTotals(database: RecordDatabase): Promise<Totals | null> {
  return checkedValueOf<Totals>(await database.get(TOTALS))
}

/**
 * Reads everything.
 * @param setAside Removes a damaged record from what is read.
 * @returns what is not settled, the highest number, and when the last of the messages that expire
 *   was pushed.
 */
export async function countAll(
  database: RecordDatabase,
  setAside: (record: StoredRecord) => Promise<void>,
): Promise<Amount & { readonly last: number; readonly pushedAt: number }> {
  let amount: Amount = EMPTY_AMOUNT
  let last = 0
  let pushedAt = 0
  for (;;) {
    const { chunks, damaged, through } = await readChunks(database, last)
    for (const record of damaged) await setAside(record)
    if (through === null) return { ...amount, last, pushedAt }
    amount = sum(amount, amountOf(chunks))
    pushedAt = Math.max(pushedAt, ...chunks.map(lastPushOf))
    last = through
  }
}

/** @returns when the last of the messages that expire was pushed, or 0. */
function lastPushOf({ requests, expiries }: Chunk): number {
  const times = (expiries ?? []).map((expiresAt, i) => {
    const request = requests[i] ?? null
    return request === null || expiresAt === 0 ? 0 : expiresAt - expiryOf(request, () => 0)
  })
  return Math.max(0, ...times)
}

/** What was found behind a number. */
interface FoundRecords {
  readonly chunks: readonly Chunk[]
  readonly damaged: readonly StoredRecord[]
  /** The highest number of what was read; null if there was nothing. */
  readonly through: number | null
}

/** @returns the next records behind the number `after`, of those that have numbers up to `last`. */
export async function readChunks(
  database: RecordDatabase,
  after: number,
  last: number = Number.MAX_SAFE_INTEGER,
): Promise<FoundRecords> {
  const found = await readRecords(database, after)
  const chunks: Chunk[] = []
  const damaged: StoredRecord[] = []
  let through = after
  const bits = await readSettledBits(database, found)
  for (const record of found) {
    const first = numberOf(record[0])
    // The key has no checksum. It may be damaged too.
    const isPlausible = keyOf(RECORD, first) === record[0] && first > through && first <= last
    const chunk = isPlausible ? chunkOf(record, bits.get(first)) : null
    if (chunk === null) damaged.push(record)
    else chunks.push(chunk)
    if (isPlausible) through = chunk?.last ?? first
  }
  return { chunks, damaged, through: found.length === 0 ? null : through }
}

/** @returns the next records whose first number is above `after`; none if there are none. */
function readRecords(database: RecordDatabase, after: number): Promise<readonly StoredRecord[]> {
  return database.range({ gt: keyOf(RECORD, after), lt: `${RECORD}~` }, RECORDS_READ_BYTES)
}

/** @returns the bits of these records that have some, under the first number of each. */
async function readSettledBits(
  database: RecordDatabase,
  records: readonly StoredRecord[],
): Promise<ReadonlyMap<number, Uint8Array>> {
  if (records.length === 0) return new Map()
  const [first, last] = [records[0]!, records.at(-1)!].map(([key]) => numberOf(key))
  // A key that is damaged may be no number.
  const keys = [first, last].map((number) => keyOf(SETTLED_BITS, number || 0))
  const found = await database.range({ gte: keys[0]!, lt: `${keys[1]}~` })
  return new Map(found.map(([key, value]) => [numberOf(key), value]))
}

/** @returns the requests of a record, or null if it is damaged. */
function chunkOf([key, value]: StoredRecord, bits: Uint8Array | undefined): Chunk | null {
  const first = numberOf(key)
  const chunk = new Chunk(first, true)
  const isIntact = readRecord(value, (request, expiresAt) => {
    chunk.add(request, requestBytes(request), expiresAt)
  })
  if (!isIntact) return null
  if (bits !== undefined) chunk.applySettledBits(bits)
  return chunk
}

/** Notes how far a producer got; null removes the note. */
export function putPosition(producer: string, position: unknown): Operation {
  // Keys are ASCII.
  const key = POSITION + encodeURIComponent(producer)
  if (position === null) return { type: 'del', key }
  return { type: 'put', key, value: checkedJson(position) }
}

/** @returns how far each producer got; null for one whose record is damaged. */
export async function readPositions(database: RecordDatabase): Promise<Map<string, unknown>> {
  const found = await database.range({ gt: POSITION, lt: AFTER_POSITIONS })
  return new Map(
    found.map(([key, value]) => [
      decodeURIComponent(key.slice(POSITION.length)),
      checkedValueOf(value),
    ]),
  )
}

/** @returns the damaged records that were set aside. */
export function readDamaged(database: RecordDatabase): Promise<readonly StoredRecord[]> {
  return database.range({ gt: DAMAGED, lt: `${DAMAGED}~` })
}

/** Moves a damaged record to another key, so that it can still be examined. */
export function setAside([key, value]: StoredRecord): Operation[] {
  return [
    { type: 'put', key: DAMAGED + key, value: new Uint8Array(value) },
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
