/** The text of docs/CLI.md: the command line, from the definitions of its commands. */
import type { Command, Option } from 'commander'
import { configText } from '../../src/cli/config-text.ts'
import { examplesOf } from '../../src/cli/examples.ts'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { HABITS, type Habit, OTHER_DIFFERENCES } from '../../src/cli/habits.ts'
import { sharedOptions, splitOptions } from '../../src/cli/shared-options.ts'
import { HELP_LINES } from '../../src/cli/top/screen-help.ts'
import { wrapped } from './markdown.ts'

const INTRO =
  'This page is made from the definitions in `src/cli` by `npm run docs`; `test/docs/pages.test.ts`' +
  ' compares the two. `it-mqtt help` and `it-mqtt help <command>` show the same in a terminal,' +
  ' and `it-mqtt.1` beside this page is the manual page.'

const HABITS_INTRO =
  'A script that was written for mosquitto_pub, mosquitto_sub or mosquitto_rr runs when the name of' +
  ' the program is exchanged: `mosquitto_sub` for `it-mqtt sub`, `mosquitto_pub` for `it-mqtt pub`,' +
  ' `mosquitto_rr` for `it-mqtt rr`. What cannot be the same is refused with status 2 and a message' +
  ' that says what to write, or stands here. `test/brokers/exchanged.test.ts` runs both programs' +
  ' for each row and compares output and exit status.'

const PROFILES_INTRO =
  'Options that are always the same may stand in `$XDG_CONFIG_HOME/it-mqtt/config.toml`, or else' +
  ' `~/.config/it-mqtt/config.toml`, in named profiles. A key is the long name of an option; an' +
  ' option that the command does not have is left out. `it-mqtt -c plant sub …` takes the profile' +
  ' `plant`, and so does `it-mqtt sub --profile plant …`; without a name, the one named `default` is' +
  ' taken, if there is one. (Behind the command, `-c` means what it means in mosquitto_sub.) An' +
  ' option above the first profile is refused. The command line wins over the profile; a server' +
  ' there replaces that of the profile as a whole, with user name and TLS as far as its URL has' +
  ' them, and `-p` alone replaces the port only. A profile that was named wins over the environment,' +
  ' `default` does not. Paths count from the folder of the file.'

/** The lines of the help that are set off, which are the file. */
const EXAMPLE = configText()
  .match(/^ {4}.*\n|^\n(?= {4})/gm)!
  .map((line) => line.replace(/^ {4}/, ''))
  .join('')
  .trimStart()

const PROFILE = `\`\`\`toml
${EXAMPLE}\`\`\``

const PASSWORDS =
  'A password comes from `-P`, `--password-file`, `--ask-password` (which asks at the terminal and' +
  ' shows nothing), the URL, the variable `IT_MQTT_PASSWORD`, or a profile. It is in no output and' +
  ' no error, and the title of the process is `it-mqtt` alone; but between the start of the process' +
  ' and that moment, other users may read `-P` in the list of processes. Bun cannot change the' +
  ' title: there a password in the arguments ends the command with status 2 before it begins.'

const START =
  'From Node 22.1 on, compiled files are kept in `$XDG_CACHE_HOME/it-mqtt`, or else in' +
  ' `~/.cache/it-mqtt`, so that the next start is about a fifth shorter; the folder may be deleted' +
  ' at any time. `NODE_DISABLE_COMPILE_CACHE=1` keeps nothing, and `NODE_COMPILE_CACHE` names' +
  ' another folder.'

const OUTPUT = [
  'A message is acknowledged once the system has taken all of its bytes. If standard output is a' +
    ' file and its disk is full, the command says so, waits, and goes on by itself when there is' +
    ' room. If it ends before that, the part of a message that is in the file is cut off (on Linux).',
  'A reader that has read enough (`it-mqtt spool dir --json | head -1`) is no failure: the command' +
    ' ends with status 0. `pipe --json` ends with status 1 if something was not delivered.',
  'Standard error says when the connection is lost and why, what is waited for, and when there is a' +
    ' connection again; nothing is repeated that has not changed. On a terminal, what is waited for' +
    ' is one line that is written over. With `--quiet` only errors are written.',
  'SIGUSR1 writes one line that says where `pub`, `sub`, `rr`, `retained` or `pipe` stands, with' +
    ' `--quiet` too: `kill -USR1` as for `dd`.',
  'SIGHUP ends a command in order if standard input, output or error is a terminal. Otherwise (under' +
    ' `nohup`, as a service) it is ignored; send SIGTERM.',
]

const TOP_SCREEN =
  'On a terminal `it-mqtt top` draws a tree of topics, at most five times a second. The first three' +
  ' lines say how the connection is, what all topics have together and how late this process is' +
  ' (`lag`). The terminal is given back at every end. `TERM=dumb` gives the lines below, and' +
  ' `NO_COLOR` leaves out colors. The key `?` shows this:'

const TOP_LINES =
  'Without a terminal, or with `--json`, each topic that had a message in the interval is a line of' +
  ' JSON: `time`, `topic`; `count` and `bytes` of the interval, `rate` and `bytesPerSecond` in it,' +
  ' `total` messages since the start; of the last message `payload` (text, or `base64`; the first' +
  ' 256 bytes if it is long and there are many), `payloadBytes` and `qos`; `retained`, whether the' +
  ' server is known to retain a message. What the server retained before has a line with the count' +
  ' 0. A filter that another one covers is left out, so that no message counts twice; with filters that' +
  ' overlap in part (`a/+` and `+/b`) a server may send a message for each of them. `-C`, `-W` and Ctrl-C end it as they end `sub`, with the same status.'

const TOP_LIMITS =
  'Memory is bounded. Beyond `--max-topics`, messages count in the total only, and the screen says' +
  ' how many there were; so it is with topics whose names need too much memory. Of each topic the' +
  ' first 256 bytes of the last payload are kept (all of it, up to 64 KiB, while there is room), and' +
  ' 64 bytes of each of the eight before. If messages come faster than they can be counted, the' +
  ' connection is read more slowly, and the server decides what it drops.'

export function cliPage(program: Command): string {
  const commands = program.commands.flatMap(leavesOf)
  const shared = sharedOptions(commands)
  const exits = EXIT_CODES.map(({ status, when, theirs }) => [String(status), when, theirs])
  return `${[
    '# The command line',
    wrapped(INTRO),
    '## Exit status',
    table(['status', 'when', 'mosquitto clients'], exits),
    '## Output, messages and signals',
    ...OUTPUT.map((one) => wrapped(one)),
    '## A faster start',
    wrapped(START),
    '## Profiles and passwords',
    wrapped(PROFILES_INTRO),
    PROFILE,
    wrapped(PASSWORDS),
    '## Options of the mosquitto clients',
    wrapped(HABITS_INTRO),
    table(
      ['theirs', 'of', 'ours', 'what differs'],
      HABITS.map((habit) => habitRow(program, habit)),
    ),
    'What differs and belongs to no option:',
    OTHER_DIFFERENCES.map((one) => wrapped(`- ${one}`, '  ')).join('\n'),
    '## The screen of top',
    wrapped(TOP_SCREEN),
    ['```text', ...HELP_LINES, '```'].join('\n'),
    wrapped(TOP_LINES),
    wrapped(TOP_LIMITS),
    '## Options that many commands have',
    'Each command names those that it has.',
    table(['option', 'what it does'], shared.map(optionRow)),
    '## Commands',
    ...commands.flatMap((command) => commandText(command, shared)),
  ].join('\n\n')}\n`
}

function habitRow(program: Command, { theirs, commands, ours, differs }: Habit): string[] {
  const flags = ours === null ? 'none' : `\`${optionOf(program, commands[0]!, ours).flags}\``
  return [`\`${theirs}\``, commands.join(', '), flags, differs ?? '']
}

/** @returns the option with this name; a table that names none of ours is wrong. */
export function optionOf(program: Command, command: string, name: string): Option {
  const owner = program.commands.find((one) => one.name() === command)
  const found = [...(owner?.options ?? []), ...program.options, HELP].find(
    ({ short, long }) => short === name || long === name,
  )
  if (found === undefined) throw new Error(`it-mqtt ${command} has no option ${name}`)
  return found as Option
}

const HELP = { flags: '--help', short: undefined, long: '--help' }

function leavesOf(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf)
}

function optionRow({ flags, description, argChoices }: Option): string[] {
  const parts = [description, ...(argChoices === undefined ? [] : [argChoices.join(', ')])]
  return [`\`${flags}\``, parts.filter((one) => one !== '').join('; ')]
}

function commandText(command: Command, common: readonly Option[]): string[] {
  const path = command.parent?.parent ? `${command.parent.name()} ` : ''
  const words = command.registeredArguments.map((one) => [
    `\`${one.name()}\``,
    one.description || (one.argChoices ?? []).join(', '),
  ])
  const { own, shared } = splitOptions(command, common)
  const names = shared.map(({ short, long }) => `\`${short ?? long}\``).join(', ')
  const rows = [...words, ...own.map(optionRow)]
  return [
    `### it-mqtt ${path}${command.name()}`,
    wrapped(command.description()),
    ...(rows.length === 0 ? [] : [table(['word or option', 'what it does'], rows)]),
    ...(names === ''
      ? []
      : [wrapped(`And [of many commands](#options-that-many-commands-have): ${names}.`)]),
    `\`\`\`sh\n${examplesOf(command)
      .map(({ line }) => line)
      .join('\n')}\n\`\`\``,
  ]
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
