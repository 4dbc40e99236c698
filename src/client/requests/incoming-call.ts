/**
 * What is a handler given, and until when may it answer?
 */
import type { IncomingPublish, UserProperties } from '../../index.ts'
import type { Published } from '../client-types.ts'
import type { OutcomeListener } from '../core.ts'
import type { AnswerOptions, DeclaredFailure, IncomingRequest } from '../respond-types.ts'
import type { Listed } from '../roster.ts'
import type { Message } from '../subscription-types.ts'
import type { TopicParams } from '../topic-types.ts'
import { type Asked, keyOfAttempt } from './asked.ts'
import type { Timed } from './deadlines.ts'

/** What a request uses of the desk that answers it. */
export interface CallHost {
  /** Whether the client has ended: nothing is acknowledged any more. */
  readonly hasEnded: boolean
  respond(call: IncomingCall, given: unknown, options?: AnswerOptions): Promise<void>
  fail(call: IncomingCall, declared: DeclaredFailure): Promise<void>
  /** Its time is over. */
  overdue(call: IncomingCall, now: number): void
  /** An answer was posted (1), or its outcome is known (-1). */
  posted(by: 1 | -1): void
}

export class IncomingCall
  implements IncomingRequest<TopicParams, unknown>, OutcomeListener, Timed, Listed
{
  readonly message: Message
  readonly asked: Asked
  readonly value: unknown
  /** When nobody waits for the answer any more. */
  readonly expiresAt: number
  /** When it is too late for this responder. */
  dueAt: number
  heapIndex = -1
  place = -1
  stage: 'waiting' | 'running' | 'answered' = 'waiting'
  /** Whether it counts as one of those that run. */
  hasSlot = false
  readonly #desk: CallHost
  #controller: AbortController | null = null
  #aborted: { readonly reason: unknown } | null = null
  #delivered: (() => void)[] | null = null
  /** Repetitions of the same attempt, for which its answer is the answer too. */
  #repeats: IncomingCall[] | null = null
  #isDelivered = false

  constructor(
    desk: CallHost,
    message: Message,
    asked: Asked,
    value: unknown,
    expiresAt: number,
    deadline: number,
  ) {
    this.#desk = desk
    this.message = message
    this.asked = asked
    this.value = value
    this.expiresAt = expiresAt
    this.dueAt = deadline
  }

  get topic(): string {
    return this.message.topic
  }

  get params(): TopicParams {
    return this.message.params
  }

  get payload(): Uint8Array {
    return this.asked.payload
  }

  get properties(): IncomingPublish['properties'] {
    return this.message.properties
  }

  get userProperties(): UserProperties {
    return this.asked.userProperties
  }

  get key(): string {
    return this.asked.key ?? keyOfAttempt(this.asked) ?? ''
  }

  get attempt(): number {
    return this.asked.attempt
  }

  get deadline(): number {
    return this.dueAt
  }

  /** Most handlers do not look at the signal, so that it is made when it is asked for. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.#aborted !== null) this.#controller.abort(this.#aborted.reason)
    }
    return this.#controller.signal
  }

  get isAborted(): boolean {
    return this.#aborted !== null
  }

  abort(reason: unknown): void {
    if (this.#aborted !== null) return
    this.#aborted = { reason }
    this.#controller?.abort(reason)
  }

  respond(payload?: unknown, options?: AnswerOptions): Promise<void> {
    return this.#desk.respond(this, payload, options)
  }

  fail(code: string, message?: string, data?: unknown): Promise<void> {
    return this.#desk.fail(this, { code, message, data })
  }

  due(now: number): void {
    this.#desk.overdue(this, now)
  }

  // ------------------------------------------------------------------------ the way of its answer

  /** Resolves when its answer was handed over, or given up. */
  whenDelivered(): Promise<void> {
    if (this.#isDelivered) return Promise.resolve()
    return new Promise((resolve) => {
      this.#delivered ??= []
      this.#delivered.push(resolve)
    })
  }

  /** A repetition of the same attempt is handled when this one is. */
  deliversFor(repeat: IncomingCall): void {
    repeat.stage = 'answered'
    if (this.#isDelivered) return repeat.delivered()
    this.#repeats ??= []
    this.#repeats.push(repeat)
  }

  /**
   * Its answer was handed over, or there is none: it is handled. (Q5, a request is acknowledged
   * after its response)
   */
  delivered(): void {
    if (this.#isDelivered) return
    this.#isDelivered = true
    this.message.ack()
    for (const resolve of this.#delivered ?? []) resolve()
    this.#delivered = null
    for (const repeat of this.#repeats ?? []) repeat.delivered()
    this.#repeats = null
  }

  published(_published: Published): void {
    this.delivered()
    this.#desk.posted(-1)
  }

  /** The answer did not arrive; but the request was executed, so that it is not asked for again. */
  failed(_error: unknown): void {
    if (!this.#desk.hasEnded) this.delivered()
    this.#desk.posted(-1)
  }
}
