/** Which tasks has a bus? They are checked when they are added, and run while the bus runs. */
import { UsageError } from '../index.ts'
import { inQuotes } from './bus-names.ts'
import type { BusParts } from './bus-parts.ts'
import type { RunScope } from './run-scope.ts'
import { checkTaskFields, taskPlan } from './task-plan.ts'
import { TaskRunner } from './task-runner.ts'
import { cronTimes, intervalTimes, iteratedTimes, type TaskTimes } from './task-times.ts'
import { TaskTurns } from './task-turns.ts'
import type { BusTask, CronOptions, Interval, TaskOptions, TaskRun, Times } from './task-types.ts'

type Work = (run: TaskRun) => unknown

export class TaskTable {
  readonly #bus: BusParts
  readonly #turns: TaskTurns
  readonly #tasks = new Map<string, TaskRunner>()
  /** The latest one. What is begun in one that has ended ends at once. */
  #scope: RunScope | null = null
  #hasTurns = false

  constructor(bus: BusParts) {
    this.#bus = bus
    this.#turns = new TaskTurns(bus)
  }

  get all(): readonly BusTask[] {
    return [...this.#tasks.values()]
  }

  every(interval: Interval, work: Work, options: TaskOptions = {}): BusTask {
    checkTaskFields('every', options)
    return this.#add('every', intervalTimes(interval), work, options)
  }

  cron(expression: string, work: Work, options: CronOptions = {}): BusTask {
    checkTaskFields('cron', options, ['timezone'])
    const times = cronTimes(expression, options.timezone, this.#bus.clock)
    return this.#add('cron', times, work, options)
  }

  schedule(times: Times, work: Work, options: TaskOptions = {}): BusTask {
    checkTaskFields('schedule', options)
    return this.#add('schedule', iteratedTimes(times), work, options)
  }

  #add(what: string, times: TaskTimes, work: Work, options: TaskOptions): BusTask {
    let number = 1
    while (this.#tasks.has(`task-${number}`)) number++
    const plan = taskPlan(what, `task-${number}`, times, work, options)
    const { name } = plan
    if (this.#tasks.has(name)) {
      throw new UsageError(`${what}: this bus has a task ${inQuotes(name)} already; rename one`)
    }
    const task = new TaskRunner(this.#bus, plan, this.#turns, () => this.#tasks.delete(name))
    this.#tasks.set(name, task)
    if (this.#scope !== null) this.#startOne(this.#scope, task)
    return task
  }

  /** @throws UsageError for a task that can have no times. */
  async prepare(): Promise<void> {
    await Promise.all([...this.#tasks.values()].map((task) => task.prepare()))
  }

  /** Runs the tasks, also those that are added later, until the scope ends. */
  start(scope: RunScope): void {
    this.#scope = scope
    this.#hasTurns = false
    for (const task of this.#tasks.values()) this.#startOne(scope, task)
  }

  #startOne(scope: RunScope, task: TaskRunner): void {
    if (task.exclusive !== undefined && !this.#hasTurns) {
      this.#hasTurns = true
      const names = [...this.#tasks.values()].flatMap(({ exclusive }) => exclusive ?? [])
      scope.start((until) => this.#turns.drive([...new Set(names)], until))
    }
    scope.start((until) => task.drive(until))
  }

  async close(timeout: number): Promise<void> {
    await Promise.all([...this.#tasks.values()].map((task) => task.close({ timeout })))
  }
}
