/**
 * How does a handler answer requests, a few at a time, until its responder is closed? (Q8, handlers
 * run in order and within bounds; Q11, the end of the client ends its requests)
 */

import type { Core, PushReceiver } from '../core.ts'
import type { Responder, ResponderStats, RespondOptions } from '../respond-types.ts'
import type { Message } from '../subscription-types.ts'
import { isThenable } from '../thenable.ts'
import type { Topic, TopicParams } from '../topic-types.ts'
import { withoutShare } from '../tracing.ts'
import { CallDesk, type CallSink } from './call-desk.ts'
import type { CallPlan, PoolPlan } from './call-plan.ts'
import { hexOfLatin1, latin1Of, randomCorrelation } from './correlation.ts'
import type { Deadlines } from './deadlines.ts'
import { HandlerLine } from './handler-line.ts'
import type { IncomingCall } from './incoming-call.ts'
import { failure, type Reply } from './reply.ts'
import { whyOf } from './request-errors.ts'
import { STATUS } from './statuses.ts'
import type { StreamControls } from './stream-controls.ts'

export type Handler = (request: IncomingCall) => unknown

/** The digits of the id by which both sides find a failure in their logs. */
const ID_DIGITS = 8

export class HandlerResponder implements Responder, CallSink {
  readonly #core: Core
  readonly #handler: Handler
  readonly #template: string
  readonly #onError: RespondOptions<never, never>['onError']
  readonly #desk: CallDesk
  readonly #line: HandlerLine<IncomingCall>
  readonly #receiver: PushReceiver
  readonly #forget: readonly (() => void)[]
  /** Places of handlers that are free and not given to another request yet. */
  #freed = 0
  #end: { readonly error: unknown } | null = null
  #closing: Promise<void> | null = null
  #ends: ((end: { readonly error: unknown }) => void)[] = []
  #done: Promise<void> | null = null

  constructor(
    core: Core,
    deadlines: Deadlines,
    controls: StreamControls,
    filter: string | Topic<TopicParams, never>,
    handler: Handler,
    plan: CallPlan,
    { concurrency, maxPending, onError }: PoolPlan,
  ) {
    this.#core = core
    this.#handler = handler
    this.#template = withoutShare(typeof filter === 'string' ? filter : filter.template)
    this.#onError = onError
    this.#desk = new CallDesk(core, deadlines, controls, plan, this)
    this.#line = new HandlerLine(concurrency, maxPending)
    this.#receiver = core.receive(
      filter,
      { qos: plan.qos, share: plan.share, retained: 'none' },
      (message) => this.#take(message),
      (error) => (core.closing ? this.#clientEnded(error) : this.#finish(error)),
    )
    this.#forget = [
      core.onClose(() => this.#clientCloses()),
      core.onEnd((error) => this.#clientEnded(error)),
    ]
  }

  get stats(): ResponderStats {
    const { running, waiting: pending } = this.#line
    return Object.freeze({ ...this.#desk.stats, running, pending })
  }

  get granted(): Promise<void> {
    const release = this.#core.demand()
    return this.#receiver.granted.finally(release)
  }

  get done(): Promise<void> {
    this.#done ??= this.#whenDone()
    return this.#done
  }

  #whenDone(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = ({ error }: { readonly error: unknown }) =>
        error === null ? resolve() : reject(error)
      if (this.#end !== null) return settle(this.#end)
      const release = this.#core.demand()
      this.#ends.push((end) => {
        release()
        settle(end)
      })
    })
  }

  #take(message: Message): void {
    if (this.#closing !== null) return
    void this.#desk.take(message)
  }

  // ---------------------------------------------------------------------------------- the handlers

  execute(call: IncomingCall): void {
    const verdict = this.#line.add(call)
    if (verdict === 'run') this.#run(call)
    else if (verdict === 'full') this.#desk.refuse(call)
  }

  over(call: IncomingCall): void {
    this.#line.drop(call)
    this.#free(call)
  }

  /**
   * Gives the place of a handler to the next request. Handlers that answer at once give theirs back
   * meanwhile: thousands in a row need no stack.
   */
  #free(call: IncomingCall): void {
    if (!call.hasSlot) return
    call.hasSlot = false
    this.#freed++
    if (this.#freed > 1) return
    for (; this.#freed > 0; this.#freed--) {
      const next = this.#line.end()
      if (next !== undefined) this.#run(next)
    }
  }

  #run(call: IncomingCall): void {
    call.hasSlot = true
    if (!this.#desk.begins(call)) return this.#free(call)
    let result: unknown
    try {
      const { trace } = this.#core.plan
      result = trace === undefined ? this.#handler(call) : this.#traced(trace, call)
    } catch (error) {
      return this.#threw(call, error)
    }
    if (!isThenable(result)) return this.#returned(call, result)
    result.then(
      (value) => this.#returned(call, value),
      (error: unknown) => this.#threw(call, error),
    )
  }

  #traced(trace: NonNullable<Core['plan']['trace']>, call: IncomingCall): Promise<unknown> {
    const { topic, userProperties, key } = call
    const operation = {
      kind: 'process',
      clientId: this.#core.clientId,
      topic,
      template: this.#template,
      userProperties,
      key,
      payloadBytes: call.payload.length,
    } as const
    return trace(operation, async () => this.#handler(call))
  }

  #returned(call: IncomingCall, value: unknown): void {
    if (call.stage === 'answered') return
    try {
      this.#desk.give(call, value)?.catch((error: unknown) => this.#threw(call, error))
    } catch (error) {
      this.#threw(call, error)
    }
  }

  #threw(call: IncomingCall, error: unknown): void {
    if (call.stage !== 'answered') this.#desk.answer(call, this.failed(error, call))
  }

  /** Of an error that nobody has foreseen only an id travels, because it may hold secrets. */
  failed(error: unknown, call: IncomingCall): Reply {
    const random = () => this.#core.clock.random()
    const id = hexOfLatin1(latin1Of(randomCorrelation(random))).slice(0, ID_DIGITS)
    try {
      const declared = this.#onError?.(error, call as never, id)
      if (typeof declared === 'object') {
        return this.#desk.failureOf({ status: STATUS.failed, ...declared })
      }
    } catch (thrown) {
      this.#warn(id, call, thrown)
      return failure(STATUS.failed, `failed (${id})`)
    }
    if (this.#onError === undefined) this.#warn(id, call, error)
    return failure(STATUS.failed, `failed (${id})`)
  }

  #warn(id: string, { topic }: IncomingCall, error: unknown): void {
    const what = `respond: the handler of ${topic} failed (${id}): ${whyOf(error)}`
    this.#core.warn('HANDLER_FAILED', what)
  }

  // -------------------------------------------------------------------------------------- the end

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#receiver.close(this.#desk.giveUp(this.#line.clear()))
    const release = this.#core.demand()
    await this.#desk.whenIdle()
    release()
    this.#finish(null)
  }

  /** The client closes: handlers are asked to hurry, and are waited for. */
  #clientCloses(): Promise<void> {
    this.#desk.abortAll(endReason())
    return this.close()
  }

  #clientEnded(error: unknown): void {
    this.#desk.hasEnded = true
    this.#desk.abortAll(endReason())
    this.#finish(error)
  }

  #finish(error: unknown): void {
    if (this.#end !== null) return
    this.#end = { error }
    this.#closing ??= Promise.resolve()
    const messages = this.#desk.giveUp(this.#line.clear())
    // Those of a responder that was refused are acknowledged by nobody else.
    if (!this.#desk.hasEnded) for (const message of messages) message.ack()
    // The client may have ended already, while this is made.
    for (const forget of this.#forget ?? []) forget()
    for (const end of this.#ends) end(this.#end)
    this.#ends = []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function endReason(): DOMException {
  return new DOMException('The client closes.', 'AbortError')
}
