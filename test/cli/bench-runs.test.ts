/**
 * Goal: `bench` measures what happens, says what it cannot know, and leaves nothing behind. Method:
 * the command runs before brokers of this process that stall, refuse, lose and repeat as the test
 * says, and before a mosquitto if there is one.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { IPublishPacket, Packet } from 'mqtt-packet'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { BenchResult } from '../../src/cli/bench/result.ts'
import { eventloop } from '../../src/index.ts'
import { program } from '../support/built.ts'
import { Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { acknowledge, type Peer, scripted } from './scripted.ts'
import { broker, cli, listen, refusing, run, scratch, start, until } from './support.ts'

const STALL_MS = 500

/** Runs a bench to its end. */
async function bench(args: readonly string[]) {
  const { status, stdout, stderr } = await cli(['bench', ...args, '--json', '--quiet'])
  const result = (stdout === '' ? null : JSON.parse(stdout)) as BenchResult
  return { status, stderr, result }
}

/** A broker that answers nothing for a while, once, after so many messages. */
function stalling(after: number) {
  let count = 0
  let late: (() => void)[] | null = null
  return scripted((packet: Packet, peer: Peer) => {
    if (packet.cmd !== 'publish') return acknowledge(packet, peer)
    if (++count === after) {
      late = []
      setTimeout(() => {
        const answers = late ?? []
        late = null
        for (const answer of answers) answer()
      }, STALL_MS)
    }
    if (late === null) acknowledge(packet, peer)
    else late.push(() => acknowledge(packet, peer))
  })
}

describe('[CLI] bench measures', { timeout: 60_000 }, () => {
  test('[CLI] bench pub --rate: a server that stalls shows in the latencies', async () => {
    const server = await stalling(100)
    // With one publish in flight, nothing is sent while the server stalls: measured from the send,
    // one message of 400 is slow; measured from when they were due, every fourth is.
    const flags = ['-q', '1', '-M', '1', '--rate', '200', '--messages', '400', '--url', server.url]
    const { status, result } = await bench(['pub', ...flags])
    expect(result.model).toBe('open')
    expect(result.messages).toMatchObject({ due: 400, sent: 400, acknowledged: 400 })
    const { acknowledgement: fromDue, acknowledgementFromSend: fromSend } = result.latencyMs
    // A busy machine makes both slower.
    expect(fromDue!.p90).toBeGreaterThan(STALL_MS * 0.5)
    expect(fromSend!.p90).toBeLessThan(fromDue!.p90 / 2)
    expect(fromSend!.max).toBeGreaterThan(STALL_MS * 0.9)
    expect(status).toBe(0)
  })

  test('[CLI] bench pub: without a rate the report says that it is a closed loop', async () => {
    const server = await stalling(100)
    const flags = ['-q', '1', '-M', '1', '--messages', '2000', '--url', server.url]
    const { status, result } = await bench(['pub', ...flags])
    expect(result.latencyMs.acknowledgement!.p99).toBeLessThan(STALL_MS * 0.7)
    expect(result.latencyMs.acknowledgement!.max).toBeGreaterThan(STALL_MS * 0.9)
    expect(result.remarks.join()).toContain('closed loop')
    expect([result.messages.sent, result.messages.due, status]).toEqual([2000, null, 0])
  })

  test('[CLI] bench pub --rate: what a server does not keep up with is counted', async () => {
    // One acknowledgement each 20 ms, and one publish in flight: 50 of 1,000 a second.
    const server = await scripted((packet, peer) => {
      if (packet.cmd === 'publish') setTimeout(() => acknowledge(packet, peer), 20)
    })
    const flags = ['-q', '1', '-M', '1', '--rate', '1000', '--duration', '1s', '--url', server.url]
    const { status, result } = await bench(['pub', ...flags])
    const { due, sent, unsent } = result.messages
    expect([due, sent + unsent, status]).toEqual([1000, 1000, 1])
    expect(unsent).toBeGreaterThan(900)
    expect(result.remarks[0]).toContain('The rate was not reached')
    expect(server.count('publish')).toBe(sent)
  })

  test('[CLI] bench pub-sub: losses, repetitions and late messages are told apart', async () => {
    const subscribers: Peer[] = []
    const held: Packet[] = []
    const server = await scripted((packet, peer) => {
      acknowledge(packet, peer)
      if (packet.cmd === 'subscribe') subscribers.push(peer)
      if (packet.cmd !== 'publish') return
      const number = (packet.payload as Buffer).readUInt32BE(12)
      const { topic, payload } = packet
      const copy: IPublishPacket = {
        ...{ cmd: 'publish', topic, payload, qos: 0, dup: false, retain: false },
      }
      if (number === 3) return
      if (number === 7) held.push(copy)
      else for (const one of subscribers) one.send(copy)
      if (number === 5) for (const one of subscribers) one.send(copy)
      if (number === 9) for (const one of subscribers) one.send(held.pop()!)
      if (number === 11) for (const one of subscribers) one.send({ ...copy, payload: 'not ours' })
    })
    const flags = ['--messages', '20', '--rate', '200', '--ack-timeout', '1s', '--url', server.url]
    const { status, result } = await bench(['pub-sub', ...flags])
    expect(result.messages).toMatchObject({
      ...{ sent: 20, expected: 20, received: 20, lost: 1, duplicates: 1, outOfOrder: 1 },
      foreign: 1,
    })
    expect(result.latencyMs.endToEnd!.count).toBe(19)
    expect(status).toBe(1)
  })

  test('[CLI] bench pub-sub: one publisher and many subscribers, and the other way', async () => {
    const peer = await broker()
    const common = ['--messages', '30', '--rate', '300', '-q', '1', '--url', peer.url]
    const out = await bench(['pub-sub', '-c', '1', '--subscribers', '5', ...common])
    expect(out.result.messages).toMatchObject({ sent: 30, expected: 150, received: 150, lost: 0 })
    const into = await bench(['pub-sub', '-c', '5', '--subscribers', '1', ...common])
    expect(into.result.messages).toMatchObject({ sent: 30, expected: 30, received: 30, lost: 0 })
    const one = await bench(['pub-sub', '-c', '2', '-t', 'shared', '-t', 'other', ...common])
    expect(one.result.messages).toMatchObject({ sent: 30, expected: 60, received: 60, lost: 0 })
    expect([out.status, into.status, one.status]).toEqual([0, 0, 0])
  })

  test('[CLI] bench: the warm-up is in no figure', async () => {
    const peer = await broker()
    const flags = ['--rate', '100', '--warm-up', '500ms', '--messages', '20', '-q', '1']
    const { result } = await bench(['pub', ...flags, '--url', peer.url])
    expect(result.messages).toMatchObject({ due: 20, sent: 20, acknowledged: 20 })
    expect(result.latencyMs.acknowledgement!.count).toBe(20)
    expect(peer.messages).toHaveLength(70)
  })

  test('[CLI] bench pub and sub: what one process sends, another one measures', async () => {
    const peer = await broker()
    const url = ['--url', peer.url]
    const subscribed = peer.broker.waitFor('subscribe')
    const receiving = bench(['sub', '-t', 'load/%i', '--messages', '50', '-W', '30', ...url])
    await subscribed
    const sent = await bench(['pub', '-t', 'load/%i', '--rate', '500', '--messages', '50', ...url])
    const { status, result } = await receiving
    expect([sent.status, status]).toEqual([0, 0])
    expect(result.messages).toMatchObject({ received: 50, lost: 0, duplicates: 0 })
    expect(result.latencyMs.endToEnd!.count).toBe(50)
  })

  test('[CLI] bench conn: all connect, the plot and the report are written', async () => {
    const peer = await broker()
    const svg = join(await scratch(), 'plot.svg')
    const flags = ['-c', '50', '-R', '500', '--duration', '100ms', '--svg', svg, '--url', peer.url]
    const { status, stdout } = await cli(['bench', 'conn', ...flags])
    expect(status).toBe(0)
    expect(stdout).toMatch(/connections +50 of 50 \(\d+ a second\), 0 failed, 0 lost/)
    expect(stdout).toMatch(/^connect( +[\d.]+){6}$/m)
    expect(await readFile(svg, 'utf8')).toMatch(
      /^<svg [\s\S]*Latency by percentile[\s\S]*<\/svg>\n$/,
    )
  })

  test('[CLI] bench --fail-above: a latency above the limit gives status 1', async () => {
    const peer = await broker()
    const flags = ['-q', '1', '--rate', '100', '--messages', '10', '--url', peer.url]
    const strict = await bench(['pub', ...flags, '--fail-above', 'p50=0ms'])
    expect([strict.status, strict.result.limitsExceeded.length]).toEqual([1, 1])
    const lenient = await bench(['pub', ...flags, '--fail-above', 'p99=20s'])
    expect([lenient.status, lenient.result.limitsExceeded.length]).toEqual([0, 0])
  })
})

describe('[CLI] bench meets trouble', { timeout: 60_000 }, () => {
  test('[CLI] bench: acknowledgements that do not come time out', async () => {
    const server = await scripted()
    const flags = ['-q', '1', '--messages', '5', '--ack-timeout', '300ms', '--url', server.url]
    const { status, result } = await bench(['pub', ...flags])
    expect(result.messages).toMatchObject({ sent: 5, acknowledged: 0 })
    expect(result.messages.failed + result.messages.unanswered).toBe(5)
    expect(status).toBe(1)
  })

  test('[CLI] bench: a server that answers no CONNECT ends in a time-out', async () => {
    const { port } = await listen(() => {})
    const url = `mqtt://127.0.0.1:${port}`
    const { status, stderr } = await bench(['conn', '--connect-timeout', '200', '--url', url])
    expect([status, stderr]).toEqual([1, expect.stringContaining('200')])
  })

  test('[CLI] bench -W: the whole ends after so long, with a report and status 27', async () => {
    const peer = await broker()
    const { status, result } = await bench(['sub', '-t', 'a', '-W', '1', '--url', peer.url])
    expect([status, result.ended, result.messages.received]).toEqual([27, 'timed-out', 0])
  })

  test('[CLI] bench: nobody connects if the server refuses', async () => {
    const peer = await broker(refusing(0x87))
    const { status, stderr } = await bench(['conn', '-c', '3', '-V', '4', '--url', peer.url])
    expect([status, stderr]).toEqual([5, expect.stringContaining('it-mqtt: ')])
  })

  test('[CLI] bench: clients that the server refuses are counted, the others work', async () => {
    const peer = await broker(refusing(0x87, (clientId) => clientId.endsWith('2')))
    const flags = ['-c', '3', '-V', '4', '-q', '1', '--messages', '30', '--rate', '300']
    const { status, result } = await bench(['pub', ...flags, '--url', peer.url])
    expect(result.connections).toMatchObject({ wanted: 3, connected: 2, failed: 1 })
    expect(result.messages).toMatchObject({ due: 30, acknowledged: 20 })
    expect(result.messages.sent + result.messages.unsent).toBe(30)
    expect(result.errors).toEqual([
      expect.objectContaining({ during: 'connect', code: 'NOT_AUTHORIZED', count: 1 }),
    ])
    expect(status).toBe(1)
  })

  test('[CLI] bench: a connection that is lost is counted, and the messages go on', async () => {
    const peer = await broker()
    const flags = ['-q', '1', '--messages', '100', '--rate', '200', '--url', peer.url]
    const running = start(['bench', 'pub', ...flags, '--json'])
    await peer.received(20)
    for (const socket of peer.sockets) socket.destroy()
    const { status, stdout } = await running.ended
    const result = JSON.parse(stdout) as BenchResult
    expect(result.connections.lost).toBe(1)
    expect(result.errors).toEqual([expect.objectContaining({ during: 'connection', count: 1 })])
    expect(result.messages).toMatchObject({ sent: 100, acknowledged: 100 })
    expect(status).toBe(1)
  })

  test('[CLI] bench: Ctrl-C ends it with a report of what there is', async () => {
    const peer = await broker()
    const flags = ['--rate', '200', '--duration', '1h', '-q', '1', '--url', peer.url]
    const running = start(['bench', 'pub-sub', ...flags, '--json'])
    await until(() => running.stderr().includes('1 s, sent'))
    running.process.kill('SIGINT')
    const { status, stdout, stderr } = await running.ended
    const result = JSON.parse(stdout) as BenchResult
    expect([status, result.ended]).toEqual([130, 'interrupted'])
    expect(result.messages.acknowledged).toBe(result.messages.sent)
    expect(result.messages.lost).toBe(0)
    expect(stderr).toMatch(/^1 s, sent \d+\/s, received \d+\/s, p99 [\d.]+ ms$/m)
  })

  test('[CLI] bench: more connections than open files are refused before the first', async () => {
    const node = [process.execPath, ...program('cli/main'), 'bench', 'conn', '-c', '500']
    const { ended } = run('bash', ['-c', 'ulimit -n 256 && exec "$@"', 'bash', ...node])
    const { status, stderr } = await ended
    expect([status, stderr]).toEqual([2, expect.stringContaining('ulimit -n')])
  })
})

describe('[CLI] bench leaves nothing behind', { timeout: 60_000 }, () => {
  test('[CLI] bench pub -r: the retained messages are removed', async () => {
    const peer = await broker()
    const flags = ['-c', '3', '-r', '-q', '1', '--messages', '9', '--url', peer.url]
    const { status, result } = await bench(['pub', ...flags])
    expect([status, result.messages.acknowledged]).toEqual([0, 9])
    expect(
      peer.messages.filter(({ retain, payload }) => retain && payload.length > 0),
    ).toHaveLength(9)
    const listed = await cli(['retained', 'list', '#', '--url', peer.url])
    expect(listed.stdout).toBe('')
  })

  test.each([['--disable-clean-session'], ['--keep-alive=30']])(
    '[CLI] bench %s: no session stays at the server',
    async (flag) => {
      const peer = await broker()
      const flags = ['-i', 'mine-%i', '-c', '2', '-q', '1', '--messages', '8', '-V', '4', flag]
      const { status, result } = await bench(['pub-sub', ...flags, '--url', peer.url])
      expect([status, result.messages.lost]).toEqual([0, 0])
      for (const clientId of ['mine-1', 'mine-2', 'mine-3', 'mine-4']) {
        const options = { url: peer.url, clientId, protocolVersion: 4, cleanStart: false } as const
        for await (const packet of eventloop({ ...options, until: 'closed' })) {
          if (packet.cmd !== 'connack') continue
          expect(packet.sessionPresent).toBe(false)
          break
        }
      }
    },
  )
})

describe('[CLI] bench before a mosquitto', { timeout: 120_000 }, () => {
  test('[CLI] bench: every command works, at each QoS, retained and durable', async (context) => {
    requireMosquitto(context)
    const mosquitto = await Mosquitto.start([
      ...['max_queued_messages 0', 'max_inflight_messages 1000', 'set_tcp_nodelay true'],
    ])
    onTestFinished(() => mosquitto[Symbol.asyncDispose]())
    const url = ['--url', mosquitto.url]
    for (const qos of ['0', '1', '2']) {
      const flags = ['-c', '3', '-q', qos, '--rate', '600', '--duration', '1s']
      const others = qos === '2' ? ['-r', '--disable-clean-session'] : []
      const { status, result } = await bench(['pub-sub', ...flags, ...others, ...url])
      expect([qos, result.messages, result.errors]).toEqual([
        qos,
        {
          ...{ due: 600, sent: 600, unsent: 0, acknowledged: qos === '0' ? 0 : 600, failed: 0 },
          ...{ unanswered: 0, expected: 600, received: 600, lost: 0, duplicates: 0 },
          ...{ outOfOrder: 0, foreign: 0 },
        },
        [],
      ])
      expect([result.protocolVersion, status]).toEqual([5, 0])
    }
    expect((await cli(['retained', 'list', '#', ...url])).stdout).toBe('')
    const conn = await bench(['conn', '-c', '200', '-R', '1000', ...url])
    expect([conn.status, conn.result.connections.connected]).toEqual([0, 200])
  })
})
