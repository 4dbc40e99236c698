/**
 * Goal: whatever ends an event stream, and on whichever side, nothing of it is left: no timer, no
 * listener, no stream that is open, no subscription, no promise that waits, no rejection that nobody
 * took. Method: every kind of end, by either side, over every carrier of this package, on a virtual
 * clock. On both sides an iteration, a join and a send are under way.
 */
import { Readable, Writable } from 'node:stream'
import { afterAll, describe, expect, test } from 'vitest'
import { type Carrier, openEventStream, overBytes, overMqtt } from '../../src/event-stream/index.ts'
import type { Platform } from '../../src/index.ts'
import type { VirtualClock } from '../../src/testing/index.ts'
import { World } from '../client/world.ts'
import { events } from './world.ts'

/** The timers of one side, on the clock of both. */
class SideTimers implements Pick<Platform, 'setTimer' | 'clearTimer'> {
  readonly #clock: VirtualClock
  readonly pending = new Set<unknown>()

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  setTimer(callback: () => void, ms: number): unknown {
    const timer = this.#clock.setTimer(() => {
      this.pending.delete(timer)
      callback()
    }, ms)
    this.pending.add(timer)
    return timer
  }

  clearTimer(timer: unknown): void {
    this.pending.delete(timer)
    this.#clock.clearTimer(timer)
  }
}

type BothTimers = readonly [SideTimers, SideTimers]

/** Two carriers that are joined. */
interface Line {
  readonly carriers: readonly [Carrier, Carrier]
  /** Both sides lose it. */
  lose(): void
  /** @returns how many of these are left: those of the streams, or the subscriptions. */
  left(): Readonly<Record<string, number>>
  /** @returns how many timers it has by itself. */
  ownTimers(): number
}

const IDLE_MS = 1000
const lost = () => new Error('the line is lost')

/** One way of a line of bytes. */
interface Way {
  readonly readable: Readable | ReadableStream<Uint8Array>
  readonly writable: Writable | WritableStream<Uint8Array>
  lose(): void
  left(): Readonly<Record<string, number>>
}

/** As the two ends of a socket: who destroys the writing end resets the other one. */
function nodeWay(): Way {
  const readable = new Readable({ read() {} })
  const writable = new Writable({
    write(chunk, _, done) {
      if (!readable.destroyed) readable.push(chunk)
      done()
    },
    final(done) {
      readable.push(null)
      done()
    },
    destroy(error, done) {
      if (!writable.writableFinished) readable.destroy(error ?? lost())
      done(error)
    },
  })
  // The tests are about listeners that the package adds, and this way may break before it has one.
  readable.on('error', () => {})
  const names = ['error', 'close', 'drain', 'finish']
  return {
    readable,
    writable,
    lose: () => writable.destroy(lost()),
    left: () => ({
      listeners: names.reduce((sum, name) => sum + writable.listenerCount(name), 0),
      open: [readable, writable].filter(({ destroyed }) => !destroyed).length,
    }),
  }
}

function webWay(): Way {
  const open = new Set(['readable', 'writable'])
  let source!: ReadableStreamDefaultController<Uint8Array>
  let sink!: WritableStreamDefaultController
  const readable = new ReadableStream<Uint8Array>({
    start: (controller) => void (source = controller),
    cancel: () => void open.delete('readable'),
  })
  const ended = (how: () => void) => {
    open.delete('writable')
    if (open.delete('readable')) how()
  }
  const writable = new WritableStream<Uint8Array>({
    start: (controller) => void (sink = controller),
    write: (chunk) => void (open.has('readable') && source.enqueue(chunk)),
    close: () => ended(() => source.close()),
    abort: (reason) => ended(() => source.error(reason)),
  })
  return {
    readable,
    writable,
    lose() {
      sink.error(lost())
      ended(() => source.error(lost()))
    },
    left: () => ({ open: open.size }),
  }
}

function byteLine(way: () => Way, timers: BothTimers): Line {
  const [there, back] = [way(), way()]
  const options = timers.map((platform) => ({ idleTimeout: IDLE_MS, platform }))
  return {
    carriers: [
      overBytes({ readable: back.readable, writable: there.writable } as never, options[0]),
      overBytes({ readable: there.readable, writable: back.writable } as never, options[1]),
    ],
    lose() {
      there.lose()
      back.lose()
    },
    left: () => ({ ...there.left(), ...prefixed('back', back.left()) }),
    ownTimers: () => 0,
  }
}

function prefixed(prefix: string, counts: Readonly<Record<string, number>>) {
  return Object.fromEntries(Object.entries(counts).map(([key, n]) => [`${prefix} ${key}`, n]))
}

async function mqttLine(platforms: BothTimers, world: World): Promise<Line> {
  const { broker, clock } = world
  const clients = [world.client(), world.client()] as const
  await clock.until(Promise.all(clients.map((client) => client.ping())))
  await clock.settle()
  let timers = clock.pendingTimers
  const carrier = (which: 0 | 1, sendTopic: string, receiveFilter: string) =>
    overMqtt(clients[which], {
      ...{ sendTopic, receiveFilter, idleTimeout: IDLE_MS, platform: platforms[which] },
    })
  return {
    carriers: [carrier(0, 'up', 'down'), carrier(1, 'down', 'up')],
    lose() {
      timers = 0
      for (const client of clients) client.close({ timeout: 1 }).catch(() => {})
    },
    left: () => ({
      subscriptions: [...broker.sessions.values()].flatMap(({ subscriptions }) =>
        Object.keys(subscriptions),
      ).length,
    }),
    ownTimers: () => timers,
  }
}

const LINES: Readonly<Record<string, (timers: BothTimers, world: World) => Line | Promise<Line>>> =
  {
    'streams of Node': (timers) => byteLine(nodeWay, timers),
    'streams of the web': (timers) => byteLine(webWay, timers),
    MQTT: mqttLine,
  }

/** What became of a promise. */
type Seen = 'pending' | { readonly value: unknown } | { readonly error: unknown }

/** One side: its stream, and what became of everything that was awaited of it. */
class Side {
  readonly stream
  readonly promises = new Map<string, Seen>()

  readonly timers: SideTimers

  constructor(carrier: Carrier, role: 'client' | 'server', platform: SideTimers) {
    this.timers = platform
    this.stream = openEventStream(carrier, { ...{ events, role, platform } })
  }

  watch(name: string, promise: Promise<unknown>): void {
    this.promises.set(name, 'pending')
    promise.then(
      (value) => this.promises.set(name, { value }),
      (error: unknown) => this.promises.set(name, { error }),
    )
  }

  /** @param isBroken whether the consumer leaves at the first event. */
  begin(isBroken: boolean): void {
    const consume = async () => {
      for await (const _event of this.stream) if (isBroken) return
    }
    this.watch('iteration', consume())
    this.watch('join', this.stream.join({ timeout: 60_000 }))
  }

  // biome-ignore lint/suspicious/noExplicitAny: what errors have is what tests look at
  of(name: string): any {
    return this.promises.get(name)
  }
}

interface Kind {
  /** What `own` does; what it throws is expected. */
  act(own: Side, other: Side, line: Line): unknown
  /** Where this side goes on waiting, until the idle time has passed. */
  readonly waits?: 'everywhere' | 'MQTT'
  /** Whether it was this end. */
  check(own: Side, other: Side): void
}

const REASON = new Error('enough')

const KINDS: Readonly<Record<string, Kind>> = {
  'both sides end': {
    act: (own, other) => Promise.all([own.stream.end(), other.stream.end()]),
    check(own, other) {
      expect([own.of('join'), other.of('join')]).toEqual([{ value: true }, { value: true }])
    },
  },
  'an error is sent': {
    // The other side does not say that it has failed.
    waits: 'MQTT',
    act: (own) => own.stream.fail({ code: 'Broken', message: 'no' }),
    check: (_, other) => expect(other.of('iteration').error.code).toBe('Broken'),
  },
  'an exception is sent': {
    waits: 'MQTT',
    act: (own) => own.stream.fail({ type: 'Busy', value: { message: 'no', after: 1 } }),
    check: (_, other) => expect(other.of('join').error.code).toBe('Busy'),
  },
  'the stream is killed': {
    act: (own) => own.stream.kill(REASON),
    check: (own) => expect(own.of('iteration').error).toBe(REASON),
  },
  'the consumer breaks': {
    act: (own, other) => Promise.all([own.stream.end(), other.stream.end()]),
    check(own, other) {
      expect([own.of('join'), other.of('join')]).toEqual([{ value: false }, { value: true }])
    },
  },
  'the producer throws': {
    async act({ stream }) {
      try {
        await stream.send.measured('y')
        throw REASON
      } finally {
        await stream[Symbol.asyncDispose]()
      }
    },
    check: (own) => expect(own.of('iteration').error.code).toBe('ENDED'),
  },
  'the carrier is lost': {
    act: (_own, _other, line) => line.lose(),
    check(own, other) {
      for (const side of [own, other]) expect(side.of('iteration')).toHaveProperty('error')
    },
  },
  'nothing comes any more': {
    waits: 'everywhere',
    act() {},
    // The side that notices it first resets the other one.
    check(own, other) {
      const codes = [own, other].map((side) => side.of('iteration').error.code)
      expect(codes).toContain('STALLED')
    },
  },
}

const rejections: unknown[] = []
const rejected = (reason: unknown) => rejections.push(reason)
process.on('unhandledRejection', rejected)
afterAll(() => void process.off('unhandledRejection', rejected))

describe.each(Object.keys(LINES))('over %s', (lineName) => {
  test.each(
    Object.keys(KINDS).flatMap((kind) => [[kind, 'client'] as const, [kind, 'server'] as const]),
  )('[V9] nothing is left if %s, by the %s', async (kindName, by) => {
    const world = new World()
    const { clock } = world
    const timers: BothTimers = [new SideTimers(clock), new SideTimers(clock)]
    const line = await LINES[lineName]!(timers, world)
    const { act, check, waits } = KINDS[kindName]!
    const client = new Side(line.carriers[0], 'client', timers[0])
    const server = new Side(line.carriers[1], 'server', timers[1])
    const [own, other] = by === 'client' ? [client, server] : [server, client]
    for (const side of [own, other]) side.begin(side === own && kindName === 'the consumer breaks')
    await clock.advance(100)
    // Over MQTT a message that is sent before the other side has subscribed is lost.
    for (const side of [own, other]) side.watch('send', side.stream.send.measured('x'))
    await clock.advance(100)
    expect(clock.pendingTimers, 'time-outs run').toBeGreaterThan(line.ownTimers())

    const acted = Promise.allSettled([(async () => act(own, other, line))()])
    await clock.advance(100)
    if (waits !== 'everywhere' && waits !== lineName) {
      expect(own.timers.pending.size, 'timers of this side, immediately').toBe(0)
    }
    // Longer than the idle time of both sides, and shorter than the time-out of the joins.
    await clock.advance(5 * IDLE_MS)
    await acted
    for (const { promises } of [own, other]) {
      expect([...promises.values()], JSON.stringify([...promises.keys()])).not.toContain('pending')
    }
    check(own, other)
    const left = line.left()
    expect(left).toEqual(Object.fromEntries(Object.keys(left).map((name) => [name, 0])))
    expect(clock.pendingTimers, 'timers').toBe(line.ownTimers())
    expect(rejections.splice(0), 'rejections that nobody took').toEqual([])
  })
})
