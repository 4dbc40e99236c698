#!/usr/bin/env node
/**
 * The command line. Each command is a file; what they share is in `flags`, `deliver`, `session-file` and `output`.
 *
 * Exit status: 0 all went well, 1 something was not delivered or the world is at fault, 2 the command line is at fault,
 * 128 + signal where Ctrl-C or its kin ended it.
 */
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { oneLine, tellFailure } from './fail.ts'
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
// A list of processes shows no password, once this one has read it.
process.title = program.name()
try {
  await program.parseAsync(given)
} catch (error) {
  process.exitCode = tellFailure(error)
}
// An end that was asked for does not wait for a reader that has stalled, or for standard input.
process.stdin.destroy()
if (process.stdout.writableLength > 0) process.exit()

/** `it-mqtt pub mqtt://host …` is `it-mqtt pub --url mqtt://host …`. */
function withUrlFlag(argv: readonly string[]): string[] {
  const [node = '', script = '', command = '', first = '', ...rest] = argv
  if (!/^(mqtts?|tcp|tls|unix|wss?):/.test(first)) return [...argv]
  return [node, script, command, '--url', first, ...rest]
}
