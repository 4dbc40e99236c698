/**
 * Which bytes does one file give, packed or not? What gzip packed is known by its first bytes.
 */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { StorageError, UsageError } from '../../errors.ts'
import type { ReadableBytes } from './file-options.ts'
import { type Proof, proves, sha256Of } from './position.ts'

/** A file that is open for reading. */
export interface OpenFile {
  readonly handle: FileHandle
  /** The path under which it was opened. */
  readonly path: string
  readonly inode: number
  readonly device: number
  readonly isPacked: boolean
}

export const READ_BYTES = 64 << 10

/** The first bytes of packed files, as latin1. */
const GZIP = '\x1f\x8b\x08'
const OTHERS: readonly (readonly [name: string, begins: string, unpack: string])[] = [
  ['zstd', '\x28\xb5\x2f\xfd', 'zstd -dc'],
  ['xz', '\xfd7zXZ\x00', 'xz -dc'],
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((level) => {
    return ['bzip2', `BZh${level}1AY&SY`, 'bzip2 -dc'] as const
  }),
]
const MAGIC_BYTES = 10

/**
 * Opens a file for reading. It never waits, not even for the writer of a FIFO.
 * @throws UsageError if it cannot be read, is no file, or is packed by something else than gzip.
 * @throws StorageError (`DAMAGED`) if it is an empty `.gz`.
 */
export async function openFile(path: string): Promise<OpenFile> {
  let handle: FileHandle
  try {
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause })
  }
  try {
    const stats = await handle.stat()
    if (stats.isDirectory()) throw new UsageError(`${path} is a directory; a file is expected`)
    if (stats.isFIFO()) {
      throw new UsageError(`${path} is a FIFO, which can be read once: pass readOnce(path)`)
    }
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAGIC_BYTES), 0, MAGIC_BYTES, 0)
    const isPacked = isGzip(buffer.subarray(0, bytesRead), path)
    if (!isPacked && /\.gz$/i.test(path)) throw notPacked(path, bytesRead === 0)
    return { handle, path, inode: stats.ino, device: stats.dev, isPacked }
  } catch (error) {
    await handle.close()
    throw error
  }
}

function notPacked(path: string, isEmpty: boolean): StorageError | UsageError {
  if (!isEmpty) return new UsageError(`${path} cannot be unpacked: gzip did not pack it`)
  return new StorageError(`${path} is cut off: it is empty`, { code: 'DAMAGED' })
}

/** @throws UsageError if the bytes are packed by something else than gzip. */
function isGzip(bytes: Buffer, name: string): boolean {
  const text = bytes.toString('latin1')
  if (text.startsWith(GZIP)) return true
  const other = OTHERS.find(([, begins]) => text.startsWith(begins))
  if (other === undefined) return false
  const [tool, , unpack] = other
  throw new UsageError(`${name} is packed with ${tool}; unpack it first: ${unpack} ${name}`)
}

/** @returns the bytes at `at`, none at the end of the file. */
export async function readBytesAt(
  { handle }: OpenFile,
  at: number,
  bytes = READ_BYTES,
): Promise<Buffer> {
  const room = Buffer.allocUnsafeSlow(bytes)
  const { bytesRead } = await handle.read(room, 0, bytes, at)
  return room.subarray(0, bytesRead)
}

/**
 * Yields what a packed file holds, from an offset in it on.
 * @param note Is called with the number of packed bytes that were read.
 * @throws StorageError (`DAMAGED`) if it is cut off or damaged.
 */
export function unpackedFrom(
  file: OpenFile,
  offset: number,
  note: (bytesRead: number) => void = () => {},
): AsyncGenerator<Buffer> {
  return unpacked(Readable.from(packedChunks(file, note)), file.path, offset)
}

async function* unpacked(packed: Readable, name: string, offset: number): AsyncGenerator<Buffer> {
  const plain = createGunzip()
  packed.on('error', (error) => plain.destroy(error))
  let skip = offset
  let bytes = 0
  try {
    for await (const chunk of packed.pipe(plain) as AsyncIterable<Buffer>) {
      bytes += chunk.length
      const rest = chunk.subarray(Math.min(skip, chunk.length))
      skip -= chunk.length - rest.length
      if (rest.length > 0) yield rest
    }
  } catch (cause) {
    const message =
      `${name} is cut off or damaged: it cannot be unpacked beyond ${bytes} bytes of content, at ` +
      `byte ${plain.bytesWritten} of the file: ${(cause as Error).message}`
    throw new StorageError(message, { code: 'DAMAGED', cause })
  } finally {
    packed.destroy()
    plain.destroy()
  }
}

async function* packedChunks(file: OpenFile, note: (bytesRead: number) => void) {
  for (let at = 0; ; ) {
    const chunk = await readBytesAt(file, at)
    if (chunk.length === 0) return
    at += chunk.length
    note(at)
    yield chunk
  }
}

/** @returns whether the content of a file, unpacked, has the bytes of the proof. */
export async function holds(file: OpenFile, proof: Proof | null): Promise<boolean> {
  if (!file.isPacked || proof === null) return proves(proof, file.handle)
  const parts: Buffer[] = []
  let missing = proof.bytes
  try {
    for await (const chunk of unpackedFrom(file, proof.offset)) {
      parts.push(chunk.subarray(0, missing))
      missing -= Math.min(missing, chunk.length)
      if (missing === 0) break
    }
  } catch {
    return false
  }
  return sha256Of(Buffer.concat(parts)) === proof.sha256
}

/**
 * Yields the content of a stream, which is unpacked if its first bytes are those of gzip.
 * @throws StorageError (`DAMAGED`) if it is packed, and cut off or damaged.
 */
export async function* contentOf({ name, bytes }: ReadableBytes): AsyncGenerator<Buffer> {
  const chunks = bytes[Symbol.asyncIterator]()
  const first: Buffer[] = []
  let length = 0
  while (length < MAGIC_BYTES) {
    const { value, done } = await chunks.next()
    if (done) break
    first.push(value)
    length += value.length
    // A slow writer of text is not kept waiting for ten bytes.
    if (!mayBePacked(Buffer.concat(first))) break
  }
  async function* whole() {
    yield* first
    yield* { [Symbol.asyncIterator]: () => chunks }
  }
  if (isGzip(Buffer.concat(first), name)) yield* unpacked(Readable.from(whole()), name, 0)
  else yield* whole()
}

/** @returns whether the bytes are the beginning of one of the known beginnings. */
function mayBePacked(bytes: Buffer): boolean {
  const text = bytes.toString('latin1')
  const beginnings = [GZIP, ...OTHERS.map(([, begins]) => begins)]
  return beginnings.some((begins) => begins.startsWith(text) || text.startsWith(begins))
}
