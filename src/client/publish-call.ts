/**
 * What becomes of one `publish()`? It is settled once: by the outcome, a signal, a time-out, or the
 * end of the client. (M2, every promise of the client settles)
 */
import { type Outcome, type Platform, type PublishRequest, RefusedError } from '../index.ts'
import { timedOut } from './client-errors.ts'
import type { Published } from './client-types.ts'
import type { OutcomeListener } from './core.ts'
import type { Listed } from './roster.ts'

/** The reason code of a message that nobody has subscribed to. */
const UNMATCHED_CODE = 0x10

const ACCEPTED: Published = Object.freeze({ reasonCode: 0, noMatchingSubscribers: false })
const UNMATCHED: Published = Object.freeze({
  reasonCode: UNMATCHED_CODE,
  noMatchingSubscribers: true,
})

/** Is told when a call is settled, whatever the result. */
interface SettlementHost {
  done(call: PublishCall): void
}

export class PublishCall implements Listed {
  readonly request: PublishRequest
  readonly bytes: number
  /** Whether it waits for its turn to leave. */
  isQueued = false
  /** Whether it was handed to the loop. */
  left = false
  isSettled = false
  place = -1
  readonly #listener: OutcomeListener
  readonly #host: SettlementHost
  #limits: CallLimits | null = null

  constructor(
    request: PublishRequest,
    bytes: number,
    listener: OutcomeListener,
    host: SettlementHost,
  ) {
    this.request = request
    this.bytes = bytes
    this.#listener = listener
    this.#host = host
  }

  /** Gives it up when its signal is aborted, or after `timeout` ms. */
  limit(limits: CallLimits): void {
    this.#limits = limits
    limits.begin((reason) => this.fail(reason))
  }

  settle(outcome: Outcome): void {
    if (!outcome.ok) return this.fail(outcome.error)
    if (!this.#end()) return
    this.#listener.published(publishedOf(outcome))
  }

  fail(reason: unknown): void {
    if (this.#end()) this.#listener.failed(reason)
  }

  #end(): boolean {
    if (this.isSettled) return false
    this.isSettled = true
    this.#limits?.end()
    this.#host.done(this)
    return true
  }
}

function publishedOf({ packet }: Extract<Outcome, { ok: true }>): Published {
  if (packet === undefined || !('reasonCode' in packet)) return ACCEPTED
  const reasonCode = packet.reasonCode ?? 0
  if (reasonCode === 0) return ACCEPTED
  if (reasonCode === UNMATCHED_CODE) return UNMATCHED
  return { reasonCode, noMatchingSubscribers: false }
}

/** @returns whether an error says that nobody has subscribed, which some servers call a refusal. */
export function saysUnmatched(error: unknown): boolean {
  return error instanceof RefusedError && error.reasonCode === UNMATCHED_CODE
}

/** The signal and the time-out of a call, as one signal for the request. */
export class CallLimits {
  readonly #clock: Platform
  readonly #what: string
  readonly #given: AbortSignal | undefined
  readonly #timeout: number | undefined
  readonly #controller = new AbortController()
  #timer: unknown = null
  #listener: (() => void) | null = null

  constructor(
    clock: Platform,
    what: string,
    signal: AbortSignal | undefined,
    timeout: number | undefined,
  ) {
    this.#clock = clock
    this.#what = what
    this.#given = signal
    this.#timeout = timeout
  }

  /** For the request: once it is aborted the engine does not send it any more. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  begin(abort: (reason: unknown) => void): void {
    const give = (reason: unknown) => {
      this.#controller.abort(reason)
      abort(reason)
    }
    const signal = this.#given
    if (signal?.aborted) return give(signal.reason)
    if (signal !== undefined) {
      this.#listener = () => give(signal.reason)
      signal.addEventListener('abort', this.#listener)
    }
    const ms = this.#timeout
    if (ms === undefined) return
    this.#timer = this.#clock.setTimer(() => give(timedOut(this.#what, ms)), ms)
  }

  end(): void {
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer)
    if (this.#listener !== null) this.#given!.removeEventListener('abort', this.#listener)
    this.#timer = null
    this.#listener = null
  }
}
