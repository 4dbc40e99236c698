/**
 * Where a session is kept in a store: what rests on a commit waits for it. One commit is under way at a time, and whatever
 * gathers meanwhile shares the next one.
 */
import { StorageError } from './errors.ts'
import type { Link } from './link.ts'
import type { Effect } from './protocol/contract.ts'
import type { Session, SessionStore } from './session.ts'

/** Effects that neither rest on the session nor may wait: signs of life, dialling, goodbyes. */
const AT_ONCE: ReadonlySet<Effect['type']> = new Set([
  'dial',
  'connect',
  'pingreq',
  'pong',
  'disconnect',
  'close',
  'destroy',
  'pauseReading',
  'resumeReading',
  'withhold',
  'unwithhold',
  'warn',
  'takeApart',
])

export interface GateListener {
  session(): Session
  /** These rest on what is safe now. `link`: the connection for which they were meant. */
  release(effects: readonly Effect[], link: Link | null): void
  fail(error: unknown): void
}

export class Gate {
  readonly #store: SessionStore
  readonly #listener: GateListener
  #waiting: { readonly effects: readonly Effect[]; readonly link: Link | null }[] = []
  #committing = false

  constructor(store: SessionStore, listener: GateListener) {
    this.#store = store
    this.#listener = listener
  }

  /** Keeps what has to wait, gives back what has not. */
  admit(effects: readonly Effect[], link: Link | null): readonly Effect[] {
    const resting = effects.filter((effect) => !passes(effect))
    if (resting.length === 0) return effects
    this.#waiting.push({ effects: resting, link })
    this.#commit()
    return effects.filter(passes)
  }

  #commit(): void {
    if (this.#committing || this.#waiting.length === 0) return
    const batch = this.#waiting
    this.#waiting = []
    this.#committing = true
    this.#store.commit(this.#listener.session()).then(
      () => {
        this.#committing = false
        for (const { effects, link } of batch) this.#listener.release(effects, link)
        this.#commit()
      },
      (cause: unknown) => {
        const message = `The session could not be saved: ${cause instanceof Error ? cause.message : String(cause)}.`
        this.#listener.fail(new StorageError(message, { code: 'COMMIT_FAILED', cause }))
      },
    )
  }
}

function passes(effect: Effect): boolean {
  if (effect.type === 'publish') return effect.qos === 0
  return AT_ONCE.has(effect.type) || effect.type === 'confirm'
}
