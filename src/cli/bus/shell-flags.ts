/** Which flags has `shell`? Types only. */
import type { ConnectionFlags } from '../flags.ts'

export interface ShellFlags extends ConnectionFlags {
  readonly module?: string
  readonly prefix?: string
  readonly timeout: number
}
