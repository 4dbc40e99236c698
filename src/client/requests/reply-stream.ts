/**
 * How is an async iterable sent as a stream of parts? Parts leave as fast as the requester consumes
 * them: at most 64 beyond those that it has credited. (Q9, a streamed response is complete or says
 * so)
 */
import type { Core, OutcomeListener } from '../core.ts'
import { type Asked, hasReplyTopic } from './asked.ts'
import type { CallPlan } from './call-plan.ts'
import type { IncomingCall } from './incoming-call.ts'
import { CREDIT_PARTS } from './part-order.ts'
import { NOTHING_TO_SAY, type Reply, TOO_SLOW, writeReply } from './reply.ts'
import type { Controlled, StreamControls } from './stream-controls.ts'

const IGNORED: OutcomeListener = { published() {}, failed() {} }

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

/** What a stream uses of the desk. */
export interface StreamHost {
  readonly core: Core
  readonly plan: CallPlan
  readonly hasEnded: boolean
  /** @throws UsageError for what cannot be encoded. */
  replyOf(given: unknown): Reply
  failed(error: unknown, call: IncomingCall): Reply
  /** An answer was posted (1), or its outcome is known (-1). */
  posted(by: 1 | -1): void
  /** The stream has ended; its last part was posted. */
  streamed(call: IncomingCall, status: number): void
}

/** Why no more parts are sent. */
type Stop = 'cancelled' | 'aborted'

export class ReplyStream implements Controlled {
  readonly #desk: StreamHost
  readonly #controls: StreamControls
  readonly #call: IncomingCall
  readonly #values: AsyncIterable<unknown>
  #control: string | undefined
  #credit = CREDIT_PARTS
  #seq = 0
  #isCancelled = false
  /** Wakes the stream when it may go on, or must stop. */
  #wake: (() => void) | null = null

  constructor(
    desk: StreamHost,
    controls: StreamControls,
    call: IncomingCall,
    values: AsyncIterable<unknown>,
  ) {
    this.#desk = desk
    this.#controls = controls
    this.#call = call
    this.#values = values
  }

  get correlation(): string {
    return this.#call.asked.correlation
  }

  credited(parts: number): void {
    if (parts === 0) {
      this.#isCancelled = true
      this.#call.abort(new DOMException('The requester has cancelled the stream.', 'AbortError'))
    } else if (parts > this.#credit) this.#credit = parts
    this.#wake?.()
  }

  async run(): Promise<void> {
    const { signal, asked } = this.#call
    const wake = () => this.#wake?.()
    signal.addEventListener('abort', wake)
    try {
      if (hasReplyTopic(asked)) this.#control = await this.#controls.open(this)
      await this.#send(asked)
    } finally {
      signal.removeEventListener('abort', wake)
      this.#controls.close(this.#control)
    }
  }

  async #send(asked: Asked): Promise<void> {
    const iterator = this.#values[Symbol.asyncIterator]()
    let end: Reply
    try {
      const stopped = await this.#pump(iterator, asked)
      if (stopped !== null) {
        // An iterator that does not come to an end must not hold the answer back.
        void Promise.resolve(iterator.return?.()).catch(() => {})
        return this.#finish(asked, stopped === 'aborted' ? TOO_SLOW : NOTHING_TO_SAY)
      }
      end = NOTHING_TO_SAY
    } catch (error) {
      end = this.#desk.failed(error, this.#call)
    }
    this.#finish(asked, end)
  }

  /** @returns why it stopped before the end of the iterator, or null. */
  async #pump(iterator: AsyncIterator<unknown>, asked: Asked): Promise<Stop | null> {
    for (;;) {
      while (this.#stop === null && !this.#mayGoOn) await this.#woken()
      if (this.#stop !== null) return this.#stop
      const result = await this.#next(iterator)
      if (result === null) return this.#stop
      if (result.done) return null
      this.#post(asked, this.#desk.replyOf(result.value), false, IGNORED)
    }
  }

  get #mayGoOn(): boolean {
    return this.#control === undefined || this.#seq < this.#credit
  }

  get #stop(): Stop | null {
    if (this.#isCancelled) return 'cancelled'
    return this.#call.isAborted || this.#desk.hasEnded ? 'aborted' : null
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  /** @returns the next value, or null if the stream was stopped before it came. */
  async #next(iterator: AsyncIterator<unknown>): Promise<IteratorResult<unknown> | null> {
    const next = iterator.next()
    // The value that comes too late is dropped, and so is its failure.
    next.catch(() => {})
    const stopped = (async () => {
      while (this.#stop === null) await this.#woken()
      return null
    })()
    const result = await Promise.race([next, stopped])
    // The one who waits for a stop ends with the next wake, which comes with the end at the latest.
    return result
  }

  #post(asked: Asked, reply: Reply, last: boolean, listener: OutcomeListener): boolean {
    const { expiresAt } = this.#call
    const remainingMs = expiresAt - this.#desk.core.clock.now()
    if (remainingMs <= 0 || this.#desk.hasEnded || !hasReplyTopic(asked)) return false
    const seq = this.#seq++
    const part = { seq, last, control: seq === 0 ? this.#control : undefined }
    const { responseQos } = this.#desk.plan
    const request = writeReply(asked, reply, responseQos, remainingMs, part)
    if (listener !== IGNORED) this.#desk.posted(1)
    this.#desk.core.post(request, listener)
    return true
  }

  #finish(asked: Asked, end: Reply): void {
    const call = this.#call
    const isPosted = this.#post(asked, end, true, call)
    this.#desk.streamed(call, end.status)
    this.#isCancelled = true
    this.#wake?.()
    if (!isPosted || this.#desk.plan.responseQos === 0) call.delivered()
  }
}
