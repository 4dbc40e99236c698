/**
 * Goal: `top` works on a real terminal, and gives it back whatever happens. Method: tmux with a
 * shell in it, keys that are pressed there, and a mosquitto.
 */
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { program } from '../support/built.ts'
import { Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { requireTmux, Tmux } from '../support/tmux.ts'
import { cli, scratch, until } from './support.ts'

async function mosquitto(lines: readonly string[] = []): Promise<Mosquitto> {
  const server = await Mosquitto.start(lines)
  onTestFinished(() => server[Symbol.asyncDispose]())
  return server
}

const COMMAND = [process.execPath, ...program('cli/main')].join(' ')

/** A shell in which `top` runs and is connected. */
async function started(server: Mosquitto, words = '', env: Record<string, string> = {}) {
  const terminal = new Tmux(100, 24, env)
  await terminal.shows(/^\$/)
  terminal.type(`echo before-top; ${COMMAND} top --url ${server.url} ${words}; echo status=$?`)
  terminal.keys('Enter')
  await terminal.shows('connected (MQTT 5)')
  return terminal
}

async function published(server: Mosquitto, ...words: string[]): Promise<void> {
  const { status, stderr } = await cli(['pub', '--url', server.url, '-q', '1', ...words])
  expect(stderr).toBe('')
  expect(status).toBe(0)
}

/** Keeps a server publishing to a topic until a message of it is seen. */
async function seen(terminal: Tmux, server: Mosquitto, topic: string): Promise<void> {
  const name = topic.split('/').at(-1)!
  do await published(server, topic, 'first')
  while (!terminal.lines().some((line) => line.includes(name)))
}

/** The terminal is as it was: what stood there, a cursor, line wraps, input line by line. */
async function isRestored(terminal: Tmux): Promise<void> {
  const flags = () => ['alternate_on', 'cursor_flag', 'wrap_flag'].map((one) => terminal.value(one))
  await until(() => flags().join() === '0,1,1')
  const screen = terminal.lines().join('\n')
  expect(screen).toContain('before-top')
  expect(screen).not.toContain('last value')
  terminal.type('stty -a')
  terminal.keys('Enter')
  await terminal.shows(/[^-]icanon[\s\S]*[^-]echo /)
}

/** @returns the process id of `top` in this terminal. */
function processOf(terminal: Tmux): number {
  const { stdout } = spawnSync('pgrep', ['-P', terminal.value('pane_pid')], { encoding: 'utf8' })
  return Number(stdout.trim().split('\n')[0])
}

describe('[CLI] top: on a terminal', { timeout: 120_000 }, () => {
  test('[CLI] top: tree, folds, filter, details, pause, resize and end', async (context) => {
    requireTmux(context)
    requireMosquitto(context)
    const server = await mosquitto()
    const terminal = await started(server)
    await seen(terminal, server, 'lab')
    await published(server, 'plant/1/temp', '21.5')
    await published(server, 'plant/2/state', '{ "on": true }')
    const hostile = '\x1b[2J\x1b[Hred\x07'
    await published(server, 'plant/2/世界', hostile)
    await terminal.shows(/▸ 2\/ .* 2 +\d+s/)
    expect(terminal.lines().join('\n')).not.toContain('temp')
    terminal.keys('+')
    await terminal.shows(/temp .* 21\.5/)
    await terminal.shows(/state .* \{"on":true\}/)
    const screen = await terminal.shows(/世界 .* \\x1b\[2J\\x1b\[Hred\\x07/)
    expect(screen.split('\n')[0]).toContain('it-mqtt top')

    terminal.keys('/')
    terminal.type('TEMP')
    await terminal.shows((text) => text.includes('/TEMP_') && !text.includes('state'))
    terminal.keys('Enter', 'End', 'd')
    await terminal.shows(/retained by the server: not known[\s\S]*last message: .*, QoS 0, 4 bytes/)
    terminal.keys('q', 'Escape')
    await terminal.shows('state')

    terminal.keys('p')
    await terminal.shows('PAUSED, 0 more')
    await published(server, 'plant/1/temp', '99')
    await published(server, 'plant/3', 'x')
    await terminal.shows((text) => text.includes('PAUSED, 2 more') && /temp .* 21\.5/.test(text))
    terminal.keys('p')
    await terminal.shows((text) => /temp .* 99/.test(text) && /^ +3 .* x$/m.test(text))

    terminal.resize(40, 10)
    await terminal.shows((text) => text.split('\n').every((line) => [...line].length <= 40))
    await terminal.shows(/^topic +msg\/s +age last value$/m)
    terminal.resize(100, 24)
    await terminal.shows('q quit')
    terminal.keys('?')
    await terminal.shows('KEYS')
    terminal.keys('End')
    await terminal.shows('MQTT does not name the publisher')
    terminal.keys('q', 'q')
    await terminal.shows('status=0')
    await isRestored(terminal)
  })

  test('[CLI] top: x removes retained messages; one that is refused is said', async (context) => {
    requireTmux(context)
    requireMosquitto(context)
    const rights = join(await scratch(), 'rights')
    await writeFile(rights, 'topic readwrite #\n')
    const server = await mosquitto([`acl_file ${rights}`])
    for (const topic of ['plant/a', 'plant/b', 'lab']) await published(server, topic, '1', '-r')
    await writeFile(rights, 'topic readwrite plant/#\ntopic read #\n')
    server.signal('SIGHUP')
    const terminal = await started(server)
    await terminal.shows(/ b .* R 1/)
    terminal.keys('End', 'Left', 'x')
    await terminal.shows('Remove 2 retained messages at and below plant? y/n')
    terminal.keys('n')
    await terminal.shows('nothing removed')
    terminal.keys('x', 'y')
    await terminal.shows('removed: 2 retained messages')
    terminal.keys('Home', 'DC')
    await terminal.shows('Remove the retained message of lab? y/n')
    terminal.keys('y')
    await terminal.shows(/lab was not removed: .*not authorized/i)
    const left = await cli(['retained', 'list', '#', '--url', server.url, '--idle', '500'])
    expect(left.stdout).toBe('lab\t1 bytes\tQoS 1\n')
    terminal.keys('C-c')
    await terminal.shows('status=130')
    await isRestored(terminal)
  })

  test('[CLI] top: a lost connection is said, and it goes on', async (context) => {
    requireTmux(context)
    requireMosquitto(context)
    const server = await mosquitto()
    const terminal = await started(server)
    await server.down('SIGKILL')
    await terminal.shows(/connection lost, next attempt in \d+ s|connecting: /)
    await server.up()
    await terminal.shows(/connected \(MQTT 5\), lost .* before/)
    await seen(terminal, server, 'again')
  })

  test('[CLI] top: Ctrl-Z gives the terminal back, and fg takes it again', async (context) => {
    requireTmux(context)
    requireMosquitto(context)
    const server = await mosquitto()
    const terminal = new Tmux(100, 24)
    await terminal.shows(/^\$/)
    terminal.type(`echo before-top`)
    terminal.keys('Enter')
    terminal.type(`${COMMAND} top --url ${server.url}`)
    terminal.keys('Enter')
    await terminal.shows('connected (MQTT 5)')
    terminal.keys('C-z')
    await terminal.shows('Stopped')
    await isRestored(terminal)
    terminal.keys('Enter')
    terminal.type('clear; fg')
    terminal.keys('Enter')
    await terminal.shows('last value')
    expect(terminal.value('alternate_on')).toBe('1')
    await seen(terminal, server, 'after')
    terminal.keys('/')
    terminal.type('zzz')
    await terminal.shows('No topic matches')
  })

  for (const [signal, status] of [
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGINT', 130],
    ['SIGUSR2', 1],
  ] as const) {
    const what = signal === 'SIGUSR2' ? 'a crash' : signal
    test(`[CLI] top: the terminal is restored after ${what}`, async (context) => {
      requireTmux(context)
      requireMosquitto(context)
      const server = await mosquitto()
      const crash = 'process.on("SIGUSR2",()=>{throw(new(Error)("crashed"))})'
      const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(crash)}` }
      const terminal = await started(server, '', env)
      process.kill(processOf(terminal), signal)
      const screen = await terminal.shows(`status=${status}`)
      if (signal === 'SIGUSR2') expect(screen).toContain('Error: crashed')
      await isRestored(terminal)
    })
  }

  test('[CLI] top: TERM=dumb and --json write lines', async (context) => {
    requireTmux(context)
    requireMosquitto(context)
    const server = await mosquitto()
    await published(server, 'a', '1', '-r')
    const terminal = new Tmux(200, 24)
    await terminal.shows(/^\$/)
    for (const [env, flag] of [
      ['TERM=dumb', ''],
      ['', '--json'],
    ]) {
      terminal.type(`clear; ${env} ${COMMAND} top --url ${server.url} -C 1 ${flag}; echo done=$?`)
      terminal.keys('Enter')
      await terminal.shows(/"topic":"a"[\s\S]*done=0/)
    }
  })
})
