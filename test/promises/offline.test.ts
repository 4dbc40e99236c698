/**
 * Goal: what a request promises counts from when it was given, also while there is no connection:
 * its signal, its expiry, its order; and a stream is not drained into memory. Method: every way in
 * which a server may be away, at a virtual clock; streams that count what is asked of them.
 */
import fc from 'fast-check'
import { pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import { type EventloopOptions, publish, type Request, subscribe } from '../../src/index.ts'
import { VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

const ALWAYS: EventloopOptions = { keepAlive: 0, cleanStart: false, reconnect: 'always' }

const q1 = (payload: string, more: object = {}) => publish('t', payload, { qos: 1, ...more })
const signalled = (request: Request, signal: AbortSignal) => ({ ...request, signal }) as Request
const payloads = (server: ScriptedServer) =>
  server.packets.flatMap((packet) => (packet.cmd === 'publish' ? [String(packet.payload)] : []))

/** Ways in which there is no connection; each returns how to end it. */
const AWAY: Record<string, (server: ScriptedServer) => () => void> = {
  'the server refuses every dial': (server) => {
    server.refuse(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
    return () => server.accept()
  },
  'nobody answers the dial': (server) => {
    server.hang()
    return () => server.accept()
  },
  'nobody answers the CONNECT': (server) => {
    server.autoConnack = false
    return () => {
      server.autoConnack = true
      server.accept()
    }
  },
}

/** `first`: there was no connection yet. `later`: one was lost. */
async function away(how: string, when: 'first' | 'later', options: EventloopOptions = {}) {
  const server = new ScriptedServer(new VirtualClock())
  const requests = pushable<Request>({ objectMode: true })
  const leave = () => AWAY[how]!(server)
  let comeBack = when === 'first' ? leave() : () => {}
  const started = startLoop({ ...ALWAYS, ...options }, requests, undefined, { server })
  await server.clock.advance(0)
  if (when === 'later') {
    comeBack = leave()
    server.current.reset()
    await server.clock.advance(0)
  }
  return { ...started, started, requests, server, clock: server.clock, comeBack }
}

async function over({ loop, clock, server }: Started): Promise<void> {
  loop.shutdown()
  await clock.advance(1000)
  expect([clock.pendingTimers, server.open]).toEqual([0, 0])
}

describe.each(Object.keys(AWAY))('%s', (how) => {
  describe.each(['first', 'later'] as const)('%s connection', (when) => {
    test('[D2] a signal that is aborted settles its request immediately, and it is never sent', async () => {
      const { started, requests, server, clock, comeBack } = await away(how, when)
      const at = clock.now()
      const [soon, late] = [new AbortController(), new AbortController()]
      requests.push(signalled(q1('soon'), soon.signal))
      requests.push(signalled(publish('t', 'late'), late.signal))
      requests.push(signalled(subscribe('f'), late.signal))
      requests.push(q1('stays'))
      await clock.advance(500)
      soon.abort()
      await clock.advance(0)
      expect(started.outcomes.map((settled) => settled.at - at)).toEqual([500])
      await clock.advance(4500)
      late.abort()
      await clock.advance(0)
      expect(started.outcomes.map((settled) => settled.at - at)).toEqual([500, 5000, 5000])
      expect(started.outcomes.every(({ outcome }) => !outcome.ok)).toBe(true)
      comeBack()
      await clock.advance(120_000)
      expect(new Set(payloads(server))).toEqual(new Set(['stays']))
      expect(started.outcomes.at(-1)).toMatchObject({ outcome: { ok: true } })
      await over(started)
    })

    test('[I3] Message Expiry counts from when the message was given', async () => {
      const { started, requests, server, clock, comeBack } = await away(how, when)
      const expiring = (payload: string, seconds: number) =>
        q1(payload, { properties: { messageExpiryInterval: seconds } })
      requests.push(expiring('short', 1))
      requests.push(expiring('long', 1000))
      await clock.advance(1100)
      expect(started.outcomes).toMatchObject([
        { request: { payload: 'short' }, outcome: { error: { code: 'MESSAGE_EXPIRED' } } },
      ])
      await clock.advance(100_000)
      comeBack()
      await clock.advance(120_000)
      expect(payloads(server)).toContain('long')
      expect(payloads(server)).not.toContain('short')
      const long = server.packets.find(({ cmd }) => cmd === 'publish')
      const left = long?.cmd === 'publish' ? long.properties?.messageExpiryInterval : undefined
      expect(left).toBeLessThanOrEqual(900)
      await over(started)
    })

    test('[D4] an endless stream is asked for offlineRequests at most, and for none with 0', async () => {
      for (const [offlineRequests, most] of [
        [undefined, 100],
        [0, 0],
        [7, 7],
        [3000, 3000],
      ] as const) {
        const server = new ScriptedServer(new VirtualClock())
        if (when === 'first') AWAY[how]!(server)
        let asked = 0
        function* endless(): Generator<Request> {
          for (;;) yield q1(`${asked++}`)
        }
        const options = { ...ALWAYS, maxInflight: 1, offlineRequests }
        server.autoAck = false
        const started = startLoop(options, endless(), undefined, { server })
        await server.clock.advance(0)
        const before = asked
        if (when === 'later') {
          AWAY[how]!(server)
          server.current.reset()
        }
        await server.clock.advance(600_000)
        // One of those before it waited for the window, and counts too.
        if (when === 'later') expect(before).toBe(2)
        expect(asked).toBe(when === 'first' ? most : Math.max(2, most + 1))
        const { taken, held, settled } = started.loop.state.counters
        expect([taken, held, settled]).toEqual([asked, asked, 0])
        started.loop.shutdown()
        await server.clock.advance(1000)
        expect(started.loop.session.held).toHaveLength(asked)
      }
    })
  })
})

describe('taken ahead', () => {
  test('[D4] nothing is taken ahead if the connection comes immediately', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoConnack: false })
    let asked = 0
    function* endless(): Generator<Request> {
      for (;;) yield q1(`${asked++}`)
    }
    const started = startLoop({ ...ALWAYS, maxInflight: 2 }, endless(), undefined, { server })
    await server.clock.advance(40)
    expect(asked).toBe(0)
    server.autoAck = false
    server.current.autoAck = false
    server.current.connack()
    await server.clock.advance(0)
    expect(asked).toBe(3)
    await over(started)
  })

  test('[D4] large requests count more: each 16 KiB as one', async () => {
    const server = new ScriptedServer(new VirtualClock())
    server.hang()
    let asked = 0
    function* endless(): Generator<Request> {
      for (;;) yield publish(`${asked++}`, Buffer.alloc(160 * 1024))
    }
    const started = startLoop(ALWAYS, endless(), undefined, { server })
    await server.clock.advance(1000)
    expect(asked).toBe(10)
    await over(started)
  })

  test('[D3] the order of the stream is kept, controls in their turn', async () => {
    const { started, requests, server, clock, comeBack } = await away(
      'the server refuses every dial',
      'first',
      { maxInflight: 2 },
    )
    const given = Array.from({ length: 40 }, (_, i) =>
      publish('t', `${i}`, { qos: (i % 2) as 0 | 1 }),
    )
    for (const request of given.slice(0, 20)) requests.push(request)
    requests.push({ cmd: 'throttle', perSecond: 1 })
    for (const request of given.slice(20)) requests.push(request)
    await clock.advance(5000)
    expect(started.loop.state.counters.taken).toBe(20)
    comeBack()
    await clock.advance(10_000)
    // The throttle holds back what follows it, and nothing that came before.
    expect(payloads(server).length).toBeGreaterThanOrEqual(20)
    expect(payloads(server).length).toBeLessThan(32)
    await clock.advance(120_000)
    for (const rest of [0, 1]) {
      const sent = payloads(server).filter((payload) => Number(payload) % 2 === rest)
      expect(sent).toEqual(
        given.flatMap(({ payload }) => (Number(payload) % 2 === rest ? [payload] : [])),
      )
    }
    await over(started)
  })

  test('[E3] a disconnect in the stream waits for the requests before it', async () => {
    const server = new ScriptedServer(new VirtualClock())
    server.refuse(new Error('away'))
    const requests: Request[] = [q1('first'), { cmd: 'disconnect' }, q1('never')]
    const started = startLoop(ALWAYS, requests, undefined, { server })
    await server.clock.advance(60_000)
    expect(started.ended).toBe(false)
    server.accept()
    await server.clock.advance(60_000)
    expect([payloads(server), started.ended]).toEqual([['first'], true])
  })

  test('[N5] [D2] what was taken is held by the session, what was not is left in the stream', async () => {
    const server = new ScriptedServer(new VirtualClock())
    server.refuse(new Error('away'))
    const requests = pushable<Request>({ objectMode: true })
    for (let i = 0; i < 10; i++) requests.push(q1(`${i}`))
    requests.push({ cmd: 'ping' })
    requests.push(q1('10'))
    requests.end()
    const options: EventloopOptions = { ...ALWAYS, offlineRequests: 15 }
    const first = startLoop(options, requests, undefined, { server })
    await server.clock.advance(1000)
    first.loop.shutdown()
    await server.clock.advance(1000)
    expect(first.loop.session.held).toHaveLength(10)
    server.accept()
    const again: EventloopOptions = { ...options, session: first.loop.session, until: 'settled' }
    const second = startLoop(again, requests, undefined, { server })
    await server.clock.advance(10_000)
    expect(payloads(server)).toEqual(Array.from({ length: 11 }, (_, i) => `${i}`))
    expect(second.ended).toBe(true)
  })

  test('[D6] what needs MQTT 5 is refused once the server turns out to support 3.1.1 only', async () => {
    const server = new ScriptedServer(new VirtualClock())
    server.refuse(new Error('away'))
    const requests: Request[] = [
      q1('plain'),
      q1('properties', { properties: { contentType: 'a' } }),
      { cmd: 'subscribe', subscriptions: [{ topic: 'f', qos: 0, nl: true }] },
      { cmd: 'subscribe', subscriptions: [{ topic: 'g', qos: 0, nl: false, rh: 0 }] },
      { cmd: 'unsubscribe', unsubscriptions: ['f'], properties: { userProperties: { a: 'b' } } },
    ]
    const started = startLoop({ ...ALWAYS, until: 'settled' }, requests, undefined, { server })
    await server.clock.advance(1000)
    expect(started.loop.state.counters.taken).toBe(requests.length)
    server.autoConnack = false
    server.accept()
    server.onConnection = (connection) => {
      const timer = setInterval(() => {
        if (connection.version === 0) return
        clearInterval(timer)
        if (connection.version === 5) connection.send(Buffer.from('20020001', 'hex'))
        else connection.connack()
      }, 1)
    }
    for (let i = 0; i < 40 && !started.ended; i++) {
      await new Promise((resolve) => setTimeout(resolve, 2))
      await server.clock.advance(1000)
    }
    expect(
      started.outcomes.map(({ outcome }) => (outcome.ok ? 'ok' : String(outcome.error))).sort(),
    ).toEqual([
      expect.stringContaining('publish.properties needs MQTT 5'),
      expect.stringContaining('subscribe.subscriptions[0].nl needs MQTT 5'),
      expect.stringContaining('unsubscribe.properties needs MQTT 5'),
      'ok',
      'ok',
    ])
    expect(payloads(server)).toEqual(['plain'])
  })

  test('[T9] with divert, what was taken in the outage is diverted when diverting begins', async () => {
    const server = new ScriptedServer(new VirtualClock())
    server.refuse(new Error('away'))
    const diverted: unknown[] = []
    const divert = {
      afterMs: 5000,
      concurrency: 3,
      to: async ({ payload }: { payload?: unknown }) => void diverted.push(payload),
    }
    const requests = [q1('1'), subscribe('f'), q1('2'), q1('3'), q1('4')]
    const started = startLoop({ ...ALWAYS, divert }, requests, undefined, { server })
    await server.clock.advance(4000)
    expect(started.loop.state.counters.taken).toBe(3)
    expect(diverted).toEqual([])
    await server.clock.advance(2000)
    expect(diverted).toEqual(['1', '2', '3', '4'])
    await over(started)
  })

  test('[D2] [D4] any outages, signals and sizes: taken = settled + held, never beyond the bound', async () => {
    const plan = fc.record({
      bound: fc.integer({ min: 0, max: 20 }),
      steps: fc.array(
        fc.oneof(
          fc.record({ push: fc.integer({ min: 1, max: 30 }), abortable: fc.boolean() }),
          fc.constant('abort' as const),
          fc.constant('lose' as const),
          fc.constant('accept' as const),
          fc.record({ ms: fc.integer({ min: 1, max: 40_000 }) }),
        ),
        { maxLength: 30 },
      ),
    })
    await fc.assert(
      fc.asyncProperty(plan, async ({ bound, steps }) => {
        const server = new ScriptedServer(new VirtualClock())
        server.refuse(new Error('away'))
        const requests = pushable<Request>({ objectMode: true })
        const options = { ...ALWAYS, offlineRequests: bound }
        const started = startLoop(options, requests, undefined, { server })
        const { loop } = started
        let controller = new AbortController()
        let given = 0
        for (const step of steps) {
          const offline = server.open === 0
          const { taken } = loop.state.counters
          const { held } = loop.state.counters
          if (step === 'abort') {
            controller.abort()
            controller = new AbortController()
          } else if (step === 'lose') {
            server.refuse(new Error('away'))
            if (server.open > 0) server.current.reset()
          } else if (step === 'accept') server.accept()
          else if ('push' in step) {
            for (let i = 0; i < step.push; i++) {
              const request = q1(`${given++}`)
              requests.push(step.abortable ? signalled(request, controller.signal) : request)
            }
          }
          const ms = typeof step === 'object' && 'ms' in step ? step.ms : 0
          await server.clock.advance(ms)
          const after = loop.state.counters
          expect(after.taken).toBe(after.settled + after.held)
          if (offline && server.open === 0 && step !== 'abort') {
            expect(after.held).toBeLessThanOrEqual(Math.max(held, bound))
          }
          expect(after.taken).toBeGreaterThanOrEqual(taken)
        }
        server.accept()
        await server.clock.advance(100_000)
        expect(started.outcomes).toHaveLength(given)
        await over(started)
      }),
      { numRuns: 60 },
    )
  })
})
