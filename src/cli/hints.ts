/**
 * What was probably meant by a command line that the parser refuses?
 */
import type { Command } from 'commander'
import { UsageError } from '../index.ts'

/** @throws UsageError if the word is a longer name of a command, such as `subscribe`. */
export function refuseLongName(word: string, program: Command): void {
  const bare = word.replace(/^mosquitto_/, '')
  const meant = program.commands.find((one) => bare.startsWith(one.name()))
  if (meant === undefined) return
  throw new UsageError(`${word} is no command; did you mean ${meant.name()}?`)
}

/** @throws UsageError if a URL stands where a server is expected, and it is none of MQTT. */
export function refuseForeignUrl(word: string, command: Command): void {
  const [, scheme] = /^([a-z][a-z0-9+.-]*:)\/\//i.exec(word) ?? []
  if (scheme === undefined || command.options.every(({ long }) => long !== '--url')) return
  throw new UsageError(
    `${scheme}// is not spoken here; the server is given with -h host or as a URL such as ` +
      'mqtt://host; a topic that looks like a URL is given with -t',
  )
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** @returns a message of the parser, with what to write instead. */
export function withHint(text: string, program: Command): string {
  const [, name] = /too many arguments for '([^']+)'/.exec(text) ?? []
  const command = program.commands.find((one) => one.name() === name)
  if (command?.options.some(({ long }) => long === '--url')) {
    return (
      `${text.trimEnd()} The server is given with -h host or --url; a text with spaces stands in ` +
      'quotation marks.'
    )
  }
  const wrong = /<(seconds|ms)>' argument '([^']*)' is invalid\. A number is expected\./.exec(text)
  if (wrong === null) return text
  const [, unit, given = ''] = wrong
  const [, value, suffix = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(given) ?? []
  const count = (Number(value) * UNITS_MS[suffix]!) / (unit === 'ms' ? 1 : 1000)
  const example = value === undefined ? '' : `: ${count}`
  const words = unit === 'ms' ? 'milliseconds' : 'seconds'
  return text.replace('A number is expected.', `A number of ${words} is expected${example}.`)
}
