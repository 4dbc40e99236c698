/**
 * What becomes of requests that a loop did not take before it ended? With `--session` they are kept
 * too: a loop takes requests only while they may be sent or an outage lasts, so a refused
 * connection ends it before it has taken the message of `pub`.
 *
 * A second loop takes the rest of the stream into the session. It has a transport that never opens,
 * so it sends nothing.
 */
import { setTimeout } from 'node:timers/promises'
import {
  type EventloopOptions,
  eventloop,
  MqttError,
  type OpenTransport,
  type Outcome,
  type Request,
  type Requests,
  type Session,
  type Settling,
  StorageError,
  UsageError,
} from '../index.ts'
import { duration } from './words.ts'

/** The most requests that are kept: the greatest value of `offlineRequests`. */
const KEPT_MAX = 65_000
/** After an interruption, only what is there already is kept, in ms. */
const INTERRUPTED_MS = 500
/** What takes longer is explained, in ms. */
const PATIENCE_MS = 500

/** A request stream of which is known whether it has ended. */
export class FollowedRequests implements AsyncIterable<Request | readonly Request[]> {
  /** Resolves once everything was taken. */
  readonly over: Promise<void>
  readonly settled: Settling['settled'] | undefined
  readonly replays: boolean
  readonly #requests: Requests
  #isOver = false
  #end: () => void = () => {}

  constructor(requests: Requests) {
    this.#requests = requests
    this.over = new Promise((resolve) => {
      this.#end = resolve
    })
    const { settled, replays = false } = requests as Partial<Settling>
    this.settled = settled?.bind(requests)
    this.replays = replays
  }

  /** Whether nothing is left in the stream that the next run would not find there again. */
  get isOver(): boolean {
    return this.#isOver || this.replays
  }

  [Symbol.asyncIterator](): AsyncIterator<Request | readonly Request[]> {
    const requests = iteratorOf(this.#requests)
    return {
      next: async () => {
        const step = await requests.next()
        if (step.done) {
          this.#isOver = true
          this.#end()
        }
        return step
      },
      return: async () => (await requests.return?.()) ?? { done: true, value: undefined },
    }
  }
}

function iteratorOf(requests: Requests) {
  return Symbol.asyncIterator in requests
    ? requests[Symbol.asyncIterator]()
    : requests[Symbol.iterator]()
}

/** @returns whether a loop that ended with this error leaves a session that can be added to. */
export function canKeep(error: unknown): boolean {
  if (error === undefined) return true
  if (error instanceof UsageError || error instanceof StorageError) return false
  return error instanceof MqttError
}

const NEVER_OPENS: OpenTransport = (_, signal) =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })

/** What is delivered, and how. */
interface Delivering {
  readonly options: EventloopOptions
  readonly onSettled: (request: Request, outcome: Outcome) => void
  readonly onTrouble: (message: string) => void
  readonly quiet: boolean
  /** How long a stream may take to end, in ms. */
  readonly disconnectTimeout: number
}

/**
 * Takes the rest of the stream into the session.
 * @param session What the loop left. A session store that the job has is opened again.
 * @param isCut Whether only what is there already is taken, because the command was interrupted.
 * @param signal Ends the reading.
 */
export async function keepRest(
  job: Delivering,
  requests: FollowedRequests,
  session: Session,
  isCut: boolean,
  signal: AbortSignal,
): Promise<Session> {
  const loop = eventloop(
    {
      ...identityOf(job.options),
      session: hasStore(job.options.session) ? job.options.session : session,
      url: 'mqtt://localhost',
      transport: NEVER_OPENS,
      reconnect: 'always',
      offlineRequests: KEPT_MAX,
      until: 'closed',
      acks: 'manual',
      onSettled: job.onSettled,
    },
    requests,
  )
  const taking = loop.next()
  const limitMs = isCut ? INTERRUPTED_MS : job.disconnectTimeout
  const ended = new AbortController()
  const explain = async () => {
    await setTimeout(PATIENCE_MS, undefined, { signal: ended.signal })
    job.onTrouble(
      `what is still to come is kept in the session, for at most ${duration(limitMs)}; ` +
        'Ctrl-C ends this',
    )
  }
  if (limitMs > PATIENCE_MS && !job.quiet) explain().catch(() => {})
  const either = AbortSignal.any([ended.signal, signal])
  await Promise.race([
    requests.over,
    taking,
    setTimeout(limitMs, undefined, { signal: either }).catch(() => {}),
  ])
  ended.abort()
  loop.shutdown()
  await taking
  return loop.session
}

/** The options by which requests and the session are checked. */
function identityOf(options: EventloopOptions): EventloopOptions {
  const { clientId, protocolVersion, cleanStart, sessionExpiryInterval } = options
  return Object.fromEntries(
    Object.entries({ clientId, protocolVersion, cleanStart, sessionExpiryInterval }).filter(
      ([, value]) => value !== undefined,
    ),
  )
}

function hasStore(session: EventloopOptions['session']): boolean {
  return typeof (session as { load?: unknown } | undefined)?.load === 'function'
}
