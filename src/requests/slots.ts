/**
 * Which request object is behind a handle of the reducers? A request has a slot from the moment it
 * is taken until nothing needs it any more.
 *
 * Slots are numbered from 1 and used again. A session that was read shares the slots, and whoever
 * changes them next copies them first: so reading is O(1), and what was read does not change.
 */
import type { Group } from './group.ts'
import type { Sendable } from './prepare.ts'

export type Slot = Sendable | Group

/** Index: handle. */
export type Slots = readonly (Slot | undefined)[]

/** There is no slot 0. All tables share this array until they change it. */
const NO_SLOTS: (Slot | undefined)[] = [undefined]

export class SlotTable {
  #slots: (Slot | undefined)[] = NO_SLOTS
  /** Handles that are free again; null if none ever was. */
  #free: number[] | null = null
  /** Whether somebody else has the array, so that it must be copied before it is changed. */
  #shared = true

  /** @returns the handle under which the slot is stored. */
  put(slot: Slot): number {
    if (this.#shared) this.#copy()
    const handle = this.#free?.pop()
    if (handle === undefined) return this.#slots.push(slot) - 1
    this.#slots[handle] = slot
    return handle
  }

  get(handle: number): Slot | undefined {
    return this.#slots[handle]
  }

  /** @returns the slot, which is not in the table any more, or undefined if the handle is free. */
  remove(handle: number): Slot | undefined {
    const slot = this.#slots[handle]
    if (slot === undefined) return undefined
    if (this.#shared) this.#copy()
    this.#slots[handle] = undefined
    this.#free ??= []
    this.#free.push(handle)
    return slot
  }

  /** @returns the slots as they are now; the array never changes again. */
  share(): Slots {
    this.#shared = true
    return this.#slots
  }

  #copy(): void {
    this.#slots = this.#slots.slice()
    this.#shared = false
  }
}
