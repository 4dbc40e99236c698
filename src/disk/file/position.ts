/**
 * How far was a file read, and which of its lines are not settled?
 *
 * A place is a number of bytes since the beginning of the first file. If a followed file is
 * replaced by another one, the count continues in the new file. So a place identifies one line and
 * never another, and is the key of that line.
 */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'

/** One of the files that followed one another under the same name. */
export interface Generation {
  /** The place of its first byte. */
  readonly base: number
  /** The inode of the file, to find it again after it was renamed. */
  readonly inode: number
}

/** How far a file was read and settled, as plain data that can be stored. */
export interface Position {
  /** The path of the file. */
  readonly file: string
  /** Every line below this place is settled. */
  readonly offset: number
  /** The lines that were read and are not settled: the place of each and its line number. */
  readonly unsettled: readonly (readonly [place: number, line: number])[]
  /** Every line below this place was read. */
  readonly readThrough: number
  /** The number of the line at `readThrough`. */
  readonly line: number
  /** The file that holds `offset`, and those that replaced it. */
  readonly generations: readonly Generation[]
  /** Identifies the last of these files, or null if nothing is known of its content. */
  readonly proof: Proof | null
}

/**
 * A hash of the bytes just before the place up to which a file was read. It identifies the file.
 */
export interface Proof {
  /** The offset in the file at which these bytes begin. */
  readonly offset: number
  /** How many bytes were hashed. */
  readonly bytes: number
  /** Their SHA-256, in hexadecimal digits. */
  readonly sha256: string
}

/** So many bytes are hashed that two files do not have the same ones by chance. */
export const PROOF_BYTES = 1024

/** Hashes the bytes before `offset`. */
export async function proofOf(file: FileHandle, offset: number): Promise<Proof> {
  const bytes = Math.min(PROOF_BYTES, offset)
  return { offset: offset - bytes, bytes, sha256: await hashOf(file, offset - bytes, bytes) }
}

/** @returns whether the file has the bytes of the proof. It is true if there is no proof. */
export async function proves(proof: Proof | null, file: FileHandle): Promise<boolean> {
  return proof === null || (await hashOf(file, proof.offset, proof.bytes)) === proof.sha256
}

async function hashOf(file: FileHandle, offset: number, bytes: number): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, offset)
  return createHash('sha256').update(buffer.subarray(0, bytesRead)).digest('hex')
}
