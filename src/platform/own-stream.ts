/** Who listens to a stream of ours? This is what all streams that are not Node's have in common. */

interface StreamListeners {
  readonly data: ((chunk: Uint8Array) => void)[]
  readonly error: ((error: Error) => void)[]
  readonly end: (() => void)[]
  readonly close: (() => void)[]
  readonly finish: (() => void)[]
}

/** The listeners of a stream, and whether chunks may come. */
export abstract class OwnStream {
  readonly #listeners: StreamListeners = { data: [], error: [], end: [], close: [], finish: [] }
  /** Whether chunks may come; null as long as nobody has said so. */
  protected flowing: boolean | null = null
  destroyed = false

  /** Lets chunks come. */
  abstract resume(): void

  on(event: 'data', listener: (chunk: Uint8Array) => void): void
  on(event: 'error', listener: (error: Error) => void): void
  on(event: 'end' | 'close' | 'finish', listener: () => void): void
  on(event: keyof StreamListeners, listener: (value: never) => void): void {
    const listeners = this.#listeners[event] as ((value: never) => void)[]
    listeners.push(listener)
    if (event === 'data' && this.flowing === null) this.resume()
  }

  /** A stream finishes once, so the listener need not be removed. */
  once(event: 'finish', listener: () => void): void {
    this.on(event, listener)
  }

  pause(): void {
    this.flowing = false
  }

  /** Calls those who listen to an event. */
  protected emit(event: keyof StreamListeners, value?: unknown): void {
    for (const listener of this.#listeners[event]) listener.call(this, value as never)
  }
}
