/**
 * A file that is there to be removed. Where LevelDB runs out of room while it sorts, what it had sorted stays behind until it is
 * opened again; and where that took all the room, it cannot be opened. Without the ballast, it can.
 */
import { randomFillSync } from 'node:crypto'
import { rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const NAME = 'ballast'
const CHUNK_BYTES = 1 << 20

/** False: there is no room for it. */
export async function layBallast(directory: string, bytes: number): Promise<boolean> {
  const path = join(directory, NAME)
  const found = await stat(path).catch(() => null)
  if (found?.size === bytes) return true
  try {
    await writeFile(path, noise(bytes), { mode: 0o600, flush: true })
    return true
  } catch {
    await dropBallast(directory)
    return false
  }
}

/** False: there was none. */
export async function dropBallast(directory: string): Promise<boolean> {
  return rm(join(directory, NAME)).then(
    () => true,
    () => false,
  )
}

/** Not zeros: some file systems keep those in no room. */
function* noise(bytes: number): Generator<Uint8Array> {
  const chunk = randomFillSync(Buffer.allocUnsafe(Math.min(bytes, CHUNK_BYTES)))
  for (let left = bytes; left > 0; left -= chunk.length) yield chunk.subarray(0, left)
}
