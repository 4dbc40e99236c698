/**
 * Whose promises wait for which records? Those of `enter`, `update` and `leave`, by the member they
 * are about, oldest first.
 */
import type { OwnMember, OwnWish } from './own-steps.ts'

/** A presence, as the owner of those whom it entered. */
export type EnteringPresence = object

/** Whose promise waits for a record. */
export interface OwnCall {
  readonly owner: EnteringPresence
  /** What the member is to be by it. */
  readonly wish: OwnWish
  /** The version of the member whose record settles it. */
  version: number
  resolve(): void
  reject(error: unknown): void
}

export class OwnCalls {
  readonly #waiting = new Map<OwnMember, readonly OwnCall[]>()

  of(member: OwnMember): readonly OwnCall[] {
    return this.#waiting.get(member) ?? []
  }

  add(member: OwnMember, call: OwnCall): void {
    this.#waiting.set(member, [...this.of(member), call])
  }

  /** Removes those for which `isTaken` is true. @returns them. */
  take(member: OwnMember, isTaken: (call: OwnCall) => boolean): OwnCall[] {
    const all = this.of(member)
    const others = all.filter((call) => !isTaken(call))
    if (others.length > 0) this.#waiting.set(member, others)
    else this.#waiting.delete(member)
    return all.filter(isTaken)
  }

  /** Rejects the calls that wait: those of an owner, or all (null). */
  rejectAll(errorOf: () => unknown, owner: EnteringPresence | null): void {
    for (const member of [...this.#waiting.keys()]) {
      const calls = this.take(member, (call) => owner === null || call.owner === owner)
      for (const call of calls) call.reject(errorOf())
    }
  }
}
