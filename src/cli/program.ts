/**
 * Which commands are there, and which options has the program itself? The definitions are here and
 * in the file of each command; help, completions, the man page and docs/CLI.md are made from them.
 */
import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { addPipe } from './add-pipe.ts'
import { addBench } from './bench/bench.ts'
import { addBus } from './bus/add-bus.ts'
import { addCompletion } from './completion.ts'
import { addDoctor } from './doctor.ts'
import { addExamples } from './examples.ts'
import { oneLine } from './fail.ts'
import { addHelp } from './help.ts'
import { withHint } from './hints.ts'
import { addSpool } from './list-spool.ts'
import { print } from './output.ts'
import { addPresence } from './presence/add-presence.ts'
import { addPub } from './pub.ts'
import { refuseRepeated } from './repeated.ts'
import { addReplay } from './replay.ts'
import { addRetained } from './retained.ts'
import { addRr } from './rr.ts'
import { settleFlags } from './settle-flags.ts'
import { showPackets } from './show-packets.ts'
import { addSub } from './sub.ts'
import { addTop } from './top.ts'

const { version } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string }

/** @returns the parser of the command line, with every command. */
export function buildProgram(): Command {
  const program = new Command('it-mqtt')
    .description('An MQTT 3.1.1 and 5.0 client.')
    .version(version, '--version', 'write the version')
    .helpOption('--help', 'show this help')
    .helpCommand(false)
    .addOption(
      new Option(
        '-c, --profile <name>',
        'take options from this profile of the configuration file (default: default)',
      ),
    )
    .addOption(
      new Option(
        '--config <file>',
        'the configuration file (default: it-mqtt/config.toml in $XDG_CONFIG_HOME or ~/.config)',
      ),
    )
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: print,
      outputError: (text, writeError) =>
        writeError(`it-mqtt: ${oneLine(withHint(text.replace(/^error: /, ''), program))}\n`),
    })
    .addHelpText(
      'after',
      '\nA configuration file: it-mqtt help config\n' +
        'For users of the mosquitto clients: it-mqtt help mosquitto',
    )
    .hook('preAction', async (whole, command) => {
      // A command without a server, such as help, must work with a broken configuration file too.
      if (command.options.every(({ long }) => long !== '--url')) return
      await settleFlags(whole, command)
      if (command.getOptionValue('debug') === true) showPackets()
    })
  for (const add of [
    ...[addPub, addSub, addRr, addTop, addRetained, addPipe, addPresence, addBus],
    ...[addBench, addDoctor, addSpool, addReplay, addCompletion, addHelp],
  ]) {
    add(program)
  }
  refuseRepeated(program)
  addExamples(program)
  return program
}
