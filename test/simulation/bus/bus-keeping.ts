/**
 * What outlives a process: its outbox, and what its listeners remember. A write takes time, and of
 * those under way at a kill some are done and some are not, the earlier ones first.
 */
import type { EventDedupe, EventOutbox } from '../../../src/bus/index.ts'
import type { Outcome, Request, SentRequest } from '../../../src/index.ts'

/** What of a process a store uses. */
export interface Writer {
  readonly isDead: boolean
  /** The bus has ended, in order or by a kill. */
  readonly isOver: boolean
  /** Resolves after a write, unless it was lost in a kill: then it never does. */
  write(): Promise<void>
  touch(): void
}

const BATCH_MAX = 3

/** Events on a disk, in order. */
export class KeptOutbox {
  readonly #entries = new Map<number, Request>()
  /** How many writes of each process are under way. */
  readonly #writing = new Map<Writer, number>()
  #next = 0

  /** Whether a process that has ended still writes, so that none can follow it. */
  get isHeld(): boolean {
    return [...this.#writing].some(([{ isDead }, count]) => !isDead && count > 0)
  }

  get length(): number {
    return this.#entries.size
  }

  /**
   * @param late is called when somebody uses it after the bus has ended.
   * @returns the outbox as a life of the process has it.
   */
  open(writer: Writer, late: () => void): EventOutbox {
    const numbers = new Map<Request, number>()
    let woken: (() => void) | null = null
    let last: Promise<void> = Promise.resolve()
    const count = (by: number) => {
      this.#writing.set(writer, (this.#writing.get(writer) ?? 0) + by)
    }
    const commit = (change: () => void) => {
      count(1)
      last = last
        .then(() => writer.write())
        .then(() => {
          count(-1)
          change()
        })
      return last
    }
    const entries = this.#entries
    const iterate = async function* (): AsyncGenerator<readonly Request[]> {
      let from = -1
      for (;;) {
        const batch = [...entries].filter(([number]) => number > from).slice(0, BATCH_MAX)
        for (const [number, request] of batch) {
          from = number
          numbers.set(request, number)
        }
        if (batch.length > 0) yield batch.map(([, request]) => request)
        else {
          await new Promise<void>((resolve) => {
            woken = resolve
          })
        }
      }
    }
    return {
      push: (request: SentRequest) => {
        const number = this.#next++
        return commit(() => {
          entries.set(number, request as Request)
          woken?.()
          writer.touch()
        })
      },
      settled: (request: Request, _: Outcome) => {
        if (writer.isOver && !writer.isDead) late()
        return commit(() => {
          if (writer.isOver && !writer.isDead) late()
          entries.delete(numbers.get(request)!)
        })
      },
      [Symbol.asyncIterator]: iterate,
    }
  }
}

/** Which events were handled, on a disk or in a database that several processes share. */
export class KeptIds {
  readonly done = new Set<string>()
  readonly begun = new Map<string, number>()
  /** Whether each event was known when a process last asked for it. */
  readonly answers = new Map<string, boolean>()

  open(writer: Writer, fails: () => boolean): EventDedupe {
    return {
      seen: async (id) => {
        const isDone = this.done.has(id)
        this.answers.set(id, isDone)
        await writer.write()
        return isDone
      },
      done: async (id) => {
        await writer.write()
        if (fails()) throw new Error('the store fails as ordered')
        this.done.add(id)
      },
      begin: async (id) => {
        await writer.write()
        const begun = (this.begun.get(id) ?? 0) + 1
        this.begun.set(id, begun)
        return begun
      },
    }
  }
}
