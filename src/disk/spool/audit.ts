/**
 * Is everything still in a spool that was stored there? What is found is compared with the totals,
 * since LevelDB passes over what it cannot read without an error.
 *
 * Usually the comparison costs nothing: it is made while requests are read for delivery. Everything
 * is read when the spool is opened only if the totals themselves may be out of date.
 */
import type { RecordDatabase, StoredRecord } from '../store/record-database.ts'
import type { Chunk } from './chunks.ts'
import type { SpoolWarning } from './spool-options.ts'
import { countAll, readTotals, setAside } from './spool-records.ts'
import { type Amount, amountOf, EMPTY_AMOUNT, sum, type Totals } from './totals.ts'

interface Opened {
  readonly totals: Totals
  /** What is in the totals and was not found; negative if more was found. */
  readonly missing: Amount
  /** Whether something was damaged of which no totals say how much it was. */
  readonly isUnknown: boolean
}

/**
 * Reads the totals; counts again if they are missing, damaged or older than the summary that was
 * written outside of the database.
 */
export async function openTotals(
  database: RecordDatabase,
  setAside: (record: StoredRecord) => Promise<void>,
): Promise<Opened> {
  const stored = await readTotals(database)
  const summary = database.summary as Totals | null
  const isStale = (summary?.commits ?? 0) > (stored?.commits ?? 0)
  if (stored !== null && !isStale && !database.repaired) {
    return { totals: stored, missing: EMPTY_AMOUNT, isUnknown: false }
  }
  const expected = isStale ? summary! : stored
  const { last, pushedAt, ...counted } = await countAll(database, setAside)
  const totals: Totals = {
    ...counted,
    last: Math.max(last, expected?.last ?? 0),
    commits: expected?.commits ?? 0,
    lost: expected?.lost ?? 0,
    clock: expected?.clock ?? (pushedAt > 0 ? { at: pushedAt, wall: 0 } : null),
  }
  const isUnknown = expected === null && (database.repaired || counted.size > 0)
  return {
    totals,
    missing: expected === null ? EMPTY_AMOUNT : sum(expected, counted, -1),
    isUnknown,
  }
}

/** Moves a damaged record away and reports it. */
export async function setRecordAside(
  database: RecordDatabase,
  record: StoredRecord,
  { warn }: { warn(warning: SpoolWarning): void },
): Promise<void> {
  await database.commit(setAside(record))
  const message =
    `A record of ${database.directory} is damaged (key ${JSON.stringify(record[0])}, ` +
    `${record[1].length} bytes): the requests in it are lost. It was set aside.`
  warn({ code: 'RECORD_DAMAGED', message })
}

/** Compares what is read of an earlier process with what that process counted. */
export class Audit {
  #missing: Amount
  /** The highest number that an earlier process gave. */
  readonly #last: number
  #isOver = false

  constructor({ last, size, bytes, digest }: Amount & Pick<Totals, 'last'>) {
    this.#last = last
    this.#missing = { size, bytes, digest }
  }

  /** Counts chunks that were read in order, before anything in them is settled. */
  found(chunks: readonly Chunk[]): void {
    if (this.#isOver) return
    const old = chunks.filter(({ first }) => first <= this.#last)
    this.#missing = sum(this.#missing, amountOf(old), -1)
  }

  /**
   * @param through Everything up to this number was read.
   * @returns what is missing, once everything was read; otherwise null.
   */
  conclude(through: number): Amount | null {
    if (this.#isOver || through < this.#last) return null
    this.#isOver = true
    return this.#missing
  }
}

/** @returns whether there is a difference. Bytes are counted anew in any case. */
export function isDifferent({ size, digest }: Amount): boolean {
  return size !== 0 || digest !== 0
}

/** @returns what a person is told about the difference. */
export function lossWarning(directory: string, { size }: Amount): SpoolWarning {
  const cause = `files of ${directory} were damaged or removed`
  if (size > 0) {
    const message =
      `${requests(size)} lost, because ${cause}. Check the disk; ` +
      `\`it-mqtt spool ${directory}\` shows the count until it is cleared.`
    return { code: 'REQUESTS_LOST', message }
  }
  const what =
    size < 0
      ? `${requests(-size)} settled before and sent again`
      : 'Some requests may be lost, and as many settled ones sent again'
  return { code: 'RECORD_DAMAGED', message: `${what}, because ${cause}. Check the disk.` }
}

/** @returns what a person is told if nothing says how much there was. */
export function unknownLoss(directory: string): SpoolWarning {
  const message =
    `Files of ${directory} were damaged, and with them the count of the requests: some may be ` +
    'lost. Check the disk.'
  return { code: 'RECORD_DAMAGED', message }
}

/** @returns what a person is told if it is not known any more how far a producer got. */
export function lostPosition(directory: string, producer: string): SpoolWarning {
  const message =
    `The position of ${producer} in ${directory} is damaged: it begins again, and requests that ` +
    'it stored before are sent twice. Check the disk.'
  return { code: 'RECORD_DAMAGED', message }
}

function requests(count: number): string {
  return count === 1 ? '1 request was' : `${count} requests were`
}
