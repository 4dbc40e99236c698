/** Publishes on the other way, until it has settled them. (T9) */
import type { DivertOptions } from '../options/options.ts'
import type { PublishRequest } from '../requests/vocabulary.ts'

export interface DiverterListener {
  /** `error`: null where the other way took it. */
  diverted(handle: number, error: { readonly reason: unknown } | null): void
}

export class Diverter {
  readonly #options: DivertOptions
  readonly #listener: DiverterListener
  readonly #under = new Map<number, Call>()

  constructor(options: DivertOptions, listener: DiverterListener) {
    this.#options = options
    this.#listener = listener
  }

  divert(handle: number, request: PublishRequest): void {
    // A signal for each call: what listens to one that lives as long as the loop would never be let go.
    const call = new Call(request.signal)
    this.#under.set(handle, call)
    const going = (async () => this.#options.to(request, call.signal))()
    going.then(
      () => this.#settled(handle, null),
      (reason: unknown) => this.#settled(handle, { reason }),
    )
  }

  #settled(handle: number, error: { readonly reason: unknown } | null): void {
    const call = this.#under.get(handle)
    if (call === undefined) return
    this.#under.delete(handle)
    call.forget()
    this.#listener.diverted(handle, error)
  }

  /** The loop has ended: gives up what is under way, and says which that was. */
  end(): number[] {
    const under = [...this.#under]
    this.#under.clear()
    for (const [, call] of under) call.abort()
    return under.map(([handle]) => handle)
  }
}

/** Aborted with the request's own signal, and by the end of the loop. */
class Call {
  readonly #controller = new AbortController()
  readonly #given: AbortSignal | undefined
  readonly #follow = () => this.#controller.abort(this.#given?.reason)

  constructor(given: AbortSignal | undefined) {
    this.#given = given
    if (given?.aborted) this.#follow()
    else given?.addEventListener('abort', this.#follow, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  forget(): void {
    this.#given?.removeEventListener('abort', this.#follow)
  }

  abort(): void {
    this.forget()
    this.#controller.abort()
  }
}
