/**
 * Which flags do `sub` and `rr` share, and which messages do they let through? A message that a
 * flag keeps back is acknowledged and not written.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type IncomingPublish, matches, UsageError, validateFilter } from '../index.ts'
import { number, severalTimes } from './flags.ts'
import { FORMAT_HELP, type OutputFlags } from './format.ts'

export interface ReceiveFlags extends OutputFlags {
  readonly timeout?: number
  readonly skipRetained?: boolean
  readonly retainAsPublished?: boolean
  readonly filterOut?: readonly string[]
  readonly randomFilter?: number
}

export function addOutputFlags(command: Command): Command {
  const options = [
    new Option('-F, --format <format>', `instead of the payload: ${FORMAT_HELP}`),
    new Option('-v, --verbose', 'write the topic before the payload'),
    new Option('--json', 'write one JSON object in each line, as pipe takes them'),
    new Option('--pretty', 'with %j and %J: JSON over several lines'),
    new Option('-N, --without-newline', 'write nothing behind a message'),
  ]
  for (const option of options) command.addOption(option.helpGroup('Output:'))
  return command
}

/** The flags about time and retained messages. */
export function addReceiveFlags(command: Command): Command {
  return command
    .addOption(
      new Option(
        '-W, --timeout <seconds>',
        'end so long after connecting, with status 27',
      ).argParser(positive),
    )
    .addOption(new Option('-R, --skip-retained', 'do not write retained messages'))
    .addOption(
      new Option(
        '--retain-as-published',
        'let messages keep the retain flag that they were published with',
      ),
    )
}

export function addFilterFlags(command: Command): Command {
  return command
    .addOption(
      new Option(
        '-T, --filter-out <filter>',
        'do not write what matches; may be repeated',
      ).argParser(severalTimes),
    )
    .addOption(
      new Option('--random-filter <percent>', 'write so many of the messages, at random').argParser(
        percent,
      ),
    )
}

/**
 * @returns whether a message is to be written.
 * @throws UsageError for a filter of `-T` that is none.
 */
export function selectorOf(flags: ReceiveFlags): (packet: IncomingPublish) => boolean {
  const { skipRetained, filterOut = [], randomFilter } = flags
  for (const filter of filterOut) {
    const problem = validateFilter(filter)
    if (problem !== null) throw new UsageError(`-T ${filter}: ${problem}`)
  }
  return (packet) => {
    if (skipRetained && packet.retain) return false
    if (filterOut.some((filter) => matches(filter, packet.topic))) return false
    return randomFilter === undefined || Math.random() * 100 < randomFilter
  }
}

export function positive(text: string): number {
  const count = number(text)
  if (!Number.isInteger(count) || count < 1) {
    throw new InvalidArgumentError('A whole number above 0 is expected.')
  }
  return count
}

function percent(text: string): number {
  const value = number(text)
  if (value < 0.1 || value > 100) throw new InvalidArgumentError('0.1 to 100 is expected.')
  return value
}
