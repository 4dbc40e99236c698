/**
 * Every way in which a loop can end, in every state in which it can be: what the server is told, what the consumer gets, and
 * that nothing is left. Then E1 (when it ends by itself), and user code that throws.
 */
import { spawn } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { fileURLToPath } from 'node:url'
import { pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import { eventloop } from '../../src/loop/eventloop.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import { publish, subscribe, unsubscribe } from '../../src/requests/build.ts'
import type { Control, Incoming, IncomingPublish, Request } from '../../src/requests/vocabulary.ts'
import { peek, VirtualClock } from '../support/clock.ts'
import { collect, type Started, startLoop } from '../support/loop.ts'
import { type Calls, counted } from '../support/requests.ts'
import { ScriptedServer, type ServerOptions } from '../support/server.ts'

type Next = Promise<IteratorResult<Incoming, undefined>>

interface World extends Started {
  readonly abort: AbortController
  readonly controls: { push(control: Control): unknown }
  readonly calls: Calls
  /** A `next()` that was outstanding when the end came. */
  readonly pending: Next | null
}

const ENOUGH = new Error('enough')
const DONE = { done: true, value: undefined }

function message(payload: string, qos: 0 | 1 | 2 = 0, messageId = 1) {
  const id = qos === 0 ? {} : { messageId }
  return { cmd: 'publish', topic: 'a', payload, qos, ...id, dup: false, retain: false } as const
}

// ------------------------------------------------------------------------------------------------------------------ states

interface Setting {
  readonly requests?: readonly Request[]
  readonly server?: ServerOptions
  /** Whether a good connection is there, over which a DISCONNECT can leave. */
  readonly connected: boolean
  readonly before?: (started: Started) => void
  /** Resolves with a `next()` that stays outstanding; wrapped, or it would be awaited. */
  readonly reach: (started: Started) => Promise<readonly [Next] | null>
}

const waitForNext = async ({ loop, clock }: Started): Promise<readonly [Next]> => {
  const pending = loop.next()
  pending.catch(() => {})
  await clock.advance(0)
  return [pending]
}

const STATES = {
  idle: { connected: false, reach: async () => null },
  dialling: {
    connected: false,
    before: ({ server }) => server.hang(),
    reach: waitForNext,
  },
  'waiting for CONNACK': {
    connected: false,
    server: { autoConnack: false },
    reach: waitForNext,
  },
  connected: {
    connected: true,
    reach: async (started) => {
      await collect(started, 1)
      return waitForNext(started)
    },
  },
  'connected, publishes in flight': {
    connected: true,
    requests: [publish('a', '1', { qos: 1 }), publish('a', '2', { qos: 2 })],
    server: { autoAck: false },
    reach: async (started) => {
      await collect(started, 1)
      return waitForNext(started)
    },
  },
  'connected, packets buffered': {
    connected: true,
    reach: async (started) => {
      await collect(started, 1)
      const { current } = started.server
      current.send(message('0'), message('1', 1, 1), message('2', 1, 2), message('3', 2, 3))
      await collect(started, 2)
      return null
    },
  },
  paused: {
    connected: true,
    requests: [publish('a', '1', { qos: 1 })],
    server: { autoAck: false },
    reach: async (started) => {
      await collect(started, 1)
      started.loop.pause()
      return waitForNext(started)
    },
  },
  'connected, writes backed up': {
    connected: false,
    requests: Array.from({ length: 20 }, () => publish('a', new Uint8Array(60_000))),
    before: ({ server }) => {
      server.onConnection = (connection) => connection.stall()
    },
    reach: async (started) => {
      const pending = started.loop.next()
      await started.clock.advance(0)
      started.server.current.sip()
      await pending
      return waitForNext(started)
    },
  },
  'waiting to reconnect': {
    connected: false,
    reach: async (started) => {
      await collect(started, 1)
      const pending = await waitForNext(started)
      started.server.current.reset()
      await started.clock.advance(0)
      expect(started.loop.state.connection.kind).toBe('disconnected')
      return pending
    },
  },
  'dialling again, publishes in flight': {
    connected: false,
    requests: [publish('a', '1', { qos: 1 })],
    server: { autoAck: false },
    reach: async (started) => {
      await collect(started, 1)
      const pending = await waitForNext(started)
      started.server.hang()
      started.server.current.reset()
      await started.clock.advance(5000)
      expect(started.loop.state.connection.kind).toBe('connecting')
      return pending
    },
  },
  'closing already': {
    connected: true,
    server: { autoClose: false },
    reach: async (started) => {
      await collect(started, 1)
      const pending = await waitForNext(started)
      started.loop.shutdown()
      await started.clock.advance(100)
      expect(started.loop.state.connection.kind).toBe('closing')
      return pending
    },
  },
} as const satisfies Record<string, Setting>

type StateName = keyof typeof STATES

// -------------------------------------------------------------------------------------------------------------------- ends

interface End {
  readonly end: (world: World) => unknown
  /** What the oldest `next()` gets; null: done. */
  readonly rejects: unknown
  /** The consumer left, so the stream is closed; else it is released. */
  readonly closesStream: boolean
}

const ENDS = {
  'return()': { end: ({ loop }) => loop.return(), rejects: null, closesStream: true },
  'throw()': {
    end: ({ loop }) => loop.throw(ENOUGH).catch((error) => expect(error).toBe(ENOUGH)),
    rejects: null,
    closesStream: true,
  },
  disposal: { end: ({ loop }) => loop[Symbol.asyncDispose](), rejects: null, closesStream: true },
  'shutdown()': { end: ({ loop }) => loop.shutdown(), rejects: null, closesStream: false },
  'disconnect()': { end: ({ loop }) => loop.disconnect(), rejects: null, closesStream: false },
  'shutdown among the controls': {
    end: ({ controls }) => controls.push({ cmd: 'shutdown' }),
    rejects: null,
    closesStream: false,
  },
  'disconnect among the controls': {
    end: ({ controls }) => controls.push({ cmd: 'disconnect', timeout: 300 }),
    rejects: null,
    closesStream: false,
  },
  'an abort': { end: ({ abort }) => abort.abort(ENOUGH), rejects: ENOUGH, closesStream: true },
} as const satisfies Record<string, End>

/** What user code is allowed to take: 10 s for what is in flight, 1 s for the server to close. */
const LIMIT_MS = 11_000

async function bring(state: StateName, protocolVersion: 4 | 5, acks?: 'manual'): Promise<World> {
  const setting: Setting = STATES[state]
  const clock = new VirtualClock()
  const server = new ScriptedServer(clock, setting.server)
  const { stream, calls } = counted(setting.requests ?? [])
  const open = pushable<Request>({ objectMode: true })
  // A stream that never ends by itself.
  const requests: AsyncIterable<Request> = {
    [Symbol.asyncIterator]() {
      const given = stream[Symbol.asyncIterator]()
      return {
        next: async () => {
          const step = await given.next()
          return step.done ? open.next() : step
        },
        return: () => given.return!(),
      }
    },
  }
  const abort = new AbortController()
  const controls = pushable<Control>({ objectMode: true })
  const options: EventloopOptions = {
    protocolVersion,
    until: 'closed',
    signal: abort.signal,
    ...(acks === undefined ? {} : { acks }),
  }
  const started = startLoop(options, requests, controls, { server, manual: true })
  setting.before?.(started)
  const [pending] = (await setting.reach(started)) ?? [null]
  return Object.assign(started, { abort, controls, calls, pending })
}

async function assertEnded(world: World, state: StateName, end: End, at: string): Promise<void> {
  const { loop, clock, server, pending, abort, calls, outcomes } = world
  const sentBefore = server.packets.length
  const settledBefore = outcomes.length
  const inFlight = loop.state.counters.held
  const ending = Promise.resolve(end.end(world))
  if (state === 'idle') await clock.settle()
  const first = pending ?? (state === 'idle' ? loop.next() : null)
  first?.catch(() => {})
  await clock.advance(LIMIT_MS)
  expect(await peek(clock, ending), `${at}: the end resolves`).not.toBe('pending')

  // The consumer: what is left, then the reason where there is one, then done for ever.
  let reasons = 0
  for (let answer: Next = first ?? loop.next(), turn = 0; ; answer = loop.next(), turn++) {
    const got = await peek(clock, answer)
    if (got === 'pending' || turn > 20) throw new Error(`${at}: next() stays pending`)
    if ('error' in got) {
      expect(got.error, at).toBe(end.rejects)
      reasons++
    } else if (got.value.done) break
    else expect(end.closesStream, `${at}: a packet after the consumer left`).toBe(false)
  }
  expect(reasons, `${at}: reasons`).toBe(end.rejects === null ? 0 : 1)
  expect(await peek(clock, loop.next()), at).toEqual({ value: DONE })

  // The server: a goodbye as the very last word, where it could be said.
  const said = server.packets.slice(sentBefore).filter(({ cmd }) => cmd === 'disconnect')
  const { connected } = STATES[state]
  if (state === 'closing already') expect(said, at).toEqual([])
  else expect(said.length, `${at}: DISCONNECT`).toBe(connected ? 1 : 0)
  if (connected) {
    const { current } = server
    expect(current.packets.at(-1)!.cmd, `${at}: the last word`).toBe('disconnect')
    const [goodbye] = current.of('disconnect')
    if (current.version === 5) {
      expect(goodbye, at).toMatchObject({ reasonCode: 0, properties: { sessionExpiryInterval: 0 } })
    } else expect(goodbye!.length, at).toBe(0)
    expect(current.error, at).toBeUndefined()
  }

  // What was in flight has no outcome and is in the session; QoS 0 that never got out is not, and is told so.
  const { counters, connection } = loop.state
  expect(counters.taken, at).toBe(counters.settled + counters.held)
  const told = outcomes.slice(settledBefore)
  if (state === 'connected, writes backed up') {
    expect(told.length, at).toBe(inFlight)
    for (const { outcome } of told) {
      expect(outcome, at).toMatchObject({ ok: false, error: { name: 'ConnectionError' } })
    }
  } else {
    expect(told, `${at}: outcomes at the end`).toEqual([])
    expect(loop.session.held.length, at).toBe(inFlight)
  }
  expect(['closed', 'failed'], at).toContain(connection.kind)

  // Nothing is left.
  expect(clock.pendingTimers, `${at}: timers`).toBe(0)
  expect(server.open, `${at}: sockets`).toBe(0)
  expect(getEventListeners(abort.signal, 'abort'), `${at}: listeners`).toHaveLength(0)
  for (const { signal } of server.dials) {
    expect(
      getEventListeners(signal, 'abort').length,
      `${at}: listeners of a dial`,
    ).toBeLessThanOrEqual(1)
  }
  expect(calls.return, `${at}: the stream's return()`).toBe(
    end.closesStream && calls.iterators > 0 ? 1 : 0,
  )
}

for (const state of Object.keys(STATES) as StateName[]) {
  describe(state, () => {
    for (const [name, end] of Object.entries(ENDS) as [string, End][]) {
      test(`[E2] [N4] [N5] [C36] ${name} ends it: told, settled or held, and nothing is left`, async () => {
        for (const version of [5, 4] as const) {
          await assertEnded(
            await bring(state, version),
            state,
            end,
            `${state}, ${name}, ${version}`,
          )
        }
      })
    }
  })
}

// ------------------------------------------------------------------------------------------------------- E2 in its details

async function connected(
  options: EventloopOptions = {},
  requests?: readonly Request[],
  serverOptions: ServerOptions = {},
) {
  const server = new ScriptedServer(new VirtualClock(), serverOptions)
  const started = startLoop({ until: 'closed', ...options }, requests, undefined, {
    server,
    manual: true,
  })
  await collect(started, 1)
  return started
}

describe('the goodbye', () => {
  test.each([
    [{ cleanStart: true }, 0, 0],
    [{ cleanStart: true, sessionExpiryInterval: 0 }, 0, undefined],
    [{ cleanStart: false }, 0, undefined],
    [{ cleanStart: true, disconnectReason: 4 as const }, 4, 0],
    [{ cleanStart: false, disconnectReason: 4 as const }, 4, undefined],
  ])(
    '[E2] with %j: reason code %i, Session Expiry Interval %s',
    async (options, reasonCode, expiry) => {
      const started = await connected(options)
      started.loop.shutdown()
      await started.clock.advance(0)
      const [goodbye] = started.server.current.of('disconnect')
      expect(goodbye!.reasonCode ?? 0).toBe(reasonCode)
      expect(goodbye!.properties?.sessionExpiryInterval).toBe(expiry)
      await started.clock.advance(1000)
    },
  )

  test('[E2] it waits for the server to close, a second at most', async () => {
    for (const afterMs of [0, 400, 999, 5000]) {
      const started = await connected({}, [], { autoClose: false })
      const { clock, server, loop } = started
      const pending = loop.next()
      loop.shutdown()
      await clock.advance(0)
      clock.setTimer(() => server.current.end(), afterMs)
      await clock.advance(Math.min(afterMs, 1000) - 1)
      if (afterMs > 0) expect(await peek(clock, pending)).toBe('pending')
      await clock.advance(1)
      expect(await peek(clock, pending)).toEqual({ value: DONE })
      expect(server.current.closed).toBe(true)
    }
  })

  test('[E2] [R1] after the acknowledgements that were earned, and not before', async () => {
    const started = await connected()
    started.server.current.send(message('1', 1, 1), message('2', 1, 2), message('3', 1, 3))
    await collect(started, 2)
    // The second next() earned the first; the loop is left inside the body of the second.
    const leaving = started.loop.return()
    await started.clock.advance(1000)
    await leaving
    const { packets } = started.server.current
    expect(packets.slice(1)).toMatchObject([{ cmd: 'puback', messageId: 1 }, { cmd: 'disconnect' }])
  })

  test('[E2] [C37] a throw in the loop body says goodbye, leaves the message unacknowledged and frees everything', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const { stream, calls } = counted([subscribe('a', { qos: 1 })])
    const { transport, clock } = server
    const loop = eventloop({ transport, platform: clock, disconnectReason: 4 }, stream)
    const body = async () => {
      for await (const packet of loop) {
        if (packet.cmd === 'suback') server.current.send(message('1', 1, 7))
        if (packet.cmd === 'publish') throw ENOUGH
      }
    }
    const running = body()
    running.catch(() => {})
    await clock.advance(1000)
    expect(await peek(clock, running)).toEqual({ error: ENOUGH })
    expect(server.current.of('puback')).toEqual([])
    expect(server.current.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 4 })
    expect([clock.pendingTimers, server.open, calls.return]).toEqual([0, 0, calls.return])
    expect(loop.state.connection.kind).toBe('closed')
  })

  test('[E2] ack() before break says otherwise', async () => {
    const started = await connected()
    started.server.current.send(message('1', 1, 7))
    const [packet] = await collect(started, 1)
    expect(started.loop.ack(packet as IncomingPublish)).toBe('queued')
    void started.loop.return()
    await started.clock.advance(1000)
    expect(started.server.current.packets.slice(1).map(({ cmd }) => cmd)).toEqual([
      'puback',
      'disconnect',
    ])
  })

  test('[E2] a fatal error: the oldest outstanding next() rejects with it, the others are done', async () => {
    const started = await connected()
    const { loop, clock, server } = started
    const outstanding = [loop.next(), loop.next(), loop.next(), loop.next()]
    for (const one of outstanding) one.catch(() => {})
    server.current.send({ cmd: 'disconnect', reasonCode: 0x8e })
    await clock.advance(1000)
    const answers = await Promise.all(outstanding.map((one) => peek(clock, one)))
    // The DISCONNECT itself is a packet.
    expect(answers[0]).toMatchObject({ value: { value: { cmd: 'disconnect', reasonCode: 0x8e } } })
    expect(answers[1]).toMatchObject({ error: { code: 'SESSION_TAKEN_OVER' } })
    expect(answers.slice(2)).toEqual([{ value: DONE }, { value: DONE }])
    expect(await peek(clock, loop.next())).toEqual({ value: DONE })
  })

  test('[E2] an abort: the same with its reason itself, whatever that is', async () => {
    for (const reason of [ENOUGH, 'text', 0, null]) {
      const abort = new AbortController()
      const { loop, clock } = await connected({ signal: abort.signal })
      const outstanding = [loop.next(), loop.next()]
      for (const one of outstanding) one.catch(() => {})
      abort.abort(reason)
      await clock.advance(1000)
      expect(await peek(clock, outstanding[0]!)).toEqual({ error: reason })
      expect(await peek(clock, outstanding[1]!)).toEqual({ value: DONE })
    }
  })

  test('[E2] shutdown, disconnect and return() answer every outstanding next() with done', async () => {
    for (const end of ['shutdown', 'disconnect', 'return'] as const) {
      const { loop, clock } = await connected()
      const outstanding = [loop.next(), loop.next(), loop.next()]
      void loop[end]()
      await clock.advance(1000)
      for (const one of outstanding) expect(await peek(clock, one), end).toEqual({ value: DONE })
    }
  })

  test('[E2] return() and throw() on a loop that has ended, or never began, resolve at once', async () => {
    const { loop, clock } = await connected()
    loop.shutdown()
    await clock.advance(1000)
    expect(await peek(clock, loop.return())).toEqual({ value: DONE })
    expect(await peek(clock, loop.throw(ENOUGH))).toEqual({ error: ENOUGH })
    const server = new ScriptedServer(clock)
    const never = eventloop({ transport: server.transport, platform: clock }, [publish('a')])
    expect(await peek(clock, never.return())).toEqual({ value: DONE })
    expect(await peek(clock, never.next())).toEqual({ value: DONE })
    expect(server.dials).toEqual([])
  })

  test('[E2] a signal that was aborted before the first next(): nothing is dialled', async () => {
    const signal = AbortSignal.abort(ENOUGH)
    const started = startLoop({ signal }, [publish('a')], undefined, { manual: true })
    expect(await peek(started.clock, started.loop.next())).toEqual({ error: ENOUGH })
    expect(await peek(started.clock, started.loop.next())).toEqual({ value: DONE })
    expect([started.server.dials.length, started.clock.pendingTimers]).toEqual([0, 0])
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
})

describe('disconnect', () => {
  const inFlight = () => [1, 2, 3, 4].map((n) => publish('a', `${n}`, { qos: n % 2 ? 1 : 2 }))

  test('[E2] [C36] takes nothing more and lets what is in flight settle', async () => {
    const started = await connected({ maxInflight: 2 }, inFlight(), { autoAck: false })
    await started.clock.advance(0)
    const { loop, clock, server, outcomes } = started
    const pending = loop.next()
    // The third was taken when the window was full, and is held.
    expect(loop.state.counters.taken).toBe(3)
    loop.disconnect()
    await clock.advance(5000)
    expect(server.current.of('disconnect')).toEqual([])
    server.autoAck = true
    server.current.autoAck = true
    for (const packet of server.current.of('publish')) server.current.acknowledge(packet)
    await clock.advance(1000)
    expect(
      outcomes.map(({ request, outcome }) => [
        (request as { payload: string }).payload,
        outcome.ok,
      ]),
    ).toEqual([
      ['1', true],
      ['3', true],
      ['2', true],
    ])
    expect(loop.state.counters).toMatchObject({ taken: 3, settled: 3, held: 0 })
    expect(await peek(clock, pending)).toMatchObject({ value: { value: { cmd: 'puback' } } })
    expect(loop.state.connection.kind).toBe('closed')
    expect(server.current.packets.at(-1)!.cmd).toBe('disconnect')
  })

  test.each([
    [undefined, 10_000],
    [250, 250],
    [0, 0],
  ])(
    '[E2] [C36] with timeout %s it ends after %i ms with what is undelivered in hand',
    async (timeout, limitMs) => {
      const requests = inFlight()
      const started = await connected({}, requests, { autoAck: false })
      await started.clock.advance(0)
      started.loop.disconnect(timeout)
      if (limitMs > 0) {
        await started.clock.advance(limitMs - 1)
        expect(started.loop.state.connection.kind).toBe('connected')
      }
      await started.clock.advance(1)
      expect(started.loop.state.connection.kind).toBe('closed')
      expect(started.server.current.packets.at(-1)!.cmd).toBe('disconnect')
      expect(started.loop.session.held).toEqual(requests)
      expect(started.loop.session.held.every((request, i) => request === requests[i])).toBe(true)
      expect(started.outcomes).toEqual([])
    },
  )

  test('[E2] without a connection it waits for one, for as long as it may', async () => {
    const requests = [publish('a', '1', { qos: 1 })]
    const started = await connected({ cleanStart: false }, requests, { autoAck: false })
    await started.clock.advance(0)
    started.server.autoAck = true
    started.server.autoConnack = { sessionPresent: true }
    started.server.current.reset()
    await started.clock.advance(0)
    started.loop.disconnect(5000)
    await started.clock.advance(4000)
    expect(started.outcomes).toMatchObject([{ outcome: { ok: true } }])
    expect(started.loop.state.connection.kind).toBe('closed')
  })

  test('[E2] shutdown ends at once, with the session in hand', async () => {
    const requests = inFlight()
    const started = await connected({}, requests, { autoAck: false })
    await started.clock.advance(0)
    started.loop.shutdown()
    await started.clock.advance(0)
    expect(started.loop.state.connection.kind).toBe('closed')
    expect(started.loop.session.held).toEqual(requests)
    expect(started.outcomes).toEqual([])
  })

  test('[E2] in the request stream both take effect in their turn', async () => {
    for (const cmd of ['disconnect', 'shutdown'] as const) {
      const { stream, calls } = counted([
        publish('a', '1', { qos: 1 }),
        { cmd },
        publish('a', 'never', { qos: 1 }),
      ])
      const started = startLoop({ until: 'closed' }, stream)
      await started.clock.advance(1000)
      const { current } = started.server
      expect(
        current.of('publish').map(({ payload }) => payload.toString()),
        cmd,
      ).toEqual(['1'])
      expect([started.ended, started.error, calls.return], cmd).toEqual([true, undefined, 0])
      expect(current.packets.at(-1)!.cmd, cmd).toBe('disconnect')
    }
  })
})

// ---------------------------------------------------------------------------------------------------- an abort at each await

test('[N4] [E2] [C36] an abort at whatever moment: the reason itself, and nothing is left', async () => {
  const enter = {
    microtask: (abort: () => void) => queueMicrotask(abort),
    nextTick: (abort: () => void) => process.nextTick(abort),
    immediate: (abort: () => void) => void setImmediate(abort),
  }
  class TrippingClock extends VirtualClock {
    left = Number.POSITIVE_INFINITY
    trip: () => void = () => {}
    override now(): number {
      if (this.left-- === 0) this.trip()
      return super.now()
    }
  }
  const life = async (moment: number, when: keyof typeof enter): Promise<boolean> => {
    const clock = new TrippingClock()
    const server = new ScriptedServer(clock)
    server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        if (packet.cmd === 'subscribe') {
          connection.acknowledge(packet)
          connection.send(message('1', 1, 1), message('2', 2, 2), message('3'))
          return false
        }
        // The link breaks once, in the middle of an exchange.
        if (packet.cmd === 'pubrel' && server.connections.length === 1) connection.reset()
        return true
      }
    }
    const abort = new AbortController()
    let aborted = false
    clock.left = moment
    clock.trip = () =>
      enter[when](() => {
        aborted = true
        abort.abort(ENOUGH)
      })
    const settled: Request[] = []
    const signalled = publish('a', 'q2', { qos: 2, signal: new AbortController().signal })
    const requests = [subscribe('a', { qos: 2 }), publish('a', 'q1', { qos: 1 }), signalled]
    const started = startLoop(
      {
        until: 'settled',
        signal: abort.signal,
        reconnect: { minMs: 10, maxMs: 0 },
        onSettled: (request) => settled.push(request),
      },
      counted(requests).stream,
      undefined,
      { server },
    )
    await clock.advance(3000)
    const at = `${when} at ${moment}`
    expect(started.ended, at).toBe(true)
    // Either it was done before, or the reason itself came out.
    expect([undefined, ENOUGH], at).toContain(started.error)
    if (!aborted) expect(started.error, at).toBeUndefined()
    expect([clock.pendingTimers, server.open], at).toEqual([0, 0])
    expect(getEventListeners(abort.signal, 'abort'), at).toHaveLength(0)
    expect(getEventListeners(signalled.signal!, 'abort'), at).toHaveLength(0)
    const { taken, held } = started.loop.state.counters
    expect(settled.length + held, at).toBe(taken)
    expect(new Set(settled).size, at).toBe(settled.length)
    for (const connection of server.connections) {
      const words = connection.packets.map(({ cmd }) => cmd)
      expect(words.slice(words.indexOf('disconnect') + 1 || words.length), at).toEqual([])
      expect(connection.error, at).toBeUndefined()
    }
    return aborted
  }
  for (const when of Object.keys(enter) as (keyof typeof enter)[]) {
    let moment = 0
    while (await life(moment, when)) moment++
    expect(moment).toBeGreaterThan(30)
  }
})

// ------------------------------------------------------------------------------------------------------- a process of its own

/** Every ending over TCP, one after the other, and then nothing: whatever is left keeps the process alive. */
const PROGRAM = `
import { createServer } from 'node:net'
import { connect, eventloop, publish, run, subscribe } from './src/index.ts'
const server = createServer((socket) => {
  socket.unref()
  socket.on('error', () => {})
  socket.on('end', () => socket.end())
  socket.once('data', () => socket.write(Uint8Array.of(0x20, 3, 0, 0, 0)))
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
server.unref()
const url = 'mqtt://127.0.0.1:' + server.address().port
const abort = new AbortController()
const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }
for await (const packet of eventloop(url, never)) break
try { for await (const packet of eventloop(url, never)) throw new Error('x') } catch {}
try { for await (const packet of eventloop({ url, signal: abort.signal }, never)) abort.abort() } catch {}
const down = eventloop(url, [subscribe('a')])
for await (const packet of down) down.shutdown()
const gone = eventloop(url, [publish('a', 'x', { qos: 1 })])
for await (const packet of gone) gone.disconnect(50)
for await (const packet of eventloop(url, [publish('a')])) {}
await run(url, [publish('a', 'x', { qos: 1 })], { timeout: 50 })
await (await connect(url))[Symbol.asyncDispose]()
try { for await (const packet of eventloop('mqtt://127.0.0.1:1', never)) {} } catch {}
setTimeout(() => process.exit(3), 20_000).unref()
console.log('done')
`

test('[N4] Node exits by itself after every kind of end', { timeout: 120_000 }, async () => {
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const args = ['--import', 'tsx', '--input-type=module', '-e', PROGRAM]
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += String(chunk)
    })
  }
  const status = await new Promise((resolve) => child.once('close', resolve))
  expect(output).toBe('done\n')
  expect(status).toBe(0)
})

// ---------------------------------------------------------------------------------------------------------------------- E1

describe('when a loop ends by itself', () => {
  const run = async (
    options: EventloopOptions,
    requests?: readonly Request[],
    serverOptions: ServerOptions = {},
    controls?: AsyncIterable<Control>,
  ) => {
    const server = new ScriptedServer(new VirtualClock(), serverOptions)
    const started = startLoop(options, requests, controls, { server })
    await server.clock.advance(1000)
    return started
  }

  const sub = subscribe('a')
  const forget = unsubscribe('a')
  const refusing: ServerOptions = { autoAck: false }
  const adopting: ServerOptions = { autoConnack: { sessionPresent: true } }
  test.each<[string, EventloopOptions, Request[], ServerOptions, boolean]>([
    ['nothing to do', {}, [], {}, true],
    ['everything settled', {}, [publish('a'), publish('a', '', { qos: 2 })], {}, true],
    ['a publish in flight', {}, [publish('a', '', { qos: 1 })], refusing, false],
    ['a subscription granted', {}, [sub], {}, false],
    ['a subscription granted and given back', {}, [sub, forget], {}, true],
    ['a SUBSCRIBE without an answer', {}, [sub], refusing, false],
    ['no CONNACK', {}, [], { autoConnack: false }, false],
    ['a session adopted', { session: 'adopt', clientId: 'x' }, [], adopting, false],
    ['nothing there to adopt', { session: 'adopt', clientId: 'x' }, [], {}, true],
    ['settled: a subscription granted', { until: 'settled' }, [sub], {}, true],
    ['settled: a SUBSCRIBE without an answer', { until: 'settled' }, [sub], refusing, false],
    [
      'settled: a session adopted',
      { until: 'settled', session: 'adopt', clientId: 'x' },
      [],
      adopting,
      true,
    ],
    [
      'settled: a publish in flight',
      { until: 'settled' },
      [publish('a', '', { qos: 2 })],
      refusing,
      false,
    ],
    ['closed: nothing to do', { until: 'closed' }, [], {}, false],
  ])('[E1] %s', async (_, options, requests, serverOptions, ends) => {
    const started = await run(options, requests, serverOptions)
    expect(started.ended).toBe(ends)
    expect(started.error).toBeUndefined()
    if (!ends) {
      // Nor does it end while nothing changes.
      await started.clock.advance(5000)
      expect(started.ended).toBe(false)
      started.loop.shutdown()
      await started.clock.advance(1000)
    } else {
      expect(started.server.current.packets.at(-1)!.cmd).toBe('disconnect')
      expect(started.server.dials).toHaveLength(1)
    }
    expect(started.clock.pendingTimers).toBe(0)
  })

  test('[E1] a subscription that is refused keeps nothing alive', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const started = startLoop({}, [subscribe(['a', 'b'])], undefined, { server })
    await server.clock.advance(0)
    const [packet] = server.current.of('subscribe')
    server.current.send({ cmd: 'suback', messageId: packet!.messageId!, granted: [0x80, 0x87] })
    await server.clock.advance(1000)
    expect([started.ended, started.error]).toEqual([true, undefined])
    expect(started.outcomes).toMatchObject([{ outcome: { ok: false } }])
  })

  test('[E1] it waits until the request stream has ended', async () => {
    const requests = pushable<Request>({ objectMode: true })
    const started = startLoop({}, requests)
    await started.clock.advance(100_000)
    expect(started.ended).toBe(false)
    requests.end()
    await started.clock.advance(1000)
    expect(started.ended).toBe(true)
  })

  test('[E1] it waits until the buffer is yielded and what was earned is acknowledged', async () => {
    const server = new ScriptedServer(new VirtualClock())
    server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        if (packet.cmd !== 'subscribe') return true
        connection.acknowledge(packet)
        connection.send(message('0'), message('1', 1, 1))
        return false
      }
    }
    const options = { until: 'settled' } as const
    const started = startLoop(options, [subscribe('a', { qos: 1 })], undefined, {
      server,
      manual: true,
    })
    const packets = await collect(started, 4)
    await server.clock.advance(10_000)
    expect(packets.map(({ cmd }) => cmd)).toEqual(['connack', 'suback', 'publish', 'publish'])
    expect(server.current.of('disconnect')).toEqual([])
    // The last one is in the hands of the consumer until it asks again.
    const last = started.loop.next()
    await server.clock.advance(1000)
    expect(await peek(server.clock, last)).toEqual({ value: DONE })
    expect(server.current.packets.slice(-2).map(({ cmd }) => cmd)).toEqual(['puback', 'disconnect'])
  })

  test('[E1] it waits until an inbound QoS 2 exchange is complete', async () => {
    const server = new ScriptedServer(new VirtualClock())
    server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        if (packet.cmd === 'subscribe') connection.send(message('2', 2, 9))
        return packet.cmd !== 'pubrec'
      }
    }
    const started = startLoop({ until: 'settled' }, [subscribe('a', { qos: 2 })], undefined, {
      server,
    })
    await server.clock.advance(10_000)
    expect([started.ended, server.current.of('pubrec').length]).toEqual([false, 1])
    server.current.send({ cmd: 'pubrel', messageId: 9 })
    await server.clock.advance(1000)
    expect(started.ended).toBe(true)
    expect(server.current.packets.slice(-2).map(({ cmd }) => cmd)).toEqual([
      'pubcomp',
      'disconnect',
    ])
  })

  test('[E1] it is judged after a CONNACK: a loss at the wrong moment is no end', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const requests = [publish('a', '', { qos: 1 })]
    const started = startLoop({ reconnect: { minMs: 5000, maxMs: 0 } }, requests, undefined, {
      server,
    })
    await server.clock.advance(0)
    server.current.reset()
    await server.clock.advance(4999)
    expect(started.ended).toBe(false)
    server.autoAck = true
    await server.clock.advance(1001)
    expect([started.ended, started.outcomes.length]).toEqual([true, 1])
  })

  test('[E1] an open stream of controls keeps nothing alive; its error ends the loop', async () => {
    const open = pushable<Control>({ objectMode: true })
    expect(await run({}, [], {}, open)).toMatchObject({ ended: true, error: undefined })
    async function* failing(): AsyncGenerator<Control> {
      yield { cmd: 'ping' }
      throw ENOUGH
    }
    const started = await run({ until: 'closed' }, [], {}, failing())
    expect([started.ended, started.error]).toEqual([true, ENOUGH])
    expect([started.clock.pendingTimers, started.server.open]).toEqual([0, 0])
    // Controls that end leave the loop alone.
    expect(await run({ until: 'closed' }, [], {}, (async function* () {})())).toMatchObject({
      ended: false,
    })
  })

  test('[E1] a request stream that throws: what was taken settles, then the loop ends with its error', async () => {
    async function* failing(): AsyncGenerator<Request> {
      yield publish('a', '1', { qos: 1 })
      throw ENOUGH
    }
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const started = startLoop({ until: 'closed' }, failing(), undefined, { server })
    await server.clock.advance(100)
    expect(started.ended).toBe(false)
    server.current.acknowledge(server.current.of('publish')[0]!)
    await server.clock.advance(1000)
    expect([started.ended, started.error, started.outcomes.length]).toEqual([true, ENOUGH, 1])
    expect(server.current.packets.at(-1)!.cmd).toBe('disconnect')
  })
})

// -------------------------------------------------------------------------------------------------- user code that throws

describe('user code that throws', () => {
  const fine = [1, 2, 3].map((n) => publish('a', `${n}`, { qos: 1 }))

  const settling = (
    settled: (request: Request) => unknown,
    requests: readonly Request[] = fine,
  ) => ({
    settled: settled as (request: Request) => void,
    [Symbol.iterator]: () => requests[Symbol.iterator](),
  })

  const thrower = () => {
    throw ENOUGH
  }

  const heldServer = (): ScriptedServer => {
    // All three are acknowledged in one chunk, so that one step has three outcomes to give.
    const server = new ScriptedServer(new VirtualClock())
    server.onConnection = (connection) => {
      connection.autoAck = () => {
        const publishes = connection.of('publish')
        if (publishes.length < 3) return false
        connection.send(
          ...publishes.map(({ messageId }) => ({ cmd: 'puback' as const, messageId: messageId! })),
        )
        return false
      }
    }
    return server
  }

  test('[C37] [D2] onSettled: the remaining outcomes are still given and the loop ends with the error', async () => {
    const told: Request[] = []
    const onSettled = (request: Request) => {
      told.push(request)
      if (told.length === 1) throw ENOUGH
    }
    const started = startLoop({ onSettled, until: 'closed' }, fine, undefined, {
      server: heldServer(),
    })
    await started.clock.advance(1000)
    expect(told).toEqual(fine)
    expect([started.ended, started.error]).toEqual([true, ENOUGH])
    expect(started.server.current.packets.at(-1)!.cmd).toBe('disconnect')
    expect([started.clock.pendingTimers, started.server.open]).toEqual([0, 0])
  })

  test('[C37] [D2] settled of the stream: the same, and onSettled hears of all', async () => {
    const told: Request[] = []
    const heard: Request[] = []
    const stream = settling((request) => {
      told.push(request)
      if (told.length === 2) throw ENOUGH
    })
    const started = startLoop(
      { until: 'closed', onSettled: (request) => heard.push(request) },
      stream,
      undefined,
      { server: heldServer() },
    )
    await started.clock.advance(1000)
    expect([told, heard]).toEqual([fine, fine])
    expect([started.ended, started.error]).toEqual([true, ENOUGH])
  })

  test('[C37] a promise of settled that rejects ends the loop with its reason', async () => {
    const stream = settling(() => Promise.reject(ENOUGH))
    const started = startLoop({ until: 'closed' }, stream)
    await started.clock.advance(1000)
    expect([started.ended, started.error]).toEqual([true, ENOUGH])
    expect(started.outcomes).toHaveLength(3)
  })

  test('[C37] onConnected: the loop ends with the error, said goodbye', async () => {
    const started = startLoop({ until: 'closed', onConnected: thrower }, fine)
    await started.clock.advance(1000)
    expect([started.ended, started.error]).toEqual([true, ENOUGH])
    expect(started.server.current.packets.at(-1)!.cmd).toBe('disconnect')
    expect(started.server.dials).toHaveLength(1)
  })

  test('[C37] onWarning: the loop ends with the error', async () => {
    const options = { until: 'closed', acks: 'manual', warnAfterMs: 5, onWarning: thrower } as const
    const started = startLoop(options, [])
    await started.clock.advance(0)
    started.server.current.send(message('1', 1, 1))
    await started.clock.advance(1000)
    expect([started.ended, started.error]).toEqual([true, ENOUGH])
  })

  test('[C37] a transport that throws is a dial that failed', async () => {
    const started = startLoop({ transport: thrower }, fine)
    await started.clock.advance(1000)
    expect(started.ended).toBe(true)
    expect(started.error).toMatchObject({ name: 'ConnectionError', cause: ENOUGH })
  })

  test('[C37] callbacks may end the loop: shutdown, disconnect, return() and abort inside onSettled', async () => {
    for (const end of ['shutdown', 'disconnect', 'return', 'abort'] as const) {
      const abort = new AbortController()
      const told: Request[] = []
      const onSettled = (request: Request) => {
        told.push(request)
        if (told.length > 1) return
        if (end === 'abort') abort.abort(ENOUGH)
        else void started.loop[end]()
      }
      const options = { until: 'closed', signal: abort.signal, onSettled } as const
      const started: Started = startLoop(options, fine, undefined, { server: heldServer() })
      await started.clock.advance(1000)
      expect(told, end).toEqual(fine)
      expect([started.ended, started.error], end).toEqual([
        true,
        end === 'abort' ? ENOUGH : undefined,
      ])
      expect([started.clock.pendingTimers, started.server.open], end).toEqual([0, 0])
      expect(started.server.current.packets.at(-1)!.cmd, end).toBe('disconnect')
    }
  })
})
