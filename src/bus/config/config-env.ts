/**
 * Which settings does the environment have? `IT_MQTT_BUS_CLIENT_KEEP_ALIVE` is `client.keepAlive`:
 * the names of the path in capitals, joined by `_`.
 */
import { type ConfigCheck, type ConfigPath, closestName } from './check-config.ts'
import type { ConfigRule, ConfigType } from './config-schema.ts'

const PREFIX = 'IT_MQTT_BUS_'

interface EnvSetting {
  readonly variable: string
  readonly path: ConfigPath
  readonly value: unknown
}

interface Environment {
  readonly settings: readonly EnvSetting[]
  /** Variables that name no setting, and what is wrong with them. */
  readonly unknown: readonly { readonly variable: string; readonly message: string }[]
}

/**
 * @param known the settings so far: their tables have the names of APIs and listeners.
 * @returns the settings of the environment. An empty variable is none.
 */
export function envSettings(
  rule: ConfigRule,
  known: unknown,
  env: Readonly<Record<string, string | undefined>>,
  check: ConfigCheck,
): Environment {
  const all = variablesOf(rule, known, PREFIX.slice(0, -1), [])
  const settings: EnvSetting[] = []
  const unknown: { variable: string; message: string }[] = []
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(PREFIX) || text === undefined || text === '') continue
    const found = all.get(variable)
    if (found === undefined) {
      const near = closestName(variable, [...all.keys()])
      const meant = near === null ? '' : `; did you mean ${near}?`
      unknown.push({ variable, message: `names no setting${meant}` })
      continue
    }
    const before = check.faults.length
    const value = check.value(found.rule, valueInText(found.rule, text), found.path)
    if (check.faults.length === before) settings.push({ variable, path: found.path, value })
    else {
      for (const { message } of check.faults.splice(before)) unknown.push({ variable, message })
    }
  }
  // What switches a table off comes after what is in the table.
  settings.sort((a, b) => b.path.length - a.path.length)
  return { settings, unknown }
}

interface EnvTarget {
  readonly rule: ConfigRule
  readonly path: ConfigPath
}

/** @returns the variable of each setting that is no table, or may be false in place of one. */
function variablesOf(
  rule: ConfigRule,
  known: unknown,
  variable: string,
  path: ConfigPath,
): ReadonlyMap<string, EnvTarget> {
  const { properties, additionalProperties, items } = rule
  const isTable = properties !== undefined || typeof additionalProperties === 'object'
  if (!isTable) {
    // A list of tables has no text.
    return new Map(items?.properties === undefined ? [[variable, { rule, path }]] : [])
  }
  const table = Object(known) as Readonly<Record<string, unknown>>
  const names = new Set(Object.keys(properties ?? {}))
  if (typeof additionalProperties === 'object') {
    for (const name of Object.keys(table)) names.add(name)
  }
  const found = new Map<string, EnvTarget>()
  if ([rule.type].flat().includes('boolean')) found.set(variable, { rule, path })
  for (const name of names) {
    const of =
      properties !== undefined && Object.hasOwn(properties, name)
        ? properties[name]!
        : (additionalProperties as ConfigRule)
    const inner = Object.hasOwn(table, name) ? table[name] : undefined
    const below = variablesOf(of, inner, `${variable}_${upperSnake(name)}`, [...path, name])
    for (const [one, target] of below) if (!found.has(one)) found.set(one, target)
  }
  return found
}

/** @returns `KEEP_ALIVE` for `keepAlive`, `SEND_WELCOME` for `send-welcome`. */
function upperSnake(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]/g, '_')
    .toUpperCase()
}

/** @returns what a text means where a rule holds; the text itself if it means nothing. */
function valueInText(rule: ConfigRule, text: string): unknown {
  const types = rule.type === undefined ? [] : ([rule.type].flat() as readonly ConfigType[])
  const isNumber = /^-?\d+(?:\.\d+)?$/.test(text)
  if (types.includes('boolean') && (text === 'true' || text === 'false')) return text === 'true'
  if ((types.includes('number') || types.includes('integer')) && isNumber) return Number(text)
  if (isNumber && rule.enum?.includes(Number(text))) return Number(text)
  if (types.includes('array') && !types.includes('string')) {
    return text.split(',').map((one) => one.trim())
  }
  return text
}
