/**
 * The loop: moves bytes, requests and time into the reducers, and their effects out. It decides nothing.
 *
 * Everything that happens becomes an input; a turn steps all that have gathered at once and performs the effects in order. A
 * turn runs as soon as bytes come, and otherwise when the consumer and the request stream have run out of things to do
 * (`process.nextTick` comes after the microtasks of both), so that what one burst caused is stepped, encoded and written
 * together. Outcomes are told after the effects of a step; user code never runs inside one.
 */
import type { Duplex } from 'node:stream'
import type { IConnackPacket } from 'mqtt-packet'
import type { Attempt } from '../connection/attempt.ts'
import { Authentication, type AuthenticationListener } from '../connection/authenticator.ts'
import { Dialer, type DialListener, discard } from '../connection/dial.ts'
import { Link, type LinkListener } from '../connection/link.ts'
import { Network, type NetworkListener } from '../connection/network.ts'
import { CONGESTED_BYTES } from '../connection/outbox.ts'
import { sendPacket, sendPublish, reportReceived, type WireEffect } from '../connection/send.ts'
import {
  BugError,
  ConnectionError,
  describe,
  ProtocolError,
  UsageError,
  unreachable,
} from '../errors.ts'
import { whereOf } from '../options/endpoint.ts'
import {
  type ReconnectOptions,
  type Resolved,
  reconnectPolicy,
  resolveOptions,
  retryableOf,
} from '../options/options.ts'
import {
  machine,
  type Platform,
  packetChannel,
  soon,
  stallChannel,
  transitionChannel,
  wallNow,
} from '../platform/runtime.ts'
import type {
  Acks,
  Config,
  Effect,
  Failure,
  Input,
  ProtocolVersion,
  PublishEffect,
  ReconnectPolicy,
  RequestFacts,
  ServerPacket,
  State,
  TransitionEffect,
  Until,
  YieldEffect,
} from '../protocol/contract.ts'
import { initialSession, initialState, step } from '../protocol/engine.ts'
import { isPending } from '../protocol/incoming.ts'
import { lookup } from '../protocol/packet-table.ts'
import { deadline, intake, room } from '../protocol/queries.ts'
import { hex } from '../protocol/reason-codes.ts'
import { prepareControl } from '../requests/build.ts'
import { Intake, type IntakeListener } from '../requests/intake.ts'
import { isControl, JOINED, Ledger, type LedgerListener } from '../requests/ledger.ts'
import { restorable, type Session } from '../requests/session.ts'
import type { Source } from '../requests/source.ts'
import type {
  Control,
  Incoming,
  IncomingPublish,
  Outcome,
  Request,
  SentRequest,
} from '../requests/vocabulary.ts'
import { Gate, type GateListener } from './commit-gate.ts'
import { Diverter, type DiverterListener } from './diverter.ts'
import { authenticationFailure, Causes, dialFailure, lossFailure, rethrown } from './failures.ts'
import { Inbox } from './inbox.ts'
import { type LoopState, viewOf } from './loop-state.ts'
import { Pings } from './pings.ts'
import { Recorder } from './recorder.ts'
import { type Transition, Transitions, told, transitionOf } from './transitions.ts'

/** Somebody of this package who drives a loop and sees each outcome. */
export interface Observer {
  readonly until: Until
  readonly acks: Acks
  settled(request: Request, outcome: Outcome): void
}

/** Graceful end of `disconnect` where the caller names no other, in ms. */
const DRAIN_MS = 10_000

type Result = IteratorResult<Incoming, undefined>

/** Reason codes of PUBACK and PUBREC; MQTT 3 cannot refuse. */
const ACK_CODES = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
const CLOSE_UNBEGUN: Input = { type: 'shutdown', at: 0, failure: null }

/** One for all that have none; never changed. */
const NO_INPUTS: Input[] = []

/** One object for what most loops never need: ten thousand idle ones hold a null each. */
class Rare {
  pings: Pings | null = null
  authentication: Authentication | null = null
  network: Network | null = null
  diverter: Diverter | null = null
  transitions: Transitions | null = null
  /** SUBSCRIBE requests of the engine's own, by packet identifier. */
  renewals: Map<number, SentRequest> | null = null
}

interface Ears
  extends IntakeListener,
    LedgerListener,
    DialListener,
    LinkListener,
    GateListener,
    NetworkListener,
    AuthenticationListener,
    DiverterListener {}

export class Loop {
  readonly #ears: Ears
  readonly #resolved: Resolved
  readonly #platform: Platform
  readonly #causes = new Causes()
  readonly #ledger: Ledger
  #inbox: Inbox
  /** Null: no transport is being opened. */
  #dialer: Dialer | null = null
  #state: State
  readonly #intake: Intake
  readonly #gate: Gate | null
  #link: Link | null = null
  #inputs: Input[] = NO_INPUTS
  #scheduled = false
  #turning = false
  #timer: unknown = null
  #timerAt = Number.POSITIVE_INFINITY
  #onAbort: (() => void) | null = null
  /** Of the connection that is open or being opened; null: the options as they stand. */
  #attempt: Attempt | null = null
  /** What most loops never need; null: nothing of it was needed yet. */
  #rare: Rare | null = null
  /** What an ended loop still has to throw. */
  #error: { readonly reason: unknown } | null = null
  /** Begun and not ended. */
  #alive = false
  /** Ended, but its store is not closed yet, and nobody is told. */
  #closing = false
  /** Those who wait until all is over. */
  #awaiting: (() => void)[] | null = null
  /** The consumer left: the streams are closed, not released. */
  #left = false
  #begun = false
  /** Acknowledgements that the reducers have not heard of. */
  #acking: Set<number> | null = null
  readonly #recorder: Recorder | null
  #retryable: ReconnectOptions['retryable'] | null
  /** What `connect()` waits for; and the effects of its CONNACK, until a loop takes over. */
  #establishing: ((error: { readonly reason: unknown } | null) => void) | null = null
  #kept: readonly Effect[] | null = null

  constructor(resolved: Resolved, requests: Source | null, controls: Source | null) {
    const { options, config, session, clientId } = resolved
    this.#ears = new Loop.#Ears(this)
    this.#retryable = retryableOf(options)
    this.#recorder = options.recorder === undefined ? null : new Recorder(options.recorder)
    this.#resolved = resolved
    this.#platform = options.platform ?? machine
    this.#ledger = new Ledger(this.#causes, options.onSettled, this.#ears)
    this.#inbox = new Inbox(config.acks === 'manual')
    this.#intake = new Intake(this.#ledger, this.#ears)
    const { store } = resolved
    this.#gate = store === null ? null : new Gate(store, this.#ears)
    this.#intake.attach(requests, controls)
    this.#state = initialState(config, initialSession(clientId))
    if (session !== null) this.#restore(session)
  }

  #restore(session: Session): void {
    const record = restorable(session.record(), this.#platform.random())
    const restored = this.#ledger.restore(
      record,
      this.#intake.requests,
      this.#now(),
      this.#wallOffsetMs(),
    )
    const { counters, ...state } = initialState(this.#state.config, restored)
    // Taken in an earlier life: what is held counts on both sides of taken = settled + held.
    const taken = restored.owed + restored.waiting.length
    this.#state = { ...state, counters: { ...counters, taken } }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  // ------------------------------------------------------------------------------------------------------- the iterator

  next(): Promise<Result> {
    if (!this.#begun) this.#begin()
    if (this.#state.config.acks === 'pull') this.#inbox.handled()
    const packet = this.#inbox.take()
    if (this.#inbox.dirty) this.#taken()
    if (packet !== undefined) return Promise.resolve({ done: false, value: packet })
    if (this.#alive || this.#closing) return this.#inbox.wait()
    const error = this.#error
    this.#error = null
    if (error !== null) return Promise.reject(error.reason)
    return Promise.resolve({ done: true, value: undefined })
  }

  /** What the consumer took counts even after the end: the session remembers what was handled. */
  #taken(): void {
    if (this.#alive) return this.#schedule()
    this.#collect()
    const inputs = this.#inputs
    this.#inputs = NO_INPUTS
    this.#state = step(this.#state, inputs).state
  }

  /** The consumer leaves (`break`): says goodbye to the server and closes the request stream. */
  async return(): Promise<Result> {
    this.#leave()
    this.#error = null
    this.#run({ type: 'shutdown', at: this.#now(), failure: null })
    await this.#over()
    return { done: true, value: undefined }
  }

  async throw(error?: unknown): Promise<Result> {
    await this.return()
    throw error
  }

  /** The packets that nobody took, and what streams handed out, are settled for the last time. */
  #leave(): void {
    if (this.#left || (this.#begun && !this.#alive)) return
    this.#left = true
    if (!this.#begun) {
      this.#begun = true
      if (this.#kept === null) this.#closeUnbegun()
      this.#kept = null
      this.#link?.handTo(this.#ears)
    }
    this.#flushFacts(false)
    this.#intake.close()
    this.#flushFacts(true)
    this.#inbox.clear()
  }

  /** Nobody ever asked for a packet: there is no connection to close, but a store, and watchers. */
  #closeUnbegun(): void {
    const { state, effects } = step(this.#state, CLOSE_UNBEGUN)
    this.#state = state
    for (const effect of effects) if (effect.type === 'transition') this.#moved(effect)
    this.#rare?.transitions?.end()
    const gate = this.#gate
    if (gate === null) return
    this.#closing = true
    const finish = () => this.#finish(null)
    gate.close().then(finish, finish)
  }

  #isOver(): boolean {
    const { kind } = this.#state.connection
    return kind === 'closed' || kind === 'failed'
  }

  /** The first `next()`: from now on the loop lives. */
  #begin(): void {
    this.#begun = true
    const kept = this.#kept
    if (kept !== null) return this.#takeOver(kept)
    this.#start()
  }

  #start(): void {
    this.#alive = true
    const { signal } = this.#resolved.options
    if (signal?.aborted) return this.#abort()
    if (signal !== undefined) {
      this.#onAbort = () => this.#abort()
      signal.addEventListener('abort', this.#onAbort, { once: true })
    }
    const { networkHints, connectivityCheck, divert } = this.#resolved.options
    if (networkHints !== undefined || connectivityCheck !== undefined) {
      this.#need().network = new Network(this.#resolved.options, this.#ears)
      this.#rare?.network?.listen()
    }
    if (divert !== undefined) this.#need().diverter = new Diverter(divert, this.#ears)
    const gate = this.#gate
    if (gate === null) this.#run({ type: 'start', at: this.#now() })
    else this.#load(gate)
  }

  /** The session of the store, before anything is sent. */
  async #load(gate: Gate): Promise<void> {
    try {
      const session = await gate.load()
      if (!this.#alive) return
      if (session !== null) this.#continue(session)
      if (!session?.protocolVersion) this.#configure({ store: 'empty' })
    } catch (error) {
      const failure = rethrown(this.#causes.keep(error))
      return this.#run({ type: 'shutdown', at: this.#now(), failure })
    }
    this.#run({ type: 'start', at: this.#now() })
  }

  #continue(session: Session): void {
    const { options } = this.#resolved
    const { config } = resolveOptions({ ...options, session }, session)
    this.#configure({ ...config, cleanStart: false, store: 'kept' })
    this.#restore(session)
  }

  /** Before anything is sent. */
  #configure(config: Partial<Config>): void {
    this.#state = { ...this.#state, config: { ...this.#state.config, ...config } }
  }

  /** For `connect()`: one attempt, up to the CONNACK. Nothing is sent and nothing read beyond it. */
  establish(): Promise<IConnackPacket> {
    this.#begun = true
    return new Promise((resolve, reject) => {
      this.#establishing = (error) => {
        if (error === null) resolve(this.#state.connection.connack as IConnackPacket)
        else reject(error.reason)
      }
      this.#start()
    })
  }

  #keep(effects: readonly Effect[]): void {
    const settle = this.#establishing
    this.#establishing = null
    this.#kept = effects
    this.#link?.pause()
    this.#link?.handTo(null)
    this.#begun = false
    settle?.(null)
  }

  /** Gives what `connect()` resolved with to a loop: these are its streams and its policy. */
  adopt(requests: Source | null, controls: Source | null, policy: ReconnectPolicy): void {
    this.#intake.attach(requests, controls)
    this.#ledger.rebind(requests)
    const { reconnect } = this.#state
    this.#state = { ...this.#state, reconnect: { ...reconnect, policy } }
  }

  /** Before the first `next()`. */
  observe({ until, acks, settled }: Observer): void {
    this.#configure({ until, acks })
    this.#inbox = new Inbox(acks === 'manual')
    this.#ledger.observe(settled)
  }

  #takeOver(kept: readonly Effect[]): void {
    this.#kept = null
    this.#turning = true
    this.#perform(kept)
    this.#turning = false
    this.#inbox.serve()
    this.#link?.outbox.flush()
    this.#link?.handTo(this.#ears)
    if (!this.#state.keepAlive.readingPaused) this.#link?.resume()
    this.#run({ type: 'tick', at: this.#now() })
  }

  #abort(): void {
    this.#leave()
    this.#fail(this.#resolved.options.signal?.reason)
  }

  /** Ends the loop with an error of the user's; one whose end only waits for its store ends at once. */
  #fail(error: unknown): void {
    if (this.#isOver()) return this.#end({ reason: error })
    const failure = rethrown(this.#causes.keep(error))
    this.#push({ type: 'shutdown', at: this.#now(), failure })
  }

  // ------------------------------------------------------------------------------------------------------------ queries

  get state(): LoopState {
    const queuedBytes = this.#link?.outbox.pendingBytes ?? 0
    return viewOf(this.#state, this.#intake.pending, queuedBytes, this.#where())
  }

  transitions(): AsyncIterableIterator<Transition, undefined> {
    const rare = this.#need()
    rare.transitions ??= new Transitions()
    if (this.#begun && !this.#alive && this.#kept === null) rare.transitions.end()
    return rare.transitions.watch()
  }

  #need(): Rare {
    this.#rare ??= new Rare()
    return this.#rare
  }

  /** The endpoint for messages. */
  #where(): string {
    return whereOf(this.#attempt?.options ?? this.#dialer?.options ?? this.#resolved.options)
  }

  get session(): Session {
    return this.#ledger.session(this.#state.session, this.#isOver(), this.#wallOffsetMs())
  }

  recording(): string | null {
    return this.#recorder?.text() ?? null
  }

  // ----------------------------------------------------------------------------------------------------------- controls

  ack(packet: Incoming, reasonCode = 0): 'queued' | 'stale' {
    if (typeof packet !== 'object' || packet === null) {
      throw new UsageError('ack: a PUBLISH that this loop yielded is expected')
    }
    const allowed = this.#state.connection.protocolVersion === 5 ? ACK_CODES : [0]
    if (!allowed.includes(reasonCode)) {
      const where = allowed.length === 1 ? ' (only MQTT 5 can refuse a message)' : ''
      const codes = allowed.map(hex).join(', ') + where
      throw new UsageError(
        `ack: a reason code of ${codes} is expected, ${describe(reasonCode)} was given`,
      )
    }
    const sequence = this.#inbox.sequenceOf(packet)
    const messageId = packet.messageId ?? 0
    if (sequence === undefined || !this.#mayAck(sequence, messageId)) return 'stale'
    this.#acking ??= new Set()
    this.#acking.add(sequence)
    this.#push({ type: 'ack', at: this.#now(), sequence, messageId, reasonCode })
    return 'queued'
  }

  /** Of this connection; or at QoS 2 of an earlier one, where its redelivery is what is acknowledged. */
  #mayAck(sequence: number, messageId: number): boolean {
    const { incoming, session } = this.#state
    if (this.#acking?.has(sequence) || this.#isOver()) return false
    if (sequence >= incoming.epochFrom) return isPending(incoming, sequence)
    const message = lookup(session.received, messageId)
    return message?.sequence === sequence && message.stage === 'arrived'
  }

  pause(ms?: number): void {
    this.#control(
      prepareControl(ms === undefined ? { cmd: 'pause' } : { cmd: 'pause', ms }).control,
    )
  }

  resume(): void {
    this.#control({ cmd: 'resume' })
  }

  throttle(perSecond: number | null): void {
    this.#control(prepareControl({ cmd: 'throttle', perSecond }).control)
  }

  reconnect(reconnect?: ReconnectOptions): void {
    const control = reconnect === undefined ? { cmd: 'reconnect' } : { cmd: 'reconnect', reconnect }
    this.#control(prepareControl(control).control)
  }

  disconnect(timeout = DRAIN_MS): void {
    this.#control(prepareControl({ cmd: 'disconnect', timeout }).control)
  }

  shutdown(): void {
    this.#control({ cmd: 'shutdown' })
  }

  /** Resolves when the server has answered a PINGREQ; rejects where it does not within keepAlive, or the connection ends. */
  ping(): Promise<{ roundTripMs: number }> {
    return asked((settle) => {
      this.#ping((error, roundTripMs) => settle(error, { roundTripMs }))
    })
  }

  /** Resolves when the server and the authenticator agree again. */
  reauthenticate(): Promise<void> {
    return asked((settle) => this.#reauthenticate((error) => settle(error, undefined)))
  }

  #control(control: Control): void {
    const at = this.#now()
    switch (control.cmd) {
      case 'pause':
        return this.#run({ type: 'pause', at, ms: control.ms ?? Number.POSITIVE_INFINITY })
      case 'resume':
        return this.#run({ type: 'resume', at })
      case 'throttle':
        return this.#run({ type: 'throttle', at, perSecond: control.perSecond ?? 0 })
      case 'reconnect': {
        const policy = control.reconnect === undefined ? null : reconnectPolicy(control.reconnect)
        if (control.reconnect !== undefined) this.#retryable = control.reconnect.retryable ?? null
        return this.#run({ type: 'reconnect', at, policy })
      }
      case 'disconnect':
        return this.#run({
          type: 'disconnect',
          at,
          timeoutMs: control.timeout ?? DRAIN_MS,
          failure: null,
        })
      case 'shutdown':
        return this.#run({ type: 'shutdown', at, failure: null })
      case 'ping':
        return this.#ping((error, roundTripMs) =>
          this.#ledger.tellControl(control, error, { roundTripMs }),
        )
      case 'reauthenticate':
        return this.#reauthenticate((error) => this.#ledger.tellControl(control, error, {}))
    }
  }

  #ping(settle: (error: unknown, roundTripMs: number) => void): void {
    const { connection, keepAlive } = this.#state
    if (connection.kind !== 'connected') return settle(notConnected('ping'), 0)
    const limitMs = keepAlive.intervalMs || this.#resolved.config.connectTimeoutMs
    const rare = this.#need()
    rare.pings ??= new Pings(this.#platform)
    const before = connection.pings.length
    const gathered = this.#inputs.filter(({ type }) => type === 'ping').length
    rare.pings.expect(before + gathered + 1, limitMs, settle)
    this.#push({ type: 'ping', at: this.#now() })
  }

  #reauthenticate(settle: (error: unknown) => void): void {
    const { connection, config } = this.#state
    if (config.authenticator === 'none') {
      const message =
        'reauthenticate: there is no authenticator [MQTT-4.12.0-7]; give one as the option of that name'
      return settle(new UsageError(message, { code: 'NO_AUTHENTICATOR' }))
    }
    if (connection.kind !== 'connected') return settle(notConnected('reauthenticate'))
    this.#authentication().wait(settle)
    this.#push({ type: 'reauthenticate', at: this.#now() })
  }

  // -------------------------------------------------------------------------------------------------------------- intake

  #flushFacts(hold: boolean): void {
    const requests = this.#intake.drainFacts()
    if (requests === null) return
    this.#add({ type: 'requests', at: this.#now(), requests, hold })
  }

  #requestsEnded(error: { readonly thrown: unknown } | null): void {
    const at = this.#now()
    this.#flushFacts(false)
    this.#push({ type: 'requestsEnded', at })
    if (error === null) return
    // What was taken may still settle; then the loop ends with what the stream threw.
    const failure = rethrown(this.#causes.keep(error.thrown))
    this.#push({ type: 'disconnect', at, timeoutMs: DRAIN_MS, failure })
  }

  // --------------------------------------------------------------------------------------------------------------- turns

  #now(): number {
    return this.#platform.now()
  }

  /** What to add to the loop's clock for the wall clock. */
  #wallOffsetMs(): number {
    return (this.#platform.wallNow ?? wallNow)() - this.#platform.now()
  }

  #add(input: Input): void {
    if (this.#inputs === NO_INPUTS) this.#inputs = [input]
    else this.#inputs.push(input)
  }

  /** Something happened; it is dealt with when the current burst is over. */
  #push(input: Input): void {
    this.#flushFacts(false)
    this.#add(input)
    this.#schedule()
  }

  /** Something happened that is dealt with at once; within a turn, as soon as its effects are performed. */
  #run(input: Input): void {
    this.#flushFacts(false)
    this.#add(input)
    this.#turn()
  }

  #schedule(): void {
    if (this.#scheduled || this.#turning || !this.#alive) return
    this.#scheduled = true
    soon(Loop.#scheduledTurn, this)
  }

  static #scheduledTurn(loop: Loop): void {
    loop.#scheduled = false
    loop.#turn()
  }

  #turn(): void {
    if (this.#turning || !this.#alive) return
    this.#turning = true
    try {
      do {
        this.#collect()
        if (this.#inputs.length === 0) break
        const inputs = this.#inputs
        this.#inputs = NO_INPUTS
        this.#acking = null
        const { state, effects } = step(this.#state, inputs)
        this.#recorder?.note(this.#state, inputs, effects, state)
        this.#state = state
        if (this.#establishing !== null && state.connection.kind === 'connected') {
          return this.#keep(effects)
        }
        this.#perform(effects)
        // Until a loop takes over nothing is sent.
        if (this.#kept !== null) return
        this.#link?.outbox.flush()
        this.#inbox.serve()
        this.#noteCongestion()
        this.#ledger.tell()
        this.#allow()
        this.#decode(room(this.#state))
        this.#intake.takeControls()
        if (intake(this.#state) > 0) this.#intake.gather()
      } while (this.#inputs.length > 0 || this.#intake.pending > 0 || this.#inbox.dirty)
    } catch (error) {
      this.#defect(error)
    } finally {
      this.#turning = false
    }
    this.#arm()
  }

  #allow(): void {
    const { flow, connection } = this.#state
    const counting = flow.perSecond > 0 || flow.diverting
    // Groups are encoded before it is known on which connection they leave, and so have no aliases.
    const grouping = connection.limits.topicAliasMaximum === 0
    this.#intake.allow(intake(this.#state), counting, grouping)
  }

  /** What gathered without being an input yet. */
  #collect(): void {
    this.#flushFacts(false)
    const inbox = this.#inbox
    if (inbox.dirty) {
      const { packets, bytes, yieldedThrough, handledThrough } = inbox
      const at = this.#now()
      // What the consumer took came before whatever happened to the connection since.
      const pulled: Input = { type: 'pulled', at, packets, bytes, yieldedThrough, handledThrough }
      this.#inputs = [pulled, ...this.#inputs]
      inbox.reported()
    }
  }

  /** An invariant does not hold: nothing that follows could be trusted. */
  #defect(error: unknown): void {
    const bug = new BugError(
      `The loop met ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    )
    this.#end({ reason: bug })
  }

  #arm(): void {
    if (!this.#alive) return
    const due = deadline(this.#state)
    // A timer that is early costs one look; one that is late costs a promise.
    if (this.#timer !== null && this.#timerAt <= due) return
    if (this.#timer !== null) this.#platform.clearTimer(this.#timer)
    this.#timer = null
    this.#timerAt = due
    if (due === Number.POSITIVE_INFINITY) return
    this.#timer = this.#platform.setTimer(this.#tick, Math.max(0, Math.ceil(due - this.#now())))
  }

  readonly #tick = (): void => {
    this.#timer = null
    this.#timerAt = Number.POSITIVE_INFINITY
    const at = this.#now()
    if (at >= deadline(this.#state)) this.#run({ type: 'tick', at })
    else this.#arm()
  }

  // ------------------------------------------------------------------------------------------------------------- effects

  #perform(effects: readonly Effect[]): void {
    const admitted = this.#gate?.admit(effects, this.#link) ?? effects
    for (const effect of admitted) this.#performOne(effect)
  }

  /** After the end: what is safe is told, and nothing else is done. */
  #settleLate(effects: readonly Effect[]): void {
    for (const effect of effects) if (effect.type === 'settle') this.#ledger.settle(effect)
    this.#ledger.tell()
  }

  /** What waited for a commit. */
  #release(effects: readonly Effect[], link: Link | null): void {
    if (!this.#alive) return this.#settleLate(effects)
    const gone = link === null || link !== this.#link
    this.#turning = true
    try {
      for (const effect of effects) {
        // A message whose connection is over is treated as those that were here when it ended.
        const over = gone || this.#inbox.withholds
        if (effect.type === 'yield' && this.#left) this.#inbox.drop(effect)
        else if (effect.type === 'yield' && effect.sequence > 0 && over) this.#yield(effect, true)
        else if (!isSent(effect) || !(gone || link.closing)) this.#performOne(effect)
      }
    } finally {
      this.#turning = false
    }
    if (this.#link?.outbox.flush()) this.#add({ type: 'released', at: this.#now() })
    this.#inbox.serve()
    this.#ledger.tell()
    this.#turn()
  }

  #performOne(effect: Effect): void {
    const link = this.#link
    switch (effect.type) {
      case 'yield':
        return this.#yield(effect)
      case 'settle':
        return this.#ledger.settle(effect)
      case 'publish':
        return sendPublish(effect, link, this.#ledger, this.#state)
      case 'acknowledge':
      case 'subscribe':
      case 'unsubscribe':
      case 'connect':
      case 'pingreq':
      case 'auth':
      case 'disconnect':
        return this.#send(effect)
      case 'takeApart': {
        const { handle } = effect
        const requests = this.#ledger.takeApart(handle, this.#state.connection.protocolVersion)
        this.#add({ type: 'apart', at: this.#now(), handle, requests })
        return
      }
      case 'confirm':
        return this.#ledger.confirm(effect.count, effect.failure)
      case 'dial':
        return this.#dial(effect)
      case 'close':
        return link?.close(effect.patient)
      case 'destroy':
        return link === null ? this.#dialer?.cancel() : link.destroy()
      case 'pauseReading':
        return link?.pause()
      case 'resumeReading':
        return link?.resume()
      case 'withhold':
        return this.#inbox.withhold()
      case 'unwithhold':
        return this.#inbox.unwithhold(effect.drop, effect.before)
      case 'births':
        return this.#births(effect.packet as IConnackPacket)
      case 'pong':
        return this.#rare?.pings?.answered()
      case 'transition':
        return this.#moved(effect)
      case 'checkConnectivity':
        this.#rare?.network?.check()
        return
      case 'authenticate':
        return this.#authentication().ask(effect)
      case 'reauthenticated':
        return this.#reauthenticated(effect.failure)
      case 'divert': {
        const slot = this.#ledger.get(effect.handle)
        if (slot?.kind === 'publish') {
          this.#rare?.diverter?.divert(effect.handle, slot.request)
        }
        return
      }
      case 'warn':
        return this.#warn(effect.code, effect.message)
      case 'finished':
        return this.#end(
          effect.failure === null ? null : { reason: this.#causes.errorOf(effect.failure) },
        )
      default:
        return unreachable(effect)
    }
  }

  #dial({ host, redirect, attempt, protocolVersion }: Extract<Effect, { type: 'dial' }>): void {
    const { connection, session } = this.#state
    const { reason } = connection
    const lastClose = reason === null ? null : told(reason)
    this.#rare?.network?.forget()
    this.#attempt = null
    this.#dialer ??= new Dialer(this.#resolved, this.#ears)
    const { clientId } = session
    this.#dialer.dial({ host, redirect, attempt, lastClose, clientId, protocolVersion })
  }

  #send(effect: Exclude<WireEffect, PublishEffect>): void {
    const attempt = this.#attempt
    const packet = sendPacket(
      effect,
      this.#link,
      this.#resolved,
      attempt,
      this.#ledger,
      this.#state,
    )
    if (packet?.cmd !== 'subscribe' || effect.type !== 'subscribe') return
    if (effect.facts.handle !== 0) return
    const rare = this.#need()
    rare.renewals ??= new Map()
    rare.renewals.set(effect.messageId, packet as SentRequest)
  }

  #moved(effect: TransitionEffect): void {
    if (effect.to === 'connected') this.#link?.agree(this.#state.connection.limits)
    const watched = this.#rare?.transitions ?? null
    if (watched === null && !transitionChannel.hasSubscribers) return
    const transition = transitionOf(effect)
    watched?.tell(transition)
    if (!transitionChannel.hasSubscribers) return
    transitionChannel.publish({ clientId: this.#state.session.clientId, ...transition })
  }

  // ------------------------------------------------------------------------------------------------------ authentication

  /** Where there is an authenticator. */
  #authentication(): Authentication {
    const rare = this.#need()
    const { authenticator } = this.#resolved.options
    rare.authentication ??= new Authentication(authenticator!, this.#ears)
    return rare.authentication
  }

  #unauthenticated(error: unknown): void {
    const { kind } = this.#state.connection
    const base = authenticationFailure(error, kind === 'connected' ? 'connected' : 'handshake')
    const failure = { ...base, cause: this.#causes.keepRecent(error) }
    this.#push({ type: 'unauthenticated', at: this.#now(), failure })
  }

  #reauthenticated(failure: Failure | null): void {
    const error = () => (failure === null ? null : this.#causes.errorOf(failure))
    this.#rare?.authentication?.ended(error)
  }

  /** Nothing that was asked on this connection will be answered. */
  #forsake(reason: () => unknown): void {
    const rare = this.#rare
    if (rare === null) return
    rare.pings?.fail(reason)
    rare.authentication?.abandon(reason)
    rare.renewals = null
  }

  #yield(effect: YieldEffect, late = false): void {
    const packet = effect.packet as Incoming
    if (effect.handle > 0) {
      const { request } = this.#ledger.get(effect.handle)!
      ;(packet as { request?: SentRequest }).request = request
    } else if (effect.deliveryId > 0) {
      const message = packet as IncomingPublish
      message.deliveryId = effect.deliveryId
      if (effect.redelivered) message.redelivered = true
    } else if (packet.cmd === 'suback') {
      const renewal = this.#rare?.renewals?.get(packet.messageId ?? 0)
      if (renewal !== undefined) packet.request = renewal
    }
    if (late) this.#inbox.offerLate(effect)
    else this.#inbox.offer(effect)
  }

  #births(connack: IConnackPacket): void {
    const facts: RequestFacts[] = []
    const at = this.#now()
    try {
      const births = this.#resolved.options.onConnected?.(connack) ?? []
      for (const birth of births) {
        const taken = this.#ledger.accept(
          birth,
          null,
          this.#state.connection.protocolVersion,
          { now: () => at },
          false,
        )
        if (taken === null || taken === JOINED) continue
        if (isControl(taken)) this.#control(taken)
        else facts.push(taken)
      }
    } catch (error) {
      this.#fail(error)
    }
    this.#add({ type: 'births', at, requests: facts })
  }

  #warn(code: string, message: string): void {
    const kind = STALLS[code]
    if (kind !== undefined) this.#stalled(kind, message)
    try {
      this.#resolved.options.onWarning?.({ code, message })
    } catch (error) {
      this.#fail(error)
    }
  }

  #stalled(kind: string, message: string): void {
    if (!stallChannel.hasSubscribers) return
    stallChannel.publish({ clientId: this.#state.session.clientId, kind, message })
  }

  // ----------------------------------------------------------------------------------------------------------- transport

  #opened(duplex: Duplex, attempt: Attempt): void {
    this.#dialer = null
    const { connection, config } = this.#state
    if (!this.#alive || connection.kind !== 'connecting') {
      discard(duplex)
      attempt.exchange?.abandon()
      return this.#lost(null, false)
    }
    const { protocolVersion } = connection
    const plain = attempt.options === this.#resolved.options && attempt.exchange === null
    this.#attempt = plain && attempt.facts === null ? null : attempt
    if (attempt.exchange !== null) this.#authentication().adopt(attempt.exchange)
    this.#link = new Link(duplex, protocolVersion, config.maximumPacketSize, this.#ears)
    this.#run({ type: 'opened', at: this.#now(), attempt: attempt.facts })
  }

  /** Decodes what is there, as far as the consumer's buffer has room. */
  #decode(max: number): void {
    const link = this.#link
    if (link === null || !link.hasMore || max <= 0) return
    const received: ServerPacket[] = []
    const at = this.#now()
    try {
      link.read(received, max)
      this.#received(received, at)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      const { reasonCode, clause, message } = error
      this.#received(received, at)
      this.#add({ type: 'malformed', at, reasonCode, clause, message })
    }
  }

  #received(received: readonly ServerPacket[], at: number): void {
    if (packetChannel.hasSubscribers) reportReceived(received, this.#state)
    this.#add({ type: 'received', at, packets: received })
  }

  #reportWritten(): void {
    const outbox = this.#link?.outbox
    const report = outbox?.report
    if (outbox === undefined || report === undefined || report === null) return
    outbox.report = null
    const { publishes, ping } = report
    const more = outbox.pendingBytes > 0
    this.#add({ type: 'written', at: this.#now(), publishes, ping, more })
    this.#noteCongestion()
  }

  #noteCongestion(): void {
    const { congested } = this.#state.flow
    const pending = this.#link?.outbox.pendingBytes ?? 0
    const now = pending > (congested ? CONGESTED_BYTES / 2 : CONGESTED_BYTES)
    if (now !== congested && this.#link !== null) {
      this.#add({ type: 'congestion', at: this.#now(), congested: now })
      if (now) this.#stalled('transport', `${pending} bytes wait for the transport.`)
    }
  }

  /** The transport is gone, or could not be opened. */
  #lost(error: unknown, byPeer: boolean): void {
    const { kind } = this.#state.connection
    const where = this.#where()
    const at = this.#now()
    // What waits for its turn comes afterwards: nothing of it was sent.
    const waiting = this.#inputs
    this.#inputs = NO_INPUTS
    if (this.#link?.hasMore) this.#add({ type: 'unwritable', at })
    this.#decode(Number.MAX_SAFE_INTEGER)
    this.#link = null
    const dialling = kind === 'connecting' && !this.#state.connection.opened
    const base = dialling
      ? dialFailure(error, where)
      : lossFailure(error, kind === 'connecting' ? 'handshake' : 'connected', where)
    const failure = error === null ? base : { ...base, cause: this.#causes.keepRecent(error) }
    const { verdict, reason } = this.#state.connection
    const why = verdict !== null && reason !== null ? reason : failure
    this.#forsake(verdict === 'end' ? closedError : () => this.#causes.errorOf(why))
    const retryable = this.#judge(why)
    const random = this.#platform.random()
    this.#add({ type: 'lost', at, random, failure, byPeer, retryable })
    this.#inputs.push(...waiting)
    this.#turn()
  }

  /** The user's word on a failure; null: none. */
  #judge(failure: Failure): boolean | null {
    if (!this.#retryable) return null
    try {
      return this.#retryable(told(failure))
    } catch (error) {
      this.#fail(error)
      return false
    }
  }

  // -------------------------------------------------------------------------------------------------------------- the end

  /** Everything stops: no timer, socket, listener or promise is left. (N4) */
  #end(error: { readonly reason: unknown } | null): void {
    if (!this.#alive) return
    this.#alive = false
    if (!this.#isOver()) this.#markFailed()
    this.#holdTaken()
    if (this.#onAbort !== null) {
      this.#resolved.options.signal?.removeEventListener('abort', this.#onAbort)
    }
    if (this.#timer !== null) this.#platform.clearTimer(this.#timer)
    this.#timer = null
    this.#forsake(closedError)
    this.#rare?.network?.stop()
    this.#abandonDiverted()
    this.#rare?.transitions?.end()
    this.#dialer?.stop()
    this.#link?.handTo(null)
    this.#link?.destroy()
    this.#link = null
    this.#ledger.close()
    if (!this.#left) this.#intake.release(error === null && this.state.counters.held === 0)
    this.#inbox.serve()
    if (error !== null && !this.#resolved.options.signal?.aborted) this.#tellRecording()
    const gate = this.#gate
    if (gate === null) return this.#finish(error)
    // Nothing is left when the end is told: its store neither.
    this.#closing = true
    const finish = () => this.#finish(error)
    gate.close().then(finish, finish)
  }

  /** A defect ended the loop, past the reducers. */
  #markFailed(): void {
    const { connection } = this.#state
    const base = { phase: 'connected', source: 'bug', code: 'BUG', retryable: false } as const
    const reason: Failure = { ...base, message: 'A defect of it-mqtt ended the loop.' }
    this.#state = { ...this.#state, connection: { ...connection, kind: 'failed', reason } }
    const at = this.#now()
    const to = { from: connection.kind, to: 'failed', reason, at } as const
    this.#moved({ type: 'transition', ...to, retryAt: Number.POSITIVE_INFINITY })
  }

  /** What was taken and has not become part of the state is held. */
  #holdTaken(): void {
    this.#flushFacts(true)
    const taken = this.#inputs.flatMap((input) =>
      input.type === 'requests' ? [{ ...input, hold: true }] : [],
    )
    this.#inputs = NO_INPUTS
    if (taken.length > 0) this.#state = step(this.#state, taken).state
  }

  /** What is on the other way is not held: whether it arrived nobody knows, unless its stream gives it again. */
  #abandonDiverted(): void {
    const handles = this.#rare?.diverter?.end() ?? []
    const message =
      'The loop ended while the other way (divert.to) had this publish; whether it arrived is not known.'
    const base = { phase: 'request', source: 'connection', retryable: true } as const
    const failure: Failure = { ...base, code: 'DIVERT_ABORTED', message }
    for (const handle of handles) {
      if (this.#ledger.get(handle)?.settling?.replays) continue
      const input: Input = { type: 'diverted', at: this.#now(), handle, failure }
      const { state, effects } = step(this.#state, input)
      this.#state = state
      this.#settleLate(effects)
    }
  }

  /** What the recorder's listener throws concerns nobody: the loop ends with an error already. */
  #tellRecording(): void {
    try {
      this.#recorder?.fault()
    } catch {
      // The first error is the one to be told.
    }
  }

  #finish(error: { readonly reason: unknown } | null): void {
    this.#closing = false
    const establishing = this.#establishing
    if (establishing !== null) {
      this.#establishing = null
      establishing(error ?? { reason: closedError() })
    } else if (!this.#inbox.end(error)) {
      this.#error = error
    }
    for (const resolve of this.#awaiting ?? []) resolve()
    this.#awaiting = null
  }

  async #over(): Promise<void> {
    if (!this.#alive && !this.#closing) return
    await new Promise<void>((resolve) => {
      this.#awaiting ??= []
      this.#awaiting.push(resolve)
    })
  }

  // ------------------------------------------------------------------------------------------------------------- the ears

  /** What its parts tell the loop. A class within the class reaches what is private, and costs one object, not a closure each. */
  static readonly #Ears = class implements Ears {
    readonly #loop: Loop

    constructor(loop: Loop) {
      this.#loop = loop
    }

    now(): number {
      return this.#loop.#now()
    }

    version(): ProtocolVersion {
      return this.#loop.#state.connection.protocolVersion
    }

    gathered(): void {
      this.#loop.#schedule()
    }

    control(control: Control): void {
      this.#loop.#flushFacts(false)
      this.#loop.#control(control)
    }

    ended(error: { readonly thrown: unknown } | null): void {
      this.#loop.#requestsEnded(error)
    }

    fail(error: unknown): void {
      this.#loop.#fail(error)
    }

    cancelled(handle: number, reason: unknown): void {
      const loop = this.#loop
      loop.#push({ type: 'cancel', at: loop.#now(), handle, cause: loop.#causes.keep(reason) })
    }

    refused(): void {
      this.#loop.#push({ type: 'refused', at: this.#loop.#now(), count: 1 })
    }

    fatal(error: unknown): void {
      this.#loop.#fail(error)
    }

    opened(duplex: Duplex, attempt: Attempt): void {
      this.#loop.#opened(duplex, attempt)
    }

    clientId(): string {
      return this.#loop.#state.session.clientId
    }

    hint(online: boolean): void {
      this.#loop.#run({ type: 'network', at: this.now(), online })
    }

    connectivity(online: boolean): void {
      this.#loop.#run({ type: 'connectivity', at: this.now(), online })
    }

    warn(code: string, message: string): void {
      this.#loop.#warn(code, message)
    }

    authenticated(data: Uint8Array | null): void {
      this.#loop.#push({ type: 'authenticated', at: this.now(), data })
    }

    unauthenticated(error: unknown): void {
      this.#loop.#unauthenticated(error)
    }

    diverted(handle: number, error: { readonly reason: unknown } | null): void {
      const loop = this.#loop
      const failure = error === null ? null : rethrown(loop.#causes.keep(error.reason))
      loop.#push({ type: 'diverted', at: loop.#now(), handle, failure })
    }

    failed(error: unknown): void {
      this.#loop.#lost(error, false)
    }

    readable(): void {
      this.#loop.#decode(room(this.#loop.#state))
      this.#loop.#turn()
    }

    written(): void {
      this.#loop.#reportWritten()
      this.#loop.#schedule()
    }

    closed(error: unknown, byPeer: boolean): void {
      this.#loop.#lost(error, byPeer)
    }

    /** What leaves afterwards is what was committed before: as good as final. */
    session(): Session {
      const loop = this.#loop
      return loop.#ledger.session(loop.#state.session, true, loop.#wallOffsetMs())
    }

    foresee(effects: readonly Effect[]): void {
      this.#loop.#ledger.foresee(effects)
    }

    settleLate(effects: readonly Effect[]): void {
      this.#loop.#settleLate(effects)
    }

    release(effects: readonly Effect[], link: Link | null): void {
      this.#loop.#release(effects, link)
    }
  }
}

/** Of no use once the connection for which it was meant is gone: the next one does it again. */
function isSent({ type }: Effect): boolean {
  return type === 'publish' || type === 'acknowledge'
}

/** Which warnings are stalls, and of whom. */
const STALLS: Readonly<Record<string, string>> = {
  CONSUMER_STALLED: 'consumer',
  ACKNOWLEDGEMENT_FORGOTTEN: 'acknowledgement',
}

/** A question as a promise; who asks by a control need not listen to the answer. */
function asked<T>(ask: (settle: (error: unknown, value: T) => void) => void): Promise<T> {
  const answer = new Promise<T>((resolve, reject) => {
    ask((error, value) => (error === null ? resolve(value) : reject(error)))
  })
  answer.catch(() => {})
  return answer
}

function notConnected(what: string): ConnectionError {
  const message = `${what}: there is no connection now.`
  return new ConnectionError(message, { code: 'NOT_CONNECTED' })
}

function closedError(): ConnectionError {
  return new ConnectionError('The loop has ended.', { code: 'CLOSED', retryable: false })
}
