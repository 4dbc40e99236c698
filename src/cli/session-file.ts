/**
 * The file of `--session`: the session, and how far a piped file was read, of the same instant.
 *
 * It is replaced as a whole (written beside, synced, renamed), so that whatever ends the process leaves the one or the other.
 * Requests without an outcome are in the session; lines behind the position were never taken. So nothing is lost, and after
 * a graceful end nothing is sent twice.
 */
import { open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { decodeSession, encodeSession, type Session, StorageError, UsageError } from '../index.ts'

/** How far a file was read. */
export interface Position {
  readonly file: string
  /** Of the first byte that was not read… */
  readonly offset: number
  /** …and the number of the line there. */
  readonly line: number
  /** Lines before it without an outcome: offset and number. */
  readonly unsettled: readonly (readonly [offset: number, line: number])[]
  /** The last line that was read, by which the file is known again. */
  readonly last: { readonly offset: number; readonly bytes: number; readonly sha256: string } | null
}

interface Saved {
  readonly session: Session | null
  /** Null: no file is half way. */
  readonly position: Position | null
}

const FORMAT = 1

export class SessionFile {
  readonly path: string
  readonly saved: Saved
  #written = ''
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, saved: Saved) {
    this.path = path
    this.saved = saved
  }

  /** @throws UsageError where the file is there and not one of ours. */
  static async open(path: string): Promise<SessionFile> {
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        return new SessionFile(path, { session: null, position: null })
      }
      throw new UsageError(`--session: ${(error as Error).message}`, { cause: error })
    }
    return new SessionFile(path, parse(path, text))
  }

  /** @throws UsageError where a file is half way: only the pipe that began it may go on. */
  refuseHalfway(): void {
    const { position } = this.saved
    if (position === null) return
    const { file, line } = position
    throw new UsageError(
      `--session: ${this.path} is that of ${file}, piped up to line ${line}: pipe it to its end first, or use another session`,
    )
  }

  /** Resolves once this is on disk; what is there already is not written again. */
  save(session: Session, position: Position | null): Promise<void> {
    const text = JSON.stringify({
      'it-mqtt': 'session file',
      format: FORMAT,
      position,
      session: encodeSession(session),
    })
    this.#writing = this.#writing.catch(() => {}).then(() => this.#replace(text))
    return this.#writing
  }

  async #replace(text: string): Promise<void> {
    if (text === this.#written) return
    const beside = `${this.path}.tmp`
    try {
      // Payloads are nobody else's business.
      const file = await open(beside, 'w', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(beside, this.path)
      await syncDirectory(dirname(this.path))
    } catch (error) {
      const { message } = error as Error
      throw new StorageError(`The session could not be kept: ${message}`, { cause: error })
    }
    this.#written = text
  }
}

/** A rename is safe once its directory is; not every system lets one be opened. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => null)
  await directory?.sync().catch(() => {})
  await directory?.close()
}

function parse(path: string, text: string): Saved {
  let found: { format?: unknown; position?: Position | null; session?: unknown }
  try {
    found = JSON.parse(text)
  } catch (error) {
    throw new UsageError(`--session: ${path} is no session file, or damaged`, { cause: error })
  }
  if (found?.format !== FORMAT || typeof found.session !== 'string') {
    throw new UsageError(`--session: ${path} is no session file of format ${FORMAT}`)
  }
  try {
    return { session: decodeSession(found.session), position: found.position ?? null }
  } catch (error) {
    throw new UsageError(`--session: ${path}: ${(error as Error).message}`, { cause: error })
  }
}
