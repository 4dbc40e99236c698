/**
 * What does a publisher send next? The request stream of one client: it gives what is due and has
 * room in the window, as batches. In the open model a schedule says what is due; in the closed one
 * everything is, and only the window limits.
 */
import type { Outcome, Request, Settling } from '../../index.ts'
import type { Plan } from './plan.ts'
import { type Schedule, shareOf } from './schedule.ts'
import { clockNow, STAMP_BYTES, TimedPublish, writeStamp } from './stamp.ts'
import type { Tally } from './tally.ts'

/** So many messages are given to the loop together. */
const BATCH_MAX = 250
/** Bytes from which payloads without a content are cut. */
const FILLER = Buffer.alloc(65_536, 'it-mqtt bench ')

type FeedStep = IteratorResult<readonly Request[], undefined>
const FEED_ENDED: FeedStep = { done: true, value: undefined }

interface FeedSetup {
  readonly plan: Plan
  readonly tally: Tally
  /** Which of the publishers this is, from 0. */
  readonly publisher: number
  readonly topics: readonly string[]
}

export class Feed implements AsyncIterable<readonly Request[], undefined>, Settling {
  readonly topics: readonly string[]
  /** For each topic, the number of its next message. */
  readonly sequences: number[]
  /** For each topic, the number of its first message that is measured; null if none was. */
  readonly #measuredFrom: (number | null)[]
  /** For each topic, how many measured messages failed. */
  readonly #failures: number[]
  /** How many publishes at QoS 1 and 2 may be in flight. The server may lower it. */
  window: number
  readonly #plan: Plan
  readonly #tally: Tally
  readonly #publisher: number
  /** Null in the closed model and before the start. */
  #schedule: Schedule | null = null
  #given = 0
  /** How many may be given in the closed model. Negative before the start and after the end. */
  #limit = -1
  #inFlight = 0
  #isEnded = false
  #isWaking = false
  #waiting: ((step: FeedStep) => void) | null = null

  constructor({ plan, tally, publisher, topics }: FeedSetup) {
    this.#plan = plan
    this.#tally = tally
    this.#publisher = publisher
    this.topics = topics
    this.window = plan.window
    this.sequences = topics.map(() => 0)
    this.#measuredFrom = topics.map(() => null)
    this.#failures = topics.map(() => 0)
  }

  /** Messages that were given and have no outcome. */
  get inFlight(): number {
    return this.#inFlight
  }

  get isDone(): boolean {
    return this.#inFlight === 0 && this.#given >= this.#limit
  }

  /** @returns which messages of each topic are measured. */
  streams(): { topic: string; stream: number; from: number; to: number; failures: number }[] {
    return this.topics.map((topic, at) => {
      const to = this.sequences[at]!
      const from = this.#measuredFrom[at] ?? to
      return { topic, stream: this.#streamOf(at), from, to, failures: this.#failures[at]! }
    })
  }

  /** @returns how many messages were due at this instant and were not given; open model. */
  backlog(now: number): number {
    if (this.#schedule === null) return 0
    const { publishers } = this.#plan
    return shareOf(this.#schedule.dueBy(now), this.#publisher, publishers) - this.#given
  }

  /** @param schedule of all publishers together, or null for the closed model. */
  begin(schedule: Schedule | null): void {
    this.#schedule = schedule
    const total = schedule?.dueBy(Number.POSITIVE_INFINITY) ?? Number.POSITIVE_INFINITY
    this.#limit = shareOf(total, this.#publisher, this.#plan.publishers)
    this.wake()
  }

  /** Gives no more messages. */
  stop(): void {
    this.#limit = -1
  }

  end(): void {
    this.stop()
    this.#isEnded = true
    this.#waiting?.(FEED_ENDED)
    this.#waiting = null
  }

  [Symbol.asyncIterator](): AsyncIterator<readonly Request[], undefined> {
    return this
  }

  next(): Promise<FeedStep> {
    if (this.#isEnded) return Promise.resolve(FEED_ENDED)
    const batch = this.#take(clockNow())
    if (batch !== null) return Promise.resolve({ done: false, value: batch })
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  /** Looks whether there is something to give now. */
  wake(): void {
    if (this.#waiting === null) return
    const batch = this.#take(clockNow())
    if (batch === null) return
    this.#waiting({ done: false, value: batch })
    this.#waiting = null
  }

  settled(request: Request, outcome: Outcome): void {
    if (!(request instanceof TimedPublish)) return
    this.#inFlight--
    const now = clockNow()
    const tally = this.#tally
    if (!outcome.ok) tally.addError('publish', outcome.error)
    if (request.dueAt >= tally.measureAt) {
      tally.settledAt = now
      if (!outcome.ok) {
        tally.failed++
        this.#failures[this.topics.indexOf(request.topic)]!++
      } else if (request.qos > 0) {
        tally.acknowledged++
        tally.acknowledgement.record(now - request.dueAt)
        if (this.#schedule !== null) tally.acknowledgementFromSend.record(now - request.sentAt)
      } else if (this.#schedule !== null) tally.sendDelay.record(now - request.dueAt)
    }
    this.#wakeSoon()
  }

  /** After all outcomes of this moment, so that they make room for one batch and not for many. */
  #wakeSoon(): void {
    if (this.#waiting === null || this.#isWaking) return
    this.#isWaking = true
    queueMicrotask(() => {
      this.#isWaking = false
      this.wake()
    })
  }

  #take(now: number): readonly Request[] | null {
    const { qos, publishers } = this.#plan
    const room = qos === 0 ? BATCH_MAX : Math.min(BATCH_MAX, this.window - this.#inFlight)
    const count = Math.min(room, this.#due(now) - this.#given)
    if (count <= 0) return null
    const batch = new Array<TimedPublish>(count)
    for (let at = 0; at < count; at++) {
      const index = this.#given++
      const dueAt = this.#schedule?.timeOf(index * publishers + this.#publisher) ?? now
      batch[at] = this.#message(index % this.topics.length, dueAt, now)
    }
    this.#inFlight += count
    return batch
  }

  /** @returns how many messages are due, those that were given included. */
  #due(now: number): number {
    if (this.#limit < 0) return 0
    const { messages, publishers } = this.#plan
    if (this.#schedule !== null) {
      return shareOf(this.#schedule.dueBy(now), this.#publisher, publishers)
    }
    const isUnbounded = this.#limit === Number.POSITIVE_INFINITY
    if (isUnbounded && messages !== null && now >= this.#tally.measureAt) {
      this.#limit = this.#given + shareOf(messages, this.#publisher, publishers)
    }
    return this.#limit
  }

  #message(topic: number, dueAt: number, now: number): TimedPublish {
    const { qos, retain, properties } = this.#plan
    const tally = this.#tally
    const sequence = this.sequences[topic]!++
    if (dueAt >= tally.measureAt) {
      this.#measuredFrom[topic] ??= sequence
      tally.sent++
      if (qos > 0 && this.#schedule !== null) tally.sendDelay.record(now - dueAt)
    }
    const payload = this.#payload(this.#streamOf(topic), sequence, dueAt, now)
    return new TimedPublish(
      this.topics[topic]!,
      payload,
      qos,
      retain,
      properties.publish,
      dueAt,
      now,
    )
  }

  #streamOf(topic: number): number {
    return this.#publisher * this.topics.length + topic
  }

  #payload(stream: number, sequence: number, dueAt: number, now: number): Buffer {
    const { kind, content, size, run } = this.#plan
    if (content !== null && kind === 'pub') return content
    const { min, max } = size
    const length =
      content === null
        ? min + (max === min ? 0 : Math.floor(Math.random() * (max - min + 1)))
        : STAMP_BYTES + content.length
    const payload = Buffer.allocUnsafe(length)
    if (length < STAMP_BYTES) return payload.fill(FILLER)
    writeStamp(payload, run, stream, sequence, dueAt, now)
    if (content === null) payload.fill(FILLER, STAMP_BYTES)
    else content.copy(payload, STAMP_BYTES)
    return payload
  }
}
