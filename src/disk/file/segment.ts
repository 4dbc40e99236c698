/**
 * What do the reader of one file and the chain of all files that had the name share?
 */
import type { Platform } from '../../platform/machine.ts'
import type { FileWarning } from './file-options.ts'
import type { OpenFile } from './open-file.ts'
import type { Proof } from './position.ts'

/** A part of a file that is read. */
export interface Segment {
  /** The place of its first byte. */
  readonly base: number
  /** The offset of that byte in the file. */
  readonly start: number
  /** The number of its first line. */
  readonly line: number
  /** Whether it begins in the middle of a line. */
  readonly joins: boolean
  /** The inode of the file as it was opened first; `file` may be a copy of it. */
  readonly inode: number
  file: OpenFile
  /** Whether `file` is a copy, which will not grow. */
  isCopy: boolean
  /** The offset in the file at which the segment ends; null while it is the last one. */
  end: number | null
  /** Identifies the file; null while it is the last one. */
  proof: Proof | null
  /**
   * Whether the file was left before, so that reading ends where it ends; `final` if it will not be
   * read again.
   */
  readonly late: 'no' | 'yes' | 'final'
}

export interface FileChainSetup {
  readonly path: string
  readonly follow: boolean
  readonly platform: Platform
  /** Whether the folder is watched. */
  readonly watch: boolean
  readonly warn: (warning: FileWarning) => void
  /** Is called with the number of bytes that were read of the present file, packed or not. */
  readonly note: (bytesRead: number) => void
}

/** @returns whether both are the same file on the same disk. */
export function isSameFile(a: FileId, b: FileId): boolean {
  return a.inode === b.inode && a.device === b.device
}

type FileId = Pick<OpenFile, 'inode' | 'device'>
