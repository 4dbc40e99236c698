/**
 * What does a stream or a session on disk need of a database? Few methods, so that each runtime has
 * one: LevelDB on Node, IndexedDB in a browser.
 */

import { asBytes, utf8Bytes, utf8Text } from '#bytes'
import { UsageError } from '../../errors.ts'

/** A change of one record. Keys are ASCII. */
export type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string }

/** A range of keys. */
export interface KeyRange {
  readonly gte?: string
  readonly gt?: string
  readonly lt: string
}

/** A record as the database gives it. */
export type StoredRecord = readonly [key: string, value: Uint8Array]

/** What a database may hold. */
const KINDS = ['spool', 'session', 'dedupe'] as const

export type DatabaseKind = (typeof KINDS)[number]

/** The format of the records. */
const DATABASE_FORMAT = 1

/** Records under ascending keys, which one owner at a time has open. */
export interface RecordDatabase {
  /** The name under which the user knows it: the path of a directory on Node. */
  readonly directory: string
  /** True if the database was damaged when it was opened: records may be missing. */
  readonly repaired: boolean
  /**
   * The last summary of an earlier owner; null if there is none, or if this kind of database never
   * loses commits without an error.
   */
  readonly summary: unknown
  /**
   * Resolves once all operations are on the disk.
   * @param addedBytes How many bytes are new; 0 (default) if the operations only remove or mark.
   * @param summary What the content is after the commit, from which a later owner knows whether
   *   anything was lost.
   * @throws StorageError (`DISK_FULL`, retryable, `WRITE_FAILED`, or `DIRECTORY_GONE`); then none
   *   was performed.
   */
  commit(operations: readonly Operation[], addedBytes?: number, summary?: unknown): Promise<void>
  /**
   * @returns the value, or undefined if there is none under this key.
   * @throws StorageError if the disk fails.
   */
  get(key: string): Promise<Uint8Array | undefined>
  /**
   * @returns the records of a range by ascending key, until they have `maxBytes`; at least one if
   *   there is any.
   * @throws StorageError if the disk fails.
   */
  range(range: KeyRange, maxBytes?: number): Promise<readonly StoredRecord[]>
  /** Closes the database and gives it up. Further calls do nothing. */
  close(): Promise<void>
}

/** The key of the record that names the kind and the format of the database. */
const ABOUT = '!about'

/**
 * Labels a database that is empty, and compares the label of one that is not.
 * @throws UsageError if the database holds something else, or is of another format.
 */
export async function claimDatabase(database: RecordDatabase, kind: DatabaseKind): Promise<void> {
  const found = aboutOf(await database.get(ABOUT))
  if (found === null) {
    const value = utf8Bytes(JSON.stringify({ 'it-mqtt': kind, format: DATABASE_FORMAT }))
    return database.commit([{ type: 'put', key: ABOUT, value }])
  }
  if (found.kind === kind && found.format === DATABASE_FORMAT) return
  throw new UsageError(
    `${database.directory} holds a ${found.kind} of format ${found.format}, not a ${kind} of ` +
      `format ${DATABASE_FORMAT}`,
  )
}

/** @returns what the database says that it is; null if it says nothing, or is damaged there. */
function aboutOf(value: Uint8Array | undefined): { kind: DatabaseKind; format: number } | null {
  if (value === undefined) return null
  try {
    const found = JSON.parse(utf8Text(asBytes(value), 0, value.length))
    const { 'it-mqtt': kind, format } = found
    return KINDS.includes(kind) && Number.isInteger(format) ? { kind, format } : null
  } catch {
    return null
  }
}

export function databaseClosed(directory: string): UsageError {
  return new UsageError(`${directory} is closed`, { code: 'CLOSED' })
}
