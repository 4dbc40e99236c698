/** While there is no healthy connection new publishes go another way, and come back with the first answered ping. */
import { getEventListeners } from 'node:events'
import { pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import type { DivertOptions } from '../../src/options/divert-options.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import { publish, subscribe } from '../../src/requests/build.ts'
import type { PublishRequest, Request, Settling } from '../../src/requests/vocabulary.ts'
import { VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { networkError, ScriptedServer, type ServerOptions } from '../support/server.ts'

const STILL: EventloopOptions = { reconnect: 'always', until: 'closed', keepAlive: 60 }
const AFTER = 6000

interface Call {
  readonly request: PublishRequest
  readonly signal: AbortSignal
  resolve(): void
  reject(error: unknown): void
}

/** Another way that the test settles; `auto`: it takes everything at once. */
function otherWay(auto = true) {
  const calls: Call[] = []
  const to: DivertOptions['to'] = (request, signal) => {
    let settle: Pick<Call, 'resolve' | 'reject'> | undefined
    const going = new Promise<void>((resolve, reject) => {
      settle = { resolve, reject }
    })
    calls.push({ request, signal, ...settle! })
    if (auto) settle!.resolve()
    return going
  }
  return { calls, divert: { afterMs: AFTER, to } }
}

function stage(options: ServerOptions = {}) {
  return { server: new ScriptedServer(new VirtualClock(), options) }
}

const payloads = (list: readonly { readonly request: Request }[]) =>
  list.map(({ request }) => String((request as PublishRequest).payload))

async function over({ loop, clock, server }: Started): Promise<void> {
  loop.shutdown()
  await clock.advance(1000)
  expect([clock.pendingTimers, server.open]).toEqual([0, 0])
}

describe('divert', () => {
  test('[T9] no connection for longer than afterMs: new publishes go the other way, and back with the first answered ping', async () => {
    const s = stage()
    const way = otherWay()
    const requests = pushable<Request>({ objectMode: true })
    const started = startLoop({ ...STILL, divert: way.divert }, requests, undefined, s)
    await s.server.clock.advance(1000)
    requests.push(publish('a', 'before', { qos: 1 }))
    await s.server.clock.advance(0)
    s.server.refuse(networkError('ECONNREFUSED'))
    s.server.current.reset()
    await s.server.clock.advance(AFTER - 1)
    expect(started.loop.state.diverting).toBe(false)
    requests.push(publish('a', 'taken when it is over', { qos: 1 }))
    await s.server.clock.advance(1)
    expect(started.loop.state.diverting).toBe(true)
    expect(started.warnings.map(({ code }) => code)).toEqual(['DIVERTING'])
    for (const qos of [0, 1, 2] as const) requests.push(publish('a', `away at ${qos}`, { qos }))
    await s.server.clock.advance(0)
    expect(payloads(way.calls)).toEqual([
      'taken when it is over',
      'away at 0',
      'away at 1',
      'away at 2',
    ])
    expect(started.outcomes.map(({ outcome }) => outcome)).toMatchObject([
      { ok: true },
      ...way.calls.map(() => ({ ok: true })),
    ])
    s.server.accept()
    s.server.autoAck = ({ cmd }) => cmd !== 'pingreq'
    await s.server.clock.advance(45_000)
    expect(started.loop.state).toMatchObject({ connection: { kind: 'connected' }, diverting: true })
    requests.push(publish('a', 'not yet answered', { qos: 1 }))
    await s.server.clock.advance(0)
    expect(payloads(way.calls).at(-1)).toBe('not yet answered')
    s.server.current.send({ cmd: 'pingresp' })
    await s.server.clock.advance(0)
    expect(started.loop.state.diverting).toBe(false)
    requests.push(publish('a', 'home', { qos: 1 }))
    await s.server.clock.advance(0)
    expect(
      s.server.packets.flatMap((p) => (p.cmd === 'publish' ? [String(p.payload)] : [])),
    ).toEqual(['before', 'home'])
    expect(started.loop.state.counters).toMatchObject({
      taken: 7,
      settled: 7,
      held: 0,
      diverted: 0,
    })
    await over(started)
  })

  test('[T9] three unanswered pings: a broker that is frozen is found out within afterMs and a third of it', async () => {
    const s = stage()
    const way = otherWay()
    const requests = pushable<Request>({ objectMode: true })
    const started = startLoop({ ...STILL, divert: way.divert }, requests, undefined, s)
    await s.server.clock.advance(60_500)
    expect(started.loop.state.diverting).toBe(false)
    s.server.current.autoAck = false
    const frozenAt = s.server.clock.now()
    requests.push(publish('a', 'in flight', { qos: 1 }))
    await s.server.clock.advance(AFTER + 1499)
    expect(started.loop.state.diverting).toBe(false)
    await s.server.clock.advance(1)
    expect(started.loop.state).toMatchObject({ diverting: true, connection: { kind: 'connected' } })
    const pings = s.server.current.of('pingreq').filter(({ at }) => at >= frozenAt)
    expect(pings.length).toBe(3)
    requests.push(publish('a', 'around', { qos: 1 }))
    await s.server.clock.advance(0)
    expect(payloads(way.calls)).toEqual(['around'])
    // It thaws: everything that waited is answered, in order.
    for (const packet of s.server.current.packets.filter(({ at }) => at >= frozenAt)) {
      s.server.current.acknowledge(packet)
    }
    s.server.current.autoAck = true
    await s.server.clock.advance(0)
    expect(started.loop.state.diverting).toBe(false)
    expect(payloads(started.outcomes)).toEqual(['around', 'in flight'])
    expect(s.server.connections.length).toBe(1)
    await over(started)
  })

  test('[T9] pings are three times as often only with divert, and only where nothing is heard', async () => {
    const plain = startLoop(STILL, [], undefined, stage())
    await plain.clock.advance(59_999)
    expect(plain.server.current.of('pingreq')).toEqual([])
    await over(plain)
    const s = stage()
    const started = startLoop({ ...STILL, divert: otherWay().divert }, [], undefined, s)
    const stop = s.server.clock.every(1000, () =>
      s.server.connections.at(-1)?.send({
        cmd: 'publish',
        topic: 't',
        payload: 'x',
        qos: 0,
        dup: false,
        retain: false,
      }),
    )
    await s.server.clock.advance(50_000)
    expect(s.server.current.of('pingreq')).toEqual([])
    stop()
    await s.server.clock.advance(20_000)
    expect(s.server.current.of('pingreq').length).toBeGreaterThanOrEqual(9)
    await over(started)
  })

  test('[T9] its rejection is the outcome, and the request never returns to MQTT', async () => {
    const s = stage()
    const way = otherWay(false)
    const requests = pushable<Request>({ objectMode: true })
    s.server.refuse(networkError('ECONNREFUSED'))
    const started = startLoop({ ...STILL, divert: way.divert }, requests, undefined, s)
    await s.server.clock.advance(AFTER)
    requests.push(publish('a', 'refused there', { qos: 1 }))
    requests.push(publish('a', 'slow', { qos: 1 }))
    await s.server.clock.advance(0)
    expect(started.loop.state.counters).toMatchObject({ taken: 2, held: 2, diverted: 2 })
    const error = new Error('503')
    way.calls[0]!.reject(error)
    s.server.accept()
    await s.server.clock.advance(45_000)
    expect(started.loop.state.diverting).toBe(false)
    way.calls[1]!.resolve()
    await s.server.clock.advance(0)
    expect(started.outcomes.map(({ outcome }) => outcome)).toEqual([
      { ok: false, error },
      { ok: true },
    ])
    expect(s.server.packets.some(({ cmd }) => cmd === 'publish')).toBe(false)
    await over(started)
  })

  test('[T9] [D6] a rejection that nobody hears of ends the loop with it', async () => {
    const s = stage()
    s.server.refuse(networkError('ECONNREFUSED'))
    const divert = { afterMs: AFTER, to: () => Promise.reject(new Error('503')) }
    const surroundings = { ...s, silent: true }
    const requests = [publish('a', '', { qos: 1 })]
    const started = startLoop({ ...STILL, divert }, requests, undefined, surroundings)
    await s.server.clock.advance(AFTER)
    expect(started.error).toMatchObject({ message: '503' })
  })

  test('[T9] what throws is a rejection; a request that is cancelled is told to the other way', async () => {
    const s = stage()
    s.server.refuse(networkError('ECONNREFUSED'))
    const abort = new AbortController()
    const signals: AbortSignal[] = []
    const to: DivertOptions['to'] = ({ payload }, signal) => {
      if (payload === 'throws') throw new Error('at once')
      signals.push(signal)
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      )
    }
    const requests = [
      publish('a', 'throws', { qos: 1 }),
      publish('a', 'cancelled', { qos: 1, signal: abort.signal }),
    ]
    const divert = { afterMs: AFTER, to }
    const started = startLoop({ ...STILL, divert }, requests, undefined, s)
    await s.server.clock.advance(AFTER)
    expect(started.outcomes).toMatchObject([
      { outcome: { ok: false, error: { message: 'at once' } } },
    ])
    abort.abort(new Error('enough'))
    await s.server.clock.advance(0)
    expect(signals[0]!.aborted).toBe(true)
    expect(started.outcomes[1]).toMatchObject({
      outcome: { ok: false, error: { message: 'enough' } },
    })
    await over(started)
  })

  test('[T9] [I3] what has expired goes neither way', async () => {
    const s = stage()
    s.server.refuse(networkError('ECONNREFUSED'))
    const way = otherWay()
    const properties = { messageExpiryInterval: 0 }
    const requests = [publish('a', 'late', { qos: 1, properties }), publish('a', 'fresh')]
    const started = startLoop({ ...STILL, divert: way.divert }, requests, undefined, s)
    await s.server.clock.advance(AFTER)
    expect(payloads(way.calls)).toEqual(['fresh'])
    expect(started.outcomes[0]!.outcome).toMatchObject({
      ok: false,
      error: { code: 'MESSAGE_EXPIRED' },
    })
    expect(started.loop.state.counters).toMatchObject({ taken: 2, settled: 2, diverted: 0 })
    await over(started)
  })

  test('[T9] [N4] each call has a signal of its own, and leaves nothing on that of its request', async () => {
    const s = stage()
    s.server.refuse(networkError('ECONNREFUSED'))
    const way = otherWay()
    const { signal } = new AbortController()
    const requests = [1, 2, 3].map((n) => publish('a', `${n}`, { qos: 1, signal }))
    const started = startLoop({ ...STILL, divert: way.divert }, requests, undefined, s)
    await s.server.clock.advance(AFTER)
    expect(new Set(way.calls.map((call) => call.signal)).size).toBe(3)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    await over(started)
  })

  test('[T9] so many at a time as `concurrency` says; the others wait in their stream', async () => {
    const s = stage()
    s.server.refuse(networkError('ECONNREFUSED'))
    const way = otherWay(false)
    let taken = 0
    function* requests(): Generator<Request> {
      for (;;) yield publish('a', `${taken++}`, { qos: 1 })
    }
    const divert = { ...way.divert, concurrency: 3 }
    const started = startLoop({ ...STILL, divert }, requests(), undefined, s)
    await s.server.clock.advance(AFTER)
    expect(way.calls.length).toBe(3)
    expect(taken).toBeLessThanOrEqual(4)
    way.calls[1]!.resolve()
    await s.server.clock.advance(0)
    expect(way.calls.length).toBe(4)
    await over(started)
  })

  test('[T9] subscriptions, and what was taken before, wait for MQTT', async () => {
    const s = stage({ autoAck: ({ cmd }) => cmd !== 'publish' })
    const way = otherWay()
    const requests = pushable<Request>({ objectMode: true })
    const options = { ...STILL, maxInflight: 1, divert: way.divert }
    const started = startLoop(options, requests, undefined, s)
    requests.push(publish('a', 'in flight', { qos: 1 }))
    requests.push(publish('a', 'waits', { qos: 1 }))
    await s.server.clock.advance(0)
    s.server.refuse(networkError('ECONNREFUSED'))
    s.server.current.reset()
    await s.server.clock.advance(AFTER)
    requests.push(subscribe('s'))
    requests.push(publish('a', 'around', { qos: 1 }))
    await s.server.clock.advance(0)
    expect(payloads(way.calls)).toEqual(['around'])
    s.server.autoAck = true
    s.server.accept()
    await s.server.clock.advance(45_000)
    const sent = s.server.current.packets.flatMap((p) =>
      p.cmd === 'publish' ? [String(p.payload)] : [],
    )
    expect(sent).toEqual(['in flight', 'waits'])
    expect(s.server.current.of('subscribe').length).toBe(1)
    expect(started.outcomes.length).toBe(4)
    await over(started)
  })

  test('[T9] [D2] the end of the loop gives it up: an outcome that says so, and the signal', async () => {
    for (const end of ['shutdown', 'return'] as const) {
      const s = stage()
      s.server.refuse(networkError('ECONNREFUSED'))
      const way = otherWay(false)
      const requests = [publish('a', '1', { qos: 1 })]
      const started = startLoop({ ...STILL, divert: way.divert }, requests, undefined, s)
      await s.server.clock.advance(AFTER)
      void started.loop[end]()
      await s.server.clock.advance(1000)
      expect(way.calls[0]!.signal.aborted).toBe(true)
      expect(started.outcomes).toMatchObject([
        { outcome: { ok: false, error: { code: 'DIVERT_ABORTED' } } },
      ])
      expect(started.loop.state.counters).toMatchObject({ taken: 1, settled: 1, held: 0 })
      way.calls[0]!.resolve()
      await s.server.clock.advance(0)
      expect(started.outcomes.length).toBe(1)
    }
  })

  test('[T9] [S1] a stream that gives it again hears nothing, and gives it again', async () => {
    const s = stage()
    s.server.refuse(networkError('ECONNREFUSED'))
    const way = otherWay(false)
    const settled: Request[] = []
    const stream: Iterable<Request> & Settling = {
      replays: true,
      settled: (request) => void settled.push(request),
      *[Symbol.iterator]() {
        yield publish('a', '1', { qos: 1, key: 1 })
      },
    }
    const first = startLoop({ ...STILL, divert: way.divert }, stream, undefined, s)
    await s.server.clock.advance(AFTER)
    expect(way.calls.length).toBe(1)
    await over(first)
    expect(settled).toEqual([])
    s.server.accept()
    const second = startLoop({ ...STILL, until: 'settled' }, stream, undefined, s)
    await s.server.clock.advance(1000)
    expect(second.ended).toBe(true)
    expect(settled.length).toBe(1)
  })

  test('[T9] [E1] `disconnect` lets what is there be settled first', async () => {
    const s = stage()
    s.server.refuse(networkError('ECONNREFUSED'))
    const way = otherWay(false)
    const requests = [publish('a', '1', { qos: 1 })]
    const started = startLoop({ ...STILL, divert: way.divert }, requests, undefined, s)
    await s.server.clock.advance(AFTER)
    started.loop.disconnect()
    await s.server.clock.advance(100)
    expect(started.ended).toBe(false)
    way.calls[0]!.resolve()
    await s.server.clock.advance(0)
    expect(started.ended).toBe(true)
    expect(started.outcomes).toMatchObject([{ outcome: { ok: true } }])
  })

  test.each([
    [{ afterMs: 0, to: () => {} }, /divert.afterMs/],
    [{ afterMs: 1 }, /divert.to/],
    [{ afterMs: 1, to: () => {}, concurrency: 0 }, /divert.concurrency/],
    [{ afterMs: 1, to: () => {}, url: 'x' }, /divert has no field "url"/],
  ])('[T9] options that cannot be used: %#', (divert, says) => {
    expect(() => startLoop({ divert: divert as DivertOptions })).toThrow(says)
  })
})
