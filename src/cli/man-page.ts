/**
 * How does the manual page come about? As roff, from the definitions of the commands.
 */
import type { Command, Option } from 'commander'
import { examplesOf } from './examples.ts'
import { EXIT_CODES } from './exit-codes.ts'
import { sharedOptions, splitOptions } from './shared-options.ts'

/** @returns the text of it-mqtt(1). */
export function manPage(program: Command): string {
  const commands = program.commands.flatMap(leavesOf)
  const shared = sharedOptions(commands)
  return `${[
    '.TH IT-MQTT 1 "" "it-mqtt" "User Commands"',
    '.SH NAME',
    `it-mqtt \\- ${escaped(program.description())}`,
    '.SH SYNOPSIS',
    ...commands.flatMap((command) => [
      '.br',
      `${bold(pathOf(command))} ${escaped(usage(command))}`,
    ]),
    '.SH OPTIONS BEFORE THE COMMAND',
    ...optionsText(program.options),
    '.SH OPTIONS THAT MANY COMMANDS HAVE',
    ...optionsText(shared),
    '.SH COMMANDS',
    ...commands.flatMap((command) => commandText(command, shared)),
    '.SH EXIT STATUS',
    ...EXIT_CODES.flatMap(({ status, when }) => ['.TP', bold(String(status)), escaped(when)]),
    '.SH ENVIRONMENT',
    ...['.TP', bold('IT_MQTT_URL'), 'The server, if the command line names none.'],
    ...['.TP', bold('IT_MQTT_PASSWORD'), 'The password, if nothing else gives one.'],
    '.SH FILES',
    ...['.TP', '$XDG_CONFIG_HOME/it\\-mqtt/config.toml, ~/.config/it\\-mqtt/config.toml'],
    escaped(
      'Profiles, each a table of TOML whose keys are long names of options without the dashes. ' +
        'The table [default] counts if -c names no other. Paths count from the folder of the file.',
    ),
    '.SH SEE ALSO',
    'mosquitto_pub(1), mosquitto_sub(1), mosquitto_rr(1)',
  ].join('\n')}\n`
}

function leavesOf(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf)
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
}

function usage(command: Command): string {
  const words = command.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name()
    return argument.required ? `<${name}>` : `[${name}]`
  })
  return ['[options]', ...words].join(' ')
}

function commandText(command: Command, common: readonly Option[]): string[] {
  const { own, shared } = splitOptions(command, common)
  const names = shared.map(({ short, long }) => bold(short ?? long ?? '')).join(', ')
  return [
    `.SS ${escaped(pathOf(command))}`,
    escaped(command.description()),
    ...optionsText(own),
    ...(names === '' ? [] : ['.PP', `Of the options that many commands have: ${names}`]),
    '.PP',
    'Examples:',
    ...examplesOf(command).flatMap(({ line }) => ['.br', escaped(line)]),
  ]
}

function optionsText(options: readonly Option[]): string[] {
  const shown = options.filter(({ hidden }) => !hidden)
  return shown.flatMap((option) => ['.TP', bold(option.flags), escaped(aboutText(option))])
}

/** @returns what an option does, with its choices, as the help shows it. */
function aboutText({ description, argChoices, envVar }: Option): string {
  const extra = [
    ...(argChoices === undefined ? [] : [`one of ${argChoices.join(', ')}`]),
    ...(envVar === undefined ? [] : [`environment: ${envVar}`]),
  ]
  const whole = description === '' ? extra : [description, ...extra]
  return whole.join('; ')
}

function bold(text: string): string {
  return `\\fB${escaped(text)}\\fR`
}

/** Escapes what roff would read as its own. A line must not begin with a dot or an apostrophe. */
function escaped(text: string): string {
  const plain = text.replaceAll('\\', '\\e').replaceAll('-', '\\-')
  return plain.replace(/^([.'])/, '\\&$1')
}
