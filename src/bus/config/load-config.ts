/**
 * `loadConfig()`: from a file, a URL, a text or a value to the options of a bus. What code says
 * comes before the environment, and that before the file. (B16, all faults of a configuration are
 * told together)
 */
import { environment, pathOfUrl, processId, readFileText } from '#host'
import { machineName, systemPlatform, UsageError } from '../../index.ts'
import { inQuotes } from '../bus-names.ts'
import { uuid } from '../bus-parts.ts'
import type { BusOptions } from '../bus-types.ts'
import { checkFieldNames } from '../define-api.ts'
import { ConfigCheck, type ConfigFault, type ConfigPath } from './check-config.ts'
import { envSettings } from './config-env.ts'
import { ConfigFiles } from './config-files.ts'
import { merged, placedAt } from './config-layers.ts'
import { CONFIG_RULES } from './config-schema.ts'
import type { ConfigSource, ConfigText, ConfigValue, LoadConfigOptions } from './config-types.ts'
import { CONFIG_BYTES_MAX, fetchConfig } from './fetch-config.ts'
import { type ReadText, readJson } from './read-json.ts'
import { readYaml } from './read-yaml.ts'

/** More faults than these help nobody. */
const FAULTS_SHOWN_MAX = 50

/** Settings, and where they are from. */
interface FoundConfig extends ReadText {
  readonly name: string
  /** The path of the file; null if there is none. */
  readonly file: string | null
  readonly isRemote: boolean
}

/** One fault as people read it. */
interface ShownFault {
  readonly path: ConfigPath
  readonly text: string
}

/**
 * Reads the configuration of a bus, YAML (with the package `yaml`) or JSON: the options for
 * `createBus()`. Files of secrets are read, and modules with hooks loaded. Environment variables
 * `IT_MQTT_BUS_…` replace what it says.
 * @param source the path of a file, a URL with `https:` (at most 1 MiB within 5 s), a text, an
 *   object, or a function that returns one.
 * @throws UsageError `INVALID_CONFIG` with all that is wrong, each with its place, and as `issues`;
 *   `NO_YAML`; `NO_FILES` in a browser.
 */
export async function loadConfig(
  source: ConfigSource,
  options: LoadConfigOptions = {},
): Promise<BusOptions> {
  checkFieldNames('loadConfig: options', options, ['overrides', 'env', 'fetch', 'platform'])
  const { overrides, env = environment() } = options
  const found = await foundIn(source, options)
  const { name } = found
  const faults: ShownFault[] = found.faults.map(({ place, message }) => ({
    path: [],
    text: `${name}${columnText(place)}: ${message}`,
  }))
  const shown = ({ path, message, isName = false }: ConfigFault, of = found): ShownFault => {
    const place = columnText(of.place(path, isName))
    const subject = path.length === 0 ? 'the configuration' : pathText(path)
    return { path, text: `${of.name}${place}: ${subject} ${message}` }
  }
  const check = new ConfigCheck(placeholder)
  const layer = (given: unknown) => check.value(CONFIG_RULES, given ?? {})
  const first = faults.length === 0 ? layer(found.value) : {}
  faults.push(...check.faults.splice(0).map((fault) => shown(fault)))
  let settings = merged({}, first)
  if (env !== false) {
    const { settings: ofEnv, unknown } = envSettings(CONFIG_RULES, settings, env, check)
    for (const { variable, message } of unknown) {
      faults.push({ path: [], text: `${variable} ${message}` })
    }
    for (const { path, value } of ofEnv) settings = merged(settings, placedAt(path, value))
  }
  if (overrides !== undefined) {
    settings = merged(settings, layer(overrides))
    const ofCode = { ...found, name: 'overrides', place: () => null }
    faults.push(...check.faults.splice(0).map((fault) => shown(fault, ofCode)))
  }
  // A part that is wrong is not missing as well.
  if (faults.length === 0) check.required(CONFIG_RULES, settings)
  const isComplete = faults.length + check.faults.length === 0
  const busOptions = isComplete ? await new ConfigFiles(found, check).busOptions(settings) : null
  faults.push(...check.faults.map((fault) => shown(fault)))
  if (busOptions !== null && faults.length === 0) return busOptions
  throw invalid(name, faults)
}

function invalid(name: string, faults: readonly ShownFault[]): UsageError {
  const lines = faults.slice(0, FAULTS_SHOWN_MAX).map(({ text }) => `\n  ${text}`)
  const more = faults.length - lines.length
  if (more > 0) lines.push(`\n  and ${more} more`)
  const issues = faults.map(({ path, text }) => ({ path, message: text }))
  return new UsageError(`loadConfig: ${name} cannot be used:${lines.join('')}`, {
    code: 'INVALID_CONFIG',
    issues,
  })
}

async function foundIn(source: ConfigSource, options: LoadConfigOptions): Promise<FoundConfig> {
  if (typeof source === 'function') return foundInValue(await source())
  const isUrl = source instanceof URL || (typeof source === 'string' && /^\w{2,}:\/\//.test(source))
  if (isUrl) {
    if (!URL.canParse(String(source))) throw noSource('is no URL')
    const url = new URL(String(source))
    if (url.protocol === 'file:') return foundInFile(pathOfUrl(url))
    if (url.protocol !== 'https:') throw noSource(`has the scheme ${url.protocol}`)
    const { fetch = globalThis.fetch, platform = systemPlatform } = options
    const { text, isJson } = await fetchConfig(url, fetch, platform)
    const read = isJson ? readJson(text) : await readYaml(text)
    return { ...read, name: `${url.origin}${url.pathname}`, file: null, isRemote: true }
  }
  return typeof source === 'string' ? foundInFile(source) : foundInValue(source)
}

function noSource(why: string): UsageError {
  const allowed = 'a path, a URL with https: or file:, { text }, an object, or a function'
  return new UsageError(`loadConfig: the source ${why}; it must be ${allowed}`)
}

async function foundInFile(path: string): Promise<FoundConfig> {
  let text: string | null
  try {
    text = await readFileText(path, CONFIG_BYTES_MAX)
  } catch (cause) {
    if (cause instanceof UsageError) throw cause
    const why = cause instanceof TypeError ? 'it is not UTF-8' : (cause as Error).message
    throw new UsageError(`loadConfig: ${path} cannot be read: ${why}`, { cause })
  }
  if (text === null) throw new UsageError(`loadConfig: ${path} has more than 1 MiB`)
  const read = /\.json$/i.test(path) ? readJson(text) : await readYaml(text)
  return { ...read, name: path, file: path, isRemote: false }
}

/** @param given a text, or settings. */
async function foundInValue(given: string | ConfigText | ConfigValue): Promise<FoundConfig> {
  if (typeof given === 'string') return foundInValue({ text: given })
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw noSource(`gives ${inQuotes(given)}`)
  }
  const rest = { file: null, isRemote: false }
  if (!('text' in given)) {
    return { ...rest, name: 'the configuration', value: given, faults: [], place: () => null }
  }
  checkFieldNames('loadConfig: the source', given, ['text', 'name', 'format'])
  const { text, name = 'the text', format } = given as ConfigText
  if (typeof text !== 'string' || text.length > CONFIG_BYTES_MAX) {
    throw new UsageError('loadConfig: text must be a text of at most 1 MiB')
  }
  if (format !== undefined && format !== 'json' && format !== 'yaml') {
    throw new UsageError('loadConfig: format must be one of yaml, json')
  }
  const isJson = format === undefined ? text.trimStart().startsWith('{') : format === 'json'
  return { ...rest, ...(isJson ? readJson(text) : await readYaml(text)), name }
}

function placeholder(name: string): string | null {
  if (name === 'hostname') return machineName()
  if (name === 'pid') return processId()?.toString() ?? null
  return name === 'random8' ? uuid(systemPlatform).slice(0, 8) : null
}

function columnText(place: { readonly line: number; readonly column: number } | null): string {
  return place === null ? '' : `:${place.line}:${place.column}`
}

/** @returns a path as code writes it: `hooks[0].module`. */
function pathText(path: ConfigPath): string {
  return path
    .map((step, i) => {
      if (typeof step === 'number') return `[${step}]`
      if (!/^[A-Za-z_][\w-]*$/.test(step)) return `[${inQuotes(step)}]`
      return i === 0 ? step : `.${step}`
    })
    .join('')
}
