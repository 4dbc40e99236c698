/**
 * Goal: tasks run at their times while a bus runs, and end with it (B18, B22). Method: a broker in
 * memory and a virtual clock, whose wall clock a test may set.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import type { Bus, BusOptions, BusTask, TaskRun, Times } from '../../src/bus/index.ts'
import { createClient } from '../../src/client/index.ts'
import { presence, withPresence } from '../../src/presence/index.ts'
import { BusWorld } from './bus-world.ts'

const USAGE = expect.objectContaining({ name: 'UsageError' })
const START = Date.UTC(2026, 0, 1)
const MINUTE = 60_000

// Loading a module takes time that is not virtual.
beforeAll(() => import('croner'))

/** A task that notes when it runs, in seconds since the start of the clock. */
class Notes {
  readonly world: BusWorld
  readonly at: number[] = []
  readonly runs: TaskRun[] = []
  readonly ends: (() => void)[] = []

  constructor(world: BusWorld) {
    this.world = world
  }

  readonly note = (run: TaskRun): void => {
    this.at.push(this.world.clock.elapsed / 1000)
    this.runs.push(run)
  }

  /** A run that ends when the test says so. */
  readonly long = (run: TaskRun): Promise<void> => {
    this.note(run)
    return new Promise((resolve) => this.ends.push(resolve))
  }
}

function world(): { w: BusWorld; notes: Notes; bus: Bus } {
  const w = new BusWorld()
  return { w, notes: new Notes(w), bus: w.bus('server') }
}

describe('every()', () => {
  test('[B22] runs after each interval, while run() is awaited', async () => {
    const { w, notes, bus } = world()
    const task = bus.every({ seconds: 30, minutes: 1 }, notes.note)
    await w.clock.advance(10 * MINUTE)
    expect([notes.at, w.clock.pendingTimers, task.nextAt]).toEqual([[], 0, null])
    const stop = new AbortController()
    void bus.run({ signal: stop.signal })
    await w.clock.advance(4 * MINUTE)
    expect(notes.at).toEqual([690, 780])
    expect(notes.runs[0]).toMatchObject({ task: 'task-1', missed: 0, dueAt: START + 690_000 })
    expect(task.nextAt).toBe(START + 870_000)
    stop.abort()
    await w.clock.advance(10 * MINUTE)
    expect(notes.at).toHaveLength(2)
    // The times that passed meanwhile make one run.
    await w.run(bus)
    expect(notes.at.slice(2)).toEqual([1440])
    expect(task.stats).toMatchObject({ handled: 3, missed: 0, running: 0 })
  })

  test('[B22] a sleep of the machine makes one run, and the rhythm stays', async () => {
    const { w, notes, bus } = world()
    bus.every({ minutes: 1 }, notes.note, { runImmediately: true })
    await w.run(bus)
    await w.clock.jump(10.5 * MINUTE)
    await w.clock.advance(MINUTE)
    expect(notes.at).toEqual([0, 630.1, 660])
  })

  test('[B22] a long run never meets itself, and its missed times make one run', async () => {
    const { w, notes, bus } = world()
    const task = bus.every({ minutes: 1 }, notes.long, { name: 'refresh' })
    await w.run(bus)
    await w.clock.advance(3.5 * MINUTE)
    expect([notes.at, task.stats.running]).toEqual([[60], 1])
    notes.ends[0]!()
    await w.clock.advance(MINUTE)
    expect(notes.at).toEqual([60, 210.1])
    expect(notes.runs[1]).toMatchObject({ task: 'refresh', missed: 1, dueAt: START + 120_000 })
    for (const end of notes.ends) end()
  })

  test('[B22] with overlap runs go on together', async () => {
    const { w, notes, bus } = world()
    bus.every({ minutes: 1 }, notes.long, { overlap: true })
    await w.run(bus)
    await w.clock.advance(102 * MINUTE)
    expect(notes.at).toHaveLength(100)
    for (const end of notes.ends) end()
  })

  test('is late by its jitter, and keeps its rhythm', async () => {
    const { w, notes, bus } = world()
    const drawn = [0.5, 0, 0.25]
    bus.every({ minutes: 1 }, notes.note, { jitter: 20_000 })
    await w.run(bus)
    w.clock.random = () => drawn.shift() ?? 0
    await w.clock.advance(4.5 * MINUTE)
    expect(notes.at.slice(1)).toEqual([130, 180, 245])
    expect(notes.at[0]).toBeGreaterThanOrEqual(60)
  })
})

/** A bus whose wall clock a test may set. */
function withWall(options: Partial<BusOptions> = {}) {
  const w = new BusWorld()
  const wall = { offset: 0 }
  const clock = w.clock
  const platform = {
    now: () => clock.now(),
    setTimer: (callback: () => void, ms: number) => clock.setTimer(callback, ms),
    clearTimer: (timer: unknown) => clock.clearTimer(timer),
    random: () => clock.random(),
    wallNow: () => clock.wallNow() + wall.offset,
  }
  const dates: string[] = []
  const note = ({ dueAt }: TaskRun) => dates.push(new Date(dueAt).toISOString().slice(0, 16))
  return { w, wall, dates, note, bus: w.bus('server', options, { platform }) }
}

describe('cron()', () => {
  test.each<[string, string, string, string, readonly string[]]>([
    [
      'a day without 2:30 in spring',
      '30 2 * * *',
      'Europe/Berlin',
      '2026-03-28T00:00Z',
      ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30'],
    ],
    [
      'a day with two 2:30 in autumn',
      '30 2 * * *',
      'Europe/Berlin',
      '2026-10-24T00:00Z',
      ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30'],
    ],
    [
      'every half hour of an hour that comes twice',
      '*/30 * * * *',
      'Europe/Berlin',
      '2026-10-25T00:10Z',
      ['2026-10-25T00:30', '2026-10-25T01:00', '2026-10-25T01:30', '2026-10-25T02:00'],
    ],
    ['a word', '@monthly', 'UTC', '2026-01-30T00:00Z', ['2026-02-01T00:00', '2026-03-01T00:00']],
    ['a leap day', '0 0 29 2 *', 'UTC', '2028-02-28T12:00Z', ['2028-02-29T00:00']],
  ])('[B22] %s', async (_, expression, timezone, from, dates) => {
    const { w, wall, note, dates: seen, bus } = withWall()
    wall.offset = Date.parse(from) - START
    bus.cron(expression, note, { timezone })
    await w.run(bus)
    const until = Date.parse(`${dates.at(-1)}Z`) - Date.parse(from)
    // A machine that sleeps an hour at a time, so that days need no thousand timers.
    for (let ms = 0; ms < until; ms += 30 * MINUTE) await w.clock.jump(30 * MINUTE)
    expect(seen).toEqual(dates)
  })

  test('[B22] a clock that is set ahead makes one run; set back, it repeats none', async () => {
    const { w, wall, note, dates, bus } = withWall()
    bus.cron('*/10 * * * *', note, { timezone: 'UTC' })
    await w.run(bus)
    await w.clock.advance(10 * MINUTE)
    expect(dates.splice(0)).toEqual(['2026-01-01T00:10'])
    wall.offset = 60 * MINUTE
    await w.clock.advance(MINUTE)
    expect(dates.splice(0)).toEqual(['2026-01-01T00:20'])
    wall.offset = 30 * MINUTE
    await w.clock.advance(39 * MINUTE)
    expect(dates.splice(0)).toEqual(['2026-01-01T01:20'])
    // Set back by a day: it was wrong before.
    wall.offset = -24 * 60 * MINUTE
    await w.clock.advance(11 * MINUTE)
    expect(dates).toEqual(['2025-12-31T01:00'])
  })

  test.each([
    ['31 February', '0 0 31 2 *', 'is never due'],
    ['a year that is over', '0 0 0 1 1 * 2020', 'is never due'],
    ['a minute beyond the hour', '61 * * * *', 'cannot be used'],
    ['a step of nothing', '*/0 * * * *', 'cannot be used'],
    ['a zone of another planet', '* * * * *', 'cannot be used', 'Mars/Olympus'],
  ])('%s: run() rejects before anything is taken', async (_, expression, message, timezone?) => {
    const { w, bus } = world()
    bus.cron(expression, () => {}, { timezone })
    const error = await w.error(bus.run(), 1000)
    expect(error).toMatchObject({ name: 'UsageError', message: expect.stringContaining(message) })
    expect(w.broker.clients.size).toBe(0)
  })
})

describe('schedule()', () => {
  const at = (...seconds: readonly number[]) => seconds.map((s) => new Date(START + s * 1000))

  test('[B22] runs at the times of an iterable, and ends with it', async () => {
    const { w, notes, bus } = world()
    const task = bus.schedule(at(5, 7, 60), notes.note)
    await w.run(bus)
    await w.clock.advance(2 * MINUTE)
    expect(notes.at).toEqual([5, 7, 60])
    expect(await w.after(0, task.done)).toEqual({ value: undefined })
    expect(bus.every({ days: 1 }, notes.note, { name: 'task-1' }).name).toBe('task-1')
  })

  test('[B22] times that have passed make one run', async () => {
    const { w, notes, bus } = world()
    await w.clock.advance(MINUTE)
    bus.schedule(at(1, 2, 3, 90), notes.note)
    await w.run(bus)
    await w.clock.advance(MINUTE)
    expect(notes.at).toEqual([60, 90])
    expect(notes.runs[1]).toMatchObject({ missed: 2 })
  })

  test('[B22] takes what comes when it comes, and ends an iterable that waits', async () => {
    const { w, notes, bus } = world()
    let resume = () => {}
    let isEnded = false
    async function* times() {
      try {
        for (;;) {
          await new Promise<void>((resolve) => {
            resume = resolve
          })
          yield w.clock.wallNow()
        }
      } finally {
        isEnded = true
      }
    }
    bus.schedule(times(), notes.note)
    await w.run(bus)
    await w.clock.advance(MINUTE)
    resume()
    await w.clock.advance(0)
    expect(notes.at).toEqual([60.1])
    await w.value(bus.close(), 3000)
    resume()
    await w.clock.advance(0)
    expect(isEnded).toBe(true)
  })

  test.each<[string, () => Times, string]>([
    [
      'past times without an end',
      function* () {
        for (;;) yield 0
      } as () => Times,
      'without an end',
    ],
    ['text', () => ['2026-01-01'] as never, 'must yield dates'],
    ['no date', () => [new Date(Number.NaN)], 'must yield dates'],
    ['an instant beyond all dates', () => [1e300], 'must yield dates'],
    ['a promise', () => [Promise.resolve(1)] as never, 'must yield dates'],
    [
      'an error',
      function* (): Generator<number> {
        yield START
        throw new Error('no calendar')
      },
      'no calendar',
    ],
  ])('[B22] %s ends run() with an error', async (_, times, message) => {
    const { w, bus } = world()
    const task = bus.schedule(times(), () => {})
    const failure = { message: expect.stringContaining(message) }
    expect(await w.error(bus.run(), 1000)).toMatchObject(failure)
    expect(await w.error(task.done)).toMatchObject(failure)
  })
})

describe('a task', () => {
  const failing = () => {
    throw new Error('not now')
  }

  test('[B22] that throws ends run(), and with skip it goes on', async () => {
    const { w, bus } = world()
    const task = bus.every({ seconds: 1 }, failing, { onError: 'skip' })
    await w.run(bus)
    await w.clock.advance(2000)
    expect(task.stats).toMatchObject({ skipped: 2, handled: 0 })
    expect(w.codes()).toEqual(['TASK_FAILED', 'TASK_FAILED'])
    const added = bus.every({ seconds: 1 }, failing, {
      onError: (error, { missed }) =>
        (error as Error).message === 'not now' && missed === 0 ? 'stop' : 'skip',
    })
    await w.clock.advance(2000)
    expect(w.failures).toMatchObject([{ message: 'not now' }])
    expect(await w.error(added.done)).toMatchObject({ message: 'not now' })
  })

  test('[B18] is waited for at the end, and hears of it', async () => {
    const { w, notes, bus } = world()
    bus.every({ seconds: 1 }, notes.long)
    await w.run(bus)
    await w.clock.advance(1000)
    const closing = bus.close({ timeout: 5000 })
    expect(await w.after(1000, closing)).toBe('pending')
    expect(notes.runs[0]!.signal.aborted).toBe(true)
    notes.ends[0]!()
    expect(await w.after(2000, closing)).toEqual({ value: undefined })
    expect(notes.at).toEqual([1])
  })

  test('[B18] that does not end is waited for no longer than the time-out', async () => {
    const { w, notes, bus } = world()
    bus.every({ seconds: 1 }, notes.long)
    await w.run(bus)
    await w.clock.advance(1000)
    const closing = bus.close({ timeout: 2000 })
    expect(await w.after(1900, closing)).toBe('pending')
    expect(await w.after(200, closing)).toEqual({ value: undefined })
  })

  test('is surrounded by hooks, one of which may keep it from running', async () => {
    const { w, notes, bus } = world()
    const seen: unknown[] = []
    bus.hook({ task: ({ kind, name }, next) => [seen.push(kind, name), next()][1] })
    bus.hook({ task: ({ name }, next) => (name === 'quiet' ? undefined : next()) })
    bus.every({ seconds: 1 }, notes.note, { name: 'quiet' })
    bus.every({ seconds: 1 }, notes.note, { name: 'loud' })
    await w.run(bus)
    await w.clock.advance(1000)
    expect(seen).toEqual(['task', 'quiet', 'task', 'loud'])
    expect(notes.runs).toMatchObject([{ task: 'loud' }])
    expect(() => bus.hook({ api: 'auth', task: () => {} })).toThrow(USAGE)
  })

  test('that is closed runs no more', async () => {
    const { w, notes, bus } = world()
    const task = bus.every({ seconds: 1 }, notes.note)
    await w.run(bus)
    await w.value(task.close(), 0)
    await w.clock.advance(5000)
    expect(notes.at).toEqual([])
    expect(w.failures).toEqual([])
  })
})

/** Cuts the presence of a process off for good. */
function cut({ broker }: BusWorld, process: string): void {
  const id = `bus.shop.tasks.exclusive@${process}`
  expect(broker.clients.has(id)).toBe(true)
  const isMeant = ({ packet, clientId }: { packet: { cmd: string }; clientId: string }) =>
    packet.cmd === 'connect' && clientId === id
  broker.faults.refuse(isMeant, 0x88, { times: Number.POSITIVE_INFINITY })
  broker.kill(id)
}

describe('an exclusive task', () => {
  /** Processes of one service with the same task. */
  function fleet(size: number) {
    const w = new BusWorld()
    const ran: string[] = []
    const add = (bus: Bus): BusTask =>
      bus.every({ minutes: 1 }, () => ran.push(bus.process), { exclusive: 'report' })
    const buses = Array.from({ length: size }, () => w.bus('shop'))
    return { w, ran, add, buses }
  }

  test('[B22] is run by the process that is there longest, and then by the next', async () => {
    const { w, ran, add, buses } = fleet(3)
    const tasks: BusTask[] = []
    for (const bus of buses) {
      tasks.push(add(bus))
      await w.run(bus)
    }
    await w.clock.advance(2 * MINUTE)
    expect(ran.splice(0)).toEqual(['p0', 'p0'])
    expect(tasks[1]!.stats).toMatchObject({ handled: 0, passed: 2 })
    await w.value(buses[0]!.close(), 5000)
    await w.clock.advance(2 * MINUTE)
    expect(ran.splice(0)).toEqual(['p1', 'p1'])
  })

  test('[B22] goes on where the network is broken, and elsewhere with the next one', async () => {
    const { w, ran, add, buses } = fleet(2)
    for (const bus of buses) {
      add(bus)
      await w.run(bus)
    }
    await w.clock.advance(2 * MINUTE)
    expect(ran.splice(0)).toEqual(['p0', 'p0'])
    cut(w, 'p0')
    await w.clock.advance(2 * MINUTE)
    // This is what best effort means.
    expect(ran.sort()).toEqual(['p0', 'p0', 'p1', 'p1'])
  })

  test('[B22] stays away where the network is broken and another one was first', async () => {
    const { w, ran, add, buses } = fleet(2)
    for (const bus of buses) {
      add(bus)
      await w.run(bus)
    }
    await w.clock.advance(MINUTE)
    cut(w, 'p1')
    await w.clock.advance(2 * MINUTE)
    expect(ran).toEqual(['p0', 'p0', 'p0'])
  })

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a number', 7],
    ['an instant in words', { at: 'then', id: 'a' }],
    ['an instant beyond all numbers', { at: -1e300, id: 'a' }],
    ['no id', { at: 1 }],
  ])('[B22] is not kept back by a member that says %s', async (_, data) => {
    const { w, ran, add, buses } = fleet(1)
    const options = { platform: w.clock, transport: w.broker.transport, clientId: 'stranger' }
    const stranger = createClient(withPresence(options, { prefix: 'bus/_presence' }))
    w.clients.push(w.running(stranger))
    await w.value(presence(stranger, 'tasks/shop/report').enter(data), 5000)
    add(buses[0]!)
    await w.run(buses[0]!)
    await w.clock.advance(MINUTE)
    expect(ran).toEqual(['p0'])
  })

  test('[B22] is run at once by a process that is alone', async () => {
    const { w, ran, buses } = fleet(1)
    const [bus] = buses as [Bus]
    bus.every({ minutes: 1 }, () => ran.push('now'), { exclusive: 'a', runImmediately: true })
    await w.run(bus)
    // It has to know first that nobody else is there.
    await w.clock.advance(5000)
    expect(ran).toEqual(['now'])
  })

  test('a run() that ends leaves its turn to others, and may take it again', async () => {
    const { w, ran, add, buses } = fleet(2)
    const [one, other] = buses as [Bus, Bus]
    const stop = new AbortController()
    add(one)
    add(other)
    void one.run({ signal: stop.signal })
    await w.clock.advance(100)
    await w.run(other)
    await w.clock.advance(MINUTE)
    stop.abort()
    await w.clock.advance(MINUTE)
    await w.run(one)
    await w.clock.advance(MINUTE)
    expect(ran).toEqual(['p0', 'p1', 'p1'])
  })
})

describe('bad input', () => {
  const work = () => {}
  const bad: readonly [string, (bus: Bus) => unknown][] = [
    ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY, '5', null, 1e12].map(
      (seconds): [string, (bus: Bus) => unknown] => [
        `every ${seconds} seconds`,
        (bus) => bus.every({ seconds } as never, work),
      ],
    ),
    ['no interval', (bus) => bus.every({}, work)],
    ['a unit that is none', (bus) => bus.every({ weeks: 1 } as never, work)],
    ['a negative part', (bus) => bus.every({ minutes: 1, seconds: -1 }, work)],
    ['no function', (bus) => bus.every({ seconds: 1 }, undefined as never)],
    ['an unknown option', (bus) => bus.every({ seconds: 1 }, work, { timezone: 'UTC' } as never)],
    ['another action', (bus) => bus.every({ seconds: 1 }, work, { onError: 'retry' as never })],
    ['a jitter of NaN', (bus) => bus.every({ seconds: 1 }, work, { jitter: Number.NaN })],
    ['overlap in words', (bus) => bus.every({ seconds: 1 }, work, { overlap: 'yes' as never })],
    ['a name with a dot', (bus) => bus.every({ seconds: 1 }, work, { name: 'a.b' })],
    ['a name twice', (bus) => [1, 2].map(() => bus.every({ days: 1 }, work, { name: 'a' }))],
    ['exclusive without a name', (bus) => bus.every({ days: 1 }, work, { exclusive: '' })],
    ['an empty expression', (bus) => bus.cron('', work)],
    ['no expression', (bus) => bus.cron(5 as never, work)],
    ['a date as an expression', (bus) => bus.cron('2026-02-31T00:00:00', work)],
    ['a long expression', (bus) => bus.cron('* '.repeat(500), work)],
    ['a zone that is no text', (bus) => bus.cron('* * * * *', work, { timezone: 1 as never })],
    ['times that are one', (bus) => bus.schedule(5 as never, work)],
    ['times that are text', (bus) => bus.schedule('daily' as never, work)],
    ['no times', (bus) => bus.schedule(null as never, work)],
  ]

  test.each(bad)('%s is refused', (_, act) => {
    const { bus } = world()
    expect(() => act(bus)).toThrow(USAGE)
  })

  test.each(['__proto__', 'constructor', 'then'])('%s is a name like others', async (name) => {
    const { w, notes, bus } = world()
    bus.every({ seconds: 1 }, notes.note, { name, exclusive: name })
    await w.run(bus)
    await w.clock.advance(1000)
    expect(notes.runs).toMatchObject([{ task: name }])
  })

  test('nothing is taken after close()', async () => {
    const { w, bus } = world()
    await w.value(bus.close(), 1000)
    for (const act of [
      () => bus.every({ seconds: 1 }, work),
      () => bus.cron('* * * * *', work),
      () => bus.schedule([], work),
    ]) {
      expect(act).toThrow(expect.objectContaining({ code: 'ENDED' }))
    }
  })
})
