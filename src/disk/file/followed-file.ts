/**
 * The bytes of a file, and where it is followed, of whatever takes its place: files that were rotated away are read to their
 * end first. Nothing is watched: a file that has no more is looked at again after a moment.
 */
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { createGunzip } from 'node:zlib'
import { UsageError } from '../../errors.ts'
import { type Generation, type Proof, proofOf, proves } from './position.ts'

/** An open file. `base` and `inode` as in `Generation`. */
export interface OpenFile extends Generation {
  readonly handle: FileHandle
}

/** How often a file that has no more is looked at, in ms. */
const LOOK_EVERY_MS = 200
const CHUNK_BYTES = 64 << 10

/** Waits for one that is not there yet. */
export async function awaitFile(path: string, base: number, signal: AbortSignal) {
  while ((await stat(path).catch(() => null)) === null) {
    await wait(LOOK_EVERY_MS, undefined, { signal })
  }
  return openFile(path, base)
}

/** @throws UsageError where it cannot be read. */
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
 * The file of an earlier life; null: it is gone.
 * @param proof null: what was read of it is not known.
 */
export async function findFile(
  path: string,
  { base, inode }: Generation,
  proof: Proof | null,
  follow: boolean,
): Promise<OpenFile | null> {
  const named = follow ? await findInode(path, inode) : null
  // A copy is as good, where it can prove to be one.
  if (named === null && follow && (proof === null || proof.bytes === 0)) return null
  const file = await openFile(named ?? path, base)
  if (await proves(proof, file.handle)) return file
  await file.handle.close()
  return null
}

/** Under its own name, or under the one that it was given when another took its place. */
async function findInode(path: string, inode: number): Promise<string | null> {
  const folder = dirname(path)
  const others = await readdir(folder).catch(() => [])
  for (const candidate of [path, ...others.map((name) => join(folder, name))]) {
    const stats = await stat(candidate).catch(() => null)
    if (stats?.isFile() && stats.ino === inode) return candidate
  }
  return null
}

/** From `offset` of what the file says; a `.gz` is unpacked from its beginning. `note` hears how much of the file was read. */
export async function* bytesOf(
  path: string,
  { handle, inode }: OpenFile,
  offset: number,
  follow: boolean,
  signal: AbortSignal,
  note: (bytesRead: number) => void,
): AsyncGenerator<Buffer> {
  if (isPacked(path)) return yield* unpacked(path, handle, offset, note)
  let at = offset
  for (let rotated = false; ; ) {
    const chunk = await readChunk(handle, at)
    if (chunk.length > 0) {
      at += chunk.length
      note(at)
      yield chunk
      continue
    }
    // What was written before it was replaced is read by now.
    if (!follow || rotated) return
    const stats = await stat(path).catch(() => null)
    const { size } = await handle.stat()
    if (size < at) return
    rotated = stats !== null && stats.ino !== inode
    if (!rotated) await wait(LOOK_EVERY_MS, undefined, { signal })
  }
}

async function* unpacked(
  path: string,
  handle: FileHandle,
  offset: number,
  note: (bytesRead: number) => void,
): AsyncGenerator<Buffer> {
  // A stream of the handle's own would close it.
  const packed = Readable.from(bytesIn(handle, note))
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

async function* bytesIn(handle: FileHandle, note: (bytesRead: number) => void) {
  for (let at = 0; ; ) {
    const chunk = await readChunk(handle, at)
    if (chunk.length === 0) return
    at += chunk.length
    note(at)
    yield chunk
  }
}

async function readChunk(handle: FileHandle, at: number): Promise<Buffer> {
  const room = Buffer.allocUnsafe(CHUNK_BYTES)
  const { bytesRead } = await handle.read(room, 0, CHUNK_BYTES, at)
  return room.subarray(0, bytesRead)
}

export function isPacked(path: string): boolean {
  return path.endsWith('.gz')
}

/** What tells this file from another one, read up to `offset` of what it says. */
export async function fileProof(path: string, { handle }: OpenFile, offset: number) {
  if (!isPacked(path)) return proofOf(handle, offset)
  const { size } = await handle.stat()
  return proofOf(handle, Math.min(1024, size))
}
