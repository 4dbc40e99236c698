/** What runs while `bus.run()` is awaited? All of it ends together; the first error ends it. */
import type { Platform } from '../index.ts'

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

  /** Resolves when all have ended, or after `ms` if that takes longer. */
  async endedWithin(clock: Platform, ms: number): Promise<void> {
    let timer: unknown
    const late = new Promise<void>((resolve) => {
      timer = clock.setTimer(resolve, ms)
    })
    await Promise.race([this.ended().catch(() => {}), late])
    clock.clearTimer(timer)
  }
}
