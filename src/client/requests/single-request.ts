/**
 * What becomes of one request until it is settled? There are ten thousands of these, so that each
 * has few fields and no closures of its own.
 */
import { MqttError } from '../../index.ts'
import type { Published } from '../client-types.ts'
import type { Response } from '../request-types.ts'
import type { GivenAnswer } from './answers.ts'
import { hexOfLatin1 } from './correlation.ts'
import { noResponders, tooLate } from './request-errors.ts'
import type { Ask, AskedPayload } from './request-plan.ts'
import { invalidResponse, responseOf } from './response.ts'
import type { AnswerWaiter, RequestHost } from './waiter.ts'

/** Settles the promise of a request: with a response, or with a promise that is rejected. */
export type SettleRequest = (response: Response<never> | Promise<never>) => void

export class SingleRequest implements AnswerWaiter {
  readonly desk: RequestHost
  readonly ask: Ask
  readonly payload: AskedPayload
  correlation = ''
  order = 0
  key: string
  attempt = 0
  losses = 0
  acknowledged = false
  controller: AbortController | null = null
  dueAt: number
  heapIndex = -1
  #settled = false
  readonly #resolve: SettleRequest

  constructor(desk: RequestHost, ask: Ask, payload: AskedPayload, resolve: SettleRequest) {
    this.desk = desk
    this.ask = ask
    this.payload = payload
    this.key = ask.key ?? ''
    this.dueAt = desk.core.clock.now() + ask.timeout
    this.#resolve = resolve
  }

  get isSettled(): boolean {
    return this.#settled
  }

  get isSingle(): boolean {
    return true
  }

  get expiresAt(): number {
    return this.dueAt
  }

  get startedAt(): number {
    return this.dueAt - this.ask.timeout
  }

  get operation(): string {
    return this.key === '' ? hexOfLatin1(this.correlation) : this.key
  }

  begin(): void {
    this.desk.wants(1)
    if (!this.desk.opened(this)) return
    this.desk.deadlines.add(this)
    this.desk.send(this)
  }

  published({ noMatchingSubscribers }: Published): void {
    this.acknowledged = true
    if (noMatchingSubscribers && this.ask.rare?.responses === undefined) {
      this.desk.counts.noResponders++
      this.reject(noResponders(this.ask.topic))
    }
  }

  failed(error: unknown): void {
    if (this.#settled) return
    // What was lost with the connection may have arrived: it is for the deadline to decide.
    if (!isLost(error)) return this.reject(error)
    this.acknowledged = true
    if (this.desk.core.connected) this.reconnected()
  }

  answered(answer: GivenAnswer): void {
    this.desk.counts.answered++
    const { ask } = this
    if (answer.seq >= 0 && !(answer.seq === 0 && answer.last)) {
      this.desk.credit(answer.control, this.correlation, 0)
      this.reject(invalidResponse(ask.topic, 'it is a stream; read it with requestMany()'))
      return
    }
    let response: Response<never>
    try {
      response = responseOf(ask.reading, ask.topic, answer)
    } catch (error) {
      this.reject(error)
      return
    }
    this.resolve(response)
  }

  due(_now: number): void {
    this.expire()
  }

  protected expire(): void {
    this.desk.counts.timedOut++
    this.reject(tooLate(this.ask.topic, this.ask.timeout, this.isLinkLost))
  }

  get isLinkLost(): boolean {
    return this.attempt > 0 && this.desk.losses > this.losses
  }

  reconnected(): void {
    if (this.ask.rare?.retry !== 'lost' || !this.acknowledged || !this.isLinkLost) return
    // The name of the operation stays that of the first attempt.
    this.key = this.operation
    this.desk.counts.retried++
    this.desk.send(this)
  }

  handleEvent(): void {
    this.reject(this.ask.signal?.reason)
  }

  resolve(response: Response<never>): void {
    if (!this.#end(null)) return
    this.#resolve(response)
  }

  reject(error: unknown): void {
    if (!this.#end(countedCodeOf(error))) return
    this.controller?.abort(error)
    // To keep the function that rejects would cost 64 bytes for each open request.
    this.#resolve(Promise.reject(error))
  }

  #end(code: string | null): boolean {
    if (this.#settled) return false
    this.#settled = true
    this.desk.closed(this)
    this.desk.wants(-1)
    this.desk.report(this, code, this.via)
    this.ended()
    return true
  }

  protected get via(): 'mqtt' | 'fallback' {
    return 'mqtt'
  }

  /** It was settled. */
  protected ended(): void {}
}

/** @returns the code by which a rejection is counted. */
export function countedCodeOf(error: unknown): string {
  return error instanceof MqttError ? error.code : 'CANCELLED'
}

const LOST = new Set(['CONNECTION_LOST', 'SESSION_LOST'])

function isLost(error: unknown): boolean {
  return error instanceof MqttError && LOST.has(error.code)
}
