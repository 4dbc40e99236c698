import { join } from 'node:path'
import type { Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { acknowledge, type Peer, scripted } from './scripted.ts'
import { broker, cli, scratch, start, until } from './support.ts'

interface Message {
  readonly topic?: string
  readonly payload: string | Buffer
  readonly qos?: 0 | 1 | 2
  readonly retain?: boolean
  readonly properties?: object
}

/** Grants the subscription, then sends these. */
const sending =
  (...messages: readonly Message[]) =>
  (packet: Packet, peer: Peer): void => {
    acknowledge(packet, peer)
    if (packet.cmd !== 'subscribe') return
    messages.forEach((message, index) => {
      const { qos = 0 } = message
      const whole = { cmd: 'publish', topic: 't', dup: false, retain: false, ...message } as const
      peer.send({ ...whole, qos, ...(qos > 0 ? { messageId: index + 1 } : {}) })
    })
  }

describe('[CLI] sub', { timeout: 60_000 }, () => {
  test('[CLI] sub: messages are NDJSON in the shape of requests, which pipe takes', async () => {
    const correlationData = Buffer.from([255])
    const server = await scripted(
      sending(
        { topic: 'a', payload: 'grüße', qos: 1, retain: true },
        { topic: 'b', payload: Buffer.from([0, 255]), qos: 2 },
        { topic: 'c', payload: '', properties: { contentType: 'x', correlationData } },
      ),
    )
    const ended = await cli(['sub', '#', '--json', '-q', '2', '-C', '3', '--url', server.url])
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    expect(
      ended.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { cmd: 'publish', topic: 'a', payload: 'grüße', qos: 1, retain: true },
      { cmd: 'publish', topic: 'b', payload: { base64: 'AP8=' }, qos: 2, retain: false },
      {
        ...{ cmd: 'publish', topic: 'c', payload: '', qos: 0, retain: false },
        properties: { contentType: 'x', correlationData: { base64: '/w==' } },
      },
    ])
    const sink = await scripted(acknowledge)
    expect((await cli(['pipe', '--url', sink.url], ended.stdout)).status).toBe(0)
    expect(sink.packets.filter(({ cmd }) => cmd === 'publish')).toMatchObject([
      { topic: 'a', qos: 1, retain: true },
      { topic: 'b', qos: 2, payload: Buffer.from([0, 255]) },
      { topic: 'c', qos: 0, properties: { correlationData } },
    ])
  })

  test('[CLI] sub: --format writes what its placeholders say, bytes as they are', async () => {
    const server = await scripted(
      sending({ topic: 'a/b', payload: Buffer.from('hi\xff', 'latin1'), qos: 1, retain: true }),
    )
    const format = '%t\\t%x %l %q %r 100%%'
    const args = ['sub', 'a/b', '--qos', '1', '--format', format, '-C', '1', '--url', server.url]
    expect((await cli(args)).stdout).toBe('a/b\t6869ff 3 1 1 100%\n')
  })

  test('[CLI] sub: a message is acknowledged once it is written, and the last one too', async () => {
    const server = await scripted(
      sending(
        { payload: 'x'.repeat(1_000_000), qos: 1 },
        { payload: 'second', qos: 1 },
        { payload: 'third', qos: 1 },
      ),
    )
    const running = start(['sub', 't', '--qos', '1', '-C', '2', '--url', server.url])
    // A pipe holds 64 KiB: the first message cannot be written before somebody reads.
    running.process.stdout?.pause()
    await until(() => (running.process.stdout?.readableLength ?? 0) > 0)
    expect(server.count('puback')).toBe(0)
    running.process.stdout?.resume()
    const ended = await running.ended
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    expect(ended.stdout.split('\n')).toHaveLength(3)
    expect(server.count('puback')).toBe(2)
  })

  test('[CLI] sub: a reader that leaves ends it quietly, and what it did not get is not acknowledged', async () => {
    let peer: Peer | undefined
    const server = await scripted((packet, from) => {
      peer = from
      sending({ payload: 'one', qos: 1 })(packet, from)
    })
    const running = start(['sub', 't', '--qos', '1', '--url', server.url])
    await until(() => server.count('puback') === 1)
    running.process.stdout?.destroy()
    const message = { topic: 't', payload: 'two', qos: 1, dup: false, retain: false } as const
    peer?.send({ cmd: 'publish', messageId: 9, ...message })
    expect(await running.ended).toMatchObject({ status: 0, stderr: '' })
    expect(server.count('puback')).toBe(1)
  })

  test('[CLI] sub: a subscription that is refused is one line and status 1', async () => {
    const server = await scripted((packet, peer) => {
      const { messageId = 0 } = packet
      if (packet.cmd === 'subscribe') peer.send({ cmd: 'suback', messageId, granted: [0, 0x87] })
    })
    const ended = await cli(['sub', 'a', 'b/#', '--url', server.url])
    expect(ended).toMatchObject({ status: 1, stdout: '' })
    expect(ended.stderr).toMatch(/^it-mqtt: [^\n]+\n$/)
  })

  test('[CLI] sub: Ctrl-C ends it, even while its reader has stalled', async () => {
    const server = await scripted(sending({ payload: 'x'.repeat(1_000_000), qos: 1 }))
    const running = start(['sub', 't', '--qos', '1', '--url', server.url])
    running.process.stdout?.pause()
    await until(() => (running.process.stdout?.readableLength ?? 0) > 0)
    running.process.kill('SIGINT')
    await until(() => running.process.exitCode !== null)
    expect(running.process.exitCode).toBe(130)
    expect(server.count('puback')).toBe(0)
    expect(server.count('disconnect')).toBe(1)
    running.process.stdout?.resume()
  })

  test('[CLI] sub: --session keeps a subscription alive, so that nothing is missed in between', async () => {
    const peer = await broker()
    const path = join(await scratch(), 'session.json')
    const flags = ['--qos', '1', '--session', path, '--url', peer.url, '--format', '%p']
    const first = start(['sub', 't', ...flags])
    await until(() => peer.broker.clients.size === 1 && first.stderr() === '')
    await cli(['pub', 't', 'one', '--qos', '1', '--url', peer.url])
    await until(async () => {
      if (first.stdout() !== '') return true
      await cli(['pub', 't', 'one', '--qos', '1', '--url', peer.url])
      return false
    })
    first.process.kill('SIGINT')
    expect((await first.ended).status).toBe(130)
    await cli(['pub', 't', 'two', '--qos', '1', '--url', peer.url])
    const second = await cli(['sub', 't', ...flags, '-C', '1'])
    expect(second).toEqual({ status: 0, stdout: 'two\n', stderr: '' })
  })

  test('[CLI] sub: the will is published when it dies', async () => {
    const peer = await broker()
    const will = ['--will-topic', 'w', '--will-payload', 'gone', '--will-retain']
    const running = start(['sub', 't', '--url', peer.url, ...will])
    await until(() => peer.broker.clients.size === 1)
    running.process.kill('SIGKILL')
    await until(() => peer.broker.retained.has('w'))
  })

  test('[CLI] sub: a wrong command line is one line and status 2', async () => {
    const cases: readonly [given: string[], part: string][] = [
      [['sub'], 'filters'],
      [['sub', 'a/#/b'], '#'],
      [['sub', 'a', '--format', '%y'], '%y'],
      [['sub', 'a', '--count', '0'], '--count'],
    ]
    const check = async ([args, part]: (typeof cases)[number]) => {
      const ended = await cli([...args, '--url', 'mqtt://127.0.0.1:1'])
      expect(ended).toMatchObject({ status: 2, stdout: '' })
      expect(ended.stderr).toMatch(/^it-mqtt: [^\n]+\n$/)
      expect(ended.stderr).toContain(part)
    }
    await Promise.all(cases.map(check))
  })
})
