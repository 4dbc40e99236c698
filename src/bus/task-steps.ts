/**
 * When does a task run? A pure function decides; the runner gives it the time, and does what it
 * says. (B22, a task runs at its times)
 *
 * A time is covered by a run that begins at it or later. So times that pass while a run goes on, or
 * while the machine sleeps, have one run together. For times of the wall clock, a clock that is set
 * back by a few hours repeats no run; one that is set back further is taken to have been wrong, and
 * its times are found again.
 */

/** A clock that is set back by more than this was wrong before. As in the cron of Paul Vixie. */
const SET_BACK_MAX_MS = 3 * 3600 * 1000
/**
 * How many times may have passed already when they are told, within a second. A day of one time a
 * second is less, so that after a sleep they are passed over; more of them never end.
 */
const PAST_TIMES_MAX = 100_000
const PAST_WITHIN_MS = 1000

/** What of a task its decisions rest on. */
export interface TaskRules {
  readonly runImmediately: boolean
  /** How many runs may go on together. */
  readonly runsMax: number
  /** Whether the next time can be asked for again, after another instant. */
  readonly isRepeatable: boolean
}

/** Where a task stands. All instants are of the clock of its times, in ms. */
export interface TaskState {
  /** Whether `run()` is awaited. */
  readonly isActive: boolean
  readonly hasBegun: boolean
  /** The latest instant that was seen. */
  readonly seenAt: number
  /** When the last run began. */
  readonly startedAt: number
  /** The next time, and when it is acted on: later by the jitter. */
  readonly next: { readonly dueAt: number; readonly wakeAt: number } | null
  readonly isAsked: boolean
  /** A time that has come and waits until a run may begin. */
  readonly waitingAt: number | null
  readonly running: number
  /** Times since the last run began that have no run of their own. */
  readonly missed: number
  /** Times that had passed when they were told, one after the other, and since when. */
  readonly past: { readonly count: number; readonly since: number }
  /** Whether there are no further times. */
  readonly isOver: boolean
}

export type TaskInput =
  /** `run()` begins, or ends. */
  | { readonly type: 'begun' | 'halted'; readonly now: number }
  /** The answer to `ask`. `delayMs` is the jitter. */
  | {
      readonly type: 'told'
      readonly now: number
      readonly dueAt: number | null
      readonly delayMs: number
    }
  /** The timer fired, possibly too early. */
  | { readonly type: 'woken'; readonly now: number }
  /** A run ended. */
  | { readonly type: 'ended'; readonly now: number }

type TaskEffect =
  /** Find the next time after this instant. */
  | { readonly type: 'ask'; readonly after: number }
  | { readonly type: 'run'; readonly dueAt: number; readonly missed: number }
  /** The times of the task are in the past without an end. */
  | { readonly type: 'fail' }

export const TASK_AT_REST: TaskState = Object.freeze({
  isActive: false,
  hasBegun: false,
  seenAt: Number.NEGATIVE_INFINITY,
  startedAt: Number.NEGATIVE_INFINITY,
  next: null,
  isAsked: false,
  waitingAt: null,
  running: 0,
  missed: 0,
  past: Object.freeze({ count: 0, since: 0 }),
  isOver: false,
})

interface TaskStep {
  readonly state: TaskState
  readonly effects: readonly TaskEffect[]
}

/** @returns where the task stands after an input, and what is to be done. */
export function stepTask(rules: TaskRules, before: TaskState, input: TaskInput): TaskStep {
  const seen = { ...before, seenAt: Math.max(before.seenAt, input.now) }
  switch (input.type) {
    case 'begun':
      return begun(rules, seen, input.now)
    case 'halted':
      return { state: { ...seen, isActive: false }, effects: [] }
    case 'told':
      return told(rules, seen, input)
    case 'woken':
      return woken(rules, before, seen, input.now)
    case 'ended':
      return started(rules, { ...seen, running: seen.running - 1 }, input.now)
  }
}

function begun(rules: TaskRules, seen: TaskState, now: number): TaskStep {
  const state = { ...seen, isActive: true }
  if (seen.hasBegun) return woken(rules, seen, state, now)
  const first = { ...state, hasBegun: true, waitingAt: rules.runImmediately ? now : null }
  return asked(started(rules, first, now))
}

function told(
  rules: TaskRules,
  seen: TaskState,
  { now, dueAt, delayMs }: Extract<TaskInput, { type: 'told' }>,
): TaskStep {
  const state = { ...seen, isAsked: false }
  if (dueAt === null) return { state: { ...state, isOver: true }, effects: [] }
  const next = { dueAt, wakeAt: dueAt + delayMs }
  if (dueAt > now) {
    return woken(rules, seen, { ...state, next, past: TASK_AT_REST.past }, now)
  }
  const isNew = now - seen.past.since > PAST_WITHIN_MS || seen.past.count === 0
  const past = isNew ? { count: 1, since: now } : { ...seen.past, count: seen.past.count + 1 }
  if (past.count > PAST_TIMES_MAX) {
    return { state: { ...state, isOver: true }, effects: [{ type: 'fail' }] }
  }
  if (dueAt <= state.startedAt || state.waitingAt !== null) {
    // A run covers it, so that it has none of its own.
    return asked({ state: { ...state, past, missed: state.missed + 1 }, effects: [] })
  }
  return woken(rules, seen, { ...state, next, past }, now)
}

function woken(rules: TaskRules, before: TaskState, seen: TaskState, now: number): TaskStep {
  if (!seen.isActive) return { state: seen, effects: [] }
  if (rules.isRepeatable && now < before.seenAt - SET_BACK_MAX_MS) {
    const startedAt = Math.min(seen.startedAt, now)
    return asked(started(rules, { ...seen, seenAt: now, startedAt, next: null }, now))
  }
  const { next, waitingAt, missed } = seen
  if (next === null || now < next.wakeAt) return started(rules, seen, now)
  const due =
    waitingAt === null ? { waitingAt: next.dueAt, missed } : { waitingAt, missed: missed + 1 }
  return asked(started(rules, { ...seen, ...due, next: null }, now))
}

/** Begins the run that waits, if it may. */
function started(rules: TaskRules, state: TaskState, now: number): TaskStep {
  const { isActive, waitingAt, running, missed } = state
  if (!isActive || waitingAt === null || running >= rules.runsMax) return { state, effects: [] }
  return {
    state: { ...state, waitingAt: null, startedAt: now, running: running + 1, missed: 0 },
    effects: [{ type: 'run', dueAt: waitingAt, missed }],
  }
}

/** Asks for the next time, unless it is known, asked for, or there is none. */
function asked({ state, effects }: TaskStep): TaskStep {
  if (state.next !== null || state.isAsked || state.isOver) return { state, effects }
  return {
    state: { ...state, isAsked: true },
    effects: [...effects, { type: 'ask', after: state.seenAt }],
  }
}
