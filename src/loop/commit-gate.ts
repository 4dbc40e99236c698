/**
 * The commit gate is used if the session is kept in a store: it keeps back the effects that depend
 * on a commit until that commit is safe. One commit is under way at a time; effects that gather
 * meanwhile share the next one.
 */

import type { Link } from '../connection/link.ts'
import { messageOf, StorageError } from '../errors.ts'
import type { Effect } from '../protocol/contract.ts'
import { dependsOnCommit, isAfterFailedCommit } from '../protocol/effects.ts'
import type { Session, SessionStore } from '../requests/session.ts'

/** Remembers the outcomes of effects that will be performed after the next commit. */
interface OutcomeMemory {
  rememberOutcomes(effects: readonly Effect[]): void
}

export interface CommitListener {
  /** @returns the session as it is to be stored. */
  committable(): Session
  /**
   * Performs these effects, because the commit that they depend on is safe. `link` is the
   * connection that they belong to.
   */
  release(effects: readonly Effect[], link: Link | null): void
  /** Reports the outcomes among these effects after the loop has ended; their commit is safe. */
  settleLate(effects: readonly Effect[]): void
  fail(error: unknown): void
}

export class CommitGate {
  readonly #store: SessionStore
  readonly #memory: OutcomeMemory
  readonly #listener: CommitListener
  #waiting: { readonly effects: readonly Effect[]; readonly link: Link | null }[] = []
  /** The call of the store that is under way, or null. */
  #asking: Promise<unknown> | null = null
  /** Whether the session is loaded. Before that no commit may overwrite it. */
  #loaded = false
  /**
   * Whether a commit failed. From then on effects that depend on a commit are never performed, and
   * the end of the loop waits for no commit.
   */
  #broken = false

  constructor(store: SessionStore, memory: OutcomeMemory, listener: CommitListener) {
    this.#store = store
    this.#memory = memory
    this.#listener = listener
  }

  /**
   * @returns the stored session, or null if there is none.
   * @throws StorageError if the store fails.
   */
  async load(): Promise<Session | null> {
    try {
      const session = await this.#ask(() => this.#store.load())
      this.#loaded = true
      return session
    } catch (cause) {
      throw storageError('The session could not be loaded', 'LOAD_FAILED', cause)
    }
  }

  /** Keeps the effects that depend on a commit. @returns the others. */
  admit(effects: readonly Effect[], link: Link | null): readonly Effect[] {
    if (!this.#loaded) return effects
    if (this.#broken) {
      return effects.filter((effect) => !dependsOnCommit(effect) || isAfterFailedCommit(effect))
    }
    const dependent = effects.filter(dependsOnCommit)
    if (dependent.length === 0) return effects
    this.#memory.rememberOutcomes(dependent)
    this.#waiting.push({ effects: dependent, link })
    this.#commit()
    return effects.filter((effect) => !dependsOnCommit(effect))
  }

  /**
   * Commits a last time and closes the store; called at every end of a loop, after errors too.
   * Outcomes that depend on that commit are reported after it.
   */
  async close(): Promise<void> {
    const keeps = this.#loaded && !this.#broken
    this.#broken = true
    const waiting = this.#waiting
    this.#waiting = []
    await this.#asking?.catch(() => {})
    if (keeps) await this.#keepLast(waiting.flatMap(({ effects }) => effects))
    await this.#store.close()
  }

  async #keepLast(effects: readonly Effect[]): Promise<void> {
    try {
      await this.#ask(() => this.#store.commit(this.#listener.committable()))
    } catch {
      // The loop has ended with its own error already, and an outcome that is not safe is not
      // reported.
      return
    }
    this.#listener.settleLate(effects)
  }

  #commit(): void {
    if (this.#asking !== null || this.#waiting.length === 0) return
    const batch = this.#waiting
    this.#waiting = []
    this.#ask(() => this.#store.commit(this.#listener.committable())).then(
      () => {
        for (const { effects, link } of batch) this.#listener.release(effects, link)
        this.#commit()
      },
      (cause: unknown) => {
        this.#broken = true
        this.#waiting = []
        this.#listener.fail(storageError('The session could not be saved', 'COMMIT_FAILED', cause))
      },
    )
  }

  /** Calls the store; there is never more than one call under way. */
  async #ask<T>(question: () => Promise<T>): Promise<T> {
    const answer = (async () => question())()
    this.#asking = answer
    try {
      return await answer
    } finally {
      this.#asking = null
    }
  }
}

function storageError(what: string, code: string, cause: unknown): StorageError {
  return new StorageError(`${what}: ${messageOf(cause)}.`, { code, cause })
}
