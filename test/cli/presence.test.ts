/**
 * Goal: `presence` shows who is there, and is there itself until it ends. Method: processes that
 * see each other at a broker in this process, and a terminal in tmux.
 */
import { describe, expect, test } from 'vitest'
import { program } from '../support/built.ts'
import { requireTmux, Tmux } from '../support/tmux.ts'
import { broker, cli, type ListeningBroker, type Running, start, until } from './support.ts'

const FIVE = { protocolVersions: [5, 4] } as const

/** Starts a member, and waits until the broker has its record. */
async function member(peer: ListeningBroker, client: string, data: string): Promise<Running> {
  const running = start(['presence', peer.url, 'lab', '-i', client, '--enter', data])
  await until(() => topics(peer).some((topic) => topic.includes(`/${client}/`)))
  return running
}

/** @returns the retained records of members. */
function topics({ broker }: ListeningBroker): string[] {
  return [...broker.retained.keys()].filter((topic) => topic.startsWith('presence/s/'))
}

function linesOf(running: Running): string[] {
  return running.stdout().split('\n').slice(0, -1)
}

const jsonOf = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('[CLI] presence', { timeout: 60_000 }, () => {
  test('[CLI] presence: two processes see each other, and one that SIGTERM ends leaves', async () => {
    const peer = await broker(() => {}, FIVE)
    const ada = await member(peer, 'ada', '{"name":"Ada"}')
    await until(() => linesOf(ada).length === 1)
    const bob = await member(peer, 'bob', '7')
    await until(() => linesOf(bob).length === 2 && linesOf(ada).length === 2)
    expect(linesOf(bob).sort()).toEqual(['present ada {"name":"Ada"}', 'present bob 7'])
    bob.process.kill('SIGTERM')
    expect(await bob.ended).toMatchObject({ status: 143, stderr: '' })
    await until(() => linesOf(ada).length === 3)
    expect(linesOf(ada)).toEqual(['present ada {"name":"Ada"}', 'enter bob 7', 'leave bob 7'])
    ada.process.kill('SIGINT')
    expect(await ada.ended).toMatchObject({ status: 130, stderr: '' })
  })

  test('[CLI] presence: one that is killed is lost', async () => {
    const peer = await broker(() => {}, { protocolVersions: [4] })
    const watcher = start(['presence', peer.url, 'lab', '--json'])
    await until(() => linesOf(watcher).length === 1)
    const ada = await member(peer, 'ada', '1')
    await until(() => linesOf(watcher).length === 2)
    ada.process.kill('SIGKILL')
    await until(() => linesOf(watcher).length === 3)
    const changes = jsonOf(watcher.stdout())
    const who = { client: 'ada', data: 1, since: 'live', certainty: 'seen' }
    expect(changes).toMatchObject([
      { action: 'synced', members: 0 },
      { action: 'enter', ...who },
      { action: 'lost', ...who },
    ])
    expect(changes[1]!['connection']).toMatch(/^[0-9a-f]{24}$/)
  })

  test('[CLI] presence: --json says when all have come, again after a reconnection', async () => {
    const peer = await broker(() => {}, FIVE)
    await member(peer, 'ada', 'null')
    const watcher = start(['presence', '--json', 'lab', '--url', peer.url, '-i', 'watcher'])
    await until(() => linesOf(watcher).length === 2)
    peer.broker.kill('watcher')
    await until(() => linesOf(watcher).length === 3)
    expect(jsonOf(watcher.stdout())).toMatchObject([
      { action: 'present', client: 'ada', data: null },
      { action: 'synced', members: 1, certainty: expect.any(String) },
      { action: 'synced', members: 1 },
    ])
    expect(watcher.stderr()).toMatch(/connection to .* lost[\s\S]*connected to .* again/)
  })

  test('[CLI] presence: --once writes who is there, also nobody, and ends', async () => {
    const peer = await broker(() => {}, FIVE)
    const words = ['presence', peer.url, 'lab', '--once']
    expect(await cli(words)).toEqual({ status: 0, stdout: '', stderr: '' })
    await member(peer, 'ada', '{"name":"A\\u009bda"}')
    const once = await cli(words)
    expect(once).toEqual({ status: 0, stdout: 'ada {"name":"A\\u009bda"}\n', stderr: '' })
    const asJson = await cli([...words, '--json'])
    expect(asJson.status).toBe(0)
    expect(jsonOf(asJson.stdout)).toMatchObject([{ client: 'ada', data: { name: 'A\u009bda' } }])
    const other = await cli([...words, '--prefix', 'elsewhere'])
    expect(other).toMatchObject({ status: 0, stdout: '' })
  })

  test('[CLI] presence: what cannot be used is status 2, and nothing is connected', async () => {
    const url = ['--url', 'mqtt://127.0.0.1:1']
    for (const [words, message] of [
      [['', ...url], 'the space must be a text that is not empty'],
      [['lab', '--enter', '{name}', ...url], 'JSON is expected'],
      [['lab', '--enter', '1', '--ttl', '1', ...url], '--ttl must be 0, or a whole number from 2'],
      [['lab', '--ttl', '60', ...url], '--ttl is about what --enter enters'],
      [['lab', '--prefix', 'a/#', ...url], '--prefix: '],
      [['lab', '--will-topic', 'x', ...url], '--will-topic'],
    ] as const) {
      const ended = await cli(['presence', ...words])
      expect(ended).toMatchObject({ status: 2, stdout: '' })
      expect(ended.stderr).toContain(message)
    }
  })

  test('[CLI] presence: without a connection it says why, with the status of the reason', async () => {
    const nobody = await cli(['presence', 'mqtt://127.0.0.1:1', 'lab', '--once'])
    expect(nobody).toMatchObject({ status: 1, stdout: '' })
    expect(nobody.stderr).toContain('connection refused')
    const peer = await broker(() => {}, FIVE)
    peer.broker.refuseConnections(0x86)
    const refused = await cli(['presence', peer.url, 'lab', '--enter', '1'])
    expect(refused).toMatchObject({ status: 4, stdout: '' })
  })

  test('[CLI] presence: a terminal shows a list, and is given back by q', async (context) => {
    requireTmux(context)
    const peer = await broker(() => {}, FIVE)
    await member(peer, 'ada', '{"name":"Ada"}')
    const terminal = new Tmux(100, 12)
    await terminal.shows(/^\$/)
    const command = [process.execPath, ...program('cli/main')].join(' ')
    terminal.type(`${command} presence lab --url ${peer.url} -i me --enter 2; echo status=$?`)
    terminal.keys('Enter')
    await terminal.shows(/it-mqtt presence +lab +2 members +connected \(MQTT 5\)\n/)
    await terminal.shows(/\nada +before +[0-9a-f]{8} +\{"name":"Ada"\}/)
    const bob = await member(peer, 'bob', '3')
    await terminal.shows(/\nbob +\d\d:\d\d:\d\d +[0-9a-f]{8} +3\n/)
    bob.process.kill('SIGTERM')
    await terminal.shows(/ 2 members [\s\S]*\nleave bob 3/)
    terminal.keys('q')
    await terminal.shows('status=0')
    expect(terminal.value('alternate_on')).toBe('0')
    expect(topics(peer)).toEqual([expect.stringContaining('/ada/')])
  })
})
