/**
 * What is asked of the store that several processes share, so that one of them executes an
 * operation? (Q6, a key is executed once) A store that fails is reported.
 */
import type { Core } from '../core.ts'
import type { DedupeStore, StoredAnswer } from '../respond-types.ts'
import { fingerprintOf } from './dedupe-cache.ts'
import type { IncomingCall } from './incoming-call.ts'
import type { Reply } from './reply.ts'
import { whyOf } from './request-errors.ts'

export class StoreClaims {
  readonly #core: Core
  readonly #store: DedupeStore

  constructor(core: Core, store: DedupeStore) {
    this.#core = core
    this.#store = store
  }

  /** @returns what `DedupeStore.claim` does, and null if the store has failed. */
  async claim(
    call: IncomingCall,
    expiresMs: number,
  ): Promise<'new' | 'running' | StoredAnswer | null> {
    try {
      return await this.#store.claim(call.asked.key!, fingerprintIn(call), expiresMs)
    } catch (error) {
      this.#failed(error)
      return null
    }
  }

  /** Whether the answer is that of the same request, and not of another one with its key. */
  isOf(call: IncomingCall, { fingerprint }: StoredAnswer): boolean {
    return fingerprint === fingerprintIn(call)
  }

  finish(call: IncomingCall, reply: Reply): void {
    const answer = { ...reply, fingerprint: fingerprintIn(call) }
    const expiresMs = Math.max(0, call.expiresAt - this.#core.clock.now())
    this.#store
      .finish(call.asked.key!, answer, expiresMs)
      .catch((error: unknown) => this.#failed(error))
  }

  release({ asked: { key } }: IncomingCall): void {
    // What cannot be released is released by its deadline.
    if (key !== null) this.#store.release(key).catch(() => {})
  }

  #failed(error: unknown): void {
    this.#core.warn('HANDLER_FAILED', `respond: the dedupe store failed: ${whyOf(error)}`)
  }
}

function fingerprintIn({ topic, asked }: IncomingCall): string {
  return fingerprintOf(topic, asked.payload).toString(36)
}
