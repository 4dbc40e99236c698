/**
 * How are transports opened, one attempt after the other?
 *
 * Most first attempts succeed, so p-retry drives only those that follow a failed one. When the next
 * one is due is decided by the reducers, so p-retry's own waits are 0, and each failed attempt
 * waits for the next call of `dial()`.
 */
import pRetry from 'p-retry'
import { openEndpoint } from '#transport'
import { UsageError } from '../errors.ts'
import { endpointOf } from '../options/endpoint.ts'
import type { EventloopOptions } from '../options/options.ts'
import type { Resolved } from '../options/resolve.ts'
import type {
  ByteStream,
  OpeningListener,
  TransportStage,
  WebStreams,
} from '../platform/byte-stream.ts'
import type { AttemptStage } from '../protocol/contract.ts'
import { type Attempt, optionsAt, prepareAttempt, type Target } from './attempt.ts'
import { WebByteStream } from './transport/web-streams.ts'

export interface DialListener {
  /** An attempt has opened a transport. */
  opened(stream: ByteStream, attempt: Attempt): void
  /** An attempt has failed; `dial()` may begin another one. */
  failed(error: unknown): void
  /** A defect of ours ends the loop. */
  fail(error: unknown): void
}

/**
 * Wraps each error for p-retry, which gives up at a TypeError because it may be a mistake in the
 * program.
 */
class AttemptError extends Error {}

export class Dialer implements OpeningListener {
  readonly #resolved: Resolved
  readonly #listener: DialListener
  /** Ends p-retry; null if it drives nothing. */
  #retries: AbortController | null = null
  /** Ends the attempt under way; null if there is none. */
  #attempt: AbortController | null = null
  /** Lets p-retry make the next attempt; null if it does not wait for that. */
  #next: (() => void) | null = null
  #isStopped = false
  #target: Target | null = null
  /** The rule that the server broke at the opening of the transport; null if it broke none. */
  deviation: string | null = null
  /** What the attempt under way is waiting for. */
  stage: AttemptStage = 'options'
  /** The options of the latest attempt, as far as they are known. */
  options: EventloopOptions

  constructor(resolved: Resolved, listener: DialListener) {
    this.#resolved = resolved
    this.options = resolved.options
    this.#listener = listener
  }

  /** Begins an attempt, whose end is reported to the listener. */
  dial(target: Target): void {
    const isFirst = this.#target === null
    this.#target = target
    this.options = optionsAt(this.#resolved.options, { ...target, redirect: null })
    const next = this.#next
    this.#next = null
    if (next !== null) next()
    else if (isFirst) this.#dialFirst()
    else this.#dialAgain()
  }

  /** Gives up the attempt under way, which is reported as a failure. */
  cancel(): void {
    this.#attempt?.abort()
  }

  /** Ends the attempt under way and makes no more. */
  stop(): void {
    this.#isStopped = true
    this.#retries?.abort()
    this.cancel()
    this.#next?.()
  }

  // The events of our own transports.

  reached(stage: TransportStage): void {
    this.stage = stage
  }

  deviated(what: string): void {
    this.deviation = what
  }

  #dialFirst(): void {
    this.#attemptOnce().then(
      ([stream, attempt]) => this.#listener.opened(stream, attempt),
      (error: unknown) => {
        if (!this.#isStopped) this.#listener.failed(error)
      },
    )
  }

  #dialAgain(): void {
    const { signal } = (this.#retries = new AbortController())
    const attempt = () =>
      this.#attemptOnce().catch((cause: unknown) => {
        throw new AttemptError('the attempt failed', { cause })
      })
    pRetry(attempt, {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 0,
      maxTimeout: 0,
      signal,
      onFailedAttempt: ({ error }) => this.#failed(error.cause),
    }).then(
      ([stream, attempt]) => {
        this.#retries = null
        this.#listener.opened(stream, attempt)
      },
      (error: unknown) => {
        // If anything but stop() ends p-retry, that is a defect and must be reported.
        if (!signal.aborted) this.#listener.fail(error)
      },
    )
  }

  #failed(error: unknown): Promise<void> {
    const due = new Promise<void>((resolve) => {
      this.#next = resolve
    })
    if (!this.#isStopped) this.#listener.failed(error)
    else this.#next?.()
    return due
  }

  /** Rejects at an abort even if the transport ignores the signal. */
  #attemptOnce(): Promise<[ByteStream, Attempt]> {
    const attempt = new AbortController()
    const { signal } = attempt
    this.#attempt = attempt
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => {
        if (this.#attempt === attempt) this.#attempt = null
        reject(error)
      }
      signal.addEventListener('abort', () => fail(signal.reason), { once: true })
      this.#open(signal).then((opened) => {
        if (signal.aborted) return discard(opened[0])
        this.#attempt = null
        resolve(opened)
      }, fail)
    })
  }

  async #open(signal: AbortSignal): Promise<[ByteStream, Attempt]> {
    this.stage = 'options'
    this.deviation = null
    const prepared = prepareAttempt(this.#resolved, this.#target!, signal)
    const attempt = prepared instanceof Promise ? await prepared : prepared
    const { transport } = attempt.options
    try {
      signal.throwIfAborted()
      this.options = attempt.options
      this.stage = 'transport'
      const endpoint = endpointOf(attempt.options, this.#target!.protocolVersion)
      const opening =
        transport === undefined ? openEndpoint(endpoint, signal, this) : transport(endpoint, signal)
      return [asByteStream(await opening), attempt]
    } catch (error) {
      attempt.exchange?.abandon()
      throw error
    }
  }
}

/** Closes a stream that is not needed any more, and ignores its errors. */
export function discard(stream: ByteStream): void {
  stream.on('error', () => {})
  stream.destroy()
}

/** The methods by which a `ByteStream` is known, whatever class and realm it is of. */
const METHODS = ['on', 'once', 'write', 'end', 'pause', 'resume', 'destroy']

/** @returns the stream that the option `transport` opened, as the connection needs it. */
function asByteStream(opened: ByteStream | WebStreams): ByteStream {
  if (has(opened, ...METHODS)) return opened as ByteStream
  const { readable, writable } = (opened ?? {}) as Partial<WebStreams>
  if (has(readable, 'getReader') && has(writable, 'getWriter')) {
    return new WebByteStream(opened as WebStreams)
  }
  throw new UsageError(
    'transport: it must open a Duplex of Node or { readable, writable } of web streams',
  )
}

function has(value: unknown, ...methods: readonly string[]): boolean {
  const object = value as { readonly [name: string]: unknown } | null | undefined
  return methods.every((name) => typeof object?.[name] === 'function')
}
