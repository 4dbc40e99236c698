/**
 * What `--session` names. A directory keeps the session at every step, a file once a second and at the end: the session, and how
 * far a piped file was read, of the same instant.
 *
 * Requests without an outcome are in the session; lines behind the position were never taken. So nothing is lost, and after
 * a graceful end nothing is sent twice.
 */
import { readFile, stat } from 'node:fs/promises'
import { openSession, type Position, replaceFile } from '../disk/index.ts'
import {
  decodeSession,
  encodeSession,
  type Session,
  type SessionStore,
  UsageError,
} from '../index.ts'

export interface KeptSession {
  /** Null: it is a directory, or there is none. */
  readonly file: SessionFile | null
  /** For the options of a loop. */
  readonly session: Session | SessionStore | null
}

/** A path that ends in / or is a directory is one. */
export async function openKept(path: string | undefined): Promise<KeptSession> {
  if (path === undefined) return { file: null, session: null }
  const isDirectory = (await stat(path).catch(() => null))?.isDirectory() ?? path.endsWith('/')
  if (isDirectory) return { file: null, session: await openSession(path) }
  const file = await SessionFile.open(path)
  return { file, session: file.saved.session }
}

interface Saved {
  readonly session: Session | null
  /** Null: no file is half way. */
  readonly position: Position | null
}

const FORMAT = 2

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
    await replaceFile(this.path, text, 'The session')
    this.#written = text
  }
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
