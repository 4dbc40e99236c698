/**
 * `it-mqtt help`: the help of a command, or a page that belongs to none.
 */
import type { Command } from 'commander'
import { UsageError } from '../index.ts'
import { configText } from './config-text.ts'
import { exitCodesText } from './exit-codes.ts'
import { HABITS, type Habit, OTHER_DIFFERENCES } from './habits.ts'
import { manPage } from './man-page.ts'
import { print } from './output.ts'

/** Pages that belong to no command, and what they say. */
const PAGES: Readonly<Record<string, (program: Command) => string>> = {
  config: configText,
  'exit-codes': exitCodesText,
  mosquitto: habitsText,
  'man-page': manPage,
}

export function addHelp(program: Command): void {
  program
    .command('help')
    .summary('show the help of a command, or of the configuration file, exit codes and so on')
    .description(
      'Show the help of a command. `help config` shows how a configuration file looks, `help ' +
        'exit-codes` what an exit status means, `help mosquitto` which option does what one of ' +
        'mosquitto_pub, mosquitto_sub or mosquitto_rr does, `help man-page` the manual as roff.',
    )
    .argument('[words...]', 'a command, config, exit-codes, mosquitto or man-page')
    .action((words: string[]) => {
      print(pageOf(program, words))
    })
}

function pageOf(program: Command, [first, ...rest]: string[]): string {
  if (first === undefined) return helpOf(program)
  const page = PAGES[first]
  if (page !== undefined) return page(program)
  let command = program
  for (const word of [first, ...rest]) {
    const found = command.commands.find((one) => one.name() === word)
    if (found === undefined) {
      const names = [...program.commands.map((one) => one.name()), ...Object.keys(PAGES)]
      throw new UsageError(`help ${word}: expected one of ${names.join(', ')}`)
    }
    command = found
  }
  return helpOf(command)
}

/** @returns what `--help` writes, which is more than `helpInformation` returns. */
function helpOf(command: Command): string {
  let all = ''
  command.configureOutput({
    writeOut: (text) => {
      all += text
    },
  })
  command.outputHelp()
  return all
}

function habitsText(): string {
  const width = Math.max(...HABITS.map(({ theirs }) => theirs.length))
  const lineOf = ({ theirs, ours, differs }: Habit) => {
    const name = ours ?? 'none'
    return `${theirs.padEnd(width)}  ${name}${differs === null ? '' : `: ${differs}`}\n`
  }
  return [...HABITS.map(lineOf), ...OTHER_DIFFERENCES.map((one) => `\n${one}\n`)].join('')
}
