/**
 * What became of the lines of `pipe`? Outcomes are counted and reported, and in the
 * end they decide the exit status.
 */
import { setTimeout } from 'node:timers/promises'
import type { SpoolWarning } from '../disk/index.ts'
import { type Outcome, type Request, UsageError } from '../index.ts'
import { asSentence, counted, FAILED, printable, reportFailure, say } from './fail.ts'
import { isClosedPipe, write } from './output.ts'
import type { PipeFlags } from './pipe-flags.ts'
import type { Progress } from './progress.ts'

/** How long the reader of the outcomes may take after Ctrl-C. */
const FLUSH_MS = 1_000

/** How a delivery ended. */
interface PipeEnding {
  /** Why it ended before everything was settled; undefined if it did not. */
  readonly error: unknown
  readonly interrupted: boolean
  /** The exit status for the signal that interrupted it, or 0. */
  readonly status: number
  /** How many requests have no outcome. */
  readonly undelivered: number
  /** How many of them are in the spool. */
  readonly spooled: number
  /** How many requests the spool has lost since that was last cleared. */
  readonly lost: number
  /** Whether the file was read to its end. One that is followed may have been, and has none. */
  readonly wholeFile: boolean
  /** Whether something is left that was not read. */
  readonly hasRest: boolean
  readonly tookMs: number
}

export class PipeOutcomes {
  readonly #name: string
  readonly #flags: PipeFlags
  readonly #onOutputLost: () => void
  progress: Progress | null = null
  #delivered = 0
  /** How many requests were not delivered, by why. */
  readonly #failed = { refused: 0, expired: 0, dropped: 0 }
  #skipped = 0
  #isDamaged = false
  /** The codes of warnings that were said. */
  readonly #warned = new Set<string>()
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
      const kind = kindOf(outcome.error)
      // A spool may drop thousands; they are counted.
      if (++this.#failed[kind] === 1 || kind === 'refused') this.#sayFailure(outcome.error, line)
    }
    this.#write(outcomeOf(line, request, outcome))
  }

  #sayFailure(error: unknown, line: number | null): void {
    const more = kindOf(error) === 'refused' ? '' : ' Others like it are counted.'
    this.say(`${this.#name}${line === null ? '' : `:${line}`}: ${printable(error)}${more}`)
  }

  #write(outcome: object): void {
    if (!this.#flags.json || this.#outputError !== undefined) return
    const writing = write(`${JSON.stringify(outcome)}\n`)
    this.#writing = writing?.catch((error) => {
      this.#outputError ??= error
      this.#onOutputLost()
    })
  }

  /** A line is no request. @param message It begins with the file and the number of the line. */
  invalid(message: string, isSkipped: boolean): void {
    this.say(message)
    if (isSkipped) this.#skipped++
    const line = Number(/:(\d+): no request/.exec(message)?.[1] ?? Number.NaN)
    if (Number.isNaN(line)) return
    this.#write({ line, ok: false, error: { code: 'INVALID_LINE', message } })
  }

  /** Says each warning of the spool; one of a disk that goes on failing only once. */
  warned({ code, message }: SpoolWarning): void {
    const isDamage = DAMAGE.includes(code)
    this.#isDamaged ||= isDamage
    const isKnown = this.#warned.has(code)
    this.#warned.add(code)
    if (isDamage || !(isKnown || this.#flags.quiet)) this.say(message)
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
  conclude(ending: PipeEnding): number {
    const { error, interrupted, undelivered, wholeFile } = ending
    const failed = Object.values(this.#failed).reduce((sum, count) => sum + count)
    const nothingDone = this.#delivered + failed + this.#skipped + undelivered === 0
    if (error !== undefined && (error instanceof UsageError || nothingDone))
      return reportFailure(error)
    const counts = this.#counts(ending)
    const isWhole = error === undefined && undelivered === 0 && wholeFile && !this.#isDamaged
    // If some lines were skipped, that was asked for. If all were, the file is not what was meant.
    const isGood = isWhole && failed === 0 && (this.#skipped === 0 || this.#delivered > 0)
    if (error !== undefined) this.say(`${asSentence(printable(error))} ${counts.join(', ')}`)
    else if (!isGood || !this.#flags.quiet) this.say(counts.join(', '))
    if (this.#outputError !== undefined && !isClosedPipe(this.#outputError)) {
      return reportFailure(this.#outputError)
    }
    if (interrupted) return ending.status
    return isGood ? 0 : FAILED
  }

  #counts({ tookMs, undelivered, interrupted, spooled, lost, hasRest }: PipeEnding): string[] {
    return [
      `${counted(this.#delivered, 'request')} delivered in ${(tookMs / 1000).toFixed(1)} s`,
      ...this.#failures,
      ...(this.#skipped > 0 ? [`${counted(this.#skipped, 'line')} skipped`] : []),
      ...(undelivered > 0 || interrupted ? [`${undelivered} not delivered`] : []),
      ...(spooled > 0 ? [`${spooled} in the spool`] : []),
      ...(lost > 0 ? [`${lost} lost to damage of the spool`] : []),
      ...(hasRest ? ['the rest was not read'] : []),
    ]
  }

  /**
   * @param pending What is not settled, as words.
   * @param connection What is to be said of the connection, or null.
   */
  progressText(pending: string, connection: string | null): string {
    return [
      `${this.#delivered.toLocaleString('en')} delivered`,
      pending,
      ...this.#failures,
      ...(connection === null ? [] : [connection]),
    ].join(', ')
  }

  /** The counts that are not 0, as `3 expired`. */
  get #failures(): string[] {
    const counts = Object.entries(this.#failed).filter(([, count]) => count > 0)
    return counts.map(([kind, count]) => `${count.toLocaleString('en')} ${kind}`)
  }

  say(text: string): void {
    if (this.progress !== null) this.progress.say(text)
    else say(text)
  }
}

/** The warnings of a spool after which requests are missing. */
const DAMAGE = ['RECORD_DAMAGED', 'REQUESTS_LOST', 'DIRECTORY_GONE']

/** @returns why a request was not delivered. */
function kindOf(error: unknown): 'refused' | 'expired' | 'dropped' {
  const { code } = (error ?? {}) as Partial<NodeJS.ErrnoException>
  if (code === 'MESSAGE_EXPIRED') return 'expired'
  return code === 'SPOOL_FULL' ? 'dropped' : 'refused'
}

function outcomeOf(line: number | null, request: Request, outcome: Outcome): object {
  const { packet } = outcome
  const topic = request.cmd === 'publish' ? { topic: request.topic } : {}
  const reason = packet !== undefined && 'reasonCode' in packet ? packet.reasonCode : undefined
  const granted = packet !== undefined && 'granted' in packet ? packet.granted : undefined
  const error = outcome.ok ? undefined : (outcome.error as Partial<NodeJS.ErrnoException>)
  return {
    line,
    ok: outcome.ok,
    cmd: request.cmd,
    ...topic,
    ...(reason === undefined ? {} : { reasonCode: reason }),
    ...(granted === undefined ? {} : { granted }),
    ...(error === undefined ? {} : { error: { code: error.code, message: printable(error) } }),
  }
}
