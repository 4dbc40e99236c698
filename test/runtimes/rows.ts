/**
 * The rows of docs/RUNTIMES.md that are measured with the installed package. Each runs a program in
 * the runtime and returns what to write into the cell; an error is a cell that failed.
 */
import { join } from 'node:path'
import { start } from '../support/process.ts'
import { output } from './packed.ts'
import type { Servers } from './servers.ts'

export interface Place {
  /** The binary, and what stands before the path of a program. */
  readonly command: readonly [string, ...string[]]
  /** Whether it runs TypeScript without help. */
  readonly readsTypeScript: boolean
  /** Where the package is installed. */
  readonly home: string
  readonly servers: Servers
}

const SECRET = 'xyzzy-the-password'
/** A program that has done its work and is still there has left something open. */
const EXIT_MS = 30_000
const STARTS = 5
const ENDS = [
  ...['done', 'break', 'throw', 'abort', 'disconnect', 'shutdown', 'refused', 'return', 'pending'],
  ...['connect', 'run', 'unreachable', 'never started'],
]

const run = ({ command: [file, ...before], home }: Place, program: string, ...args: string[]) =>
  output(file, [...before, join(home, program), ...args], EXIT_MS * 4)

const check = (name: string) => async (place: Place) =>
  (await run(place, 'check.mjs', name, JSON.stringify(place.servers.given))).trim()

/** Restarts the broker when the program asks for it. */
async function restart({ command: [file, ...before], home, servers }: Place): Promise<string> {
  const words = [...before, join(home, 'check.mjs'), 'restart', JSON.stringify(servers.given)]
  const child = start(file, words)
  let [stdout, stderr] = ['', '']
  let restarted: Promise<void> | null = null
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    if (stdout.includes('restart\n')) restarted ??= servers.restart()
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const guard = setTimeout(() => child.kill('SIGKILL'), EXIT_MS * 2)
  const code = await new Promise((resolve) => child.once('close', resolve))
  clearTimeout(guard)
  await restarted
  if (code !== 0 || restarted === null) throw new Error(`ended with ${code}\n${stdout}${stderr}`)
  return stdout.replace('restart\n', '').trim()
}

/** The main example, in TypeScript where the runtime reads it, with a broker of its own. */
async function mainJob(place: Place): Promise<string> {
  const program = `docs/examples/main-job/main.${place.readsTypeScript ? 'ts' : 'mjs'}`
  const lines = (await run(place, program)).trim().split('\n')
  const last = lines.at(-1) ?? ''
  const [, received, cuts] =
    /received (\d+), lost 0, out of order 0, reconnections (\d+)$/.exec(last) ?? []
  if (received === undefined) throw new Error(last)
  return `${Number(received).toLocaleString('en')} readings, ${cuts} cuts`
}

async function exits(place: Place): Promise<string> {
  const { urls } = place.servers.given
  for (const kind of ENDS) {
    const printed = await run(place, 'ends.mjs', kind, urls.mqtt)
    if (!/^left: $/m.test(printed)) throw new Error(`${kind}: ${printed}`)
  }
  return `yes, after ${ENDS.length} kinds of end`
}

async function commandLine(place: Place): Promise<string> {
  const { urls } = place.servers.given
  const main = 'node_modules/it-mqtt/dist/cli/main.js'
  const topic = `runtimes/${crypto.randomUUID()}`
  await run(place, main, 'pub', '-t', topic, '-m', 'hello', '-r', '-q', '1', '--url', urls.mqtt)
  const printed = await run(place, main, 'sub', topic, '-C', '1', '--url', urls.mqtt)
  if (printed !== 'hello\n') throw new Error(`it printed ${printed}`)
  return 'yes'
}

/** What becomes of a password in the arguments; test/cli/listed-secrets.test.ts looks with `ps`. */
async function listedPassword(place: Place): Promise<string> {
  const main = 'node_modules/it-mqtt/dist/cli/main.js'
  const url = place.servers.given.urls.mqtt.replace('//', `//anna:${SECRET}@`)
  try {
    await run(place, main, 'pub', '-t', 'a', '-m', 'b', '-q', '1', '--url', url)
    return 'removed from `ps`'
  } catch (error) {
    if (!/cannot remove the secret/.test((error as Error).message)) throw error
    return 'refused'
  }
}

/** The import of the package, and the memory after 1,000 round trips at QoS 1. */
async function starts(place: Place): Promise<string> {
  const all: { readonly importMs: number; readonly bytes: number }[] = []
  for (let count = 0; count < STARTS; count++) {
    all.push(JSON.parse(await run(place, 'start.mjs', place.servers.given.urls.mqtt)))
  }
  const importMs = Math.min(...all.map((one) => one.importMs))
  const bytes = Math.min(...all.map((one) => one.bytes))
  return `${Math.round(importMs)} ms, ${Math.round(bytes / 1e6)} MB`
}

async function expected(place: Place, program: string, line: string): Promise<string> {
  const printed = await run(place, program, place.servers.given.urls.mqtt)
  if (printed !== `${line}\n`) throw new Error(`it printed ${printed}`)
  return 'yes'
}

export const ROWS: Readonly<Record<string, (place: Place) => Promise<string>>> = {
  'main example': mainJob,
  '`mqtt:`, QoS 0, 1, 2, MQTT 5 and 3.1.1': check('mqtt'),
  '`mqtts:`': check('mqtts'),
  '`unix:`': check('unix'),
  '`ws:` with the package ws': check('ws'),
  '`transport` of web streams': check('streams'),
  'restart of the broker': restart,
  'session as text': check('session'),
  '`it-mqtt/disk`': check('disk'),
  '`it-mqtt/event-stream` over MQTT': check('events'),
  "`require('it-mqtt')`": (place) => expected(place, 'required.cjs', 'delivered'),
  'exits by itself': exits,
  'command line': commandLine,
  'a password in its arguments': listedPassword,
  'import, and memory after 1,000 round trips at QoS 1, least of 5': starts,
}
