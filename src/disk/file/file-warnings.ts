/** What is reported to the user about a file? Warnings, after which it is read on; one error. */
import { UsageError } from '../../errors.ts'
import type { FileWarning } from './file-options.ts'
import type { Line } from './parse-line.ts'
import type { Position } from './position.ts'

/** @param offset Where in the file that was read lines may be missing. */
export function gapPossible(path: string, offset: number, why: string): FileWarning {
  const message = `${path}: lines may be missing after byte ${offset} of the file read: ${why}`
  return { code: 'GAP_POSSIBLE', message, file: path, offset }
}

/** @param lines The lines that were not settled, by their places. */
export function linesLost(path: string, lines: readonly (readonly [unknown, number])[]) {
  const message =
    `${path}: a rotated file is gone, and ${lines.length} of its lines were not settled: line ` +
    `${lines[0]?.[1]} and later ones`
  return { code: 'GAP_POSSIBLE', message, file: path, offset: 0 } satisfies FileWarning
}

export function fileMissing(path: string): FileWarning {
  const message = `${path}: the file is not there yet; it is waited for`
  return { code: 'FILE_MISSING', message, file: path, offset: 0 }
}

export function lineUnfinished(path: string, { number, offset, bytes }: Line): FileWarning {
  const message =
    `${path}:${number}: the last line (${bytes.length} bytes) has no line end; it is left for a ` +
    'later run, because the file may grow'
  return { code: 'LINE_UNFINISHED', message, file: path, offset }
}

export function checkpointNotLocked(path: string, why: string): FileWarning {
  const message =
    `${why}. Nothing prevents a second process from using it: make sure that there is one, or ` +
    'let this process write the folder.'
  return { code: 'CHECKPOINT_NOT_LOCKED', message, file: path, offset: 0 }
}

/** @param positionName Names what stores the position. */
export function fileGone(path: string, positionName: string, { line, file }: Position): UsageError {
  return new UsageError(
    `${positionName} goes on at line ${line} of ${file}, and ${path} is not that file or has ` +
      'changed; give the right file, or remove what is kept to begin at the first line',
    { code: 'FILE_GONE' },
  )
}
