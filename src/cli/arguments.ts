/**
 * How do the words of a command line become words that the parser knows? The names that the
 * mosquitto clients have for an option are exchanged for ours, the three or four words of a `-D`
 * become one, and a URL may stand first. Words that are the value of an option are left alone.
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
  while (words.length > 0 && words[0] !== '--') {
    if (words[0]!.startsWith('-') && words[0] !== '-') prepared.push(...takeOption(words, command))
    else prepared.push(words.shift()!)
  }
  return [...prepared, ...words]
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
  const name = ALIASES[flag] ?? flag
  if (value !== undefined) return [`${name}${value}`]
  return takesNext(name, command.options) && words.length > 0 ? [name, words.shift()!] : [name]
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
