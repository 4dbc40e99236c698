/**
 * Which value counts if an option may come from the command line, a profile and the environment?
 * And where does the password come from? Both are settled before a command begins.
 */
import { openSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import type { Command } from 'commander'
import { UsageError } from '../index.ts'
import { refuseListedSecrets } from './listed-secrets.ts'
import { applyProfile, type ProgramFlags } from './profile.ts'
import { withPort } from './server-url.ts'
import { secretOf } from './tls-flags.ts'

/** The options that name another server than the URL of the environment. */
const NAMES_SERVER = ['L', 'host', 'unix']

/**
 * @param whole makes the parser of all commands.
 * @throws UsageError if the flags contradict each other, if there is no terminal to ask at, or if
 *   other users could read a password in the list of processes.
 */
export async function settleFlags(
  program: Command,
  command: Command,
  whole: () => Promise<Command>,
): Promise<void> {
  refuseListedSecrets(command)
  await applyProfile(program.opts<ProgramFlags>(), command, whole)
  settleServer(command)
  await settlePassword(command)
}

/**
 * The URL of the environment does not count beside `-h` and its like. `-p` alone replaces the port
 * of a URL that the command line did not give.
 */
function settleServer(command: Command): void {
  const hasPort = command.getOptionValueSource('port') === 'cli'
  const others = hasPort ? NAMES_SERVER : [...NAMES_SERVER, 'port']
  const isOther = others.some((name) => command.getOptionValue(name) !== undefined)
  if (isOther && command.getOptionValueSource('url') === 'env') {
    command.setOptionValueWithSource('url', undefined, 'env')
  }
  for (const name of ['url', 'L']) {
    const url = command.getOptionValue(name) as string | undefined
    const source = command.getOptionValueSource(name)
    if (!hasPort || url === undefined || source === undefined || source === 'cli') continue
    const port = command.getOptionValue('port') as number
    command.setOptionValueWithSource(name, withPort(url, port), source)
    command.setOptionValueWithSource('port', undefined, 'cli')
  }
}

async function settlePassword(command: Command): Promise<void> {
  const path = command.getOptionValue('passwordFile') as string | undefined
  const asks = command.getOptionValue('askPassword') === true
  const isGiven = command.getOptionValueSource('password') === 'cli'
  const ways = [
    ...(isGiven ? ['-P'] : []),
    ...(path === undefined ? [] : ['--password-file']),
    ...(asks ? ['--ask-password'] : []),
  ]
  if (ways.length > 1) throw new UsageError(`${ways.join(' and ')} exclude each other`)
  if (path !== undefined) {
    const password = secretOf('--password-file', path)
    command.setOptionValueWithSource('password', password, 'config')
  } else if (asks) {
    command.setOptionValueWithSource('password', await askPassword(), 'config')
  }
}

/** Asks at the terminal, also if standard input is a file or a pipe. What is typed is not shown. */
async function askPassword(): Promise<string> {
  const terminal = openTerminal()
  process.stderr.write('Password: ')
  terminal.setRawMode(true)
  try {
    return await readHidden(terminal)
  } finally {
    terminal.setRawMode(false)
    process.stderr.write('\n')
    terminal.destroy()
  }
}

function openTerminal(): ReadStream {
  try {
    return new ReadStream(openSync('/dev/tty', 'r+'))
  } catch (cause) {
    const message = '--ask-password needs a terminal; give --password-file instead'
    throw new UsageError(message, { cause })
  }
}

/** @returns what is typed up to the return key. */
function readHidden(terminal: ReadStream): Promise<string> {
  let typed = ''
  return new Promise((resolve, reject) => {
    terminal.on('error', reject)
    terminal.setEncoding('utf8').on('data', (text: string) => {
      for (const key of text) {
        if (key === '\r' || key === '\n' || key === '\u0004') return resolve(typed)
        if (key === '\u0003') return reject(new UsageError('no password was typed'))
        const isErased = key === '\u007f' || key === '\b'
        typed = isErased ? [...typed].slice(0, -1).join('') : typed + key
      }
    })
  })
}
