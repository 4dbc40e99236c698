/**
 * Which requests does a responder execute, and how are their answers sent? Each message is read,
 * compared with those that came before, executed once, answered, and then acknowledged. (Q5, a
 * request is acknowledged after its response; Q6, a key is executed once; Q8, handlers run in order
 * and within bounds; Q9, a streamed response is complete or says so; Q10, a request cannot make a
 * responder publish anywhere)
 */

import type { Core } from '../core.ts'
import type { AnswerOptions, DeclaredFailure } from '../respond-types.ts'
import { Roster } from '../roster.ts'
import type { Message } from '../subscription-types.ts'
import { hasReplyTopic, isSameAttempt, mayAnswer, propertiesRead, readAsked } from './asked.ts'
import type { CallPlan } from './call-plan.ts'
import type { Deadlines } from './deadlines.ts'
import { DedupeCache, fingerprintOf } from './dedupe-cache.ts'
import { type CallHost, IncomingCall } from './incoming-call.ts'
import {
  BUSY,
  bytesOfReply,
  failure,
  KEY_REUSED,
  NOTHING_TO_SAY,
  type Reply,
  TOO_SLOW,
  writeReply,
} from './reply.ts'
import { isAsyncIterable, ReplyStream, type StreamHost } from './reply-stream.ts'
import { whyOf } from './request-errors.ts'
import { decodedValue, encodeValue } from './response.ts'
import { cut, STATUS } from './statuses.ts'
import { StoreClaims } from './store-claims.ts'
import type { StreamControls } from './stream-controls.ts'

/** How long a request may take that does not say how long it is waited for, in ms. */
const UNSAID_MS = 30_000
/** The answer of an operation whose answer was a stream: its parts are not kept. */
const STREAMED = Symbol('streamed')

type Kept = Reply | typeof STREAMED

/** Is given the requests that are to be executed. */
export interface CallSink {
  execute(call: IncomingCall): void
  /** A request that was given before is over. */
  over(call: IncomingCall): void
  /** @returns what the requester is told of an error of the user's code. */
  failed(error: unknown, call: IncomingCall): Reply
}

export class CallDesk implements CallHost, StreamHost {
  readonly core: Core
  readonly plan: CallPlan
  readonly stats = {
    received: 0,
    answered: 0,
    failed: 0,
    busy: 0,
    repeated: 0,
    expired: 0,
    unanswerable: 0,
    abandoned: 0,
  }
  /** Whether the client has ended: nothing is acknowledged any more. */
  hasEnded = false
  readonly #deadlines: Deadlines
  readonly #controls: StreamControls
  readonly #sink: CallSink
  readonly #cache: DedupeCache<Kept, IncomingCall> | null
  readonly #store: StoreClaims | null
  /** The response topic that was allowed last. */
  #allowed: string | null = null
  /** Requests that their handlers have not answered at once, or that wait for one. */
  readonly #calls = new Roster<IncomingCall>()
  /** How many requests are being given to their handlers. */
  #beginning = 0
  #aborted: { readonly reason: unknown } | null = null
  #posted = 0
  #idle: (() => void)[] = []

  constructor(
    core: Core,
    deadlines: Deadlines,
    controls: StreamControls,
    plan: CallPlan,
    sink: CallSink,
  ) {
    this.core = core
    this.#deadlines = deadlines
    this.#controls = controls
    this.plan = plan
    this.#sink = sink
    const { dedupe } = plan
    this.#store = dedupe?.store === undefined ? null : new StoreClaims(core, dedupe.store)
    this.#cache = dedupe === null ? null : new DedupeCache(dedupe.maxBytes, dedupe.maxEntries)
  }

  // ------------------------------------------------------------------------------ what is executed

  /** Takes a message. It is a promise only if there is a store to be asked. */
  take(message: Message): void | Promise<void> {
    this.stats.received++
    // A request that the server has kept was meant for somebody who was there at its time.
    if (message.retain) return message.ack()
    const asked = readAsked(message)
    const { replyTo, payload } = asked
    if (replyTo !== null && replyTo !== this.#allowed) {
      if (!mayAnswer(replyTo, this.plan.allowed)) {
        this.stats.unanswerable++
        return message.ack()
      }
      this.#allowed = replyTo
    }
    const now = this.core.clock.now()
    const { timeout } = this.plan
    const { expiresMs } = asked
    const expiresAt = now + (expiresMs ?? timeout ?? UNSAID_MS)
    const deadline = Math.min(expiresAt, now + (timeout ?? Number.POSITIVE_INFINITY))
    let value: unknown
    try {
      value = decodedValue(
        this.plan.reading,
        message.topic,
        payload,
        propertiesRead(message.properties, asked),
      )
    } catch (error) {
      const call = new IncomingCall(this, message, asked, undefined, expiresAt, deadline)
      return this.#send(call, failure(STATUS.badRequest, cut(whyOf(error))))
    }
    const call = new IncomingCall(this, message, asked, value, expiresAt, deadline)
    if (expiresMs === 0) return this.#expired(call)
    return this.#claim(call, now)
  }

  #claim(call: IncomingCall, now: number): void | Promise<void> {
    const { key, payload } = call.asked
    if (this.#cache === null || key === null) return this.#execute(call)
    const fingerprint = fingerprintOf(call.topic, payload)
    const claim = this.#cache.claim(key, fingerprint, call.expiresAt, now, call)
    if (claim.kind === 'new') {
      if (this.#store === null) return this.#execute(call)
      return this.#claimInStore(this.#store, call, call.expiresAt - now)
    }
    if (claim.kind === 'full') return this.busy(call)
    if (claim.kind === 'reused') return this.#send(call, KEY_REUSED)
    this.stats.repeated++
    if (claim.kind === 'done') this.#repeat(call, claim.answer)
  }

  async #claimInStore(store: StoreClaims, call: IncomingCall, expiresMs: number): Promise<void> {
    this.#beginning++
    const claimed = await store.claim(call, expiresMs)
    this.#beginning--
    if (claimed === 'new') this.#execute(call)
    else if (claimed === 'running' || claimed === null) this.busy(call)
    else {
      this.stats.repeated++
      const isSame = store.isOf(call, claimed)
      this.#settle(call, isSame ? claimed : KEY_REUSED, isSame)
    }
    this.#reportIdle()
  }

  /** Most handlers answer at once, so that a deadline is set only for those that do not. */
  #execute(call: IncomingCall): void {
    this.#beginning++
    this.#sink.execute(call)
    this.#beginning--
    if (call.stage === 'answered') return this.#reportIdle()
    this.#calls.add(call)
    this.#deadlines.add(call)
    if (this.#aborted !== null) call.abort(this.#aborted.reason)
  }

  /** Answers a request that there is no room for, and does not remember it. */
  busy(call: IncomingCall): void {
    this.stats.busy++
    this.#settle(call, BUSY, false)
  }

  /** Answers a request that is not executed after all, because too many wait. */
  refuse(call: IncomingCall): void {
    this.#store?.release(call)
    this.busy(call)
  }

  /** @returns whether the request is still wanted; if it is not, it is dropped. */
  begins(call: IncomingCall): boolean {
    if (call.stage !== 'waiting') return false
    if (this.core.clock.now() < call.expiresAt) {
      call.stage = 'running'
      return true
    }
    this.#drop(call)
    return false
  }

  /** Its time is over. */
  overdue(call: IncomingCall, now: number): void {
    if (call.stage === 'answered') return
    if (call.stage === 'waiting' && now >= call.expiresAt) return this.#drop(call)
    if (call.stage === 'running') this.stats.abandoned++
    call.abort(new DOMException('The deadline of the request has passed.', 'TimeoutError'))
    this.#settle(call, TOO_SLOW, true)
  }

  /**
   * A request that expired is not executed, and not answered. (Q7, an expired request is not
   * executed) A repetition that is waited for longer takes its place.
   */
  #drop(call: IncomingCall): void {
    this.#store?.release(call)
    const repeats = this.#release(call)
    this.#over(call)
    this.#expired(call)
    const now = this.core.clock.now()
    for (const repeat of repeats) {
      if (now < repeat.expiresAt) void this.#claim(repeat, now)
      else this.#expired(repeat)
    }
  }

  #release({ asked: { key } }: IncomingCall): readonly IncomingCall[] {
    return key === null ? [] : (this.#cache?.release(key) ?? [])
  }

  #expired(call: IncomingCall): void {
    this.stats.expired++
    call.stage = 'answered'
    call.delivered()
  }

  // ----------------------------------------------------------------------------------- the answers

  /** Answers with what a handler gave. @throws UsageError for what cannot be encoded. */
  async respond(call: IncomingCall, given: unknown, options?: AnswerOptions): Promise<void> {
    if (call.stage === 'answered') return
    await this.give(call, given, options)
    return call.whenDelivered()
  }

  /** As `respond`, without a promise unless it is a stream. */
  give(call: IncomingCall, given: unknown, options?: AnswerOptions): void | Promise<void> {
    if (isAsyncIterable(given)) return new ReplyStream(this, this.#controls, call, given).run()
    this.answer(call, this.replyOf(given, options))
  }

  async fail(call: IncomingCall, declared: DeclaredFailure): Promise<void> {
    if (call.stage === 'answered') return
    this.answer(call, this.failureOf(declared))
    return call.whenDelivered()
  }

  replyOf(given: unknown, options?: AnswerOptions): Reply {
    const { properties } = options ?? {}
    if (given === undefined || given === null) {
      return properties === undefined ? NOTHING_TO_SAY : { ...NOTHING_TO_SAY, ...properties }
    }
    const encoded = encodeValue('respond', given, this.plan.reading.codec)
    return { status: STATUS.done, ...encoded, ...properties }
  }

  failureOf({ status = STATUS.declared, code, message, data }: DeclaredFailure): Reply {
    const encoded = encodeValue('fail', data, this.plan.reading.codec)
    return { ...encoded, status, code, message: message === undefined ? undefined : cut(message) }
  }

  answer(call: IncomingCall, reply: Reply): void {
    if (call.stage !== 'answered') this.#settle(call, reply, true)
  }

  failed(error: unknown, call: IncomingCall): Reply {
    return this.#sink.failed(error, call)
  }

  /** A stream has ended; its last part was posted. */
  streamed(call: IncomingCall, status: number): void {
    this.#count(status)
    const { key } = call.asked
    const repeats = key === null ? [] : (this.#cache?.finish(key, STREAMED, 0) ?? [])
    this.#over(call)
    for (const repeat of repeats) {
      if (isSameAttempt(repeat.asked, call.asked)) call.deliversFor(repeat)
      else this.#repeat(repeat, STREAMED)
    }
  }

  #settle(call: IncomingCall, reply: Reply, isKept: boolean): void {
    const { key } = call.asked
    const repeats = isKept ? this.#keep(call, key, reply) : this.#release(call)
    this.#send(call, reply)
    for (const repeat of repeats) {
      // A repetition of the same attempt waits for the same answer.
      if (isSameAttempt(repeat.asked, call.asked)) call.deliversFor(repeat)
      else this.#send(repeat, reply)
    }
    // The next request is executed after this one was answered.
    this.#over(call)
  }

  #keep(call: IncomingCall, key: string | null, reply: Reply): readonly IncomingCall[] {
    if (key === null || this.#cache === null) return []
    this.#store?.finish(call, reply)
    return this.#cache.finish(key, reply, bytesOfReply(reply))
  }

  #repeat(call: IncomingCall, kept: Kept): void {
    this.#send(call, kept === STREAMED ? BUSY : kept)
  }

  /**
   * Sends an answer, and acknowledges its request when the answer was handed over. (Q5, a request
   * is acknowledged after its response)
   */
  #send(call: IncomingCall, reply: Reply): void {
    call.stage = 'answered'
    const { asked } = call
    const remainingMs = call.expiresAt - this.core.clock.now()
    if (remainingMs <= 0) return this.#expired(call)
    this.#count(reply.status)
    if (!hasReplyTopic(asked) || this.hasEnded) return call.delivered()
    const { responseQos } = this.plan
    this.posted(1)
    this.core.post(writeReply(asked, reply, responseQos, remainingMs), call)
    if (responseQos === 0) call.delivered()
  }

  #count(status: number): void {
    if (status < 400) this.stats.answered++
    else this.stats.failed++
  }

  // --------------------------------------------------------------------------------------- the end

  #over(call: IncomingCall): void {
    call.stage = 'answered'
    this.#deadlines.remove(call)
    this.#sink.over(call)
    this.#calls.delete(call)
    this.#reportIdle()
  }

  /** An answer was posted (1), or its outcome is known (-1). */
  posted(by: 1 | -1): void {
    this.#posted += by
    this.#reportIdle()
  }

  get #isIdle(): boolean {
    return this.#calls.size === 0 && this.#beginning === 0 && this.#posted === 0
  }

  #reportIdle(): void {
    if (this.#idle.length === 0 || !this.#isIdle) return
    for (const resolve of this.#idle) resolve()
    this.#idle = []
  }

  /**
   * Gives requests up that were not executed: the server may send them to somebody else.
   *
   * @returns their messages and those of their repetitions.
   */
  giveUp(calls: Iterable<IncomingCall>): readonly Message[] {
    const messages: Message[] = []
    for (const call of calls) {
      const repeats = this.#release(call)
      for (const repeat of repeats) repeat.stage = 'answered'
      for (const { message } of [call, ...repeats]) messages.push(message)
      this.#store?.release(call)
      this.#over(call)
    }
    return messages
  }

  abortAll(reason: unknown): void {
    this.#aborted = { reason }
    for (const call of this.#calls.values()) call.abort(reason)
  }

  /** Resolves when all requests are answered, and the outcomes of the answers are known. */
  whenIdle(): Promise<void> {
    if (this.#isIdle) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }
}
