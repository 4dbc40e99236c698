/**
 * A small file that is replaced as a whole: written beside, synced, renamed, so that whatever ends the process leaves the one
 * or the other.
 */
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { StorageError } from '../../errors.ts'

/**
 * Resolves once it is on disk.
 * @param what named by the error.
 * @throws StorageError
 */
export async function replaceFile(path: string, text: string, what: string): Promise<void> {
  const beside = `${path}.tmp`
  try {
    // Payloads are nobody else's business.
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

/** A rename is safe once its directory is; not every system lets one be opened. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => null)
  await directory?.sync().catch(() => {})
  await directory?.close()
}
