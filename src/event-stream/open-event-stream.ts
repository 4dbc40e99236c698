/**
 * How do typed events go both ways over a carrier? What is sent and what is received end each by
 * themselves; a failure ends both. Nothing runs before something of the stream is awaited.
 */
import { ConnectionError, MqttError, systemPlatform, UsageError } from '../index.ts'
import { checkTimeout, leaveSource } from './chunk-source.ts'
import type { MessageInput, StreamMessage } from './codec/header-values.ts'
import { type EventSet, encodeEvent } from './event-definitions.ts'
import type { Carrier, EventStream, EventStreamOptions } from './event-stream-types.ts'
import { INITIAL_TYPES, incomplete, interpret, protocolFault } from './incoming-events.ts'
import { OutgoingEvents } from './outgoing-events.ts'
import { type AnyFailure, failureMessage, initialOf, warnSomebody } from './own-messages.ts'
import { type Settleable, settleable, settledQuietly } from './settleable.ts'

/**
 * Opens a stream of typed events over a carrier.
 *
 * Iterating it gives `{ type, value, headers }` of each event. The iterator ends when the other
 * side has ended; it rejects once, with RefusedError for an exception or an error of the other side
 * (its name in `code`, its payload in `remote.data`), ProtocolError `MALFORMED_MESSAGE`,
 * `INVALID_PAYLOAD`, `BAD_SIGNATURE` or `UNKNOWN_EVENT`, ConnectionError `INCOMPLETE` or what the
 * carrier ends with. Then the whole stream has ended.
 *
 * @throws UsageError if an option cannot be used, or `initial` is missing or not defined
 */
export function openEventStream<
  const Events extends EventSet,
  const Role extends 'client' | 'server',
>(carrier: Carrier, options: EventStreamOptions<Events, Role>): EventStream<Events, Role> {
  return new OpenStream(
    carrier,
    options as unknown as EventStreamOptions,
  ) as unknown as EventStream<Events, Role>
}

type PulledEvent = IteratorResult<unknown, undefined>
const STREAM_END: PulledEvent = { done: true, value: undefined }

class OpenStream {
  readonly send: Readonly<Record<string, (value: unknown, headers?: never) => Promise<void>>>
  readonly #carrier: Carrier
  readonly #options: EventStreamOptions
  readonly #outgoing: OutgoingEvents
  /** The first message of this side, until it was submitted. */
  #initial: MessageInput | null
  #source: AsyncIterator<StreamMessage, unknown> | null = null
  /** What was read while the first message of the other side was awaited. */
  #held: PulledEvent | null = null
  /** The reads one after the other. */
  #latest: Promise<unknown> = Promise.resolve()
  /** What is rejected when the stream is killed. */
  readonly #waiting = new Set<(error: unknown) => void>()
  #received: 'open' | 'ended' | 'left' = 'open'
  #failure: { readonly error: unknown } | null = null
  #isIterated = false
  /** Whether the iterator has rejected. */
  #hasGiven = false
  #isClosed = false
  #prior: Uint8Array
  #hasSignedEnd = false
  /** The latest event that is defined: one that a service has added must not fail a client. */
  #lastType: string | null = null
  readonly #otherInitial: Settleable<unknown> | null
  #expectsInitial: boolean
  readonly #warned = new Set<string>()
  readonly #joins = new Set<Settleable<boolean>>()

  constructor(carrier: Carrier, options: EventStreamOptions) {
    this.#carrier = carrier
    this.#options = options
    const { events, role, signer, verifier, platform = systemPlatform } = options
    if (role !== 'client' && role !== 'server') {
      throw new UsageError('the option role of openEventStream() must be client or server')
    }
    this.#initial = initialOf(options)
    this.#prior = verifier?.seed ?? new Uint8Array(0)
    const others = events.others
    const awaited = role === 'client' ? others.initialResponse : others.initialRequest
    this.#expectsInitial = awaited !== undefined
    this.#otherInitial = this.#expectsInitial ? settleable() : null
    this.#outgoing = new OutgoingEvents({
      ...{ carrier, signer },
      now: () => new Date(platform.wallNow?.() ?? Date.now()),
      failed: (error) => this.#fail(error),
      over: () => this.#settle(),
    })
    this.send = Object.freeze(
      Object.fromEntries(
        Object.entries(events.events).map(([name, definition]) => [
          name,
          (value: unknown, headers?: never) =>
            this.#submit(() => encodeEvent('event', name, definition, value, headers)),
        ]),
      ),
    )
  }

  get initialResponse(): Promise<unknown> {
    return this.#initialOfOther('client', 'initialResponse')
  }

  get initialRequest(): Promise<unknown> {
    return this.#initialOfOther('server', 'initialRequest')
  }

  #initialOfOther(role: 'client' | 'server', name: string): Promise<unknown> {
    if (this.#options.role !== role || this.#otherInitial === null) {
      const text = `${name} is for a ${role} whose events define it`
      return Promise.reject(new UsageError(text))
    }
    if (this.#expectsInitial) {
      this.#inTurn(async () => {
        if (this.#expectsInitial) this.#held ??= await this.#read(true)
      }).catch(() => {})
    }
    return this.#otherInitial.promise
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<PulledEvent> {
    this.#isIterated = true
    return this.#inTurn(() => this.#take())
  }

  return(): Promise<PulledEvent> {
    this.#isIterated = true
    if (this.#received === 'open') this.#stopReceiving('left')
    return Promise.resolve(STREAM_END)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill()
  }

  sendRaw(message: MessageInput): Promise<void> {
    return this.#submit(() => message)
  }

  end(): Promise<void> {
    this.#begin()
    return settledQuietly(this.#outgoing.end())
  }

  fail(failure: AnyFailure): Promise<void> {
    try {
      const message = failureMessage(this.#options.events, failure)
      const sent = this.#submit(() => message)
      const ended = this.end()
      return settledQuietly(sent.then(() => ended))
    } catch (error) {
      return settledQuietly(Promise.reject(error))
    }
  }

  async join({ timeout }: { readonly timeout?: number } = {}): Promise<boolean> {
    checkTimeout('timeout', timeout)
    this.#begin()
    const waiting = settleable<boolean>()
    this.#joins.add(waiting)
    const { platform = systemPlatform } = this.#options
    const timer =
      timeout === undefined ? null : platform.setTimer(() => waiting.resolve(false), timeout)
    if (!this.#isIterated) void this.#drain()
    this.#settle()
    try {
      return await waiting.promise
    } finally {
      this.#joins.delete(waiting)
      if (timer !== null) platform.clearTimer(timer)
    }
  }

  kill(reason?: unknown): void {
    const text = 'this event stream was killed'
    this.#fail(reason ?? new ConnectionError(text, { code: 'ENDED', retryable: false }))
  }

  /**
   * Takes what comes and drops it, until the end or until somebody iterates. An iteration that
   * begins meanwhile is given what this has pulled; the join reports an error, and so does a pull.
   */
  async #drain(): Promise<void> {
    while (!this.#isIterated && this.#received === 'open' && this.#failure === null) {
      await this.#inTurn(async () => {
        const event = this.#held ?? (await this.#read(true))
        this.#held = this.#isIterated ? event : null
      })
    }
  }

  /** Sends the first message of this side, before anything else. */
  #begin(): void {
    const message = this.#initial
    this.#initial = null
    if (message === null) return
    // The other side would wait for it, and so would whoever waits for the answer.
    this.#outgoing.submit('initial', message).catch((error) => this.#fail(error))
  }

  #submit(make: () => MessageInput): Promise<void> {
    this.#begin()
    try {
      return settledQuietly(this.#outgoing.submit('event', make()))
    } catch (error) {
      return settledQuietly(Promise.reject(error))
    }
  }

  #inTurn<T>(read: () => Promise<T>): Promise<T> {
    const turn = this.#latest.then(read)
    this.#latest = turn.catch(() => {})
    return turn
  }

  async #take(): Promise<PulledEvent> {
    const held = this.#held
    this.#held = null
    return held ?? this.#read(false)
  }

  /**
   * Reads the next event.
   * @param untilInitial whether to stop behind the first message of the other side, with null
   */
  async #read(untilInitial: true): Promise<PulledEvent | null>
  async #read(untilInitial: false): Promise<PulledEvent>
  async #read(untilInitial: boolean): Promise<PulledEvent | null> {
    try {
      this.#begin()
      for (;;) {
        if (this.#failure !== null) throw this.#failure.error
        if (this.#received !== 'open') return STREAM_END
        this.#source ??= this.#carrier.receive[Symbol.asyncIterator]()
        const { done, value } = await this.#interruptible(this.#source.next())
        // It was left while this waited.
        if (this.#received !== 'open') return STREAM_END
        if (done === true) return this.#ended()
        const event = await this.#understood(value)
        if (event !== null) return { done: false, value: event }
        if (untilInitial && !this.#expectsInitial) return null
      }
    } catch (error) {
      // It was left while this waited.
      if (this.#received === 'left') return STREAM_END
      this.#fail(error)
      // The next pull is told of it, too.
      return untilInitial ? null : this.#given(error)
    }
  }

  /** An iterator rejects once. */
  #given(error: unknown): PulledEvent {
    if (this.#hasGiven) return STREAM_END
    this.#hasGiven = true
    throw error
  }

  /** @returns the event of a message, or null if there is none for the consumer */
  async #understood(received: StreamMessage): Promise<unknown> {
    const message = await this.#verified(received)
    if (message === null) return null
    const { events, role, onRaw } = this.#options
    const said = interpret(message, events, role)
    const isFirst = this.#expectsInitial
    this.#expectsInitial = false
    if (isFirst && said.kind === 'initial') this.#otherInitial!.resolve(said.value)
    else if (isFirst) {
      const text = `the first message of an event stream is no ${INITIAL_TYPES[role]}`
      this.#otherInitial!.reject(new ConnectionError(text, { code: 'INCOMPLETE' }))
    }
    if (said.kind === 'event') {
      this.#lastType = said.type
      return { type: said.type, value: said.value, headers: said.headers }
    }
    if (said.kind === 'unknown') this.#meet(said.type, message)
    if (said.kind === 'raw') {
      if (onRaw === undefined) throw protocolFault(':message-type', 'has no :message-type')
      onRaw(message)
    }
    return null
  }

  async #verified(message: StreamMessage): Promise<StreamMessage | null> {
    const { verifier } = this.#options
    if (verifier === undefined) return message
    if (this.#hasSignedEnd) {
      throw protocolFault('signature', 'came behind the signed end', 'BAD_SIGNATURE')
    }
    try {
      const verified = await this.#interruptible(
        Promise.resolve(verifier.verify({ prior: this.#prior, message })),
      )
      this.#prior = verified.signature
      this.#hasSignedEnd = verified.message === null
      return verified.message
    } catch (cause) {
      if (cause instanceof MqttError || this.#failure !== null) throw cause
      const error = protocolFault('signature', 'has a wrong signature', 'BAD_SIGNATURE')
      error.cause = cause
      throw error
    }
  }

  #meet(type: string, message: StreamMessage): void {
    const { onUnknownEvent = 'skip', onWarning = warnSomebody } = this.#options
    const text = `is an event of type "${type.slice(0, 80)}", which is not defined`
    if (onUnknownEvent === 'throw') throw protocolFault(':event-type', text, 'UNKNOWN_EVENT')
    if (onUnknownEvent !== 'skip') return onUnknownEvent(message)
    if (this.#warned.has(type) || this.#warned.size >= WARNED_TYPES_MAX) return
    this.#warned.add(type)
    const code = 'UNKNOWN_EVENT'
    onWarning({ code, message: `a message of an event stream ${text}; such are skipped` })
  }

  /** The source has ended: was everything there that must be? */
  #ended(): PulledEvent {
    const { verifier, endsWith } = this.#options
    if (verifier !== undefined && !this.#hasSignedEnd) throw incomplete('without a signed end')
    if (endsWith !== undefined && !endsWith.includes(this.#lastType ?? '')) {
      const last =
        this.#lastType === null ? 'without an event that is defined' : `with "${this.#lastType}"`
      throw incomplete(`${last}, and must end with ${endsWith.join(' or ')} (endsWith)`)
    }
    this.#stopReceiving('ended')
    return STREAM_END
  }

  /** @returns what `promise` gives, or a rejection as soon as the stream is killed */
  #interruptible<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject)
      const settled = () => this.#waiting.delete(reject)
      promise.then(resolve, reject)
      promise.then(settled, settled)
    })
  }

  #stopReceiving(how: 'ended' | 'left'): void {
    this.#received = how
    if (how === 'left') {
      // A carrier may have begun to receive with the first send.
      this.#source ??= this.#carrier.receive[Symbol.asyncIterator]()
      leaveSource(this.#source)
    }
    const gone = incomplete('before its first message came')
    this.#otherInitial?.reject(gone)
    for (const reject of this.#waiting) reject(gone)
    this.#settle()
  }

  /** Ends both ways. */
  #fail(error: unknown): void {
    if (this.#failure !== null || (this.#isClosed && this.#received !== 'open')) return
    this.#failure = { error }
    this.#outgoing.abandon(error)
    if (this.#source !== null && this.#received === 'open') leaveSource(this.#source)
    this.#otherInitial?.reject(error)
    for (const reject of this.#waiting) reject(error)
    this.#waiting.clear()
    this.#settle()
  }

  /** Closes the carrier and answers joins, if both ways have ended. */
  #settle(): void {
    const failure = this.#failure ?? this.#outgoing.failure
    const isOver = this.#received !== 'open' && this.#outgoing.isDone
    const isBroken = this.#received !== 'open' && failure !== null
    if (this.#failure !== null || isOver || isBroken) this.#close(failure?.error)
    for (const join of this.#joins) {
      if (failure !== null) join.reject(failure.error)
      else if (isOver) join.resolve(this.#received === 'ended')
      else if (this.#received === 'left') join.resolve(false)
    }
  }

  #close(reason: unknown): void {
    if (this.#isClosed) return
    this.#isClosed = true
    // What a carrier that is over throws is no news any more.
    leaveSource({ return: () => this.#carrier.close?.(reason) })
  }
}

/** Warnings are given once for each type, and for so many types. */
const WARNED_TYPES_MAX = 1000
