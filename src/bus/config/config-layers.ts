/** How do settings of several places become one? Tables are mixed, and all else is replaced. */
import type { ConfigPath } from './check-config.ts'

type Table = Readonly<Record<string, unknown>>

/** Settings that say the same in two ways: the later place decides, also which way. */
const EITHER: Readonly<Record<string, string>> = {
  password: 'passwordFile',
  passwordFile: 'password',
}

/** @returns settings, with those of a place that comes before it. */
export function merged(settings: unknown, before: unknown): Table {
  if (!isTable(settings)) return isTable(before) ? before : {}
  if (!isTable(before)) return settings
  const all = new Map(Object.entries(settings))
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) continue
    const other = Object.hasOwn(EITHER, name) ? EITHER[name] : undefined
    if (other !== undefined && !Object.hasOwn(before, other)) all.delete(other)
    all.set(name, isTable(value) ? merged(all.get(name), value) : value)
  }
  return Object.fromEntries(all)
}

/** @returns settings with one value. */
export function placedAt(path: ConfigPath, value: unknown): unknown {
  return path.reduceRight((inner, name) => Object.fromEntries([[name, inner]]), value)
}

function isTable(value: unknown): value is Table {
  return Object.prototype.toString.call(value) === '[object Object]'
}
