/**
 * How do requests leave, and to whom are answers given? One table of those who wait, by
 * correlation; one subscription of the response topic; one timer for all deadlines.
 *
 * A request leaves when the server has granted the response topic (Q1, the response filter is
 * granted first). One who waits stands in the table before its request is handed to the connection,
 * and is taken out with its answer (Q2, a response resolves one request, once).
 */
import {
  type IncomingPublish,
  type ProtocolVersion,
  type PublishProperties,
  type PublishRequest,
  type UserProperties,
  validateTopic,
} from '../../index.ts'
import type { Core, Listener, OutcomeListener } from '../core.ts'
import { AnswerTopics } from './answer-topics.ts'
import { type GivenAnswer, readPlain, WIRE_NAMES } from './answers.ts'
import {
  bytesOfLatin1,
  CORRELATION_SIZE,
  hexOfLatin1,
  latin1Of,
  latin1OfHex,
  randomCorrelation,
} from './correlation.ts'
import { Deadlines } from './deadlines.ts'
import { readAnswer, writeEnvelope } from './envelope.ts'
import { LaneOrder } from './lane-order.ts'
import { RequestCounts } from './request-counts.ts'
import { endedBefore } from './request-errors.ts'
import type { AnswerWaiter, LaneMember, RequestHost } from './waiter.ts'
import { WaiterTable } from './waiter-table.ts'

/** Credit and cancels are published only to topics that end so, whatever a responder names. */
export const CONTROL_LEVEL = '/itm-control'

const IGNORED: OutcomeListener = { published() {}, failed() {} }

export class RequestDesk implements RequestHost {
  readonly core: Core
  readonly deadlines: Deadlines
  readonly counts = new RequestCounts()
  readonly #waiters = new WaiterTable<AnswerWaiter>()
  readonly #lanes = new LaneOrder<LaneMember>()
  readonly #topics: AnswerTopics
  readonly #random: () => number
  /** Those whose request leaves when the response topic is granted. */
  readonly #waiting = new Set<AnswerWaiter>()
  #listener: Listener | null = null
  #granted = false
  #wanting = 0
  #order = 0
  /** Those in lanes whose turn has come. */
  #turns: LaneMember[] | null = null
  #end: { readonly error: unknown } | null = null

  constructor(core: Core) {
    this.core = core
    this.deadlines = new Deadlines(core.clock)
    this.#topics = new AnswerTopics(core)
    this.#random = () => core.clock.random()
    core.onConnected(() => this.#connected())
    core.onEnd((error) => this.#ended(error))
  }

  /** How many connections were lost so far. */
  get losses(): number {
    return this.core.connected ? this.core.epoch - 1 : this.core.epoch
  }

  /** Somebody begins (1) or ends (-1) to await an answer. */
  wants(by: 1 | -1): void {
    this.#wanting += by
    if (this.#wanting === (by === 1 ? 1 : 0)) this.core.wants(by)
  }

  /** A request begins to wait. @returns whether it may be sent. */
  opened(waiter: AnswerWaiter): boolean {
    this.counts.open++
    const { signal } = waiter.ask
    if (signal?.aborted) {
      waiter.reject(signal.reason)
      return false
    }
    signal?.addEventListener('abort', waiter)
    return true
  }

  closed(waiter: AnswerWaiter): void {
    this.counts.open--
    this.deadlines.remove(waiter)
    waiter.ask.signal?.removeEventListener('abort', waiter)
    this.forget(waiter)
  }

  /** Nobody waits for the answer of the last attempt any more, or for the grant before it. */
  forget(waiter: AnswerWaiter): void {
    const { ask, correlation } = waiter
    if (ask.rare?.responses !== undefined) this.#topics.remove(waiter)
    this.#waiting.delete(waiter)
    if (this.#waiters.delete(correlation)) this.counts.giveUp(correlation)
  }

  /** Counts and reports how a request ended. */
  report(waiter: AnswerWaiter, code: string | null, via: 'mqtt' | 'fallback'): void {
    if (code !== null) this.counts.rejected(code)
    const { clock, requestChannel } = this.core
    if (!requestChannel.hasSubscribers) return
    // It is read from the state of the loop, which is too expensive for each request.
    const { clientId } = this.core
    const { attempt, operation: key, startedAt } = waiter
    const ms = clock.now() - startedAt
    requestChannel.publish({ clientId, topic: waiter.ask.topic, key, attempt, code, ms, via })
  }

  // ----------------------------------------------------------------------------------------- lanes

  joinLane(lane: string, member: LaneMember): boolean {
    return this.#lanes.join(lane, member)
  }

  /** Those whose turn comes while another one takes its turn are called after it, in a loop. */
  leaveLane(lane: string, member: LaneMember): void {
    const next = this.#lanes.leave(lane, member)
    if (next === undefined) return
    if (this.#turns !== null) {
      this.#turns.push(next)
      return
    }
    const turns = [next]
    this.#turns = turns
    for (const turn of turns) turn.takeTurn()
    this.#turns = null
  }

  // --------------------------------------------------------------------------------------- sending

  /** Sends an attempt as soon as its answer can come. */
  send(waiter: AnswerWaiter): void {
    if (this.#end !== null || this.core.closing) {
      return waiter.reject(endedBefore(waiter.ask.topic, this.#end?.error ?? null))
    }
    const responses = waiter.ask.rare?.responses
    if (responses !== undefined) {
      this.#topics.add(waiter, responses, () =>
        this.#post(waiter, foreignRequest(waiter, this.core.protocolVersion)),
      )
      return
    }
    if (this.#granted) return this.#attempt(waiter)
    this.#waiting.add(waiter)
    this.#listen()
  }

  #listen(): void {
    if (this.#listener !== null || this.core.epoch === 0) return
    const listener = this.core.listen(this.core.responseTopic(), 0, (packet) =>
      this.#receive(packet),
    )
    this.#listener = listener
    listener.granted.then(
      () => {
        this.#granted = true
        for (const waiter of this.#takeWaiting()) if (!waiter.isSettled) this.#attempt(waiter)
      },
      (error: unknown) => {
        this.#listener = null
        for (const waiter of this.#takeWaiting()) waiter.reject(error)
      },
    )
  }

  #takeWaiting(): readonly AnswerWaiter[] {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    return waiting
  }

  #attempt(waiter: AnswerWaiter): void {
    const bytes = randomCorrelation(this.#random)
    if (waiter.correlation !== '') this.forget(waiter)
    waiter.correlation = latin1Of(bytes)
    waiter.order = this.#order++
    this.#waiters.add(waiter)
    const isPlain = this.core.protocolVersion === 5
    waiter.attempt++
    this.#post(waiter, isPlain ? this.#plain(waiter, bytes) : this.#enveloped(waiter))
  }

  #post(waiter: AnswerWaiter, request: PublishRequest): void {
    if (waiter.isSettled) return
    if (waiter.ask.rare?.responses !== undefined) waiter.attempt++
    waiter.losses = this.losses
    waiter.acknowledged = false
    this.counts.sent++
    this.core.post(request, waiter)
  }

  #plain(waiter: AnswerWaiter, correlationData: Uint8Array): PublishRequest {
    const { ask, payload, controller, expiresAt, attempt } = waiter
    const { topic, qos, properties } = ask
    const remainingMs = expiresAt - this.core.clock.now()
    const userProperties: UserProperties = {
      ...properties?.userProperties,
      [WIRE_NAMES.key]: waiter.operation,
    }
    if (attempt > 1) userProperties[WIRE_NAMES.attempt] = String(attempt)
    return {
      cmd: 'publish',
      topic,
      payload,
      qos,
      signal: controller?.signal ?? ask.signal,
      properties: {
        ...properties,
        responseTopic: this.core.responseTopic(),
        correlationData,
        messageExpiryInterval: Math.max(1, Math.ceil(remainingMs / 1000)),
        userProperties,
      },
    }
  }

  #enveloped(waiter: AnswerWaiter): PublishRequest {
    const { ask, payload, expiresAt, attempt } = waiter
    // Nothing expires in MQTT 3.1.1, so that what was given up must be taken back.
    waiter.controller ??= new AbortController()
    const fields = {
      id: hexOfLatin1(waiter.correlation),
      reply: this.core.responseTopic(),
      expires: Math.max(1, Math.ceil(expiresAt - this.core.clock.now())),
      key: waiter.operation,
      attempt: attempt > 1 ? attempt : undefined,
      contentType: ask.properties?.contentType,
      properties: ask.properties?.userProperties,
    }
    return {
      cmd: 'publish',
      topic: ask.topic,
      payload: writeEnvelope(fields, payload),
      qos: ask.qos,
      signal: waiter.controller.signal,
    }
  }

  /** Grants the responder of a stream so many parts in all; 0 cancels the stream. */
  credit(control: string | null | undefined, correlation: string, parts: number): void {
    if (!mayControl(control) || this.core.closing) return
    const isPlain = this.core.protocolVersion === 5
    const payload = isPlain
      ? ''
      : writeEnvelope({ id: hexOfLatin1(correlation), credit: parts }, '')
    const properties: PublishProperties = {
      correlationData: bytesOfLatin1(correlation),
      userProperties: { [WIRE_NAMES.credit]: String(parts) },
    }
    const request = { cmd: 'publish', topic: control, payload, qos: 0 } as const
    this.core.post(isPlain ? { ...request, properties } : request, IGNORED)
  }

  // ------------------------------------------------------------------------------------- receiving

  #receive(packet: IncomingPublish): void {
    const data = packet.properties?.correlationData
    if (data === undefined) {
      const enveloped = readAnswer(packet.payload)
      if (enveloped === null) this.counts.malformedAnswers++
      else this.#answer(latin1OfHex(enveloped.id), enveloped.answer)
      return
    }
    const correlation = data.length === CORRELATION_SIZE ? latin1Of(data) : ''
    this.#answer(correlation, readPlain(packet))
  }

  /** @param answer null if it is malformed. */
  #answer(correlation: string, answer: GivenAnswer | null): void {
    const waiter = this.#waiters.get(correlation)
    if (waiter === undefined) return this.counts.unexpected(correlation)
    if (answer === null) {
      this.counts.malformedAnswers++
      return
    }
    if (waiter.isSingle) this.#waiters.delete(correlation)
    waiter.answered(answer)
  }

  // ----------------------------------------------------------------------- the connection, the end

  #connected(): void {
    if (this.#waiting.size > 0) this.#listen()
    for (const waiter of this.#waiters.values()) waiter.reconnected()
    this.#topics.reconnected()
  }

  #ended(error: unknown): void {
    this.#end = { error }
    const waiters = [...this.#waiters.values(), ...this.#takeWaiting(), ...this.#topics.clear()]
    for (const waiter of waiters) {
      if (!waiter.isSettled) waiter.reject(endedBefore(waiter.ask.topic, error))
    }
    // Requests that others sent may be without an answer, too.
    this.deadlines.end()
  }
}

function foreignRequest(waiter: AnswerWaiter, version: ProtocolVersion): PublishRequest {
  const { ask, payload } = waiter
  // It does not expire by itself: what was given up is taken back.
  waiter.controller ??= new AbortController()
  return {
    cmd: 'publish',
    topic: ask.topic,
    payload,
    qos: ask.qos,
    signal: waiter.controller.signal,
    ...(ask.properties === undefined || version < 5 ? {} : { properties: ask.properties }),
  }
}

/** Whether a topic that a responder names is one for credit and cancels, and for nothing else. */
function mayControl(topic: string | null | undefined): topic is string {
  if (typeof topic !== 'string' || topic.startsWith('$')) return false
  return topic.endsWith(CONTROL_LEVEL) && validateTopic(topic) === null
}
