/**
 * Which is the next time of a task? After an interval, by an expression of cron, or what an
 * iterable yields. An interval is measured by the clock that never goes back, the others by the
 * wall clock.
 */
import { type Platform, UsageError } from '../index.ts'
import { inQuotes } from './bus-names.ts'
import { checkFieldNames } from './define-api.ts'
import type { Interval, Times } from './task-types.ts'

const INTERVAL_UNITS_MS = {
  seconds: 1000,
  minutes: 60_000,
  hours: 3_600_000,
  days: 86_400_000,
} as const
const INTERVAL_MAX_MS = 1000 * INTERVAL_UNITS_MS.days
const EXPRESSION_LENGTH_MAX = 200
/** Five to seven fields, or a word such as `@daily`. Croner takes dates too, which are no rule. */
const EXPRESSION = /^\s*(?:@[a-z]+|\S+(?:\s+\S+){4,6})\s*$/i
/** The last instant that a Date can be, in ms since 1970. */
const INSTANT_MAX_MS = 8.64e15

export interface TaskTimes {
  /** Whether the next time can be asked for again, after another instant. */
  readonly isRepeatable: boolean
  /** Whether instants are of the wall clock, which may be set. */
  readonly isWall: boolean
  /** @throws UsageError if there can be no times. */
  prepare(): Promise<void>
  /** @returns the first time after an instant; null if there is none. */
  next(after: number): number | null | Promise<number | null>
  /** Ends the iterable. */
  close(): void
}

/** @throws UsageError for an interval that cannot be used. */
export function intervalTimes(interval: Interval): TaskTimes {
  if (typeof interval === 'number') {
    throw new UsageError('every: a number has no unit; write { seconds: 5 }, for example')
  }
  checkFieldNames('every', interval, Object.keys(INTERVAL_UNITS_MS))
  let ms = 0
  for (const [unit, unitMs] of Object.entries(INTERVAL_UNITS_MS)) {
    const count = interval[unit as keyof Interval]
    if (count === undefined) continue
    if (typeof count !== 'number' || !(count >= 0)) {
      throw new UsageError(
        `every: ${unit} must be a number of at least 0, not ${shownNumber(count)}`,
      )
    }
    ms += count * unitMs
  }
  if (ms < 1 || ms > INTERVAL_MAX_MS) {
    throw new UsageError(`every: the interval must be 1 ms to 1,000 days, not ${ms} ms`)
  }
  let start: number | null = null
  return {
    ...{ isRepeatable: true, isWall: false, prepare: async () => {}, close: () => {} },
    next: (after) => {
      start ??= after
      return start + (Math.floor((after - start) / ms) + 1) * ms
    },
  }
}

interface CronEvaluator {
  nextRun(after: Date): Date | null
}

/** @throws UsageError for what is no expression at all; the rest is known after `prepare()`. */
export function cronTimes(
  expression: string,
  timezone: string | undefined,
  clock: Platform,
): TaskTimes {
  const isText = typeof expression === 'string' && expression.length <= EXPRESSION_LENGTH_MAX
  if (!isText || !EXPRESSION.test(expression)) {
    const allowed = 'five to seven fields, such as "*/5 * * * *", or a word such as "@daily"'
    throw new UsageError(`cron: the expression must be ${allowed}, not ${inQuotes(expression)}`)
  }
  if (timezone !== undefined && typeof timezone !== 'string') {
    throw new UsageError('cron: timezone must be a text such as "Europe/Berlin"')
  }
  let evaluator: CronEvaluator | null = null
  return {
    ...{ isRepeatable: true, isWall: true, close: () => {} },
    prepare: async () => {
      if (evaluator !== null) return
      const Cron = await loadCroner()
      const what = `cron: ${inQuotes(expression)}`
      let first: Date | null
      try {
        evaluator = new Cron(expression, { paused: true, ...(timezone && { timezone }) })
        first = evaluator.nextRun(new Date(wallNowOf(clock)))
      } catch (cause) {
        throw new UsageError(`${what} cannot be used: ${(cause as Error).message}`, { cause })
      }
      if (first === null) throw new UsageError(`${what} is never due; 31 February is such a date`)
    },
    next: (after) => evaluator!.nextRun(new Date(after))?.getTime() ?? null,
  }
}

type CronClass = new (expression: string, options: object) => CronEvaluator

async function loadCroner(): Promise<CronClass> {
  try {
    return (await import('croner')).Cron
  } catch (cause) {
    const what = 'cron: the package croner is needed, and cannot be loaded'
    throw new UsageError(`${what}: npm install croner@11`, { code: 'NO_SCHEDULER', cause })
  }
}

type AnyIterator = AsyncIterator<unknown> | Iterator<unknown>

/** @throws UsageError for what cannot be iterated. */
export function iteratedTimes(times: Times): TaskTimes {
  const given = Object(times) as {
    readonly [Symbol.asyncIterator]?: () => AnyIterator
    readonly [Symbol.iterator]?: () => AnyIterator
  }
  const begin = given[Symbol.asyncIterator] ?? given[Symbol.iterator]
  if (typeof begin !== 'function' || typeof times === 'string') {
    const allowed = 'an iterable of dates, or of ms since 1970'
    throw new UsageError(`schedule: the times must be ${allowed}, not ${inQuotes(times)}`)
  }
  let iterator: AnyIterator | null = null
  return {
    ...{ isRepeatable: false, isWall: true, prepare: async () => {} },
    next: async () => {
      iterator ??= begin.call(given)
      const { done, value } = await iterator.next()
      if (done) return null
      const at = value instanceof Date ? value.getTime() : value
      if (typeof at === 'number' && Math.abs(at) <= INSTANT_MAX_MS) return at
      const what = 'schedule: the iterable must yield dates, or ms since 1970'
      throw new UsageError(`${what}, not ${shownNumber(at)}`)
    },
    close: () => {
      // One that waits for something ends when that has come; nobody waits for it.
      Promise.resolve(iterator)
        .then((open) => open?.return?.())
        .catch(() => {})
    },
  }
}

/** @returns ms since 1970 on the wall clock of a platform. */
export function wallNowOf(clock: Platform): number {
  return clock.wallNow?.() ?? Date.now()
}

function shownNumber(value: unknown): string {
  return typeof value === 'number' ? String(value) : inQuotes(value)
}
