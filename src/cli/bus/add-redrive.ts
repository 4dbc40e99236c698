/**
 * `it-mqtt bus redrive`: puts the dead letters of a listener back. Each is written as a line of
 * JSON once the server has it again.
 */
import { type Command, Option } from 'commander'
import { counted, FAILED, say } from '../fail.ts'
import { addConnectionFlags, number } from '../flags.ts'
import { write } from '../output.ts'
import { type BusPlaceFlags, duringSignal, NOT_FOR_LISTENERS, placeFrom } from './bus-place.ts'

interface RedriveFlags extends BusPlaceFlags {
  readonly max?: number
  readonly idle?: number
  readonly keep?: number
}

const DAY_SECONDS = 86_400

export function addRedrive(bus: Command): void {
  const command = bus
    .command('redrive')
    .summary('put dead letters back to their listener')
    .description(
      'Put the dead letters of a listener back: it handles them as new events, and no other ' +
        'listener gets them. Letters that fail again stay for the next run. The server keeps ' +
        'dead letters in a session named after the listener, which a run makes if it is not ' +
        'there. The listener makes it too, if the server says that nobody gets a dead letter; ' +
        'other servers need one run before the first dead letter.',
    )
    .argument('<listener>', 'the names of the service and the listener, such as mail.welcome')
    .option('--prefix <topic>', 'the beginning of all topics of the bus (default: bus)')
    .addOption(new Option('--max <count>', 'put back so many at most').argParser(number))
    .addOption(
      new Option('--idle <seconds>', 'end when none came for so long (default: 1)').argParser(
        number,
      ),
    )
    .addOption(
      new Option(
        '--keep <days>',
        'how long the server keeps dead letters after this run; MQTT 5 (default: 30)',
      ).argParser(number),
    )
  addConnectionFlags(command, { without: NOT_FOR_LISTENERS }).action(
    async (listener: string, flags: RedriveFlags) => {
      process.exitCode = await duringSignal((signal) => redriveOne(listener, flags, signal))
    },
  )
}

async function redriveOne(name: string, flags: RedriveFlags, signal: AbortSignal): Promise<number> {
  const { redriveDeadLetters } = await import('../../bus/index.ts')
  const { max, idle, keep } = flags
  const { count, wasKept, isUnheard } = await redriveDeadLetters({
    ...placeFrom(name, flags, signal),
    ...{ max, idle: idle === undefined ? undefined : idle * 1000 },
    keep: keep === undefined ? undefined : Math.round(keep * DAY_SECONDS),
    onLetter: (letter) => write(`${JSON.stringify(letter)}\n`),
  })
  if (!flags.quiet) {
    say(`${counted(count, 'dead letter')} of ${name} put back`)
    if (!wasKept) say('from now on the server keeps dead letters until they are put back')
  }
  if (!isUnheard) return 0
  say(`no process of ${name} has a session at the server: what was not put back stays`)
  return FAILED
}
