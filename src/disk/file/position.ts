/**
 * How far was a file read, and which of its lines are not settled?
 *
 * A place is a number of bytes since the beginning of the first file. If a followed file is
 * replaced by another one, the count continues in the new file. So a place identifies one line and
 * never another, and is the key of that line.
 */
import { sha256 } from '#runtime'

/** A part of one of the files that followed one another under the same name. */
export interface Generation {
  /** The place of its first byte. */
  readonly base: number
  /** The inode of the file, to find it again after it was renamed. */
  readonly inode: number
  /** The offset in the file at which the part begins. Default: 0. */
  readonly start?: number
  /** The number of the first line. Default: 1. */
  readonly line?: number
  /** Whether it begins in the middle of a line that the part before it began. Default: false. */
  readonly joins?: boolean
  /**
   * Identifies the file, or null if nothing is known of its content. Default: the `proof` of the
   * position for the last part, and null for the others.
   */
  readonly proof?: Proof | null
}

/** A file that was read and replaced, and that its writer may not have closed yet. */
export interface LeftFile {
  /** The inode of the file. */
  readonly inode: number
  /** The offset in the file up to which it was read. */
  readonly offset: number
  /** The number of the line there. */
  readonly line: number
  /** Identifies the file. */
  readonly proof: Proof | null
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
  /** When the position was taken, in ms since 1970. Default: not known. */
  readonly at?: number
  /** Files before the last one that may still grow. Default: none. */
  readonly left?: readonly LeftFile[]
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

/** What is used of a file that is open. */
interface FileAtHand {
  read(
    into: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>
}

/** So many bytes are hashed that two files do not have the same ones by chance. */
export const PROOF_BYTES = 1024

/**
 * @param bytes The bytes that end at `end`; at most the last 1024 of them are hashed.
 * @param end An offset in the file.
 */
export function proofIn(bytes: Uint8Array, end: number): Proof {
  const last = bytes.subarray(Math.max(0, bytes.length - PROOF_BYTES))
  return { offset: end - last.length, bytes: last.length, sha256: sha256Of(last) }
}

/** Hashes the bytes before `offset`. */
export async function proofOf(file: FileAtHand, offset: number): Promise<Proof> {
  const bytes = Math.min(PROOF_BYTES, offset)
  const start = offset - bytes
  return { offset: start, bytes, sha256: sha256Of(await bytesAt(file, start, bytes)) }
}

/** @returns whether the file has the bytes of the proof. It is true if there is no proof. */
export async function proves(proof: Proof | null, file: FileAtHand): Promise<boolean> {
  if (proof === null) return true
  return sha256Of(await bytesAt(file, proof.offset, proof.bytes)) === proof.sha256
}

async function bytesAt(file: FileAtHand, offset: number, bytes: number): Promise<Uint8Array> {
  const found = new Uint8Array(bytes)
  const { bytesRead } = await file.read(found, 0, bytes, offset)
  return found.subarray(0, bytesRead)
}

export function sha256Of(bytes: Uint8Array): string {
  return Array.from(sha256(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
