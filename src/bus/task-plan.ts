/** Can the options of a task be used, and what becomes of it if its function throws? */
import { UsageError } from '../index.ts'
import { checkBusName } from './bus-names.ts'
import { checkTimeMs } from './bus-parts.ts'
import { checkFieldNames } from './define-api.ts'
import type { TaskRules } from './task-steps.ts'
import type { TaskTimes } from './task-times.ts'
import type { TaskAction, TaskOptions, TaskRun } from './task-types.ts'

const TASK_FIELDS: readonly string[] = [
  ...['name', 'runImmediately', 'jitter', 'onError', 'overlap', 'exclusive'],
]
const TASK_ACTIONS: readonly unknown[] = ['stop', 'skip']
/** How many runs of a task that may overlap go on at once. */
const OVERLAPS_MAX = 100

export interface TaskPlan {
  readonly name: string
  readonly times: TaskTimes
  readonly rules: TaskRules
  readonly jitterMs: number
  readonly onError: NonNullable<TaskOptions['onError']>
  readonly exclusive: string | undefined
  readonly work: (run: TaskRun) => unknown
}

/**
 * @param what the method that is called.
 * @param freeName the name of a task without one.
 * @throws UsageError for an option that cannot be used.
 */
export function taskPlan(
  what: string,
  freeName: string,
  times: TaskTimes,
  work: (run: TaskRun) => unknown,
  options: TaskOptions,
): TaskPlan {
  if (typeof work !== 'function') {
    throw new UsageError(`${what}: the task must be a function, which gets its run`)
  }
  const { name = freeName, onError = 'stop', exclusive } = options
  const { runImmediately = false, overlap = false } = options
  checkBusName(`${what}: name`, name)
  if (exclusive !== undefined) checkBusName(`${what}: exclusive`, exclusive)
  for (const [field, value] of Object.entries({ runImmediately, overlap })) {
    if (typeof value !== 'boolean') throw new UsageError(`${what}: ${field} must be true or false`)
  }
  if (typeof onError !== 'function' && !TASK_ACTIONS.includes(onError)) {
    throw new UsageError(
      `${what}: onError must be one of ${TASK_ACTIONS.join(', ')}, or a function`,
    )
  }
  const { isRepeatable } = times
  return {
    ...{ name, times, onError, exclusive, work },
    rules: { runImmediately, runsMax: overlap ? OVERLAPS_MAX : 1, isRepeatable },
    jitterMs: checkTimeMs(`${what}: jitter`, options.jitter) ?? 0,
  }
}

/** @throws UsageError for options that are no object, or have other fields. */
export function checkTaskFields(what: string, options: unknown, more: readonly string[] = []) {
  checkFieldNames(`${what}: options`, options, [...TASK_FIELDS, ...more])
}

/** @returns what becomes of the task. @throws what the user's function throws. */
export function decideOnTask({ onError }: TaskPlan, error: unknown, run: TaskRun): TaskAction {
  const action = typeof onError === 'function' ? onError(error, run) : onError
  return action === 'skip' ? 'skip' : 'stop'
}
