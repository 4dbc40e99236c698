/**
 * How does an examination go? One connection first, which says whether and how the broker speaks;
 * then all questions, a few at the same time. What a question made is removed after it, and what
 * then is left at the end.
 */
import { type BrokerProfile, MqttError, type Platform } from '../index.ts'
import { CONNECT_MS, type DoctorPlan, examinationPlan } from './doctor-plan.ts'
import type {
  DoctorFailure,
  DoctorOptions,
  DoctorReport,
  Examination,
  Finding,
} from './doctor-types.ts'
import { Removal } from './leavings.ts'
import { type OnlyOne, onlyOneConnection } from './one-connection.ts'
import { INTERVAL_MS, Pacer } from './pacer.ts'
import { Peer, type PeerHost, reasonWords } from './peer.ts'
import type { DoctorQuestion } from './question.ts'
import { removeAll, Sweeper } from './sweeper.ts'
import { type FoundOut, NotKnown, type Rounds, Visit } from './visit.ts'

/** How many questions are asked at the same time. */
const TOGETHER = 6
/** How long removing between questions may take, in ms; at the end it has its own time. */
const SWEEPING_MS = 2500
const NO_CONNACK = 'the broker did not answer CONNECT'
const NO_PINGRESP =
  'the broker accepted the connection, but did not answer a PINGREQ within' +
  ` ${CONNECT_MS / 1000} s; try again when it is less busy, and look at what lies between,` +
  ' such as a proxy'

/**
 * Asks a broker what an application may rely on there. It sends at most ten requests a second on
 * average, works below topics of its own, and removes what it made.
 * @returns an examination, which begins when it is iterated or when `report()` is called.
 * @throws UsageError for an option that cannot be used.
 */
export function examine(options: DoctorOptions): Examination {
  return new RunningExamination(examinationPlan(options))
}

class RunningExamination implements Examination {
  readonly #plan: DoctorPlan
  readonly #ending = new AbortController()
  readonly #found: Finding[] = []
  /** Those who wait for the next finding: there may be several iterations. */
  readonly #wakers = new Set<() => void>()
  readonly #removal = new Removal()
  /** How many requests removed something between questions. */
  #swept = 0
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

  get left(): readonly string[] {
    return this.#removal.names
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Finding, undefined> {
    const report = this.report()
    report.catch(() => {})
    let isWhole = false
    try {
      for (let next = 0; ; next++) {
        while (next >= this.#found.length && !this.#isOver) {
          await new Promise<void>((resolve) => {
            this.#wakers.add(resolve)
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

  #wake(): void {
    for (const wake of this.#wakers) wake()
    this.#wakers.clear()
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
    // What is removed between questions takes nothing of their time.
    let givenMs = 0
    const look = () => {
      const moreMs = Math.min(SWEEPING_MS, this.#swept * INTERVAL_MS) - givenMs
      if (moreMs <= 0) return time.abort(new NotKnown('the time was up'))
      givenMs += moreMs
      timer = clock.setTimer(look, moreMs)
    }
    let timer = clock.setTimer(look, timeoutMs)
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
      const roundTripMs = isThere ? await first.roundTrip().catch(() => null) : null
      const version = first.connack === null ? null : first.version
      const said = { format: 1, server: first.server, protocolVersion: version } as const
      if (version === null || roundTripMs === null) {
        const silence = new Error(version === null ? NO_CONNACK : NO_PINGRESP)
        const why = first.ended ?? (signal.aborted ? signal.reason : silence)
        const before = version === null ? 'no connection: ' : ''
        for (const one of questions) this.#note(unknown(one, `${before}${reasonWords(why)}`, []))
        const findings = [...this.#found]
        const failure = failureOf(why)
        return { ...said, failure, findings, profile: {}, requests: pacer.count, left: [] }
      }
      const rounds: Rounds = {
        ...{ clock, version, first, roundTripMs, removal: this.#removal, newId },
        target: { ...target, protocolVersion: version },
        base: `${prefix}/${random}`,
        turn: (requests, own) => pacer.turn(requests, own),
      }
      const onlyOne = await onlyOneConnection(rounds, signal)
      const asked = onlyOne === null ? questions : this.#askable(onlyOne)
      const found = await this.#ask(rounds, asked, signal)
      const isEmpty = Object.keys(found).length === 0
      const profile = isEmpty ? found : { protocolVersion: version, ...found }
      const requests = pacer.count + (await removeAll(rounds))
      const { left } = this
      const failure = onlyOne && {
        ...failureOf(onlyOne.cause),
        message: onlyOne.message,
        retryable: false,
      }
      const findings = questions.map(({ id }) => this.#found.find((one) => one.id === id)!)
      return { ...said, failure, findings, profile, requests, left }
    } finally {
      await first.close()
    }
  }

  /** @returns the questions that one connection can answer; the others are not known. */
  #askable({ ends, message }: OnlyOne): readonly DoctorQuestion[] {
    const { questions } = this.#plan
    const isAskable = ({ single }: DoctorQuestion) => single === true && ends === 'second'
    for (const one of questions) if (!isAskable(one)) this.#note(unknown(one, message, []))
    return questions.filter(isAskable)
  }

  /** Asks questions, those that wait longest first, and those that want to be alone last. */
  async #ask(
    rounds: Rounds,
    questions: readonly DoctorQuestion[],
    signal: AbortSignal,
  ): Promise<BrokerProfile> {
    const turn: Rounds['turn'] = (requests, own) => {
      this.#swept += requests
      return rounds.turn(requests, own)
    }
    const sweeper = new Sweeper({ ...rounds, turn }, signal, true)
    const waiting = questions
      .filter(({ alone }) => !alone)
      .sort((a, b) => Number(b.waits ?? false) - Number(a.waits ?? false))
    const profile: BrokerProfile = {}
    const worker = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [finding, found] = await answered(next, rounds, signal)
        await sweeper.sweep(next.id)
        Object.assign(profile, found)
        this.#note(finding)
      }
    }
    await Promise.all(Array.from({ length: TOGETHER }, worker))
    waiting.push(...questions.filter(({ alone }) => alone))
    await worker()
    await sweeper.end()
    return profile
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
    spares: () => {},
    shown: (topic) => topic,
  }
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
