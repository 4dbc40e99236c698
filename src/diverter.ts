/** Publishes on the other way, until it has settled them. (T9) */
import type { DivertOptions } from './options.ts'
import type { PublishRequest } from './packets.ts'

export interface DiverterListener {
  /** `error`: null where the other way took it. */
  diverted(handle: number, error: { readonly reason: unknown } | null): void
}

export class Diverter {
  readonly #to: DivertOptions['to']
  readonly #listener: DiverterListener
  readonly #ending = new AbortController()
  readonly #under = new Set<number>()

  constructor({ to }: DivertOptions, listener: DiverterListener) {
    this.#to = to
    this.#listener = listener
  }

  divert(handle: number, request: PublishRequest): void {
    this.#under.add(handle)
    const { signal } = this.#ending
    const either = request.signal === undefined ? signal : AbortSignal.any([signal, request.signal])
    const going = (async () => this.#to(request, either))()
    going.then(
      () => this.#settled(handle, null),
      (reason: unknown) => this.#settled(handle, { reason }),
    )
  }

  #settled(handle: number, error: { readonly reason: unknown } | null): void {
    if (this.#under.delete(handle)) this.#listener.diverted(handle, error)
  }

  /** The loop has ended: gives up what is under way, and says which that was. */
  end(): number[] {
    const under = [...this.#under]
    this.#under.clear()
    this.#ending.abort()
    return under
  }
}
