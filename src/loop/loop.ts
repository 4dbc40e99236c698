/**
 * The loop moves bytes, requests and time into the reducers, and performs the effects that they
 * return. It decides nothing.
 *
 * Everything that happens becomes an input. A turn steps all inputs that have gathered and performs
 * the effects:
 *
 *   1 collect · 2 step · 3 perform · 4 flush · 5 serve `next()` · 6 note congestion · 7 report
 *   outcomes · 8 allow intake · 9 decode · 10 take controls · 11 gather requests · again while
 *   anything came · arm the timer
 *
 * **The effects of every step are performed in full before the next step.**
 *
 * A turn runs as soon as bytes come. Otherwise it runs after the promise callbacks of the consumer
 * and of the request stream (see `soon`), so that everything that one burst of events caused is
 * stepped, encoded and written together. Outcomes are reported after the effects of a step; user
 * code never runs inside one.
 */

import { soon } from '#runtime'
import type { Attempt } from '../connection/attempt.ts'
import type { ConnectionAuthenticator } from '../connection/authenticator.ts'
import type { Dialer, DialListener } from '../connection/dial.ts'
import type { Link } from '../connection/link.ts'
import type { Network } from '../connection/network.ts'
import { BugError, messageOf, type WarningCode } from '../errors.ts'
import type { Resolved } from '../options/resolve.ts'
import type { ByteStream } from '../platform/byte-stream.ts'
import { machine, type Platform } from '../platform/machine.ts'
import type { Effect, Input } from '../protocol/contract.ts'
import type { Failure, ProtocolVersion } from '../protocol/facts.ts'
import { initialSession, initialState } from '../protocol/initial.ts'
import { packetCapacity, requestVersion } from '../protocol/queries.ts'
import type { State } from '../protocol/state.ts'
import { nextDeadline } from '../protocol/timers.ts'
import { Intake, type IntakeListener } from '../requests/intake.ts'
import { Ledger, type LedgerListener } from '../requests/ledger.ts'
import type { PreparedControl } from '../requests/prepare-control.ts'
import { retryableOf } from '../requests/reconnect-policy.ts'
import type { Session } from '../requests/session.ts'
import type { Source } from '../requests/source.ts'
import type { Incoming, SubscribeRequest } from '../requests/vocabulary.ts'
import { begin, driveBy, keep, restore, wallOffsetMs } from './beginning.ts'
import { CommitGate, type CommitListener } from './commit-gate.ts'
import { performControl } from './controls.ts'
import { tickAt } from './deadline.ts'
import type { Diverter } from './diverter.ts'
import { end, endIfUnheard, leaveAndWait, resultAfterEnd } from './ending.ts'
import { Causes, rethrown } from './failures.ts'
import { Inbox } from './inbox.ts'
import { isAlive, isRunning, type Life } from './life.ts'
import {
  decode,
  handleBytes,
  lost,
  noteCongestion,
  opened,
  unauthenticated,
  written,
} from './link-events.ts'
import { isFinished } from './loop-state.ts'
import type { Driver, Ends, Parts, Thrown } from './parts.ts'
import { perform, release, settleLate, warn } from './perform.ts'
import type { Pings } from './pings.ts'
import { Recorder } from './recorder.ts'
import { Stepper } from './stepper.ts'
import { addRequests, allowIntake, collect, gather, requestsEnded } from './stream-events.ts'
import { takeNow, taken } from './taking.ts'
import type { Transitions } from './transitions.ts'

type Result = IteratorResult<Incoming, undefined>

/** Shared by all loops that have no inputs; never changed. */
const NO_INPUTS: Input[] = []

/**
 * A loop. Its methods are `private` and not `#`, because `#` methods add a hidden field to each
 * object, and an idle connection may hold 5 KB.
 */
export class Loop implements Parts, IntakeListener, LedgerListener, DialListener, CommitListener {
  readonly resolved: Resolved
  readonly platform: Platform
  readonly causes = new Causes()
  readonly ledger: Ledger
  readonly inbox: Inbox
  readonly intake: Intake
  readonly gate: CommitGate | null
  readonly recorder: Recorder | null
  life: Life = 'unbegun'
  ends: Ends | null = null
  retryable: Parts['retryable']
  network: Network | null = null
  diverter: Diverter | null = null
  watchers: Transitions | null = null

  dialer: Dialer | null = null
  link: Link | null = null
  attempt: Attempt | null = null
  authentication: ConnectionAuthenticator | null = null
  pings: Pings | null = null
  renewals: Map<number, SubscribeRequest> | null = null
  acking: Set<number> | null = null

  readonly #stepper: Stepper
  #inputs: Input[] = NO_INPUTS
  #scheduled = false
  #turning = false
  #timer: unknown = null
  #timerAt = Number.POSITIVE_INFINITY

  constructor(
    resolved: Resolved,
    requests: Source | null,
    controls: Source | null,
    driver: Driver | null,
  ) {
    const { options, config, session, store, clientId } = resolved
    this.resolved = resolved
    this.platform = options.platform ?? machine
    this.retryable = retryableOf(options.reconnect)
    this.recorder = options.recorder === undefined ? null : new Recorder(options.recorder)
    this.ledger = new Ledger(options.onSettled, this)
    this.inbox = new Inbox()
    this.inbox.manual = config.acks === 'manual'
    this.intake = new Intake(this.ledger, this)
    this.gate = store === null ? null : new CommitGate(store, this.ledger, this)
    this.intake.attach(requests, controls)
    this.#stepper = new Stepper(initialState(config, initialSession(clientId)))
    if (driver !== null) driveBy(this, driver)
    if (session !== null) restore(this, session)
  }

  get state(): State {
    return this.#stepper.state
  }

  snapshot(): State {
    return this.#stepper.snapshot()
  }

  // --- the iterator

  next(): Promise<Result> {
    const { inbox } = this
    if (this.life === 'unbegun' || this.life === 'established') begin(this)
    if (this.state.config.acks === 'pull') inbox.handled()
    if (inbox.unheard !== null) endIfUnheard(this, inbox.unheard)
    const packet = inbox.take()
    if (inbox.dirty) taken(this)
    if (packet !== undefined) return Promise.resolve({ done: false, value: packet })
    return this.life === 'over' ? resultAfterEnd(this) : inbox.wait()
  }

  tryNext(): Incoming | undefined {
    return takeNow(this)
  }

  /**
   * Ends the connection and closes the request stream, because the consumer left by `break` or
   * disposal.
   */
  async return(): Promise<Result> {
    await leaveAndWait(this)
    return { done: true, value: undefined }
  }

  // --- the inputs

  now(): number {
    return this.platform.now()
  }

  add(input: Input): void {
    if (this.#inputs === NO_INPUTS) this.#inputs = [input]
    else this.#inputs.push(input)
  }

  addFirst(input: Input): void {
    this.#inputs = [input, ...this.#inputs]
  }

  push(input: Input): void {
    addRequests(this, false)
    this.add(input)
    this.schedule()
  }

  run(input: Input): void {
    addRequests(this, false)
    this.add(input)
    this.turn()
  }

  takeInputs(): Input[] {
    const inputs = this.#inputs
    this.#inputs = NO_INPUTS
    return inputs
  }

  // --- the turns

  private schedule(): void {
    if (this.#scheduled || this.#turning || !isRunning(this.life)) return
    this.#scheduled = true
    soon(Loop.#scheduledTurn, this)
  }

  static #scheduledTurn(loop: Loop): void {
    loop.#scheduled = false
    loop.turn()
  }

  turn(): void {
    if (this.#turning || !isRunning(this.life)) return
    this.#turning = true
    try {
      do {
        // 1. Collect what happened as inputs.
        collect(this)
        if (this.#inputs.length === 0) break
        // 2. Step.
        const effects = this.advance(this.takeInputs())
        if (this.life === 'establishing' && this.state.connection.kind === 'connected') {
          return keep(this, effects)
        }
        // 3. Perform the effects.
        perform(this, effects)
        // 4. Hand the encoded packets to the transport.
        this.link?.outbox.flush()
        // 5. Resolve the `next()` calls that wait.
        this.inbox.serve()
        // 6. Note whether the transport is congested.
        noteCongestion(this)
        // 7. Report outcomes.
        this.ledger.report()
        // 8. Set how many requests may be taken.
        allowIntake(this)
        // 9. Decode the bytes that came meanwhile.
        decode(this, packetCapacity(this.state))
        // 10. Take controls.
        this.intake.takeControls()
        // 11. Gather requests.
        gather(this)
      } while (this.#inputs.length > 0 || this.intake.pending > 0 || this.inbox.dirty)
    } catch (error) {
      // An invariant does not hold, so that the state cannot be trusted.
      this.end({ reason: new BugError(`The loop met ${messageOf(error)}`, { cause: error }) })
    } finally {
      this.#turning = false
    }
    this.arm()
  }

  advance(inputs: readonly Input[]): readonly Effect[] {
    const stepper = this.#stepper
    const before = this.recorder === null ? null : stepper.snapshot()
    const effects = stepper.step(inputs)
    if (before !== null) this.recorder!.note(before, inputs, effects, stepper.snapshot())
    this.acking = null
    return effects
  }

  replaceState(state: State): void {
    this.#stepper.replace(state)
  }

  withoutTurns(action: () => void): void {
    this.#turning = true
    try {
      action()
    } finally {
      this.#turning = false
    }
  }

  // --- the timer

  private arm(): void {
    if (!isAlive(this.life)) return
    const due = nextDeadline(this.state)
    // A timer that fires early costs one extra check; one that fires late breaks a guarantee.
    if (this.#timer !== null && this.#timerAt <= due) return
    this.stopTimer()
    this.#timerAt = due
    if (due === Number.POSITIVE_INFINITY) return
    this.#timer = this.platform.setTimer(this.#tick, Math.max(0, Math.ceil(due - this.now())))
  }

  readonly #tick = (): void => {
    this.#timer = null
    this.#timerAt = Number.POSITIVE_INFINITY
    const at = this.now()
    if (at >= nextDeadline(this.state)) this.run(tickAt(this, at))
    else this.arm()
  }

  stopTimer(): void {
    if (this.#timer !== null) this.platform.clearTimer(this.#timer)
    this.#timer = null
  }

  // --- calls from the other parts

  fail(error: unknown): void {
    // A loop that only waits for its session store ends immediately.
    if (isFinished(this)) return this.end({ reason: error })
    const failure = rethrown(this.causes.keep(error))
    this.push({ type: 'shutdown', at: this.now(), failure })
  }

  warn(code: WarningCode, message: string, deviation?: string, cause?: unknown): void {
    warn(this, { code, message, deviation, cause })
  }

  end(error: Thrown | null): void {
    end(this, error)
  }

  version(): ProtocolVersion {
    return requestVersion(this.state)
  }

  clientId(): string {
    return this.state.session.clientId
  }

  gathered(): void {
    this.schedule()
  }

  control(prepared: PreparedControl, inTurn: boolean): void {
    addRequests(this, false)
    performControl(this, prepared, inTurn)
  }

  ended(error: { readonly thrown: unknown } | null): void {
    requestsEnded(this, error)
  }

  cancelled(handle: number, reason: unknown): void {
    this.push({ type: 'cancel', at: this.now(), handle, cause: this.causes.keep(reason) })
  }

  refused(): void {
    this.push({ type: 'refused', at: this.now(), count: 1 })
  }

  errorOf(failure: Failure): unknown {
    return this.causes.errorOf(failure)
  }

  unheard(packet: Incoming, error: unknown): void {
    if (this.state.config.packets === 'messages') this.fail(error)
    else this.inbox.noteUnheard(packet, error)
  }

  opened(stream: ByteStream, attempt: Attempt): void {
    opened(this, stream, attempt)
  }

  failed(error: unknown): void {
    lost(this, error, false)
  }

  readable(): void {
    handleBytes(this)
  }

  written(): void {
    written(this)
    this.schedule()
  }

  closed(error: unknown, byPeer: boolean): void {
    lost(this, error, byPeer)
  }

  unauthenticated(error: unknown): void {
    unauthenticated(this, error)
  }

  /** A committed session is final: nothing is sent before the commit that it depends on. */
  committable(): Session {
    return this.session(true)
  }

  settleLate(effects: readonly Effect[]): void {
    settleLate(this, effects)
  }

  release(effects: readonly Effect[], link: Link | null): void {
    release(this, effects, link)
  }

  session(final: boolean): Session {
    return this.ledger.session(this.snapshot().session, final, wallOffsetMs(this))
  }
}
