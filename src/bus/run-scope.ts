/** What runs while `bus.run()` is awaited? All of it ends together; the first error ends it. */

type RunDriver = (signal: AbortSignal) => Promise<void>

export class RunScope {
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | null = null

  /** Begins something. */
  start(drive: RunDriver): void {
    const running = drive(this.#stop.signal).then(
      () => {},
      (error: unknown) => {
        this.#failure ??= { error }
        this.stop()
      },
    )
    this.#running.add(running)
    void running.then(() => this.#running.delete(running))
  }

  stop(): void {
    this.#stop.abort()
  }

  /** Resolves when all have ended, also those begun meanwhile. @throws the first error. */
  async ended(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
    if (this.#failure !== null) throw this.#failure.error
  }
}
