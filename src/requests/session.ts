/**
 * What outlives a connection, a loop, and as text a process: requests without an outcome, received identifiers,
 * subscriptions.
 *
 * A session of a running loop is a moment's copy: it is marked as not final, and restoring it forgets what was received and
 * promises at least once, because the broker has gone on since. That of a loop that has ended is final.
 */

import { UsageError } from '../errors.ts'
import { sha256Hex } from '../platform/runtime.ts'
import type { ProtocolVersion, RequestFacts } from '../protocol/facts.ts'
import { entries } from '../protocol/packet-table.ts'
import type {
  HeldSubscription,
  OpenRequest,
  OpenStage,
  ReceivedMessage,
  SessionState,
  WaitingRequest,
} from '../protocol/session-state.ts'
import { subscriptionsOf } from '../protocol/subscriptions.ts'
import type { Slots } from './slots.ts'
import type { Base64, Outcome, SentRequest } from './vocabulary.ts'

/** A request without an outcome. */
export interface HeldRecord {
  readonly request: SentRequest
  readonly order: number
  readonly strikes: number
  /** Wall clock, ms; 0: never. */
  readonly expiresAt: number
  /** Its identifier, where it has one. */
  readonly messageId: number
  readonly stage: OpenStage | 'waiting'
  /** Its outcome was given: only the identifier is still taken. */
  readonly settled: boolean
}

export interface ReceivedRecord {
  readonly messageId: number
  readonly deliveryId: number
  readonly stage: 'unseen' | 'restored' | 'handled'
  readonly again: boolean
}

/** A session in full, plain but for the request objects. */
export interface SessionRecord {
  readonly clientId: string
  readonly protocolVersion: ProtocolVersion | 0
  readonly final: boolean
  readonly nextMessageId: number
  readonly nextOrder: number
  readonly nextDeliveryId: number
  readonly cautiousBelow: number
  readonly adopted: boolean
  readonly held: readonly HeldRecord[]
  readonly received: readonly ReceivedRecord[]
  readonly subscriptions: readonly HeldSubscription[]
  /** Keys whose outcome was given while the source has not confirmed it (D7). */
  readonly settling: readonly (readonly [key: string | number, ok: boolean])[]
}

/** A session as it lives in a loop: nothing in it changes any more. */
export interface SessionParts {
  readonly state: SessionState
  readonly slots: Slots
  readonly settling: ReadonlyMap<string | number, Outcome>
  /** What to add to the loop's clock for the wall clock. */
  readonly wallOffsetMs: number
}

/** The part of a loop that outlives a connection: `eventloop({ …, session })` goes on with it. */
export class Session {
  readonly clientId: string
  /** What the broker agreed to; 0: no CONNACK yet. */
  readonly protocolVersion: ProtocolVersion | 0
  /** Whether it was taken after the loop had ended. */
  readonly final: boolean
  /** @internal Null: it was read from a text or a disk. */
  readonly parts: SessionParts | null
  #made: SessionRecord | undefined

  /** @internal */
  constructor(
    { clientId, protocolVersion, final }: SessionHead,
    source: { readonly parts: SessionParts } | { readonly record: SessionRecord },
  ) {
    this.clientId = clientId
    this.protocolVersion = protocolVersion
    this.final = final
    this.parts = 'parts' in source ? source.parts : null
    this.#made = 'parts' in source ? undefined : source.record
  }

  /** The requests that were taken and have no outcome yet, in their order: the same objects. */
  get held(): readonly SentRequest[] {
    return this.record()
      .held.filter(({ settled }) => !settled)
      .map(({ request }) => request)
  }

  /** @internal */
  record(): SessionRecord {
    this.#made ??= recordOf(this.parts!, this.final)
    return this.#made
  }
}

type SessionHead = Pick<SessionRecord, 'clientId' | 'protocolVersion' | 'final'>

/** What `options.session` may be to keep a session on disk. */
export interface SessionStore {
  /** The session that was committed last; null: none was, and the first connection begins one (MQTT 5: Clean Start 1). */
  load(): Promise<Session | null>
  /**
   * Resolves once the session is safe; what rests on it leaves only then. Calls never overlap. A rejection ends the loop with a
   * StorageError.
   */
  commit(session: Session): Promise<void>
  /** The last call, after one more commit; the loop tells its end once this has resolved. */
  close(): Promise<void>
}

/** A copy of a loop's session. O(1): what it shows is made when it is asked for. */
export function sessionOf(parts: SessionParts, final: boolean): Session {
  const { clientId, protocolVersion } = parts.state
  return new Session({ clientId, protocolVersion, final }, { parts })
}

function recordOf(parts: SessionParts, final: boolean): SessionRecord {
  const { state, settling } = parts
  const held: HeldRecord[] = []
  for (const [messageId, request] of entries(state.open)) {
    held.push(...openRecords(parts, messageId, request))
  }
  held.sort((a, b) => a.order - b.order)
  for (const request of state.waiting.slice(state.waitingAt)) {
    held.push(...waitingRecords(parts, request))
  }
  return {
    ...numbersOf(state),
    final,
    held,
    received: [...entries(state.received)].map(([id, message]) => receivedRecord(id, message)),
    subscriptions: subscriptionsOf(state.subscriptions),
    settling: [...settling].map(([key, { ok }]) => [key, ok] as const),
  }
}

/** What of a record is no list. */
export function numbersOf(state: SessionState) {
  const { clientId, protocolVersion, nextMessageId, nextOrder, nextDeliveryId } = state
  const { cautiousBelow, adopted } = state
  return {
    clientId,
    protocolVersion,
    nextMessageId,
    nextOrder,
    nextDeliveryId,
    cautiousBelow,
    adopted,
  }
}

/** One, or none where it is the engine's own. */
export function openRecords(
  parts: SessionParts,
  messageId: number,
  { facts, stage, order, strikes, settled }: OpenRequest,
): HeldRecord[] {
  const rest = { order, strikes, expiresAt: expiryOf(parts, facts), messageId, stage, settled }
  return requestsIn(parts.slots[facts.handle]).map((request) => ({ ...rest, request }))
}

/** One, or those of a group. */
export function waitingRecords(
  parts: SessionParts,
  { facts, order, strikes }: WaitingRequest,
): HeldRecord[] {
  const rest = { order, strikes, expiresAt: expiryOf(parts, facts), messageId: 0, settled: false }
  const stage = 'waiting'
  return requestsIn(parts.slots[facts.handle]).map((request) => ({ ...rest, stage, request }))
}

function expiryOf({ wallOffsetMs }: SessionParts, facts: RequestFacts): number {
  return facts.kind === 'publish' && facts.expiresAt > 0 ? facts.expiresAt + wallOffsetMs : 0
}

export function receivedRecord(
  messageId: number,
  { deliveryId, stage, again }: ReceivedMessage,
): ReceivedRecord {
  const arrived = stage === 'arrived'
  return { messageId, deliveryId, stage: arrived ? 'restored' : stage, again: again || arrived }
}

function requestsIn(slot: Slots[number]): readonly SentRequest[] {
  if (slot === undefined) return []
  return slot.kind === 'group' ? slot.requests : [slot.request]
}

// ------------------------------------------------------------------------------------------------------------------- text

const MAGIC = 'it-mqtt session'
const FORMAT = 1

/** A session as text: one line that names format and checksum, one of JSON. */
export function encodeSession(session: Session): string {
  if (!(session instanceof Session)) {
    throw new UsageError('session: a Session is expected, as `loop.session` gives it')
  }
  const record = session.record()
  const held = record.held.map((one) => ({ ...one, request: textual(one.request) }))
  const body = JSON.stringify({ ...record, held })
  return `${MAGIC} ${FORMAT} ${checksum(body)}\n${body}\n`
}

/** @throws UsageError where the text is damaged, foreign, or of a later format. */
export function decodeSession(text: string): Session {
  if (typeof text !== 'string') throw new UsageError('session: a text is expected')
  const [head = '', body = '', ...tail] = text.split('\n')
  const match = /^it-mqtt session (\d+) ([0-9a-f]{64})$/.exec(head)
  if (match === null) {
    throw new UsageError(
      'session: this is not the text of a session (its first line does not say so)',
    )
  }
  if (Number(match[1]) !== FORMAT) {
    throw new UsageError(
      `session: format ${match[1]} is unknown, this version reads format ${FORMAT}`,
    )
  }
  if (checksum(body) !== match[2] || tail.length !== 1 || tail[0] !== '') {
    throw new UsageError(
      'session: the text is damaged (its checksum does not match); use an earlier copy or begin anew',
    )
  }
  const saved = parse(body)
  return new Session(saved, { record: saved })
}

function parse(body: string): SessionRecord {
  let saved: Partial<SessionRecord> | null = null
  try {
    saved = JSON.parse(body)
  } catch {
    // Said below: the checksum is right, so somebody made it.
  }
  const lists = [saved?.held, saved?.received, saved?.subscriptions, saved?.settling]
  const numbers = [saved?.nextMessageId, saved?.nextOrder, saved?.nextDeliveryId]
  const whole =
    typeof saved?.clientId === 'string' &&
    lists.every((list) => Array.isArray(list)) &&
    numbers.every((number) => Number.isInteger(number))
  if (!whole) throw new UsageError('session: the text holds no session')
  return saved as SessionRecord
}

/** What may be taken from a record: the broker has gone on since a copy that is not final. `random`: 0 ≤ r < 1. */
export function restorable(record: SessionRecord, random: number): SessionRecord {
  if (record.final) return record
  // Received identifiers may be those of other messages now, and ours may be taken.
  return { ...record, received: [], nextMessageId: farFrom(record.nextMessageId, random) }
}

/** Identifiers that the broker may have seen since are far away, those of another life from the same copy too as a rule. */
function farFrom(messageId: number, random: number): number {
  const distance = 16_384 + Math.floor(random * 32_768)
  return ((messageId + distance) % 65_535) + 1
}

function checksum(body: string): string {
  return sha256Hex(body)
}

/** A request as plain JSON: bytes as base64, no signal. */
export function textual(request: SentRequest): object {
  const { signal, ...plain } = request
  if (plain.cmd !== 'publish') return plain
  const { payload, properties, ...rest } = plain
  return {
    ...rest,
    ...(payload === undefined ? {} : { payload: bytesAsText(payload) }),
    ...(properties === undefined
      ? {}
      : {
          properties: {
            ...properties,
            ...(properties.correlationData === undefined
              ? {}
              : { correlationData: bytesAsText(properties.correlationData) }),
          },
        }),
  }
}

function bytesAsText(value: string | Uint8Array | Base64): string | Base64 {
  return value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value
}
