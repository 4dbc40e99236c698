/**
 * `it-mqtt completion`: what does a shell offer at the tab key? A script for the shell, made from
 * the definitions of the commands.
 */
import { Argument, type Command, type Option } from 'commander'
import { ANYWHERE } from './arguments.ts'
import { print } from './output.ts'

type Shell = keyof typeof SCRIPTS

/** A command with the words that lead to it: `retained list`. */
interface CommandWords {
  readonly path: string
  readonly words: readonly Word[]
}

/** What may stand in a place, and what it is for. */
interface Word {
  readonly text: string
  readonly about: string
  /** The values that may follow; null if it takes none or any. */
  readonly values: readonly string[] | null
  /** Whether a value follows. */
  readonly takes: boolean
}

const SCRIPTS = { bash, zsh, fish } as const satisfies Record<string, (program: Command) => string>

/**
 * The names of the profiles, for shells: the lines of the configuration file that begin one. A
 * process of Node would need longer than a person waits at the tab key.
 */
const PROFILE_NAMES = "sed -n 's/^[[:space:]]*\\[\\([^].]*\\)\\].*/\\1/p'"
const CONFIG_FOLDER = `"\${XDG_CONFIG_HOME:-$HOME/.config}"`
const PROFILES = `${PROFILE_NAMES} ${CONFIG_FOLDER}/it-mqtt/config.toml 2>/dev/null`
const PROFILES_IN_FISH =
  `(${PROFILE_NAMES} (set -q XDG_CONFIG_HOME; and echo $XDG_CONFIG_HOME; or echo ~/.config)` +
  '/it-mqtt/config.toml 2>/dev/null)'

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .summary('write a script that completes words for a shell')
    .description(
      'Write a script that completes words. For bash: source <(it-mqtt completion bash); for zsh ' +
        'and fish, write it to a file where they look: _it-mqtt in a folder of $fpath, ' +
        '~/.config/fish/completions/it-mqtt.fish.',
    )
    .addArgument(new Argument('<shell>').choices(Object.keys(SCRIPTS)))
    .action((shell: Shell) => {
      print(SCRIPTS[shell](program))
    })
}

function entriesOf(command: Command, path = ''): CommandWords[] {
  const own = {
    path,
    words: [
      ...command.commands.map((one) => plain(one.name(), aboutOf(one))),
      ...command.registeredArguments.flatMap(({ argChoices = [] }) =>
        argChoices.map((text) => plain(text, '')),
      ),
      ...command.options.filter(({ hidden }) => !hidden).flatMap(wordsOf),
      ...(command.options.some(({ long }) => long === '--url') ? ANYWHERE.map(anywhere) : []),
      plain('--help', 'show this help'),
    ],
  }
  const below = command.commands.flatMap((one) => entriesOf(one, `${path} ${one.name()}`.trim()))
  return [own, ...below]
}

function plain(text: string, about: string): Word {
  return { text, about, values: null, takes: false }
}

/** An option of the program that may stand behind the command too. */
function anywhere(text: string): Word {
  return { text, about: 'as before the command', values: null, takes: true }
}

function wordsOf({ short, long, description, argChoices, required }: Option): Word[] {
  const about = description.replace(/\s+/g, ' ')
  return [long, short]
    .filter((text) => text !== undefined && text !== null)
    .map((text) => ({ text, about, values: argChoices ?? null, takes: required }))
}

function aboutOf(command: Command): string {
  return command.summary() || command.description()
}

/** Quotes a text for a shell. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

function bash(program: Command): string {
  const entries = entriesOf(program)
  const cases = entries.map(
    ({ path, words }) =>
      `    ${shellQuoted(path)}) words=${shellQuoted(words.map(({ text }) => text).join(' '))} ;;`,
  )
  const values = valueCases(entries).map(
    ([texts, list]) => `    ${texts.join('|')}) words=${shellQuoted(list)} ;;`,
  )
  return `# bash completion of it-mqtt
_it_mqtt() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " ${commandPaths(entries)} " in
      *" \${path:+$path/}$word "*) path="\${path:+$path/}$word" ;;
    esac
  done
  path=\${path//\\// }
  case "$path" in
${cases.join('\n')}
  esac
  case "$prev" in
${values.join('\n')}
  esac
  case "\${path:+command}$prev" in
    -c|--profile|command--profile) words=$(${PROFILES}) ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _it_mqtt it-mqtt
`
}

/** The paths of all commands, with / between their words. */
function commandPaths(entries: readonly CommandWords[]): string {
  return entries
    .map(({ path }) => path.replaceAll(' ', '/'))
    .filter((path) => path !== '')
    .join(' ')
}

/** @returns the options whose values are known, each once. */
function valueCases(entries: readonly CommandWords[]): [texts: string[], list: string][] {
  const found = new Map<string, Set<string>>()
  for (const { text, values } of entries.flatMap(({ words }) => words)) {
    if (values === null) continue
    const list = values.join(' ')
    found.set(list, (found.get(list) ?? new Set()).add(text))
  }
  return [...found].map(([list, texts]) => [[...texts], list])
}

function zsh(program: Command): string {
  const cases = entriesOf(program).map(({ path, words }) => {
    const shown = words.map(({ text, about }) => {
      const [name, said] = [text, about].map((one) => one.replaceAll(':', '\\:'))
      return `      ${shellQuoted(about === '' ? text : `${name}:${said}`)}`
    })
    return `    ${shellQuoted(path)})\n      offers=(\n${shown.join('\n')}\n      ) ;;`
  })
  const values = valueCases(entriesOf(program)).map(
    ([texts, list]) => `    ${texts.join('|')}) compadd -- ${list}; return ;;`,
  )
  return `#compdef it-mqtt
# zsh completion of it-mqtt
_it_mqtt() {
  local path_='' word
  local -a offers
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case " ${commandPaths(entriesOf(program))} " in
      *" \${path_:+$path_/}$word "*) path_="\${path_:+$path_/}$word" ;;
    esac
  done
  case "$words[CURRENT-1]" in
${values.join('\n')}
  esac
  case "\${path_:+command}$words[CURRENT-1]" in
    -c|--profile|command--profile) compadd -- \${=$(${PROFILES})}; return ;;
  esac
  case "\${path_//\\// }" in
${cases.join('\n')}
  esac
  _describe 'it-mqtt' offers || _files
}
if [ "$funcstack[1]" = _it-mqtt ]; then _it_mqtt "$@"; else compdef _it_mqtt it-mqtt; fi
`
}

function fish(program: Command): string {
  const lines = entriesOf(program).flatMap(({ path, words }) => {
    const names = program.commands.map((one) => one.name()).join(' ')
    const when =
      path === ''
        ? `not __fish_seen_subcommand_from ${names}`
        : path
            .split(' ')
            .map((word) => `__fish_seen_subcommand_from ${word}`)
            .join('; and ')
    return words.map(({ text, about, values, takes }) => {
      const kind = text.startsWith('--')
        ? `-l ${text.slice(2)}`
        : text.startsWith('-')
          ? `-s ${text.slice(1)}`
          : `-f -a ${text}`
      const any = takes ? ' -r' : ''
      const isProfile = text === '--profile' || (text === '-c' && path === '')
      const list = isProfile ? PROFILES_IN_FISH : values?.join(' ')
      const choices = list === undefined ? any : ` -x -a ${shellQuoted(list)}`
      const said = shellQuoted(about)
      return `complete -c it-mqtt -n ${shellQuoted(when)} ${kind}${choices} -d ${said}`
    })
  })
  return `# fish completion of it-mqtt\n${lines.join('\n')}\n`
}
