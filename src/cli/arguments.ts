/**
 * How do the words of a command line become words that the parser knows? The names that the
 * mosquitto clients have for an option are exchanged for ours, the three or four words of a `-D`
 * become one, a URL may stand first, and `--profile` may stand behind the command. Words that are
 * the value of an option are left alone.
 */
import type { Command, Option } from 'commander'
import { UsageError } from '../index.ts'
import { refuseForeignUrl, refuseLongName } from './hints.ts'
import { propertyLength } from './property-flags.ts'

/** Other names of options: the long names of the mosquitto clients, and shorter ones. */
export const ALIASES: Readonly<Record<string, string>> = {
  '--ca': '--cafile',
  '--id': '--client-id',
  '--id-prefix': '--client-id-prefix',
  '--keepalive': '--keep-alive',
  '--protocol-version': '--mqtt',
  '--pw': '--password',
}

/** Options of the mosquitto clients that have no equal here, with what to do instead. */
export const WITHOUT_EQUAL: Readonly<Record<string, string>> = {
  '--tls-engine': 'keys in an engine of OpenSSL are not supported; give --key a file in PEM',
  '--tls-engine-kpass-sha1': 'keys in an engine of OpenSSL are not supported; give --key a file',
}

const URL_FIRST = /^(mqtts?|tcp|tls|unix|wss?):/i

/** Options of the program that may stand behind the command too, where `-c` is another one. */
export const ANYWHERE = ['--profile', '--config']
/** Options that say what a word by itself would say otherwise. */
const INSTEAD_OF_WORDS = ['-t', '--topic', '-L']

/**
 * @param given the words behind the name of the program.
 * @returns the words that the parser takes.
 */
export function prepareArguments(given: readonly string[], program: Command): string[] {
  const words = [...given]
  const prepared: string[] = []
  let command = program
  // The command, and the command of a command (`retained list`), with the options before it.
  while (words.length > 0) {
    const found = command.commands.find((one) => one.name() === words[0])
    if (found !== undefined) {
      command = found
      prepared.push(words.shift()!)
      if (command.commands.length === 0) break
    } else if (words[0]!.startsWith('-')) prepared.push(...takeOption(words, command))
    else {
      if (command === program) refuseLongName(words[0]!, program)
      return [...prepared, ...words]
    }
  }
  if (words[0] !== undefined && URL_FIRST.test(words[0])) prepared.push('--url', words.shift()!)
  else refuseForeignUrl(words[0] ?? '', command)
  const ahead: string[] = []
  const taken: Taken = { options: [], plain: 0, behindC: null }
  while (words.length > 0 && words[0] !== '--') {
    const isPlain = !words[0]!.startsWith('-') || words[0] === '-'
    if (isPlain) {
      const last = prepared.at(-1)!
      if (last === taken.options.at(-1) && /^-\w*c$/.test(last)) taken.behindC ??= words[0]!
      taken.plain++
      prepared.push(words.shift()!)
      continue
    }
    const option = takeOption(words, command)
    const name = option[0]!.replace(/=.*$/s, '')
    taken.options.push(name)
    const isAhead = ANYWHERE.includes(name) && connects(command)
    ;(isAhead ? ahead : prepared).push(...option)
  }
  refuseProfileWord(command, { ...taken, plain: taken.plain + Math.max(0, words.length - 1) })
  return [...ahead, ...prepared, ...words]
}

/** What stands behind a command. */
interface Taken {
  readonly options: string[]
  /** How many words belong to no option. */
  plain: number
  /** The first such word that stands directly behind `-c`. */
  behindC: string | null
}

/**
 * Behind a command, `-c` is an option of mosquitto_sub that takes no value. A word behind it may be
 * a topic; it is not, if the topic is given elsewhere, or if there are too many words.
 */
function refuseProfileWord(command: Command, { options, plain, behindC }: Taken): void {
  const isTheirs = command.options.some(
    ({ short, long }) => short === '-c' && long === '--disable-clean-session',
  )
  if (!isTheirs || behindC === null) return
  const places = command.registeredArguments
  const isTooMany = places.every(({ variadic }) => !variadic) && plain > places.length
  if (!isTooMany && !options.some((one) => INSTEAD_OF_WORDS.includes(one))) return
  throw new UsageError(
    `-c ${behindC}: behind the command, -c goes on with a session and takes no word; for the ` +
      `profile write --profile ${behindC}, or -c ${behindC} before the command`,
  )
}

/** @returns whether a command has a server, so that a profile has an effect on it. */
function connects(command: Command): boolean {
  return command.options.some(({ long }) => long === '--url')
}

/** Takes an option and its value from `words`. */
function takeOption(words: string[], command: Command): string[] {
  const word = words.shift()!
  const [, flag = word, value] = /^(--[^=]+)(=.*)$/s.exec(word) ?? []
  const reason = WITHOUT_EQUAL[flag]
  if (reason !== undefined) throw new UsageError(`${flag}: ${reason}`)
  if (flag === '-D' || flag === '--property') {
    const taken = words.splice(0, propertyLength(words[1]))
    return ['-D', JSON.stringify(taken)]
  }
  // A command may have an option of its own by that name: `bus inspect --id`.
  const isOwn = command.options.some(({ long }) => long === flag)
  const name = isOwn ? flag : (ALIASES[flag] ?? flag)
  if (value !== undefined) return [`${name}${value}`]
  const takesWord =
    takesNext(name, command.options) || (ANYWHERE.includes(name) && connects(command))
  return takesWord && words.length > 0 ? [name, words.shift()!] : [name]
}

/** @returns whether the word after this one is its value: behind `-q`, `--qos`, `-vq`. */
function takesNext(word: string, options: readonly Option[]): boolean {
  if (word.startsWith('--')) return options.find(({ long }) => long === word)?.required === true
  for (let index = 1; index < word.length; index++) {
    const option = options.find(({ short }) => short === `-${word[index]}`)
    if (option === undefined) return false
    if (option.required) return index === word.length - 1
  }
  return false
}
