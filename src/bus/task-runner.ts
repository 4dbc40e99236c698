/**
 * How is a task run at its times? The decisions are those of task-steps.ts; this has the timer, the
 * runs that go on, and the end. (B18, a bus ends in order; B22, a task runs at its times)
 */
import { UsageError } from '../index.ts'
import type { BusParts } from './bus-parts.ts'
import { runHooks } from './hook-table.ts'
import type { TaskContext } from './hook-types.ts'
import { errorText } from './listener-core.ts'
import { decideOnTask, type TaskPlan } from './task-plan.ts'
import { stepTask, TASK_AT_REST, type TaskInput, type TaskState } from './task-steps.ts'
import { wallNowOf } from './task-times.ts'
import type { TaskTurns } from './task-turns.ts'
import type { BusTask, TaskRun, TaskStats } from './task-types.ts'

const TASK_CLOSE_MS = 10_000
/** A wall clock that was set is noticed after this time. */
const WALL_CHECK_MS = 60_000

type Timeless<T> = T extends unknown ? Omit<T, 'now'> : never

export class TaskRunner implements BusTask {
  readonly #bus: BusParts
  readonly #plan: TaskPlan
  readonly #turns: TaskTurns
  readonly #left: () => void
  readonly #stats = { handled: 0, skipped: 0, missed: 0, passed: 0 }
  readonly #closing = new AbortController()
  readonly #inputs: TaskInput[] = []
  #state: TaskState = TASK_AT_REST
  #isStepping = false
  #timer: unknown = null
  #waiting: (() => void)[] = []
  /** Ends `drive()`. */
  #stopDriving: (() => void) | null = null
  #failure: { readonly error: unknown } | null = null
  #closed: Promise<void> | null = null
  readonly #done: Promise<void>
  #end: { resolve(): void; reject(error: unknown): void } | null = null

  /** @param left is called when the name of the task is free again. */
  constructor(bus: BusParts, plan: TaskPlan, turns: TaskTurns, left: () => void) {
    this.#bus = bus
    this.#plan = plan
    this.#turns = turns
    this.#left = left
    this.#done = new Promise((resolve, reject) => {
      this.#end = { resolve, reject }
    })
    // Whoever awaits `run()` is told as well.
    this.#done.catch(() => {})
  }

  get name(): string {
    return this.#plan.name
  }

  get exclusive(): string | undefined {
    return this.#plan.exclusive
  }

  get done(): Promise<void> {
    return this.#done
  }

  get nextAt(): number | null {
    const { next } = this.#state
    return next === null ? null : this.#wallOf(next.dueAt)
  }

  get stats(): TaskStats {
    return Object.freeze({ ...this.#stats, running: this.#state.running })
  }

  /** @throws UsageError if there can be no times. */
  prepare(): Promise<void> {
    return this.#plan.times.prepare()
  }

  /** Runs the task at its times until the signal is aborted. @throws what ended the task. */
  async drive(signal: AbortSignal): Promise<void> {
    if (this.#closed !== null) return
    await this.prepare()
    if (!signal.aborted) {
      const stopped = new Promise<void>((resolve) => {
        this.#stopDriving = resolve
      })
      const stop = () => this.#stopDriving?.()
      signal.addEventListener('abort', stop)
      this.#feed({ type: 'begun' })
      await stopped
      signal.removeEventListener('abort', stop)
      this.#feed({ type: 'halted' })
    }
    if (this.#failure !== null) throw this.#failure.error
  }

  #now(): number {
    return this.#plan.times.isWall ? wallNowOf(this.#bus.clock) : this.#bus.clock.now()
  }

  #wallOf(at: number): number {
    if (this.#plan.times.isWall) return at
    return Math.round(at + wallNowOf(this.#bus.clock) - this.#now())
  }

  /** Gives an input to the reducer, and does what it says. */
  #feed(input: Timeless<TaskInput>): void {
    this.#inputs.push({ ...input, now: this.#now() })
    // An effect may give the next input; it comes after this one.
    if (this.#isStepping) return
    this.#isStepping = true
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
      const { state, effects } = stepTask(this.#plan.rules, this.#state, next)
      this.#state = state
      for (const effect of effects) {
        if (effect.type === 'ask') this.#ask(effect.after)
        else if (effect.type === 'run') void this.#run(effect.dueAt, effect.missed)
        else this.#fail(endless(this.name))
      }
    }
    this.#isStepping = false
    this.#arm()
    const { isOver, next, waitingAt, running } = this.#state
    if (isOver && next === null && waitingAt === null && running === 0) void this.close()
  }

  #ask(after: number): void {
    const { times } = this.#plan
    const told = (dueAt: number | null) => {
      if (this.#closed !== null) return
      const delayMs = this.#plan.jitterMs * this.#bus.clock.random()
      this.#feed({ type: 'told', dueAt, delayMs })
    }
    try {
      const answer = times.next(after)
      if (typeof answer === 'number' || answer === null) told(answer)
      else answer.then(told).catch((error: unknown) => this.#fail(error))
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Sets the timer for the next time. */
  #arm(): void {
    const { clock } = this.#bus
    if (this.#timer !== null) clock.clearTimer(this.#timer)
    this.#timer = null
    const { isActive, next } = this.#state
    if (!isActive || next === null || this.#closed !== null) return
    const left = Math.max(0, next.wakeAt - this.#now())
    const ms = this.#plan.times.isWall ? Math.min(left, WALL_CHECK_MS) : left
    this.#timer = clock.setTimer(() => {
      this.#timer = null
      this.#feed({ type: 'woken' })
    }, ms)
  }

  async #run(due: number, missed: number): Promise<void> {
    const { signal } = this.#closing
    const dueAt = this.#wallOf(due)
    this.#stats.missed += missed
    const run: TaskRun = Object.freeze({ task: this.name, dueAt, missed, signal })
    try {
      await this.#work(run)
    } catch (error) {
      this.#failed(error, run)
    }
    if (this.#closed === null) this.#feed({ type: 'ended' })
    else this.#state = { ...this.#state, running: this.#state.running - 1 }
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  async #work(run: TaskRun): Promise<void> {
    const { exclusive, work } = this.#plan
    if (exclusive !== undefined && !(await this.#turns.isOurs(exclusive, run.signal))) {
      this.#stats.passed++
      return
    }
    if (run.signal.aborted) return
    const hooks = this.#bus.hooks.of('task')
    if (hooks.length === 0) await work(run)
    else {
      const { task: name, dueAt, missed } = run
      const context: TaskContext = { kind: 'task', name, dueAt, missed }
      await runHooks(hooks, context, async () => work(run))
    }
    this.#stats.handled++
  }

  #failed(error: unknown, run: TaskRun): void {
    const tell = (outcome: string) => {
      const what = `the task ${this.#bus.service}.${this.name} failed, and ${outcome}`
      this.#bus.warn('TASK_FAILED', `${what}: ${errorText(error)}`, undefined, error)
    }
    try {
      if (decideOnTask(this.#plan, error, run) === 'stop') {
        tell('ends the run')
        return this.#fail(error)
      }
    } catch (thrown) {
      return this.#fail(thrown)
    }
    this.#stats.skipped++
    tell('goes on')
  }

  /** The task ends with an error. */
  #fail(error: unknown): void {
    if (this.#failure !== null || this.#closed !== null) return
    this.#failure = { error }
    this.#end?.reject(error)
    void this.close()
  }

  close({
    timeout = TASK_CLOSE_MS,
  }: {
    readonly timeout?: number | undefined
  } = {}): Promise<void> {
    this.#closed ??= this.#close(timeout)
    return this.#closed
  }

  async #close(timeout: number): Promise<void> {
    this.#closing.abort()
    this.#plan.times.close()
    if (this.#timer !== null) this.#bus.clock.clearTimer(this.#timer)
    this.#timer = null
    this.#stopDriving?.()
    await this.#idle(timeout)
    this.#left()
    this.#end?.resolve()
  }

  /** Resolves when no run goes on, or after `timeout` ms. */
  async #idle(timeout: number): Promise<void> {
    const { clock } = this.#bus
    let isLate = false
    const timer = clock.setTimer(() => {
      isLate = true
      for (const resolve of this.#waiting.splice(0)) resolve()
    }, timeout)
    while (this.#state.running > 0 && !isLate) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    clock.clearTimer(timer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function endless(name: string): UsageError {
  const what = `schedule: ${name}: the iterable yields times that have passed, without an end`
  return new UsageError(`${what}; begin with the present, and end it when there are no more`)
}
