/**
 * Which keys does the session hold? A request whose key it holds is not sent again (D7, a key that
 * the session holds is not sent again).
 *
 * A key is held from the moment its request is taken. Once the request is settled, its outcome is
 * held under the key until the stream has confirmed it: until the promise of `settled` has
 * resolved.
 */
import type { Outcome } from './vocabulary.ts'

export type Key = string | number

/** Shared by all sessions with none; never changed. */
export const NO_OUTCOMES: ReadonlyMap<Key, Outcome> = new Map()

export class Keys {
  /** Whether a saved session brought keys, which any stream may repeat. */
  restored = false
  #handles: Map<Key, number> | null = null
  /** Outcomes that the stream has not confirmed. */
  #unconfirmed: Map<Key, Outcome> | null = null
  /** Whether a `Session` shares the map of outcomes, which is then copied before a change. */
  #shared = false

  hold(key: Key, handle: number): void {
    this.#handles ??= new Map()
    this.#handles.set(key, handle)
  }

  release(key: Key): void {
    this.#handles?.delete(key)
  }

  /** @returns the handle of the request with this key; undefined if it has none or is settled. */
  handleOf(key: Key): number | undefined {
    return this.#handles?.get(key)
  }

  handles(): Iterable<number> {
    return this.#handles?.values() ?? []
  }

  /** @returns the outcome that the stream has not confirmed, or undefined if there is none. */
  outcomeOf(key: Key): Outcome | undefined {
    return this.#unconfirmed?.get(key)
  }

  rememberOutcome(key: Key, outcome: Outcome): void {
    this.#own().set(key, outcome)
  }

  /** The stream has confirmed the outcome. */
  confirmed(key: Key): void {
    if (this.#unconfirmed?.has(key)) this.#own().delete(key)
  }

  /** @returns the outcomes that are not confirmed; the map never changes again. */
  shareOutcomes(): ReadonlyMap<Key, Outcome> {
    this.#shared = true
    return this.#unconfirmed ?? NO_OUTCOMES
  }

  #own(): Map<Key, Outcome> {
    if (this.#unconfirmed === null || this.#shared) this.#unconfirmed = new Map(this.#unconfirmed)
    this.#shared = false
    return this.#unconfirmed
  }
}
