/**
 * How does an examination go? One connection first, which says whether and how the broker speaks;
 * then all questions, a few at the same time; then everything that was made is removed.
 */
import {
  type BrokerProfile,
  type EventloopOptions,
  MqttError,
  type Platform,
  systemPlatform,
  UsageError,
  validateTopic,
} from '../index.ts'
import type {
  DoctorFailure,
  DoctorOptions,
  DoctorReport,
  Examination,
  Finding,
} from './doctor-types.ts'
import { Removal } from './leavings.ts'
import { Pacer } from './pacer.ts'
import { Peer, type PeerHost, reasonWords } from './peer.ts'
import type { DoctorQuestion } from './question.ts'
import { QUESTIONS } from './question-list.ts'
import { type FoundOut, NotKnown, type Rounds, Visit } from './visit.ts'
import { orNullAfter } from './wait.ts'

/** How many questions are asked at the same time. */
const TOGETHER = 6
const TIMEOUT_MS = 25_000
const CONNECT_MS = 10_000
/** How long removing may take, in ms. */
const REMOVAL_MS = 5000

interface DoctorPlan {
  readonly clock: Platform
  readonly prefix: string
  readonly clientIdPrefix: string
  readonly questions: readonly DoctorQuestion[]
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly target: EventloopOptions
}

/**
 * Asks a broker what an application may rely on there. It sends at most ten requests a second on
 * average, works below topics of its own, and removes what it made.
 * @returns an examination, which begins when it is iterated or when `report()` is called.
 * @throws UsageError for an option that cannot be used.
 */
export function examine(options: DoctorOptions): Examination {
  return new RunningExamination(examinationPlan(options))
}

function examinationPlan(options: DoctorOptions): DoctorPlan {
  if (typeof options !== 'object' || options === null) {
    throw new UsageError('examine: options must be an object with a url or a transport')
  }
  const { prefix = 'it-mqtt/doctor', clientIdPrefix = 'doctor-', only, signal, ...rest } = options
  const { timeout = TIMEOUT_MS, platform = systemPlatform, connectOptions, ...target } = rest
  const problem = validateTopic(prefix)
  if (problem !== null) throw new UsageError(`prefix: ${problem}`)
  if (typeof clientIdPrefix !== 'string') throw new UsageError('clientIdPrefix must be a text')
  if (!(timeout >= 1000 && timeout <= 3_600_000)) {
    throw new UsageError('timeout must be a number of ms from 1,000 to 3,600,000')
  }
  return {
    ...{ clock: platform, prefix, clientIdPrefix, timeoutMs: timeout, signal },
    questions: chosen(only),
    target: {
      connectTimeout: CONNECT_MS,
      ...target,
      platform,
      // The identifiers and wills of an examination are its own.
      ...(connectOptions === undefined
        ? {}
        : {
            connectOptions: async (...args) => {
              const { clientId: _, will: __, ...own } = (await connectOptions(...args)) ?? {}
              return own
            },
          }),
    },
  }
}

function chosen(only: readonly string[] | undefined): readonly DoctorQuestion[] {
  if (only === undefined) return QUESTIONS
  const unknown = only.find((id) => QUESTIONS.every((one) => one.id !== id))
  if (unknown === undefined) return QUESTIONS.filter(({ id }) => only.includes(id))
  const names = QUESTIONS.map(({ id }) => id).join(', ')
  throw new UsageError(`only: there is no question ${unknown}; there are ${names}`)
}

class RunningExamination implements Examination {
  readonly #plan: DoctorPlan
  readonly #ending = new AbortController()
  readonly #found: Finding[] = []
  #wake: () => void = () => {}
  #report: Promise<DoctorReport> | null = null
  #isOver = false

  constructor(plan: DoctorPlan) {
    this.#plan = plan
  }

  report(): Promise<DoctorReport> {
    this.#report ??= this.#run().finally(() => {
      this.#isOver = true
      this.#wake()
    })
    return this.#report
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Finding, undefined> {
    const report = this.report()
    report.catch(() => {})
    let isWhole = false
    try {
      for (let next = 0; ; next++) {
        while (next >= this.#found.length && !this.#isOver) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
        }
        if (next >= this.#found.length) break
        yield this.#found[next]!
      }
      isWhole = true
      await report
      return undefined
    } finally {
      if (!isWhole) {
        this.#ending.abort(new Error('the iteration was left'))
        await report.catch(() => {})
      }
    }
  }

  #note(finding: Finding): void {
    this.#found.push(finding)
    this.#wake()
  }

  async #run(): Promise<DoctorReport> {
    const { clock, signal, timeoutMs } = this.#plan
    signal?.throwIfAborted()
    const abort = () => this.#ending.abort(signal!.reason)
    signal?.addEventListener('abort', abort, { once: true })
    const startedAt = clock.now()
    const time = new AbortController()
    const timer = clock.setTimer(() => time.abort(new NotKnown('the time was up')), timeoutMs)
    try {
      const inner = AbortSignal.any([this.#ending.signal, time.signal])
      const examined = await this.#examined(inner)
      this.#ending.signal.throwIfAborted()
      return { ...examined, durationMs: clock.now() - startedAt }
    } finally {
      clock.clearTimer(timer)
      signal?.removeEventListener('abort', abort)
    }
  }

  async #examined(signal: AbortSignal): Promise<Omit<DoctorReport, 'durationMs'>> {
    const { clock, questions, prefix, clientIdPrefix, target } = this.#plan
    const pacer = new Pacer(clock)
    const removal = new Removal()
    const random = hexOf(clock, 8)
    let count = 0
    const newId = () => `${clientIdPrefix}${random}${(count++).toString(36).padStart(4, '0')}`
    const host = peerHostOf(clock, signal, pacer)
    await pacer.turn(1, signal).catch(() => {})
    const first = new Peer(host, 'first', {
      ...target,
      clientId: newId(),
    })
    try {
      const isThere = await first.connected().catch(() => false)
      const roundTripMs = isThere ? await roundTrip(first, clock, signal) : null
      const version = first.connack === null ? null : first.version
      const said = { format: 1, server: first.server, protocolVersion: version } as const
      if (version === null || roundTripMs === null) {
        const why = first.ended ?? new Error('the broker did not answer')
        for (const one of questions)
          this.#note(unknown(one, `no connection: ${reasonWords(why)}`, []))
        const findings = [...this.#found]
        const failure = failureOf(why)
        return { ...said, failure, findings, profile: {}, requests: pacer.count, left: [] }
      }
      const rounds: Rounds = {
        ...{ clock, version, first, roundTripMs, removal, newId },
        target: { ...target, protocolVersion: version },
        base: `${prefix}/${random}`,
        turn: (requests, own) => pacer.turn(requests, own),
      }
      const profile = await this.#ask(rounds, signal)
      const left = await removed(rounds)
      const findings = questions.map(({ id }) => this.#found.find((one) => one.id === id)!)
      return { ...said, failure: null, findings, profile, requests: pacer.count, left }
    } finally {
      await first.close()
    }
  }

  /** Asks all questions, those that wait longest first. */
  async #ask(rounds: Rounds, signal: AbortSignal): Promise<BrokerProfile> {
    const waiting = [...this.#plan.questions].sort(
      (a, b) => Number(b.waits ?? false) - Number(a.waits ?? false),
    )
    const profile: BrokerProfile = {}
    const worker = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [finding, found] = await answered(next, rounds, signal)
        Object.assign(profile, found)
        this.#note(finding)
      }
    }
    await Promise.all(Array.from({ length: TOGETHER }, worker))
    return profile
  }
}

/**
 * Removes what was made, also when the time is up or the examination is ended.
 * @returns what could not be removed.
 */
async function removed(rounds: Rounds): Promise<readonly string[]> {
  const { clock, removal } = rounds
  const time = new AbortController()
  const timer = clock.setTimer(() => time.abort(new NotKnown('the time was up')), REMOVAL_MS)
  const visit = new Visit(rounds, 'removal', time.signal)
  let sweeper: Promise<Peer> | null = null
  try {
    return await removal.run({
      clear: async (topic) => {
        sweeper ??= visit.open()
        const { kind } = await (await sweeper).publish(topic, '', { qos: 1, retain: true })
        return kind === 'accepted'
      },
      forget: async (id) => {
        const peer = await visit.tryOpen({ id })
        await peer.close()
        return peer.connack !== null
      },
    })
  } finally {
    clock.clearTimer(timer)
    await visit.end()
  }
}

async function answered(
  question: DoctorQuestion,
  rounds: Rounds,
  signal: AbortSignal,
): Promise<readonly [Finding, BrokerProfile]> {
  const visit = new Visit(rounds, question.id, signal)
  const { id, question: asked } = question
  try {
    signal.throwIfAborted()
    if (question.needs5 && rounds.version !== 5) throw new NotKnown('it is a question of MQTT 5')
    const {
      answer,
      reliable,
      meaning,
      certainty = 'shown',
      profile = {},
    }: FoundOut = await question.run(visit)
    const { evidence } = visit
    const finding = { id, question: asked, answer, certainty, why: null, reliable, meaning }
    return [{ ...finding, evidence }, profile]
  } catch (error) {
    // Whatever a broker does, one question without an answer is no reason to have none at all.
    return [unknown(question, reasonWords(error), visit.evidence), {}]
  } finally {
    await visit.end()
  }
}

function unknown(
  { id, question }: DoctorQuestion,
  why: string,
  evidence: readonly string[],
): Finding {
  const answer = 'not known'
  const meaning = 'Do not rely on it.'
  return { id, question, answer, certainty: 'unknown', why, reliable: null, meaning, evidence }
}

function peerHostOf(clock: Platform, signal: AbortSignal, pacer: Pacer): PeerHost {
  return {
    ...{ clock, signal, patienceMs: CONNECT_MS },
    turn: (requests) => pacer.turn(requests, signal),
    note: () => () => {},
    retains: () => {},
    shown: (topic) => topic,
  }
}

/** @returns the time to the broker and back in ms, or null if a PINGREQ has no answer. */
async function roundTrip(
  first: Peer,
  clock: Platform,
  signal: AbortSignal,
): Promise<number | null> {
  return orNullAfter(clock, CONNECT_MS, signal, first.ping()).catch(() => null)
}

function failureOf(why: unknown): DoctorFailure {
  const message = reasonWords(why)
  if (why instanceof MqttError) return { code: why.code, message, retryable: why.retryable }
  return { code: 'TIMEOUT', message, retryable: true }
}

function hexOf(clock: Platform, digits: number): string {
  const digit = () => Math.floor(clock.random() * 16).toString(16)
  return Array.from({ length: digits }, digit).join('')
}
