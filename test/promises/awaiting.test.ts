/**
 * Goal: a loop body that awaits an outcome never hangs, whatever waits before the answer, and what
 * is buffered stays bounded. Method: floods of messages before the answer, at each QoS and version,
 * beyond each bound; random orders of next, push and await.
 */
import fc from 'fast-check'
import { pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import {
  type EventloopOptions,
  type Outcome,
  publish,
  type QoS,
  type Request,
  run,
  subscribe,
  unsubscribe,
} from '../../src/index.ts'
import { peek, VirtualClock } from '../support/clock.ts'
import { startLoop } from '../support/loop.ts'
import { ScriptedServer, type ServerConnection } from '../support/server.ts'

const message = (payload: string | Buffer, qos: QoS = 0, messageId = 0) => ({
  ...({ cmd: 'publish', topic: 'in', payload, qos, dup: false, retain: false } as const),
  ...(qos > 0 ? { messageId } : {}),
})

/** A loop whose body can push a request and await its outcome. */
function stage(options: EventloopOptions = {}, version: 4 | 5 = 5) {
  const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
  const requests = pushable<Request>({ objectMode: true })
  const waiting = new Map<Request, (outcome: Outcome) => void>()
  const base: EventloopOptions = {
    ...{ protocolVersion: version, keepAlive: 0, until: 'closed' },
    onSettled: (request, outcome) => {
      server.clock.touch()
      waiting.get(request)?.(outcome)
      waiting.delete(request)
    },
  }
  const started = startLoop({ ...base, ...options }, requests, undefined, { server, manual: true })
  const outcomeOf = (request: Request) => {
    const outcome = new Promise<Outcome>((resolve) => waiting.set(request, resolve))
    requests.push(request)
    return outcome
  }
  return { ...started, started, server, clock: server.clock, requests, outcomeOf, waiting }
}

/** Sends the messages, and behind them the answer to what the client sent last. */
function floodThenAnswer(to: ServerConnection, flood: ReturnType<typeof message>[]): void {
  const asked = to.packets.filter(({ cmd }) => /publish|subscribe/.test(cmd)).at(-1)!
  for (const one of flood) to.send(one)
  to.acknowledge(asked)
}

const ROOM: EventloopOptions = { maxBufferedPackets: 2048 }

const REQUESTS: Record<string, () => Request> = {
  'QoS 1': () => publish('out', 'x', { qos: 1 }),
  'QoS 2': () => publish('out', 'x', { qos: 2 }),
  subscribe: () => subscribe('f'),
  unsubscribe: () => unsubscribe('f'),
}

describe('[R4] [C24] awaiting an outcome in the loop body', () => {
  for (const version of [4, 5] as const) {
    for (const qos of [0, 1, 2] as const) {
      for (const [name, request] of Object.entries(REQUESTS)) {
        test(`MQTT ${version}, ${name} behind 5,000 messages at QoS ${qos}: it comes, and so do the messages`, async () => {
          const total = 5000
          const s = stage(version === 5 ? { ...ROOM, receiveMaximum: 6000 } : ROOM, version)
          expect(await peek(s.clock, s.loop.next())).toMatchObject({
            value: { value: { cmd: 'connack' } },
          })
          s.server.current.autoAck = (packet) => packet.cmd === 'pubrel'
          const settled = s.outcomeOf(request())
          await s.clock.settle()
          const flood = Array.from({ length: total }, (_, i) => message(`${i}`, qos, i + 1))
          floodThenAnswer(s.server.current, flood)
          await s.clock.advance(1100)
          expect(await peek(s.clock, settled)).toMatchObject({ value: { ok: true } })
          expect(s.loop.state.counters.bufferedBytes).toBeLessThan(16 * 1024 * 1024)
          const got: string[] = []
          while (got.length < total) {
            const result = await peek(s.clock, s.loop.next())
            if (result === 'pending' || 'error' in result) throw new Error(`stuck at ${got.length}`)
            const packet = result.value.value
            if (packet?.cmd === 'publish') got.push(String(packet.payload))
          }
          expect(got).toEqual(flood.map(({ payload }) => payload))
          expect(s.server.connections).toHaveLength(1)
          await s.loop.return()
        })
      }
    }
  }

  for (const [name, request] of Object.entries(REQUESTS)) {
    test(`${name} behind more messages than Receive Maximum: it comes`, async () => {
      const s = stage({ receiveMaximum: 5 })
      await peek(s.clock, s.loop.next())
      s.server.current.autoAck = (packet) => packet.cmd === 'pubrel'
      const settled = s.outcomeOf(request())
      await s.clock.settle()
      const flood = Array.from({ length: 30 }, (_, i) => message(`${i}`, 1, i + 1))
      floodThenAnswer(s.server.current, flood)
      await s.clock.advance(1100)
      expect(await peek(s.clock, settled)).toMatchObject({ value: { ok: true } })
      let got = 0
      while (got < flood.length) {
        const result = await peek(s.clock, s.loop.next())
        if (result === 'pending' || 'error' in result) throw new Error(`stuck at ${got}`)
        if (result.value.value?.cmd === 'publish') got++
      }
      expect(s.server.connections).toHaveLength(1)
      await s.loop.return()
    })
  }

  test('a ping behind 5,000 messages is answered', async () => {
    const s = stage()
    await peek(s.clock, s.loop.next())
    const ping = s.loop.ping()
    await s.clock.settle()
    for (let i = 0; i < 10; i++)
      s.server.current.send(...Array.from({ length: 500 }, () => message('x')))
    s.server.current.send({ cmd: 'pingresp' })
    await s.clock.advance(1100)
    expect(await peek(s.clock, ping)).toMatchObject({ value: { roundTripMs: expect.any(Number) } })
    await s.loop.return()
  })

  test('beyond maxBufferedBytes the outcome is an error that says what to do, after warnAfterMs', async () => {
    for (const version of [4, 5] as const) {
      for (const heldBack of [false, true]) {
        const options = { maxBufferedBytes: 100_000, warnAfterMs: 7000, maxInflight: 1 }
        const s = stage(options, version)
        await peek(s.clock, s.loop.next())
        const settled = s.outcomeOf(publish('out', 'x', { qos: 1 }))
        const other = heldBack ? s.outcomeOf(publish('out', 'y', { qos: 1 })) : null
        await s.clock.settle()
        const flood = Array.from({ length: 500 }, (_, i) => message(Buffer.alloc(10_000, i)))
        floodThenAnswer(s.server.current, flood)
        await s.clock.advance(6900)
        expect(await peek(s.clock, settled)).toBe('pending')
        await s.clock.advance(200)
        const error = {
          code: 'ANSWER_UNREAD',
          message: expect.stringMatching(/7000 ms.*maxBuffered/),
        }
        expect(await peek(s.clock, settled)).toMatchObject({ value: { ok: false, error } })
        if (other !== null) {
          expect(await peek(s.clock, other)).toMatchObject({ value: { ok: false, error } })
        }
        expect(s.warnings.map(({ code }) => code)).toContain('CONSUMER_STALLED')
        expect(s.loop.state.counters.bufferedBytes).toBeLessThan(100_000 + 65_536 + 10_000)
        // The connection lives, and nothing is lost.
        let got = 0
        while (got < 500) {
          const result = await peek(s.clock, s.loop.next())
          if (result === 'pending' || 'error' in result) throw new Error(`stuck at ${got}`)
          if (result.value.value?.cmd === 'publish') got++
        }
        expect(s.loop.state.counters).toMatchObject({ held: 0, settled: heldBack ? 2 : 1 })
        await s.loop.return()
      }
    }
  })

  test('nothing is given up if nobody is given the outcome, nor while the consumer takes packets', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const options = { maxBufferedBytes: 100_000, warnAfterMs: 7000, keepAlive: 0 }
    const silent = startLoop(options, [publish('out', 'x', { qos: 1 })], undefined, {
      ...{ server, manual: true, silent: true },
    })
    await peek(server.clock, silent.loop.next())
    const flood = Array.from({ length: 100 }, (_, i) => message(Buffer.alloc(10_000, i)))
    server.current.send(...flood)
    await server.clock.advance(1_000_000)
    expect(silent.loop.state.counters).toMatchObject({ held: 1, settled: 0 })
    await silent.loop.return()

    const s = stage(options)
    await peek(s.clock, s.loop.next())
    const slow = s.outcomeOf(publish('out', 'x', { qos: 1 }))
    await s.clock.settle()
    floodThenAnswer(s.server.current, flood)
    for (let i = 0; i < 60; i++) {
      await peek(s.clock, s.loop.next())
      await s.clock.advance(6000)
    }
    for (let i = 0; i < 40; i++) await peek(s.clock, s.loop.next())
    expect(await peek(s.clock, slow)).toMatchObject({ value: { ok: true } })
    await s.loop.return()
  })

  test('[R3] without a request that waits, the bound in packets holds; with one, that in bytes', async () => {
    const s = stage({ maxBufferedPackets: 10, maxBufferedBytes: 50_000 })
    await peek(s.clock, s.loop.next())
    const send = () =>
      s.server.current.send(...Array.from({ length: 1000 }, () => message('x'.repeat(100))))
    send()
    await s.clock.advance(600_000)
    expect(s.loop.state.counters.bufferedPackets).toBe(10)
    s.requests.push(publish('out', 'x', { qos: 1 }))
    await s.clock.advance(20)
    const { bufferedBytes } = s.loop.state.counters
    expect(bufferedBytes).toBeGreaterThanOrEqual(50_000)
    expect(bufferedBytes).toBeLessThan(50_000 + 10 * 400)
    expect(s.server.current.client.isPaused()).toBe(true)
    await s.loop.return()
  })

  test('[R3] what the answers in the reserve keep in memory is bounded: their requests count', async () => {
    const s = stage({ maxBufferedPackets: 10, maxBufferedBytes: 200_000, maxInflight: 5 })
    await peek(s.clock, s.loop.next())
    s.server.current.autoAck = true
    let asked = 0
    const timer = s.clock.every(10, () => {
      for (let i = 0; i < 5; i++)
        s.requests.push(publish('out', `${asked++}`.padEnd(10_000), { qos: 1 }))
    })
    await s.clock.advance(2000)
    timer()
    expect(asked).toBe(1000)
    const { bufferedPackets } = s.loop.state.counters
    expect(bufferedPackets).toBeLessThanOrEqual(10 + 5 + 200_000 / 10_000 + 5)
    await s.loop.return()
  })

  test('run(): onPacket may await an outcome behind 5,000 messages', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const { clock } = server
    const requests = pushable<Request>({ objectMode: true })
    const outcomes: Outcome[] = []
    let resolve: ((outcome: Outcome) => void) | null = null
    const options: EventloopOptions = {
      ...{ platform: clock, transport: server.transport, keepAlive: 0, clientId: 'c' },
      onSettled: (_, outcome) => {
        clock.touch()
        resolve?.(outcome)
      },
    }
    const running = run(options, requests, {
      onPacket: async (packet) => {
        clock.touch()
        if (packet.cmd !== 'connack') return
        const outcome = new Promise<Outcome>((settle) => {
          resolve = settle
        })
        requests.push(publish('out', 'x', { qos: 1 }))
        outcomes.push(await outcome)
        requests.end()
      },
    })
    await clock.settle()
    floodThenAnswer(
      server.current,
      Array.from({ length: 5000 }, (_, i) => message(`${i}`)),
    )
    await clock.advance(2000)
    expect(await peek(clock, running)).toMatchObject({ value: { settled: 1, unsettled: [] } })
    expect(outcomes).toMatchObject([{ ok: true }])
  })

  test('any order of next, push and await: no await hangs, and no message is lost', async () => {
    const plan = fc.record({
      version: fc.constantFrom(4 as const, 5 as const),
      maxBufferedPackets: fc.integer({ min: 1, max: 40 }),
      maxBufferedBytes: fc.constantFrom(2000, 20_000, 1_000_000),
      maxInflight: fc.integer({ min: 1, max: 5 }),
      steps: fc.array(
        fc.oneof(
          fc.record({ next: fc.integer({ min: 1, max: 20 }) }),
          fc.record({ push: fc.constantFrom(0, 1, 2), await: fc.boolean() }),
          fc.record({ flood: fc.integer({ min: 1, max: 60 }), qos: fc.constantFrom(0, 1, 2) }),
          fc.record({ ms: fc.integer({ min: 1, max: 500 }) }),
          fc.constant('await all' as const),
        ),
        { maxLength: 40 },
      ),
    })
    await fc.assert(
      fc.asyncProperty(plan, async ({ version, steps, ...bounds }) => {
        const s = stage({ ...bounds, acks: 'receipt' }, version)
        await peek(s.clock, s.loop.next())
        s.server.current.autoAck = true
        const open: Promise<Outcome>[] = []
        let [sent, got, pushed] = [0, 0, 0]
        const next = async () => {
          const result = await peek(s.clock, s.loop.next())
          if (result === 'pending' || 'error' in result) throw new Error('next() hangs')
          if (result.value.value?.cmd === 'publish') got++
        }
        const settle = async (outcomes: readonly Promise<Outcome>[]) => {
          await s.clock.advance(31_000)
          for (const outcome of outcomes) expect(await peek(s.clock, outcome)).not.toBe('pending')
        }
        for (const step of steps) {
          if (step === 'await all') await settle(open)
          else if ('next' in step) {
            for (let i = 0; i < step.next && s.loop.state.counters.bufferedPackets > 0; i++)
              await next()
          } else if ('push' in step) {
            const outcome = s.outcomeOf(publish('out', `${pushed++}`, { qos: step.push as QoS }))
            open.push(outcome)
            if (step.await) await settle([outcome])
          } else if ('flood' in step) {
            const flood = Array.from({ length: step.flood }, () =>
              message(`${sent}`.padEnd(50), step.qos as QoS, (sent++ % 60_000) + 1),
            )
            s.server.current.send(...flood)
            await s.clock.settle()
          } else await s.clock.advance(step.ms)
        }
        await settle(open)
        while (got < sent) await next()
        expect(s.loop.state.counters.settled).toBe(pushed)
        expect(s.server.connections).toHaveLength(1)
        await s.loop.return()
      }),
      { numRuns: 100 },
    )
  })
})
