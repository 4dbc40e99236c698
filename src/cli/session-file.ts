/**
 * What does `--session` name? A directory, to which the session is committed at every step; or a
 * file, which is written every second and at the end, with the session and the position in a piped
 * file.
 *
 * Session and position are saved together and describe the same instant. Requests that are not
 * settled are in the session; lines after the position were never taken. So nothing is lost, and
 * after an orderly end nothing is sent twice.
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

interface SavedSession {
  /** Null if the session is in a directory, or there is none. */
  readonly file: SessionFile | null
  /** The option `session` of a loop; null if there is none yet. */
  readonly session: Session | SessionStore | null
}

/**
 * Opens what `--session` names. The path means a directory if a directory exists there or if the
 * path ends in /.
 */
export async function openSavedSession(path: string | undefined): Promise<SavedSession> {
  if (path === undefined) return { file: null, session: null }
  const isDirectory = (await stat(path).catch(() => null))?.isDirectory() ?? path.endsWith('/')
  if (isDirectory) return { file: null, session: await openSession(path) }
  const file = await SessionFile.open(path)
  return { file, session: file.saved.session }
}

/** The content of a session file. */
interface Saved {
  readonly session: Session | null
  /** How far a piped file was read, or null if no file was piped in part. */
  readonly position: Position | null
}

const SESSION_FILE_FORMAT = 2

export class SessionFile {
  readonly path: string
  readonly saved: Saved
  #written = ''
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, saved: Saved) {
    this.path = path
    this.saved = saved
  }

  /** @throws UsageError if the file exists and is not a session file. */
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

  /**
   * @throws UsageError if a file was piped in part. Then only `pipe` with the same file may use the
   *   session.
   */
  refuseUnfinished(): void {
    const { position } = this.saved
    if (position === null) return
    const { file, line } = position
    throw new UsageError(
      `--session: ${this.path} belongs to ${file}, which was piped up to line ${line}; pipe ` +
        'it to its end first, or use another session',
    )
  }

  /**
   * Resolves once the session and the position are on disk. They are not written again if they have
   * not changed.
   */
  save(session: Session, position: Position | null): Promise<void> {
    const text = JSON.stringify({
      'it-mqtt': 'session file',
      format: SESSION_FILE_FORMAT,
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
    throw new UsageError(`--session: ${path} is not a session file, or is damaged`, {
      cause: error,
    })
  }
  if (found?.format !== SESSION_FILE_FORMAT || typeof found.session !== 'string') {
    throw new UsageError(
      `--session: ${path} is not a session file of format ${SESSION_FILE_FORMAT}`,
    )
  }
  try {
    return { session: decodeSession(found.session), position: found.position ?? null }
  } catch (error) {
    throw new UsageError(`--session: ${path}: ${(error as Error).message}`, { cause: error })
  }
}
