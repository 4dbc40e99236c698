/**
 * When is something looked at next? One timer, for the earliest instant that was asked for: it
 * moves to an earlier one at once, and to a later one when the earlier one has come. It keeps no
 * process alive.
 */
import type { Platform } from '../index.ts'

/** The longest that it waits at once, in ms. */
const TIMER_MS_MAX = 86_400_000

export class PresenceTimer {
  readonly #platform: Platform
  readonly #look: (lateMs: number) => void
  #timer: unknown = null
  #at = Number.POSITIVE_INFINITY

  /** @param look is called when the instant has come, with how late it is, in ms. */
  constructor(platform: Platform, look: (lateMs: number) => void) {
    this.#platform = platform
    this.#look = look
  }

  /** @param dueAt when to look, in ms; infinite: never. */
  set(dueAt: number): void {
    if (dueAt === Number.POSITIVE_INFINITY) return this.stop()
    if (this.#timer !== null && this.#at <= dueAt) return
    this.stop()
    const now = this.#platform.now()
    const ms = Math.min(TIMER_MS_MAX, Math.max(0, dueAt - now))
    const at = now + ms
    const look = () => {
      this.#timer = null
      this.#look(this.#platform.now() - at)
    }
    this.#at = at
    this.#timer = this.#platform.setTimer(look, ms)
    ;(this.#timer as { unref?(): void } | null)?.unref?.()
  }

  stop(): void {
    if (this.#timer !== null) this.#platform.clearTimer(this.#timer)
    this.#timer = null
  }
}
