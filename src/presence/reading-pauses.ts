/**
 * When may leases end, for one who does not always read? After a pause signs may still wait to be
 * read: no lease ends for as long as the pause was. It is held no longer than that, or leases would
 * never end for one who rests after each change. (H2, a lost connection is noticed)
 */

/** The longest time for which leases are held, in ms. */
const CATCH_UP_MS = 2000

export class ReadingPauses {
  /** Since when nobody has read; null: somebody reads. */
  #idleSince: number | null = null
  #heldUntil = Number.NEGATIVE_INFINITY

  get isIdle(): boolean {
    return this.#idleSince !== null
  }

  /** Until when no lease ends. */
  get heldUntil(): number {
    return this.#heldUntil
  }

  /** Nobody reads. */
  begin(now: number): void {
    this.#idleSince ??= now
  }

  /** Somebody reads. @returns how long nobody did, in ms. */
  end(now: number): number {
    const idleMs = this.#idleSince === null ? 0 : now - this.#idleSince
    this.#idleSince = null
    if (idleMs > 0) this.#heldUntil = now + Math.min(idleMs, CATCH_UP_MS)
    return idleMs
  }

  /** A timer came late: this process stood still, and signs wait in its sockets. */
  late(now: number, lateMs: number): void {
    if (lateMs >= CATCH_UP_MS) this.#heldUntil = now + CATCH_UP_MS
  }

  /** What the server had sent before was read, so that no sign waits. */
  caughtUp(): void {
    this.#heldUntil = Number.NEGATIVE_INFINITY
  }
}
