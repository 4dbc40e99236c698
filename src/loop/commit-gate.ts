/**
 * Where a session is kept in a store: what rests on a commit waits for it. One commit is under way at a time, and whatever
 * gathers meanwhile shares the next one.
 */

import type { Link } from '../connection/link.ts'
import { StorageError } from '../errors.ts'
import type { Effect } from '../protocol/contract.ts'
import { restsOnSession } from '../protocol/effects.ts'
import type { Session, SessionStore } from '../requests/session.ts'

export interface GateListener {
  /** These will be performed after the next commit. */
  foresee(effects: readonly Effect[]): void
  session(): Session
  /** These rest on what is safe now. `link`: the connection for which they were meant. */
  release(effects: readonly Effect[], link: Link | null): void
  /** The loop has ended; only outcomes are told. */
  settleLate(effects: readonly Effect[]): void
  fail(error: unknown): void
}

export class Gate {
  readonly #store: SessionStore
  readonly #listener: GateListener
  #waiting: { readonly effects: readonly Effect[]; readonly link: Link | null }[] = []
  /** What the store is asked now; null: nothing. */
  #asking: Promise<unknown> | null = null
  /** Before the session is loaded nothing may replace it. */
  #loaded = false
  /** Nothing is safe any more: what rests on a commit never leaves, and the end waits for none. */
  #broken = false

  constructor(store: SessionStore, listener: GateListener) {
    this.#store = store
    this.#listener = listener
  }

  /** The session that is kept; null: none is. Rejects with a StorageError. */
  async load(): Promise<Session | null> {
    try {
      const session = await this.#ask(() => this.#store.load())
      this.#loaded = true
      return session
    } catch (cause) {
      throw storageError('The session could not be loaded', 'LOAD_FAILED', cause)
    }
  }

  /** Keeps what has to wait, gives back what has not. */
  admit(effects: readonly Effect[], link: Link | null): readonly Effect[] {
    if (!this.#loaded) return effects
    if (this.#broken) return effects.filter((effect) => !restsOnSession(effect) || endsAll(effect))
    const resting = effects.filter(restsOnSession)
    if (resting.length === 0) return effects
    this.#listener.foresee(resting)
    this.#waiting.push({ effects: resting, link })
    this.#commit()
    return effects.filter((effect) => !restsOnSession(effect))
  }

  /** The loop has ended: what it knows is kept once more, whatever ended it, and the outcomes that rest on that are told. */
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
      await this.#ask(() => this.#store.commit(this.#listener.session()))
    } catch {
      // The loop ended with its own error already, and what is not safe is told by nobody.
      return
    }
    this.#listener.settleLate(effects)
  }

  #commit(): void {
    if (this.#asking !== null || this.#waiting.length === 0) return
    const batch = this.#waiting
    this.#waiting = []
    this.#ask(() => this.#store.commit(this.#listener.session())).then(
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

  /** One question at a time: a store never meets two. */
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
  const why = cause instanceof Error ? cause.message : String(cause)
  return new StorageError(`${what}: ${why}.`, { code, cause })
}

function endsAll({ type }: Effect): boolean {
  return type === 'finished'
}
