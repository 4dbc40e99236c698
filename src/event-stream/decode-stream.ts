/**
 * How do chunks of bytes become messages, and messages chunks? Whoever pulls messages pulls chunks;
 * nothing is read ahead.
 */
import { ConnectionError, systemPlatform, UsageError } from '../index.ts'
import {
  checkTimeout,
  type IdleOptions,
  leaveSource,
  type Puller,
  pullerOf,
  type StreamSource,
  stalled,
} from './chunk-source.ts'
import { type DecodeLimits, resolveLimits } from './codec/frame-rules.ts'
import type { MessageInput, StreamMessage } from './codec/header-values.ts'
import { MessageDecoder } from './codec/message-decoder.ts'
import { encodeStreamMessage, typeNameOf } from './codec/message-encoder.ts'

/** The options of `decodeStream()`. */
export interface DecodeOptions extends DecodeLimits, IdleOptions {
  /**
   * Whether a message must not keep more than 8 KiB of foreign memory alive: then a payload that
   * lies in a large chunk is copied. Default false: it shares the memory of the chunk.
   */
  readonly detach?: boolean | undefined
}

/**
 * Decodes messages from chunks that are cut anywhere.
 *
 * The iterator ends if the source ends between two messages. It rejects once, after all whole
 * messages before: with ProtocolError `MALFORMED_MESSAGE` (where is in `offset`, the rule in
 * `clause`); ConnectionError `TRUNCATED` if the source ends within a message, or `STALLED`;
 * UsageError for a chunk that is no Uint8Array; or what the source threw. Then, and after `break`,
 * it calls `return()` of the source and reads nothing more.
 *
 * @param source an iterable of Uint8Array, synchronous or not, or a `ReadableStream`
 * @throws UsageError if the source or an option cannot be used
 */
export function decodeStream(
  source: StreamSource<Uint8Array>,
  options: DecodeOptions = {},
): AsyncIterableIterator<StreamMessage, undefined> {
  checkTimeout('idleTimeout', options.idleTimeout)
  return new DecodedMessages(source, options)
}

const END = { done: true, value: undefined } as const

/** Settles a pull that waits. */
interface WaitingPull {
  resolve(result: PulledMessage): void
  reject(error: unknown): void
}

class DecodedMessages implements AsyncIterableIterator<StreamMessage, undefined> {
  readonly #given: StreamSource<Uint8Array>
  readonly #options: DecodeOptions
  readonly #decoder: MessageDecoder
  /** The source, from the first pull on. */
  #source: Puller<Uint8Array> | null = null
  #hasEnded = false
  /** Pulls that have no message yet, in their order. */
  readonly #pulls: WaitingPull[] = []
  /** Whether the source was asked and has not answered. */
  #isReading = false
  /** Fires if nothing comes for too long. */
  #timer: unknown = null

  constructor(source: StreamSource<Uint8Array>, options: DecodeOptions) {
    this.#given = source
    this.#options = options
    this.#decoder = new MessageDecoder(resolveLimits(options), options.detach === true)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<PulledMessage> {
    return new Promise((resolve, reject) => {
      if (this.#hasEnded) return resolve(END)
      this.#pulls.push({ resolve, reject })
      if (!this.#isReading) this.#read()
    })
  }

  return(): Promise<PulledMessage> {
    this.#leave()
    return Promise.resolve(END)
  }

  /** Reads as long as a pull has no message. */
  #read(): void {
    this.#isReading = true
    try {
      while (this.#pulls.length > 0) {
        const message = this.#decoder.next()
        if (message !== null) {
          this.#pulls.shift()!.resolve({ done: false, value: message })
          continue
        }
        const { isSync, iterator } = (this.#source ??= pullerOf(this.#given))
        if (!isSync) {
          this.#watch()
          Promise.resolve(iterator.next()).then(this.#arrived, this.#failed)
          return
        }
        while (this.#take(iterator.next()));
      }
    } catch (error) {
      this.#failed(error)
    }
    this.#isReading = false
  }

  readonly #arrived = (chunk: IteratorResult<Uint8Array, unknown>): void => {
    try {
      this.#take(chunk)
      this.#read()
    } catch (error) {
      this.#failed(error)
    }
  }

  readonly #failed = (error: unknown): void => this.#leave({ error })

  /** Takes what the source gave. @returns whether that cannot end a message */
  #take(chunk: IteratorResult<Uint8Array, unknown>): boolean {
    // `return()` was called meanwhile.
    if (this.#hasEnded) return false
    if (chunk.done === true) {
      this.#end(this.#truncation())
      return false
    }
    const bytes: unknown = chunk.value
    if (!(bytes instanceof Uint8Array)) {
      throw new UsageError(
        `a chunk of an event stream must be a Uint8Array, not ${typeNameOf(bytes)}`,
      )
    }
    // Chunks without bytes are no sign of life.
    if (bytes.length > 0) this.#unwatch()
    return this.#decoder.push(bytes)
  }

  #truncation(): StreamFault | undefined {
    const { pendingBytes, expectedBytes, offset } = this.#decoder
    if (pendingBytes === 0) return undefined
    const all = expectedBytes === 0 ? 'an unknown number' : String(expectedBytes)
    const text =
      `the event stream ended within the message that began at byte ${offset}:` +
      ` ${pendingBytes} bytes of ${all} came`
    return { error: new ConnectionError(text, { code: 'TRUNCATED' }) }
  }

  /** Begins to measure how long nothing comes, unless it has begun. */
  #watch(): void {
    const { idleTimeout, platform = systemPlatform } = this.#options
    if (idleTimeout === undefined) return
    this.#timer ??= platform.setTimer(() => this.#failed(stalled(idleTimeout)), idleTimeout)
  }

  #unwatch(): void {
    if (this.#timer === null) return
    const { platform = systemPlatform } = this.#options
    platform.clearTimer(this.#timer)
    this.#timer = null
  }

  /** Leaves a source that has not ended. */
  #leave(failure?: StreamFault): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    if (this.#source !== null) {
      leaveSource(this.#source.iterator)
      // The iterator of a stream of Node ends it only after the read that is under way.
      leaveSource({ return: () => (this.#given as Destroyable).destroy?.() })
    }
    this.#end(failure)
  }

  /** Settles the pulls that wait; the first one is given the failure. */
  #end(failure?: StreamFault): void {
    this.#hasEnded = true
    this.#unwatch()
    const pulls = this.#pulls.splice(0)
    if (failure !== undefined) pulls.shift()?.reject(failure.error)
    for (const { resolve } of pulls) resolve(END)
  }
}

/** An error in an object, since anything can be thrown. */
interface StreamFault {
  readonly error: unknown
}

/** What is used of a `Readable` of Node beside its iterator. */
interface Destroyable {
  destroy?(): unknown
}

type PulledMessage = IteratorResult<StreamMessage, undefined>

/**
 * Encodes messages, each into one chunk.
 * @throws UsageError from `next()` if a message cannot be written; what the source threw
 */
export async function* encodeStream(
  messages: Iterable<MessageInput> | AsyncIterable<MessageInput>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const message of messages) yield encodeStreamMessage(message)
}
