/**
 * Whence does a shell get its JavaScript? From a person at a terminal, line by line, or from
 * standard input, which is read to its end and is one program then. Node's own REPL runs both, with
 * its top-level `await`.
 */
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { AsyncCompleter } from 'node:readline'
import { type REPLServer, start as startRepl } from 'node:repl'
import { PassThrough } from 'node:stream'
import { text as textOfStream } from 'node:stream/consumers'
import type { Bus } from '../../bus/index.ts'
import { statusOf } from '../exit-codes.ts'
import { oneLine, say } from '../fail.ts'
import { write } from '../output.ts'
import { shellErrorText, shellJson, shellValueText } from './shell-text.ts'

/** What JavaScript finds in a shell. */
export interface ShellNames {
  readonly bus: Bus
  readonly api: Readonly<Record<string, unknown>>
}

/** Runs until Ctrl-D. @returns the exit status. */
export async function shellOnTerminal(names: ShellNames, signal: AbortSignal): Promise<number> {
  const { stdin, stdout } = process
  const hasColors = stdout.isTTY && stdout.hasColors()
  const repl = startRepl({
    ...{ prompt: 'it-mqtt> ', input: stdin, output: stdout, ignoreUndefined: true },
    // A name that is half typed is not evaluated before the tab key asks for it.
    preview: false,
    writer: (value) => shellValueText(value, hasColors),
  })
  give(repl, names)
  repl.on('reset', () => give(repl, names))
  completeAfterAwait(repl)
  keepHistory(repl)
  const end = () => repl.close()
  signal.addEventListener('abort', end)
  try {
    await new Promise<void>((resolve) => repl.once('exit', resolve))
    return 0
  } finally {
    signal.removeEventListener('abort', end)
  }
}

/** Node 24 completes nothing behind `await`. */
function completeAfterAwait(repl: REPLServer): void {
  const completer = repl.completer as AsyncCompleter
  const complete: AsyncCompleter = (line, done) =>
    completer.call(repl, line.replace(/^.*\bawait\s+/, ''), done)
  Object.defineProperty(repl, 'completer', { value: complete, writable: true })
}

function give({ context }: REPLServer, names: ShellNames): void {
  for (const [name, value] of Object.entries(names)) {
    Object.defineProperty(context, name, { value, enumerable: true, configurable: true })
  }
}

/** Reads what was typed in earlier shells. Without a place for it there is none, and it is said. */
function keepHistory(repl: REPLServer): void {
  const path = historyPath()
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  } catch (error) {
    say(oneLine(`what is typed is not kept: ${(error as Error).message}`))
    return
  }
  repl.setupHistory(path, (error) => {
    if (error) say(oneLine(`what is typed is not kept: ${error.message}`))
  })
}

/** @returns the place of the file by the XDG Base Directory Specification. */
function historyPath(env: NodeJS.ProcessEnv = process.env): string {
  const base = env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state')
  return join(base, 'it-mqtt', 'bus-shell-history')
}

/** Runs what standard input has. @returns the exit status. */
export async function shellScript(names: ShellNames): Promise<number> {
  const code = await textOfStream(process.stdin)
  const result = await shellResultOf(code, names)
  if ('error' in result) return shellFailure(result.error)
  let json: string
  try {
    json = shellJson(result.value)
  } catch (error) {
    return shellFailure(error)
  }
  if (json !== '') await write(json)
  return 0
}

function shellFailure(error: unknown): number {
  say(error instanceof Error ? shellErrorText(error) : oneLine(String(error)))
  return statusOf(error)
}

type ShellResult = { readonly value: unknown } | { readonly error: unknown }

/** Runs a program in a REPL that has no lines of its own. */
async function shellResultOf(code: string, names: ShellNames): Promise<ShellResult> {
  const input = new PassThrough()
  const result = await new Promise<ShellResult>((resolve) => {
    const repl = startRepl({
      ...{ prompt: '', input, output: new PassThrough().resume(), terminal: false },
      // Node gives errors that a program throws to this, and not to the callback.
      writer: (error) => {
        resolve({ error })
        return ''
      },
    })
    give(repl, names)
    repl.eval(code, repl.context, 'standard input', (error, value) => {
      const { err } = (error ?? {}) as { readonly err?: unknown }
      resolve(error === null ? { value } : { error: err ?? error })
    })
  })
  input.end()
  if ('error' in result) return result
  // An await that was forgotten changes nothing.
  return Promise.resolve(result.value).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
}
