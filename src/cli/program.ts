/**
 * Which commands are there, and which options has the program itself? The definitions are here and
 * in the file of each command; help, completions, the man page and docs/CLI.md are made from them.
 * The file of a command is loaded when it is asked for: all of them take longer than most commands.
 */
import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { addExamples } from './examples.ts'
import { oneLine } from './fail.ts'
import { withHint } from './hints.ts'
import { print } from './output.ts'
import { refuseRepeated } from './repeated.ts'
import { settleFlags } from './settle-flags.ts'
import { showPackets } from './show-packets.ts'

const { version } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string }

type Add = (program: Command, words: readonly string[]) => void

/** Every command, in the order of the help. */
const COMMANDS: Readonly<Record<string, () => Promise<Add>>> = {
  pub: async () => (await import('./pub.ts')).addPub,
  sub: async () => (await import('./sub.ts')).addSub,
  rr: async () => (await import('./rr.ts')).addRr,
  top: async () => (await import('./top.ts')).addTop,
  retained: async () => (await import('./retained.ts')).addRetained,
  pipe: async () => (await import('./add-pipe.ts')).addPipe,
  presence: async () => (await import('./presence/add-presence.ts')).addPresence,
  bus: async () => (await import('./bus/add-bus.ts')).addBus,
  bench: async () => (await import('./bench/bench.ts')).addBench,
  doctor: async () => (await import('./doctor.ts')).addDoctor,
  spool: async () => (await import('./list-spool.ts')).addSpool,
  replay: async () => (await import('./replay.ts')).addReplay,
  completion: async () => (await import('./completion.ts')).addCompletion,
  help: async () => (await import('./help.ts')).addHelp,
}
/** They speak of the other commands. */
const ABOUT_ALL = ['completion', 'help']

/**
 * @param words the words behind the name of the program.
 * @returns the parser of the command line, with every command that these words may need; with all
 *   commands if there are no words.
 */
export function programFor([name = '', ...words]: readonly string[]): Promise<Command> {
  if (name === '--version') return programOf([])
  const isKnown = Object.hasOwn(COMMANDS, name) && !ABOUT_ALL.includes(name)
  return isKnown ? programOf([name], words) : programOf(Object.keys(COMMANDS))
}

async function programOf(
  names: readonly string[],
  words: readonly string[] = [],
): Promise<Command> {
  const program = bareProgram()
  for (const add of await Promise.all(names.map((name) => COMMANDS[name]!()))) add(program, words)
  refuseRepeated(program)
  addExamples(program)
  return program
}

function bareProgram(): Command {
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
      await settleFlags(whole, command, () => programFor([]))
      if (command.getOptionValue('debug') === true) showPackets()
    })
  return program
}
