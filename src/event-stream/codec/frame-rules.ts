/**
 * Which rules has the format, which limits are there, and how is a broken rule reported?
 */
import { ProtocolError, UsageError } from '../../errors.ts'
import { HEADERS_BYTES_MAX, PAYLOAD_BYTES_MAX } from './header-values.ts'

/** What a decoder accepts. */
export interface DecodeLimits {
  /**
   * The most bytes that the headers of a message may have, at least 0. Default 131,072, as in the
   * specification.
   */
  readonly maxHeadersBytes?: number | undefined
  /**
   * The most bytes that a payload may have, at least 0. Default 25,165,824, as in the
   * specification.
   */
  readonly maxPayloadBytes?: number | undefined
  /** The most headers that a message may have, at least 0. Default 1,024. */
  readonly maxHeaders?: number | undefined
}

/** Limits with their defaults. */
export type ResolvedLimits = { readonly [Name in keyof DecodeLimits]-?: number }

const FORMAT_LIMITS: ResolvedLimits = {
  maxHeadersBytes: HEADERS_BYTES_MAX,
  maxPayloadBytes: PAYLOAD_BYTES_MAX,
  maxHeaders: 1024,
}

/** @throws UsageError if a limit is no whole number from 0 on. */
export function resolveLimits(given?: DecodeLimits): ResolvedLimits {
  if (given === undefined) return FORMAT_LIMITS
  const limits: Record<string, number> = { ...FORMAT_LIMITS }
  for (const name of Object.keys(limits)) {
    const value = given[name as keyof DecodeLimits]
    if (value === undefined) continue
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new UsageError(`the option ${name} must be a whole number, at least 0`)
    }
    limits[name] = value
  }
  return limits as ResolvedLimits
}

/** The rules of the format, as `clause` of an error names them. */
type FrameRule =
  | 'total length'
  | 'headers length'
  | 'prelude checksum'
  | 'message checksum'
  | 'maxHeadersBytes'
  | 'maxPayloadBytes'
  | 'maxHeaders'
  | 'header name'
  | 'header twice'
  | 'header type'
  | 'header value'

/** Malformed packet (2.4): there is no DISCONNECT for it, but the error needs a reason code. */
const MALFORMED = 0x81

/** @returns the error of bytes that break a rule of the format. */
export function malformed(rule: FrameRule, offset: number, problem: string): ProtocolError {
  const text = `an event-stream message is malformed at byte ${offset}: ${problem}`
  return new ProtocolError(text, {
    code: 'MALFORMED_MESSAGE',
    clause: rule,
    reasonCode: MALFORMED,
    retryable: false,
    offset,
  })
}
