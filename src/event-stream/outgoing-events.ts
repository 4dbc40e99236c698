/**
 * In which order do messages leave, and who signs them? One after the other: a message is given to
 * the carrier when the one before it was, and its signature continues the one before. Nobody waits
 * until an earlier message was taken; that is only waited for before the end.
 */
import { MqttError, UsageError } from '../index.ts'
import type { HeadersInput, MessageInput } from './codec/header-values.ts'
import { measuredMessage } from './codec/message-encoder.ts'
import type { Carrier, Signer, SignRequest } from './event-stream-types.ts'

/** Sends that wait for those before them. Beyond it the program does not await its sends. */
const SENDS_MAX = 10_000
const NO_BYTES_YET = /* @__PURE__ */ new Uint8Array(0)
const NO_HEADERS_YET: HeadersInput = /* @__PURE__ */ new Map()

interface OutgoingHost {
  readonly carrier: Carrier
  readonly signer: Signer | undefined
  /** The wall clock. */
  now(): Date
  /** What is signed cannot go on: the whole stream fails. */
  failed(error: unknown): void
  /** Nothing more is sent: `end()` is done, or a message was not taken. */
  over(): void
}

export class OutgoingEvents {
  readonly #host: OutgoingHost
  #prior: Uint8Array
  /** Resolves when the latest message was given to the carrier. */
  #latest: Promise<unknown> = Promise.resolve()
  /** Sends that the carrier has not taken, and what rejects each. */
  readonly #open = new Map<Promise<unknown>, (error: unknown) => void>()
  #failure: { readonly error: unknown } | null = null
  #ending: Promise<void> | null = null
  #isDone = false

  constructor(host: OutgoingHost) {
    this.#host = host
    this.#prior = host.signer?.seed ?? NO_BYTES_YET
  }

  /** Whether everything was sent, the end included. */
  get isDone(): boolean {
    return this.#isDone
  }

  /** Why nothing more can be sent, if something failed. */
  get failure(): { readonly error: unknown } | null {
    return this.#failure
  }

  /** From now on everything rejects with this, and so does what waits. */
  abandon(error: unknown): void {
    this.#failure ??= { error }
    for (const reject of this.#open.values()) reject(error)
  }

  submit(kind: SignRequest['kind'], message: MessageInput): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure.error)
    if (this.#ending !== null && kind !== 'end') {
      const text = 'this event stream was ended; nothing more can be sent'
      return Promise.reject(new UsageError(text, { code: 'ENDED' }))
    }
    if (this.#open.size >= SENDS_MAX && kind === 'event') {
      const text = `${SENDS_MAX} sends of an event stream wait; await them`
      return Promise.reject(new UsageError(text, { code: 'QUEUE_FULL' }))
    }
    try {
      // A carrier that meets it later could not go on.
      measuredMessage(message)
    } catch (error) {
      return Promise.reject(error)
    }
    const given = this.#given(this.#latest, kind, message)
    this.#latest = given.catch(() => {})
    // Another promise: a message is given before it is taken.
    return this.#untilAbandoned(this.#taken(given))
  }

  /** @returns what a promise gives, or a rejection as soon as the stream is abandoned */
  #untilAbandoned(work: Promise<void>): Promise<void> {
    let abandon!: (error: unknown) => void
    const waiting = new Promise<void>((resolve, reject) => {
      abandon = reject
      work.then(resolve, reject)
    })
    this.#open.set(waiting, abandon)
    const forget = () => this.#open.delete(waiting)
    waiting.then(forget, forget)
    return waiting
  }

  /** Signs and gives a message to the carrier. @returns what the carrier returned */
  async #given(before: Promise<unknown>, kind: SignRequest['kind'], message: MessageInput) {
    await before
    this.#refuseAfterFailure()
    const { signer, carrier } = this.#host
    const signed = signer === undefined ? message : await this.#signed(signer, kind, message)
    this.#refuseAfterFailure()
    // In an object, so that this promise does not wait for that one.
    return { taken: carrier.send(signed) }
  }

  #refuseAfterFailure(): void {
    if (this.#failure !== null) throw this.#failure.error
  }

  async #signed(signer: Signer, kind: SignRequest['kind'], given: MessageInput) {
    const { headers = NO_HEADERS_YET, payload = NO_BYTES_YET } = given
    try {
      const request = { prior: this.#prior, kind, headers, payload, at: this.#host.now() }
      const { message, signature } = await signer.sign(request)
      this.#prior = signature
      return message
    } catch (cause) {
      const text = 'a message of an event stream could not be signed; nothing was sent unsigned'
      const error =
        cause instanceof MqttError ? cause : new UsageError(text, { code: 'SIGNING_FAILED', cause })
      this.#failure ??= { error }
      this.#host.failed(error)
      throw error
    }
  }

  async #taken(given: Promise<{ readonly taken: Promise<void> | void }>): Promise<void> {
    try {
      await (await given).taken
    } catch (error) {
      this.#failure ??= { error }
      this.#host.over()
      throw error
    }
  }

  end(): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end(): Promise<void> {
    const { signer, carrier } = this.#host
    // Before the first `await`, so that nothing is sent behind it.
    const last = signer === undefined ? this.#latest : this.submit('end', {})
    await last
    await Promise.allSettled(this.#open.keys())
    this.#refuseAfterFailure()
    try {
      await this.#untilAbandoned(Promise.resolve(carrier.end?.()))
      this.#isDone = true
    } catch (error) {
      this.#failure ??= { error }
      throw error
    } finally {
      this.#host.over()
    }
  }
}
