/**
 * Which bytes does a file give, and which file follows if another one takes its name? A file that
 * was rotated away is read to its end first.
 *
 * The file system is not watched. A file that has no more bytes is read again after a short time.
 */
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { createGunzip } from 'node:zlib'
import { UsageError } from '../../errors.ts'
import { type Generation, PROOF_BYTES, type Proof, proofOf, proves } from './position.ts'

export interface OpenFile extends Generation {
  readonly handle: FileHandle
}

/** How long to wait before a file that had no more bytes is read again. */
const POLL_MS = 200
const CHUNK_BYTES = 64 << 10

/** Opens a file once it is there. */
export async function awaitFile(
  path: string,
  base: number,
  signal: AbortSignal,
): Promise<OpenFile> {
  while ((await stat(path).catch(() => null)) === null) {
    await wait(POLL_MS, undefined, { signal })
  }
  return openFile(path, base)
}

/** @throws UsageError if the file cannot be read. */
export async function openFile(path: string, base: number): Promise<OpenFile> {
  let handle: FileHandle
  try {
    handle = await open(path)
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause })
  }
  const stats = await handle.stat()
  if (!stats.isDirectory()) return { handle, base, inode: stats.ino }
  await handle.close()
  throw new UsageError(`${path} is a directory; a file is expected`)
}

/**
 * Opens the file that an earlier process read.
 * @param proof Identifies the file, or null if nothing is known of its content.
 * @returns null if the file is gone or is another one.
 */
export async function findFile(
  path: string,
  { base, inode }: Generation,
  proof: Proof | null,
  follow: boolean,
): Promise<OpenFile | null> {
  const named = follow ? await findInode(path, inode) : null
  // A copy of the file has another inode. It is accepted if the proof shows that it is a copy.
  if (named === null && follow && (proof === null || proof.bytes === 0)) return null
  const file = await openFile(named ?? path, base)
  if (await proves(proof, file.handle)) return file
  await file.handle.close()
  return null
}

/**
 * @returns the path of the file, which a rotation may have changed; null if the file was deleted.
 */
async function findInode(path: string, inode: number): Promise<string | null> {
  const folder = dirname(path)
  const others = await readdir(folder).catch(() => [])
  for (const candidate of [path, ...others.map((name) => join(folder, name))]) {
    const stats = await stat(candidate).catch(() => null)
    if (stats?.isFile() && stats.ino === inode) return candidate
  }
  return null
}

/**
 * Yields the content of a file from `offset` on. A `.gz` is unpacked from its beginning.
 * @param note Is called with the number of bytes that were read of the file, packed or not.
 */
export async function* chunksOf(
  path: string,
  { handle, inode }: OpenFile,
  offset: number,
  follow: boolean,
  signal: AbortSignal,
  note: (bytesRead: number) => void,
): AsyncGenerator<Buffer> {
  if (isPacked(path)) return yield* unpackedChunks(path, handle, offset, note)
  let at = offset
  for (let rotated = false; ; ) {
    const chunk = await readBytesAt(handle, at)
    if (chunk.length > 0) {
      at += chunk.length
      note(at)
      yield chunk
      continue
    }
    // After a rotation was seen, the file was read to its end once more.
    if (!follow || rotated) return
    const stats = await stat(path).catch(() => null)
    const { size } = await handle.stat()
    if (size < at) return
    rotated = stats !== null && stats.ino !== inode
    if (!rotated) await wait(POLL_MS, undefined, { signal })
  }
}

async function* unpackedChunks(
  path: string,
  handle: FileHandle,
  offset: number,
  note: (bytesRead: number) => void,
): AsyncGenerator<Buffer> {
  // `handle.createReadStream()` would close the handle.
  const packed = Readable.from(packedChunks(handle, note))
  const plain = createGunzip()
  packed.on('error', (error) => plain.destroy(error))
  let skip = offset
  try {
    for await (const chunk of packed.pipe(plain) as AsyncIterable<Buffer>) {
      const rest = chunk.subarray(Math.min(skip, chunk.length))
      skip -= chunk.length - rest.length
      if (rest.length > 0) yield rest
    }
  } catch (cause) {
    throw new UsageError(`${path}: it cannot be unpacked: ${(cause as Error).message}`, { cause })
  } finally {
    packed.destroy()
  }
}

async function* packedChunks(handle: FileHandle, note: (bytesRead: number) => void) {
  for (let at = 0; ; ) {
    const chunk = await readBytesAt(handle, at)
    if (chunk.length === 0) return
    at += chunk.length
    note(at)
    yield chunk
  }
}

/** @returns the bytes at `at`, none at the end of the file. */
async function readBytesAt(handle: FileHandle, at: number): Promise<Buffer> {
  const room = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  const { bytesRead } = await handle.read(room, 0, CHUNK_BYTES, at)
  return room.subarray(0, bytesRead)
}

export function isPacked(path: string): boolean {
  return path.endsWith('.gz')
}

/**
 * @returns what identifies a file whose content was read up to `offset`. Offsets in a `.gz` count
 *   unpacked bytes, so there the beginning of the file is hashed.
 */
export async function fileProof(path: string, { handle }: OpenFile, offset: number) {
  if (!isPacked(path)) return proofOf(handle, offset)
  const { size } = await handle.stat()
  return proofOf(handle, Math.min(PROOF_BYTES, size))
}
