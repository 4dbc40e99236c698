/**
 * Every request that was taken, until its outcome is given: one for each. (D2, D6, D7)
 *
 * The reducers know requests by handles; here are the objects, where they came from, their keys and signals. Outcomes are
 * collected while effects are performed and given afterwards, so that a callback may push, control or abort.
 */

import { Encoder } from '../codec/encode.ts'
import { ConnectionError, UsageError } from '../errors.ts'
import type { Causes } from '../loop/failures.ts'
import type { EventloopOptions } from '../options/options.ts'
import { outcomeChannel } from '../platform/runtime.ts'
import type { Effect, SettleEffect } from '../protocol/contract.ts'
import type { Failure, ProtocolVersion, PublishFacts, RequestFacts } from '../protocol/facts.ts'
import { initialSession } from '../protocol/initial.ts'
import { TableEditor } from '../protocol/packet-table.ts'
import type { SessionState } from '../protocol/session-state.ts'
import { restoreSubscriptions } from '../protocol/subscriptions.ts'
import { prepare } from './build.ts'
import { Group } from './group.ts'
import type { PreparedControl, PreparedPublish } from './prepare.ts'
import { type HeldRecord, type Session, type SessionRecord, sessionOf } from './session.ts'
import { Held, type Sendable, type Slot } from './slots.ts'
import type { Source } from './source.ts'
import type { Control, Incoming, Outcome, SentRequest, Settling } from './vocabulary.ts'

/** What the loop does when something happens to a request from outside. */
export interface LedgerListener {
  cancelled(handle: number, reason: unknown): void
  /** A request got its outcome before the reducers heard of it. */
  refused(): void
  clientId(): string
  /** The loop cannot go on. */
  fatal(error: unknown): void
}

type Key = string | number

export interface Clock {
  now(): number
}

interface Due {
  readonly request: SentRequest
  readonly settling: Settling | null
  readonly outcome: Outcome
}

/** No slot has it. */
const NO_HANDLE = 0
/** It waits for others like it. */
export const JOINED = Symbol('joined')
const NEVER: Clock = { now: () => 0 }
/** Shared by all who have none; never changed. */
const NO_SLOTS: Slot[] = []
const NONE: ReadonlyMap<Key, Outcome> = new Map()
const OK: Outcome = Object.freeze({ ok: true })

export class Ledger {
  readonly #held = new Held()
  readonly #causes: Causes
  readonly #onSettled: EventloopOptions['onSettled']
  readonly #listener: LedgerListener
  #observer: ((request: SentRequest, outcome: Outcome) => void) | null = null
  /** Keys of requests without an outcome, and of those whose source has not confirmed it. */
  #keys: Map<Key, number> | null = null
  #settling: Map<Key, Outcome> | null = null
  #settlingShared = false
  /** QoS 0 publishes that the kernel has not taken, oldest first, from `#unconfirmedAt` on. */
  #unconfirmed: Slot[] = NO_SLOTS
  #unconfirmedAt = 0
  /** What may become a group: its first message, or the group from the second on. */
  #first: PreparedPublish | null = null
  #group: Group | null = null
  /** One for all groups: it has learnt how large they are. */
  #encoder: Encoder | null = null
  #due: Due[] | null = null
  /** There are keys of an earlier life, which a source may repeat. */
  #restored = false
  /** Outcomes that are being told, and how many of them were. */
  #telling: readonly Due[] = []
  #told = 0

  constructor(causes: Causes, onSettled: EventloopOptions['onSettled'], listener: LedgerListener) {
    this.#causes = causes
    this.#onSettled = onSettled
    this.#listener = listener
  }

  /**
   * Takes what a source gave: facts for the reducers, a control for the loop, JOINED where it waits for `closeGroup`, or null
   * where there is nothing to do.
   */
  accept(
    item: unknown,
    settling: Settling | null,
    version: ProtocolVersion,
    clock: Clock,
    grouping: boolean,
  ): RequestFacts | PreparedControl | typeof JOINED | null {
    if (typeof item === 'string' || item instanceof Uint8Array) {
      const given = typeof item === 'string' ? 'text' : 'bytes'
      throw new UsageError(
        `requests: the stream gives ${given}; requests or arrays of requests are expected`,
      )
    }
    let prepared: ReturnType<typeof prepare>
    try {
      prepared = prepare(item, version)
    } catch (error) {
      this.#refuse(item as SentRequest, settling, error)
      return null
    }
    if (prepared.kind === 'control') return prepared
    if (grouping && prepared.kind === 'publish' && Group.mayJoin(prepared)) {
      return this.#join(prepared, settling, version)
    }
    const { request } = prepared
    const { key } = request
    if (key !== undefined && this.#mayRepeat(settling) && this.#isKnown(key, request, settling)) {
      return null
    }
    if (request.signal?.aborted) {
      this.#refuse(request, settling, request.signal.reason)
      return null
    }
    return this.#enter(prepared, settling, clock)
  }

  #join(
    prepared: PreparedPublish,
    settling: Settling | null,
    version: ProtocolVersion,
  ): typeof JOINED {
    if (this.#group !== null) this.#group.add(prepared)
    else if (this.#first === null) {
      prepared.settling = settling
      this.#first = prepared
    } else {
      if (this.#encoder?.version !== version) this.#encoder = new Encoder(version)
      this.#group = new Group(settling, this.#encoder)
      this.#group.add(this.#first)
      this.#group.add(prepared)
    }
    return JOINED
  }

  /** What has joined since the last call: one message, or a group; null: nothing has. */
  closeGroup(): PublishFacts | null {
    const first = this.#first
    const group = this.#group
    this.#first = null
    this.#group = null
    if (group !== null) {
      group.close()
      const { bytes, retain, requests } = group
      const handle = this.#held.put(group)
      const count = requests.length
      return { kind: 'publish', handle, qos: 0, retain, bytes, expiresAt: 0, count }
    }
    return first === null ? null : (factsOf(first, this.#held.put(first), NEVER) as PublishFacts)
  }

  /** The messages of a group one by one. */
  takeApart(handle: number, version: ProtocolVersion): RequestFacts[] {
    const group = this.#held.remove(handle) as Group
    return group.requests.map((request) =>
      this.#enter(prepare(request, version) as Sendable, group.settling, NEVER),
    )
  }

  #enter(prepared: Sendable, settling: Settling | null, clock: Clock): RequestFacts {
    const { key, signal } = prepared.request
    const handle = this.#held.put(prepared)
    prepared.settling = settling
    if (signal !== undefined) prepared.unlisten = this.#listen(signal, handle)
    if (key !== undefined && !settling?.replays) this.#holdKey(key, handle)
    return factsOf(prepared, handle, clock)
  }

  /** A stream that replays gives no key twice, but for those of an earlier life. */
  #mayRepeat(settling: Settling | null): boolean {
    return this.#restored || settling?.replays !== true
  }

  #holdKey(key: Key, handle: number): void {
    this.#keys ??= new Map()
    this.#keys.set(key, handle)
  }

  #listen(signal: AbortSignal, handle: number): () => void {
    const abort = () => this.#listener.cancelled(handle, signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    return () => signal.removeEventListener('abort', abort)
  }

  /** D7: a request whose key is known is not sent again; its source hears the outcome once it is there, or again. */
  #isKnown(key: Key, request: SentRequest, settling: Settling | null): boolean {
    const handle = this.#keys?.get(key)
    if (handle !== undefined) {
      const slot = this.get(handle)
      if (slot !== undefined) slot.settling = settling
      return true
    }
    const outcome = this.#settling?.get(key)
    if (outcome === undefined) return false
    this.#owe({ request, settling, outcome })
    return true
  }

  /**
   * What of a batch is new, where an earlier life left keys. D7 is judged as a batch comes: until its rest is taken, the outcome of
   * what it repeats may have been told and forgotten.
   */
  sift(batch: readonly unknown[], settling: Settling | null): readonly unknown[] {
    if (!this.#restored) return batch
    return batch.filter((item) => {
      const { key } = (item ?? {}) as { key?: Key }
      return key === undefined || !this.#isKnown(key, item as SentRequest, settling)
    })
  }

  #refuse(request: SentRequest, settling: Settling | null, error: unknown): void {
    this.#listener.refused()
    this.#owe({ request, settling, outcome: { ok: false, error } })
  }

  /** What a request was made into; only what leaves at QoS 0 may be a group. */
  get(handle: number): Sendable | undefined {
    return this.#held.get(handle) as Sendable | undefined
  }

  /** QoS 0: it was handed over and has no handle any more, only its turn. */
  handOver(handle: number): Slot | undefined {
    const slot = this.#held.remove(handle)
    if (slot === undefined) return undefined
    if (slot.kind !== 'group') {
      // Its handle may be another's soon: too late to cancel it.
      slot.unlisten?.()
      slot.unlisten = null
      const { key } = slot.request
      if (key !== undefined && !slot.settling?.replays) this.#holdKey(key, NO_HANDLE)
    }
    if (this.#unconfirmed === NO_SLOTS) this.#unconfirmed = []
    this.#unconfirmed.push(slot)
    return slot
  }

  /** The oldest that were handed over; a group is confirmed whole, because it is written whole. */
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
      return this.#settle(slot, failure === null ? OK : this.#failed(failure, undefined))
    }
    if (failure === null && !this.#isWantedBy(settling)) return
    for (const request of slot.requests) {
      const outcome = failure === null ? OK : this.#failed(failure, undefined)
      this.#owe({ request, settling, outcome })
    }
  }

  settle(effect: SettleEffect): void {
    const { handle, failure } = effect
    const slot = (effect.release ? this.#held.remove(handle) : this.#held.get(handle)) as
      | Sendable
      | undefined
    if (slot === undefined || !effect.outcome) return
    if (failure === null && !this.#isWantedBy(slot.settling)) return this.#release(slot)
    const packet = effect.packet as Incoming | null
    if (failure !== null) this.#settle(slot, this.#failed(failure, packet ?? undefined))
    else this.#settle(slot, packet === null ? OK : { ok: true, packet })
  }

  /** Outcomes that wait for a commit: it remembers them by key, should the process end before they are told. (D7) */
  foresee(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type !== 'settle' || !effect.outcome) continue
      const slot = this.get(effect.handle)
      const key = slot?.settling ? slot.request.key : undefined
      if (key === undefined) continue
      this.#changeSettling(key, effect.failure === null ? OK : failedEarlier())
    }
  }

  #failed(failure: Failure, packet: Incoming | undefined): Outcome {
    const error = this.#causes.errorOf(failure)
    return packet === undefined ? { ok: false, error } : { ok: false, error, packet }
  }

  #settle(slot: Sendable, outcome: Outcome): void {
    const { request, settling } = slot
    this.#release(slot)
    if (!outcome.ok || this.#isWantedBy(settling)) this.#owe({ request, settling, outcome })
  }

  /** Nothing waits for this request any more. */
  #release({ request, unlisten }: Sendable): void {
    if (unlisten !== null) unlisten()
    if (request.key !== undefined) this.#keys?.delete(request.key)
  }

  /** Whether somebody hears of a good outcome; of a bad one, the loop at least. */
  #isHeardBy(settling: Settling | null): boolean {
    return settling !== null || this.#onSettled !== undefined || this.#observer !== null
  }

  #isWantedBy(settling: Settling | null): boolean {
    return this.#isHeardBy(settling) || outcomeChannel.hasSubscribers
  }

  #owe(due: Due): void {
    if (this.#due === null) this.#due = [due]
    else this.#due.push(due)
  }

  /** Gives the outcomes that are due. Whatever a callback throws, the others are still given. */
  tell(): void {
    while (this.#due !== null) {
      this.#telling = this.#due
      this.#due = null
      for (this.#told = 0; this.#told < this.#telling.length; ) {
        this.#tellOne(this.#telling[this.#told++]!)
      }
      this.#telling = []
    }
  }

  #tellOne({ request, settling, outcome }: Due): void {
    if (settling !== null) {
      try {
        const done = settling.settled(request, outcome)
        if (done === undefined) this.#confirmed(request?.key)
        else {
          if (request.key !== undefined) this.#changeSettling(request.key, outcome)
          Promise.resolve(done).then(
            () => this.#confirmed(request?.key),
            (error: unknown) => this.#listener.fatal(error),
          )
        }
      } catch (error) {
        this.#listener.fatal(error)
      }
    }
    this.#observer?.(request, outcome)
    if (outcomeChannel.hasSubscribers) {
      outcomeChannel.publish({ clientId: this.#listener.clientId(), request, outcome })
    }
    try {
      this.#onSettled?.(request, outcome)
    } catch (error) {
      this.#listener.fatal(error)
    }
    const unheard = !this.#isHeardBy(settling)
    if (unheard && !outcome.ok && outcome.packet === undefined && !isExpected(request, outcome)) {
      this.#listener.fatal(outcome.error)
    }
  }

  #confirmed(key: Key | undefined): void {
    if (key !== undefined && this.#settling?.has(key)) this.#changeSettling(key, null)
  }

  #changeSettling(key: Key, outcome: Outcome | null): void {
    if (this.#settling === null || this.#settlingShared) this.#settling = new Map(this.#settling)
    this.#settlingShared = false
    if (outcome === null) this.#settling.delete(key)
    else this.#settling.set(key, outcome)
  }

  /** The session as it is now. O(1): what it shows is read when it is asked for. */
  session(state: SessionState, final: boolean, wallOffsetMs: number): Session {
    const slots = this.#held.share()
    return sessionOf({ state, slots, settling: this.#unconfirmedKeys(), wallOffsetMs }, final)
  }

  /** Outcomes that their sources have not confirmed: those that are about to be told too. */
  #unconfirmedKeys(): ReadonlyMap<Key, Outcome> {
    const untold = [...this.#telling.slice(this.#told), ...(this.#due ?? [])]
    for (const { request, settling, outcome } of untold) {
      if (settling === null || request?.key === undefined) continue
      this.#changeSettling(request.key, outcome)
    }
    this.#settlingShared = true
    return this.#settling ?? NONE
  }

  /** Takes a session over: its requests get handles here, and the reducers a state that speaks of these. */
  restore(
    record: SessionRecord,
    source: Source | null,
    at: number,
    wallOffsetMs: number,
  ): SessionState {
    this.#restored = true
    const open = new TableEditor(initialSession('').open)
    const waiting = []
    let waitingExpiresAt = Number.POSITIVE_INFINITY
    let owed = 0
    for (const held of record.held) {
      const facts = this.#restoreOne(held, record, source, at, wallOffsetMs)
      const { order, strikes, stage, settled } = held
      if (stage === 'waiting') {
        waiting.push({ facts, order, strikes })
        if (facts.kind === 'publish' && facts.expiresAt > 0) {
          waitingExpiresAt = Math.min(waitingExpiresAt, facts.expiresAt)
        }
        continue
      }
      if (!settled) owed++
      open.set(held.messageId, {
        facts,
        stage,
        order,
        epoch: 0,
        touchedEpoch: 0,
        sentAt: 0,
        strikes,
        settled,
      })
    }
    const received = new TableEditor(initialSession('').received)
    for (const { messageId, deliveryId, stage, again } of record.received) {
      received.set(messageId, { deliveryId, sequence: 0, pendingSequence: 0, stage, again })
    }
    for (const [key, ok] of record.settling) {
      this.#changeSettling(key, ok ? OK : failedEarlier())
    }
    const { clientId, protocolVersion, nextMessageId, nextOrder, nextDeliveryId } = record
    return {
      ...initialSession(clientId),
      protocolVersion,
      open: open.finish(),
      owed,
      waiting,
      waitingExpiresAt,
      nextMessageId,
      nextOrder,
      cautiousBelow: record.cautiousBelow,
      received: received.finish(),
      nextDeliveryId,
      subscriptions: restoreSubscriptions(record.subscriptions),
      subscriptionCount: record.subscriptions.length,
      adopted: record.adopted,
    }
  }

  #restoreOne(
    { request, expiresAt, settled }: HeldRecord,
    { protocolVersion }: SessionRecord,
    source: Source | null,
    at: number,
    wallOffsetMs: number,
  ): RequestFacts {
    const prepared = prepare(request, protocolVersion === 0 ? 5 : protocolVersion) as Sendable
    // Its own source, in this life: the one that knows what its key means.
    const owner = request.key === undefined ? null : (source?.settling ?? null)
    const facts = this.#enter(prepared, owner, { now: () => at })
    // Where its outcome was given only the identifier is taken.
    if (request.key !== undefined) {
      if (settled) this.#keys?.delete(request.key)
      else this.#holdKey(request.key, facts.handle)
    }
    if (facts.kind !== 'publish' || expiresAt === 0) return facts
    return { ...facts, expiresAt: Math.max(1, expiresAt - wallOffsetMs) }
  }

  /** A stream came after its session: what is held by key is told to it. */
  rebind(source: Source | null): void {
    if (source === null || source.settling === null) return
    for (const handle of this.#keys?.values() ?? []) {
      const slot = this.get(handle)
      if (slot !== undefined) slot.settling ??= source.settling
    }
  }

  /** One more who hears every outcome, before the user does. */
  observe(observer: (request: SentRequest, outcome: Outcome) => void): void {
    this.#observer = observer
  }

  /** The answer to a `ping` or `reauthenticate` among the controls. */
  tellControl(control: Control, error: unknown, good: { roundTripMs?: number }): void {
    try {
      this.#onSettled?.(control, error === null ? { ok: true, ...good } : { ok: false, error })
    } catch (thrown) {
      this.#listener.fatal(thrown)
    }
  }

  /** The loop is over: nobody is listened to any more. What is held stays, for the session. */
  close(): void {
    for (const slot of this.#held.share()) slot?.unlisten?.()
  }
}

/** Of a failure a session keeps that it was one. */
function failedEarlier(): Outcome {
  const message = 'the request failed in an earlier life of its session'
  return { ok: false, error: new UsageError(message, { code: 'FAILED_EARLIER' }) }
}

/** The clock is asked only by what expires: a request is a matter of nanoseconds. */
function factsOf(prepared: Sendable, handle: number, clock: Clock): RequestFacts {
  const { bytes } = prepared
  switch (prepared.kind) {
    case 'publish': {
      const { qos, retain, expiryGiven } = prepared
      const expiresAt = expiryGiven ? clock.now() + prepared.expirySeconds * 1000 : 0
      return { kind: 'publish', handle, qos, retain, bytes, expiresAt, count: 1 }
    }
    case 'subscribe': {
      const { subscriptions, properties } = prepared
      return { kind: 'subscribe', handle, bytes, subscriptions, properties }
    }
    case 'unsubscribe':
      return {
        kind: 'unsubscribe',
        handle,
        bytes,
        unsubscriptions: prepared.unsubscriptions,
        properties: prepared.properties,
      }
  }
}

/** What nobody needs to be told of: the user cancelled it, or asked for "at most once" and the connection broke. */
function isExpected(request: SentRequest, outcome: Outcome & { ok: false }): boolean {
  const signal = request?.signal
  if (signal?.aborted && outcome.error === signal.reason) return true
  return (
    request?.cmd === 'publish' &&
    (request.qos ?? 0) === 0 &&
    outcome.error instanceof ConnectionError
  )
}

export function isControl(taken: RequestFacts | PreparedControl): taken is PreparedControl {
  return taken.kind === 'control'
}
