/**
 * What does a configuration file give to a command? A file in TOML with named profiles; a key is
 * the long name of an option. The profile of `-c name`, or else the one named `default`, gives what
 * the command line leaves open.
 *
 *     [plant]
 *     url = "mqtts://plant.example"
 *     username = "anna"
 *     password-file = "plant.password"
 *
 * The command line wins over everything. A profile that was named wins over the environment, since
 * whoever names a profile means its server; the profile `default` does not. A server on the command
 * line replaces the server of the profile as a whole; `-p` alone replaces its port.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { Command, Option } from 'commander'
import { UsageError } from '../index.ts'
import { ALIASES } from './arguments.ts'
import { say } from './fail.ts'
import { PropertyOption, propertyWords } from './property-flags.ts'

/** The options of the program itself, which stand before the command. */
export interface ProgramFlags {
  readonly profile?: string
  readonly config?: string
}

/** Options that name the server: if the command line has one, those of the profile do not count. */
const SERVER_OPTIONS = ['url', 'L', 'host', 'port', 'unix', 'srv']
/** Options whose value is a path, which counts from the folder of the file. */
const PATH_OPTIONS = [
  ...['--cafile', '--capath', '--cert', '--key', '--key-password-file', '--password-file'],
  '--session',
]
/** Options that mean: this is the password. */
const PASSWORD_OPTIONS = ['password', 'passwordFile', 'askPassword']
const DEFAULT_PROFILE = 'default'

/** @returns the place of the file by the XDG Base Directory Specification. */
function configPath(env: NodeJS.ProcessEnv = process.env): string {
  const base = env['XDG_CONFIG_HOME'] || join(homedir(), '.config')
  return join(base, 'it-mqtt', 'config.toml')
}

/**
 * Gives the options of a profile to a command that was parsed.
 *
 * @param whole makes the parser of all commands: a profile has options of others too.
 * @throws UsageError if the file, the profile or one of its keys cannot be used.
 */
export async function applyProfile(
  { profile, config }: ProgramFlags,
  command: Command,
  whole: () => Promise<Command>,
): Promise<void> {
  const path = config ?? configPath()
  if (config === undefined && !existsSync(path)) {
    if (profile === undefined) return
    throw new UsageError(`-c ${profile}: there is no ${path}`)
  }
  const profiles = await profilesIn(path)
  const name = profile ?? DEFAULT_PROFILE
  const found = Object.hasOwn(profiles, name) ? profiles[name] : undefined
  if (found === undefined) {
    if (profile === undefined) return
    const names = Object.keys(profiles).join(', ')
    throw new UsageError(`-c ${profile}: ${path} has no [${profile}]; it has ${names || 'none'}`)
  }
  const where = `${path}: [${name}]`
  const given = Object.entries(found)
  if (given.some(([key]) => key === 'password' || key === 'pw')) warnOfReaders(path)
  for (const [key, value] of given) {
    const option = command.options.find(isMeantBy(key))
    const context = { where, folder: dirname(path), isNamed: !!profile }
    if (option !== undefined) applyOption(command, option, [key, value], context)
    else if (!(await whole()).commands.some((one) => hasOption(one, isMeantBy(key)))) {
      throw new UsageError(`${where} has ${key}, and no command has an option --${key}`)
    }
  }
}

/** @returns the name of the option as the command line has it. */
function flagOf(key: string): string {
  return key === 'L' ? '-L' : (ALIASES[`--${key}`] ?? `--${key}`)
}

function isMeantBy(key: string): (option: Option) => boolean {
  const flag = flagOf(key)
  return ({ long, short }) => long === flag || short === flag
}

type Profile = Readonly<Record<string, unknown>>

async function profilesIn(path: string): Promise<Readonly<Record<string, Profile>>> {
  const all = await parsedFile(path)
  for (const [key, value] of Object.entries(all)) {
    const isTable = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (isTable && !(value instanceof Date)) continue
    throw new UsageError(
      `${path}: ${key} is in no profile; write the line [default] above the options that always ` +
        'count, or a line such as [plant] for a profile',
    )
  }
  return all as Record<string, Profile>
}

async function parsedFile(path: string): Promise<Record<string, unknown>> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`--config: ${(error as Error).message}`, { cause: error })
  }
  const { parse, TomlError } = await import('smol-toml')
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    // The message of the parser quotes the lines around the mistake; one may be a password.
    throw new UsageError(`${path}:${error.line}:${error.column}: this is not valid TOML`)
  }
}

interface Context {
  readonly where: string
  readonly folder: string
  readonly isNamed: boolean
}

function applyOption(
  command: Command,
  option: Option,
  [key, value]: readonly [string, unknown],
  context: Context,
): void {
  const { where, folder, isNamed } = context
  const flag = flagOf(key)
  const name = option.attributeName()
  if (isDecided(command, name, isNamed)) return
  const isFlag = !option.required && !option.optional
  const allowed = isFlag ? typeof value === 'boolean' : isValue(value)
  if (!allowed) {
    const expected = isFlag ? 'true or false' : 'a text or a number'
    throw new UsageError(`${where} ${key}: ${expected} is expected`)
  }
  if (isFlag) {
    if (value === true) command.setOptionValueWithSource(name, !option.negate, 'config')
    return
  }
  let parsed: unknown
  for (const one of Array.isArray(value) ? value : [value]) {
    let text = PATH_OPTIONS.includes(flag) ? pathFrom(folder, String(one)) : String(one)
    if (option instanceof PropertyOption) {
      const words = propertyWords(text)
      // A profile serves several commands, each of which takes the properties of its packets.
      if (!option.takes(words)) continue
      text = JSON.stringify(words)
    }
    parsed = parsedValue(option, text, parsed, `${where} ${key}`)
  }
  if (parsed === undefined) return
  command.setOptionValueWithSource(name, parsed, 'config')
}

/** Whether the command line, or an environment that counts more, says what the profile would. */
function isDecided(command: Command, name: string, isNamed: boolean): boolean {
  const strong = isNamed ? ['cli'] : ['cli', 'env']
  const has = (one: string) => strong.includes(command.getOptionValueSource(one) ?? '')
  if (has(name)) return true
  if (PASSWORD_OPTIONS.includes(name)) return PASSWORD_OPTIONS.some(has)
  if (!SERVER_OPTIONS.includes(name)) return false
  // With `-p` alone the server of the profile goes on to count.
  return SERVER_OPTIONS.some((one) => (name === 'port' || one !== 'port') && has(one))
}

function isValue(value: unknown): boolean {
  const values = Array.isArray(value) ? value : [value]
  return values.every((one) => ['string', 'number', 'bigint'].includes(typeof one))
}

function parsedValue(option: Option, text: string, before: unknown, where: string): unknown {
  if (option.parseArg === undefined) return text
  try {
    return option.parseArg(text, before)
  } catch (error) {
    throw new UsageError(`${where}: ${(error as Error).message}`)
  }
}

function pathFrom(folder: string, path: string): string {
  const whole = path.startsWith('~/') ? join(homedir(), path.slice(2)) : resolve(folder, path)
  return path.endsWith('/') && !whole.endsWith('/') ? `${whole}/` : whole
}

function hasOption(command: Command, isThis: (option: Option) => boolean): boolean {
  return command.options.some(isThis) || command.commands.some((one) => hasOption(one, isThis))
}

function warnOfReaders(path: string): void {
  const others = 0o044
  if ((statSync(path).mode & others) === 0) return
  say(`${path} has a password, and other users may read it: chmod 600 it, or use password-file`)
}
