/**
 * Goal: a password or token never shows in errors, warnings, `inspect`, state, sessions, recordings
 * or process titles. Method: a word that occurs nowhere else is looked for in everything that a
 * failing loop leaves behind.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { inspect } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  connect,
  type EventloopOptions,
  encodeSession,
  eventloop,
  publish,
  run,
} from '../../src/index.ts'
import { start } from '../cli/support.ts'
import { VirtualClock } from '../support/clock.ts'
import { startLoop } from '../support/loop.ts'
import { networkError, ScriptedServer } from '../support/server.ts'

const SECRET = 'xyzzy-the-password'

/** Everything that a person or a log would see of this. */
function shown(value: unknown): string {
  const deep = inspect(value, { depth: 12, showHidden: true, getters: true, maxArrayLength: null })
  const text = value instanceof Error ? `${value.stack} ${value.message} ${shown(value.cause)}` : ''
  return `${deep} ${text} ${JSON.stringify(value) ?? ''} ${String(value)}`
}

const WAYS: readonly (readonly [string, EventloopOptions])[] = [
  ['as an option', { url: 'mqtt://broker', username: 'anna', password: SECRET }],
  ['as bytes', { url: 'mqtt://broker', username: 'anna', password: Buffer.from(SECRET) }],
  ['in the URL', { url: `mqtt://anna:${SECRET}@broker` }],
  ['in a URL object', { url: new URL(`mqtt://anna:${SECRET}@broker`) }],
]

describe.each(WAYS)('a password %s', (_, options) => {
  test.each([
    ['the dial is refused', (s: ScriptedServer) => s.refuse(networkError('ECONNREFUSED'))],
    [
      'the server says no',
      (s: ScriptedServer) => {
        s.autoConnack = { reasonCode: 0x86 }
      },
    ],
    [
      'the server breaks a rule',
      (s: ScriptedServer) => {
        s.autoConnack = false
        s.onConnection = (c) => setImmediate(() => c.send(Buffer.from([0xff, 0xff, 0xff])))
      },
    ],
  ])('is not shown where %s', async (__, spoil) => {
    const server = new ScriptedServer(new VirtualClock())
    spoil(server)
    const started = startLoop(
      { ...options, reconnect: 'never', recorder: { inputs: 100 } },
      [publish('a', 'b', { qos: 1 })],
      undefined,
      { server },
    )
    await server.clock.advance(60_000)
    const { loop, error, warnings, outcomes, received } = started
    expect(error).toBeInstanceOf(Error)
    for (const value of [error, warnings, outcomes, received, loop, loop.state, loop.session]) {
      expect(shown(value)).not.toContain(SECRET)
    }
    expect(loop.recording()).not.toContain(SECRET)
    expect(encodeSession(loop.session)).not.toContain(SECRET)
    expect(process.title).not.toContain(SECRET)
  })

  test('is not shown by connect() and run()', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock)
    const common = { ...options, clientId: 'c', platform: clock, transport: server.transport }
    const connecting = connect(common)
    await clock.advance(0)
    const connected = await connecting
    expect(shown(connected)).not.toContain(SECRET)
    const disposed = connected[Symbol.asyncDispose]()
    await clock.advance(2000)
    await disposed
    server.refuse(networkError('ECONNREFUSED'))
    const running = run({ ...common, reconnect: 'never' }, []).catch((error: unknown) => error)
    await clock.advance(2000)
    expect(shown(await running)).not.toContain(SECRET)
  })
})

test('a password of the wrong kind is not repeated in the error', () => {
  for (const given of [
    { url: 'mqtt://h', password: { text: SECRET } },
    { url: `mqtt//${SECRET}` },
  ]) {
    let error: unknown
    try {
      eventloop(given as unknown as EventloopOptions)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(Error)
    if ('password' in given) expect(shown(error)).not.toContain(SECRET)
  }
})

test.skipIf(process.platform !== 'linux')(
  'the command line shows no password in the list of processes',
  async () => {
    const server = createServer(() => {}).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const url = `mqtt://anna:${SECRET}@127.0.0.1:${port}`
    const running = start(['sub', 't', '--url', url])
    const [socket] = (await once(server, 'connection')) as [Socket]
    onTestFinished(() => void socket.destroy())
    expect(readFileSync(`/proc/${running.process.pid}/cmdline`, 'utf8')).not.toContain(SECRET)
  },
)
