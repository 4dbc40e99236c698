/**
 * Which options does a spool have? They are checked once, here.
 */
import { describe, UsageError } from '../../errors.ts'
import { wrong } from '../../requests/check.ts'
import type { Outcome, Request } from '../../requests/vocabulary.ts'

/** Options of `spool`. */
export interface SpoolOptions {
  /**
   * `durable` (default): `push` resolves once its requests are safe on disk. `spill`: requests stay
   * in memory as long as the loop takes them fast enough; otherwise they go to disk. At `close` all
   * of them go to disk.
   */
  readonly mode?: 'durable' | 'spill'
  /**
   * The most bytes (topic, payload, filters and properties) of requests that are not settled.
   * Default: no bound.
   */
  readonly maxBytes?: number
  /** The most requests that are not settled. Default: no bound. */
  readonly maxMessages?: number
  /**
   * The effect of a push that exceeds a bound. `wait` (default): it waits for room. `reject`: the
   * whole push is rejected with a StorageError (`SPOOL_FULL`). `dropOldest`: the oldest requests
   * that no loop has taken are dropped. `dropNewest`: the pushed requests are dropped. A request
   * that is dropped has an outcome, which `onSettled` gets.
   */
  readonly overflow?: 'wait' | 'reject' | 'dropOldest' | 'dropNewest'
  /**
   * A function that is called with the outcome of every request: outcomes from a loop, and those of
   * requests that were dropped (`SPOOL_FULL`) or expired in the spool (`MESSAGE_EXPIRED`).
   */
  readonly onSettled?: (request: Request, outcome: Outcome) => void
  /**
   * A function that is called with a warning if damaged records were lost, or if the disk fails
   * while no `push` waits for it. Default: the first warning of each code is reported with
   * `process.emitWarning`, as a `MqttWarning`.
   */
  readonly onWarning?: (warning: SpoolWarning) => void
}

/** Says where the requests of a push come from, so that a later process goes on behind them. */
export interface Producer {
  /** Names the producer in this spool: the path of a file, say. */
  readonly name: string
  /**
   * @returns the position of the producer after the first `count` requests of the push, which JSON
   *   can represent. It is stored in the same commit as these requests. `count` is the length of
   *   the push, unless the push has to wait for room.
   */
  positionAfter(count: number): unknown
}

/** What `clearDamaged` has removed. */
export interface ClearedDamage {
  /** How many damaged records there were. */
  readonly records: number
  /** How many requests were lost. */
  readonly lost: number
}

/** A problem after which the spool goes on. */
export interface SpoolWarning {
  /** The code of the warning: docs/ERRORS.md lists them. */
  readonly code: string
  /** A sentence for people: what happened and what to do. */
  readonly message: string
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
  checkWord('mode', mode, ['durable', 'spill'])
  checkWord('overflow', overflow, ['wait', 'reject', 'dropOldest', 'dropNewest'])
  const { maxBytes = Infinity, maxMessages = Infinity } = options
  for (const [name, bound] of Object.entries({ maxBytes, maxMessages })) {
    if (typeof bound === 'number' && bound >= 1) continue
    throw wrong(`spool: ${name}`, 'a number of 1 or more', bound)
  }
  for (const [name, listener] of Object.entries({ onSettled, onWarning })) {
    if (listener !== undefined && typeof listener !== 'function') {
      throw wrong(`spool: ${name}`, 'a function', listener)
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

function checkWord(name: string, given: unknown, allowed: readonly string[]): void {
  if (allowed.includes(given as string)) return
  throw wrong(`spool: ${name}`, `one of ${allowed.join(', ')}`, given)
}
