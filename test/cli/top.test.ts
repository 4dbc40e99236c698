/**
 * Goal: without a terminal `top` writes lines of JSON, and ends as `sub` does. Method: the command
 * as a process, before a broker that does what a test says, and before a mosquitto.
 */
import type { Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { acknowledge, type Peer, scripted } from './scripted.ts'
import { broker, cli, start, until } from './support.ts'

interface Line {
  readonly topic: string
  readonly count: number
  readonly total: number
  readonly payload: unknown
  readonly retained: boolean
}

function linesOf(text: string): Line[] {
  const lines = text.split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as Line)
}

/** @returns the last line of each topic. */
function lastOf(text: string): Record<string, Line> {
  return Object.fromEntries(linesOf(text).map((line) => [line.topic, line]))
}

const live = (topic: string, payload: string | Buffer, retain = false): Packet => ({
  ...{ cmd: 'publish', dup: false, qos: 0, topic, payload, retain },
  properties: { subscriptionIdentifier: 1 },
})

/** Sends what it retains after the first SUBSCRIBE, and messages after the second. */
function publishing(packet: Packet, peer: Peer): void {
  acknowledge(packet, peer)
  if (packet.cmd !== 'subscribe') return
  if (packet.properties?.subscriptionIdentifier === undefined) {
    const rest = { cmd: 'publish', dup: false, qos: 0 } as const
    peer.send({ ...rest, topic: 'p/a', payload: 'kept', retain: true })
    return
  }
  peer.send(live('p/a', 'one'))
  peer.send(live('p/b', 'two', true))
  peer.send(live('p/b', Buffer.from([0, 255]), true))
}

describe('[CLI] top: without a terminal', { timeout: 60_000 }, () => {
  test('[CLI] top: each topic that had a message is a line; what was retained counts nothing', async () => {
    const server = await scripted(publishing)
    const ended = await cli(['top', '--url', server.url, '-C', '4'])
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    const { 'p/a': a, 'p/b': b } = lastOf(ended.stdout)
    expect(a).toMatchObject({ total: 1, payload: 'one', payloadBytes: 3, retained: true, qos: 0 })
    expect(b).toMatchObject({ total: 2, payload: { base64: 'AP8=' }, retained: true })
    const counts = linesOf(ended.stdout).map(({ count }) => count)
    expect(counts.reduce((sum, one) => sum + one, 0)).toBe(3)
    const asked = server.packets.filter(({ cmd }) => cmd === 'subscribe')
    expect(asked).toMatchObject([
      { subscriptions: [{ topic: '#', qos: 0, rap: true, rh: 0 }] },
      { subscriptions: [{ topic: '#', rap: true, rh: 2 }] },
    ])
  })

  test('[CLI] top: -R and -T leave messages out, and an empty retained one says none is kept', async () => {
    const server = await scripted((packet, peer) => {
      publishing(packet, peer)
      const isSecond = packet.cmd === 'subscribe' && packet.properties !== undefined
      if (isSecond) peer.send(live('p/b', '', true))
    })
    const words = ['top', 'p/#', '--url', server.url, '-R', '-C', '3', '--interval', '0.1']
    const plain = lastOf((await cli(words)).stdout)
    expect(plain['p/a']).toMatchObject({ total: 1, payload: 'one', retained: false })
    expect(plain['p/b']).toMatchObject({ retained: true })
    const all = lastOf((await cli([...words, '-T', 'p/a'])).stdout)
    expect(Object.keys(all)).toEqual(['p/b'])
    expect(all['p/b']).toMatchObject({ total: 3, payload: '', retained: false })
  })

  test('[CLI] top: with MQTT 3.1.1 it subscribes once, without options of MQTT 5', async () => {
    const server = await broker()
    const running = start(['top', 'a/#', '--url', server.url, '-C', '1'])
    await server.broker.waitFor('subscribe')
    server.broker.publish('a/b', 'x')
    const ended = await running.ended
    expect(ended.status).toBe(0)
    expect(lastOf(ended.stdout)['a/b']).toMatchObject({ count: 1, total: 1, payload: 'x' })
  })

  test('[CLI] top: Ctrl-C gives 130 and the lines of the last interval, -W gives 27', async () => {
    const server = await scripted(publishing)
    const words = ['top', '--url', server.url, '--interval', '3600', '-d']
    const running = start(words)
    await until(() => running.stderr().split('received PUBLISH').length > 4)
    running.process.kill('SIGINT')
    const ended = await running.ended
    expect(ended.status).toBe(130)
    expect(lastOf(ended.stdout)['p/b']).toMatchObject({ total: 2 })
    const late = await cli([...words, '-W', '1'])
    expect(late.status).toBe(27)
    expect(linesOf(late.stdout)).toHaveLength(2)
    expect(late.stderr).toContain('it-mqtt: timed out')
  })

  test('[CLI] top: topics beyond --max-topics have no lines, and that is said', async () => {
    const server = await scripted(publishing)
    const words = ['--url', server.url, '-C', '4', '--max-topics', '1']
    const ended = await cli(['top', ...words])
    expect(Object.keys(lastOf(ended.stdout))).toEqual(['p/a'])
    expect(ended.stderr).toContain('no lines were written for 2 messages of 1 topic beyond --max')
  })

  test('[CLI] top: a refused filter is said, with status 1', async () => {
    const server = await scripted((packet, peer) => {
      if (packet.cmd !== 'subscribe') return
      peer.send({ cmd: 'suback', messageId: packet.messageId!, granted: [0x87] })
    })
    const ended = await cli(['top', 'secret/#', '--url', server.url])
    expect(ended).toMatchObject({ status: 1, stdout: '' })
    expect(ended.stderr).toMatch(/secret\/#.*not authorized/i)
  })

  test.each([
    [
      ['#', 'a/#', '#', '$SYS/#'],
      ['#', '$SYS/#'],
    ],
    [
      ['a', 'a/#', 'a/+/c', 'b/+', 'b/c', 'b/#'],
      ['a/#', 'b/#'],
    ],
    [
      ['+/x', 'a/+', '+/+', '+'],
      ['+/+', '+'],
    ],
    [
      ['a/+', 'a/#', 'ab/#'],
      ['a/#', 'ab/#'],
    ],
  ])(
    '[CLI] top: no message comes twice because one filter covers another: %j',
    async (given, asked) => {
      const server = await scripted(acknowledge)
      const running = start(['top', '--url', server.url, ...given])
      await until(() => server.count('subscribe') === 2)
      running.process.kill('SIGTERM')
      await running.ended
      const filters = server.packets.flatMap((packet) =>
        packet.cmd === 'subscribe' ? [packet.subscriptions.map(({ topic }) => topic)] : [],
      )
      expect(filters).toEqual([asked, asked])
    },
  )

  test('[CLI] top: what cannot be used is refused before anything is sent', async () => {
    for (const words of [
      ['a/#/b'],
      ['#', 'a/#/b'],
      ['--session', 'x'],
      ['-c', '-i', 'me'],
      ['--interval', '0'],
      ['--max-topics', '0'],
      ['-T', 'a#'],
    ]) {
      const ended = await cli(['top', ...words])
      expect(ended, words.join(' ')).toMatchObject({ status: 2, stdout: '' })
    }
  })

  test('[CLI] top: a reader that has gone ends it, with status 0', async () => {
    const server = await scripted(publishing)
    const running = start(['top', '--url', server.url, '--interval', '0.1'])
    running.process.stdout!.destroy()
    expect((await running.ended).status).toBe(0)
  })

  test('[CLI] top: a mosquitto says what it retains, before and while it runs', async (context) => {
    requireMosquitto(context)
    await using server = await Mosquitto.start()
    const { url } = server
    const pub = (...words: string[]) => cli(['pub', '--url', url, '-q', '1', ...words])
    await pub('-r', 'plant/a', '1')
    const running = start(['top', '--url', url, '-t', 'plant/#', '--interval', '0.1', '-q', '2'])
    await until(() => running.stdout().includes('plant/a'))
    // The second subscription is in force once a message bears its identifier; until then a message
    // that is retained counts as one that was kept.
    const total = () => lastOf(running.stdout())['plant/b']?.total ?? 0
    while (total() === 0) await pub('-r', 'plant/b', '2')
    await pub('-r', 'plant/a', '')
    await pub('plant/a', '3')
    await until(() => lastOf(running.stdout())['plant/a']?.payload === '3')
    running.process.kill('SIGTERM')
    const ended = await running.ended
    expect(ended.status).toBe(143)
    const last = lastOf(ended.stdout)
    expect(last['plant/a']).toMatchObject({ total: 2, retained: false, qos: 1 })
    expect(last['plant/b']).toMatchObject({ retained: true })
  })
})
