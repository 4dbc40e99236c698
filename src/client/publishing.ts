/**
 * Which publishes are open, and what settles each of them? (M2, every promise of the client
 * settles; M3, the order of the calls is kept)
 */
import {
  ConnectionError,
  type Control,
  type Outcome,
  type Platform,
  type PublishRequest,
  type Request,
  type Requests,
  UsageError,
} from '../index.ts'
import { endedUnder } from './client-errors.ts'
import type { ClientPlan } from './client-options.ts'
import type { Published } from './client-types.ts'
import type { OutcomeListener } from './core.ts'
import { countedBytes, type Making, RequestLine } from './line.ts'
import { CallLimits, PublishCall, saysUnmatched } from './publish-call.ts'
import { Roster } from './roster.ts'
import type { NextOptions } from './subscription-types.ts'

/** Each request holds what is told its outcome: it is an object that the client has made. */
const CALL = Symbol('call')

type Settled = (outcome: Outcome) => void

interface Called {
  [CALL]?: PublishCall | Settled
}

/** Is told how many more, or fewer, promises wait. */
interface PublishingHost {
  pulls(by: number): void
}

export class Publishing {
  readonly #plan: ClientPlan
  readonly #clock: Platform
  readonly #host: PublishingHost
  readonly #line: RequestLine
  readonly #calls = new Roster<PublishCall>()
  /** Publishes that have a key: the session may settle an earlier request in their place. */
  #keyed: Map<string | number, PublishCall[]> | null = null
  /** Requests that the user's `onConnected` has returned. */
  readonly #usersBirths = new WeakSet<object>()
  #open = 0
  #settled = 0
  #whenSettled: (() => void)[] = []

  constructor(plan: ClientPlan, clock: Platform, host: PublishingHost) {
    this.#plan = plan
    this.#clock = clock
    this.#host = host
    this.#line = new RequestLine(plan.maxQueued, plan.maxQueuedBytes, this)
  }

  /** The request stream of the loop. */
  get requests(): Requests {
    return this.#line
  }

  /** How many publishes are not settled. */
  get open(): number {
    return this.#open
  }

  /** How many requests have an outcome. */
  get settled(): number {
    return this.#settled
  }

  get state() {
    const { bytes, waiting } = this.#line
    return Object.freeze({ open: this.#open, bytes, waiting })
  }

  /** There was a first connection, so that SUBSCRIBEs may leave. */
  connected(): void {
    this.#line.connected()
  }

  send(request: PublishRequest, { signal, timeout }: NextOptions): Promise<Published> {
    const bytes = countedBytes(request)
    if (this.#plan.whenFull === 'reject' && !this.#line.hasRoom(bytes)) {
      return Promise.reject(queueFull(this.#open))
    }
    const ms = timeout ?? this.#plan.publishTimeout
    return new Promise((resolve, reject) => {
      const isLimited = signal !== undefined || ms !== undefined
      const limits = isLimited ? new CallLimits(this.#clock, 'publish', signal, ms) : null
      const sent = limits === null ? request : { ...request, signal: limits.signal }
      const call = new PublishCall(sent, bytes, { published: resolve, failed: reject }, this)
      this.#begin(call)
      if (sent.key !== undefined) this.#remember(sent.key, call)
      if (limits !== null) call.limit(limits)
      if (!call.isSettled) this.#line.add(call)
    })
  }

  /** As `send`, with a listener in place of a promise. */
  post(request: PublishRequest, listener: OutcomeListener): void {
    const call = new PublishCall(request, countedBytes(request), listener, this)
    this.#begin(call)
    this.#line.add(call)
  }

  /**
   * Notes a request that `onConnected` is about to return, so that the listener is given its
   * outcome. It does not wait in the line.
   */
  birth(request: PublishRequest, listener: OutcomeListener): void {
    this.#begin(new PublishCall(request, 0, listener, this))
  }

  /** Whose births are these? Those without a listener are the user's. */
  sends(births: readonly Request[]): void {
    for (const request of births) {
      if ((request as Called)[CALL] === undefined) this.#usersBirths.add(request)
    }
  }

  /**
   * Takes the outcomes of births; those of the line were taken already. A failure of the user's own
   * ends the loop, as it does without a client, since nobody else is given it.
   */
  birthSettled(request: Request | Control, outcome: Outcome): void {
    const call = (request as Called)[CALL]
    if (call instanceof PublishCall && !call.left) return this.#settleCall(call, outcome)
    if (outcome.ok || !this.#usersBirths.delete(request)) return
    if (!isExpected(request, outcome.error)) throw outcome.error
  }

  #begin(call: PublishCall): void {
    ;(call.request as Called)[CALL] = call
    this.#calls.add(call)
    this.#open++
    this.#host.pulls(1)
  }

  #remember(key: string | number, call: PublishCall): void {
    this.#keyed ??= new Map()
    const calls = this.#keyed.get(key)
    if (calls === undefined) this.#keyed.set(key, [call])
    else calls.push(call)
  }

  /** A publish is settled. */
  done(call: PublishCall): void {
    if (!call.left) this.#forget(call)
    this.#open--
    this.#host.pulls(-1)
    if (this.#open === 0) for (const resolve of this.#whenSettled.splice(0)) resolve()
  }

  /** A publish that has not left has no outcome either. */
  #forget(call: PublishCall): void {
    const { request, isQueued } = call
    this.#calls.delete(call)
    if (isQueued) this.#line.abandoned(call)
    if (request.key === undefined || this.#keyed === null) return
    const others = this.#keyed.get(request.key)?.filter((other) => other !== call) ?? []
    if (others.length > 0) this.#keyed.set(request.key, others)
    else this.#keyed.delete(request.key)
  }

  /** Resolves when all publishes are settled. */
  allSettled(): Promise<void> {
    if (this.#open === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenSettled.push(resolve))
  }

  /** Puts a SUBSCRIBE or UNSUBSCRIBE into the line, behind what was called before. */
  request(make: Making, settled: Settled): void {
    this.#line.add(() => {
      const request = make()
      if (request !== null) (request as Called)[CALL] = settled
      return request
    })
  }

  /** Takes the outcome of a request that has left. */
  outcome(request: Request, outcome: Outcome): void {
    this.#settled++
    const call = (request as Called)[CALL]
    if (typeof call === 'function') return call(outcome)
    if (call !== undefined) this.#settleCall(call, outcome)
    const { key } = request as PublishRequest
    if (key === undefined || this.#keyed === null) return
    const calls = this.#keyed.get(key) ?? []
    this.#keyed.delete(key)
    for (const other of calls) this.#settleCall(other, outcome)
  }

  #settleCall(call: PublishCall, outcome: Outcome): void {
    if (!this.#calls.delete(call)) return
    if (call.left) this.#line.left(call.bytes)
    const { packet } = outcome
    // That nobody has subscribed is no failure, also where the server calls it a refusal.
    const unmatched = !outcome.ok && packet !== undefined && saysUnmatched(outcome.error)
    call.settle(unmatched ? { ok: true, packet } : outcome)
  }

  /**
   * The client has ended: rejects what is open.
   * @param held has the requests that the session still has.
   */
  end(held: () => readonly Request[], error: unknown): void {
    this.#line.clear()
    if (this.#calls.size === 0) return
    const kept = new Set(held())
    for (const call of this.#calls.clear()) {
      call.fail(endedUnder('publish', kept.has(call.request), error))
    }
  }
}

/** Whether a failure of a request needs no report: it was cancelled, or sent at most once. */
function isExpected(request: Request | Control, error: unknown): boolean {
  if (request.cmd !== 'publish') return error instanceof ConnectionError
  const { qos = 0, signal } = request
  return signal?.aborted === true || (qos === 0 && error instanceof ConnectionError)
}

function queueFull(open: number): UsageError {
  const what = `publish: ${open} publishes have no outcome`
  const message = `${what}, as many as maxQueued or maxQueuedBytes allow; await some of them`
  return Object.assign(new UsageError(message, { code: 'QUEUE_FULL' }), { retryable: true })
}
