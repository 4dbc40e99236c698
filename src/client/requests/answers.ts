/**
 * What does a response say, in the wire `plain` of MQTT 5? (docs/WIRE.md)
 */
import type { IncomingPublish, UserProperties } from '../../index.ts'

/** A response, in whichever wire it came. */
export interface GivenAnswer {
  /** 200 to 599. */
  readonly status: number
  readonly code: string | undefined
  readonly message: string | undefined
  /** The number of this part in its stream, from 0; -1 if it is no part. */
  readonly seq: number
  /** Whether nothing more comes. */
  readonly last: boolean
  /** The topic at which the responder of a stream takes credit and cancels, or undefined. */
  readonly control: string | undefined
  readonly payload: Uint8Array
  readonly properties: IncomingPublish['properties']
}

/** The User Properties of the wire. */
export const WIRE_NAMES = {
  key: 'itm-key',
  attempt: 'itm-attempt',
  status: 'itm-status',
  code: 'itm-code',
  message: 'itm-message',
  seq: 'itm-seq',
  last: 'itm-last',
  control: 'itm-control',
  credit: 'itm-credit',
} as const

const STATUS_DIGITS = /^[2-5]\d\d$/
const SEQ_DIGITS = /^\d{1,15}$/

/** @returns the first value of a User Property, or undefined. */
export function property(properties: UserProperties | undefined, name: string): string | undefined {
  const value = properties?.[name]
  return typeof value === 'object' ? value[0] : value
}

/** @returns a number that is written as plain decimal digits, or -1. */
export function wholeNumberIn(text: string | undefined): number {
  return text !== undefined && SEQ_DIGITS.test(text) ? Number(text) : -1
}

/** @returns what a response says, or null if it is malformed. */
export function readPlain({ payload, properties }: IncomingPublish): GivenAnswer | null {
  const user = properties?.userProperties
  const status = property(user, WIRE_NAMES.status)
  if (status !== undefined && status !== '200' && !STATUS_DIGITS.test(status)) return null
  const seqText = property(user, WIRE_NAMES.seq)
  const seq = wholeNumberIn(seqText)
  if (seqText !== undefined && seq < 0) return null
  return {
    // Peers that do not know of statuses answer without one.
    status: status === undefined ? 200 : Number(status),
    code: property(user, WIRE_NAMES.code),
    message: property(user, WIRE_NAMES.message),
    seq,
    last: property(user, WIRE_NAMES.last) !== undefined,
    control: property(user, WIRE_NAMES.control),
    payload,
    properties,
  }
}
