/**
 * How is a small file replaced so that a crash leaves either the old or the new one? The new one is
 * written beside it, synced and renamed.
 */
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { StorageError } from '../../errors.ts'

/**
 * Replaces a file as a whole, or makes it. If the process is killed at any instant, the file has
 * either its old or its new text. Only the owner may read it. Resolves once it is on the disk.
 *
 * @param what names the file in the error message.
 * @throws StorageError if the file could not be written.
 */
export async function replaceFile(path: string, text: string, what = 'The file'): Promise<void> {
  const beside = `${path}.tmp`
  try {
    const file = await open(beside, 'w', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
    await syncDirectory(dirname(path))
  } catch (cause) {
    throw new StorageError(`${what} could not be kept: ${(cause as Error).message}`, { cause })
  }
}

/**
 * Syncs the directory, so that a rename survives a crash. Some systems cannot open a directory; on
 * these the rename is not synced.
 */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => null)
  await directory?.sync().catch(() => {})
  await directory?.close()
}
