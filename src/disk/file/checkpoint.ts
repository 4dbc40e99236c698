/**
 * How does a restart know where to go on in a file? From a checkpoint: a file of its own that holds
 * the position, replaced as a whole.
 */
import { readFile } from 'node:fs/promises'
import { UsageError } from '../../errors.ts'
import { type Deferred, deferred } from '../deferred.ts'
import { replaceFile } from '../store/replace-file.ts'
import type { Position } from './position.ts'

const CHECKPOINT_FORMAT = 1

export class Checkpoint {
  readonly #path: string
  readonly #position: () => Promise<Position>
  readonly #written: (position: Position) => Promise<void>
  /** Settles the promises of the callers that wait for the next write. */
  #asked: Deferred<void> | null = null
  #writing: Promise<void> | null = null

  /**
   * @param position Returns the position at the instant of the call, which is then written.
   * @param written Is called once a position is on disk.
   */
  constructor(
    path: string,
    position: () => Promise<Position>,
    written: (position: Position) => Promise<void>,
  ) {
    this.#path = path
    this.#position = position
    this.#written = written
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
        await replaceFile(this.#path, checkpointText(position), 'The checkpoint')
        await this.#written(position)
        asked.resolve()
      } catch (error) {
        asked.reject(error)
      }
    }
    this.#writing = null
  }

  /** Resolves once nothing is being written. */
  async idle(): Promise<void> {
    while (this.#writing !== null) await this.#writing.catch(() => {})
  }
}

function checkpointText(position: Position): string {
  return `${JSON.stringify({ 'it-mqtt': 'checkpoint', format: CHECKPOINT_FORMAT, ...position })}\n`
}

/**
 * @returns the position in a checkpoint, or null if there is no such file yet.
 * @throws UsageError if there is a file that cannot be read or is not a checkpoint.
 */
export async function readCheckpoint(path: string): Promise<Position | null> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new UsageError(`checkpoint: ${(cause as Error).message}`, { cause })
  }
  const found = parseCheckpoint(text)
  if (found?.['it-mqtt'] === 'checkpoint' && found.format === CHECKPOINT_FORMAT) return found
  throw new UsageError(
    `checkpoint: ${path} is no checkpoint of format ${CHECKPOINT_FORMAT}, or damaged; ` +
      'give another path, or remove it to begin at the first line',
  )
}

function parseCheckpoint(
  text: string,
): (Position & { 'it-mqtt': unknown; format: unknown }) | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
