/**
 * The diverter gives publishes to the user's `divert.to` and keeps them until it settles them. (T9,
 * publishes are diverted during an outage)
 */
import type { DivertOptions } from '../options/divert-options.ts'
import { ignoreAbort, listenForAbort } from '../platform/abort-listeners.ts'
import type { Input } from '../protocol/contract.ts'
import type { PublishRequest } from '../requests/vocabulary.ts'
import { type Causes, rethrown } from './failures.ts'

export interface DiverterListener {
  now(): number
  push(input: Input): void
  /** Keeps what `divert.to` rejected with. */
  readonly causes: Pick<Causes, 'keep'>
}

export class Diverter {
  readonly #options: DivertOptions
  readonly #listener: DiverterListener
  /** By handle. */
  readonly #calls = new Map<number, DivertCall>()

  constructor(options: DivertOptions, listener: DiverterListener) {
    this.#options = options
    this.#listener = listener
  }

  divert(handle: number, request: PublishRequest): void {
    // Each call has a signal of its own: listeners on a single signal for the whole loop would
    // never be released.
    const call = new DivertCall(request.signal)
    this.#calls.set(handle, call)
    const settling = (async () => this.#options.to(request, call.signal))()
    settling.then(
      () => this.#settled(handle, null),
      (reason: unknown) => this.#settled(handle, { reason }),
    )
  }

  #settled(handle: number, error: { readonly reason: unknown } | null): void {
    const call = this.#calls.get(handle)
    if (call === undefined) return
    this.#calls.delete(handle)
    call.forget()
    const { causes } = this.#listener
    const failure = error === null ? null : rethrown(causes.keep(error.reason))
    this.#listener.push({ type: 'diverted', at: this.#listener.now(), handle, failure })
  }

  /** Aborts the calls that are under way: the loop has ended. @returns their handles. */
  end(): number[] {
    const calls = [...this.#calls]
    this.#calls.clear()
    for (const [, call] of calls) call.abort()
    return calls.map(([handle]) => handle)
  }
}

/** A call of `divert.to`: aborted with the request's own signal, and when the loop ends. */
class DivertCall {
  readonly #controller = new AbortController()
  readonly #given: AbortSignal | undefined
  readonly #follow = () => this.#controller.abort(this.#given?.reason)

  constructor(given: AbortSignal | undefined) {
    this.#given = given
    if (given?.aborted) this.#follow()
    else if (given !== undefined) listenForAbort(given, this.#follow)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  forget(): void {
    if (this.#given !== undefined) ignoreAbort(this.#given, this.#follow)
  }

  abort(): void {
    this.forget()
    this.#controller.abort()
  }
}
