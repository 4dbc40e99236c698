/**
 * Opens transports, one attempt after the other. p-retry drives the attempts; when the next one is due is for the reducers to
 * say, so its own waits are 0 and each failed attempt waits for the next call of `dial()`.
 */
import { Duplex } from 'node:stream'
import { ReadableStream, WritableStream } from 'node:stream/web'
import pRetry from 'p-retry'
import { endpointOf } from './endpoint.ts'
import { UsageError } from './errors.ts'
import type { EventloopOptions } from './options.ts'
import { openEndpoint } from './transport/transport.ts'

export interface DialListener {
  opened(duplex: Duplex): void
  failed(error: unknown): void
}

/** p-retry takes a TypeError for a mistake in the program and gives up; wrapped, every error is treated alike. */
class AttemptError extends Error {}

export class Dialer {
  readonly #options: EventloopOptions
  readonly #listener: DialListener
  /** Ends the attempts; null: none are made. */
  #stop: AbortController | null = null
  #attempt: AbortController | null = null
  /** Lets p-retry go on to the next attempt. */
  #next: (() => void) | null = null

  constructor(options: EventloopOptions, listener: DialListener) {
    this.#options = options
    this.#listener = listener
  }

  /** Begins an attempt; the listener hears of its end. */
  dial(): void {
    const next = this.#next
    if (next !== null) {
      this.#next = null
      return next()
    }
    const stop = new AbortController()
    this.#stop = stop
    pRetry(() => this.#attemptOnce(), {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 0,
      maxTimeout: 0,
      signal: stop.signal,
      onFailedAttempt: ({ error }) => this.#failed(error.cause, stop.signal),
    }).then(
      (duplex) => {
        this.#stop = null
        this.#listener.opened(duplex)
      },
      () => {},
    )
  }

  /** Gives the attempt that is under way up; the listener hears of a failure. */
  cancel(): void {
    this.#attempt?.abort()
  }

  /** No more attempts. */
  stop(): void {
    this.#stop?.abort()
    this.cancel()
    this.#next?.()
  }

  #failed(error: unknown, stop: AbortSignal): Promise<void> {
    const due = new Promise<void>((resolve) => {
      this.#next = resolve
    })
    if (!stop.aborted) this.#listener.failed(error)
    else this.#next?.()
    return due
  }

  async #attemptOnce(): Promise<Duplex> {
    const attempt = new AbortController()
    this.#attempt = attempt
    try {
      return await this.#openOrAbort(attempt.signal)
    } catch (error) {
      throw new AttemptError('the attempt failed', { cause: error })
    } finally {
      this.#attempt = null
    }
  }

  /** Rejects at an abort even where the transport does not heed the signal. */
  async #openOrAbort(signal: AbortSignal): Promise<Duplex> {
    const { transport = openEndpoint } = this.#options
    const opening = (async () => asDuplex(await transport(endpointOf(this.#options), signal)))()
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    try {
      return await Promise.race([opening, aborted])
    } catch (error) {
      opening.then(
        (late) => late.destroy(),
        () => {},
      )
      throw error
    }
  }
}

function asDuplex(opened: unknown): Duplex {
  if (opened instanceof Duplex) return opened
  const stream = opened as (Partial<Duplex> & { writable?: unknown }) | null | undefined
  if (typeof stream?.write === 'function' && typeof stream.destroy === 'function') {
    return opened as Duplex
  }
  const { readable, writable } = (opened ?? {}) as { readable?: unknown; writable?: unknown }
  if (readable instanceof ReadableStream && writable instanceof WritableStream) {
    return Duplex.fromWeb({ readable, writable })
  }
  throw new UsageError(
    'transport: it must open a Duplex of Node or { readable, writable } of web streams',
  )
}
