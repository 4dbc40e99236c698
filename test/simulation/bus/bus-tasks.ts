/**
 * When must the task of a process run? Each of its times is met by one run, and a run begins at its
 * time, or when the one before has ended. (B22)
 */
import type { Life } from './bus-process.ts'

type Report = (id: string, what: string) => void

export const TASK_SECONDS = 5
const TASK_MS = 1000 * TASK_SECONDS
/** The times of a task may have fractions of a millisecond. */
const ROUNDED_MS = 1

interface Task {
  /** The next time that no run has met. */
  nextAt: number
  count: number
  isRunning: boolean
  endedAt: number
}

export class TaskLedger {
  readonly #now: () => number
  readonly #problem: Report
  readonly #tasks = new Map<Life, Task>()

  constructor(now: () => number, problem: Report) {
    this.#now = now
    this.#problem = problem
  }

  /** The bus of a process begins to run. */
  begin(life: Life): void {
    const now = this.#now()
    this.#tasks.set(life, { nextAt: now + TASK_MS, count: 0, isRunning: false, endedAt: now })
  }

  /** A run begins. @returns how many began before. */
  runs(life: Life, dueAt: number, missed: number): number {
    const task = this.#tasks.get(life)!
    const now = this.#now()
    const what = `the task of ${life.name} runs at ${now} for ${dueAt}`
    if (life.isEnding) this.#problem('B18', `${what}, after close()`)
    if (task.isRunning) this.#problem('B22', `${what}, while it runs`)
    if (Math.abs(dueAt - task.nextAt) > ROUNDED_MS) {
      this.#problem('B22', `${what}, and not for ${task.nextAt}`)
    }
    if (now > Math.max(dueAt, task.endedAt) + ROUNDED_MS) this.#problem('B22', `${what}, late`)
    if (missed !== Math.floor((now + ROUNDED_MS - dueAt) / TASK_MS)) {
      this.#problem('B22', `${what}, and says that ${missed} runs were missed`)
    }
    task.nextAt += TASK_MS * (1 + missed)
    task.isRunning = true
    return task.count++
  }

  ended(life: Life): void {
    const task = this.#tasks.get(life)!
    task.isRunning = false
    task.endedAt = this.#now()
  }

  /** Looks whether a run is missing. */
  check(life: Life): void {
    const task = this.#tasks.get(life)
    if (task === undefined || task.isRunning || !life.isRunning || life.isFailing) return
    if (life.isEnding || life.isOver || this.#now() <= task.nextAt + ROUNDED_MS) return
    this.#problem('B22', `the task of ${life.name} has not run at ${task.nextAt}`)
  }
}
