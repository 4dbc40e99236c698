/**
 * What makes a full disk usable again? A reserve file, which is deleted when it is needed.
 *
 * If LevelDB runs out of space during a compaction, it leaves files behind and cannot be opened
 * again; deleting the reserve file frees enough space to open it.
 */
import { randomFillSync } from 'node:crypto'
import { rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The name is a part of the format on disk. */
const NAME = 'ballast'
const CHUNK_BYTES = 1 << 20

/** @returns false if there is no room for the file. */
export async function writeReserveFile(directory: string, bytes: number): Promise<boolean> {
  const path = join(directory, NAME)
  const found = await stat(path).catch(() => null)
  if (found?.size === bytes) return true
  try {
    await writeFile(path, randomChunks(bytes), { mode: 0o600, flush: true })
    return true
  } catch {
    await removeReserveFile(directory)
    return false
  }
}

/** @returns false if there was no such file. */
export async function removeReserveFile(directory: string): Promise<boolean> {
  return rm(join(directory, NAME)).then(
    () => true,
    () => false,
  )
}

/** The bytes are random because some file systems store a file of zeros in no space at all. */
function* randomChunks(bytes: number): Generator<Uint8Array> {
  const chunk = randomFillSync(Buffer.allocUnsafeSlow(Math.min(bytes, CHUNK_BYTES)))
  for (let left = bytes; left > 0; left -= chunk.length) yield chunk.subarray(0, left)
}
