/**
 * Goal: what a terminal shows, and what signals do. Method: `script` gives the command a
 * pseudoterminal; where it is missing the test says that it did not run.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, type TestContext, test } from 'vitest'
import { program } from '../support/built.ts'
import { freePort } from '../support/ports.ts'
import { acknowledge, scripted } from './scripted.ts'
import { type Running, run, scratch, start, until } from './support.ts'

const MAIN = [process.execPath, ...program('cli/main')]

const hasScript = spawnSync('script', ['--version']).error === undefined

/** Runs `it-mqtt` on a terminal, whose screen is what comes on standard output. */
function onTerminal(context: TestContext, args: readonly string[]): Running {
  if (!hasScript) {
    console.log(`not run, "script" is not installed: ${context.task.name}`)
    context.skip('no script: not run')
  }
  const command = [...MAIN, ...args].map((word) => `'${word}'`).join(' ')
  return run('script', ['-qefc', `stty cols 200; exec ${command}`, '/dev/null'])
}

const ERASE = '\r\u001b[K'

describe('[CLI] P12, on a terminal', { timeout: 60_000 }, () => {
  test('[CLI] P12: waiting is one status that is written over, and messages stay', async (context) => {
    const port = await freePort()
    const url = `mqtt://127.0.0.1:${port}`
    const args = ['sub', 't', '--reconnect', 'always', '--url', url]
    const running = onTerminal(context, args)
    const waiting = `waiting for ${url}: connection refused (ECONNREFUSED 127.0.0.1:${port})`
    await until(() => running.stdout().split(`${waiting}; next attempt in`).length > 2)
    expect(running.stdout()).not.toContain(`it-mqtt: ${waiting}`)
    const server = await scripted(acknowledge, false, port)
    await until(() => running.stdout().includes(`it-mqtt: connected to ${url} after`))
    await until(() => server.count('subscribe') === 1)
    running.process.stdin?.write('\u0003')
    const { status, stdout } = await running.ended
    expect(status).toBe(130)
    // A status is erased before the next one and before a message, and none is left.
    const parts = stdout.split(ERASE)
    expect(parts.length).toBeGreaterThan(3)
    for (const part of parts) expect(part.split('waiting for').length).toBeLessThanOrEqual(2)
    expect(parts.at(-1)).not.toContain('waiting')
  })

  test('[CLI] P12: a terminal that is closed ends the command in order', async (context) => {
    const server = await scripted(acknowledge)
    const running = onTerminal(context, ['sub', 't', '--url', server.url])
    await until(() => server.count('subscribe') === 1)
    running.process.kill('SIGKILL')
    await until(() => server.count('disconnect') === 1)
  })
})

describe('[CLI] P12, signals', { timeout: 60_000 }, () => {
  test('[CLI] P12: SIGHUP under nohup is ignored', async () => {
    const server = await scripted(acknowledge)
    const words = [...MAIN, 'sub', 't', '--url', server.url]
    const running = run('nohup', words)
    await until(() => server.count('subscribe') === 1)
    running.process.kill('SIGHUP')
    running.process.kill('SIGUSR1')
    await until(() => running.stderr().includes('connected to'))
    expect(running.process.exitCode).toBeNull()
    running.process.kill('SIGTERM')
    expect((await running.ended).status).toBe(143)
    expect(server.count('disconnect')).toBe(1)
  })

  test('[CLI] P12: SIGUSR1 writes where a command stands, and opens no debugger', async () => {
    const server = await scripted((packet, peer) => {
      if (packet.cmd === 'subscribe') acknowledge(packet, peer)
    })
    const commands: readonly (readonly [
      args: string[],
      cmd: 'subscribe' | 'publish',
      said: RegExp,
    ])[] = [
      [['sub', 't', '--quiet'], 'subscribe', /^it-mqtt: connected to mqtt:.*, 0 messages received/],
      [['pub', 'a', 'x', '-q', '1'], 'publish', /^it-mqtt: connected to .*, 1 request not settled/],
      [['pipe', '-t', 'a', '-q', '1'], 'publish', /^it-mqtt: 0 delivered, 1 under way/],
    ]
    for (const [args, cmd, said] of commands) {
      const before = server.count(cmd)
      const flags = ['--disconnect-timeout', '1', '--url', server.url]
      const running = start([...args, ...flags])
      running.process.stdin?.write('x\n')
      await until(() => server.count(cmd) > before)
      running.process.kill('SIGUSR1')
      await until(() => running.stderr() !== '')
      running.process.kill('SIGINT')
      const { status, stderr } = await running.ended
      expect([status, stderr]).toEqual([130, expect.stringMatching(said)])
      expect(stderr).not.toMatch(/debugger/i)
    }
  })

  test('[CLI] P12: a message for which standard error has no room does not cost the next one', async () => {
    const said = join(await scratch(), 'stderr')
    const server = await scripted(acknowledge)
    // The limit of the file size is reached, and lifted from outside.
    const command = [...MAIN, 'sub', 't', '--url', server.url].map((word) => `'${word}'`).join(' ')
    const running = run('bash', ['-c', `ulimit -S -f 0; exec ${command} 2> ${said}`])
    await until(() => server.count('subscribe') === 1)
    const { pid = 0 } = running.process
    running.process.kill('SIGUSR1')
    expect(readFileSync(said, 'utf8')).toBe('')
    spawnSync('prlimit', [`--pid=${pid}`, '--fsize=unlimited:'])
    await until(() => {
      running.process.kill('SIGUSR1')
      return readFileSync(said, 'utf8').includes('connected to')
    })
    running.process.kill('SIGINT')
    expect((await running.ended).status).toBe(130)
  })

  test('[CLI] P12: Ctrl-C and -W send DISCONNECT 0x00, after which no will is published', async () => {
    const server = await scripted(acknowledge)
    const will = ['--will-topic', 'w', '--will-payload', 'gone', '--url', server.url]
    const interrupted = start(['sub', 't', ...will])
    await until(() => server.count('subscribe') === 1)
    interrupted.process.kill('SIGINT')
    expect((await interrupted.ended).status).toBe(130)
    expect((await start(['sub', 't', '-W', '1', ...will]).ended).status).toBe(27)
    const ends = server.packets.filter(({ cmd }) => cmd === 'disconnect')
    expect(ends).toMatchObject([{ reasonCode: 0 }, { reasonCode: 0 }])
  })
})
