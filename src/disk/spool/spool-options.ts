/**
 * The options of a spool: judged once.
 */
import { describe, UsageError, wrong } from '../../errors.ts'
import type { Outcome, Request } from '../../requests/vocabulary.ts'

export interface SpoolOptions {
  /**
   * `durable` (default): `push` resolves once its requests are safe on disk. `spill`: requests stay in memory as long as the
   * network keeps up, and go to disk where it does not, and at `close`.
   */
  readonly mode?: 'durable' | 'spill'
  /** Of requests without an outcome, in bytes of topic, payload, filters and properties; default: no bound. */
  readonly maxBytes?: number
  /** Requests without an outcome; default: no bound. */
  readonly maxMessages?: number
  /**
   * What a push beyond the bounds leads to: `wait` (default) for room; `reject` it whole with a StorageError (`SPOOL_FULL`);
   * `dropOldest` of what no loop has in hand; `dropNewest`, what is pushed. What is dropped has an outcome (`onSettled`).
   */
  readonly overflow?: 'wait' | 'reject' | 'dropOldest' | 'dropNewest'
  /** Hears the outcome of every request: those that a loop gives, drops (`SPOOL_FULL`) and what expired here (`MESSAGE_EXPIRED`). */
  readonly onSettled?: (request: Request, outcome: Outcome) => void
  /** Hears what was lost to damage, and of a disk that is full. */
  readonly onWarning?: (warning: { readonly code: string; readonly message: string }) => void
}

export type ResolvedSpool = Required<
  Pick<SpoolOptions, 'mode' | 'maxBytes' | 'maxMessages' | 'overflow'>
> &
  Pick<SpoolOptions, 'onSettled' | 'onWarning'>

const NAMES = ['mode', 'maxBytes', 'maxMessages', 'overflow', 'onSettled', 'onWarning']

/** @throws UsageError naming the option. */
export function resolveSpool(options: SpoolOptions): ResolvedSpool {
  for (const name of Object.keys(options)) {
    if (NAMES.includes(name)) continue
    throw new UsageError(`spool has no option ${describe(name)}; allowed: ${NAMES.join(', ')}`)
  }
  const { mode = 'durable', overflow = 'wait', onSettled, onWarning } = options
  judgeWord('mode', mode, ['durable', 'spill'])
  judgeWord('overflow', overflow, ['wait', 'reject', 'dropOldest', 'dropNewest'])
  const { maxBytes = Infinity, maxMessages = Infinity } = options
  for (const [name, bound] of Object.entries({ maxBytes, maxMessages })) {
    if (typeof bound === 'number' && bound >= 1) continue
    throw wrong(`spool: ${name}`, bound, 'a number of 1 or more')
  }
  for (const [name, listener] of Object.entries({ onSettled, onWarning })) {
    if (listener !== undefined && typeof listener !== 'function') {
      throw wrong(`spool: ${name}`, listener, 'a function')
    }
  }
  return {
    mode,
    maxBytes,
    maxMessages,
    overflow,
    ...(onSettled === undefined ? {} : { onSettled }),
    ...(onWarning === undefined ? {} : { onWarning }),
  }
}

function judgeWord(name: string, given: unknown, allowed: readonly string[]): void {
  if (allowed.includes(given as string)) return
  throw wrong(`spool: ${name}`, given, `one of ${allowed.join(', ')}`)
}
