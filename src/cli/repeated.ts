/**
 * What happens to an option that takes one value and is given two? It is refused, since one of them
 * would be lost without a word. The same value twice loses nothing.
 */
import type { Command } from 'commander'
import { UsageError } from '../index.ts'

/** Makes a command, and the commands below it, refuse a second value. */
export function refuseRepeated(command: Command): void {
  for (const option of command.options) {
    if (!option.required) continue
    let first: string | undefined
    // The parser has stored the value already: an option that may be repeated has a list.
    command.on(`option:${option.name()}`, (value: string) => {
      if (Array.isArray(command.getOptionValue(option.attributeName()))) return
      if (first !== undefined && first !== value) {
        const name = [option.short, option.long].filter(Boolean).join(', ')
        throw new UsageError(`${name} is given twice, with different values; give it once`)
      }
      first = value
    })
  }
  for (const one of command.commands) refuseRepeated(one)
}
