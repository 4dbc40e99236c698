/**
 * What does `--session` name? A directory, to which the session is committed at every step; or a
 * file, which is written every second and at the end, with the session and the positions in piped
 * files.
 *
 * Session and position are saved together and describe the same instant. Requests that are not
 * settled are in the session; lines after the position were never taken. So nothing is lost, and
 * after an orderly end nothing is sent twice.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Position } from '../disk/index.ts'
import {
  decodeSession,
  encodeSession,
  type Session,
  type SessionStore,
  UsageError,
} from '../index.ts'
import { positionInDirectory } from './session-positions.ts'

export interface SavedSession {
  /** Null if the session is in a directory, or there is none. */
  readonly file: SessionFile | null
  /** The option `session` of a loop; null if there is none yet. */
  readonly session: Session | SessionStore | null
  /** @returns the position of a file that was piped in part, or null. */
  unfinished(path: string): Promise<Position | null>
}

/**
 * Opens what `--session` names. The path means a directory if a directory exists there or if the
 * path ends in /.
 *
 * @param isForFile True if a file is piped; otherwise a file that was piped in part is refused.
 * @throws UsageError if the session cannot be used.
 */
export async function openSavedSession(
  path: string | undefined,
  isForFile = false,
): Promise<SavedSession> {
  if (path === undefined) return { file: null, session: null, unfinished: async () => null }
  const isDirectory = (await stat(path).catch(() => null))?.isDirectory() ?? path.endsWith('/')
  if (isDirectory) {
    const other = isForFile ? null : await positionInDirectory(path, null)
    if (other !== null) throw unfinishedError(path, other)
    const unfinished = (file: string) => positionInDirectory(path, file)
    const { openSession } = await import('../disk/index.ts')
    return { file: null, session: await openSession(path), unfinished }
  }
  const file = await SessionFile.open(path)
  if (!isForFile) file.refuseUnfinished()
  const unfinished = async (name: string) => file.positionOf(name)?.position ?? null
  return { file, session: file.saved.session, unfinished }
}

/** How far a file was piped. */
interface FilePosition {
  /** The absolute path of the file. */
  readonly path: string
  /** What the keys of its requests begin with. */
  readonly id: string
  readonly position: Position
}

/** The content of a session file. */
interface Saved {
  readonly session: Session | null
  /** The files that were piped in part. */
  readonly files: readonly FilePosition[]
}

const SESSION_FILE_FORMAT = 2

export class SessionFile {
  readonly path: string
  readonly saved: Saved
  /** The file that is piped, or null. */
  #current: { readonly path: string; readonly id: string } | null = null
  #others: readonly FilePosition[]
  #written = ''
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, saved: Saved) {
    this.path = path
    this.saved = saved
    this.#others = saved.files
  }

  /** @throws UsageError if the file exists and is not a session file. */
  static async open(path: string): Promise<SessionFile> {
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        return new SessionFile(path, { session: null, files: [] })
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
    const [first] = this.saved.files
    if (first !== undefined) throw unfinishedError(this.path, first.position)
  }

  /** @returns how far a file was piped. The only one that was renamed since is found, too. */
  positionOf(path: string): FilePosition | undefined {
    const { files } = this.saved
    const renamed = files.filter((file) => !existsSync(file.path))
    return (
      files.find((file) => file.path === resolve(path)) ??
      (renamed.length === 1 ? renamed[0] : undefined)
    )
  }

  /**
   * From now on `save` stores the position of this file.
   * @returns what its keys begin with, and how far it was piped.
   */
  take(path: string): { readonly id: string; readonly position: Position | null } {
    const found = this.positionOf(path)
    const id = found?.id ?? `${randomBytes(6).toString('hex')}:`
    this.#current = { path: resolve(path), id }
    this.#others = this.saved.files.filter((file) => file !== found)
    return { id, position: found?.position ?? null }
  }

  /**
   * Resolves once the session and the position are on disk. They are not written again if they have
   * not changed.
   */
  save(session: Session, position: Position | null): Promise<void> {
    const text = JSON.stringify({
      'it-mqtt': 'session file',
      format: SESSION_FILE_FORMAT,
      ...this.#current,
      position,
      others: this.#others,
      session: encodeSession(session),
    })
    this.#writing = this.#writing.catch(() => {}).then(() => this.#replace(text))
    return this.#writing
  }

  async #replace(text: string): Promise<void> {
    if (text === this.#written) return
    const { replaceFile } = await import('../disk/index.ts')
    await replaceFile(this.path, text, 'The session')
    this.#written = text
  }
}

/** A session file as it is on disk. */
interface StoredFile {
  readonly format?: unknown
  readonly path?: string
  readonly id?: string
  readonly position?: Position | null
  readonly session?: unknown
  readonly others?: readonly FilePosition[]
}

function parse(path: string, text: string): Saved {
  let found: StoredFile
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
  const { position = null, others = [] } = found
  const { path: file = resolve(position?.file ?? ''), id = '' } = found
  const current = position === null ? [] : [{ path: file, id, position }]
  try {
    return { session: decodeSession(found.session), files: [...current, ...others] }
  } catch (error) {
    throw new UsageError(`--session: ${path}: ${(error as Error).message}`, { cause: error })
  }
}

function unfinishedError(session: string, { file, line }: Position): UsageError {
  return new UsageError(
    `--session: ${session} belongs to ${file}, which was piped up to line ${line}; pipe ` +
      'it to its end first, or use another session',
  )
}
