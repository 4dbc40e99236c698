/**
 * Steering a loop that runs: pause, resume, throttle, reconnect, ping; from the request stream, the controls and the methods.
 */
import fc from 'fast-check'
import { type Pushable, pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import { publish, subscribe } from '../../src/requests/build.ts'
import type { Control, Request } from '../../src/requests/vocabulary.ts'
import { peek, VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { numbered } from '../support/requests.ts'
import { ScriptedServer, type ServerOptions } from '../support/server.ts'

interface World extends Started {
  readonly requests: Pushable<Request>
  readonly controls: Pushable<Control>
}

async function running(options: EventloopOptions = {}, serverOptions: ServerOptions = {}) {
  const requests = pushable<Request>({ objectMode: true })
  const controls = pushable<Control>({ objectMode: true })
  const server = new ScriptedServer(new VirtualClock(), serverOptions)
  const started = startLoop({ until: 'closed', ...options }, requests, controls, { server })
  await server.clock.advance(0)
  return Object.assign(started, { requests, controls }) satisfies World
}

async function over({ loop, clock, server }: Started): Promise<void> {
  loop.shutdown()
  await clock.advance(1000)
  expect([clock.pendingTimers, server.open]).toEqual([0, 0])
}

const message = {
  cmd: 'publish',
  topic: 'a',
  payload: 'x',
  qos: 0,
  dup: false,
  retain: false,
} as const

/** Payloads that the server has got over all connections, and when. */
function arrivals({ server, clock }: Started): (readonly [payload: string, at: number])[] {
  return server.packets.flatMap((packet) =>
    packet.cmd === 'publish'
      ? [[packet.payload.toString(), packet.at - clock.startedAt] as const]
      : [],
  )
}

// ------------------------------------------------------------------------------------------------------- pause and resume

/** Three ways to say the same; those of a stream take a moment. */
const WAYS: Readonly<Record<string, (world: World, control: Control) => void>> = {
  'the method': ({ loop }, control) => {
    if (control.cmd === 'pause') loop.pause(control.ms)
    if (control.cmd === 'resume') loop.resume()
  },
  'the controls': ({ controls }, control) => void controls.push(control),
}

describe('pause', () => {
  for (const [way, say] of Object.entries(WAYS)) {
    test(`[E3] by ${way}: takes no request and reads nothing, and the connection lives`, async () => {
      const world = await running({ keepAlive: 10 })
      const { clock, server, loop, requests, received } = world
      say(world, { cmd: 'pause' })
      await clock.advance(0)
      expect(loop.state.paused).toBe(true)
      for (let i = 0; i < 5; i++) requests.push(publish('a', `${i}`, { qos: 1 }))
      server.current.send(message, message)
      await clock.advance(600_000)
      expect(arrivals(world)).toEqual([])
      expect(loop.state.counters.taken).toBe(0)
      expect(received.map(({ cmd }) => cmd)).toEqual(['connack'])
      expect(server.dials).toHaveLength(1)
      expect(server.current.of('pingreq')).toHaveLength(60)
      say(world, { cmd: 'resume' })
      await clock.advance(0)
      expect(loop.state.paused).toBe(false)
      expect(arrivals(world).map(([payload]) => payload)).toEqual(['0', '1', '2', '3', '4'])
      expect(received.filter(({ cmd }) => cmd === 'publish')).toHaveLength(2)
      expect(world.outcomes).toHaveLength(5)
      await over(world)
    })

    test(`[E3] by ${way} for so many ms: it ends by itself, or by resume before`, async () => {
      for (const resumed of [false, true]) {
        const world = await running()
        say(world, { cmd: 'pause', ms: 5000 })
        await world.clock.advance(0)
        world.requests.push(publish('a', '0'))
        await world.clock.advance(2000)
        if (resumed) say(world, { cmd: 'resume' })
        await world.clock.advance(2999)
        expect(arrivals(world)).toHaveLength(resumed ? 1 : 0)
        await world.clock.advance(1)
        expect(arrivals(world)).toEqual([['0', resumed ? 2000 : 5000]])
        await over(world)
      }
    })
  }

  test('[E3] a later pause replaces an earlier one', async () => {
    const world = await running()
    world.loop.pause(1000)
    await world.clock.advance(500)
    world.loop.pause(2000)
    world.requests.push(publish('a', '0'))
    await world.clock.advance(10_000)
    expect(arrivals(world)).toEqual([['0', 2500]])
    await over(world)
  })

  test('[E3] CONNECT … CONNACK finishes under it', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoConnack: false })
    const requests = [publish('a', '0')]
    const started = startLoop({}, requests, undefined, { server })
    await server.clock.advance(0)
    started.loop.pause()
    await server.clock.advance(5000)
    server.current.connack()
    await server.clock.advance(0)
    expect(started.loop.state.connection.kind).toBe('connected')
    expect(started.received.map(({ cmd }) => cmd)).toEqual(['connack'])
    await server.clock.advance(60_000)
    expect(server.current.of('publish')).toEqual([])
    started.loop.resume()
    await server.clock.advance(1000)
    expect([started.ended, server.current.of('publish').length]).toEqual([true, 1])
  })

  test('[E3] a connection lost under it is made again under it', async () => {
    const world = await running({ reconnect: { minMs: 50, maxMs: 0 } })
    world.loop.pause()
    await world.clock.advance(1000)
    world.server.current.reset()
    await world.clock.advance(1000)
    expect(world.server.dials).toHaveLength(2)
    expect(world.loop.state).toMatchObject({ paused: true, connection: { kind: 'connected' } })
    world.requests.push(publish('a', '0'))
    await world.clock.advance(0)
    expect(arrivals(world)).toEqual([])
    world.loop.resume()
    await world.clock.advance(0)
    expect(arrivals(world)).toHaveLength(1)
    await over(world)
  })

  test('[E3] ackTimeout stands still', async () => {
    const ackTimeout = { afterMs: 1000, then: 'fail' } as const
    const world = await running({ ackTimeout, keepAlive: 0 }, { autoAck: false })
    world.requests.push(publish('a', '0', { qos: 1 }))
    await world.clock.advance(400)
    world.loop.pause()
    await world.clock.advance(50_000)
    world.loop.resume()
    await world.clock.advance(599)
    expect(world.outcomes).toEqual([])
    await world.clock.advance(1)
    expect(world.outcomes).toMatchObject([
      { outcome: { ok: false, error: { code: 'ACK_TIMEOUT' } } },
    ])
    await over(world)
  })

  test('[E3] in the request stream it takes effect in its turn, in the controls whatever the backlog', async () => {
    const inTurn = await running()
    inTurn.requests.push(publish('a', '0'))
    inTurn.requests.push({ cmd: 'pause', ms: 700 })
    inTurn.requests.push(publish('a', '1'))
    await inTurn.clock.advance(1000)
    expect(arrivals(inTurn)).toEqual([
      ['0', 0],
      ['1', 700],
    ])
    await over(inTurn)

    const atOnce = await running({ maxInflight: 1 }, { autoAck: false })
    for (let i = 0; i < 100; i++) atOnce.requests.push(publish('a', `${i}`, { qos: 1 }))
    await atOnce.clock.advance(0)
    atOnce.controls.push({ cmd: 'reconnect' })
    await atOnce.clock.advance(0)
    expect(atOnce.server.dials).toHaveLength(2)
    await over(atOnce)
  })
})

// ---------------------------------------------------------------------------------------------------------------- throttle

describe('throttle', () => {
  test('[E3] bounds first transmissions per second, with a burst of 100 ms at most', async () => {
    const rates = fc.integer({ min: 1, max: 400 })
    await fc.assert(
      fc.asyncProperty(rates, fc.constantFrom(0, 1, 2), async (perSecond, qos) => {
        const world = await running()
        world.loop.throttle(perSecond)
        await world.clock.advance(0)
        const count = Math.min(120, perSecond * 4)
        for (let i = 0; i < count; i++) world.requests.push(publish('a', `${i}`, { qos: qos as 0 }))
        await world.clock.advance((count / perSecond) * 1000 + 100)
        const times = arrivals(world).map(([, at]) => at)
        expect(arrivals(world).map(([payload]) => Number(payload))).toEqual(times.map((_, i) => i))
        // All of them by then: it is a bound, not a brake.
        expect(times).toHaveLength(count)
        const burst = Math.max(1, perSecond / 10)
        for (let from = 0; from < times.length; from++) {
          for (let to = from; to < times.length; to++) {
            const allowed = ((times[to]! - times[from]!) / 1000) * perSecond + burst + 1
            expect(to - from + 1).toBeLessThanOrEqual(allowed)
          }
        }
        await over(world)
      }),
      { numRuns: 25 },
    )
  })

  test('[E3] null lifts it', async () => {
    const world = await running()
    world.controls.push({ cmd: 'throttle', perSecond: 1 })
    await world.clock.advance(0)
    for (let i = 0; i < 20; i++) world.requests.push(publish('a', `${i}`, { qos: 1 }))
    await world.clock.advance(2500)
    expect(arrivals(world).length).toBeLessThanOrEqual(4)
    world.controls.push({ cmd: 'throttle', perSecond: null })
    await world.clock.advance(0)
    expect(arrivals(world).map(([payload]) => Number(payload))).toEqual(
      Array.from({ length: 20 }, (_, i) => i),
    )
    await over(world)
  })

  test('[E3] what is sent again is no first transmission', async () => {
    const options = { cleanStart: false, reconnect: { minMs: 0, maxMs: 0 } } as const
    const world = await running(options, { autoAck: false })
    for (let i = 0; i < 10; i++) world.requests.push(publish('a', `${i}`, { qos: 1 }))
    await world.clock.advance(0)
    expect(arrivals(world)).toHaveLength(10)
    world.loop.throttle(1)
    world.server.autoConnack = { sessionPresent: true }
    world.server.current.reset()
    await world.clock.advance(0)
    expect(world.server.current.of('publish').map(({ dup }) => dup)).toEqual(
      new Array(10).fill(true),
    )
    await over(world)
  })
})

// --------------------------------------------------------------------------------------------------------------- reconnect

describe('reconnect', () => {
  test('[E3] drops and dials again at once, in order, and nothing in flight is lost', async () => {
    const world = await running({ cleanStart: false }, { autoAck: false })
    for (const request of numbered(4)) world.requests.push(request)
    await world.clock.advance(0)
    const first = world.server.current
    world.server.autoConnack = { sessionPresent: true }
    world.server.autoAck = true
    world.loop.reconnect()
    await world.clock.advance(0)
    expect(first.closed).toBe(true)
    expect(first.packets.at(-1)!.cmd).toBe('disconnect')
    expect(first.of('disconnect')[0]!.properties?.sessionExpiryInterval).toBeUndefined()
    expect(world.server.dials).toHaveLength(2)
    expect(
      world.server.current.of('publish').map(({ payload, dup }) => [payload.toString(), dup]),
    ).toEqual([
      ['0', true],
      ['1', true],
      ['2', true],
      ['3', true],
    ])
    expect(world.outcomes).toHaveLength(4)
    await over(world)
  })

  test('[E3] while waiting to retry it dials at once', async () => {
    const world = await running({ reconnect: { minMs: 50_000, maxMs: 0 } })
    world.server.current.reset()
    await world.clock.advance(100)
    expect(world.server.dials).toHaveLength(1)
    world.controls.push({ cmd: 'reconnect' })
    await world.clock.advance(0)
    expect(world.loop.state.connection.kind).toBe('connected')
    await world.clock.advance(60_000)
    expect(world.server.dials).toHaveLength(2)
    await over(world)
  })

  const tooLong = { cmd: 'reconnect', reconnect: { minMs: 5_000_000 } } as const
  const STREAMS = {
    'an array': [tooLong, publish('after')],
    'an async generator': (async function* () {
      yield tooLong
      yield publish('after')
    })(),
  }
  for (const [name, stream] of Object.entries(STREAMS)) {
    test(`[D6] a policy that cannot be used is refused, and nothing else is: ${name}`, async () => {
      const started = startLoop({}, stream)
      await started.clock.advance(2000)
      expect(started.outcomes).toMatchObject([
        { request: tooLong, outcome: { ok: false } },
        { request: { topic: 'after' }, outcome: { ok: true } },
      ])
      const { error } = started.outcomes[0]!.outcome as { error: Error }
      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toMatch(/reconnect\.minMs must be a number from 0 to 3600000/)
      expect([started.ended, started.error]).toEqual([true, undefined])
    })
  }

  test('[D6] a policy that cannot be used ends a loop to which nobody listens', async () => {
    const started = startLoop({}, [tooLong], undefined, { silent: true })
    await started.clock.advance(2000)
    expect(started.error).toBeInstanceOf(UsageError)
  })

  test('[D6] a policy that cannot be used ends the loop as any other bad control', async () => {
    const started = startLoop({ until: 'closed' }, [], [tooLong])
    await started.clock.advance(2000)
    expect(started.error).toBeInstanceOf(UsageError)
    expect(String(started.error)).toMatch(/reconnect\.minMs/)
  })

  test('[E3] it may carry another policy, which holds from now on', async () => {
    const world = await running({ reconnect: { minMs: 5, maxMs: 0 } })
    world.loop.reconnect({ when: 'never' })
    await world.clock.advance(0)
    expect(world.server.dials).toHaveLength(2)
    world.server.current.reset()
    await world.clock.advance(60_000)
    expect(world.server.dials).toHaveLength(2)
    expect(world.error).toMatchObject({ code: 'ECONNRESET' })
  })
})

// -------------------------------------------------------------------------------------------------------------------- ping

describe('ping', () => {
  const slow = (afterMs: number): ServerOptions => ({
    autoAck: ({ cmd }) => cmd !== 'pingreq' && afterMs > 0,
  })

  test('[E3] resolves with the time that it took; two at once are two', async () => {
    const world = await running({}, slow(1))
    const pings = [world.loop.ping(), world.loop.ping()]
    await world.clock.advance(120)
    world.server.current.send({ cmd: 'pingresp' })
    await world.clock.advance(30)
    world.server.current.send({ cmd: 'pingresp' })
    expect(await peek(world.clock, pings[0]!)).toEqual({ value: { roundTripMs: 120 } })
    expect(await peek(world.clock, pings[1]!)).toEqual({ value: { roundTripMs: 150 } })
    await over(world)
  })

  test('[E3] fails after keepAlive, and at once without a connection or at the end', async () => {
    const world = await running({ keepAlive: 10, reconnect: { minMs: 5000, maxMs: 0 } }, slow(1))
    const late = world.loop.ping()
    const stop = world.clock.every(1000, () => world.server.current.send(message))
    await world.clock.advance(9999)
    expect(await peek(world.clock, late)).toBe('pending')
    await world.clock.advance(1)
    expect(await peek(world.clock, late)).toMatchObject({
      error: { name: 'ConnectionError', code: 'PING_TIMEOUT' },
    })
    stop()
    const broken = world.loop.ping()
    broken.catch(() => {})
    world.server.current.reset()
    await world.clock.advance(0)
    expect(await peek(world.clock, broken)).toMatchObject({ error: { name: 'ConnectionError' } })
    expect(await peek(world.clock, world.loop.ping())).toMatchObject({
      error: { code: 'NOT_CONNECTED' },
    })
    await world.clock.advance(5000)
    const last = world.loop.ping()
    last.catch(() => {})
    await over(world)
    expect(await peek(world.clock, last)).toMatchObject({ error: { name: 'ConnectionError' } })
  })

  test('[E3] as a request it has an outcome, good or not', async () => {
    const world = await running({ keepAlive: 10, reconnect: 'always' })
    world.requests.push({ cmd: 'ping' })
    world.controls.push({ cmd: 'ping' })
    await world.clock.advance(0)
    expect(world.outcomes).toMatchObject([
      { request: { cmd: 'ping' }, outcome: { ok: true, roundTripMs: 0 } },
      { request: { cmd: 'ping' }, outcome: { ok: true, roundTripMs: 0 } },
    ])
    world.server.current.autoAck = false
    world.controls.push({ cmd: 'ping' })
    await world.clock.advance(10_000)
    expect(world.outcomes[2]).toMatchObject({ outcome: { ok: false } })
    await over(world)
  })
})

// ------------------------------------------------------------------------------------------------------ all of them at once

type Action = Control | { readonly cmd: 'cut' } | { readonly cmd: 'push'; readonly count: number }

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      cmd: fc.constant('push' as const),
      count: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      cmd: fc.constant('pause' as const),
      ms: fc.integer({ min: 0, max: 3000 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ cmd: 'resume' } as const) },
  {
    weight: 2,
    arbitrary: fc.record({
      cmd: fc.constant('throttle' as const),
      perSecond: fc.constantFrom(1, 7, 100, null),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ cmd: 'reconnect' } as const) },
  { weight: 1, arbitrary: fc.constant({ cmd: 'ping' } as const) },
  { weight: 2, arbitrary: fc.constant({ cmd: 'cut' } as const) },
)

test('[E3] [D2] [D3] none of them loses or reorders anything, in whatever mixture, by whatever way', async () => {
  const steps = fc.array(
    fc.record({ action, afterMs: fc.integer({ min: 0, max: 2000 }), inStream: fc.boolean() }),
    { maxLength: 25 },
  )
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      const world = await running({
        cleanStart: false,
        maxInflight: 5,
        reconnect: { minMs: 10, maxMs: 1000 },
      })
      const { clock, server, requests, controls, loop } = world
      server.autoConnack = { sessionPresent: true }
      let pushed = 0
      for (const { action, afterMs, inStream } of script) {
        if (action.cmd === 'cut') {
          if (!server.current.closed) server.current.reset()
        } else if (action.cmd === 'push') {
          for (let i = 0; i < action.count; i++)
            requests.push(publish('a', `${pushed++}`, { qos: 1 }))
        } else if (inStream) requests.push(action)
        else controls.push(action)
        await clock.advance(afterMs)
      }
      controls.push({ cmd: 'resume' })
      controls.push({ cmd: 'throttle', perSecond: null })
      await clock.advance(100_000)
      // A throttle of the request stream may come into force after that; 1 a second is the least.
      controls.push({ cmd: 'throttle', perSecond: null })
      await clock.advance(100_000)
      expect(world.error).toBeUndefined()
      const first: string[] = []
      for (const [payload] of arrivals(world)) if (!first.includes(payload)) first.push(payload)
      expect(first).toEqual(Array.from({ length: pushed }, (_, i) => `${i}`))
      const settled = world.outcomes.filter(({ request }) => request.cmd === 'publish')
      expect(settled.map(({ outcome }) => outcome.ok)).toEqual(new Array(pushed).fill(true))
      expect(new Set(settled.map(({ request }) => request)).size).toBe(pushed)
      expect(loop.state.counters).toMatchObject({ taken: pushed, settled: pushed, held: 0 })
      await over(world)
    }),
    { numRuns: 60 },
  )
})

test('[E3] a subscription stays through all of it', async () => {
  const world = await running({ cleanStart: false, reconnect: { minMs: 0, maxMs: 0 } })
  world.requests.push(subscribe('a', { qos: 1 }))
  await world.clock.advance(0)
  world.loop.pause(100)
  world.loop.reconnect()
  await world.clock.advance(200)
  world.loop.throttle(1)
  world.loop.reconnect()
  await world.clock.advance(200)
  // The server forgot the session each time: it was asked for anew.
  expect(world.server.connections.map((connection) => connection.of('subscribe').length)).toEqual([
    1, 1, 1,
  ])
  expect(world.loop.state.subscriptions).toMatchObject([{ topic: 'a', granted: 1 }])
  await over(world)
})
