/**
 * How far a file was read and settled, as data: what a checkpoint keeps, and what a session file keeps beside its session.
 *
 * Places are numbers of bytes since the beginning of the first file; where a file is followed and replaced by another one, the
 * count goes on. So a place names one line for ever, and is its key.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, readFile } from 'node:fs/promises'
import { UsageError } from '../../errors.ts'

/** One file of those that followed each other under one name. */
export interface Generation {
  /** Place of its first byte. */
  readonly base: number
  readonly inode: number
}

export interface Position {
  readonly file: string
  /** Everything below has its outcome. */
  readonly offset: number
  /** Lines from there on that have none: place of the first byte, number of the line. */
  readonly unsettled: readonly (readonly [place: number, line: number])[]
  /** What was read… */
  readonly readThrough: number
  /** …and the number of the line there. */
  readonly line: number
  /** From that of `offset` on. */
  readonly generations: readonly Generation[]
  /** The end of what was read of the last of them, by which it is known again. */
  readonly proof: Proof | null
}

export interface Proof {
  /** Of the file. */
  readonly offset: number
  readonly bytes: number
  readonly sha256: string
}

/** Enough that two files do not end alike by chance. */
const PROOF_BYTES = 1024
const FORMAT = 1

/** Of what stands before `offset`, or of the beginning where bytes of the file are not those of the lines (`.gz`). */
export async function proofOf(file: FileHandle, offset: number): Promise<Proof> {
  const bytes = Math.min(PROOF_BYTES, offset)
  return { offset: offset - bytes, bytes, sha256: await hashOf(file, offset - bytes, bytes) }
}

export async function proves(proof: Proof | null, file: FileHandle): Promise<boolean> {
  return proof === null || (await hashOf(file, proof.offset, proof.bytes)) === proof.sha256
}

async function hashOf(file: FileHandle, offset: number, bytes: number): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, offset)
  return createHash('sha256').update(buffer.subarray(0, bytesRead)).digest('hex')
}

export function checkpointText(position: Position): string {
  return `${JSON.stringify({ 'it-mqtt': 'checkpoint', format: FORMAT, ...position })}\n`
}

/** Null: there is none yet. @throws UsageError where it is there and cannot be used. */
export async function readCheckpoint(path: string): Promise<Position | null> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new UsageError(`checkpoint: ${(cause as Error).message}`, { cause })
  }
  const found = parsed(text)
  if (found?.['it-mqtt'] === 'checkpoint' && found.format === FORMAT) return found
  throw new UsageError(
    `checkpoint: ${path} is no checkpoint of format ${FORMAT}, or damaged; give another path, or remove it to begin anew`,
  )
}

function parsed(text: string): (Position & { 'it-mqtt': unknown; format: unknown }) | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
