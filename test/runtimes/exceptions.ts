/**
 * Which tests fail in a runtime, and why is that no defect? A run fails if another test fails, and
 * if one of these passes: then it is taken out of the list.
 */
import type { RuntimeName } from '../support/runtimes.ts'

export interface Exception {
  /** The file, and the whole title of the test or how it begins. */
  readonly file: string
  readonly title: string
  readonly reason: string
}

export const EXCEPTIONS: Readonly<Record<RuntimeName, readonly Exception[]>> = {
  'node-22': [],
  'node-24': [],
  bun: [],
  deno: [],
}
