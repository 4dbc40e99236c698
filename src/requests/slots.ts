/**
 * The requests behind the handles of the reducers, from the moment they are taken until nothing needs them any more.
 *
 * Slots are numbered from 1 and used again. A session that was read shares them: whoever changes them next copies first, so
 * that reading is O(1) and what was read stays as it was.
 */

import type { Group } from './group.ts'
import type { PreparedPublish, PreparedSubscribe, PreparedUnsubscribe } from './prepare.ts'

export type Sendable = PreparedPublish | PreparedSubscribe | PreparedUnsubscribe

export type Slot = Sendable | Group

export type Slots = readonly (Slot | undefined)[]

/** There is no slot 0. */
const NO_SLOTS: (Slot | undefined)[] = [undefined]

export class Held {
  #slots: (Slot | undefined)[] = NO_SLOTS
  #free: number[] | null = null
  #shared = true

  put(slot: Slot): number {
    if (this.#shared) this.#own()
    const handle = this.#free?.pop()
    if (handle === undefined) return this.#slots.push(slot) - 1
    this.#slots[handle] = slot
    return handle
  }

  get(handle: number): Slot | undefined {
    return this.#slots[handle]
  }

  remove(handle: number): Slot | undefined {
    const slot = this.#slots[handle]
    if (slot === undefined) return undefined
    if (this.#shared) this.#own()
    this.#slots[handle] = undefined
    this.#free ??= []
    this.#free.push(handle)
    return slot
  }

  /** The slots as they are now, for good. */
  share(): Slots {
    this.#shared = true
    return this.#slots
  }

  #own(): void {
    this.#slots = this.#slots.slice()
    this.#shared = false
  }
}
