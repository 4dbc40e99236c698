/**
 * Goal: no password of a command stays in the list of processes, in any runtime. Method: parsed
 * options with a list that shows every word, and real processes in each runtime, seen by `ps`.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { expect, onTestFinished, type TestContext, test } from 'vitest'
import { refuseListedSecrets } from '../../src/cli/listed-secrets.ts'
import { UsageError } from '../../src/index.ts'
import { program } from '../support/built.ts'
import { temporaryFolder } from '../support/process.ts'
import { RUNTIMES, type RuntimeName, requireRuntime } from '../support/runtimes.ts'
import { run } from './support.ts'

const SECRET = 'xyzzy-the-password'

function parsed(words: readonly string[]): Command {
  const command = new Command('sub')
    .option('-P, --password <password>')
    .option('-L <url>')
    .option('--proxy <url>')
    .option('--psk <hex>')
    .addOption(new Option('--url <url>').env('IT_MQTT_URL'))
  return command.parse([...words], { from: 'user' })
}

test.each([
  ['-P', SECRET],
  [`-P${SECRET}`],
  [`--password=${SECRET}`],
  ['--url', `mqtt://anna:${SECRET}@host`],
  ['--url', `mqtt://:${SECRET}@host`],
  ['-L', `mqtts://anna:${SECRET}@host/topic`],
  ['--proxy', `socks5h://anna:${SECRET}@host`],
  ['--psk', SECRET],
])('a list that shows the words ends a command with %s %s', (...words) => {
  const command = parsed(words.filter((word) => word !== undefined))
  expect(() => refuseListedSecrets(command, (text) => text === SECRET)).toThrow(UsageError)
  expect(() => refuseListedSecrets(command, () => false)).not.toThrow()
})

test('an error about a listed secret does not repeat it, and says what to do', () => {
  const command = parsed(['-P', SECRET])
  expect(() => refuseListedSecrets(command, () => true)).toThrow(
    /^-P: .*--password-file.*--ask-password.*IT_MQTT_PASSWORD/,
  )
  expect(() => refuseListedSecrets(command, () => true)).not.toThrow(SECRET)
})

test.each([
  ['--url', 'mqtt://host'],
  ['--url', 'mqtt://anna@host'],
  ['-L', 'mqtt://host/a:b@c'],
])('words without a secret pass: %s %s', (...words) => {
  expect(() => refuseListedSecrets(parsed(words), () => true)).not.toThrow()
})

test('a secret of the environment passes', () => {
  process.env['IT_MQTT_URL'] = `mqtt://anna:${SECRET}@host`
  onTestFinished(() => void delete process.env['IT_MQTT_URL'])
  expect(() => refuseListedSecrets(parsed([]), () => true)).not.toThrow()
})

const THIS = 'this Node'

function commandOf(name: typeof THIS | RuntimeName, context: TestContext) {
  if (name === THIS) return [process.execPath, ...program('cli/main')]
  const { run: before } = RUNTIMES.find((one) => one.name === name)!
  return [requireRuntime(name, context), ...before, ...program('cli/main')]
}

/** A port where somebody connects and gets no answer. */
async function silentPort() {
  const server = createServer(() => {}).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const connected = once(server, 'connection').then(([socket]) => {
    onTestFinished(() => void (socket as Socket).destroy())
  })
  return { port: (server.address() as AddressInfo).port, connected }
}

/** What `ps` shows of a process, whole. */
function listed(pid: number | undefined): string {
  return execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' })
}

const WAYS: readonly (readonly [string, (port: number) => readonly string[]])[] = [
  ['the URL', (port) => ['--url', `mqtt://anna:${SECRET}@127.0.0.1:${port}`]],
  ['-P', (port) => ['-u', 'anna', '-P', SECRET, '-p', String(port)]],
]
const ROWS = [THIS, ...RUNTIMES.map(({ name }) => name)].flatMap((name) =>
  WAYS.map(([way, words]) => ({ name: name as typeof THIS | RuntimeName, way, words })),
)

test.skipIf(process.platform !== 'linux').for(ROWS)(
  'in $name a running command shows no password of $way in the list of processes',
  async ({ name, words }, context) => {
    const [file = '', ...before] = commandOf(name, context)
    const { port, connected } = await silentPort()
    const running = run(file, [...before, 'sub', 't', ...words(port)])
    const first = await Promise.race([connected.then(() => null), running.ended])
    if (first === null) {
      expect(listed(running.process.pid)).toMatch(/it-mqtt/)
      expect(listed(running.process.pid)).not.toContain(SECRET)
    } else {
      expect(first).toMatchObject({ status: 2, stdout: '' })
      expect(first.stderr).toMatch(/cannot remove the secret .*--password-file/)
      expect(first.stderr).not.toContain(SECRET)
    }
    // Bun alone has to refuse: another runtime that does so has lost what it could.
    expect(first === null).toBe(name !== 'bun')
  },
)

test.for(RUNTIMES.map(({ name }) => name))(
  'in %s a password may come from a file, and is in no list',
  async (name, context) => {
    const [file = '', ...before] = commandOf(name, context)
    const { path, remove } = temporaryFolder()
    onTestFinished(remove)
    writeFileSync(join(path, 'password'), `${SECRET}\n`)
    const { port, connected } = await silentPort()
    const words = ['-u', 'anna', '--password-file', join(path, 'password'), '-p', String(port)]
    const running = run(file, [...before, 'sub', 't', ...words])
    await Promise.race([connected, running.ended.then(({ stderr }) => expect(stderr).toBe(''))])
    expect(listed(running.process.pid)).not.toContain(SECRET)
  },
)
