/**
 * What comes from the network is judged before it is kept, and what is kept grows old.
 */
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { EventloopOptions } from '../../src/options/options.ts'
import { publish } from '../../src/requests/build.ts'
import { decodeSession, encodeSession } from '../../src/requests/session-text.ts'
import type { Request } from '../../src/requests/vocabulary.ts'
import { VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer, type ServerOptions } from '../support/server.ts'

afterEach(() => vi.useRealTimers())

async function running(
  options: EventloopOptions,
  requests: readonly Request[] = [],
  serverOptions: ServerOptions = {},
) {
  const server = new ScriptedServer(new VirtualClock(), serverOptions)
  const started = startLoop(
    { until: 'closed', reconnect: 'never', ...options },
    requests,
    undefined,
    { server },
  )
  await server.clock.advance(0)
  return started
}

async function over({ loop, clock }: Started): Promise<void> {
  loop.shutdown()
  await clock.advance(1000)
  expect(clock.pendingTimers).toBe(0)
}

// ---------------------------------------------------------------------------------------------------------------------- I2

function remainingLength(n: number): number[] {
  const bytes: number[] = []
  do {
    bytes.push((n & 0x7f) | (n > 0x7f ? 0x80 : 0))
    n >>= 7
  } while (n > 0)
  return bytes
}

/** Remaining lengths around each change of their own length, and the largest. */
const LENGTHS = [20, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455]

describe('sizes', () => {
  for (const protocolVersion of [5, 4] as const) {
    test.each(LENGTHS)(
      `[I2] [MQTT-3.1.2-24] a remaining length of %i is judged at the last byte of the fixed header (${protocolVersion})`,
      async (remaining) => {
        const header = [0x30, ...remainingLength(remaining)]
        const size = header.length + remaining
        for (const allowed of [true, false]) {
          const maximumPacketSize = Math.min(allowed ? size : size - 1, 268_435_455)
          const fits = size <= maximumPacketSize
          const started = await running({ protocolVersion, maximumPacketSize })
          const { current } = started.server
          current.autoClose = false
          await current.drip(Uint8Array.from(header.slice(0, -1)))
          await started.clock.advance(0)
          expect(current.closed).toBe(false)
          current.send(Uint8Array.from(header.slice(-1)))
          await started.clock.advance(0)
          expect(current.closed).toBe(!fits)
          if (fits) {
            await over(started)
            continue
          }
          expect(started.error).toMatchObject({ name: 'ProtocolError', reasonCode: 0x95 })
          const said = current.packets.slice(1)
          if (protocolVersion === 5)
            expect(said).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x95 }])
          else expect(said).toEqual([])
        }
      },
    )
  }

  test('[I2] [MQTT-3.1.2-24] the bound is told in CONNECT, and of every kind of packet it holds', async () => {
    for (const type of [0x20, 0x30, 0x32, 0x40, 0x50, 0x62, 0x70, 0x90, 0xb0, 0xe0, 0xf0]) {
      const started = await running({ maximumPacketSize: 64 })
      const { current } = started.server
      expect(current.of('connect')[0]!.properties).toMatchObject({ maximumPacketSize: 64 })
      current.send(Uint8Array.of(type, 63))
      await started.clock.advance(1000)
      expect(started.error, `type ${type}`).toMatchObject({
        name: 'ProtocolError',
        reasonCode: 0x95,
      })
    }
  })

  test('[I2] a promise of 254 MiB costs what has come of it, and no more', async () => {
    const started = await running({})
    const { current } = started.server
    const before = process.memoryUsage().arrayBuffers
    current.send(Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7e, 0, 1, 0x61, 0))
    for (let i = 0; i < 100; i++) current.send(new Uint8Array(1000))
    await started.clock.advance(0)
    expect(current.closed).toBe(false)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024)
    await over(started)
  })

  test('[I2] before CONNACK the same', async () => {
    const started = await running({ maximumPacketSize: 100 }, [], {
      autoConnack: false,
      autoClose: false,
    })
    started.server.current.send(Uint8Array.of(0x20, 0xff, 0x01))
    await started.clock.advance(1000)
    expect(started.error).toMatchObject({ name: 'ProtocolError', reasonCode: 0x95 })
    expect([started.server.open, started.clock.pendingTimers]).toEqual([0, 0])
  })
})

// ---------------------------------------------------------------------------------------------------------------------- I3

const expiring = (payload: string, seconds: number, qos: 0 | 1 | 2 = 1) =>
  publish('a', payload, { qos, properties: { messageExpiryInterval: seconds } })

/** Payloads and the Message Expiry Interval that they came with. */
function sent(started: Started): [string, number | undefined][] {
  return started.server.packets.flatMap((packet) =>
    packet.cmd === 'publish'
      ? [
          [packet.payload.toString(), packet.properties?.messageExpiryInterval] as [
            string,
            number | undefined,
          ],
        ]
      : [],
  )
}

const outcomes = (started: Started) =>
  started.outcomes.map(({ request, outcome, at }) => [
    request.cmd === 'publish' ? request.payload : request.cmd,
    outcome.ok,
    at - started.clock.startedAt,
  ])

describe('messages that expire', () => {
  test('[I3] [MQTT-3.3.2-6] behind a full window: what is sent carries the time that is left', async () => {
    for (const qos of [1, 2] as const) {
      const requests = [publish('a', 'first', { qos: 1 }), expiring('held', 100, qos)]
      const started = await running({ maxInflight: 1 }, requests, { autoAck: false })
      await started.clock.advance(30_000)
      expect(started.loop.state.counters.taken).toBe(2)
      started.server.current.autoAck = true
      started.server.current.acknowledge(started.server.current.of('publish')[0]!)
      await started.clock.advance(0)
      expect(sent(started)).toEqual([
        ['first', undefined],
        ['held', 70],
      ])
      await over(started)
    }
  })

  test('[I3] a second that has begun counts, and what is left is never 0', async () => {
    for (const [heldMs, left] of [
      [0, 10],
      [1, 9],
      [999, 9],
      [1000, 9],
      [8500, 1],
      [9999, 0],
    ] as const) {
      const requests = [publish('a', 'first', { qos: 1 }), expiring('held', 10)]
      const started = await running({ maxInflight: 1 }, requests, { autoAck: false })
      await started.clock.advance(heldMs)
      started.server.current.acknowledge(started.server.current.of('publish')[0]!)
      await started.clock.advance(0)
      const [, [, seconds] = []] = sent(started)
      // Rounded either way, but never longer than what is left rounded up.
      expect([left, left + 1], `after ${heldMs} ms`).toContain(seconds)
      expect(seconds).toBeGreaterThan(0)
      await over(started)
    }
  })

  test('[I3] expired while held: settled as such at that very instant, never sent, and it blocks nobody', async () => {
    const requests = [
      publish('a', 'first', { qos: 1 }),
      expiring('held', 10),
      publish('a', 'next', { qos: 1 }),
    ]
    const started = await running({ maxInflight: 1 }, requests, { autoAck: false })
    await started.clock.advance(9999)
    expect(outcomes(started)).toEqual([])
    await started.clock.advance(1)
    expect(outcomes(started)).toEqual([['held', false, 10_000]])
    expect(started.outcomes[0]!.outcome).toMatchObject({ error: { code: 'MESSAGE_EXPIRED' } })
    started.server.current.autoAck = true
    started.server.current.acknowledge(started.server.current.of('publish')[0]!)
    await started.clock.advance(0)
    expect(sent(started).map(([payload]) => payload)).toEqual(['first', 'next'])
    expect(started.loop.state.counters).toMatchObject({ taken: 3, settled: 3, held: 0 })
    await over(started)
  })

  test('[I3] without a connection time counts as well', async () => {
    const started = await running(
      { reconnect: { minMs: 0, maxMs: 0 }, maxInflight: 1, cleanStart: false },
      [publish('a', 'first', { qos: 1 }), expiring('held', 10)],
      { autoAck: false },
    )
    started.server.hang()
    started.server.current.reset()
    await started.clock.advance(10_000)
    expect(outcomes(started)).toEqual([['held', false, 10_000]])
    await over(started)
  })

  test('[I3] what is sent again carries the time that is left then', async () => {
    const started = await running(
      { reconnect: { minMs: 20_000, maxMs: 0 }, cleanStart: false },
      [expiring('a', 100), expiring('b', 100, 2)],
      { autoAck: false },
    )
    started.server.autoConnack = { sessionPresent: true }
    started.server.current.reset()
    await started.clock.advance(20_000)
    const second = started.server.current
    expect(second.of('publish').map(({ dup, properties }) => [dup, properties])).toMatchObject([
      [true, { messageExpiryInterval: 80 }],
      [true, { messageExpiryInterval: 80 }],
    ])
    await over(started)
  })

  test('[I3] [D5] in flight, expired, and the session lost: it is not sent as a new one', async () => {
    const started = await running(
      { reconnect: { minMs: 20_000, maxMs: 0 }, cleanStart: false },
      [expiring('old', 10), expiring('new', 100)],
      { autoAck: false },
    )
    started.server.current.reset()
    await started.clock.advance(20_000)
    const again = started.server.current.of('publish')
    expect(again.map(({ payload, dup }) => [payload.toString(), dup])).toEqual([['new', false]])
    expect(started.outcomes).toMatchObject([
      { request: { payload: 'old' }, outcome: { ok: false, error: { code: 'MESSAGE_EXPIRED' } } },
    ])
    await over(started)
  })

  test('[I3] under throttle time counts as well', async () => {
    const started = startLoop({}, [
      { cmd: 'throttle', perSecond: 0.1 },
      expiring('1', 100),
      expiring('2', 5),
      expiring('3', 100),
    ])
    await started.clock.advance(60_000)
    expect(outcomes(started)).toEqual([
      ['1', true, 0],
      ['2', false, 5000],
      ['3', true, 10_000],
    ])
    expect(sent(started)).toEqual([
      ['1', 100],
      ['3', 95],
    ])
  })

  test('[I3] in a pause too, for what was taken before it', async () => {
    const requests = [publish('a', 'first', { qos: 1 }), expiring('lives', 100)]
    const started = await running({ maxInflight: 1 }, requests, { autoAck: false })
    started.loop.pause(40_000)
    await started.clock.advance(10_000)
    started.server.current.acknowledge(started.server.current.of('publish')[0]!)
    await started.clock.advance(30_000)
    expect(sent(started)[1]).toEqual(['lives', 60])
    await over(started)
  })

  test('[I3] between two loops, and as text between two processes, time goes on', async () => {
    for (const asText of [false, true]) {
      vi.useFakeTimers({ toFake: ['Date'], now: 1_700_000_000_000 })
      const requests = [
        publish('a', 'first', { qos: 1 }),
        expiring('lives', 100),
        publish('a', 'x'),
      ]
      const first = await running({ maxInflight: 1, cleanStart: false }, requests, {
        autoAck: false,
      })
      await first.clock.advance(10_000)
      vi.setSystemTime(1_700_000_010_000)
      first.loop.shutdown()
      await first.clock.advance(1000)
      vi.setSystemTime(1_700_000_011_000)
      const { session } = first.loop
      expect(session.held).toHaveLength(2)
      const later = asText ? decodeSession(encodeSession(session)) : session
      // Half a minute later, in a process whose clock began somewhere else.
      vi.setSystemTime(1_700_000_040_000)
      const clock = new VirtualClock(77_000)
      const server = new ScriptedServer(clock)
      const second = startLoop({ session: later, until: 'settled' }, [], undefined, { server })
      await clock.advance(1000)
      const lives = sent(second).find(([payload]) => payload === 'lives')
      expect(lives, asText ? 'as text' : 'as it is').toEqual(['lives', 60])

      vi.setSystemTime(1_700_000_200_000)
      const tooLate = new VirtualClock(5)
      const third = startLoop(
        { session: asText ? decodeSession(encodeSession(session)) : session, until: 'settled' },
        [],
        undefined,
        {
          server: new ScriptedServer(tooLate),
        },
      )
      await tooLate.advance(1000)
      expect(sent(third).map(([payload]) => payload)).toEqual(['first'])
      expect(third.outcomes.some(({ outcome }) => !outcome.ok)).toBe(true)
      vi.useRealTimers()
    }
  })

  test('[I3] an interval of 0 is what it says: nothing that is held for a moment is sent', async () => {
    const requests = [publish('a', 'first', { qos: 1 }), expiring('held', 0)]
    const started = await running({ maxInflight: 1 }, requests, { autoAck: false })
    await started.clock.advance(1)
    expect(outcomes(started)).toEqual([['held', false, 0]])
    await over(started)
  })
})
