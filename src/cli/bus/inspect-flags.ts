/** Which flags has `inspect`? Types only. */
import type { ConnectionFlags } from '../flags.ts'

export interface InspectFlags extends ConnectionFlags {
  readonly api?: string
  readonly event?: string
  readonly id?: string
  readonly where?: readonly WantedValue[]
  readonly dead?: boolean
  readonly follow?: boolean
  readonly format?: InspectFormat
  readonly json?: boolean
  readonly prefix?: string
  readonly timeout: number
  readonly trustPatterns?: boolean
  readonly validate?: boolean
}

export type InspectFormat = 'human' | 'json' | 'pretty'

/** What the value of an event must have. */
export interface WantedValue {
  /** The names that lead to it. */
  readonly path: readonly string[]
  readonly text: string
}
