/**
 * Does a configuration fit its schema? All faults are found, each with its path, what was expected,
 * and the nearest known name. Values do not stand in faults, since one may be a password.
 * (B16, all faults of a configuration are told together)
 */
import type { ConfigRule, ConfigType } from './config-schema.ts'

/** The way to a part: names, and positions in arrays. */
export type ConfigPath = readonly (string | number)[]

export interface ConfigFault {
  readonly path: ConfigPath
  /** Whether it is about the name of the part, and not about its value. */
  readonly isName?: boolean
  readonly message: string
}

/** Gives a text for a placeholder; null if there is none of this name. */
type Placeholders = (name: string) => string | null

/** A name that differs in at most this many letters is a suggestion. */
const CLOSE_MAX = 3
/** Longer names are compared no further. */
const CLOSE_LENGTH_MAX = 60
/** A number with a unit behind it: what people write who expect another unit. */
const WITH_UNIT = /^(\d{1,9}(?:\.\d{1,9})?) ?(ms|s|sec|seconds?|m|min|minutes?|h|hours?|d|days?)$/i
const MS_OF_UNIT: readonly (readonly [RegExp, number])[] = [
  [/^ms$/i, 1],
  [/^s/i, 1000],
  [/^m/i, 60_000],
  [/^h/i, 3_600_000],
  [/^d/i, 86_400_000],
]

/** A walk through a configuration. */
export class ConfigCheck {
  readonly faults: ConfigFault[] = []
  readonly #placeholders: Placeholders

  constructor(placeholders: Placeholders) {
    this.#placeholders = placeholders
  }

  /**
   * Checks a part. What is required is not asked for: it may come from elsewhere.
   * @returns a copy of the value, with placeholders filled in.
   */
  value(rule: ConfigRule, given: unknown, path: ConfigPath = []): unknown {
    const fault = (message: string) => {
      this.faults.push({ path, message })
      return undefined
    }
    if (rule.enum !== undefined) {
      if (rule.enum.includes(given as string)) return given
      return fault(`must be one of ${rule.enum.join(', ')}${this.#suggestion(given, rule.enum)}`)
    }
    if (rule.type === undefined) return given
    const types = [rule.type].flat() as readonly ConfigType[]
    const type = types.find((one) => isOfType(one, given))
    if (type === undefined || given === rule.not?.const) {
      return fault(
        `must be ${expectedText(rule, types)}, not ${foundKind(given)}${hint(rule, given)}`,
      )
    }
    if (type === 'string') return this.#text(rule, given as string, fault)
    if (type === 'array') return this.#list(rule, given as unknown[], path, fault)
    if (type === 'object') return this.#table(rule, given as object, path)
    const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = rule
    if (type === 'boolean' || ((given as number) >= minimum && (given as number) <= maximum)) {
      return given
    }
    return fault(`must be ${expectedText(rule, types)}`)
  }

  /** Looks for what must be there and is not. */
  required(rule: ConfigRule, given: unknown, path: ConfigPath = []): void {
    if (typeof given !== 'object' || given === null) return
    if (Array.isArray(given)) {
      given.forEach((one, i) => {
        this.required(rule.items ?? {}, one, [...path, i])
      })
      return
    }
    for (const name of rule.required ?? []) {
      if (Object.hasOwn(given, name)) continue
      this.faults.push({ path: [...path, name], message: 'is missing' })
    }
    for (const [name, value] of Object.entries(given)) {
      const of = ruleOf(rule, name)
      if (of !== null) this.required(of, value, [...path, name])
    }
  }

  #text(rule: ConfigRule, given: string, fault: (message: string) => undefined): unknown {
    const text = rule['x-placeholders'] === undefined ? given : this.#filled(given, fault)
    if (text === null) return undefined
    const { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern } = rule
    if (text.length < minLength) return fault('must not be empty')
    if (text.length > maxLength) return fault(`must have at most ${maxLength} characters`)
    if (pattern !== undefined && !new RegExp(pattern).test(text)) {
      return fault(`must be ${rule['x-expected']}`)
    }
    return text
  }

  #filled(text: string, fault: (message: string) => undefined): string | null {
    let isWhole = true
    const filled = text.replace(/\{([^{}]*)\}/g, (whole, name: string) => {
      const value = this.#placeholders(name)
      if (value !== null) return value
      isWhole = false
      fault('has a placeholder that is none of {hostname}, {pid} and {random8}')
      return whole
    })
    return isWhole ? filled : null
  }

  #list(
    rule: ConfigRule,
    given: readonly unknown[],
    path: ConfigPath,
    fault: (message: string) => undefined,
  ): unknown {
    if (given.length < (rule.minItems ?? 0)) return fault('must not be empty')
    return given.map((one, i) => this.value(rule.items ?? {}, one, [...path, i]))
  }

  #table(rule: ConfigRule, given: object, path: ConfigPath): unknown {
    const entries = Object.entries(given).flatMap(([name, one]) => {
      const of = ruleOf(rule, name)
      // YAML says `null` where nothing stands behind a name.
      if (of !== null)
        return one === null || one === undefined
          ? []
          : [[name, this.value(of, one, [...path, name])]]
      this.#unknown(rule, name, [...path, name])
      return []
    })
    return Object.fromEntries(entries)
  }

  #unknown(rule: ConfigRule, name: string, path: ConfigPath): void {
    const names = Object.keys(rule.properties ?? {})
    const message = rule.propertyNames
      ? `cannot be a name here: it must be ${rule['x-expected']}`
      : `is no setting${this.#suggestion(name, names) || `; there are ${names.join(', ')}`}`
    this.faults.push({ path, isName: true, message })
  }

  #suggestion(given: unknown, names: readonly (string | number)[]): string {
    const name = typeof given === 'string' ? closestName(given, names.map(String)) : null
    return name === null ? '' : `; did you mean ${name}?`
  }
}

/** @returns the rule of a member; null if there may be none of this name. */
function ruleOf(rule: ConfigRule, name: string): ConfigRule | null {
  const { properties = {}, additionalProperties, propertyNames } = rule
  if (Object.hasOwn(properties, name)) return properties[name]!
  if (typeof additionalProperties !== 'object') return null
  return new RegExp(propertyNames?.pattern ?? '').test(name) ? additionalProperties : null
}

function isOfType(type: ConfigType, value: unknown): boolean {
  if (type === 'array') return Array.isArray(value)
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'number') return typeof value === 'number' && Number.isFinite(value)
  // Bytes and dates, which YAML can make, are no tables.
  if (type === 'object') return Object.prototype.toString.call(value) === '[object Object]'
  return type === 'boolean' ? typeof value === 'boolean' : typeof value === 'string'
}

const TYPE_WORDS: Readonly<Record<ConfigType, string>> = {
  string: 'a text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a table',
}

function expectedText(rule: ConfigRule, types: readonly ConfigType[]): string {
  if (rule.not !== undefined) return 'a table, or false'
  const { minimum, maximum, 'x-unit': unit } = rule
  const all = types.map((type) => TYPE_WORDS[type]).join(' or ')
  const range = minimum === undefined ? '' : ` from ${minimum} to ${maximum}`
  const of = unit === undefined ? '' : ` of ${unit === 'ms' ? 'ms' : 'seconds'}`
  return `${all}${of}${range}`
}

function foundKind(value: unknown): string {
  if (value === null) return 'nothing'
  if (typeof value === 'string') return 'a text'
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? 'a number' : 'no finite number'
  return Array.isArray(value) ? 'a list' : 'a table'
}

/** @returns what to write instead of a number with a unit, such as `5s`. */
function hint({ 'x-unit': unit }: ConfigRule, given: unknown): string {
  if (unit === undefined || typeof given !== 'string') return ''
  const [, count, suffix = ''] = WITH_UNIT.exec(given.trim()) ?? []
  const [, factor = 0] = MS_OF_UNIT.find(([pattern]) => pattern.test(suffix)) ?? []
  if (count === undefined || factor === 0) return ''
  return `; write ${(Number(count) * factor) / (unit === 'ms' ? 1 : 1000)}`
}

/** @returns the known name that is most like a given one; null if none is. */
export function closestName(given: string, names: readonly string[]): string | null {
  if (given.length > CLOSE_LENGTH_MAX) return null
  let closest: string | null = null
  let least = Math.min(CLOSE_MAX, Math.ceil(given.length / 2)) + 1
  for (const name of names) {
    const distance = editDistance(given.toLowerCase(), name.toLowerCase())
    if (distance < least) [closest, least] = [name, distance]
  }
  return closest
}

/** @returns how many letters have to be changed, added or removed. */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, i) => i)
  for (let i = 1; i <= one.length; i++) {
    const above = row
    row = [i]
    for (let j = 1; j <= other.length; j++) {
      const changed = above[j - 1]! + (one[i - 1] === other[j - 1] ? 0 : 1)
      row.push(Math.min(changed, above[j]! + 1, row[j - 1]! + 1))
    }
  }
  return row[other.length]!
}
