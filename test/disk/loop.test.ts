/**
 * Streams on disk under loops. Goal: whatever ends a loop, the next one over the same stream delivers what is left, once where a
 * session says what was sent. Method: real sockets, a server that answers as the test says.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { fileRequests, openSession, spool } from '../../src/disk/index.ts'
import {
  type Eventloop,
  type EventloopOptions,
  eventloop,
  publish,
  type QoS,
  type Requests,
  run,
} from '../../src/index.ts'
import { acknowledge, type Peer, scripted } from '../cli/scripted.ts'
import { temporaryFolder, until } from '../support/process.ts'

let folder: ReturnType<typeof temporaryFolder>
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => folder.remove())

const texts = (count: number, qos: QoS = 1) =>
  Array.from({ length: count }, (_, i) => publish('t', String(i), { qos }))

type Scripted = Awaited<ReturnType<typeof scripted>>

/** First transmissions, by payload. */
function sent({ packets }: Scripted): string[] {
  return packets.flatMap((packet) =>
    packet.cmd === 'publish' && !packet.dup ? [String(packet.payload)] : [],
  )
}

/** Streams that hold 50 requests, and say how many are left. */
const streams: Record<string, () => Promise<{ stream: Requests; left: () => number }>> = {
  spool: async () => {
    const queue = await spool(join(folder.path, 'spool'))
    onTestFinished(() => queue.close())
    await queue.push(texts(50, 2))
    queue.end()
    return { stream: queue, left: () => queue.size }
  },
  'spool, spill': async () => {
    const queue = await spool(join(folder.path, 'spool'), { mode: 'spill' })
    onTestFinished(() => queue.close())
    for (const request of texts(50, 2)) await queue.push(request)
    queue.end()
    return { stream: queue, left: () => queue.size }
  },
  fileRequests: async () => {
    const path = join(folder.path, 'lines')
    writeFileSync(
      path,
      texts(50, 2)
        .map((request) => `${JSON.stringify(request)}\n`)
        .join(''),
    )
    const lines = fileRequests(path, { checkpoint: join(folder.path, 'checkpoint') })
    onTestFinished(() => lines.close())
    return { stream: lines, left: () => lines.unsettled }
  },
}

const endings: Record<string, (loop: Eventloop) => unknown> = {
  shutdown: (loop) => loop.shutdown(),
  disconnect: (loop) => loop.disconnect(1),
  return: (loop) => void loop.return(),
}

/** The server takes requests and answers only the first ten. */
const some = (packet: { cmd: string; messageId?: number }, peer: Peer) => {
  if ((packet.messageId ?? 0) <= 10) acknowledge(packet as never, peer)
}

describe.each(Object.keys(streams))('%s', (name) => {
  const options = (url: string): EventloopOptions => ({ url, clientId: 'one', until: 'settled' })

  describe.each(Object.keys(endings))('a loop that ended by %s', (ending) => {
    async function begin() {
      const { stream, left } = await streams[name]!()
      const server = await scripted(some)
      const loop = eventloop(options(server.url), stream)
      const reading = (async () => {
        for await (const _ of loop);
      })()
      await until(() => server.count('publish') === 50 && left() === 40, 'ten are settled')
      endings[ending]!(loop)
      await reading
      return { stream, left, loop }
    }

    test('[S1] [N5] and another one without its session: everything without an outcome is sent', async () => {
      const { stream, left } = await begin()
      const server = await scripted(acknowledge)
      const { settled } = await run({ ...options(server.url), clientId: 'two' }, stream)
      expect([settled, left()]).toEqual([40, 0])
      expect(sent(server)).toEqual(
        texts(50)
          .map(({ payload }) => payload)
          .slice(10),
      )
    })

    test('[D7] and another one with its session: nothing is sent twice except as the session says', async () => {
      const { stream, left, loop } = await begin()
      const server = await scripted(acknowledge, true)
      const result = await run({ ...options(server.url), session: loop.session }, stream)
      expect([result.settled, left()]).toEqual([40, 0])
      // All of them had an identifier: repeats of these, and no first transmission.
      expect(sent(server)).toEqual([])
      const repeats = server.packets.filter((packet) => packet.cmd === 'publish' && packet.dup)
      expect(repeats.length).toBe(40)
    })
  })

  test('[S1] [D7] a session on disk: a loop that is over is followed by one of another life', async () => {
    const { stream, left } = await streams[name]!()
    const server = await scripted(some)
    const first = eventloop(
      { ...options(server.url), session: await openSession(join(folder.path, 'session')) },
      stream,
    )
    const reading = (async () => {
      for await (const _ of first);
    })()
    await until(() => left() === 40, 'ten are settled')
    first.shutdown()
    await reading
    const store = await openSession(join(folder.path, 'session'))
    const second = await scripted(acknowledge, true)
    const { settled } = await run({ ...options(second.url), session: store }, stream)
    expect([settled, left(), sent(second)]).toEqual([40, 0, []])
  })
})

test('[S1] [N5] a spool that goes on: what the first loop had in hand is sent by one without its session', async () => {
  const queue = await spool(join(folder.path, 'spool'))
  onTestFinished(() => queue.close())
  await queue.push(texts(20))
  const first = await scripted(some)
  const loop = eventloop({ url: first.url, clientId: 'one' }, queue)
  const reading = (async () => {
    for await (const _ of loop);
  })()
  await until(() => first.count('publish') === 20 && queue.size === 10, 'ten are settled')
  loop.shutdown()
  await reading
  const second = await scripted(acknowledge)
  const next = eventloop({ url: second.url, clientId: 'two' }, queue)
  onTestFinished(async () => void (await next.return()))
  void next.next()
  await until(() => queue.size === 0, 'the other ten are settled', 5000)
  expect(sent(second)).toHaveLength(10)
})

test('two loops at the same time: the second one gets an error', async () => {
  const queue = await spool(join(folder.path, 'spool'))
  onTestFinished(() => queue.close())
  await queue.push(texts(5))
  const server = await scripted(some)
  const first = eventloop({ url: server.url, clientId: 'one' }, queue)
  onTestFinished(async () => void (await first.return()))
  void first.next()
  await until(() => server.count('publish') === 5, 'the first one works')
  const second = eventloop({ url: server.url, clientId: 'two' }, queue)
  const reading = (async () => {
    for await (const _ of second);
  })()
  await expect(reading).rejects.toThrow(/another loop iterates it/)
})
