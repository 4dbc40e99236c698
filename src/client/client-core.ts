/**
 * How do the parts of a client work together? The demand decides when the loop is asked for a
 * packet (loop-reader.ts), publishing in which order requests leave, reception whose a message is.
 */
import {
  type ConnackPacket,
  Connected,
  type Eventloop,
  type Incoming,
  type IncomingPublish,
  type Limits,
  type Outcome,
  type Platform,
  type PublishRequest,
  type QoS,
  type WarningCode,
} from '../index.ts'
import { calledAfterEnd, endedUnder, subscribeRefused } from './client-errors.ts'
import { blueprintOf, type ClientPlan } from './client-options.ts'
import type { ClientTarget, Published } from './client-types.ts'
import type { Listener, OutcomeListener } from './core.ts'
import { sync } from './fence.ts'
import type { Making } from './line.ts'
import { ListenerList } from './listener-list.ts'
import { LoopReader, type LoopReaderListener } from './loop-reader.ts'
import type { DeliveredMessage } from './message.ts'
import { Overlaps } from './overlaps.ts'
import { OwnTopics } from './own-topics.ts'
import type { ProbeHost } from './probe-host.ts'
import { SharedProbe } from './probes.ts'
import { Publishing } from './publishing.ts'
import type { Receipt } from './receipts.ts'
import { Reception } from './reception.ts'
import type { ReceptionHost } from './reception-host.ts'
import type { ClientSubscription } from './subscription.ts'
import type { SubscriptionHost } from './subscription-host.ts'
import type { NextOptions, Synced } from './subscription-types.ts'
import { sleep, waitFor } from './waits.ts'
import { Watchman } from './watchman.ts'

/** Where identifiers begin in a session that may hold messages of an earlier process. */
const IDENTIFIER_SPACE = 2 ** 27

export class ClientCore
  implements ProbeHost, SubscriptionHost<ClientSubscription>, ReceptionHost, LoopReaderListener
{
  readonly plan: ClientPlan
  readonly clock: Platform
  readonly loop: Eventloop
  readonly target: ClientTarget
  readonly publishing: Publishing
  readonly reading: LoopReader
  readonly reception: Reception
  readonly #watchman: Watchman
  readonly #overlaps: Overlaps
  #shared: SharedProbe | null = null
  /** Whether nothing more is taken. */
  closing = false
  epoch = 0
  /** Called when a subscription was left. */
  afterLeaving: (() => void) | null = null
  readonly #onConnected = new ListenerList<[resumed: boolean]>()
  readonly #onWanted = new ListenerList<[]>()
  readonly #onEnd = new ListenerList<[error: unknown]>()
  readonly #onClose = new ListenerList<[closing: Promise<unknown>[]]>()
  #ended: { readonly error: unknown } | null = null
  #terms = { isMqtt5: true, hasIdentifiers: true }
  readonly #ownTopics: OwnTopics
  /** The CONNACK of a connection that was taken over, which may come once more. */
  #taken: ConnackPacket | null = null

  constructor(target: ClientTarget) {
    const { plan, platform, loop } = blueprintOf(target)
    this.plan = plan
    this.target = target
    this.clock = platform
    this.#ownTopics = new OwnTopics(plan.responseTopic)
    this.publishing = new Publishing(plan, platform, this)
    this.loop = loop(this.publishing.requests, this.publishing)
    this.reading = new LoopReader(this.loop, plan.unhandledMax, this)
    const first = plan.keeps ? Math.floor(platform.random() * IDENTIFIER_SPACE) : 0
    this.reception = new Reception(this, plan.keeps, first)
    this.#watchman = new Watchman(this)
    this.#overlaps = new Overlaps(this, this.reception)
    if (!(target instanceof Connected)) return
    this.#connected(target.connack)
    this.#taken = target.connack
  }

  // --------------------------------------------------------------------------------------- driving

  received(packet: Incoming): void {
    if (packet.cmd === 'publish') this.reception.receive(packet)
    else if (packet.cmd === 'connack') this.#connected(packet)
    else if (packet.cmd === 'suback') {
      const { granted, request } = packet
      for (const [i, { topic }] of request.subscriptions.entries()) {
        this.reception.renewed(topic, granted[i] ?? 0)
      }
    }
    if (this.reading.isWanted) this.#watchman.begin()
  }

  wanted(isWanted: boolean): void {
    if (isWanted) this.#watchman.begin()
    else this.#watchman.stop()
    this.#onWanted.tell()
  }

  get isWanted(): boolean {
    return this.reading.isWanted
  }

  onWanted(listener: () => void): () => void {
    return this.#onWanted.add(listener)
  }

  get hasBegun(): boolean {
    return this.reading.hasBegun
  }

  /** A responder was registered. */
  registered(): void {
    this.#watchman.registered()
  }

  demand(): () => void {
    return this.reading.demanding('calls')
  }

  demanding(type: 'calls' | 'lasting'): () => void {
    return this.reading.demanding(type)
  }

  readNow(reader: { readonly isServed: boolean }): void {
    if (!this.reception.isDistributing) this.reading.readNow(reader)
  }

  pulls(by: number): void {
    this.reading.change('calls', by)
  }

  full(by: number): void {
    this.reading.change('full', by)
  }

  unhandled(by: number): void {
    this.reading.unhandled(by)
  }

  now(): number {
    return this.clock.now()
  }

  warn(code: WarningCode, message: string): void {
    this.loop.warn({ code, message })
  }

  // ------------------------------------------------------------------------------------ connection

  /**
   * There is a new connection. Its CONNACK comes in order with messages, behind all those that an
   * earlier connection brought.
   */
  #connected(connack: ConnackPacket): void {
    if (connack === this.#taken) return
    this.epoch++
    const { connection, clientId } = this.loop.state
    const available = connack.properties?.subscriptionIdentifiersAvailable !== false
    const isMqtt5 = connection.protocolVersion === 5
    this.#terms = { isMqtt5, hasIdentifiers: isMqtt5 && available }
    this.#ownTopics.connected(connack, clientId, () => this.clock.random())
    const resumed = connack.sessionPresent
    if (this.epoch > 1) {
      this.reception.connected(resumed)
      this.#endRefused()
    }
    this.publishing.connected()
    this.#onConnected.tell(resumed)
  }

  /** The loop gives up some renewals without a SUBACK: those on which connections were lost. */
  #endRefused(): void {
    for (const { topic, givenUp, reasonCode } of this.loop.state.subscriptions) {
      if (givenUp) this.reception.renewed(topic, reasonCode!)
    }
  }

  isOwn(topic: string): boolean {
    return this.#ownTopics.has(topic)
  }

  scratchTopic(): string {
    return this.#ownTopics.scratchTopic()
  }

  /** Calls `action` at the first CONNACK, or now if that has come. */
  whenConnected(action: () => void): void {
    if (this.epoch > 0) return action()
    const unlisten = this.onConnected(() => {
      unlisten()
      action()
    })
  }

  responseTopic(): string {
    return this.#ownTopics.responseTopic
  }

  terms() {
    return this.#terms
  }

  byIdentifier(): boolean {
    const { dispatch } = this.plan
    if (dispatch !== 'auto') return dispatch === 'identifier'
    return this.#terms.hasIdentifiers && !this.#overlaps.byFilter
  }

  onConnected(listener: (resumed: boolean) => void): () => void {
    return this.#onConnected.add(listener)
  }

  onEnd(listener: (error: unknown) => void): () => void {
    if (this.#ended === null) return this.#onEnd.add(listener)
    listener(this.#ended.error)
    return () => {}
  }

  ready(options: NextOptions): Promise<Limits> {
    const { limits } = this.loop.state.connection
    if (limits !== null && this.isOpen) return Promise.resolve(limits)
    return waitFor(this, 'ready', options, (resolve) =>
      this.onConnected(() => {
        // The CONNACK may have waited to be read, and its connection be lost.
        const { limits } = this.loop.state.connection
        if (limits !== null) resolve(limits)
      }),
    )
  }

  /** Waits for a connection, and for an answer of the loop that there is only with one. */
  async askConnected<T>(what: string, ask: () => Promise<T>): Promise<T> {
    if (!this.isOpen) throw calledAfterEnd(what)
    await this.ready({})
    return waitFor(this, what, {}, (resolve, reject) => {
      ask().then(resolve, reject)
      return () => {}
    })
  }

  sleep(ms: number): Promise<void> {
    return sleep(this, ms)
  }

  // -------------------------------------------------------------------------------------- requests

  send(request: PublishRequest, options: NextOptions = {}): Promise<Published> {
    if (!this.isOpen) return Promise.reject(calledAfterEnd('publish'))
    return this.publishing.send(request, options)
  }

  /**
   * As `send`, without a promise, and while the client closes too. The listener is not called
   * before `post` returns.
   */
  post(request: PublishRequest, listener: OutcomeListener): void {
    if (this.#ended === null) return this.publishing.post(request, listener)
    const error = calledAfterEnd('publish')
    void Promise.resolve().then(() => listener.failed(error))
  }

  request(make: Making, settled: (outcome: Outcome) => void): void {
    this.publishing.request(make, settled)
  }

  listen(filter: string, qos: QoS, handler: (packet: IncomingPublish) => void): Listener {
    return this.listenTo([filter], { qos, rh: 2 }, handler)
  }

  /** As `listen`, for several filters in one SUBSCRIBE; with `rh` 0 retained messages come. */
  listenTo(
    filters: readonly string[],
    options: { readonly qos: QoS; readonly rh: 0 | 2 },
    handler: (packet: IncomingPublish) => void,
  ): Listener {
    let close: Listener['close'] = () => {}
    const granted = new Promise<void>((resolve, reject) => {
      const unlisten = this.onEnd((error) => reject(error ?? endedUnder('subscribe', false, null)))
      close = this.reception.listen(filters, options, handler, (outcome) => {
        unlisten()
        if (outcome.ok) resolve()
        else reject(subscribeRefused(outcome.error, filters))
      })
    })
    granted.catch(() => {})
    return { granted, close }
  }

  // ------------------------------------------------------------------------ what subscriptions ask

  acknowledge(packet: IncomingPublish): void {
    this.loop.ack(packet)
  }

  unattended(by: number): void {
    this.reception.unattended += by
  }

  handled(receipt: Receipt): void {
    this.reception.handled(receipt)
  }

  letGo(subscription: ClientSubscription, unhandled: readonly DeliveredMessage[]): void {
    this.reception.letGo(subscription, unhandled)
  }

  refused(): void {
    this.afterLeaving?.()
  }

  attempt(): number {
    return this.loop.state.connection.attempt
  }

  left(subscription: ClientSubscription, unhandled: readonly DeliveredMessage[]): void {
    this.reception.left(subscription, unhandled)
    this.afterLeaving?.()
  }

  heldBackBy(subscription: ClientSubscription): number {
    return this.#watchman.heldBackBy(subscription)
  }

  sync(subscription: ClientSubscription): Promise<Synced> {
    return sync(this, subscription)
  }

  overlaps(a: string, b: string, isMixed: boolean): void {
    this.#overlaps.found(a, b, isMixed)
  }

  checkShared(): Promise<void> {
    this.#shared ??= new SharedProbe(this)
    return this.#shared.check()
  }

  // --------------------------------------------------------------------------------------- the end

  get hasEnded(): boolean {
    return this.#ended !== null
  }

  get isOpen(): boolean {
    return this.#ended === null && !this.closing
  }

  onClose(begin: () => Promise<unknown>): () => void {
    return this.#onClose.add((closing) => closing.push(begin()))
  }

  /** Begins what is to be done before the end. */
  closers(): Promise<unknown>[] {
    const closing: Promise<unknown>[] = []
    this.#onClose.tell(closing)
    return closing
  }

  /**
   * The loop has ended: everything that waits is settled. (M2, every promise of the client settles)
   */
  ended(error: unknown): void {
    if (this.#ended !== null) return
    this.#ended = { error }
    this.reading.change('over')
    this.#watchman.end()
    const rejection = error === null ? null : { reason: error }
    for (const subscription of [...this.reception.subscriptions]) subscription.end(rejection)
    this.publishing.end(() => this.loop.session.held, error)
    this.#onEnd.tell(error)
    this.#onEnd.clear()
  }

  /** Ends the loop, and resolves when nothing is left of it. */
  async end(): Promise<void> {
    try {
      await this.loop.return()
    } finally {
      this.ended(null)
    }
  }
}
