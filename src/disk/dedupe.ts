/**
 * Which events were handled, also by an earlier life of the process? `openDedupe()` remembers names
 * on disk: as many as asked for, the oldest of which are forgotten.
 *
 * Each name has a record under itself and one under its number, which says which is the oldest.
 * Changes that come while a commit is under way share the next one.
 */
import { asBytes, utf8Bytes, utf8Text } from '#bytes'
import { openDatabase } from '#database'
import { describe, UsageError } from '../errors.ts'
import { keyOf, numberOf } from './store/numbered-keys.ts'
import type { Operation, RecordDatabase } from './store/record-database.ts'

const NAMED = 'n'
const NUMBERED = 'q'
const NUMBERED_END = 'r'
/** The record that holds the number of the next name. */
const NEXT = 'next'
const IDS_MAX = 1_000_000
/** How many forgotten names one commit removes at most. */
const FORGOTTEN_MAX = 64
/** An id has so many characters at most. */
const ID_LENGTH_MAX = 2048

/** What is known of a name. */
interface Known {
  /** How often its handling began. */
  readonly begun: number
  readonly done: boolean
  readonly number: number
}

/** Remembers on disk which events were handled: the `store` of the `dedupe` of a listener. */
export class DiskDedupe implements AsyncDisposable {
  readonly #database: RecordDatabase
  readonly #max: number
  #first = 0
  #next = 0
  /** Changes of names that are not on disk yet. */
  readonly #changed = new Map<string, Known>()
  #gathered: Operation[] = []
  #gathering: Promise<void> | null = null
  #last: Promise<void> = Promise.resolve()
  /** Calls for one id are done one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>()

  private constructor(database: RecordDatabase, max: number) {
    this.#database = database
    this.#max = max
  }

  /** @internal */
  static async open(directory: string, max: number): Promise<DiskDedupe> {
    const database = await openDatabase(directory, 'dedupe')
    const opened = new DiskDedupe(database, max)
    const next = await database.get(NEXT)
    if (next !== undefined) opened.#next = Number(utf8Text(asBytes(next), 0, next.length))
    const [oldest] = await database.range({ gte: NUMBERED, lt: NUMBERED_END }, 1)
    opened.#first = oldest === undefined ? opened.#next : numberOf(oldest[0])
    return opened
  }

  /**
   * @returns whether the event was handled, in this life or an earlier one.
   * @throws StorageError if the disk fails; UsageError for an id without text, and after `close`.
   */
  async seen(id: string): Promise<boolean> {
    return (await this.#known(checkId(id)))?.done === true
  }

  /**
   * Remembers that the event was handled. Resolves when that is on disk.
   * @throws as `seen`.
   */
  async done(id: string): Promise<void> {
    await this.#change(id, (known) => ({ ...known, done: true }))
  }

  /**
   * A handler is about to begin with the event.
   * @returns how often handlers began with it, this time included, when that is on disk.
   * @throws as `seen`.
   */
  async begin(id: string): Promise<number> {
    const known = await this.#change(id, (before) => ({ ...before, begun: before.begun + 1 }))
    return known.begun
  }

  async #known(id: string): Promise<Known | undefined> {
    const changed = this.#changed.get(id)
    if (changed !== undefined) return changed
    const record = await this.#database.get(recordKey(id))
    if (record === undefined) return undefined
    const [number, begun, done] = utf8Text(asBytes(record), 0, record.length).split(' ')
    return { number: Number(number), begun: Number(begun), done: done === '1' }
  }

  #change(id: string, change: (known: Known) => Known): Promise<Known> {
    checkId(id)
    const before = this.#turns.get(id) ?? Promise.resolve()
    const turn = before.catch(() => {}).then(() => this.#changeNow(id, change))
    this.#turns.set(id, turn)
    const over = () => {
      if (this.#turns.get(id) === turn) this.#turns.delete(id)
    }
    turn.then(over, over)
    return turn
  }

  async #changeNow(id: string, change: (known: Known) => Known): Promise<Known> {
    const known = await this.#known(id)
    const isNew = known === undefined
    const changed = change(known ?? { number: this.#next++, begun: 0, done: false })
    const operations: Operation[] = [putText(recordKey(id), textOfKnown(changed))]
    if (isNew) {
      operations.push(
        putText(keyOf(NUMBERED, changed.number), recordKey(id)),
        putText(NEXT, String(this.#next)),
        ...(await this.#forgetOldest()),
      )
    }
    this.#changed.set(id, changed)
    try {
      await this.#commit(operations)
    } finally {
      if (this.#changed.get(id) === changed) this.#changed.delete(id)
    }
    return changed
  }

  /** @returns what removes the names beyond the bound. */
  async #forgetOldest(): Promise<readonly Operation[]> {
    const surplus = Math.min(this.#next - this.#first - this.#max, FORGOTTEN_MAX)
    if (surplus <= 0) return []
    const from = this.#first
    this.#first += surplus
    const operations: Operation[] = []
    for (let number = from; number < this.#first; number++) {
      const key = keyOf(NUMBERED, number)
      const record = await this.#database.get(key)
      operations.push({ type: 'del', key })
      if (record === undefined) continue
      operations.push({ type: 'del', key: utf8Text(asBytes(record), 0, record.length) })
    }
    return operations
  }

  #commit(operations: readonly Operation[]): Promise<void> {
    this.#gathered.push(...operations)
    this.#gathering ??= this.#last.then(() => {
      const gathered = this.#gathered
      this.#gathered = []
      this.#gathering = null
      const commit = this.#database.commit(gathered, sizeOf(gathered))
      this.#last = commit.catch(() => {})
      return commit
    })
    return this.#gathering
  }

  /** Closes the directory, after what is under way. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#turns.values()])
    await this.#database.close()
  }

  /** Calls `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function checkId(id: string): string {
  if (typeof id === 'string' && id !== '' && id.length <= ID_LENGTH_MAX) return id
  throw new UsageError(
    `dedupe: an id must be a text of 1 to ${ID_LENGTH_MAX} characters, not ${describe(id)}`,
  )
}

/** Keys are ASCII. */
function recordKey(id: string): string {
  const escaped = id.replace(
    /[^\w./@-]/g,
    (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return NAMED + escaped
}

function textOfKnown({ number, begun, done }: Known): string {
  return `${number} ${begun} ${done ? 1 : 0}`
}

function putText(key: string, text: string): Operation {
  return { type: 'put', key, value: utf8Bytes(text) }
}

function sizeOf(operations: readonly Operation[]): number {
  return operations.reduce(
    (sum, one) => sum + (one.type === 'put' ? one.key.length + one.value.length : 0),
    0,
  )
}

/**
 * Opens a directory, which is made if it is not there, that remembers which events a process has
 * handled: `listen(name, { dedupe: { store } })` of `it-mqtt/bus`. Needs the package
 * `classic-level`; in a browser `directory` is the name of a database of IndexedDB, and no package
 * is needed.
 * @param options `maxIds`: how many names it keeps, 1 to 1,000,000,000; the oldest are forgotten
 *   first. Default 1,000,000.
 * @throws UsageError without `classic-level`, or if the directory holds something else.
 * @throws StorageError if the directory is in use (`IN_USE`), or cannot be read or made.
 */
export async function openDedupe(
  directory: string,
  options: { readonly maxIds?: number | undefined } = {},
): Promise<DiskDedupe> {
  const { maxIds = IDS_MAX } = options
  if (!Number.isInteger(maxIds) || maxIds < 1 || maxIds > 1_000_000_000) {
    const allowed = 'a whole number from 1 to 1,000,000,000'
    throw new UsageError(`openDedupe: maxIds must be ${allowed}, not ${describe(maxIds)}`)
  }
  return DiskDedupe.open(directory, maxIds)
}
