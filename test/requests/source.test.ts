/**
 * Streams of requests. Goal: anything iterable works, is asked no further than the loop can take (D4), and is closed or
 * released at the end as N5 says. Method: each kind of stream carries the same requests to a scripted server; streams that
 * count what is asked of them meet every kind of ending.
 */
import { Duplex, PassThrough, Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import fc from 'fast-check'
import { pushable, pushableV } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import {
  type Eventloop,
  type EventloopOptions,
  eventloop,
  type PublishRequest,
  publish,
  type QoS,
  type Request,
  subscribe,
  UsageError,
} from '../../src/index.ts'
import type { Requests } from '../../src/requests/source.ts'
import { peek, VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

const STILL: EventloopOptions = { keepAlive: 0, cleanStart: false, until: 'settled' }

const q1 = (payload: string | number) => publish('t', String(payload), { qos: 1 })

function payloadsSent({ server }: { server: ScriptedServer }): string[] {
  return server.packets.flatMap((packet) =>
    packet.cmd === 'publish' && !packet.dup ? [String(packet.payload)] : [],
  )
}

// ----------------------------------------------------------------------------------------------------------------- kinds

type Item = Request | readonly Request[]

/** Every kind of stream that there is, from the same items. */
const kinds: Record<string, (items: readonly Item[]) => Requests> = {
  array: (items) => [...items],
  Set: (items) => new Set(items),
  'values of a Map': (items) => new Map(items.map((item, i) => [i, item])).values(),
  generator: function* (items) {
    yield* items
  },
  'async generator': async function* (items) {
    yield* items
  },
  'async generator that takes its time': async function* (items) {
    for (const item of items) {
      await new Promise((resolve) => setImmediate(resolve))
      yield item
    }
  },
  'iterable with an iterator of its own': (items) => ({
    [Symbol.iterator]() {
      let i = 0
      return {
        next: () =>
          i < items.length
            ? { done: false as const, value: items[i++]! }
            : { done: true as const, value: undefined },
      }
    },
  }),
  'iterable of promises of steps': (items) => ({
    [Symbol.asyncIterator]() {
      let i = 0
      return {
        next: async () =>
          i < items.length
            ? { done: false as const, value: items[i++]! }
            : { done: true as const, value: undefined },
      }
    },
  }),
  'object stream of Node': (items) => Readable.from(items),
  'object stream of Node, pushed': (items) => {
    const stream = new PassThrough({ objectMode: true, highWaterMark: 2 })
    Readable.from(items).pipe(stream)
    return stream
  },
  'ReadableStream of the web': (items) =>
    new ReadableStream<Item>({
      start(controller) {
        for (const item of items) controller.enqueue(item)
        controller.close()
      },
    }),
  pushable: (items) => {
    const requests = pushable<Item>({ objectMode: true })
    for (const item of items) requests.push(item)
    return requests.end()
  },
}

describe('anything iterable', () => {
  for (const [name, make] of Object.entries(kinds)) {
    test(`${name}: every request, in order, single and in batches`, async () => {
      const shapes = fc.array(
        fc.oneof(
          fc.constant(0),
          fc.nat(4).map((n) => n + 1),
        ),
        {
          maxLength: 12,
        },
      )
      await fc.assert(
        fc.asyncProperty(shapes, fc.constantFrom<QoS>(0, 1, 2), async (sizes, qos) => {
          let count = 0
          const one = () => publish('t', `${count++}`, { qos })
          // 0 is a single request, n a batch of n - 1: batches may be empty.
          const items = sizes.map(
            (n): Item => (n === 0 ? one() : Array.from({ length: n - 1 }, one)),
          )
          const started = startLoop({ ...STILL, maxInflight: 3 }, make(items))
          await started.done
          expect(started.error).toBeUndefined()
          expect(payloadsSent(started)).toEqual(Array.from({ length: count }, (_, i) => `${i}`))
          const requests = items.flat() as Request[]
          expect(started.outcomes).toHaveLength(count)
          expect(new Set(started.outcomes.map(({ request }) => request))).toEqual(new Set(requests))
          expect(started.loop.state.counters).toMatchObject({ taken: count, settled: count })
        }),
        { numRuns: 15 },
      )
    })
  }

  test('pushableV: what was pushed since the last look comes as one batch', async () => {
    const requests = pushableV<Request>({ objectMode: true })
    for (let i = 0; i < 100; i++) requests.push(q1(i))
    const started = startLoop({ ...STILL, until: 'settled' }, requests)
    await started.clock.settle()
    for (let i = 100; i < 200; i++) requests.push(q1(i))
    // It gives what it holds at its end as its return value, which no consumer of an iterator sees.
    await started.clock.settle()
    requests.end()
    await started.done
    expect(payloadsSent(started)).toEqual(Array.from({ length: 200 }, (_, i) => `${i}`))
  })

  test('a pushable that stays open: requests go out as they come, while nobody pulls packets', async () => {
    const requests = pushable<Request>({ objectMode: true })
    const started = startLoop({ ...STILL, until: 'closed' }, requests, undefined, { manual: true })
    void started.loop.next()
    await started.clock.settle()
    for (let i = 0; i < 20; i++) {
      requests.push(q1(i))
      await started.clock.settle()
      expect(payloadsSent(started)).toHaveLength(i + 1)
    }
    expect(started.outcomes).toHaveLength(20)
    await started.loop.return()
  })

  test('none, and an empty one: the loop ends after its CONNACK', async () => {
    for (const requests of [undefined, [], new Set<Request>(), [[]]]) {
      const started = startLoop({ keepAlive: 0 }, requests)
      await started.done
      expect(started.received.map(({ cmd }) => cmd)).toEqual(['connack'])
      expect(started.server.packets.map(({ cmd }) => cmd)).toEqual(['connect', 'disconnect'])
    }
  })

  test('very many from a generator: timers and bytes get their turn, memory stays flat', async () => {
    const total = 300_000
    let yielded = 0
    const requests = function* () {
      for (; yielded < total; yielded++) yield publish('t', 'x')
    }
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock)
    server.onConnection = (connection) => {
      connection.autoAck = () => {
        seen++
        connection.packets.length = 0
        return false
      }
    }
    let seen = 0
    let most = 0
    let settled = 0
    const options: EventloopOptions = {
      ...STILL,
      onSettled: () => {
        most = Math.max(most, yielded - ++settled)
      },
    }
    const { done } = startLoop(options, requests(), undefined, { server })
    let turns = 0
    let over = false
    void done.then(() => {
      over = true
    })
    while (!over) {
      turns++
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(seen).toBe(total)
    expect(settled).toBe(total)
    // Others had their turn a few hundred times, and what is held at once is bounded.
    expect(turns).toBeGreaterThan(100)
    expect(most).toBeLessThan(50_000)
  })
})

// ---------------------------------------------------------------------------------------------------------------- asking

/** Counts what is asked of it; `answer` says how each `next()` is answered. */
class Counting implements AsyncIterable<Item>, AsyncIterator<Item> {
  asked = 0
  outstanding = 0
  outstandingMost = 0
  returned = 0
  iterators = 0
  readonly #answer: (index: number) => Item | undefined | Promise<Item | undefined>

  constructor(answer: (index: number) => Item | undefined | Promise<Item | undefined>) {
    this.#answer = answer
  }

  [Symbol.asyncIterator](): this {
    this.iterators++
    return this
  }

  async next(): Promise<IteratorResult<Item, undefined>> {
    const index = this.asked++
    this.outstandingMost = Math.max(this.outstandingMost, ++this.outstanding)
    const value = await this.#answer(index)
    this.outstanding--
    return value === undefined ? { done: true, value } : { done: false, value }
  }

  async return(): Promise<IteratorResult<Item, undefined>> {
    this.returned++
    return { done: true, value: undefined }
  }
}

describe('[D4] asked no further than the loop can take', () => {
  test('not before the first next() nor before the CONNACK, one at a time, and never once it has ended', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoConnack: false })
    const stream = new Counting((i) => (i < 3 ? q1(i) : undefined))
    const started = startLoop(STILL, stream, undefined, { server, manual: true })
    await clock.settle()
    expect(stream.iterators).toBe(0)
    const first = started.loop.next()
    await clock.settle()
    expect(stream.asked).toBe(0)
    server.current.connack()
    await first
    for (;;) {
      const outcome = await peek(clock, started.loop.next())
      if (outcome !== 'pending' && 'value' in outcome && outcome.value.done) break
    }
    expect(stream).toMatchObject({ asked: 4, outstandingMost: 1, iterators: 1, returned: 0 })
  })

  for (const [name, options, taken] of [
    ['maxInflight 5', { maxInflight: 5 }, 6],
    ['maxInflight 1', { maxInflight: 1 }, 2],
  ] as const) {
    test(`${name}: ${taken} of an endless stream, and one more with each acknowledgement`, async () => {
      const clock = new VirtualClock()
      const server = new ScriptedServer(clock, { autoAck: false })
      const stream = new Counting((i) => q1(i))
      const { loop } = startLoop({ ...STILL, ...options }, stream, undefined, { server })
      await clock.settle()
      expect(stream.asked).toBe(taken)
      for (let i = 1; i <= 10; i++) {
        server.current.acknowledge(server.current.of('publish')[i - 1]!)
        await clock.settle()
        expect(stream.asked).toBe(taken + i)
      }
      await loop.return()
    })
  }

  test('not while there is no connection, with offlineRequests: 0', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock)
    const gate: (() => void)[] = []
    const stream = new Counting(async (i) => {
      if (i > 0) await new Promise<void>((resolve) => gate.push(resolve))
      return q1(i)
    })
    const options: EventloopOptions = { ...STILL, reconnect: 'always', offlineRequests: 0 }
    const { loop } = startLoop(options, stream, undefined, { server })
    await clock.settle()
    expect(stream.asked).toBe(2)
    server.hang()
    server.current.reset()
    await clock.settle()
    gate.shift()!()
    await clock.advance(60_000)
    // The one that was asked for is kept; no other is asked for.
    expect(stream.asked).toBe(2)
    server.accept()
    await clock.advance(60_000)
    expect(payloadsSent({ server })).toEqual(['0', '1'])
    expect(stream.asked).toBe(3)
    await loop.return()
  })

  test('a batch is taken apart: its requests wait in it until there is room', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoAck: false })
    const batch = Array.from({ length: 50 }, (_, i) => q1(i))
    const stream = new Counting((i) => (i === 0 ? batch : undefined))
    const started = startLoop({ ...STILL, maxInflight: 4 }, stream, undefined, { server })
    await clock.settle()
    expect(started.loop.state.counters).toMatchObject({ taken: 5, inFlight: 4 })
    expect(stream.asked).toBe(1)
    server.current.autoAck = true
    for (const packet of server.current.of('publish')) server.current.acknowledge(packet)
    await started.done
    expect(payloadsSent(started)).toHaveLength(50)
    expect(stream.asked).toBe(2)
  })

  test('a pause stops the asking', async () => {
    const stream = new Counting(async (i) => {
      await new Promise((resolve) => setImmediate(resolve))
      return q1(i)
    })
    const { loop, clock } = startLoop({ ...STILL, until: 'closed', maxInflight: 2 }, stream)
    // Everything is acknowledged at once, so the stream is asked without end: no settling here.
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    loop.pause()
    await clock.settle()
    const { asked } = stream
    expect(asked).toBeGreaterThan(3)
    await clock.advance(60_000)
    expect(stream.asked).toBe(asked)
    loop.shutdown()
    await clock.advance(2000)
  })
})

// ------------------------------------------------------------------------------------------------------------------- N5

/** A stream that gives three requests at once and then waits for ever; its fourth `next()` is outstanding. */
function waiting(): { stream: Counting; give: (item: Item | undefined) => void } {
  let give: (item: Item | undefined) => void = () => {}
  const stream = new Counting((i) =>
    i < 3 ? q1(i) : new Promise<Item | undefined>((resolve) => (give = resolve)),
  )
  return { stream, give: (item) => give(item) }
}

describe('[N5] the stream after the end', () => {
  const closing: readonly (readonly [string, (s: Started, abort: AbortController) => unknown])[] = [
    ['return()', (s) => s.loop.return()],
    ['throw()', (s) => s.loop.throw(new Error('thrown in')).catch(() => {})],
    ['disposal', (s) => s.loop[Symbol.asyncDispose]()],
    ['abort', (_, abort) => abort.abort(new Error('enough'))],
  ]
  for (const [name, end] of closing) {
    test(`${name}: its return() is called once and not awaited`, async () => {
      const { stream } = waiting()
      let resolveReturn = () => {}
      const once = stream.return.bind(stream)
      stream.return = () => {
        void once()
        return new Promise(
          (resolve) => (resolveReturn = () => resolve({ done: true, value: undefined })),
        )
      }
      const abort = new AbortController()
      const started = startLoop({ ...STILL, signal: abort.signal }, stream)
      await started.clock.settle()
      void end(started, abort)
      await started.clock.advance(2000)
      expect(started.ended).toBe(true)
      expect(stream.returned).toBe(1)
      await started.loop.return()
      resolveReturn()
      await started.clock.settle()
      expect(stream.returned).toBe(1)
    })
  }

  for (const leave of ['break', 'throw'] as const) {
    test(`${leave} in the loop body: its return() is called once and not awaited`, async () => {
      const { stream } = waiting()
      const clock = new VirtualClock()
      const server = new ScriptedServer(clock)
      const loop = eventloop({ ...STILL, platform: clock, transport: server.transport }, stream)
      const body = (async () => {
        for await (const packet of loop) {
          clock.touch()
          if (packet.cmd !== 'puback') continue
          if (leave === 'throw') throw new Error('in the body')
          break
        }
      })()
      const outcome = await peek(clock, body)
      if (leave === 'throw') expect(outcome).toMatchObject({ error: { message: 'in the body' } })
      else expect(outcome).toEqual({ value: undefined })
      expect(stream.returned).toBe(1)
    })
  }

  test('a generator is closed: its finally runs', async () => {
    for (const make of [syncWithFinally, asyncWithFinally]) {
      const log: string[] = []
      const clock = new VirtualClock()
      const server = new ScriptedServer(clock, { autoAck: false })
      const { loop } = startLoop({ ...STILL, maxInflight: 1 }, make(log), undefined, { server })
      await clock.settle()
      expect(log).toEqual([])
      await loop.return()
      await clock.settle()
      expect(log).toEqual(['finally'])
    }
  })

  test('one that has ended, or was never asked, is not closed', async () => {
    const over = new Counting((i) => (i < 2 ? q1(i) : undefined))
    const ended = startLoop({ ...STILL, until: 'closed' }, over)
    await ended.clock.settle()
    await ended.loop.return()
    expect(over).toMatchObject({ asked: 3, returned: 0 })
    const unused = new Counting((i) => q1(i))
    const unbegun = startLoop(STILL, unused, undefined, { manual: true })
    await unbegun.loop.return()
    expect(unused).toMatchObject({ iterators: 0, returned: 0 })
  })

  test('a return() that throws or rejects concerns nobody', async () => {
    for (const fail of [
      () => {
        throw new Error('while closing')
      },
      () => Promise.reject(new Error('while closing')),
    ]) {
      const { stream } = waiting()
      stream.return = fail
      const started = startLoop(STILL, stream)
      await started.clock.settle()
      await started.loop.return()
      expect(started.error).toBeUndefined()
    }
  })

  const releasing: readonly (readonly [string, (s: Started) => unknown, EventloopOptions?])[] = [
    ['shutdown', (s) => s.loop.shutdown()],
    ['disconnect', (s) => s.loop.disconnect()],
    ['a loss under reconnect: never', (s) => s.server.current.reset(), { reconnect: 'never' }],
    ['a fatal error', (s) => s.server.current.send({ cmd: 'disconnect', reasonCode: 0x8e })],
  ]
  for (const [name, end, options] of releasing) {
    test(`${name}: it is kept, its outstanding next() too, and a later loop goes on there`, async () => {
      const { stream, give } = waiting()
      const first = startLoop({ ...STILL, ...options }, stream)
      await first.clock.settle()
      end(first)
      await first.clock.advance(2000)
      expect(first.ended).toBe(true)
      expect(stream).toMatchObject({ returned: 0, asked: 4, outstanding: 1 })
      // It answers while no loop runs: that answer is not swallowed.
      give([q1('between'), q1('two')])
      await first.clock.settle()

      first.server.autoConnack = { sessionPresent: true }
      const { server, clock } = first
      const second = startLoop({ ...STILL, session: first.loop.session }, stream, undefined, {
        server,
      })
      await clock.settle()
      expect(stream).toMatchObject({ iterators: 1, outstandingMost: 1 })
      give(q1('last'))
      await clock.settle()
      give(undefined)
      await second.done
      expect(payloadsSent({ server })).toEqual(['0', '1', '2', 'between', 'two', 'last'])
      expect(first.outcomes.length + second.outcomes.length).toBe(6)
      expect(stream.returned).toBe(0)
    })
  }

  test('a synchronous iterator and the rest of a batch are kept as well', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoAck: false })
    const stream = (function* () {
      yield [q1(0), q1(1), q1(2), q1(3)]
      yield q1(4)
    })()
    const first = startLoop({ ...STILL, maxInflight: 1 }, stream, undefined, { server })
    await clock.settle()
    expect(first.loop.state.counters.taken).toBe(2)
    first.loop.shutdown()
    await first.done
    server.autoAck = true
    server.autoConnack = { sessionPresent: true }
    const { session } = first.loop
    const second = startLoop({ ...STILL, session }, stream, undefined, { server })
    await second.done
    expect(second.outcomes).toHaveLength(5)
    expect(payloadsSent({ server })).toEqual(['0', '1', '2', '3', '4'])
  })

  test('what a stream had handed out in a batch is held when the consumer leaves', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoAck: false })
    const batch = [q1(0), q1(1), q1(2), q1(3)]
    const { loop } = startLoop({ ...STILL, maxInflight: 1 }, [batch], undefined, { server })
    await clock.settle()
    await loop.return()
    expect(loop.session.held).toEqual(batch)
    const { taken, settled, held } = loop.state.counters
    expect(taken).toBe(settled + held)
  })

  test('the object that was released belongs to one later loop', async () => {
    const { stream, give } = waiting()
    const first = startLoop(STILL, stream)
    await first.clock.settle()
    first.loop.shutdown()
    await first.clock.advance(1000)
    const { session } = first.loop
    const second = startLoop({ ...STILL, session }, stream, undefined, { server: first.server })
    await first.clock.settle()
    second.loop.shutdown()
    await first.clock.advance(1000)
    const third = startLoop({ ...STILL, session: second.loop.session }, stream, undefined, {
      server: first.server,
    })
    await first.clock.settle()
    expect(stream).toMatchObject({ iterators: 1, asked: 4, outstanding: 1 })
    give(undefined)
    await third.done
    expect(third.error).toBeUndefined()
  })
})

function* syncWithFinally(log: string[]): Generator<Request> {
  try {
    for (let i = 0; ; i++) yield q1(i)
  } finally {
    log.push('finally')
  }
}

async function* asyncWithFinally(log: string[]): AsyncGenerator<Request> {
  try {
    for (let i = 0; ; i++) yield q1(i)
  } finally {
    log.push('finally')
  }
}

// ---------------------------------------------------------------------------------------------------------------- errors

describe('a stream that throws', () => {
  const reason = new Error('the disk went away')
  const streams: Record<string, () => Requests> = {
    'a generator': function* () {
      yield q1(0)
      throw reason
    },
    'an async generator': async function* () {
      yield q1(0)
      throw reason
    },
    'a pushable': () => {
      const requests = pushable<Request>({ objectMode: true })
      requests.push(q1(0))
      setImmediate(() => requests.end(reason))
      return requests
    },
    'an object stream of Node': () => {
      const stream = new PassThrough({ objectMode: true })
      stream.write(q1(0))
      setImmediate(() => stream.destroy(reason))
      return stream
    },
    'a ReadableStream': () => {
      let step = 0
      return new ReadableStream<Request>(
        {
          pull(controller) {
            if (step++ === 0) controller.enqueue(q1(0))
            else controller.error(reason)
          },
        },
        { highWaterMark: 0 },
      )
    },
    'an iterator whose next() throws': () => ({
      [Symbol.iterator]: () => {
        let step = 0
        return {
          next() {
            if (step++ === 0) return { done: false as const, value: q1(0) }
            throw reason
          },
        }
      },
    }),
  }
  for (const [name, make] of Object.entries(streams)) {
    test(`${name}: what was taken is settled, then the loop ends with that error`, async () => {
      const started = startLoop({ ...STILL, until: 'closed' }, make())
      await started.clock.advance(20_000)
      expect(started.ended).toBe(true)
      expect(started.error).toBe(reason)
      expect(started.outcomes).toMatchObject([{ outcome: { ok: true } }])
      expect(started.server.current.packets.at(-1)?.cmd).toBe('disconnect')
      expect(started.clock.pendingTimers).toBe(0)
    })
  }

  test('an iterator that cannot be had', async () => {
    const stream: Requests = {
      [Symbol.iterator]() {
        throw reason
      },
    }
    const started = startLoop({ ...STILL, until: 'closed' }, stream)
    await started.clock.advance(20_000)
    expect(started.error).toBe(reason)
  })

  test('controls that throw end the loop at once', async () => {
    const controls = (async function* () {
      yield { cmd: 'ping' } as const
      throw reason
    })()
    const started = startLoop({ ...STILL, until: 'closed' }, [], controls)
    await started.clock.advance(2000)
    expect(started.error).toBe(reason)
  })
})

describe('what is no stream of requests', () => {
  const bytes: Record<string, () => unknown> = {
    'a string': () => '{"cmd":"publish"}\n',
    'a Buffer': () => Buffer.from('x'),
    'a Uint8Array': () => Uint8Array.of(1),
    'a PassThrough': () => new PassThrough(),
    'a Readable of bytes': () => new Readable({ read() {} }),
    'a Duplex': () => new Duplex({ read() {}, write() {} }),
    'standard input': () => process.stdin,
  }
  for (const [name, make] of Object.entries(bytes)) {
    test(`${name} is refused at once`, () => {
      const attempt = () => eventloop('mqtt://h', make() as Requests)
      expect(attempt).toThrow(UsageError)
      expect(attempt).toThrow(/requests must be an iterable of requests/)
    })
  }

  const late: Record<string, () => unknown> = {
    'a web stream of bytes': () =>
      new ReadableStream({
        start(controller) {
          controller.enqueue(Uint8Array.of(1))
          controller.close()
        },
      }),
    'lines of text': async function* () {
      yield '{"cmd":"publish","topic":"a"}'
    },
    'an object stream that carries bytes': () => Readable.from([Buffer.from('x')]),
  }
  for (const [name, make] of Object.entries(late)) {
    test(`${name} is refused when its first item comes`, async () => {
      const started = startLoop({ ...STILL, until: 'closed' }, make() as Requests)
      await started.clock.advance(20_000)
      expect(started.error).toBeInstanceOf(UsageError)
      expect(String(started.error)).toMatch(/requests: the stream gives (text|bytes)/)
    })
  }
})

describe('signals of requests', () => {
  test('[N4] no listener stays, however a request ends', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoAck: (packet) => packet.messageId !== 3 })
    const signals = Array.from({ length: 6 }, () => new CountingSignal())
    const requests: PublishRequest[] = signals.map(({ signal }, i) => ({
      ...publish('t', `${i}`, { signal, qos: ([1, 2, 1, 0, 1, 1] as const)[i]! }),
      ...(i === 4 ? { topic: 'bad/#' } : {}),
    }))
    const { loop } = startLoop({ ...STILL, maxInflight: 1 }, requests, undefined, { server })
    await clock.settle()
    expect(signals.map(({ listeners }) => listeners).slice(0, 3)).toEqual([0, 0, 1])
    await loop.return()
    expect(signals.map(({ listeners }) => listeners)).toEqual([0, 0, 0, 0, 0, 0])
  })

  test('a SUBSCRIBE can be cancelled, too', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoAck: false })
    const abort = new AbortController()
    const reason = new Error('not any more')
    const request = subscribe('a', { signal: abort.signal })
    const started = startLoop({ ...STILL, until: 'closed' }, [request], undefined, { server })
    await clock.settle()
    abort.abort(reason)
    await clock.settle()
    expect(started.outcomes).toMatchObject([{ request, outcome: { ok: false } }])
    expect(started.outcomes[0]?.outcome).toMatchObject({ error: reason })
    await started.loop.return()
  })

  test('a cancelled request is no failure that ends a loop nobody listens to', async () => {
    const abort = new AbortController()
    const requests = [publish('t', '1', { qos: 1, signal: AbortSignal.abort() }), q1('2')]
    const started = startLoop(STILL, requests, undefined, { silent: true })
    await started.done
    expect(started.error).toBeUndefined()
    expect(payloadsSent(started)).toEqual(['2'])
    abort.abort()
  })
})

/** An AbortSignal that knows how many listen to it. */
class CountingSignal {
  listeners = 0
  readonly signal: AbortSignal

  constructor() {
    const { signal } = new AbortController()
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      this.listeners++
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      this.listeners--
      remove(...args)
    }
    this.signal = signal
  }
}

test('one loop after the other may share a stream that is asked anew each time', async () => {
  const stream = [q1('a'), q1('b')]
  const clock = new VirtualClock()
  const loops: Eventloop[] = []
  for (let i = 0; i < 2; i++) {
    const started = startLoop(STILL, stream, undefined, { server: new ScriptedServer(clock) })
    await started.done
    loops.push(started.loop)
    expect(payloadsSent(started)).toEqual(['a', 'b'])
  }
  expect(loops).toHaveLength(2)
})
