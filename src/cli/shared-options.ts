/**
 * Which options do many commands have in the same words? Pages list them once, and name them at
 * each command.
 */
import type { Command, Option } from 'commander'

/** What so many commands have is listed once. */
const SHARED_BY = 8

interface SplitOptions {
  /** What only this command has, or has in words of its own. */
  readonly own: readonly Option[]
  /** What is listed once for all. */
  readonly shared: readonly Option[]
}

/** @returns the options that many of the commands have, in the order in which they come. */
export function sharedOptions(commands: readonly Command[]): readonly Option[] {
  const counts = new Map<string, { readonly option: Option; count: number }>()
  for (const option of commands.flatMap(shownOptions)) {
    const counted = counts.get(wordsOfOption(option)) ?? { option, count: 0 }
    counted.count++
    counts.set(wordsOfOption(option), counted)
  }
  return [...counts.values()].flatMap(({ option, count }) => (count < SHARED_BY ? [] : [option]))
}

/** Parts the options of a command. */
export function splitOptions(command: Command, shared: readonly Option[]): SplitOptions {
  const keys = new Set(shared.map(wordsOfOption))
  const all = shownOptions(command)
  return {
    own: all.filter((option) => !keys.has(wordsOfOption(option))),
    shared: all.filter((option) => keys.has(wordsOfOption(option))),
  }
}

function shownOptions(command: Command): readonly Option[] {
  return command.options.filter(({ hidden }) => !hidden)
}

function wordsOfOption({ flags, description, argChoices, envVar }: Option): string {
  return JSON.stringify([flags, description, argChoices, envVar])
}
