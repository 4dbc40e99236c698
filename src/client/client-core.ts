/**
 * How do the promises of a client drive its loop? The parts meet here: the demand decides when the
 * loop is asked for a packet, the line in which order requests leave, reception whose a message is.
 */
import {
  BugError,
  type ConnackPacket,
  Connected,
  type Eventloop,
  type Incoming,
  type IncomingPublish,
  type Outcome,
  type Platform,
  type PublishRequest,
  type QoS,
  type Request,
  type Limits as ServerLimits,
  UsageError,
  type WarningCode,
} from '../index.ts'
import { calledAfterEnd, endedUnder } from './client-errors.ts'
import { blueprintOf, type ClientPlan } from './client-options.ts'
import type { ClientTarget, NextOptions, Published, Synced } from './client-types.ts'
import type { Listener, OutcomeListener } from './core.ts'
import { asks, type Demand, type DemandEvent, demandAfter, isWanted, NO_DEMAND } from './demand.ts'
import { sync } from './fence.ts'
import { bytesOf, type Deferred, Line } from './line.ts'
import type { ReceivedMessage } from './message.ts'
import { Overlaps } from './overlaps.ts'
import { SharedProbe } from './probes.ts'
import { Limits, PublishCall, saysUnmatched } from './publish-call.ts'
import { Pull } from './pull.ts'
import type { Receipt } from './receipts.ts'
import { Reception, type ReceptionHost } from './reception.ts'
import type { ClientSubscription, Host } from './subscription.ts'
import { Watch } from './watch.ts'

type Step = IteratorResult<Incoming, undefined>

/** What is settled once: a request that is no publish, by its outcome. */
type Settled = (outcome: Outcome) => void

export class ClientCore implements Host, ReceptionHost {
  readonly plan: ClientPlan
  readonly clock: Platform
  readonly loop: Eventloop
  readonly reception: Reception
  readonly target: ClientTarget
  readonly line: Line
  readonly watch: Watch
  readonly overlapping: Overlaps
  readonly shared: SharedProbe
  /** Whether nothing more is taken. */
  closing = false
  /** The number of good connections so far. */
  epoch = 0
  #demand: Demand = NO_DEMAND
  #begun = false
  readonly #calls = new Map<Request, PublishCall>()
  /** Publishes that have a key, because the session may settle an earlier request in their place. */
  readonly #keyed = new Map<string | number, PublishCall[]>()
  readonly #requests = new Map<Request, Settled>()
  readonly #onConnected = new Set<(resumed: boolean) => void>()
  readonly #onEnd = new Set<(error: unknown) => void>()
  #ended: { readonly error: unknown } | null = null
  #terms = { isMqtt5: true, hasIdentifiers: true }
  #responseTopic: string | null = null
  #settled = 0
  #scratches = 0
  #open = 0
  #allSettled: (() => void)[] = []
  readonly #closers = new Set<() => Promise<unknown>>()
  /** Called when a subscription was left. */
  afterLeaving: () => void = () => {}
  readonly #answered = (step: Step) => this.#take(step)
  readonly #failed = (error: unknown) => this.#finish(error)

  constructor(target: ClientTarget) {
    const { plan, platform, loop } = blueprintOf(target)
    this.plan = plan
    this.target = target
    this.clock = platform
    this.line = new Line(plan.maxQueued, plan.maxQueuedBytes, (request, outcome) =>
      this.#settle(request, outcome),
    )
    this.loop = loop(this.line.requests, (connack) => this.#connected(connack))
    const first = plan.keeps ? Math.floor(this.clock.random() * IDENTIFIER_SPACE) : 0
    this.reception = new Reception(this, plan.keeps, first)
    this.watch = new Watch(this)
    this.overlapping = new Overlaps(this)
    this.shared = new SharedProbe(this)
    if (target instanceof Connected) this.#connected(target.connack)
  }

  // --------------------------------------------------------------------------------------- driving

  #change(event: DemandEvent): void {
    const wasWanted = isWanted(this.#demand)
    this.#demand = demandAfter(this.#demand, event)
    if (isWanted(this.#demand) !== wasWanted) {
      if (wasWanted) this.watch.stop()
      else this.watch.begin()
    }
    this.#read()
  }

  #read(): void {
    if (!asks(this.#demand, this.plan.unhandledMax)) return
    this.#begun = true
    this.#demand = demandAfter(this.#demand, { type: 'asked' })
    this.loop.next().then(this.#answered, this.#failed)
  }

  #take({ done, value }: Step): void {
    if (done) return this.#finish(null)
    this.#demand = demandAfter(this.#demand, { type: 'answered' })
    if (value.cmd === 'publish') this.reception.receive(value)
    else if (value.cmd === 'suback') {
      const { subscriptions } = value.request
      const filters = subscriptions.map(({ topic }) => topic)
      this.reception.renewed(filters, value.granted)
    }
    if (isWanted(this.#demand)) this.watch.begin()
    this.#read()
  }

  /** Whether anybody has ever awaited anything. */
  get hasBegun(): boolean {
    return this.#begun
  }

  get isWanted(): boolean {
    return isWanted(this.#demand)
  }

  demand(): () => void {
    return this.#demanding('calls')
  }

  #demanding(type: 'calls' | 'lasting'): () => void {
    let ends = () => this.#change({ type, by: -1 })
    this.#change({ type, by: 1 })
    return () => {
      ends()
      ends = () => {}
    }
  }

  pulls(by: number): void {
    this.#change({ type: 'calls', by })
  }

  full(by: number): void {
    this.#change({ type: 'full', by })
  }

  unhandled(by: number): void {
    if (by !== 0) this.#change({ type: 'unhandled', by })
  }

  now(): number {
    return this.clock.now()
  }

  warn(code: WarningCode, message: string): void {
    this.loop.warn({ code, message })
  }

  // ------------------------------------------------------------------------------------ connection

  #connected(connack: ConnackPacket): void {
    this.epoch++
    const { connection, clientId } = this.loop.state
    const available = connack.properties?.subscriptionIdentifiersAvailable !== false
    const isMqtt5 = connection.protocolVersion === 5
    this.#terms = { isMqtt5, hasIdentifiers: isMqtt5 && available }
    this.#responseTopic ??= this.#chooseResponseTopic(connack, clientId)
    const resumed = connack.sessionPresent
    if (this.epoch > 1) this.reception.connected(resumed)
    this.line.connected()
    for (const listener of [...this.#onConnected]) listener(resumed)
  }

  #chooseResponseTopic({ properties }: ConnackPacket, clientId: string): string {
    const { responseTopic } = this.plan
    if (responseTopic !== undefined) return responseTopic
    const random = Math.floor(this.clock.random() * 2 ** 32).toString(36)
    const given = properties?.responseInformation
    const id = encodeLevel(properties?.assignedClientIdentifier ?? clientId)
    return given === undefined ? `clients/${id}/r/${random}` : `${given}/${random}`
  }

  /** @returns a topic of its own, for one measurement. */
  scratchTopic(): string {
    this.#scratches++
    return `${this.responseTopic()}/s${this.#scratches}`
  }

  /** Calls `action` now if there was a connection, else after the first CONNACK. */
  whenConnected(action: () => void): void {
    if (this.epoch > 0) return action()
    const unlisten = this.onConnected(() => {
      unlisten()
      action()
    })
  }

  /** Resolves after `ms` ms, or when the client ends. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const over = () => {
        this.clock.clearTimer(timer)
        unlisten()
        resolve()
      }
      let unlisten = () => {}
      const timer = this.clock.setTimer(over, ms)
      unlisten = this.onEnd(over)
    })
  }

  responseTopic(): string {
    if (this.#responseTopic === null) throw new BugError('The response topic is not known yet')
    return this.#responseTopic
  }

  terms() {
    return this.#terms
  }

  byIdentifier(): boolean {
    const { dispatch } = this.plan
    if (dispatch !== 'auto') return dispatch === 'identifier'
    return this.#terms.hasIdentifiers && !this.overlapping.byFilter
  }

  onConnected(listener: (resumed: boolean) => void): () => void {
    this.#onConnected.add(listener)
    return () => this.#onConnected.delete(listener)
  }

  onEnd(listener: (error: unknown) => void): () => void {
    if (this.#ended === null) this.#onEnd.add(listener)
    else listener(this.#ended.error)
    return () => this.#onEnd.delete(listener)
  }

  /** @returns a promise that is settled by `begin`, by the end of the client, or by its limits. */
  #until<T>(
    what: string,
    { signal, timeout }: NextOptions,
    begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => void,
  ): Promise<T> {
    if (this.#ended !== null || this.closing) return Promise.reject(calledAfterEnd(what))
    const limits = new Limits(this.clock, what, signal, timeout)
    return new Promise<T>((resolve, reject) => {
      const endDemand = this.demand()
      let stop = () => {}
      const over = () => {
        stop()
        unlisten()
        limits.end()
        endDemand()
      }
      const fail = (error: unknown) => {
        over()
        reject(error)
      }
      const unlisten = this.onEnd((error) => fail(error ?? endedUnder(what, false, null)))
      stop = begin((value) => {
        over()
        resolve(value)
      }, fail)
      limits.begin(fail)
    })
  }

  /** Reads while a promise of the loop is not settled. */
  async whileDemanding<T>(ask: () => Promise<T>): Promise<T> {
    const endDemand = this.demand()
    try {
      return await ask()
    } finally {
      endDemand()
    }
  }

  ready(options: NextOptions): Promise<ServerLimits> {
    const limits = this.loop.state.connection.limits
    if (limits !== null && !this.closing) return Promise.resolve(limits)
    return this.#until('ready', options, (resolve) =>
      this.onConnected(() => resolve(this.loop.state.connection.limits!)),
    )
  }

  ping(): Promise<{ readonly roundTripMs: number }> {
    return this.#until('ping', {}, (resolve, reject) => {
      this.loop.ping().then(resolve, reject)
      return () => {}
    })
  }

  /** Keeps the client reading until the signal is aborted. */
  run(signal: AbortSignal | undefined): Promise<void> {
    if (this.#ended !== null || this.closing) return Promise.reject(calledAfterEnd('run'))
    if (signal?.aborted) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const endDemand = this.#demanding('lasting')
      const over = () => {
        endDemand()
        unlisten()
        signal?.removeEventListener('abort', aborted)
      }
      const aborted = () => {
        over()
        resolve()
      }
      signal?.addEventListener('abort', aborted)
      const unlisten = this.onEnd((error) => {
        over()
        if (error === null) resolve()
        else reject(error)
      })
    })
  }

  // -------------------------------------------------------------------------------------- requests

  send(request: PublishRequest, options: NextOptions = {}): Promise<Published> {
    if (this.#ended !== null || this.closing) return Promise.reject(calledAfterEnd('publish'))
    const { signal, timeout = this.plan.publishTimeout } = options
    const bytes = bytesOf(request)
    if (this.plan.whenFull === 'reject' && !this.line.hasRoom(bytes)) {
      return Promise.reject(queueFull(this.line.open))
    }
    return new Promise((resolve, reject) => {
      const isLimited = signal !== undefined || timeout !== undefined
      const limits = isLimited ? new Limits(this.clock, 'publish', signal, timeout) : null
      const sent = limits === null ? request : { ...request, signal: limits.signal }
      const call = new PublishCall(sent, bytes, resolve, reject, this.#callDone)
      this.#calls.set(sent, call)
      if (sent.key !== undefined) this.#remember(sent.key, call)
      this.#open++
      this.#change({ type: 'calls', by: 1 })
      if (limits !== null) call.limit(limits)
      if (!call.isSettled) this.line.add(call)
    })
  }

  /**
   * As `send`, without a promise, and while the client closes too. The listener is not called
   * before `post` returns.
   */
  post(request: PublishRequest, listener: OutcomeListener): void {
    if (this.#ended !== null) {
      const error = calledAfterEnd('publish')
      void Promise.resolve().then(() => listener.failed(error))
      return
    }
    const call = new PublishCall(
      request,
      bytesOf(request),
      (published) => listener.published(published),
      (reason) => listener.failed(reason),
      this.#callDone,
    )
    this.#calls.set(request, call)
    this.#open++
    this.#change({ type: 'calls', by: 1 })
    this.line.add(call)
  }

  #remember(key: string | number, call: PublishCall): void {
    const calls = this.#keyed.get(key)
    if (calls === undefined) this.#keyed.set(key, [call])
    else calls.push(call)
  }

  readonly #callDone = (call: PublishCall) => {
    if (!call.left) this.#calls.delete(call.request)
    this.#open--
    this.#change({ type: 'calls', by: -1 })
    if (this.#open === 0) for (const resolve of this.#allSettled.splice(0)) resolve()
  }

  /** How many publishes are not settled. */
  get openCalls(): number {
    return this.#open
  }

  /** Resolves when all publishes are settled. */
  settled(): Promise<void> {
    if (this.#open === 0) return Promise.resolve()
    return new Promise((resolve) => this.#allSettled.push(resolve))
  }

  /** Has `begin` called when the client closes; it resolves when its part is done. */
  onClose(begin: () => Promise<unknown>): () => void {
    this.#closers.add(begin)
    return () => this.#closers.delete(begin)
  }

  closers(): Promise<unknown>[] {
    return [...this.#closers].map((begin) => begin())
  }

  /** Another client belongs to a subscription of this one, and ends with it. */
  adopt(own: ClientCore, subscription: ClientSubscription): void {
    const ends = this.onClose(async () => {
      subscription.close()
      await own.end()
    })
    own.afterLeaving = () => {
      ends()
      void own.end()
    }
  }

  request(make: Deferred, settled: Settled): void {
    this.line.add(() => {
      const request = make()
      if (request !== null) this.#requests.set(request, settled)
      return request
    })
  }

  /** Takes the outcome of a request that has left. */
  #settle(request: Request, outcome: Outcome): void {
    this.#settled++
    const settled = this.#requests.get(request)
    if (settled !== undefined) {
      this.#requests.delete(request)
      return settled(outcome)
    }
    const call = this.#calls.get(request)
    const key = (request as PublishRequest).key
    if (call !== undefined) this.#settleCall(call, outcome)
    if (key === undefined) return
    const calls = this.#keyed.get(key) ?? []
    this.#keyed.delete(key)
    for (const other of calls) this.#settleCall(other, outcome)
  }

  #settleCall(call: PublishCall, outcome: Outcome): void {
    if (!this.#calls.delete(call.request)) return
    // A server may call it a refusal that nobody has subscribed. (Q3)
    if (!outcome.ok && saysUnmatched(outcome.error))
      call.settle({ ok: true, packet: outcome.packet! })
    else call.settle(outcome)
    if (call.left) this.line.settled(call.bytes)
  }

  overlaps(a: string, b: string): void {
    this.overlapping.found(a, b)
  }

  checkShared(): Promise<void> {
    return this.shared.check()
  }

  pull(resolve: Pull['resolve'], reject: Pull['reject'], options: NextOptions | undefined): Pull {
    return new Pull(this.clock, resolve, reject, options)
  }

  listen(filter: string, qos: QoS, handler: (packet: IncomingPublish) => void): Listener {
    let close = () => {}
    const granted = new Promise<void>((resolve, reject) => {
      close = this.reception.listen(filter, qos, handler, (outcome) => {
        if (outcome.ok) resolve()
        else reject(outcome.error)
      })
      this.onEnd((error) => reject(error ?? endedUnder('subscribe', false, null)))
    })
    granted.catch(() => {})
    return { granted, close }
  }

  // ------------------------------------------------------------------------ what subscriptions ask

  acknowledge(packet: IncomingPublish): void {
    this.loop.ack(packet)
  }

  unattended(by: number): void {
    this.reception.waitUnpulled += by
  }

  handled(receipt: Receipt): void {
    this.reception.handled(receipt)
  }

  left(subscription: ClientSubscription, unhandled: readonly ReceivedMessage[]): void {
    this.reception.left(subscription, unhandled)
    this.afterLeaving()
  }

  heldBackBy(subscription: ClientSubscription): number {
    return this.watch.heldBackBy(subscription)
  }

  sync(subscription: ClientSubscription): Promise<Synced> {
    return sync(this, subscription)
  }

  // --------------------------------------------------------------------------------------- the end

  /** How many requests have an outcome. */
  get settledCount(): number {
    return this.#settled
  }

  get hasEnded(): boolean {
    return this.#ended !== null
  }

  /** The loop has ended: everything that waits is settled. (M2) */
  #finish(error: unknown): void {
    if (this.#ended !== null) return
    this.#ended = { error }
    this.#demand = demandAfter(this.#demand, { type: 'over' })
    this.watch.stop()
    const rejection = error === null ? null : { reason: error }
    for (const subscription of [...this.reception.subscriptions]) subscription.end(rejection)
    this.line.clear()
    const held = new Set<Request>(this.#calls.size > 0 ? this.loop.session.held : [])
    for (const [request, call] of this.#calls) {
      call.fail(endedUnder('publish', held.has(request), error))
    }
    this.#calls.clear()
    for (const listener of [...this.#onEnd]) listener(error)
    this.#onEnd.clear()
  }

  /** Ends the loop and waits until nothing is left of it. */
  async end(): Promise<void> {
    try {
      await this.loop.return()
    } finally {
      this.#finish(null)
    }
  }
}

/** Where identifiers begin in a session that may hold messages of an earlier process. */
const IDENTIFIER_SPACE = 2 ** 27

function queueFull(open: number): UsageError {
  const message = `publish: ${open} publishes have no outcome (maxQueued, maxQueuedBytes); await them`
  const error = new UsageError(message, { code: 'QUEUE_FULL' })
  return Object.assign(error, { retryable: true })
}

/** @returns one level of a topic: what it may not have is percent-encoded. */
function encodeLevel(text: string): string {
  return text.replace(/[%/+#\u0000-\u001f\u007f]/g, (unit) => encodeURIComponent(unit))
}
