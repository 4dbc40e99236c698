/**
 * Goal: a script for mosquitto_pub, mosquitto_sub or mosquitto_rr runs with `it-mqtt pub`, `sub` or
 * `rr`. Method: for each row of the options table both programs run against one mosquitto; what
 * they write, what others receive of them, what the broker says about the connection, and the exit
 * status are compared.
 */
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HABITS } from '../../src/cli/habits.ts'
import { requireMosquitto } from '../support/mosquitto.ts'
import { ROWS, type Row } from './exchanged-rows.ts'
import {
  begin,
  type Ended,
  openWorld,
  type Side,
  subscribed,
  type World,
} from './exchanged-world.ts'

/** Options that no row can try, and why. */
const NOT_RUN: Readonly<Record<string, string>> = {
  '-S': 'the mosquitto clients of Debian are built without it',
  '--version': 'it stands elsewhere; test/cli/pub.test.ts runs ours',
  '--tls-engine': 'there is no equal; the last test here holds that it is refused',
  '--tls-engine-kpass-sha1': 'there is no equal; the last test here holds that it is refused',
}

const isInstalled = ['mosquitto_pub', 'mosquitto_sub', 'mosquitto_rr', 'mosquitto_passwd'].every(
  (program) => spawnSync('which', [program]).status === 0,
)

/** How the observer writes what it receives. */
const OBSERVED = '%t %q %r %x %C %P %R'
/** How long an UNSUBSCRIBE behind a subscription may take, in ms. */
const SETTLE_MS = 300

interface Seen {
  readonly status: number | null
  readonly stdout: string
  readonly observed: string
  readonly retained: string
  readonly connection: string
}

let world: World | null = null

beforeAll(async () => {
  if (isInstalled) world = await openWorld()
})
afterAll(() => world?.close())

/** Runs the program of one side, with everything that the row wants around it. */
async function seen(world: World, row: Row, index: number, side: Side): Promise<Seen> {
  // The names of both sides have one length, so that the widths of a format are the same.
  const name = side === 'theirs' ? 'them' : 'ours'
  const [t, id] = [`row${index}/${name}`, `row${index}${name}`]
  const program = world.program(side, row.command)
  const broker = ['-h', '127.0.0.1', '-p', String(world.port)]
  const publish = async (lines: readonly (readonly string[])[]) => {
    for (const line of lines) await begin(['mosquitto_pub', ...broker, ...line]).ended
  }
  for (const line of row.prelude?.(world, t, id) ?? []) await begin([...program, ...line]).ended
  await publish(row.before?.(t) ?? [])
  const count = row.observed ?? (row.command === 'pub' ? 1 : 0)
  const observing = ['-V', '5', '-q', '2', '-t', `${t}/#`, '-C', String(count), '-F', OBSERVED]
  const observer = count > 0 ? begin(['mosquitto_sub', ...broker, ...observing, '-W', '20']) : null
  if (observer !== null) await subscribed(world, `${t}/#`)
  const running = begin([...program, ...row.args(world, t, id)], row.input, row.env?.(world))
  if (row.live !== undefined || row.killed) {
    await subscribed(world, `${t}${row.filter ?? '/#'}`)
    await sleep(SETTLE_MS)
    await publish(row.live?.(t) ?? [])
    if (row.killed) running.kill('SIGKILL')
  }
  const { status, stdout } = await running.ended
  const observed = observer === null ? '' : (await observer.ended).stdout
  const line = world.log().match(new RegExp(`New client connected from .* as ${id}[- ].*`))?.[0]
  const text = {
    ...{ observed, retained: row.retained ? await retainedBelow(world, t) : '' },
    connection: row.connection === undefined ? '' : (line?.match(row.connection)?.[0] ?? 'none'),
    stdout: row.unlike ? '' : withoutTime(stdout),
  }
  const named = Object.entries(text).map(([key, one]) => [key, withoutNames(one, t, id)])
  return { status, ...(Object.fromEntries(named) as typeof text) }
}

/** Replaces the topic and the identifier, which differ between the sides. */
function withoutNames(text: string, t: string, id: string): string {
  return text.replaceAll(id, 'ID').replaceAll(t, 'TOPIC')
}

/** The format of a time of day, which two runs do not share. */
function withoutTime(text: string): string {
  return text.replace(/"tst":(\t?)"[^"]*"/g, '"tst":$1"…"')
}

async function retainedBelow(world: World, t: string): Promise<string> {
  const broker = ['-h', '127.0.0.1', '-p', String(world.port)]
  const args = ['-t', `${t}/#`, '-F', OBSERVED, '-V', '5', '-W', '1']
  return (await begin(['mosquitto_sub', ...broker, ...args]).ended).stdout
}

test('each row of the table is tried, or says why not', () => {
  const tried = new Set(ROWS.flatMap(({ options }) => options))
  const missing = HABITS.filter(({ theirs }) => !tried.has(theirs) && NOT_RUN[theirs] === undefined)
  expect(missing.map(({ theirs }) => theirs)).toEqual([])
  expect([...tried].filter((one) => !HABITS.some(({ theirs }) => theirs === one))).toEqual([])
})

describe.concurrent('both programs', { timeout: 110_000 }, () => {
  test.for(ROWS.map((row, index) => ({ row, index, title: title(row) })))(
    '$index: $title',
    async ({ row, index }, context) => {
      requireMosquitto(context)
      if (world === null) {
        console.log('not run, the mosquitto clients are not installed: the options table')
        return context.skip('the mosquitto clients are not installed: not run')
      }
      const [theirs, ours] = await Promise.all([
        seen(world, row, index, 'theirs'),
        seen(world, row, index, 'ours'),
      ])
      const [theirStatus, ourStatus] = row.status ?? [theirs.status, theirs.status]
      context.expect({ ...ours, status: 0 }).toEqual({ ...theirs, status: 0 })
      context.expect([theirs.status, ours.status]).toEqual([theirStatus, ourStatus])
    },
  )

  test.for(HABITS.filter(({ ours }) => ours === null).map(({ theirs }) => theirs))(
    '%s is refused, and the message says so',
    async (option, context) => {
      if (world === null) return context.skip('the mosquitto clients are not installed: not run')
      const args = [...world.program('ours', 'pub'), option, 'x', '-t', 'a', '-m', 'b']
      const { status, stderr }: Ended = await begin(args).ended
      context.expect(status).toBe(2)
      context.expect(stderr).toContain(option)
    },
  )
})

function title({ command, options }: Row): string {
  return `mosquitto_${command} ${options.join(' ')}`
}
