/**
 * What does one get for a request that has many answers: those of several responders, or the parts
 * of a stream? (Q9, a streamed response is complete or says so)
 */
import type { Published } from '../client-types.ts'
import { Fifo } from '../fifo.ts'
import type { Response } from '../request-types.ts'
import type { GivenAnswer } from './answers.ts'
import { hexOfLatin1 } from './correlation.ts'
import { PartOrder } from './part-order.ts'
import { noResponders, streamGap, tooLate } from './request-errors.ts'
import type { Ask, AskedPayload } from './request-plan.ts'
import { responseOf } from './response.ts'
import { countedCodeOf } from './single-request.ts'
import type { AnswerWaiter, RequestHost } from './waiter.ts'

type Item = Response<never>
type ManyResult = IteratorResult<Item, undefined>

interface ManyPull {
  readonly resolve: (result: ManyResult | Promise<ManyResult>) => void
}

/** How many responses of several responders may wait to be pulled. Parts are bounded by credit. */
const WAITING_MAX = 10_000
const NO_MORE_RESPONSES: ManyResult = { done: true, value: undefined }

export class ManyRequest implements AnswerWaiter, AsyncIterableIterator<Item, undefined> {
  readonly ask: Ask
  readonly payload: AskedPayload
  correlation = ''
  order = 0
  readonly key: string
  attempt = 0
  losses = 0
  acknowledged = false
  controller: AbortController | null = null
  dueAt = 0
  heapIndex = -1
  startedAt = 0
  readonly #desk: RequestHost
  readonly #max: number
  readonly #stallMs: number | undefined
  #state: 'idle' | 'open' | 'ended' = 'idle'
  #endsAt = 0
  #count = 0
  #parts: PartOrder | null = null
  readonly #queue = new Fifo<Item>()
  #pulls: ManyPull[] = []
  /** With what it ended, until a pull was told. */
  #error: { readonly reason: unknown } | null = null

  constructor(
    desk: RequestHost,
    ask: Ask,
    payload: AskedPayload,
    max: number,
    stallMs: number | undefined,
  ) {
    this.#desk = desk
    this.ask = ask
    this.payload = payload
    this.key = ask.key ?? ''
    this.#max = max
    this.#stallMs = stallMs
  }

  get expiresAt(): number {
    return this.#endsAt
  }

  get isSettled(): boolean {
    return this.#state === 'ended'
  }

  get isSingle(): boolean {
    return false
  }

  get operation(): string {
    return this.key === '' ? hexOfLatin1(this.correlation) : this.key
  }

  // ---------------------------------------------------------------------------------- the consumer

  next(): Promise<ManyResult> {
    if (this.#state === 'idle') this.#begin()
    if (this.#queue.length > 0) return Promise.resolve(this.#give())
    if (this.isSettled) return this.#resultAfterEnd()
    this.#desk.wants(1)
    return new Promise((resolve) => this.#pulls.push({ resolve }))
  }

  #begin(): void {
    this.#state = 'open'
    if (!this.#desk.opened(this)) return
    this.startedAt = this.#desk.core.clock.now()
    this.#endsAt = this.startedAt + this.ask.timeout
    this.dueAt = this.#endsAt
    this.#desk.deadlines.add(this)
    this.#desk.send(this)
  }

  #give(): ManyResult {
    const value = this.#queue.shift()!
    const credit = this.#parts?.consumed() ?? 0
    if (credit > 0) this.#credit(credit)
    return { done: false, value }
  }

  #resultAfterEnd(): Promise<ManyResult> {
    const error = this.#error
    if (error === null) return Promise.resolve(NO_MORE_RESPONSES)
    this.#error = null
    return Promise.reject(error.reason)
  }

  async return(): Promise<ManyResult> {
    this.#queue.clear()
    if (this.#state === 'idle') this.#state = 'ended'
    this.#cancel()
    this.#end(null)
    return NO_MORE_RESPONSES
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  // ----------------------------------------------------------------------------------- the answers

  answered(answer: GivenAnswer): void {
    if (this.isSettled) return
    const { ask } = this
    if (answer.seq >= 0 && !this.#takesPart(answer)) return
    if (this.#count++ === 0) this.#desk.counts.answered++
    // The end of a stream is not a response of its own if it says nothing.
    const isEnd = answer.last && answer.status === 204 && answer.payload.length === 0
    if (!isEnd) {
      try {
        this.#offer(responseOf(ask.reading, ask.topic, answer))
      } catch (error) {
        return this.reject(error)
      }
    }
    const enough = this.#count >= this.#max
    if (enough && !answer.last) this.#cancel()
    if (enough || answer.last) this.#end(null)
    else if (this.#stallMs !== undefined) {
      const stallsAt = this.#desk.core.clock.now() + this.#stallMs
      this.#desk.deadlines.move(this, Math.min(this.#endsAt, stallsAt))
    }
  }

  /** @returns whether the part is the next one of the stream. */
  #takesPart({ seq, last, control }: GivenAnswer): boolean {
    const { topic } = this.ask
    this.#parts ??= new PartOrder()
    const verdict = this.#parts.take(seq, last, control ?? null)
    if (verdict === 'next') return true
    if (verdict === 'gap') {
      const why = `part ${this.#parts.next} of the stream is missing; part ${seq} came`
      this.reject(streamGap(topic, why))
    } else if (verdict === 'mixed') {
      this.#desk.credit(control, this.correlation, 0)
      this.reject(streamGap(topic, 'two responders stream their answers to one request'))
    }
    return false
  }

  #offer(response: Item): void {
    const pull = this.#pulls.shift()
    if (pull === undefined && this.#parts === null && this.#queue.length >= WAITING_MAX) {
      this.#desk.counts.droppedAnswers++
      return
    }
    this.#queue.push(response)
    if (pull === undefined) return
    this.#desk.wants(-1)
    pull.resolve(this.#give())
  }

  published({ noMatchingSubscribers }: Published): void {
    this.acknowledged = true
    if (!noMatchingSubscribers || this.isSettled) return
    this.#desk.counts.noResponders++
    this.reject(noResponders(this.ask.topic))
  }

  failed(error: unknown): void {
    this.reject(error)
  }

  due(now: number): void {
    const { topic, timeout } = this.ask
    // A part of a stream is not the whole, so that an end in silence would pass for success.
    if (this.#count > 0 && this.#parts === null) return this.#end(null)
    this.#desk.counts.timedOut++
    const ms = now < this.#endsAt ? this.#stallMs! : timeout
    this.reject(tooLate(topic, ms, this.attempt > 0 && this.#desk.losses > this.losses))
  }

  reconnected(): void {
    if (this.#parts !== null) this.#credit(this.#parts.granted)
  }

  handleEvent(): void {
    this.reject(this.ask.signal?.reason)
  }

  // ------------------------------------------------------------------------------------------- end

  reject(error: unknown): void {
    if (this.isSettled) return
    this.#error = { reason: error }
    this.controller?.abort(error)
    this.#cancel()
    this.#end(countedCodeOf(error))
  }

  #credit(parts: number): void {
    this.#desk.credit(this.#parts?.control, this.correlation, parts)
  }

  #cancel(): void {
    if (this.#state === 'open' && this.#parts?.ended === false) this.#credit(0)
  }

  #end(code: string | null): void {
    if (this.#state !== 'open') return
    this.#state = 'ended'
    this.#desk.closed(this)
    this.#desk.report(this, code, 'mqtt')
    const pulls = this.#pulls
    this.#pulls = []
    for (const { resolve } of pulls) {
      this.#desk.wants(-1)
      resolve(this.#resultAfterEnd())
    }
  }
}
