/**
 * `it-mqtt help`: the help of a command, or a page that belongs to none.
 */
import type { Command } from 'commander'
import { UsageError } from '../index.ts'
import { exitCodesText } from './exit-codes.ts'

/** Pages that belong to no command, and what they say. */
const PAGES: Readonly<Record<string, () => string>> = { 'exit-codes': exitCodesText }

export function addHelp(program: Command): void {
  program
    .command('help')
    .summary('show the help of a command, or the exit codes')
    .description('Show the help of a command; `help exit-codes` shows what an exit status means.')
    .argument('[words...]', 'a command, or exit-codes')
    .action((words: string[]) => {
      process.stdout.write(pageOf(program, words))
    })
}

function pageOf(program: Command, [first, ...rest]: string[]): string {
  if (first === undefined) return program.helpInformation()
  const page = PAGES[first]
  if (page !== undefined) return page()
  let command = program
  for (const word of [first, ...rest]) {
    const found = command.commands.find((one) => one.name() === word)
    if (found === undefined) {
      const names = [...program.commands.map((one) => one.name()), ...Object.keys(PAGES)]
      throw new UsageError(`help ${word}: expected one of ${names.join(', ')}`)
    }
    command = found
  }
  return command.helpInformation()
}
