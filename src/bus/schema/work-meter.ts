/**
 * How much work may it be to compare a value with a schema of others? An interpreter goes wherever
 * a schema sends it, and a short schema can send it round for years. So each visit of a part of the
 * schema and each look into the value is counted, and the check ends when too many were made.
 * (B14, a schema from the server is data)
 */
import { isPlainJson } from './canonical-json.ts'

/** What a check may cost. A look into the value costs 1; measured, all of it takes under 1 s. */
const WORK_MAX = 300_000
/** How many objects and arrays may stand in each other in a value that is checked. */
const VALUE_DEPTH_MAX = 64
/** How many characters of a text are looked at for 1. */
const TEXT_LENGTH_PER_UNIT = 32

/** Is thrown where a value cannot be checked. Its message is ours, and no text of others. */
export class NotChecked extends Error {}

/** The work of one check after the other. */
export class WorkMeter {
  #left = 0
  /** What it costs to look at the longest text of the value. */
  #textUnits = 0
  readonly #traps: ProxyHandler<object> = {
    get: (target, name) => {
      // Who asks for the length of an array goes through it, or copies what it knows of it.
      const isLength = name === 'length' && Array.isArray(target)
      this.take(isLength ? 1 + target.length / 8 : 1)
      return this.#watched((target as Readonly<Record<PropertyKey, unknown>>)[name])
    },
    ownKeys: (target) => {
      const names = Reflect.ownKeys(target)
      this.take(1 + names.length)
      return names
    },
  }

  /**
   * Begins a check.
   * @returns a copy of a value in which each look is counted.
   * @throws NotChecked if the value is not JSON, or is nested too deeply.
   */
  begin(value: unknown): unknown {
    this.#left = WORK_MAX
    this.#textUnits = 0
    return this.#watched(this.#copied(value, 0))
  }

  /** @throws NotChecked if it was too much. @returns undefined, which is what a getter has. */
  take(units: number): undefined {
    this.#left -= units
    if (this.#left < 0) throw new NotChecked('the comparison takes too much work')
    return undefined
  }

  takeText(): void {
    this.take(this.#textUnits)
  }

  #copied(value: unknown, depth: number): unknown {
    this.take(1)
    if (typeof value === 'string') {
      const units = Math.ceil(value.length / TEXT_LENGTH_PER_UNIT)
      this.#textUnits = Math.max(this.#textUnits, units)
      return value
    }
    if (value === null || typeof value === 'boolean') return value
    if (typeof value === 'number' && Number.isFinite(value)) return value
    if (typeof value !== 'object' || !isPlainJson(value)) {
      throw new NotChecked('the value has parts that are not JSON')
    }
    if (depth >= VALUE_DEPTH_MAX) {
      throw new NotChecked(`the value is nested deeper than ${VALUE_DEPTH_MAX} levels`)
    }
    if (Array.isArray(value)) return value.map((item) => this.#copied(item, depth + 1))
    // Without a prototype, so that `__proto__` is a name like others.
    const copy: Record<string, unknown> = Object.create(null)
    for (const [name, member] of Object.entries(value)) {
      if (member !== undefined) copy[name] = this.#copied(member, depth + 1)
    }
    return copy
  }

  #watched(value: unknown): unknown {
    return typeof value === 'object' && value !== null ? new Proxy(value, this.#traps) : value
  }
}
