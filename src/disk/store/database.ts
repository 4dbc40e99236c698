/**
 * How does a directory keep records safe? In LevelDB, opened by one process at a time.
 *
 * `commit` resolves once all of its operations are on the disk; if it rejects, none of them is.
 * LevelDB recovers from a torn tail by itself; a directory that it cannot open is repaired once.
 * After a failed write, later writes to the same log might not be found again, so LevelDB is closed
 * and opened again before the next one. To free space LevelDB compacts: it writes sorted copies of
 * records before it deletes the old ones. Without room for these copies not even removals free any
 * space. So a commit that adds records is refused unless it leaves enough free space to compact.
 */
import { mkdir, readFile, rename, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClassicLevel } from 'classic-level'
import { StorageError, UsageError } from '../../errors.ts'
import { ownerNow, ownerWords } from './owner.ts'
import { removeReserveFile, writeReserveFile } from './reserve-file.ts'

export type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string }

interface Range {
  readonly gte?: string
  readonly gt?: string
  readonly lt: string
}

type Level = ClassicLevel<string, Uint8Array>

/** The most bytes that one compaction writes: twelve times the write buffer, and its overlap. */
const COMPACTION_BYTES_MAX = 256 << 20
/**
 * How much LevelDB gathers in memory before it writes a table, in bytes. With LevelDB's default of
 * 4 MiB a message costs a third more in a queue of ten million messages than in one of ten
 * thousand; with 16 MiB it costs a tenth more.
 */
const WRITE_BUFFER_BYTES = 16 << 20
const WRITE_BUFFER_BYTES_MIN = 64 << 10
/**
 * On a small disk the write buffer is this fraction of the disk, because its content is on disk
 * twice.
 */
const WRITE_BUFFER_PART = 64
/** A new record takes room twice: in the log and in a table. */
const COPIES = 2
const DATABASE_FORMAT = 1
/** The key of the record that names the kind and the format of the directory. */
const ABOUT = '!about'
/** The file that names the process which has the directory open. */
const OWNER = 'owner.json'

export class Database {
  readonly directory: string
  /** True if LevelDB could not open the directory and repaired it: records may be missing. */
  readonly repaired: boolean
  readonly #engine: typeof ClassicLevel
  #level: Level
  /** After a failed write, what follows in the same log might not be found again. */
  #writeFailed = false
  #reopening: Promise<void> | null = null
  /** True if something was removed and LevelDB may not have freed its room yet. */
  #hasGarbage = true
  #closed = false

  private constructor(
    directory: string,
    engine: typeof ClassicLevel,
    level: Level,
    repaired: boolean,
  ) {
    this.directory = directory
    this.#engine = engine
    this.#level = level
    this.repaired = repaired
  }

  /**
   * @param kind What the directory holds; a directory of another kind is refused.
   * @throws UsageError without the package `classic-level`, or for a directory of another kind.
   * @throws StorageError if the directory is in use (`IN_USE`, naming the process), or cannot be
   *   made or read.
   */
  static async open(directory: string, kind: string): Promise<Database> {
    if (typeof directory !== 'string' || directory === '') {
      throw new UsageError(`${kind}: the path of a directory is expected`)
    }
    const engine = await engineOf(kind)
    try {
      await mkdir(join(directory, 'data'), { recursive: true, mode: 0o700 })
    } catch (cause) {
      throw failed(`${directory} cannot be made`, 'OPEN_FAILED', cause)
    }
    const { level, repaired } = await openOrRepair(engine, directory)
    const database = new Database(directory, engine, level, repaired)
    try {
      await database.#claim(kind)
    } catch (error) {
      await level.close()
      throw error
    }
    return database
  }

  async #claim(kind: string): Promise<void> {
    const about = await this.get(ABOUT)
    if (about === undefined) {
      const value = Buffer.from(JSON.stringify({ 'it-mqtt': kind, format: DATABASE_FORMAT }))
      await this.commit([{ type: 'put', key: ABOUT, value }])
    } else {
      const found = JSON.parse(Buffer.from(about).toString())
      if (found['it-mqtt'] !== kind || found.format !== DATABASE_FORMAT) {
        throw new UsageError(
          `${this.directory} holds a ${found['it-mqtt']} of format ${found.format}, not a ` +
            `${kind} of format ${DATABASE_FORMAT}`,
        )
      }
    }
    // The file only serves the error message of a second process. The lock itself is the kernel's
    // and ends with the process.
    const path = join(this.directory, OWNER)
    await writeFile(`${path}.tmp`, JSON.stringify(await ownerNow())).catch(() => {})
    await rename(`${path}.tmp`, path).catch(() => {})
  }

  /**
   * Resolves once all operations are on the disk.
   * @param addedBytes How many bytes are new; 0 if the operations only remove or mark.
   * @throws StorageError (`DISK_FULL`, retryable, or `WRITE_FAILED`); then none was performed.
   */
  async commit(operations: readonly Operation[], addedBytes = 0): Promise<void> {
    if (this.#closed) throw folderClosedError(this.directory)
    if (this.#writeFailed) await this.#reopen()
    if (addedBytes > 0) await this.#requireRoom(addedBytes)
    try {
      await this.#level.batch(operations as Operation[], { sync: true })
      this.#hasGarbage ||= operations.some(({ type }) => type === 'del')
    } catch (cause) {
      this.#writeFailed = true
      throw failed(`${this.directory} could not be written`, 'WRITE_FAILED', cause)
    }
  }

  async #requireRoom(addedBytes: number): Promise<void> {
    if (await this.#hasRoom(addedBytes)) return
    if (this.#hasGarbage) {
      // This reads and writes all records, so it is done only if some were removed since.
      this.#hasGarbage = false
      await this.#level.compactRange('', '~').catch(() => {})
      if (await this.#hasRoom(addedBytes)) return
    }
    const message =
      `The disk of ${this.directory} is full: the rest of it is needed to ` +
      'remove records. Nothing was stored; make room and try again.'
    throw new StorageError(message, { code: 'DISK_FULL', retryable: true })
  }

  async #hasRoom(addedBytes: number): Promise<boolean> {
    const { free, size } = await diskOf(this.directory)
    const left = free - addedBytes * COPIES
    if (left >= COMPACTION_BYTES_MAX + reserveBytes(size)) return true
    if (!(await writeReserveFile(this.directory, reserveBytes(size)))) return false
    const stored = await this.#level.approximateSize('', '~')
    return left >= Math.min(COMPACTION_BYTES_MAX, stored + addedBytes)
  }

  /** Opens LevelDB again. As long as this fails, nothing can be read or written. */
  #reopen(): Promise<void> {
    this.#reopening ??= this.#closeAndOpen().finally(() => {
      this.#reopening = null
    })
    return this.#reopening
  }

  async #closeAndOpen(): Promise<void> {
    try {
      await this.#level.close()
      this.#level = await openWithReserve(this.#engine, this.directory)
      this.#writeFailed = false
    } catch (cause) {
      throw failed(`${this.directory} could not be opened again`, 'WRITE_FAILED', cause)
    }
  }

  /**
   * @returns the value, or undefined if there is none under this key.
   * @throws StorageError if the disk fails.
   */
  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#read(() => this.#level.get(key))
  }

  /**
   * @returns the records of a range by ascending key, until they have `maxBytes`; at least one if
   *   there is any.
   * @throws StorageError if the disk fails.
   */
  async range(range: Range, maxBytes = Infinity): Promise<[key: string, value: Uint8Array][]> {
    return this.#read(async () => {
      const found: [string, Uint8Array][] = []
      let bytes = 0
      for await (const entry of this.#level.iterator(range)) {
        found.push(entry)
        bytes += entry[1].length
        if (bytes >= maxBytes) break
      }
      return found
    })
  }

  async #read<T>(read: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#closed) throw folderClosedError(this.directory)
      const level = this.#level
      try {
        if (level.status !== 'open') await this.#reopen()
        return await read()
      } catch (cause) {
        // A commit is reopening LevelDB, or has reopened it meanwhile: read again.
        if (this.#reopening !== null || level !== this.#level) continue
        throw failed(`${this.directory} could not be read`, 'READ_FAILED', cause)
      }
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#reopening?.catch(() => {})
    await this.#level.close()
  }
}

/**
 * @returns the free and the total bytes of the disk, or infinite if the system does not report
 *   them.
 */
async function diskOf(path: string): Promise<{ free: number; size: number }> {
  try {
    const { bavail, blocks, bsize } = await statfs(path)
    return { free: bavail * bsize, size: blocks * bsize }
  } catch {
    return { free: Infinity, size: Infinity }
  }
}

async function engineOf(kind: string): Promise<typeof ClassicLevel> {
  try {
    return (await import('classic-level')).ClassicLevel
  } catch (cause) {
    throw new UsageError(
      `${kind}: the package classic-level is needed to store anything on disk: npm install ` +
        'classic-level@3',
      { code: 'NO_STORAGE_ENGINE', cause },
    )
  }
}

function writeBufferBytes(diskSize: number): number {
  return Math.max(
    WRITE_BUFFER_BYTES_MIN,
    Math.min(WRITE_BUFFER_BYTES, diskSize / WRITE_BUFFER_PART),
  )
}

/**
 * When LevelDB is opened, it writes its log and the one before as tables. Each log is as long as
 * the write buffer and the record that exceeded it.
 */
function reserveBytes(diskSize: number): number {
  return writeBufferBytes(diskSize) * 4
}

async function openLevel(engine: typeof ClassicLevel, directory: string): Promise<Level> {
  const { size } = await diskOf(directory)
  const level: Level = new engine(join(directory, 'data'), {
    valueEncoding: 'view',
    writeBufferSize: writeBufferBytes(size),
  })
  await level.open()
  return level
}

/** Opens LevelDB, also if the files of an interrupted compaction fill the disk. */
async function openWithReserve(engine: typeof ClassicLevel, directory: string): Promise<Level> {
  try {
    return await openLevel(engine, directory)
  } catch (error) {
    if (!isFull(rootOf(error)) || !(await removeReserveFile(directory))) throw error
  }
  // Opening removes those files. Closing immediately leaves no time to compact, which would take
  // the room before the reserve file is written again.
  const level = await openLevel(engine, directory)
  await level.close()
  await writeReserveFile(directory, reserveBytes((await diskOf(directory)).size))
  return openLevel(engine, directory)
}

async function openOrRepair(
  engine: typeof ClassicLevel,
  directory: string,
): Promise<{ level: Level; repaired: boolean }> {
  try {
    return { level: await openWithReserve(engine, directory), repaired: false }
  } catch (error) {
    const reason = rootOf(error)
    if (reason.code === 'LEVEL_LOCKED') throw await inUse(directory, error)
    if (isFull(reason) || /permission|read-only/i.test(reason.message)) {
      throw failed(`${directory} cannot be opened`, 'OPEN_FAILED', error)
    }
  }
  try {
    await engine.repair(join(directory, 'data'))
    return { level: await openLevel(engine, directory), repaired: true }
  } catch (error) {
    throw failed(`${directory} is damaged and could not be repaired`, 'DAMAGED', error)
  }
}

async function inUse(directory: string, cause: unknown): Promise<StorageError> {
  let who = 'by another process'
  try {
    who = ownerWords(JSON.parse(await readFile(join(directory, OWNER), 'utf8')))
  } catch {
    // The other process opened the directory a moment ago and has not written its file yet.
  }
  const message = `${directory} is in use ${who}; end that process first, or use another directory`
  return new StorageError(message, { code: 'IN_USE', retryable: true, cause })
}

function rootOf(error: unknown): Error & { code?: string } {
  let root = error as Error & { code?: string }
  while (root.cause instanceof Error) root = root.cause
  return root
}

function isFull({ message, code }: Error & { code?: string }): boolean {
  return code === 'DISK_FULL' || /no space left|disk quota|file too large/i.test(message)
}

function failed(what: string, code: string, cause: unknown): StorageError {
  if (cause instanceof StorageError) return cause
  const reason = rootOf(cause)
  if (isFull(reason)) {
    const message = `${what}: the disk is full (${reason.message}). Make room and try again.`
    return new StorageError(message, { code: 'DISK_FULL', retryable: true, cause })
  }
  return new StorageError(`${what}: ${reason.message}.`, { code, cause })
}

function folderClosedError(directory: string): UsageError {
  return new UsageError(`${directory} is closed`, { code: 'CLOSED' })
}
