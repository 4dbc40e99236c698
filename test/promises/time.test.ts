/**
 * Keep-alive as a broker sees it: when a PINGREQ comes, when the connection is given up, and that time which leaps is one
 * event. Schedules of traffic are drawn at random and compared with a model of a few lines.
 */
import fc from 'fast-check'
import { type Pushable, pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import type { EventloopOptions } from '../../src/options/options.ts'
import { deadAt, pingDueAt } from '../../src/protocol/keepalive.ts'
import type { KeepAliveState } from '../../src/protocol/state.ts'
import { publish } from '../../src/requests/build.ts'
import type { Request } from '../../src/requests/vocabulary.ts'
import { VirtualClock } from '../support/clock.ts'
import { collect, type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer, type ServerOptions } from '../support/server.ts'

const KEEP_ALIVE_S = 10
const K = KEEP_ALIVE_S * 1000

interface World extends Started {
  readonly requests: Pushable<Request>
}

/** A connected loop that never ends by itself, and its requests to push. */
async function connected(
  options: EventloopOptions = {},
  serverOptions: ServerOptions = {},
  manual = false,
): Promise<World> {
  const requests = pushable<Request>({ objectMode: true })
  const server = new ScriptedServer(new VirtualClock(), serverOptions)
  const started = startLoop(
    { keepAlive: KEEP_ALIVE_S, until: 'closed', ...options },
    requests,
    undefined,
    { server, manual },
  )
  if (manual) await collect(started, 1)
  else await server.clock.advance(0)
  return Object.assign(started, { requests })
}

async function over({ loop, clock }: Started): Promise<void> {
  loop.shutdown()
  await clock.advance(1000)
  expect(clock.pendingTimers).toBe(0)
}

function message(payload = 'x', qos: 0 | 1 = 0, messageId = 1) {
  const id = qos === 0 ? {} : { messageId }
  return { cmd: 'publish', topic: 'a', payload, qos, ...id, dup: false, retain: false } as const
}

const pingTimes = ({ server, clock }: Started, connection = server.current) =>
  connection.of('pingreq').map(({ at }) => at - clock.startedAt)

// ---------------------------------------------------------------------------------------------------------------------- K1

type Traffic = 'in' | 'out' | 'both'

interface Event {
  readonly afterMs: number
  readonly traffic: Traffic
}

const schedule = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 0, max: 2.5 * K }),
    traffic: fc.constantFrom<Traffic>('in', 'out', 'both'),
  }),
  { maxLength: 12 },
)

/** When PINGREQs are due if the server answers each at once. */
function expectedPings(events: readonly Event[]): number[] {
  const pings: number[] = []
  let at = 0
  let sent = 0
  let received = 0
  const until = (instant: number) => {
    for (let due = Math.min(sent, received) + K; due <= instant; due += K) {
      pings.push(due)
      sent = due
      received = due
    }
  }
  for (const { afterMs, traffic } of events) {
    at += afterMs
    until(at)
    if (traffic !== 'in') sent = at
    if (traffic !== 'out') received = at
  }
  until(at + 3 * K)
  return pings
}

async function perform(world: World, { afterMs, traffic }: Event): Promise<void> {
  await world.clock.advance(afterMs)
  if (traffic === 'in') world.server.current.send(message())
  else world.requests.push(publish('a', 'x', { qos: traffic === 'both' ? 1 : 0 }))
  await world.clock.advance(0)
}

describe('when a PINGREQ leaves', () => {
  test('[K1] at min(last sent, last received) + keepAlive, whatever the traffic', async () => {
    await fc.assert(
      fc.asyncProperty(schedule, async (events) => {
        const world = await connected()
        for (const event of events) await perform(world, event)
        await world.clock.advance(3 * K)
        expect(pingTimes(world)).toEqual(expectedPings(events))
        expect(world.server.dials).toHaveLength(1)
        await over(world)
      }),
      { numRuns: 60 },
    )
  })

  test('[K1] [MQTT-3.1.2-20] the server hears something within keepAlive of the last packet sent', async () => {
    await fc.assert(
      fc.asyncProperty(schedule, async (events) => {
        const world = await connected()
        for (const event of events) await perform(world, event)
        await world.clock.advance(3 * K)
        const times = world.server.current.packets.map(({ at }) => at)
        const gaps = times.slice(1).map((at, i) => at - times[i]!)
        expect(Math.max(...gaps)).toBeLessThanOrEqual(K)
        await over(world)
      }),
      { numRuns: 30 },
    )
  })

  test('[K1] an exchange in both directions spares the ping for as long as it goes on', async () => {
    const world = await connected()
    const stop = world.clock.every(K / 2, () => world.requests.push(publish('a', 'x', { qos: 1 })))
    await world.clock.advance(600_000)
    expect(pingTimes(world)).toEqual([])
    stop()
    await over(world)
  })

  test('[K1] [C05] what comes in never puts off a PINGREQ', async () => {
    const world = await connected()
    const stop = world.clock.every(100, () => world.server.current.send(message()))
    await world.clock.advance(5 * K)
    expect(pingTimes(world)).toEqual([1, 2, 3, 4, 5].map((n) => n * K))
    stop()
    await over(world)
  })

  test('[K1] [C05] a PUBACK at 0.9 keepAlive after our last packet does not put it off either', async () => {
    const world = await connected({}, { autoAck: ({ cmd }) => cmd === 'pingreq' })
    world.requests.push(publish('a', 'x', { qos: 1 }))
    await world.clock.advance(0.9 * K)
    world.server.current.acknowledge(world.server.current.of('publish')[0]!)
    await world.clock.advance(0.1 * K)
    expect(pingTimes(world)).toEqual([K])
    await over(world)
  })

  test('[K1] what goes out alone does not spare it: an answer is wanted', async () => {
    const world = await connected()
    const stop = world.clock.every(100, () => world.requests.push(publish('a')))
    await world.clock.advance(3 * K)
    expect(pingTimes(world)).toEqual([K, 2 * K, 3 * K])
    stop()
    await over(world)
  })

  test('[K1] while reading is paused it is due at last sent + keepAlive, answered or not', async () => {
    const world = await connected({ acks: 'manual' }, { autoAck: false })
    await world.clock.advance(4000)
    world.loop.pause()
    await world.clock.advance(3.5 * K)
    expect(pingTimes(world)).toEqual([K, 2 * K, 3 * K])
    expect(world.server.open).toBe(1)
    await over(world)
  })

  test('[K1] keepAlive 0 means none', async () => {
    const world = await connected({ keepAlive: 0 }, { autoAck: false })
    await world.clock.advance(86_400_000)
    expect(world.server.current.packets.map(({ cmd }) => cmd)).toEqual(['connect'])
    expect(world.clock.pendingTimers).toBe(0)
    await over(world)
  })

  test('[K1] it is a function of what was sent, received, pinged and paused, and of nothing else', () => {
    const instant = fc.integer({ min: 0, max: 1_000_000 })
    const state: fc.Arbitrary<KeepAliveState> = fc.record({
      intervalMs: fc.constantFrom(0, 1000, K),
      sentAt: instant,
      receivedAt: instant,
      pinging: fc.boolean(),
      pingedAt: instant,
      pingTakenAt: fc.oneof(fc.constant(-1), instant),
      readingPaused: fc.boolean(),
      standsSince: instant,
      movedAt: instant,
      writing: fc.boolean(),
    })
    fc.assert(
      fc.property(state, state, (s, other) => {
        const { pingTakenAt, standsSince, movedAt, writing } = other
        expect(pingDueAt({ ...s, pingTakenAt, standsSince, movedAt, writing })).toBe(pingDueAt(s))
        const { intervalMs, sentAt, receivedAt, pinging, readingPaused } = s
        const due = readingPaused ? sentAt : Math.min(sentAt, receivedAt)
        const none = intervalMs === 0 || (pinging && !readingPaused)
        expect(pingDueAt(s)).toBe(none ? Number.POSITIVE_INFINITY : due + intervalMs)
        if (intervalMs === 0) expect(deadAt(s)).toBe(Number.POSITIVE_INFINITY)
      }),
    )
  })
})

// ---------------------------------------------------------------------------------------------------------------------- K2

describe('when a connection is given up', () => {
  test('[K2] between a half and one and a half keep-alives after the last byte received, whatever went before', async () => {
    await fc.assert(
      fc.asyncProperty(schedule, async (events) => {
        const world = await connected({ reconnect: 'never' })
        for (const event of events) await perform(world, event)
        const { current } = world.server
        current.autoAck = false
        const silentSince = world.clock.elapsed
        const pings = expectedPings(events).filter((at) => at <= silentSince)
        const heard = [0, ...pings]
        let at = 0
        for (const { afterMs, traffic } of events) {
          at += afterMs
          if (traffic !== 'out') heard.push(at)
        }
        const stop = world.clock.every(700, () => world.requests.push(publish('a')))
        await world.clock.advance(1.5 * K)
        expect(current.closed).toBe(true)
        const after = current.closedAt! - world.clock.startedAt - Math.max(...heard)
        expect(after).toBeLessThanOrEqual(1.5 * K)
        expect(after).toBeGreaterThanOrEqual(K / 2)
        expect(world.error).toMatchObject({ name: 'ConnectionError', code: 'KEEP_ALIVE_TIMEOUT' })
        stop()
        expect(world.clock.pendingTimers).toBe(0)
      }),
      { numRuns: 40 },
    )
  })

  test('[K2] [C06] a black hole is noticed within 1.5 keepAlive while QoS 0 goes out every 100 ms', async () => {
    const world = await connected({ reconnect: 'never' }, { autoAck: false })
    const stop = world.clock.every(100, () => world.requests.push(publish('a')))
    await world.clock.advance(1.5 * K - 1)
    expect(world.server.open).toBe(1)
    await world.clock.advance(1)
    expect(world.server.open).toBe(0)
    expect(world.error).toMatchObject({ code: 'KEEP_ALIVE_TIMEOUT', retryable: true })
    stop()
  })

  test('[K2] [C06] also when writes never drain and the PINGREQ is stuck behind them', async () => {
    const world = await connected({ reconnect: 'never' })
    world.server.current.stall()
    const payload = new Uint8Array(10_000)
    const stop = world.clock.every(100, () => world.requests.push(publish('a', payload)))
    await world.clock.advance(1.5 * K)
    expect(world.server.open).toBe(0)
    expect(world.server.current.of('pingreq')).toEqual([])
    expect(world.error).toMatchObject({ code: 'KEEP_ALIVE_TIMEOUT' })
    stop()
  })

  test('[K2] [C06] what the kernel takes at once is no sign of life: the buffer fills just before the PINGREQ', async () => {
    const world = await connected({ reconnect: 'never' }, { autoAck: false })
    const { current } = world.server
    const stop = world.clock.every(100, () => world.requests.push(publish('a')))
    await world.clock.advance(0.95 * K)
    stop()
    current.stall()
    world.requests.push(publish('a', new Uint8Array(100_000)))
    await world.clock.advance(0.55 * K)
    expect(current.of('pingreq')).toEqual([])
    expect(current.closed).toBe(true)
    expect(world.error).toMatchObject({ code: 'KEEP_ALIVE_TIMEOUT' })
  })

  test('[K2] a PINGREQ has half of keepAlive to be answered, to the millisecond', async () => {
    for (const answered of [true, false]) {
      const world = await connected({ reconnect: 'never' }, { autoAck: false })
      await world.clock.advance(1.5 * K - 1)
      if (answered) world.server.current.send({ cmd: 'pingresp' })
      await world.clock.advance(1)
      expect(world.server.open).toBe(answered ? 1 : 0)
      if (answered) await over(world)
    }
  })

  test('[K2] any byte is life: a message that trickles for an hour, and no PINGRESP', async () => {
    const world = await connected({ reconnect: 'never' }, { autoAck: false })
    const { current } = world.server
    // PUBLISH to "a", 10,000 bytes of remaining length.
    current.send(Buffer.from([0x30, 0x90, 0x4e, 0, 1, 0x61, 0]))
    const stop = world.clock.every(0.45 * K, () => current.send(Uint8Array.of(0x78)))
    await world.clock.advance(3_600_000)
    expect([current.closed, world.error]).toEqual([false, undefined])
    stop()
    await world.clock.advance(1.5 * K)
    expect(current.closed).toBe(true)
  })

  test('[K2] a backed-up write that moves again is life; one that stands still is not', async () => {
    const world = await connected({ reconnect: 'never' })
    const { current } = world.server
    current.stall()
    const payload = new Uint8Array(60_000)
    for (let i = 0; i < 100; i++) world.requests.push(publish('a', payload))
    const stop = world.clock.every(1000, () => current.sip(16_384))
    await world.clock.advance(10 * K)
    expect([current.closed, world.error]).toEqual([false, undefined])
    expect(current.of('pingreq')).toEqual([])
    stop()
    await world.clock.advance(1.5 * K)
    expect(current.closed).toBe(true)
    expect(world.error).toMatchObject({ code: 'KEEP_ALIVE_TIMEOUT' })
  })

  test('[K2] while reading is paused silence proves nothing, and the count starts anew at resume', async () => {
    const world = await connected({ reconnect: 'never' }, { autoAck: false })
    world.loop.pause()
    await world.clock.advance(30 * K + 5000)
    expect([world.server.open, world.error]).toEqual([1, undefined])
    world.loop.resume()
    await world.clock.advance(K / 2 - 1)
    expect(world.server.open).toBe(1)
    await world.clock.advance(K + 1)
    expect(world.server.open).toBe(0)
    expect(world.error).toMatchObject({ code: 'KEEP_ALIVE_TIMEOUT' })
  })

  test('[K2] what the server said during a pause is heard at resume, before anything is judged', async () => {
    const world = await connected({ reconnect: 'never' })
    world.loop.pause()
    await world.clock.advance(30 * K)
    world.loop.resume()
    await world.clock.advance(5 * K)
    expect([world.server.open, world.error]).toEqual([1, undefined])
    await over(world)
  })

  test('[K2] paused: a backed-up write that stands still for 1.5 keepAlive ends it, one that moves does not', async () => {
    for (const moves of [true, false]) {
      const world = await connected({ reconnect: 'never' })
      const { current } = world.server
      current.stall()
      const payload = new Uint8Array(60_000)
      for (let i = 0; i < 60; i++) world.requests.push(publish('a', payload))
      await world.clock.advance(0)
      world.loop.pause()
      const stop = moves ? world.clock.every(1000, () => current.sip(16_384)) : () => {}
      await world.clock.advance(1.5 * K - 1)
      expect(current.closed).toBe(false)
      await world.clock.advance(1)
      expect(current.closed).toBe(!moves)
      stop()
      if (moves) await over(world)
    }
  })

  test('[K2] paused: a write error still ends it', async () => {
    const world = await connected({ reconnect: 'never' })
    world.loop.pause()
    await world.clock.advance(K / 2)
    world.server.current.reset()
    await world.clock.advance(K)
    expect(world.error).toMatchObject({ name: 'ConnectionError', code: 'ECONNRESET' })
  })
})

// ---------------------------------------------------------------------------------------------------------------------- K3

describe('what the server and the machine do to time', () => {
  test.each([
    [0, []],
    [7, [7000, 14_000, 21_000]],
    [65_535, []],
  ])('[K3] [MQTT-3.1.2-21] Server Keep Alive %i wins', async (serverKeepAlive, expected) => {
    const world = await connected({}, { autoConnack: { properties: { serverKeepAlive } } })
    expect(world.loop.state.connection.keepAlive).toBe(serverKeepAlive)
    await world.clock.advance(25_000)
    expect(pingTimes(world)).toEqual(expected)
    await over(world)
  })

  test('[K3] it wins over keepAlive 0 too, and only for its own connection', async () => {
    const options = { keepAlive: 0, reconnect: { minMs: 0, maxMs: 0 } } as const
    const world = await connected(options, { autoConnack: { properties: { serverKeepAlive: 5 } } })
    await world.clock.advance(11_000)
    expect(pingTimes(world)).toEqual([5000, 10_000])
    world.server.autoConnack = true
    world.server.current.reset()
    await world.clock.advance(60_000)
    expect(world.server.connections).toHaveLength(2)
    expect(pingTimes(world)).toEqual([])
    await over(world)
  })

  test('[K3] [C07] three hours of sleep with a server that answers: one PINGREQ, and on it goes', async () => {
    const world = await connected()
    await world.clock.advance(3000)
    await world.clock.jump(3 * 3_600_000)
    expect(pingTimes(world)).toHaveLength(1)
    await world.clock.advance(K - 1)
    expect(pingTimes(world)).toHaveLength(1)
    expect(world.server.dials).toHaveLength(1)
    await over(world)
  })

  test.each([
    ['before a PINGREQ was due', 3000],
    ['while one was open', K + 1000],
  ])(
    '[K3] [C07] three hours of sleep that begin %s, with a server that is gone: one decision',
    async (_, before) => {
      const world = await connected({ reconnect: { minMs: 5000, maxMs: 0 } }, { autoAck: false })
      await world.clock.advance(before)
      const { current } = world.server
      await world.clock.jump(3 * 3_600_000)
      await world.clock.advance(K / 2)
      expect(current.closed).toBe(true)
      expect(current.of('pingreq')).toHaveLength(1)
      expect(world.loop.state.counters.reconnections).toEqual({ KEEP_ALIVE_TIMEOUT: 1 })
      await world.clock.advance(5000)
      expect(world.server.dials).toHaveLength(2)
      await over(world)
    },
  )

  test('[K3] sleep while waiting to reconnect: one dial at once', async () => {
    const world = await connected({ reconnect: { minMs: 20_000, maxMs: 0 } })
    world.server.current.reset()
    await world.clock.advance(100)
    await world.clock.jump(3 * 3_600_000)
    expect(world.server.dials).toHaveLength(2)
    expect(world.loop.state.connection.kind).toBe('connected')
    await over(world)
  })
})

// --------------------------------------------------------------------------------------------------------------------- C01

describe('a consumer that takes its time', () => {
  test.each([
    ['with room in the buffer', 1000],
    ['with the buffer full and reading stopped', 20],
  ])(
    '[C01] [K2] sixty seconds in one loop body at keepAlive 2 s, %s',
    async (_, maxBufferedPackets) => {
      const options = { keepAlive: 2, maxBufferedPackets, reconnect: 'never' } as const
      const world = await connected(options, {}, true)
      const { current } = world.server
      for (let i = 1; i <= 300; i++) current.send(message(`${i}`, 1, i))
      const first = await collect(world, 1)
      await world.clock.advance(60_000)
      expect(current.closed).toBe(false)
      expect(current.of('pingreq').length).toBeGreaterThanOrEqual(20)
      const rest = await collect(world, 299 + 20)
      const payloads = [...first, ...rest].flatMap((packet) =>
        packet.cmd === 'publish' ? [Number(packet.payload.toString())] : [],
      )
      expect(payloads).toEqual(Array.from({ length: 300 }, (_, i) => i + 1))
      await over(world)
    },
  )
})
