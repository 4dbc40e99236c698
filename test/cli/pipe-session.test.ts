import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { acknowledge, type Peer, scripted } from './scripted.ts'
import { broker, cli, type ListeningBroker, scratch, start, until } from './support.ts'

const lines = (count: number) => Array.from({ length: count }, (_, i) => String(i))
const text = (items: readonly string[]) => items.map((item) => `${item}\n`).join('')
const payloads = ({ messages }: ListeningBroker) =>
  messages.map(({ payload }) => payload.toString())
const sent = (packets: readonly Packet[]) =>
  packets.flatMap((packet) => (packet.cmd === 'publish' ? [String(packet.payload)] : []))

/** Acknowledges these payloads and no others. */
const only =
  (isTaken: (payload: string) => boolean) =>
  (packet: Packet, peer: Peer): void => {
    if (packet.cmd === 'publish' && isTaken(String(packet.payload))) acknowledge(packet, peer)
  }

async function setUp(count: number) {
  const directory = await scratch()
  const file = join(directory, 'lines.txt')
  const session = join(directory, 'session.json')
  await writeFile(file, text(lines(count)))
  const flags = ['--topic', 't', '--qos', '1', '--session', session]
  const position = async () => JSON.parse(await readFile(session, 'utf8')).position
  return { file, session, flags, position }
}

describe('[CLI] pipe --session', { timeout: 60_000 }, () => {
  test('[CLI] pipe: after Ctrl-C the next run goes on where it stopped, and nothing is sent twice', async () => {
    const { file, flags, position } = await setUp(50_000)
    const peer = await broker()
    const first = start(['pipe', file, ...flags, '--url', peer.url])
    await peer.received(2_000)
    first.process.kill('SIGINT')
    const interrupted = await first.ended
    expect(interrupted.status).toBe(130)
    expect(interrupted.stderr).toMatch(
      /requests delivered in .* not delivered, the rest was not read\n$/,
    )
    expect(await position()).not.toBeNull()
    expect(payloads(peer).length).toBeLessThan(50_000)
    const second = await cli(['pipe', file, ...flags, '--url', peer.url])
    expect(second.status).toBe(0)
    expect(payloads(peer)).toEqual(lines(50_000))
  })

  test('[CLI] pipe: Ctrl-C waits for what is in flight no longer than it may; what is held comes first in the next run', async () => {
    const { file, flags } = await setUp(10)
    const half = await scripted(only((payload) => Number(payload) % 2 === 0))
    const bounded = [...flags, '--disconnect-timeout', '300', '--url', half.url]
    const running = start(['pipe', file, ...bounded])
    await until(() => half.count('publish') === 10)
    running.process.kill('SIGINT')
    const interrupted = await running.ended
    expect(interrupted.status).toBe(130)
    expect(interrupted.stderr).toMatch(/^it-mqtt: 5 requests delivered in .*, 5 not delivered\n$/)
    await appendFile(file, 'more\n')
    const server = await scripted(acknowledge)
    const ended = await cli(['pipe', file, ...flags, '--json', '--url', server.url])
    expect(ended.status).toBe(0)
    expect(sent(server.packets)).toEqual(['1', '3', '5', '7', '9', 'more'])
    const reported = ended.stdout.trim().split('\n')
    expect(reported.map((line) => JSON.parse(line).line)).toEqual([2, 4, 6, 8, 10, 11])
  })

  test('[CLI] pipe: a second Ctrl-C ends immediately', async () => {
    const { file, flags } = await setUp(10)
    const deaf = await scripted()
    const slow = [...flags, '--disconnect-timeout', '600000', '--url', deaf.url]
    const running = start(['pipe', file, ...slow])
    await until(() => deaf.count('publish') === 10)
    running.process.kill('SIGINT')
    // Until the first has been heard a second one is the same signal.
    await until(() => {
      running.process.kill('SIGINT')
      return running.process.exitCode !== null
    })
    expect((await running.ended).status).toBe(130)
  })

  test('[CLI] pipe: SIGTERM is graceful too', async () => {
    const { file, flags } = await setUp(10)
    const deaf = await scripted()
    const running = start(['pipe', file, ...flags, '--disconnect-timeout', '1', '--url', deaf.url])
    await until(() => deaf.count('publish') === 10)
    running.process.kill('SIGTERM')
    expect(await running.ended).toMatchObject({ status: 143 })
    expect(deaf.count('disconnect')).toBe(1)
  })

  test('[CLI] pipe: SIGKILL loses no line', async () => {
    const { file, flags, position } = await setUp(5_000)
    const some = await scripted(only((payload) => Number(payload) < 700))
    const first = start(['pipe', file, ...flags, '--url', some.url])
    // The session is saved every second; line 701 is the first that is never acknowledged.
    await until(async () => (await position().catch(() => null))?.unsettled[0]?.[1] === 701)
    first.process.kill('SIGKILL')
    await first.ended
    const server = await scripted(acknowledge)
    expect((await cli(['pipe', file, ...flags, '--url', server.url])).status).toBe(0)
    expect(sent(server.packets)).toEqual(lines(5_000).slice(700))
  })

  test('[CLI] pipe: a file that was piped to its end begins again', async () => {
    const { file, flags, position } = await setUp(3)
    const peer = await broker()
    for (const _ of [1, 2]) {
      expect((await cli(['pipe', file, ...flags, '--url', peer.url])).status).toBe(0)
      expect(await position()).toBeNull()
    }
    expect(payloads(peer)).toEqual([...lines(3), ...lines(3)])
  })

  test('[CLI] pipe: after a line that is no request was mended the file goes on there', async () => {
    const { file, flags } = await setUp(0)
    const peer = await broker()
    const [topicless] = [flags.slice(2)]
    await writeFile(file, '{"cmd":"publish","topic":"a"}\n{"cmd":"?"}\n')
    expect((await cli(['pipe', file, ...topicless, '--url', peer.url])).status).toBe(1)
    const mended = '{"cmd":"publish","topic":"mended"}\n{"cmd":"publish","topic":"c"}\n'
    await writeFile(file, `{"cmd":"publish","topic":"a"}\n${mended}`)
    expect((await cli(['pipe', file, ...topicless, '--url', peer.url])).status).toBe(0)
    expect(peer.messages.map(({ topic }) => topic)).toEqual(['a', 'mended', 'c'])
  })

  test('[CLI] pipe: a session that is half way through a file serves nothing else', async () => {
    const { file, session, flags } = await setUp(10)
    const deaf = await scripted()
    const bounded = [...flags, '--disconnect-timeout', '1', '--url', deaf.url]
    const running = start(['pipe', file, ...bounded])
    await until(() => deaf.count('publish') === 10)
    running.process.kill('SIGINT')
    await running.ended
    const elsewhere = ['--session', session, '--url', deaf.url]
    for (const args of [
      ['pub', '-n', 'a'],
      ['sub', 'a'],
      ['pipe', '-', '--topic', 't'],
    ]) {
      const ended = await cli([...args, ...elsewhere])
      expect(ended.status).toBe(2)
      expect(ended.stderr).toMatch(/^it-mqtt: --session: [^\n]*lines\.txt[^\n]*\n$/)
    }
    await writeFile(file, text(lines(10).reverse()))
    const changed = await cli(['pipe', file, ...bounded])
    expect(changed.status).toBe(2)
    expect(changed.stderr).toMatch(/^it-mqtt: --session: [^\n]*has changed[^\n]*\n$/)
  })

  test('[CLI] pipe: from standard input, what the session holds comes first', async () => {
    const { flags } = await setUp(0)
    const deaf = await scripted()
    const running = start(['pipe', ...flags, '--disconnect-timeout', '1', '--url', deaf.url])
    running.process.stdin?.write('one\ntwo\n')
    await until(() => deaf.count('publish') === 2)
    running.process.kill('SIGINT')
    const interrupted = await running.ended
    expect(interrupted.status).toBe(130)
    expect(interrupted.stderr).toContain('2 not delivered')
    const server = await scripted(acknowledge)
    const ended = await cli(['pipe', ...flags, '--url', server.url], 'three\n')
    expect(ended.status).toBe(0)
    expect(ended.stderr).toContain('3 requests delivered')
    expect(sent(server.packets)).toEqual(['one', 'two', 'three'])
  })

  test('[CLI] pipe: a broker that is gone for good ends it with status 1, and the session has the rest', async () => {
    const { file, flags } = await setUp(10)
    const server = await scripted((packet, peer) => {
      only((payload) => Number(payload) < 4)(packet, peer)
      if (packet.cmd === 'publish' && String(packet.payload) === '9') peer.socket.destroy()
    })
    const ended = await cli(['pipe', file, ...flags, '--reconnect', 'never', '--url', server.url])
    expect(ended.status).toBe(1)
    expect(ended.stderr).toMatch(
      /^it-mqtt: [^\n]+ 4 requests delivered in [^\n]+, 6 not delivered\n$/,
    )
    const later = await scripted(acknowledge)
    expect((await cli(['pipe', file, ...flags, '--url', later.url])).status).toBe(0)
    expect(sent(later.packets)).toEqual(['4', '5', '6', '7', '8', '9'])
  })
})
