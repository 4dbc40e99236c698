/**
 * Is there room for new records, and for marking later that they are settled? A browser that is out
 * of room refuses that too. So new records are refused earlier, as LevelDB on Node does it.
 */

import { storageGlobals } from './indexed-db.ts'
import { fullFailure } from './storage-failures.ts'

/** What is left for the marks, in bytes: each commit writes some 200 bytes beside its records. */
const RESERVE_BYTES = 4 << 20
/** A new record takes room twice: in the log of the browser and in a table. */
const COPIES = 2

export class StorageRoom {
  /** How much may be added before the browser is asked again, in bytes. */
  #bytesLeft = 0

  /** @throws StorageError (`DISK_FULL`) if there is no room for so many bytes. */
  async require(addedBytes: number, directory: string): Promise<void> {
    const needed = addedBytes * COPIES
    if (this.#bytesLeft < needed) {
      const free = await freeBytes()
      // Other parts of the page store something too: so half of it, and not all.
      this.#bytesLeft = (free - RESERVE_BYTES) / 2
      if (free - RESERVE_BYTES < needed) throw fullFailure(`${directory} takes nothing more: `)
    }
    this.#bytesLeft -= needed
  }
}

/** @returns how many bytes this origin may add; infinite if the browser does not say. */
async function freeBytes(): Promise<number> {
  const { usage, quota } = await estimate()
  return usage === undefined || quota === undefined ? Infinity : quota - usage
}

async function estimate(): Promise<{ usage?: number; quota?: number }> {
  try {
    return (await storageGlobals.navigator?.storage?.estimate?.()) ?? {}
  } catch {
    return {}
  }
}
