#!/usr/bin/env node
/**
 * The command line. Each command has a file of its own; the commands share `flags`, `deliver`,
 * `session-file` and `output`.
 *
 * The exit status is 0 if all went well; 1 if something was not delivered, or for an error that is
 * not in the command line; 2 if the command line is wrong; 128 + the number of the signal that
 * ended it.
 */
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { oneLine, reportFailure } from './fail.ts'
import { addSpool } from './list-spool.ts'
import { guardOutput } from './output.ts'
import { addPipe } from './pipe.ts'
import { addPub } from './pub.ts'
import { addReplay } from './replay.ts'
import { addSub } from './sub.ts'

const { version } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string }

const program = new Command('it-mqtt')
  .description('An MQTT 3.1.1 and 5.0 client.')
  .version(version)
  .exitOverride()
  .configureOutput({
    outputError: (text, writeError) =>
      writeError(`it-mqtt: ${oneLine(text.replace(/^error: /, ''))}\n`),
  })
addPub(program)
addSub(program)
addPipe(program)
addReplay(program)
addSpool(program)

guardOutput()
const given = withUrlFlag(process.argv)
// The URL may contain a password, which a list of processes must not show.
process.title = program.name()
try {
  await program.parseAsync(given)
} catch (error) {
  process.exitCode = reportFailure(error)
}
// The process ends without waiting for standard input, or for a reader that has stalled.
process.stdin.destroy()
if (process.stdout.writableLength > 0) process.exit()

/** Makes `it-mqtt pub --url mqtt://host …` from `it-mqtt pub mqtt://host …`. */
function withUrlFlag(argv: readonly string[]): string[] {
  const [node = '', script = '', command = '', first = '', ...rest] = argv
  if (!/^(mqtts?|tcp|tls|unix|wss?):/.test(first)) return [...argv]
  return [node, script, command, '--url', first, ...rest]
}
