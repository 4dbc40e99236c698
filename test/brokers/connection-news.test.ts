/**
 * Goal: what the commands say while a real server is away, restarts, refuses, or gives the session
 * to another client. Method: a mosquitto that is killed and started again under them.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, type TestContext, test } from 'vitest'
import { type Running, run, scratch, start, until } from '../cli/support.ts'
import { Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { freePort } from '../support/ports.ts'

const TLS = fileURLToPath(new URL('../cli/tls', import.meta.url))

async function mosquitto(context: TestContext, lines: readonly string[] = []): Promise<Mosquitto> {
  requireMosquitto(context)
  const broker = await Mosquitto.start(lines)
  onTestFinished(() => broker[Symbol.asyncDispose]())
  return broker
}

async function stopped({ process, ended }: Running): Promise<string> {
  process.kill('SIGINT')
  const { status, stderr } = await ended
  expect(status).toBe(130)
  return stderr
}

const linesWith = (text: string, part: string) =>
  text.split('\n').filter((line) => line.includes(part))

describe('[CLI] P12, a server that is away', { timeout: 60_000 }, () => {
  test('[CLI] P12: pub, sub, rr, pipe: lost and why, waiting for what, and again after how long', async (context) => {
    const broker = await mosquitto(context)
    const flags = ['-d', '-p', `${broker.port}`, '--disconnect-timeout', '1']
    const commands = [
      start(['sub', 't', ...flags]),
      start(['rr', '-t', 'a', '-m', 'x', '-e', 'answer', ...flags]),
      start(['pipe', '-t', 'a', '-q', '1', ...flags]),
      start(['pub', '-t', 'a', '-l', '-q', '1', ...flags]),
      start(['sub', 't', '--quiet', ...flags]),
    ]
    for (const { stderr } of commands) await until(() => stderr().includes('received CONNACK'))
    const url = `mqtt://localhost:${broker.port}`
    const loud = commands.slice(0, -1)
    await broker.down('SIGKILL')
    for (const { stderr } of loud) await until(() => stderr().includes(`waiting for ${url}: `))
    await broker.up()
    for (const { stderr } of loud) await until(() => stderr().includes(`connected to ${url} again`))
    for (const command of loud) {
      const stderr = await stopped(command)
      expect(linesWith(stderr, ' lost: ')).toEqual([
        expect.stringMatching(
          /connection to mqtt:\S+ lost: the server closed it; next attempt in /,
        ),
      ])
      expect(linesWith(stderr, 'waiting for')).toEqual([
        expect.stringMatching(
          /: connection refused \(ECONNREFUSED [^)]+\).*; next attempt in \d+ s$/,
        ),
      ])
      expect(linesWith(stderr, 'again after')).toEqual([
        expect.stringMatching(/again after [\d.]+ s; the server has begun a new session$/),
      ])
    }
    expect(linesWith(await stopped(commands.at(-1)!), 'lost')).toEqual([])
  })

  test('[CLI] P12: a server that is away at the start is named once, with the cause', async (context) => {
    requireMosquitto(context)
    const port = await freePort()
    const flags = ['--reconnect', 'always', '-p', `${port}`]
    const running = start(['pub', 'a', 'x', '-q', '1', ...flags])
    await until(() => running.stderr().includes('waiting for'))
    const server = start(['sub', 'b', ...flags])
    await until(() => server.stderr().includes('waiting for'))
    const broker = run('mosquitto', ['-p', `${port}`])
    const { status, stderr } = await running.ended
    expect(status).toBe(0)
    expect(stderr).toMatch(
      /^it-mqtt: waiting for [^\n]*refused[^\n]*\nit-mqtt: connected to [^\n]*\n$/,
    )
    expect(linesWith(await stopped(server), 'waiting')).toHaveLength(1)
    broker.process.kill()
  })
})

describe('[CLI] P12, two clients with one identifier', { timeout: 60_000 }, () => {
  test.for(['311', '5'])('[CLI] P12: they say so (MQTT %s)', async (version, context) => {
    const broker = await mosquitto(context)
    const args = ['sub', 't', '-i', 'twin', '-V', version, '-p', `${broker.port}`]
    const twins = [start(args), start(args)]
    const said = 'another client uses the client identifier "twin"'
    for (const { stderr } of twins) await until(() => stderr().includes(said))
    for (const twin of twins) {
      const stderr = await stopped(twin)
      expect(linesWith(stderr, said)).toEqual([expect.stringContaining('with -i')])
      expect(linesWith(stderr, ' lost: ').length).toBeLessThanOrEqual(3)
      expect(linesWith(stderr, 'No progress')).toEqual([])
    }
  })
})

describe('[CLI] P12, refusals', { timeout: 60_000 }, () => {
  test('[CLI] P12: a wrong password and a wrong authority are said in words', async (context) => {
    const folder = await scratch()
    const passwords = join(folder, 'passwords')
    writeFileSync(passwords, '')
    spawnSync('mosquitto_passwd', ['-b', passwords, 'anna', 'right'])
    const guarded = await mosquitto(context, [
      'allow_anonymous false',
      `password_file ${passwords}`,
    ])
    const wrong = ['-u', 'anna', '-P', 'wrong', '-p', `${guarded.port}`]
    for (const version of ['311', '5']) {
      const { status, stderr } = await start(['pub', 'a', 'x', '-V', version, ...wrong]).ended
      expect([4, 5]).toContain(status)
      expect(stderr).toMatch(
        /^it-mqtt: The server refused the connection: [a-z ]+ \(0x\w\w\)[^\n]*\n$/,
      )
    }
    const secure = await mosquitto(context, [
      ...['listener {port} 127.0.0.1', 'allow_anonymous true', `cafile ${TLS}/ca.pem`],
      ...[`certfile ${TLS}/server.pem`, `keyfile ${TLS}/server.key`],
    ])
    const url = `mqtts://127.0.0.1:${secure.port}`
    const { status, stderr } = await start(['sub', 'a', '--url', url]).ended
    expect(status).toBe(1)
    expect(stderr).toBe(
      `it-mqtt: The certificate of ${url} was refused: its issuer is not trusted here; give the ` +
        'certificate of the authority with --cafile.\n',
    )
  })
})

describe('[CLI] P12, the will', { timeout: 60_000 }, () => {
  test.for(['311', '5'])(
    '[CLI] P12: Ctrl-C publishes no will, a kill does (MQTT %s)',
    async (version, context) => {
      const broker = await mosquitto(context)
      const at = ['-d', '-p', `${broker.port}`, '-V', version]
      const watching = start(['sub', 'w/#', '-v', ...at])
      const mortal = (name: string) =>
        start(['sub', name, '--will-topic', `w/${name}`, '--will-payload', 'gone', ...at])
      const isUp = ({ stderr }: Running) => until(() => stderr().includes('received SUBACK'))
      await isUp(watching)
      const [interrupted, killed] = [mortal('interrupted'), mortal('killed')]
      await isUp(interrupted)
      await isUp(killed)
      await stopped(interrupted)
      killed.process.kill('SIGKILL')
      await until(() => watching.stdout() !== '')
      expect(watching.stdout()).toBe('w/killed gone\n')
    },
  )
})
