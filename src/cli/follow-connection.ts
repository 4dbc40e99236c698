/**
 * How does a person learn what becomes of the connection? Each change of the loop goes to
 * `reportOf` (connection-news.ts), and what that decides is written to standard error.
 */
import type { ConnackPacket, LoopState, Transition, Warning } from '../index.ts'
import { type Happening, NO_NEWS, reportOf, type Status, withRetry } from './connection-news.ts'
import { isTerminal, say, showStatus } from './screen.ts'
import { onStatusAsked } from './signals.ts'
import { counted } from './words.ts'

interface Sink {
  readonly say: (line: string) => void
  /** Shows a status on a terminal until the next call; null removes it. */
  readonly status: (text: string | null) => void
}

/** A loop, or a client that has one. */
interface Followed {
  readonly state: Pick<LoopState, 'connection' | 'counters' | 'clientId'>
  transitions(): AsyncIterable<Transition>
}

/** What commands write to that show nothing else. */
const SCREEN: Sink = { say, status: showStatus }

/** How often the seconds in the status are counted down. */
const COUNT_MS = 1_000

/** Without `Omit`, the compiler cannot tell the members of the union apart. */
type Bare<T> = T extends unknown ? Omit<T, 'server' | 'clientId'> : never

export class ConnectionFollower {
  readonly #isQuiet: boolean
  readonly #sink: Sink
  #loop: Followed | null = null
  #news = NO_NEWS
  #status: Status | null = null
  #timer: NodeJS.Timeout | undefined

  constructor(isQuiet: boolean, sink: Sink = SCREEN) {
    this.#isQuiet = isQuiet
    this.#sink = sink
  }

  /** Follows this loop until it ends. SIGUSR1 is answered, even with `--quiet`. */
  follow(loop: Followed): void {
    this.#loop = loop
    onStatusAsked(() => this.#sink.say(stateText(loop.state)))
    // A queue of transitions that overflows ends the messages, and not the command.
    this.#watch(loop).catch(() => this.#show(null))
  }

  /** The option `onWarning` of the loop. */
  readonly warned = ({ code, message }: Warning): void => {
    this.#happened({ type: 'warned', code, message })
  }

  /** Takes note of a good CONNACK. */
  accepted({ sessionPresent }: Pick<ConnackPacket, 'sessionPresent'>): void {
    if (this.#loop?.state.connection.kind !== 'connected') return
    this.#happened({ type: 'accepted', at: performance.now(), sessionPresent })
  }

  async #watch(loop: Followed): Promise<void> {
    for await (const { to, reason, at, retryAt } of loop.transitions()) {
      this.#happened({ type: 'changed', to, reason, at, retryAt })
    }
    this.#show(null)
  }

  #happened(happening: Bare<Happening>): void {
    if (this.#isQuiet) return
    const state = this.#loop?.state
    const context = {
      server: state?.connection.endpoint ?? 'the server',
      clientId: state?.clientId ?? '',
    }
    const report = reportOf(this.#news, { ...happening, ...context } as Happening)
    this.#news = report.news
    for (const line of report.lines) this.#sink.say(line)
    if (report.waiting !== null && !isTerminal) this.#sink.say(report.waiting)
    if (report.status !== undefined) this.#show(report.status)
  }

  #show(status: Status | null): void {
    clearInterval(this.#timer)
    if (!isTerminal || (status === null && this.#status === null)) return
    this.#status = status
    const show = () =>
      this.#sink.status(status === null ? null : withRetry(status, performance.now()))
    show()
    if (status !== null && status.retryAt !== null) {
      this.#timer = setInterval(show, COUNT_MS).unref()
    }
  }
}

/** @returns where a loop stands, in one line. */
function stateText({ connection, counters }: Followed['state']): string {
  const { kind, endpoint, reason } = connection
  const { sent, acknowledged, received, held } = counters
  const where =
    kind === 'connected'
      ? `connected to ${endpoint}`
      : `${kind}, ${endpoint}${reason === null ? '' : ` (${reason.code})`}`
  return [
    where,
    `${counted(received, 'message')} received`,
    `${sent.toLocaleString('en')} sent`,
    `${acknowledged.toLocaleString('en')} acknowledged`,
    `${counted(held, 'request')} not settled`,
  ].join(', ')
}
