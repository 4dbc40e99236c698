/**
 * Goal: `bus shell` calls services by hand, at a terminal and from a script, and leaves nothing.
 * Method: a service at a broker in this process; `script` gives the command a pseudoterminal, and
 * where it is missing the test says that it did not run.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createBus, defineApi } from '../../src/bus/index.ts'
import { program } from '../support/built.ts'
import { broker, cli, type ListeningBroker, run, scratch, until } from './support.ts'

const auth = defineApi({
  ...{ name: 'auth', version: '1.2.0' },
  rpcs: {
    checkPassword: { input: { type: 'object' }, output: { type: 'object' } },
    lock: { errors: { LOCKED: { type: 'object' } } },
  },
  events: { moved: {} },
})
const old = defineApi({ name: 'auth', version: '0.3.0', rpcs: { before: { output: {} } } })

/** A module without imports: what `defineApi()` returns is plain frozen data. */
const MODULE =
  "export const auth = Object.freeze({ name: 'auth', version: '1.2.0', major: 1, description: '', " +
  "events: {}, rpcs: { checkPassword: { input: { required: ['name'] }, output: {} } } })\n"

const LOCKED =
  'LOCKED: request to bus/auth/v1/rpc/lock: the responder refused ' +
  '(status 422, LOCKED: it is locked) { until: 7 }'

/** A service that runs until the test ends. */
async function service(protocolVersions: readonly (4 | 5)[] = [5]): Promise<ListeningBroker> {
  const peer = await broker(() => {}, { protocolVersions })
  const bus = createBus({ service: 'web', process: 'one', client: peer.url })
  const served = [
    bus.serve(auth, {
      checkPassword: (input) => ({ valid: true, input }),
      lock: (_, call) => call.fail('LOCKED', { until: 7 }, 'it is\nlocked'),
    }),
    bus.serve(old, { before: () => 'old' }),
  ]
  const running = bus.run()
  onTestFinished(async () => {
    await bus.close()
    await running
  })
  await Promise.all(served.map(({ granted }) => granted))
  await until(() => peer.messages.filter(({ topic }) => topic.includes('/schema/')).length >= 2)
  return peer
}

/** @returns how many clients beside the service are connected or have a session. */
function others(peer: ListeningBroker): string[] {
  return [...peer.broker.sessions.keys()].filter((id) => id !== 'bus.web@one')
}

const hasScript = spawnSync('script', ['--version']).error === undefined

describe('[CLI] bus shell', { timeout: 60_000 }, () => {
  test.each([
    ["api.auth.checkPassword({ name: 'ada' })", '{"valid":true,"input":{"name":"ada"}}\n'],
    [
      "const name = 'ada'\nconst { valid } = await api.auth.checkPassword({\n  name,\n})\n" +
        ";[valid, bus.service, Object.keys(api), await api['auth@0'].before()]",
      '[true,"it-mqtt",["auth","auth@0"],"old"]\n',
    ],
    ['undefined', ''],
  ])('[CLI] bus shell: from standard input: %j', async (code, expected) => {
    const peer = await service()
    const { status, stdout, stderr } = await cli(['bus', 'shell', peer.url], code)
    expect(stderr).toBe('')
    expect({ status, stdout }).toEqual({ status: 0, stdout: expected })
    await until(() => others(peer).length === 0)
  })

  test.each([
    ['await api.auth.lock()', 1, LOCKED],
    ['api.auth.lock()', 1, LOCKED],
    // What services have published is never compiled: the service itself refuses.
    ['await api.auth.checkPassword(7)', 1, 'BAD_REQUEST: '],
    ['await api.auth.moved.fire()', 2, 'USAGE: fire: auth moved: this bus does not serve auth'],
    ['throw 7', 1, '7'],
    ['await api.auth.', 1, 'SyntaxError: '],
    ['1n', 1, 'TypeError: '],
  ])('[CLI] bus shell: an error is one line, and a status: %j', async (code, expected, told) => {
    const peer = await service()
    const { status, stdout, stderr } = await cli(['bus', 'shell', peer.url], code)
    expect(stderr).toContain(`it-mqtt: ${told}`)
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    expect({ status, stdout }).toEqual({ status: expected, stdout: '' })
    await until(() => others(peer).length === 0)
  })

  test('[CLI] bus shell: --module has the APIs, whose inputs are validated', async () => {
    const peer = await service([4])
    const path = join(await scratch(), 'apis.mjs')
    writeFileSync(path, MODULE)
    const shell = (code: string) => cli(['bus', 'shell', peer.url, '--module', path], code)
    const called = await shell("await api.auth.checkPassword({ name: 'x' })")
    expect(called).toEqual({
      ...{ status: 0, stdout: '{"valid":true,"input":{"name":"x"}}\n', stderr: '' },
    })
    const refused = await shell('await api.auth.checkPassword({})')
    expect(refused.stderr).toContain('INVALID_INPUT: ')
    expect(refused.status).toBe(2)
  })

  test('[CLI] bus shell: without a connection or a module it says why', async () => {
    const nobody = await cli(['bus', 'shell', '--url', 'mqtt://127.0.0.1:1'], '1')
    expect(nobody).toMatchObject({ status: 1, stdout: '' })
    expect(nobody.stderr).toContain('connection refused')
    const none = await cli(['bus', 'shell', '--module', 'none.mjs'], '1')
    expect(none).toMatchObject({ status: 2, stdout: '' })
    expect(none.stderr).toContain('cannot be loaded')
    const never = await cli(['bus', 'shell', '--timeout', '0'], '1')
    expect(never).toMatchObject({ status: 2, stdout: '' })
    expect(never.stderr).toContain('--timeout must be')
  })

  test('[CLI] bus shell: at a terminal: completion, history, errors, Ctrl-D', async (context) => {
    if (!hasScript) {
      console.log(`not run, "script" is not installed: ${context.task.name}`)
      context.skip('no script: not run')
    }
    const peer = await service()
    const state = await scratch()
    const words = [process.execPath, ...program('cli/main'), 'bus', 'shell', peer.url]
    const command = words.map((word) => `'${word}'`).join(' ')
    const terminal = run(
      'script',
      ['-qefc', `stty cols 200; exec ${command}`, '/dev/null'],
      // Without colors the screen is easier to read.
      { XDG_STATE_HOME: state, NO_COLOR: '1' },
    )
    const type = (text: string) => terminal.process.stdin?.write(text)
    await until(() => terminal.stdout().includes('it-mqtt> '))
    type('api.auth.ch\t')
    await until(() => terminal.stdout().includes('eckPassword'))
    type("({ name: 'ada' })\r")
    await until(() => terminal.stdout().includes('Promise'))
    type("await api.auth.checkPassword({ name: 'bo' })\r")
    await until(() => terminal.stdout().includes("{ valid: true, input: { name: 'bo' } }"))
    type('await api.auth.lo\t')
    await until(() => terminal.stdout().includes('await api.auth.lock'))
    type('()\r')
    await until(() => terminal.stdout().includes(LOCKED))
    expect(terminal.stdout()).not.toContain('    at ')
    type('\u0004')
    const { status } = await terminal.ended
    expect(status).toBe(0)
    await until(() => others(peer).length === 0)
    const history = join(state, 'it-mqtt', 'bus-shell-history')
    expect(readFileSync(history, 'utf8').split('\n')[0]).toBe('await api.auth.lock()')
    expect(statSync(history).mode & 0o077).toBe(0)
  })
})
