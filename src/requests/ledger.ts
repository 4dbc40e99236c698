/**
 * Where is every request that was taken, until its outcome is reported? (D2, every request taken is
 * settled once, or held; D6, one bad request never stalls the others)
 *
 * The reducers know requests by handles. The ledger has the objects behind them, the streams that
 * they came from, their keys and their signals.
 */
import { abortReason, ignoreAbort, listenForAbort } from '../platform/abort-listeners.ts'
import type { Effect, SettleEffect } from '../protocol/contract.ts'
import type {
  Failure,
  ProtocolVersion,
  PublishFacts,
  RequestFacts,
  ServerPacket,
} from '../protocol/facts.ts'
import type { SessionState } from '../protocol/session-state.ts'
import { noRequests } from './check.ts'
import { named, refusedError } from './failure-error.ts'
import { Group, GroupBuilder } from './group.ts'
import { type Key, Keys, NO_OUTCOMES } from './keys.ts'
import { failedEarlier, OK, Outcomes, type OutcomesListener } from './outcomes.ts'
import { type Clock, NO_CLOCK, prepare, requestFacts, type Sendable } from './prepare.ts'
import type { PreparedControl } from './prepare-control.ts'
import { restoreState } from './restore.ts'
import { type Session, sessionOf } from './session.ts'
import type { HeldRecord, SessionRecord } from './session-records.ts'
import { type Slot, SlotTable } from './slots.ts'
import type { Source } from './source.ts'
import type { Control, Incoming, Outcome, Request, SentRequest, Settling } from './vocabulary.ts'

/** The loop implements it; it learns of what happens to requests outside of the reducers. */
export interface LedgerListener extends OutcomesListener {
  /** The signal of a request was aborted. */
  cancelled(handle: number, reason: unknown): void
  /** A request was settled before the reducers knew of it. */
  refused(): void
  /** @returns the error that the user is given for a failure of the reducers. */
  errorOf(failure: Failure): unknown
  /** This packet refuses a request, and nobody else is given the outcome. */
  unheard(packet: Incoming, error: unknown): void
}

/** The handle of a request that has no slot any more. */
const NO_HANDLE = 0
/** The request waits in a group, which `closeGroup` takes. */
export const JOINED = Symbol('joined')
/** Shared by all ledgers with none; never changed. */
const NO_SLOTS: Slot[] = []

export class Ledger {
  readonly #slots = new SlotTable()
  readonly #outcomes: Outcomes
  readonly #listener: LedgerListener
  /** Null until a request has a key, or a session is restored. */
  #keys: Keys | null = null
  /** QoS 0 publishes that the kernel has not taken, oldest first, from `#unconfirmedAt` on. */
  #unconfirmed: Slot[] = NO_SLOTS
  #unconfirmedAt = 0
  #groups: GroupBuilder | null = null

  constructor(
    onSettled: ((request: Request, outcome: Outcome) => void) | undefined,
    listener: LedgerListener,
  ) {
    this.#outcomes = new Outcomes(onSettled, listener)
    this.#listener = listener
  }

  // ---------------------------------------------------------------------------------------- taking

  /**
   * Takes what a stream gave.
   *
   * @returns facts for the reducers, or a control for the loop, or JOINED if the request waits for
   * `closeGroup`, or null if there is nothing to do: its outcome is due, or its key is held.
   * @throws UsageError if the stream gives text or bytes.
   */
  accept(
    item: unknown,
    settling: Settling | null,
    version: ProtocolVersion,
    clock: Clock,
    grouping: boolean,
  ): RequestFacts | PreparedControl | typeof JOINED | null {
    if (typeof item === 'string' || item instanceof Uint8Array) throw noRequests(item)
    let prepared: ReturnType<typeof prepare>
    try {
      prepared = prepare(item, version)
    } catch (error) {
      this.#refuse(item as SentRequest, settling, error)
      return null
    }
    if (prepared.kind === 'control') return prepared
    if (grouping && prepared.kind === 'publish' && Group.mayJoin(prepared)) {
      this.#groups ??= new GroupBuilder()
      this.#groups.add(prepared, settling, version)
      return JOINED
    }
    const { request } = prepared
    const { key } = request
    if (key !== undefined && this.#mayRepeat(settling) && this.#isKnown(key, request, settling)) {
      return null
    }
    if (request.signal?.aborted) {
      this.#refuse(request, settling, abortReason(request.signal))
      return null
    }
    return this.#enter(prepared, settling, clock)
  }

  /** @returns the facts of what has joined since the last call, or null if nothing has. */
  closeGroup(): PublishFacts | null {
    const taken = this.#groups === null ? null : this.#groups.take()
    if (taken === null) return null
    const handle = this.#slots.put(taken)
    if (taken.kind === 'publish') return requestFacts(taken, handle, NO_CLOCK) as PublishFacts
    const { bytes, retain, requests } = taken
    const count = requests.length
    const facts = { handle, qos: 0, retain, bytes, expiresAt: 0, count } as const
    return { kind: 'publish', ...facts, hasProperties: false }
  }

  /** Takes a group apart. @returns the facts of its messages one by one. */
  takeApart(handle: number, version: ProtocolVersion): RequestFacts[] {
    const group = this.#slots.remove(handle) as Group
    return group.requests.map((request) =>
      this.#enter(prepare(request, version) as Sendable, group.settling, NO_CLOCK),
    )
  }

  #enter(prepared: Sendable, settling: Settling | null, clock: Clock): RequestFacts {
    const { key, signal } = prepared.request
    const handle = this.#slots.put(prepared)
    prepared.settling = settling
    if (signal !== undefined) prepared.unlisten = this.#listen(signal, handle)
    if (key !== undefined && !settling?.replays) this.#needKeys().hold(key, handle)
    return requestFacts(prepared, handle, clock)
  }

  #listen(signal: AbortSignal, handle: number): () => void {
    const abort = () => this.#listener.cancelled(handle, abortReason(signal))
    listenForAbort(signal, abort)
    return () => ignoreAbort(signal, abort)
  }

  #refuse(request: SentRequest, settling: Settling | null, error: unknown): void {
    // What was given may be anything, also null.
    if ((request as SentRequest | null)?.key !== undefined) this.#needKeys()
    this.#listener.refused()
    this.#outcomes.add({ request, settling, outcome: { ok: false, error } })
  }

  // ------------------------------------------------------------------------------------------ keys

  #needKeys(): Keys {
    this.#keys ??= new Keys()
    return this.#keys
  }

  /** A stream that replays gives no key twice, except for keys that a saved session brought. */
  #mayRepeat(settling: Settling | null): boolean {
    return settling?.replays !== true || this.#keys?.restored === true
  }

  /**
   * @returns whether the session holds the key (D7, a key that the session holds is not sent
   *   again). The stream is given the outcome: when it is known, or again.
   */
  #isKnown(key: Key, request: SentRequest, settling: Settling | null): boolean {
    const keys = this.#keys
    if (keys === null) return false
    const handle = keys.handleOf(key)
    if (handle !== undefined) {
      const slot = this.get(handle)
      if (slot !== undefined) slot.settling = settling
      return true
    }
    const outcome = keys.outcomeOf(key)
    if (outcome === undefined) return false
    this.#outcomes.add({ request, settling, outcome })
    return true
  }

  /**
   * @returns the requests of a batch that are new. If a saved session brought keys, the whole batch
   *   is compared with them when it arrives: later the outcome of a request that it repeats may
   *   have been reported, and the key forgotten.
   */
  sift(batch: readonly unknown[], settling: Settling | null): readonly unknown[] {
    if (!this.#keys?.restored) return batch
    return batch.filter((item) => {
      const { key } = (item ?? {}) as { key?: Key }
      return key === undefined || !this.#isKnown(key, item as SentRequest, settling)
    })
  }

  /**
   * Attaches a stream that came after its session: it is given the outcomes of requests with keys.
   */
  rebind(source: Source | null): void {
    if (source === null || source.settling === null) return
    for (const handle of this.#keys?.handles() ?? []) {
      const slot = this.get(handle)
      if (slot !== undefined) slot.settling ??= source.settling
    }
  }

  // -------------------------------------------------------------------------------------- settling

  /** @returns the prepared request, or undefined. A group is not asked for by its handle. */
  get(handle: number): Sendable | undefined {
    return this.#slots.get(handle) as Sendable | undefined
  }

  /**
   * Frees the handle of a QoS 0 publish that is being written. `confirm` settles it once the kernel
   * has taken it.
   * @returns its slot, or undefined if the handle is free.
   */
  handOver(handle: number): Slot | undefined {
    const slot = this.#slots.remove(handle)
    if (slot === undefined) return undefined
    if (slot.kind !== 'group') {
      // Another request may soon have its handle, so it cannot be cancelled any more.
      slot.unlisten?.()
      slot.unlisten = null
      const { key } = slot.request
      if (key !== undefined && !slot.settling?.replays) this.#needKeys().hold(key, NO_HANDLE)
    }
    if (this.#unconfirmed === NO_SLOTS) this.#unconfirmed = []
    this.#unconfirmed.push(slot)
    return slot
  }

  /** Settles the oldest that were handed over. A group is written, and so confirmed, as a whole. */
  confirm(count: number, failure: Failure | null): void {
    let left = count
    while (left > 0) {
      const slot = this.#unconfirmed[this.#unconfirmedAt++]!
      left -= slot.kind === 'group' ? slot.requests.length : 1
      this.#confirmOne(slot, failure)
    }
    if (this.#unconfirmedAt < this.#unconfirmed.length) return
    this.#unconfirmed = NO_SLOTS
    this.#unconfirmedAt = 0
  }

  #confirmOne(slot: Slot, failure: Failure | null): void {
    const { settling } = slot
    if (slot.kind !== 'group') {
      return this.#settle(slot, failure === null ? OK : this.#failed(failure, slot.request, null))
    }
    if (failure === null && !this.#outcomes.isWantedBy(settling)) return
    for (const request of slot.requests) {
      const outcome = failure === null ? OK : this.#failed(failure, request, null)
      this.#outcomes.add({ request, settling, outcome })
    }
  }

  settle(effect: SettleEffect): void {
    const { handle, failure } = effect
    const slot = (effect.release ? this.#slots.remove(handle) : this.#slots.get(handle)) as
      | Sendable
      | undefined
    if (slot === undefined || !effect.outcome) return
    if (failure === null && !this.#outcomes.isWantedBy(slot.settling)) return this.#release(slot)
    const packet = effect.packet as Incoming | null
    if (failure === null) return this.#settle(slot, packet === null ? OK : { ok: true, packet })
    const outcome = this.#failed(failure, slot.request, packet)
    this.#settle(slot, outcome)
    if (packet === null || outcome.ok || this.#outcomes.isHeardBy(slot.settling)) return
    this.#listener.unheard(packet, outcome.error)
  }

  /**
   * Remembers, by key, outcomes that wait for a commit, so that the commit stores them: the process
   * may end before they are reported.
   */
  rememberOutcomes(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type !== 'settle' || !effect.outcome) continue
      const slot = this.get(effect.handle)
      const key = slot?.settling ? slot.request.key : undefined
      if (key === undefined) continue
      this.#needKeys().rememberOutcome(key, effect.failure === null ? OK : failedEarlier())
    }
  }

  #failed(failure: Failure, request: SentRequest, packet: Incoming | null): Outcome {
    if (packet === null)
      return { ok: false, error: this.#listener.errorOf(named(failure, request)) }
    return { ok: false, error: refusedError(failure, packet as ServerPacket, request), packet }
  }

  #settle(slot: Sendable, outcome: Outcome): void {
    const { request, settling } = slot
    this.#release(slot)
    if (outcome.ok && !this.#outcomes.isWantedBy(settling)) return
    this.#outcomes.add({ request, settling, outcome })
  }

  #release({ request, unlisten }: Sendable): void {
    if (unlisten !== null) unlisten()
    if (request.key !== undefined) this.#keys?.release(request.key)
  }

  // ------------------------------------------------------------------------------------- reporting

  /** @returns the handles of the requests whose outcomes somebody may be waiting for. */
  heardHandles(): number[] {
    return this.#outcomes.heardAmong(this.#slots.share())
  }

  /** Reports the outcomes that are due. If a callback throws, the others are still reported. */
  report(): void {
    this.#outcomes.report(this.#keys)
  }

  /**
   * Reports the answer to a `ping` or `reauthenticate` of a stream. `error` is null if it is good.
   */
  reportControl(control: Control, error: unknown, good: { roundTripMs?: number }): void {
    this.#outcomes.reportControl(control, error, good)
  }

  /** Has every outcome reported to code of this package, before the user. */
  observe(observer: (request: SentRequest, outcome: Outcome) => void): void {
    this.#outcomes.observer = observer
  }

  /** Stops listening to signals, because the loop is over. What is held stays, for the session. */
  close(): void {
    for (const slot of this.#slots.share()) slot?.unlisten?.()
  }

  // --------------------------------------------------------------------------------------- session

  /** @returns the session as it is now. O(1): its content is made when somebody reads it. */
  session(state: SessionState, final: boolean, wallOffsetMs: number): Session {
    const slots = this.#slots.share()
    return sessionOf({ state, slots, settling: this.#unconfirmedOutcomes(), wallOffsetMs }, final)
  }

  /** @returns the outcomes that their streams have not confirmed, also those not reported yet. */
  #unconfirmedOutcomes(): ReadonlyMap<Key, Outcome> {
    const keys = this.#keys
    if (keys === null) return NO_OUTCOMES
    for (const { request, settling, outcome } of this.#outcomes.unreported()) {
      if (settling === null || request?.key === undefined) continue
      keys.rememberOutcome(request.key, outcome)
    }
    return keys.shareOutcomes()
  }

  /** Takes a saved session over. @returns the state from which the reducers go on. */
  restore(
    record: SessionRecord,
    source: Source | null,
    at: number,
    wallOffsetMs: number,
  ): SessionState {
    const keys = this.#needKeys()
    keys.restored = true
    const version = record.protocolVersion === 0 ? 5 : record.protocolVersion
    const clock = { now: () => at }
    const state = restoreState(record, (held) => {
      const facts = this.#restoreOne(held, version, source, clock)
      if (facts.kind !== 'publish' || held.expiresAt === 0) return facts
      return { ...facts, expiresAt: Math.max(1, held.expiresAt - wallOffsetMs) }
    })
    for (const [key, ok] of record.settling) keys.rememberOutcome(key, ok ? OK : failedEarlier())
    return state
  }

  #restoreOne(
    { request, settled }: HeldRecord,
    version: ProtocolVersion,
    source: Source | null,
    clock: Clock,
  ): RequestFacts {
    const { key } = request
    // Only the stream that gave the key knows what it means.
    const settling = key === undefined ? null : (source?.settling ?? null)
    const facts = this.#enter(prepare(request, version) as Sendable, settling, clock)
    if (key === undefined) return facts
    // Once the outcome is given, only the packet identifier is in use.
    if (settled) this.#needKeys().release(key)
    else this.#needKeys().hold(key, facts.handle)
    return facts
  }
}

/** @returns whether `accept` returned a control. */
export function isControl(taken: RequestFacts | PreparedControl): taken is PreparedControl {
  return taken.kind === 'control'
}
