/**
 * How does a restart know where to go on in a file? From a checkpoint: a file of its own that holds
 * the position, replaced as a whole. One process at a time owns it.
 */
import { readdir, readFile, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { UsageError } from '../../errors.ts'
import { type Deferred, deferred } from '../deferred.ts'
import { LockFile } from '../node/lock-file.ts'
import { replaceFile, targetOf } from '../node/replace-file.ts'
import { writeInPlace } from '../node/write-in-place.ts'
import type { FileWarning } from './file-options.ts'
import { checkpointNotLocked } from './file-warnings.ts'
import type { Position } from './position.ts'

const CHECKPOINT_FORMAT = 1
/** A file that is mounted on its own cannot be replaced; a folder may not take other files. */
const IN_PLACE: readonly unknown[] = ['EBUSY', 'EXDEV', 'EACCES', 'EPERM', 'EROFS']

interface StoredPosition extends Position {
  readonly 'it-mqtt': unknown
  readonly format: unknown
  /** Counts the writes, so that of two records the later one is known. */
  readonly written?: number
}

export class Checkpoint {
  readonly #path: string
  readonly #position: () => Promise<Position>
  readonly #written: (position: Position) => Promise<void>
  readonly #warn: (warning: FileWarning) => void
  /** Settles the promises of the callers that wait for the next write. */
  #asked: Deferred<void> | null = null
  #writing: Promise<void> | null = null
  #lock: LockFile | null = null
  #writes = 0
  /** True if the file cannot be replaced and is written in place. */
  #isFixed = false

  /**
   * @param position Returns the position at the instant of the call, which is then written.
   * @param written Is called once a position is on disk.
   */
  constructor(
    path: string,
    position: () => Promise<Position>,
    written: (position: Position) => Promise<void>,
    warn: (warning: FileWarning) => void,
  ) {
    this.#path = path
    this.#position = position
    this.#written = written
    this.#warn = warn
  }

  /**
   * Takes the checkpoint for this process and reads it.
   * @returns the position in it, or null if there is no such file yet.
   * @throws UsageError if there is a file that cannot be read or is not a checkpoint.
   * @throws StorageError if another process has it (`IN_USE`), or if the folder cannot be written.
   */
  async open(): Promise<Position | null> {
    const target = await targetOf(this.#path).catch((cause: Error) => {
      throw new UsageError(`checkpoint: ${cause.message}`, { cause })
    })
    try {
      this.#lock ??= await LockFile.take(`${target}.lock`, `The checkpoint ${this.#path}`)
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException
      if (!['EACCES', 'EPERM', 'EROFS'].includes(code ?? '')) throw error
      this.#warn(checkpointNotLocked(this.#path, (error as Error).message))
    }
    try {
      await removeLeftovers(target)
      const found = await readCheckpoint(this.#path)
      this.#writes = found?.written ?? 0
      return found
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /**
   * Resolves once the present position is on disk. One write is under way at a time; changes that
   * come meanwhile share the next one.
   * @throws StorageError if it could not be written.
   */
  save(): Promise<void> {
    this.#asked ??= deferred()
    const { promise } = this.#asked
    this.#writing ??= this.#write()
    return promise
  }

  async #write(): Promise<void> {
    for (let asked = this.#asked; asked !== null; asked = this.#asked) {
      this.#asked = null
      try {
        const position = await this.#position()
        this.#writes++
        await this.#store(checkpointText(position, this.#writes))
        await this.#written(position)
        asked.resolve()
      } catch (error) {
        asked.reject(error)
      }
    }
    this.#writing = null
  }

  async #store(text: string): Promise<void> {
    if (this.#isFixed) return writeInPlace(this.#path, text)
    try {
      await replaceFile(this.#path, text, 'The checkpoint')
    } catch (error) {
      const { code } = (error as Error).cause as NodeJS.ErrnoException
      if (!IN_PLACE.includes(code)) throw error
      // If there is no such file, the first error is the better one.
      await writeInPlace(this.#path, text).catch(() => {
        throw error
      })
      this.#isFixed = true
    }
  }

  /** Resolves once nothing is being written, and another process may take the checkpoint. */
  async close(): Promise<void> {
    while (this.#writing !== null) await this.#writing.catch(() => {})
    await this.#lock?.release()
    this.#lock = null
  }
}

/** Removes what a process that was killed while it wrote has left; the lock is held. */
async function removeLeftovers(target: string): Promise<void> {
  const folder = dirname(target)
  const name = basename(target)
  for (const other of await readdir(folder).catch(() => [])) {
    if (!other.startsWith(`${name}.`)) continue
    if (!/^\.[0-9a-f]{12}\.tmp$/.test(other.slice(name.length))) continue
    await rm(join(folder, other), { force: true }).catch(() => {})
  }
}

function checkpointText(position: Position, written: number): string {
  const stored = { 'it-mqtt': 'checkpoint', format: CHECKPOINT_FORMAT, written, ...position }
  return `${JSON.stringify(stored)}\n`
}

/**
 * @returns the position in a checkpoint, or null if there is no such file yet or it is empty.
 * @throws UsageError if there is a file that cannot be read or is not a checkpoint.
 */
async function readCheckpoint(path: string): Promise<StoredPosition | null> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new UsageError(`checkpoint: ${(cause as Error).message}`, { cause })
  }
  // An empty one was made so that it can be mounted: a crash leaves none.
  if (text.trim() === '') return null
  // A file that is written in place holds older records too, and may hold parts of some.
  const records = text.split('\n').map(parseCheckpoint)
  const found = records
    .filter((record) => record?.['it-mqtt'] === 'checkpoint')
    .sort((a, b) => (b!.written ?? 0) - (a!.written ?? 0))[0]
  if (found?.format === CHECKPOINT_FORMAT) return found
  throw new UsageError(
    `checkpoint: ${path} is no checkpoint of format ${CHECKPOINT_FORMAT}, or damaged; ` +
      'give another path, or remove it to begin at the first line',
  )
}

function parseCheckpoint(text: string): StoredPosition | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
