/**
 * How does a file have one owner at a time? A lock file beside it names the process. A lock whose
 * process is gone, or that is of an earlier boot, is taken over.
 *
 * A process in another container cannot be seen. Its lock holds as long as its time stamp is
 * renewed.
 */
import { randomBytes } from 'node:crypto'
import { readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { StorageError } from '../../errors.ts'
import { type Owner, ownerNow, ownerState, ownerWords } from './owner.ts'

/** How often the time stamp is renewed. */
const RENEW_MS = 3_000
/** A lock that was not renewed for so long is not held: three renewals were missed. */
const HELD_MS = 10_000
/** Another process may take a lock over in the same instant; then it is looked at again. */
const ATTEMPTS_MAX = 10

export class LockFile {
  readonly #path: string
  readonly #renewing: NodeJS.Timeout

  private constructor(path: string) {
    this.#path = path
    this.#renewing = setInterval(() => {
      const now = new Date()
      utimes(path, now, now).catch(() => {})
    }, RENEW_MS).unref()
  }

  /**
   * @param what Names what is locked, in error messages.
   * @throws StorageError if another process, or this one, holds the lock (`IN_USE`), or if the lock
   *   file cannot be written.
   */
  static async take(path: string, what: string): Promise<LockFile> {
    const text = JSON.stringify(await ownerNow())
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      try {
        await writeFile(path, text, { flag: 'wx', mode: 0o600 })
        return new LockFile(path)
      } catch (cause) {
        const { code, message } = cause as NodeJS.ErrnoException
        if (code === 'EEXIST') {
          await removeStale(path, what)
          continue
        }
        // The file may have been made and not written.
        if (code === 'ENOSPC') await rm(path, { force: true }).catch(() => {})
        throw new StorageError(`${what} could not be locked: ${message}`, { cause })
      }
    }
    throw inUse(what, null)
  }

  async release(): Promise<void> {
    clearInterval(this.#renewing)
    await rm(this.#path, { force: true }).catch(() => {})
  }
}

/** @throws StorageError if the lock is held. */
async function removeStale(path: string, what: string): Promise<void> {
  const found = await textOf(path)
  if (found === null) return
  const owner = ownerIn(found)
  if (await isHeld(path, owner)) throw inUse(what, owner)
  // Of two processes that find the same lock, one renames it. If that was a fresh lock already, it
  // is put back.
  const aside = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await rename(path, aside)
  } catch {
    return
  }
  const removed = await textOf(aside)
  if (removed !== null && removed !== found) {
    await writeFile(path, removed, { flag: 'wx', mode: 0o600 }).catch(() => {})
    await rm(aside, { force: true })
    throw inUse(what, ownerIn(removed))
  }
  await rm(aside, { force: true })
}

async function isHeld(path: string, owner: Owner | null): Promise<boolean> {
  const state = owner === null ? 'unknown' : await ownerState(owner)
  if (state !== 'unknown') return state === 'running'
  const renewed = await stat(path).catch(() => null)
  return renewed !== null && Date.now() - renewed.mtimeMs < HELD_MS
}

async function textOf(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch(() => null)
}

/** @returns null if the other process has not written the lock to its end yet. */
function ownerIn(text: string): Owner | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function inUse(what: string, owner: Owner | null): StorageError {
  const who = owner === null ? 'by another process' : ownerWords(owner)
  const message =
    `${what} is in use ${who}; end that process first (or close() the stream, if it is this ` +
    'one), or use another file'
  return new StorageError(message, { code: 'IN_USE', retryable: true })
}
