/**
 * Goal: `disconnect` loses nothing that was given before it: the last request of the same turn, and
 * the acknowledgements of the messages that the consumer has. Method: each kind of stream and each
 * way to say it, connected and not; consumers that acknowledge in time, late and never.
 */
import { PassThrough } from 'node:stream'
import { pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import { type Control, type EventloopOptions, publish, type Request, run } from '../../src/index.ts'
import type { Requests } from '../../src/requests/source.ts'
import { peek, VirtualClock } from '../support/clock.ts'
import { startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

const OPTIONS: EventloopOptions = { keepAlive: 0, cleanStart: false, until: 'closed' }

interface Pushing {
  readonly requests: Requests
  push(request: Request): void
}

/** Streams into which requests are pushed while the loop runs. */
const STREAMS: Record<string, () => Pushing> = {
  pushable: () => {
    const requests = pushable<Request>({ objectMode: true })
    return { requests, push: (request) => requests.push(request) }
  },
  'async generators around a pushable': () => {
    const inner = pushable<Request>({ objectMode: true })
    async function* around(stream: AsyncIterable<Request>): AsyncGenerator<Request> {
      for await (const request of stream) yield request
    }
    return { requests: around(around(around(inner))), push: (request) => inner.push(request) }
  },
  'a stream of Node': () => {
    const requests = new PassThrough({ objectMode: true })
    return { requests: requests as AsyncIterable<Request>, push: (one) => void requests.write(one) }
  },
  'batches in a pushable': () => {
    const requests = pushable<Request[]>({ objectMode: true })
    return { requests, push: (request) => requests.push([request]) }
  },
}

const WAYS = ['method', 'controls'] as const

const payloads = (server: ScriptedServer) =>
  server.packets.flatMap((packet) => (packet.cmd === 'publish' ? [String(packet.payload)] : []))

describe('[E2] disconnect takes what the stream has ready in that turn', () => {
  for (const [name, make] of Object.entries(STREAMS)) {
    for (const way of WAYS) {
      for (const qos of [0, 1, 2] as const) {
        test(`${name}, by ${way}, QoS ${qos}: pushed in the same turn, sent before DISCONNECT`, async () => {
          const server = new ScriptedServer(new VirtualClock())
          const { requests, push } = make()
          const controls = pushable<Control>({ objectMode: true })
          const started = startLoop(OPTIONS, requests, controls, { server })
          await server.clock.advance(1000)
          for (let i = 0; i < 20; i++) push(publish('status', `${i}`, { qos, retain: true }))
          if (way === 'method') started.loop.disconnect()
          else controls.push({ cmd: 'disconnect' })
          await server.clock.advance(2000)
          expect(payloads(server)).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`))
          expect(server.packets.at(-1)!.cmd).toBe('disconnect')
          expect(started.outcomes.filter(({ outcome }) => outcome.ok)).toHaveLength(20)
          expect(started.ended).toBe(true)
          expect(server.clock.pendingTimers).toBe(0)
        })
      }
    }

    test(`${name}, without a connection: sent if one comes within the timeout, else held`, async () => {
      for (const comes of [true, false]) {
        const server = new ScriptedServer(new VirtualClock())
        server.refuse(new Error('away'))
        const { requests, push } = make()
        const options: EventloopOptions = { ...OPTIONS, reconnect: 'always' }
        const started = startLoop(options, requests, undefined, { server })
        await server.clock.advance(1000)
        push(publish('status', 'offline', { qos: 1 }))
        started.loop.disconnect(60_000)
        await server.clock.advance(0)
        expect(started.loop.state.counters.held).toBe(1)
        if (comes) server.accept()
        await server.clock.advance(70_000)
        expect(started.ended).toBe(true)
        expect(payloads(server)).toEqual(comes ? ['offline'] : [])
        expect(started.loop.session.held).toHaveLength(comes ? 0 : 1)
      }
    })
  }

  test('in the request stream it takes effect in its turn: what follows is left in the stream', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const { requests, push } = STREAMS['pushable']!()
    const started = startLoop(OPTIONS, requests, undefined, { server })
    await server.clock.advance(1000)
    push(publish('a', 'before', { qos: 1 }))
    push({ cmd: 'disconnect' })
    push(publish('a', 'after', { qos: 1 }))
    await server.clock.advance(2000)
    expect([payloads(server), started.ended]).toEqual([['before'], true])
  })

  test('an endless stream does not keep it: no more is taken than the window allows', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    let asked = 0
    function* endless(): Generator<Request> {
      for (;;) yield publish('a', `${asked++}`, { qos: 1 })
    }
    const started = startLoop({ ...OPTIONS, maxInflight: 3 }, endless(), undefined, { server })
    await server.clock.advance(0)
    const before = asked
    started.loop.disconnect(1000)
    await server.clock.advance(3000)
    expect([asked, started.ended]).toEqual([before, true])
  })
})

describe('[E2] disconnect waits for the acknowledgements of the messages that the consumer has', () => {
  const message = (qos: 1 | 2, messageId: number) =>
    ({
      ...({ cmd: 'publish', topic: 'in', payload: 'x', dup: false, retain: false } as const),
      ...{ qos, messageId },
    }) as const

  async function holding(acks: 'pull' | 'manual', qos: 1 | 2, version: 4 | 5, count = 2) {
    const server = new ScriptedServer(new VirtualClock())
    const options: EventloopOptions = { ...OPTIONS, acks, protocolVersion: version }
    const started = startLoop(options, undefined, undefined, { server, manual: true })
    await peek(server.clock, started.loop.next())
    server.current.send(...Array.from({ length: count + 3 }, (_, i) => message(qos, i + 1)))
    const packets = []
    for (let i = 0; i < count; i++) {
      const result = await peek(server.clock, started.loop.next())
      if (result === 'pending' || 'error' in result || result.value.done) throw new Error('none')
      packets.push(result.value.value)
    }
    return { ...started, server, clock: server.clock, packets }
  }

  const acked = (server: ScriptedServer) =>
    server.packets.flatMap(({ cmd, messageId }) =>
      cmd === 'puback' || cmd === 'pubrec' || cmd === 'disconnect' ? [messageId ?? cmd] : [],
    )

  for (const version of [4, 5] as const) {
    for (const qos of [1, 2] as const) {
      test(`manual, QoS ${qos}, MQTT ${version}: ack() within the timeout is sent before DISCONNECT, in any order`, async () => {
        const s = await holding('manual', qos, version)
        s.loop.disconnect(2000)
        await s.clock.advance(1500)
        expect(acked(s.server)).toEqual([])
        for (const packet of s.packets.reverse()) {
          if (packet.cmd === 'publish') expect(s.loop.ack(packet)).toBe('queued')
        }
        await s.clock.advance(100)
        expect(acked(s.server)).toEqual([1, 2, 'disconnect'])
        await s.clock.advance(1000)
        expect(s.loop.state.connection.kind).toBe('closed')
      })

      test(`pull, QoS ${qos}, MQTT ${version}: the message in the loop body is acknowledged by the next next()`, async () => {
        const s = await holding('pull', qos, version)
        s.loop.disconnect(2000)
        await s.clock.advance(1500)
        expect(acked(s.server)).toEqual([1])
        await peek(s.clock, s.loop.next())
        await s.clock.advance(100)
        expect(acked(s.server)).toEqual([1, 2, 'disconnect'])
        await s.clock.advance(1000)
        expect(s.loop.state.connection.kind).toBe('closed')
      })
    }
  }

  test('no longer than the timeout, and not for messages that the consumer does not have', async () => {
    const never = await holding('manual', 1, 5)
    never.loop.disconnect(2000)
    await never.clock.advance(1999)
    expect(acked(never.server)).toEqual([])
    await never.clock.advance(1)
    expect(acked(never.server)).toEqual(['disconnect'])

    const none = await holding('manual', 1, 5, 0)
    none.loop.disconnect(2000)
    await none.clock.advance(0)
    expect(acked(none.server)).toEqual(['disconnect'])
  })

  test('a loss while it waits ends the wait: the messages come again', async () => {
    const s = await holding('manual', 1, 5)
    s.loop.disconnect(5000)
    await s.clock.advance(100)
    s.server.current.reset()
    await s.clock.advance(0)
    expect(s.loop.state.connection.kind).toBe('closed')
  })

  test('run() without onPacket acknowledges nothing, and so waits for nothing', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const { clock } = server
    const requests = pushable<Request>({ objectMode: true })
    const options = { platform: clock, transport: server.transport, keepAlive: 0, clientId: 'c' }
    const running = run(options, requests)
    await clock.advance(0)
    server.current.send(message(1, 1))
    await clock.advance(0)
    requests.push({ cmd: 'disconnect' })
    await clock.advance(0)
    expect(acked(server)).toEqual(['disconnect'])
    await clock.advance(1000)
    expect(await peek(clock, running)).toMatchObject({ value: { settled: 0 } })
  })
})
