/**
 * Which publishes are open, and what settles each of them? (M2, every promise of the client
 * settles; M3, the order of the calls is kept)
 */
import {
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

/** Each publish holds its call: it is an object that the client has made. */
const CALL = Symbol('call')

interface CalledRequest extends PublishRequest {
  [CALL]?: PublishCall
}

export class Publishing {
  readonly #plan: ClientPlan
  readonly #clock: Platform
  readonly #demands: (by: number) => void
  readonly #line: RequestLine
  readonly #calls = new Roster<PublishCall>()
  /** Publishes that have a key: the session may settle an earlier request in their place. */
  readonly #keyed = new Map<string | number, PublishCall[]>()
  /** What is given the outcomes of SUBSCRIBEs and UNSUBSCRIBEs. */
  readonly #others = new Map<Request, (outcome: Outcome) => void>()
  #open = 0
  #settled = 0
  #whenSettled: (() => void)[] = []

  /** @param demands is told how many more, or fewer, promises wait. */
  constructor(plan: ClientPlan, clock: Platform, demands: (by: number) => void) {
    this.#plan = plan
    this.#clock = clock
    this.#demands = demands
    this.#line = new RequestLine(plan.maxQueued, plan.maxQueuedBytes, (request, outcome) =>
      this.#settle(request, outcome),
    )
  }

  /** The request stream of the loop. */
  get requests(): Requests {
    return this.#line.requests
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
      const call = new PublishCall(sent, bytes, resolve, reject, this.#callDone)
      this.#begin(call)
      if (sent.key !== undefined) this.#remember(sent.key, call)
      if (limits !== null) call.limit(limits)
      if (!call.isSettled) this.#line.add(call)
    })
  }

  /** As `send`, with a listener in place of a promise. */
  post(request: PublishRequest, listener: OutcomeListener): void {
    const call = new PublishCall(
      request,
      countedBytes(request),
      (published) => listener.published(published),
      (reason) => listener.failed(reason),
      this.#callDone,
    )
    this.#begin(call)
    this.#line.add(call)
  }

  #begin(call: PublishCall): void {
    const request: CalledRequest = call.request
    request[CALL] = call
    this.#calls.add(call)
    this.#open++
    this.#demands(1)
  }

  #remember(key: string | number, call: PublishCall): void {
    const calls = this.#keyed.get(key)
    if (calls === undefined) this.#keyed.set(key, [call])
    else calls.push(call)
  }

  readonly #callDone = (call: PublishCall) => {
    if (!call.left) this.#forget(call)
    this.#open--
    this.#demands(-1)
    if (this.#open === 0) for (const resolve of this.#whenSettled.splice(0)) resolve()
  }

  /** A publish that has not left has no outcome either. */
  #forget(call: PublishCall): void {
    const { request, isQueued } = call
    this.#calls.delete(call)
    if (isQueued) this.#line.abandoned(call)
    if (request.key === undefined) return
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
  request(make: Making, settled: (outcome: Outcome) => void): void {
    this.#line.add(() => {
      const request = make()
      if (request !== null) this.#others.set(request, settled)
      return request
    })
  }

  /** Takes the outcome of a request that has left. */
  #settle(request: Request, outcome: Outcome): void {
    this.#settled++
    if (request.cmd !== 'publish') {
      const settled = this.#others.get(request)
      this.#others.delete(request)
      return settled?.(outcome)
    }
    const call = (request as CalledRequest)[CALL]
    if (call !== undefined) this.#settleCall(call, outcome)
    const { key } = request
    if (key === undefined) return
    const calls = this.#keyed.get(key) ?? []
    this.#keyed.delete(key)
    for (const other of calls) this.#settleCall(other, outcome)
  }

  #settleCall(call: PublishCall, outcome: Outcome): void {
    if (!this.#calls.delete(call)) return
    if (call.left) this.#line.settled(call.bytes)
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

function queueFull(open: number): UsageError {
  const what = `publish: ${open} publishes have no outcome`
  const message = `${what}, as many as maxQueued or maxQueuedBytes allow; await some of them`
  return Object.assign(new UsageError(message, { code: 'QUEUE_FULL' }), { retryable: true })
}
