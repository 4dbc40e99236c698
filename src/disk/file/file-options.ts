/**
 * Which options does a file of requests have? They are checked once, here.
 */
import { describe, UsageError } from '../../errors.ts'
import { wrong } from '../../requests/check.ts'
import type { Request } from '../../requests/vocabulary.ts'
import { isPacked } from './followed-file.ts'
import type { LineParser } from './parse-line.ts'
import type { Position } from './position.ts'

/** Options of `fileRequests`. */
export interface FileRequestsOptions {
  /**
   * Makes a request from a line (without its line end; lines count from 1), or returns null or
   * undefined if the line holds none. Default: each line is a request in JSON (NDJSON), and blank
   * lines are skipped.
   */
  readonly parse?: (line: string, lineNumber: number) => Request | null | undefined
  /**
   * The path of a file that stores up to which line everything is settled. It is replaced as a
   * whole. If the file exists, reading continues at the position that it stores. Default: a restart
   * begins at the first line.
   */
  readonly checkpoint?: string
  /**
   * Whether the stream waits at the end of the file until the file grows, is truncated or is
   * replaced. Default false: the stream ends with the file.
   */
  readonly follow?: boolean
  /**
   * A function that is called with the error of each line that is not a request. The stream
   * continues after that line, or ends there if the function returns false. Default: the stream
   * throws the error.
   */
  readonly onInvalid?: (error: UsageError) => unknown
}

/** Bytes that can be read once, as standard input can. */
export interface ReadableBytes {
  /** Names the stream in error messages. */
  readonly name: string
  /** The bytes, in chunks of any size. */
  readonly bytes: AsyncIterable<Buffer> & {
    /** Ends reading. */
    destroy(): void
  }
}

/** The arguments of the constructor of `FileRequests`. */
export interface FileRequestsSetup {
  /** The path of a file, or bytes that can be read once. */
  readonly source: string | ReadableBytes
  /** `parse` is not used: `parseLine` takes its place. */
  readonly options: FileRequestsOptions
  /** Makes a request from a line; it gets the bytes of the line. */
  readonly parseLine: LineParser
  /**
   * The position at which an earlier process stopped, if the caller stores it. Default: that of the
   * checkpoint.
   */
  readonly position?: Position | null
  /** Names what stores the position, in error messages. Default: the path of the checkpoint. */
  readonly positionName?: string
}

const NAMES = ['parse', 'checkpoint', 'follow', 'onInvalid']

/** @throws UsageError naming the option. */
export function checkFileOptions(path: string, options: FileRequestsOptions): void {
  if (typeof path !== 'string' || path === '') throw wrong('fileRequests: path', 'a path', path)
  for (const name of Object.keys(options)) {
    if (NAMES.includes(name)) continue
    throw new UsageError(
      `fileRequests has no option ${describe(name)}; allowed: ${NAMES.join(', ')}`,
    )
  }
  const { parse, checkpoint, follow = false, onInvalid } = options
  for (const [name, given] of Object.entries({ parse, onInvalid })) {
    if (given === undefined || typeof given === 'function') continue
    throw wrong(`fileRequests: ${name}`, 'a function', given)
  }
  if (checkpoint !== undefined && typeof checkpoint !== 'string') {
    throw wrong('fileRequests: checkpoint', 'a path', checkpoint)
  }
  if (typeof follow !== 'boolean') throw wrong('fileRequests: follow', 'true or false', follow)
  if (follow && isPacked(path)) {
    throw new UsageError('fileRequests: follow: a .gz does not grow; unpack it first')
  }
}
