/**
 * A folder in which records are safe: LevelDB, opened by one process at a time.
 *
 * `commit` resolves once its operations are on the disk, all or none; torn and corrupt tails are what LevelDB recovers from by
 * itself, and a folder that it cannot open is repaired once. After a write that failed nothing may be written behind it, so
 * the folder is opened anew before the next one. New records leave as much of the disk free as LevelDB needs to sort what is
 * there: what it sorts it writes anew before it removes it, and where it cannot, nothing can be removed either.
 */
import { mkdir, readFile, rename, statfs, writeFile } from 'node:fs/promises'
import { hostname, uptime } from 'node:os'
import { join } from 'node:path'
import type { ClassicLevel } from 'classic-level'
import { StorageError, UsageError } from '../../errors.ts'
import { dropBallast, layBallast } from './reserve-file.ts'

export type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string }

export interface Range {
  readonly gte?: string
  readonly gt?: string
  readonly lt: string
}

type Level = ClassicLevel<string, Uint8Array>

/** The most that LevelDB sorts at once, in bytes: twelve times what it gathers, and what that falls between. */
const SORTED_BYTES_MAX = 256 << 20
/**
 * What LevelDB gathers before it sorts, in bytes; of a small disk, less: it is there twice. With its default of 4 MiB a message
 * through a queue of ten million costs a third more than through one of ten thousand, with 16 a tenth.
 */
const GATHER_BYTES = 16 << 20
const GATHER_BYTES_MIN = 64 << 10
const GATHER_PART = 64
/** What a record needs at once: its log and its table. */
const COPIES = 2
const FORMAT = 1
const ABOUT = '!about'
const OWNER = 'owner.json'

export class Database {
  readonly directory: string
  /** It could not be opened as it was: what it holds was gathered anew. */
  readonly repaired: boolean
  readonly #engine: typeof ClassicLevel
  #level: Level
  /** A write failed: what follows it in the same file might not be found again. */
  #ailing = false
  #reopening: Promise<void> | null = null
  /** Something was removed whose room LevelDB may not have given back. */
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
   * @param kind what the folder holds; one of another kind is refused.
   * @throws UsageError without the package `classic-level`, and for a folder of another kind.
   * @throws StorageError for a folder in use (`IN_USE`, naming the process), or where it cannot be made or read.
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
      const value = Buffer.from(JSON.stringify({ 'it-mqtt': kind, format: FORMAT }))
      await this.commit([{ type: 'put', key: ABOUT, value }])
    } else {
      const found = JSON.parse(Buffer.from(about).toString())
      if (found['it-mqtt'] !== kind || found.format !== FORMAT) {
        throw new UsageError(
          `${this.directory} holds a ${found['it-mqtt']} of format ${found.format}, not a ${kind} of format ${FORMAT}`,
        )
      }
    }
    // Only for the message of whoever comes second: the lock itself is the kernel's, and goes with the process.
    const owner = { pid: process.pid, bootId: await bootId(), since: new Date().toISOString() }
    const path = join(this.directory, OWNER)
    await writeFile(`${path}.tmp`, JSON.stringify(owner)).catch(() => {})
    await rename(`${path}.tmp`, path).catch(() => {})
  }

  /**
   * Resolves once all of it is on the disk. `adding`: bytes that are new; 0 for what only removes.
   * @throws StorageError, `DISK_FULL` (retryable) or `WRITE_FAILED`; then nothing of it is there.
   */
  async commit(operations: readonly Operation[], adding = 0): Promise<void> {
    if (this.#closed) throw closedError(this.directory)
    if (this.#ailing) await this.#reopen()
    if (adding > 0) await this.#keepReserve(adding)
    try {
      await this.#level.batch(operations as Operation[], { sync: true })
      this.#hasGarbage ||= operations.some(({ type }) => type === 'del')
    } catch (cause) {
      this.#ailing = true
      throw failed(`${this.directory} could not be written`, 'WRITE_FAILED', cause)
    }
  }

  async #keepReserve(adding: number): Promise<void> {
    if (await this.#hasRoom(adding)) return
    if (this.#hasGarbage) {
      // Only now and then: it reads and writes everything that is there.
      this.#hasGarbage = false
      await this.#level.compactRange('', '~').catch(() => {})
      if (await this.#hasRoom(adding)) return
    }
    const message = `The disk of ${this.directory} is full: what is free is kept for removals. Nothing of this was kept; make room and try again.`
    throw new StorageError(message, { code: 'DISK_FULL', retryable: true })
  }

  async #hasRoom(adding: number): Promise<boolean> {
    const { free, size } = await diskOf(this.directory)
    const left = free - adding * COPIES
    if (left >= SORTED_BYTES_MAX + ballastBytes(size)) return true
    if (!(await layBallast(this.directory, ballastBytes(size)))) return false
    const sorted = await this.#level.approximateSize('', '~')
    return left >= Math.min(SORTED_BYTES_MAX, sorted + adding)
  }

  /** As long as this fails, nothing can be read or written. */
  #reopen(): Promise<void> {
    this.#reopening ??= this.#openAnew().finally(() => {
      this.#reopening = null
    })
    return this.#reopening
  }

  async #openAnew(): Promise<void> {
    try {
      await this.#level.close()
      this.#level = await openInRoom(this.#engine, this.directory)
      this.#ailing = false
    } catch (cause) {
      throw failed(`${this.directory} could not be opened anew`, 'WRITE_FAILED', cause)
    }
  }

  /** @throws StorageError */
  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#read(() => this.#level.get(key))
  }

  /** By ascending key, until `maxBytes` are reached; at least one, where there is one. */
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
      if (this.#closed) throw closedError(this.directory)
      const level = this.#level
      try {
        if (level.status !== 'open') await this.#reopen()
        return await read()
      } catch (cause) {
        // A commit has it opened anew meanwhile: it is read then.
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

/** Bytes. */
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
      `${kind}: the package classic-level is needed to keep anything on disk: npm install classic-level@3`,
      { code: 'NO_STORAGE_ENGINE', cause },
    )
  }
}

function gatherBytes(diskSize: number): number {
  return Math.max(GATHER_BYTES_MIN, Math.min(GATHER_BYTES, diskSize / GATHER_PART))
}

/** When it is opened, LevelDB writes what it had gathered: its log and the one before, and a record that made them longer. */
function ballastBytes(diskSize: number): number {
  return gatherBytes(diskSize) * 4
}

async function openLevel(engine: typeof ClassicLevel, directory: string): Promise<Level> {
  const { size } = await diskOf(directory)
  const level: Level = new engine(join(directory, 'data'), {
    valueEncoding: 'view',
    writeBufferSize: gatherBytes(size),
  })
  await level.open()
  return level
}

/** Also where what a sorting left behind took all the room. */
async function openInRoom(engine: typeof ClassicLevel, directory: string): Promise<Level> {
  try {
    return await openLevel(engine, directory)
  } catch (error) {
    if (!isFull(rootOf(error)) || !(await dropBallast(directory))) throw error
  }
  // It removes that when it is opened, and closed again at once it has no time to take the room anew.
  const level = await openLevel(engine, directory)
  await level.close()
  await layBallast(directory, ballastBytes((await diskOf(directory)).size))
  return openLevel(engine, directory)
}

async function openOrRepair(
  engine: typeof ClassicLevel,
  directory: string,
): Promise<{ level: Level; repaired: boolean }> {
  try {
    return { level: await openInRoom(engine, directory), repaired: false }
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
    const { pid, bootId, since } = JSON.parse(await readFile(join(directory, OWNER), 'utf8'))
    who = `by process ${pid} (boot id ${bootId}) since ${since}`
  } catch {
    // Opened a moment ago: it has not said yet who it is.
  }
  const message = `${directory} is in use ${who}; end that one first, or give this one a directory of its own`
  return new StorageError(message, { code: 'IN_USE', retryable: true, cause })
}

/** Tells a process of this start of the machine from one of an earlier start with the same number. */
async function bootId(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  } catch {
    return `${hostname()} since ${new Date(Date.now() - uptime() * 1000).toISOString()}`
  }
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

function closedError(directory: string): UsageError {
  return new UsageError(`${directory} is closed`, { code: 'CLOSED' })
}
