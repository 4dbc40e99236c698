/**
 * How do chunks of bytes become messages, and messages chunks? Whoever pulls messages pulls chunks;
 * nothing is read ahead.
 */
import { ConnectionError, UsageError } from '../index.ts'
import {
  checkTimeout,
  type IdleOptions,
  leaveSource,
  type Puller,
  pullerOf,
  type StreamSource,
  withinIdle,
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

class DecodedMessages implements AsyncIterableIterator<StreamMessage, undefined> {
  readonly #given: StreamSource<Uint8Array>
  readonly #options: DecodeOptions
  readonly #decoder: MessageDecoder
  /** The source, from the first pull on. */
  #source: Puller<Uint8Array> | null = null
  #hasEnded = false
  /** The pull that is under way; later ones wait for it. */
  #latest: Promise<unknown> | null = null
  /** Ends the wait for a chunk, if there is one. */
  #interrupt: (() => void) | null = null

  constructor(source: StreamSource<Uint8Array>, options: DecodeOptions) {
    this.#given = source
    this.#options = options
    this.#decoder = new MessageDecoder(resolveLimits(options), options.detach === true)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<PulledMessage> {
    if (this.#latest !== null) return this.#awaited(this.#pullAfter(this.#latest))
    try {
      const result = this.#pull()
      return 'then' in result ? this.#awaited(result) : Promise.resolve(result)
    } catch (error) {
      return Promise.reject(this.#failed(error))
    }
  }

  return(): Promise<PulledMessage> {
    this.#end()
    return Promise.resolve(END)
  }

  async #pullAfter(earlier: Promise<unknown>): Promise<PulledMessage> {
    await earlier.catch(() => {})
    try {
      return await this.#pull()
    } catch (error) {
      throw this.#failed(error)
    }
  }

  #awaited<T>(pull: Promise<T>): Promise<T> {
    this.#latest = pull
    const settled = () => {
      if (this.#latest === pull) this.#latest = null
    }
    pull.then(settled, settled)
    return pull
  }

  /** @returns the next message, or a promise of it if a chunk must be waited for. */
  #pull(): PulledMessage | Promise<PulledMessage> {
    if (this.#hasEnded) return END
    const message = this.#decoder.next()
    if (message !== null) return { done: false, value: message }
    this.#source ??= pullerOf(this.#given)
    const { isSync, iterator } = this.#source
    if (!isSync) return this.#pullLater(iterator)
    for (;;) {
      const chunk = iterator.next()
      if (chunk.value instanceof Uint8Array && !chunk.done && this.#decoder.absorb(chunk.value)) {
        continue
      }
      const result = this.#taken(chunk)
      if (result !== null) return result
    }
  }

  async #pullLater(source: AsyncIterator<Uint8Array, unknown>): Promise<PulledMessage> {
    try {
      for (;;) {
        const result = this.#taken(await this.#arrived(source))
        if (result !== null) return result
      }
    } catch (error) {
      throw this.#failed(error)
    }
  }

  /** Waits for bytes, at most for the idle time, and no longer than until the end. */
  #arrived(source: AsyncIterator<Uint8Array, unknown>) {
    const left = new Promise<typeof END>((resolve) => {
      this.#interrupt = () => resolve(END)
    })
    return withinIdle(Promise.race([this.#bytesOf(source), left]), this.#options).finally(() => {
      this.#interrupt = null
    })
  }

  /** @returns the next chunk that has bytes: others are no sign of life. */
  async #bytesOf(source: AsyncIterator<Uint8Array, unknown>) {
    for (;;) {
      const chunk = await source.next()
      if (this.#hasEnded || chunk.done || (chunk.value as Uint8Array | null)?.length !== 0)
        return chunk
    }
  }

  /** Takes what the source gave. @returns null if more is needed. */
  #taken(chunk: IteratorResult<Uint8Array, unknown>): PulledMessage | null {
    // `return()` was called meanwhile.
    if (this.#hasEnded) return END
    if (chunk.done === true) {
      this.#hasEnded = true
      this.#checkEnd()
      return END
    }
    const bytes: unknown = chunk.value
    if (!(bytes instanceof Uint8Array)) {
      throw new UsageError(
        `a chunk of an event stream must be a Uint8Array, not ${typeNameOf(bytes)}`,
      )
    }
    this.#decoder.push(bytes)
    const message = this.#decoder.next()
    return message === null ? null : { done: false, value: message }
  }

  #checkEnd(): void {
    const { pendingBytes, expectedBytes, offset } = this.#decoder
    if (pendingBytes === 0) return
    const all = expectedBytes === 0 ? 'an unknown number' : String(expectedBytes)
    throw new ConnectionError(
      `the event stream ended within the message that began at byte ${offset}:` +
        ` ${pendingBytes} bytes of ${all} came`,
      { code: 'TRUNCATED' },
    )
  }

  #failed(error: unknown): unknown {
    this.#end()
    return error
  }

  #end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    if (this.#source !== null) {
      leaveSource(this.#source.iterator)
      // The iterator of a stream of Node ends it only after the read that is under way.
      leaveSource({ return: () => (this.#given as Destroyable).destroy?.() })
    }
    this.#interrupt?.()
  }
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
