/**
 * Opens transports, one attempt after the other. p-retry drives the attempts; when the next one is due is for the reducers to
 * say, so its own waits are 0 and each failed attempt waits for the next call of `dial()`.
 */
import { Duplex } from 'node:stream'
import { ReadableStream, WritableStream } from 'node:stream/web'
import pRetry from 'p-retry'
import { UsageError } from '../errors.ts'
import { endpointOf } from '../options/endpoint.ts'
import type { EventloopOptions } from '../options/options.ts'
import type { Resolved } from '../options/resolve.ts'
import { type Attempt, optionsAt, prepareAttempt, type Target } from './attempt.ts'
import { openEndpoint } from './transport/transport.ts'

export interface DialListener {
  opened(duplex: Duplex, attempt: Attempt): void
  failed(error: unknown): void
  /** The loop cannot go on. */
  fail(error: unknown): void
}

/** p-retry takes a TypeError for a mistake in the program and gives up; wrapped, every error is treated alike. */
class AttemptError extends Error {}

export class Dialer {
  readonly #resolved: Resolved
  readonly #listener: DialListener
  /** Ends the attempts; null: none are made. */
  #stop: AbortController | null = null
  #attempt: AbortController | null = null
  /** Lets p-retry go on to the next attempt. */
  #next: (() => void) | null = null
  #target: Target | null = null
  /** Of the latest attempt, as far as they are known. */
  options: EventloopOptions

  constructor(resolved: Resolved, listener: DialListener) {
    this.#resolved = resolved
    this.options = resolved.options
    this.#listener = listener
  }

  /** Begins an attempt; the listener hears of its end. */
  dial(target: Target): void {
    this.#target = target
    this.options = optionsAt(this.#resolved.options, { ...target, redirect: null })
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
      ([duplex, attempt]) => {
        this.#stop = null
        this.#listener.opened(duplex, attempt)
      },
      (error: unknown) => {
        // What ends p-retry beside us is a defect, and must not end in silence.
        if (!stop.signal.aborted) this.#listener.fail(error)
      },
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

  async #attemptOnce(): Promise<[Duplex, Attempt]> {
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
  async #openOrAbort(signal: AbortSignal): Promise<[Duplex, Attempt]> {
    const opening = this.#open(signal)
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    try {
      return await Promise.race([opening, aborted])
    } catch (error) {
      opening.then(
        ([late]) => discard(late),
        () => {},
      )
      throw error
    }
  }

  async #open(signal: AbortSignal): Promise<[Duplex, Attempt]> {
    const prepared = prepareAttempt(this.#resolved, this.#target!, signal)
    const attempt = prepared instanceof Promise ? await prepared : prepared
    const { transport = openEndpoint } = attempt.options
    try {
      signal.throwIfAborted()
      this.options = attempt.options
      return [asDuplex(await transport(endpointOf(attempt.options), signal)), attempt]
    } catch (error) {
      attempt.exchange?.abandon()
      throw error
    }
  }
}

/** A stream that nobody wants any more; an error of its closing is nobody's. */
export function discard(duplex: Duplex): void {
  duplex.on('error', () => {})
  duplex.destroy()
}

/** What a Duplex of another realm has. */
const METHODS = ['on', 'once', 'write', 'end', 'pause', 'resume', 'destroy']

function asDuplex(opened: unknown): Duplex {
  if (opened instanceof Duplex) return opened
  const stream = opened as { readonly [name: string]: unknown } | null | undefined
  if (METHODS.every((name) => typeof stream?.[name] === 'function')) return opened as Duplex
  const { readable, writable } = (opened ?? {}) as { readable?: unknown; writable?: unknown }
  if (readable instanceof ReadableStream && writable instanceof WritableStream) {
    return Duplex.fromWeb({ readable, writable })
  }
  throw new UsageError(
    'transport: it must open a Duplex of Node or { readable, writable } of web streams',
  )
}
