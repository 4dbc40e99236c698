/**
 * Which options does a file of requests have? They are checked once, here.
 */
import type { Bytes } from '#bytes'
import { describe, UsageError } from '../../errors.ts'
import type { Platform } from '../../platform/machine.ts'
import { wrong } from '../../requests/check.ts'
import type { Request } from '../../requests/vocabulary.ts'
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
   * whole; a symbolic link is followed, and a file that is a mount point is written in place. If it
   * exists, reading continues at the position that it stores. One process at a time has it: the
   * lock file beside it (`.lock`) is removed by `close()`, and that of a killed process is taken
   * over. Default: a restart begins at the first line.
   */
  readonly checkpoint?: string
  /**
   * Whether the stream waits at the end of the file until the file grows, is truncated or is
   * replaced, and at the beginning until there is a file. A file that was renamed is read on until
   * it was quiet for 1 s (10 s at most), and watched for 10 more minutes. Default false: the stream
   * ends with the file.
   */
  readonly follow?: boolean
  /**
   * Whether the file may grow after it was read to its end. If so, a last line without a line end
   * is not finished: it is left for a later run, with the warning `LINE_UNFINISHED`. If not, it
   * is a line. Default: true with `checkpoint` or `follow`, and false otherwise. What is packed
   * does not grow.
   */
  readonly growing?: boolean
  /**
   * A function that is called with the error of each line that is not a request. The stream
   * continues after that line, or ends there if the function returns false. Default: the stream
   * throws the error.
   */
  readonly onInvalid?: (error: UsageError) => unknown
  /**
   * A function that is called with each warning: lines may be missing (`GAP_POSSIBLE`), the file is
   * waited for (`FILE_MISSING`), or one of `LINE_UNFINISHED` and `CHECKPOINT_NOT_LOCKED`. Default:
   * the first warning of each code is reported with `process.emitWarning`, as a `MqttWarning`.
   */
  readonly onWarning?: (warning: FileWarning) => void
  /**
   * With `follow`: whether the system is asked to report changes in the folder. If not, or if it
   * cannot (NFS), the file is looked at every 200 ms, and every 20 ms for 2 s after a change.
   * Default: true.
   */
  readonly watch?: boolean
  /** The clock and the timers. Default: those of the machine. */
  readonly platform?: Platform
}

/** A problem after which a file is read on. */
export interface FileWarning {
  /** The code of the warning: docs/ERRORS.md lists them. */
  readonly code: string
  /** A sentence for people: the file, what happened and why. */
  readonly message: string
  /** The path that was given. */
  readonly file: string
  /** The offset in the file, in bytes, to which the warning refers. */
  readonly offset: number
}

/** Bytes that can be read once, as standard input can. */
export interface ReadableBytes {
  /** Names the stream in error messages. */
  readonly name: string
  /** The bytes, in chunks of any size. */
  readonly bytes: AsyncIterable<Bytes> & {
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

const NAMES = [
  ...['parse', 'checkpoint', 'follow', 'growing', 'onInvalid', 'onWarning', 'watch', 'platform'],
]

/** @throws UsageError naming the option. */
export function checkFileOptions(path: string, options: FileRequestsOptions): void {
  if (typeof path !== 'string' || path === '') throw wrong('fileRequests: path', 'a path', path)
  for (const name of Object.keys(options)) {
    if (NAMES.includes(name)) continue
    throw new UsageError(
      `fileRequests has no option ${describe(name)}; allowed: ${NAMES.join(', ')}`,
    )
  }
  const { parse, checkpoint, follow, growing, onInvalid, onWarning, watch } = options
  for (const [name, given] of Object.entries({ parse, onInvalid, onWarning })) {
    if (given === undefined || typeof given === 'function') continue
    throw wrong(`fileRequests: ${name}`, 'a function', given)
  }
  if (checkpoint !== undefined && typeof checkpoint !== 'string') {
    throw wrong('fileRequests: checkpoint', 'a path', checkpoint)
  }
  for (const [name, given] of Object.entries({ follow, growing, watch })) {
    if (given === undefined || typeof given === 'boolean') continue
    throw wrong(`fileRequests: ${name}`, 'true or false', given)
  }
  if (follow === true && growing === false) {
    throw new UsageError('fileRequests: growing: a file that is followed may grow')
  }
  if (follow === true && /\.gz$/i.test(path)) {
    throw new UsageError('fileRequests: follow: a .gz does not grow; unpack it first')
  }
}
