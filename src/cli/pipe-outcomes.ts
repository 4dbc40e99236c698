/**
 * What became of the lines of `pipe`? Outcomes are counted and reported, and in the end they decide
 * the exit status.
 */
import { setTimeout } from 'node:timers/promises'
import { type Outcome, type Request, UsageError } from '../index.ts'
import { counted, FAILED, printable, reportFailure, say } from './fail.ts'
import { isClosedPipe, write } from './output.ts'
import type { PipeFlags } from './pipe.ts'
import type { Progress } from './progress.ts'

/** How long the reader of the outcomes may take after Ctrl-C. */
const FLUSH_MS = 1_000

/** How a delivery ended. */
export interface Ending {
  /** Why it ended before everything was settled; undefined if it did not. */
  readonly error: unknown
  readonly interrupted: boolean
  /** The exit status for the signal that interrupted it, or 0. */
  readonly status: number
  /** How many requests have no outcome. */
  readonly undelivered: number
  /** How many of them are in the spool. */
  readonly spooled: number
  /** Whether the file was read to its end. */
  readonly wholeFile: boolean
  readonly tookMs: number
}

export class Outcomes {
  readonly #name: string
  readonly #flags: PipeFlags
  readonly #onOutputLost: () => void
  progress: Progress | null = null
  #delivered = 0
  #refused = 0
  #skipped = 0
  /** Resolves once the reader took the last outcome; undefined if it did so immediately. */
  #writing: Promise<void> | undefined
  #outputError: unknown

  /** @param onOutputLost Is called once if nobody reads the outcomes any more. */
  constructor(file: string, flags: PipeFlags, onOutputLost: () => void) {
    this.#name = file === '-' ? 'stdin' : file
    this.#flags = flags
    this.#onOutputLost = onOutputLost
  }

  /** Resolves once the reader took the last outcome. */
  get written(): Promise<void> | undefined {
    return this.#writing
  }

  /** @param line The number of the line of the request, or null if it is not known. */
  settled(request: Request, outcome: Outcome, line: number | null): void {
    if (outcome.ok) this.#delivered++
    else {
      this.#refused++
      this.say(`${this.#name}${line === null ? '' : `:${line}`}: ${printable(outcome.error)}`)
    }
    if (!this.#flags.json || this.#outputError !== undefined) return
    const writing = write(`${outcomeText(line, request, outcome)}\n`)
    this.#writing = writing?.catch((error) => {
      this.#outputError ??= error
      this.#onOutputLost()
    })
  }

  skipped(): void {
    this.#skipped++
  }

  /** Waits for the reader of the outcomes, after an interruption not for long. */
  async flush(interrupted: boolean): Promise<void> {
    const patience = interrupted ? setTimeout(FLUSH_MS, undefined, { ref: false }) : null
    await (patience === null ? this.#writing : Promise.race([this.#writing, patience]))
    this.progress?.stop()
    this.progress = null
  }

  /**
   * Writes one line that says how it went.
   * @returns the exit status.
   */
  conclude(ending: Ending): number {
    const { error, interrupted, undelivered, wholeFile } = ending
    const nothingDone = this.#delivered + this.#refused + undelivered === 0
    if (error !== undefined && (error instanceof UsageError || nothingDone))
      return reportFailure(error)
    const counts = this.#counts(ending)
    const isGood = error === undefined && undelivered === 0 && this.#refused === 0 && wholeFile
    if (error !== undefined) this.say(`${printable(error)} ${counts.join(', ')}`)
    else if (!isGood || !this.#flags.quiet) this.say(counts.join(', '))
    if (this.#outputError !== undefined && !isClosedPipe(this.#outputError)) {
      return reportFailure(this.#outputError)
    }
    if (interrupted) return ending.status
    return isGood ? 0 : FAILED
  }

  #counts({ tookMs, undelivered, interrupted, spooled, wholeFile }: Ending): string[] {
    return [
      `${counted(this.#delivered, 'request')} delivered in ${(tookMs / 1000).toFixed(1)} s`,
      ...(this.#refused > 0 ? [`${this.#refused} refused`] : []),
      ...(this.#skipped > 0 ? [`${counted(this.#skipped, 'line')} skipped`] : []),
      ...(undelivered > 0 || interrupted ? [`${undelivered} not delivered`] : []),
      ...(spooled > 0 ? [`${spooled} in the spool`] : []),
      ...(wholeFile ? [] : ['the rest was not read']),
    ]
  }

  /**
   * @param pending What is not settled, as words.
   * @param kind The state of the connection.
   */
  progressText(pending: string, kind: string | undefined): string {
    return [
      `${this.#delivered.toLocaleString('en')} delivered`,
      pending,
      ...(this.#refused > 0 ? [`${this.#refused} refused`] : []),
      ...(kind === undefined || kind === 'connected' ? [] : [kind]),
    ].join(', ')
  }

  say(text: string): void {
    if (this.progress !== null) this.progress.say(text)
    else say(text)
  }
}

function outcomeText(line: number | null, request: Request, outcome: Outcome): string {
  const { packet } = outcome
  const topic = request.cmd === 'publish' ? { topic: request.topic } : {}
  const reason = packet !== undefined && 'reasonCode' in packet ? packet.reasonCode : undefined
  const granted = packet !== undefined && 'granted' in packet ? packet.granted : undefined
  const error = outcome.ok ? undefined : (outcome.error as Partial<NodeJS.ErrnoException>)
  return JSON.stringify({
    line,
    ok: outcome.ok,
    cmd: request.cmd,
    ...topic,
    ...(reason === undefined ? {} : { reasonCode: reason }),
    ...(granted === undefined ? {} : { granted }),
    ...(error === undefined ? {} : { error: { code: error.code, message: printable(error) } }),
  })
}
