/**
 * How does a line become a request? By default each line is one, in JSON (NDJSON).
 */
import type { Bytes } from '#bytes'
import { UsageError } from '../../errors.ts'
import type { Request } from '../../requests/vocabulary.ts'

/** A line of a file. Its places are bytes since the beginning of the file. */
export interface Line {
  /** Lines count from 1. */
  readonly number: number
  /** The place of the first byte. */
  readonly offset: number
  /** The place where the next line begins. */
  readonly end: number
  /**
   * The line without its line end, the first one without its byte order mark too. It shares up to
   * 64 KiB of memory with its neighbours: copy what is kept for long.
   */
  readonly bytes: Bytes
}

/**
 * Makes a request from a line. It must not depend on the lines before: an iteration may begin in
 * the middle of a file.
 * @returns null or undefined if the line holds none.
 * @throws what is wrong with the line.
 */
export type LineParser = (line: Line) => Request | null | undefined

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * @returns the text of a line.
 * @throws UsageError if the line is not UTF-8.
 */
export function textOfLine({ bytes }: Line): string {
  try {
    return utf8.decode(bytes)
  } catch (cause) {
    throw new UsageError('the line is not UTF-8', { cause })
  }
}

/**
 * Parses a line of NDJSON. Only its form is checked here, not the request.
 * @returns the request, or null if the line is blank.
 * @throws SyntaxError or UsageError if the line is not a JSON object.
 */
export function requestOfJson(line: Line): Request | null {
  const json = textOfLine(line).trim()
  if (json === '') return null
  const parsed: unknown = JSON.parse(json)
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) {
    return parsed as Request
  }
  throw new UsageError('an object with cmd is expected')
}
