/**
 * How far did each producer get? A producer that reads its requests from somewhere has its position
 * stored in the same commit as these requests, so that after a kill neither is without the other.
 */
import type { StorageError } from '../../errors.ts'
import type { Operation } from '../store/record-database.ts'
import { putPosition } from './spool-records.ts'

/** Waits until something is on disk. It may be in several records. */
export interface CommitWaiter {
  /** Called once for each record that holds some of it. */
  waits(): void
  /** One of these records is on disk, or could not be written. */
  done(failure: StorageError | null): void
}

/** A position that the next commit stores. */
interface Mark {
  /** Null if the producer is to begin again. */
  readonly position: unknown
  readonly waiters: Set<CommitWaiter>
}

type Marked = ReadonlyMap<string, Mark>

export class Marks {
  /** The positions that are on disk. */
  readonly stored: Map<string, unknown>
  #next = new Map<string, Mark>()

  constructor(stored: Map<string, unknown>) {
    this.stored = stored
  }

  get isEmpty(): boolean {
    return this.#next.size === 0
  }

  add(producer: string, position: unknown, waiter: CommitWaiter): void {
    const waiters = this.#next.get(producer)?.waiters ?? new Set()
    this.#next.set(producer, { position, waiters })
    if (waiters.has(waiter)) return
    waiters.add(waiter)
    waiter.waits()
  }

  /** @returns what a commit is to store. */
  take(): Marked {
    const taken = this.#next
    this.#next = new Map()
    return taken
  }

  /**
   * Ends a commit. If a position could not be stored, later ones of its producer are not stored
   * either, because the requests in between are missing.
   */
  conclude(marked: Marked, failure: StorageError | null): void {
    for (const [producer, { position, waiters }] of marked) {
      const failed = [...waiters]
      if (failure !== null) {
        failed.push(...(this.#next.get(producer)?.waiters ?? []))
        this.#next.delete(producer)
      } else if (position === null) this.stored.delete(producer)
      else this.stored.set(producer, position)
      for (const waiter of failed) waiter.done(failure)
    }
  }
}

export function marksOf(marked: Marked): Operation[] {
  return [...marked].map(([producer, { position }]) => putPosition(producer, position))
}
