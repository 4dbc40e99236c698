/**
 * How are requests pulled one by one, as messages of a subscription are?
 */

import type { Core } from '../core.ts'
import type { RequestSubscription, RequestsOptions } from '../respond-types.ts'
import type { NextOptions, Subscription } from '../subscription-types.ts'
import type { Topic, TopicParams } from '../topic-types.ts'
import { CallDesk, type CallSink } from './call-desk.ts'
import type { CallPlan } from './call-plan.ts'
import type { Deadlines } from './deadlines.ts'
import type { IncomingCall } from './incoming-call.ts'
import { failure, type Reply } from './reply.ts'
import { STATUS } from './statuses.ts'
import type { StreamControls } from './stream-controls.ts'

type PulledResult = IteratorResult<IncomingCall, undefined>

const NO_MORE_REQUESTS: PulledResult = { done: true, value: undefined }

export class PulledRequests implements RequestSubscription<TopicParams, unknown>, CallSink {
  readonly #subscription: Subscription
  readonly #desk: CallDesk
  readonly #forget: () => void
  /** The request that `take` has let through. */
  #taken: IncomingCall | null = null
  /** Pulls are answered in order, though one may take several messages. */
  #tail: Promise<unknown> = Promise.resolve()

  constructor(
    core: Core,
    deadlines: Deadlines,
    controls: StreamControls,
    filter: string | Topic<TopicParams, never>,
    plan: CallPlan,
    signal: RequestsOptions & { readonly signal?: AbortSignal | undefined },
  ) {
    this.#desk = new CallDesk(core, deadlines, controls, plan, this)
    const { qos, share } = plan
    this.#subscription = core.subscribe(filter, {
      qos,
      share,
      acks: 'manual',
      retained: 'none',
      signal: signal.signal,
    })
    this.#forget = core.onEnd(() => {
      this.#desk.hasEnded = true
      this.#desk.abortAll(new DOMException('The client closes.', 'AbortError'))
    })
  }

  get granted(): Subscription['granted'] {
    return this.#subscription.granted
  }

  get state(): Subscription['state'] {
    return this.#subscription.state
  }

  next(options?: NextOptions): Promise<PulledResult> {
    const result = this.#tail.then(() => this.#pull(options))
    this.#tail = result.catch(() => {})
    return result
  }

  async #pull(options: NextOptions | undefined): Promise<PulledResult> {
    for (;;) {
      const { done, value } = await this.#subscription.next(options)
      if (done) return NO_MORE_REQUESTS
      await this.#desk.take(value)
      const call = this.#taken
      this.#taken = null
      if (call !== null && this.#desk.begins(call)) return { done: false, value: call }
    }
  }

  execute(call: IncomingCall): void {
    this.#taken = call
  }

  over(): void {}

  failed(): Reply {
    return failure(STATUS.failed, 'failed')
  }

  async return(): Promise<PulledResult> {
    this.#forget()
    // What is not answered yet was given to the user, who may still answer.
    await this.#subscription.return()
    return NO_MORE_REQUESTS
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
