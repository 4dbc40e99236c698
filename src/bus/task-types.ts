/** What do users write who have tasks at certain times, and what are they given? Types only. */

/** How often a task runs: the sum of what is given, 1 ms to 1,000 days. */
export interface Interval {
  /** Seconds; a part of one is possible. */
  readonly seconds?: number | undefined
  /** Minutes. */
  readonly minutes?: number | undefined
  /** Hours. */
  readonly hours?: number | undefined
  /** Days of 24 hours. `cron()` knows days of a calendar. */
  readonly days?: number | undefined
}

/** What becomes of a task whose function throws. */
export type TaskAction =
  /** The task ends with the error, and so does `run()`. */
  | 'stop'
  /** The error is reported, and the task runs at its next time. */
  | 'skip'

/** The options of `every()`, `cron()` and `schedule()`. */
export interface TaskOptions {
  /** The name in errors, hooks and statistics, unique in the bus. Default: `task-1`, and so on. */
  readonly name?: string | undefined
  /** Whether the first run is when `run()` begins. Default false. */
  readonly runImmediately?: boolean | undefined
  /**
   * By how many ms a run may be late at random, 1 to 86,400,000, so that processes that were
   * started together do not work together. Default: none.
   */
  readonly jitter?: number | undefined
  /** What happens if the function throws. A function is asked each time. Default `stop`. */
  readonly onError?: TaskAction | ((error: unknown, run: TaskRun) => TaskAction) | undefined
  /**
   * Whether a run may begin while one before it goes on, of which there are then at most 100.
   * Default false.
   */
  readonly overlap?: boolean | undefined
  /**
   * Of all processes of the service that have a task with this text here, only the one runs it that
   * has been present longest. This is best effort: two may run it while the network between the
   * server and one of them is broken, and nobody for a while after one was lost. Default: each
   * process runs its own. It makes the bus open one more connection.
   */
  readonly exclusive?: string | undefined
}

/** The options of `cron()`. */
export interface CronOptions extends TaskOptions {
  /** The time zone of the expression, such as `Europe/Berlin`. Default: that of the machine. */
  readonly timezone?: string | undefined
}

/** One run of a task. */
export interface TaskRun {
  /** The name of the task. */
  readonly task: string
  /** When it was due, in ms since 1970, without jitter. */
  readonly dueAt: number
  /** How many times have passed since the run before, for which there was no run. */
  readonly missed: number
  /** Aborted when the task is closed, so that a long run may end sooner. */
  readonly signal: AbortSignal
}

/** What became of the runs of a task. */
export interface TaskStats {
  /** Runs that go on. */
  readonly running: number
  /** Runs that ended well. */
  readonly handled: number
  /** Runs whose function threw, and that were skipped. */
  readonly skipped: number
  /** Times that passed without a run of their own. */
  readonly missed: number
  /** Runs that were left to another process (`exclusive`). */
  readonly passed: number
}

/** A task. It runs while `bus.run()` is awaited. */
export interface BusTask extends AsyncDisposable {
  /** Its name. */
  readonly name: string
  /**
   * Resolves when it was closed, or has no further time; rejects with what ended it. It does not
   * drive it.
   */
  readonly done: Promise<void>
  /** When it is due next, in ms since 1970, without jitter; null if that is not known. */
  readonly nextAt: number | null
  /** What became of its runs. */
  readonly stats: TaskStats
  /** Runs it no more, and waits at most `timeout` ms (default 10,000) for a run that goes on. */
  close(options?: { readonly timeout?: number | undefined }): Promise<void>
}

/** Times at which a task runs: dates, or ms since 1970, in ascending order. */
export type Times = Iterable<Date | number> | AsyncIterable<Date | number>
