/**
 * How is a small file replaced so that a crash leaves either the old or the new one? The new one is
 * written beside it, synced and renamed.
 */
import { randomBytes } from 'node:crypto'
import { open, readlink, realpath, rename, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { StorageError } from '../../errors.ts'

/**
 * Replaces a file as a whole, or makes it. If the process is killed at any instant, the file has
 * either its old or its new text. Only the owner may read it. A symbolic link stays, and the file
 * that it names is replaced. Resolves once it is on the disk.
 *
 * @param what names the file in the error message.
 * @throws StorageError if the file could not be written.
 */
export async function replaceFile(path: string, text: string, what = 'The file'): Promise<void> {
  let beside: string | null = null
  try {
    const target = await targetOf(path)
    // Two processes that replace the same file do not share the file beside it.
    beside = `${target}.${randomBytes(6).toString('hex')}.tmp`
    const file = await open(beside, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, target)
    await syncDirectory(dirname(target))
  } catch (cause) {
    if (beside !== null) await rm(beside, { force: true }).catch(() => {})
    throw new StorageError(`${what} could not be kept: ${(cause as Error).message}`, { cause })
  }
}

/** @returns the path of the file that a symbolic link names, which may not exist yet. */
export async function targetOf(path: string, links = 0): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || links === LINKS_MAX) throw error
  }
  const target = await readlink(path).catch(() => null)
  return target === null ? path : targetOf(resolve(dirname(path), target), links + 1)
}

/** As many symbolic links in a row as Linux follows. */
const LINKS_MAX = 40

/**
 * Syncs the directory, so that a rename survives a crash. Some systems cannot open a directory; on
 * these the rename is not synced.
 */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => null)
  await directory?.sync().catch(() => {})
  await directory?.close()
}
