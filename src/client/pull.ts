/**
 * Who waits for a message of a subscription, and how does the wait end? With the message, a signal,
 * a time-out, or the end of the subscription.
 */
import type { Platform } from '../index.ts'
import type { DeliveredMessage } from './message.ts'
import { CallLimits } from './publish-call.ts'
import type { Message, NextOptions } from './subscription-types.ts'
import type { TopicParams } from './topic-types.ts'

export type MessageResult = IteratorResult<Message<TopicParams, unknown>, undefined>

export const NO_MORE: MessageResult = { done: true, value: undefined }

/** Is called once for each time that it waits. None of its methods runs code of the user. */
export interface Taker {
  take(message: DeliveredMessage): void
  fail(reason: unknown): void
  /** The subscription has ended. */
  finish(): void
}

/** Is given what is there at once, so that the promise of a `next()` needs nothing else. */
class Immediate implements Taker {
  #result: Promise<MessageResult> | null = null

  take(message: DeliveredMessage): void {
    this.#result = Promise.resolve({ done: false, value: message })
  }

  fail(reason: unknown): void {
    this.#result = Promise.reject(reason)
  }

  finish(): void {
    this.#result = Promise.resolve(NO_MORE)
  }

  /** @returns what it was given. */
  taken(): Promise<MessageResult> {
    const result = this.#result!
    this.#result = null
    return result
  }
}

/** No code of the user runs between what it is given and `taken()`. */
export const IMMEDIATE = new Immediate()

/** The promise of one `next()`. */
export class Pull implements Taker {
  readonly #resolve: (result: MessageResult) => void
  readonly #reject: (reason: unknown) => void
  #limits: CallLimits | null = null

  constructor(resolve: (result: MessageResult) => void, reject: (reason: unknown) => void) {
    this.#resolve = resolve
    this.#reject = reject
  }

  /** Sets limits to the wait. @param over is called when one of them ends it. */
  limit(clock: Platform, { signal, timeout }: NextOptions, over: () => void): void {
    if (signal === undefined && timeout === undefined) return
    this.#limits = new CallLimits(clock, 'next', signal, timeout)
    this.#limits.begin((reason) => {
      over()
      this.fail(reason)
    })
  }

  take(message: DeliveredMessage): void {
    this.#limits?.end()
    this.#resolve({ done: false, value: message })
  }

  fail(reason: unknown): void {
    this.#limits?.end()
    this.#reject(reason)
  }

  finish(): void {
    this.#limits?.end()
    this.#resolve(NO_MORE)
  }
}

/**
 * Those who wait, in order. Nearly always it is one, for which no array is made. It is the base of
 * a subscription, and not a part of it, because one object is read faster than two.
 */
export class TakerLine {
  #first: Taker | null = null
  #rest: Taker[] | null = null

  protected get firstTaker(): Taker | null {
    return this.#first
  }

  protected addTaker(taker: Taker): void {
    if (this.#first === null) this.#first = taker
    else if (this.#rest === null) this.#rest = [taker]
    else this.#rest.push(taker)
  }

  protected shiftTaker(): Taker | null {
    const first = this.#first
    this.#first = this.#rest?.shift() ?? null
    return first
  }

  /** @returns whether it was there. */
  protected removeTaker(taker: Taker): boolean {
    if (this.#first === taker) return this.shiftTaker() !== null
    const at = this.#rest?.indexOf(taker) ?? -1
    if (at >= 0) this.#rest!.splice(at, 1)
    return at >= 0
  }
}
