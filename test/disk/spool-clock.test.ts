/**
 * [I3] P9: the clock of a spool. Goal: what was stored under a clock that was not set, or that was set meanwhile, does not expire
 * by that. Method: the clocks are given; and a spool whose processes have other dates.
 */
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Spool, spool } from '../../src/disk/index.ts'
import { SpoolClock } from '../../src/disk/spool/spool-clock.ts'
import { publish } from '../../src/requests/build.ts'
import type { PublishRequest, Request } from '../../src/requests/vocabulary.ts'
import { temporaryFolder } from '../support/process.ts'

const NOW = Date.UTC(2026, 10, 29)
const S = 1000
const HOUR = 3600 * S

/** A machine whose two clocks are set by hand. */
const machine = (wall: number) => {
  const clocks = { mono: 5000, wall }
  return {
    clocks,
    given: { now: () => clocks.mono, wallNow: () => clocks.wall },
    passes: (ms: number) => {
      clocks.mono += ms
      clocks.wall += ms
    },
  }
}

describe('[I3] P9: the clock of a spool', () => {
  test.each<[string, number, number, number]>([
    ['two plausible dates: the time between counts', NOW, NOW + HOUR, HOUR],
    ['from 1970 to now: it does not', 12 * S, NOW, 0],
    ['from now to 1970: it does not', NOW, 12 * S, 0],
    ['a date that went back: it does not', NOW + HOUR, NOW, 0],
  ])('P9: %s', (_, before, after, expected) => {
    const first = new SpoolClock(null, machine(before).given)
    const record = first.record
    expect(new SpoolClock(record, machine(after).given).now() - record.at).toBe(expected)
  })

  test('P9: a date that is set while the process runs changes nothing, in either direction', () => {
    const { clocks, given, passes } = machine(12 * S)
    const clock = new SpoolClock(null, given)
    const begin = clock.now()
    for (const wall of [NOW, 0, NOW + HOUR]) {
      clocks.wall = wall
      passes(S)
    }
    expect(clock.now() - begin).toBe(3 * S)
  })

  test('P9: the time before a process counts as soon as its date is set', () => {
    const record = new SpoolClock(null, machine(NOW).given).record
    const { clocks, given, passes } = machine(12 * S)
    const clock = new SpoolClock(record, given)
    passes(10 * S)
    expect(clock.now() - record.at).toBe(10 * S)
    clocks.wall = NOW + HOUR
    expect(clock.now() - record.at).toBe(HOUR)
    passes(S)
    expect(clock.now() - record.at).toBe(HOUR + S)
  })
})

describe('[I3] P9: expiry in a spool', () => {
  const expiring = (seconds: number) =>
    publish('t', 'x', { qos: 1, properties: { messageExpiryInterval: seconds } })
  const next = async (queue: Spool): Promise<readonly Request[] | undefined> => {
    queue.end()
    return (await queue[Symbol.asyncIterator]().next()).value
  }

  test('P9: what was stored in 1970 is there after the date was set, in this process and the next', async () => {
    const folder = temporaryFolder()
    vi.useFakeTimers({ toFake: ['Date'], now: 7 * S })
    onTestFinished(() => {
      vi.useRealTimers()
      folder.remove()
    })
    const first = await spool(`${folder.path}/spool`)
    await first.push([expiring(60)])
    vi.setSystemTime(NOW)
    expect(await next(first)).toHaveLength(1)
    await first.close()
    vi.setSystemTime(NOW + 20 * S)
    const second = await spool(`${folder.path}/spool`)
    const [request] = (await next(second)) as [PublishRequest]
    // The second process knows how long the spool was closed.
    expect(request.properties?.messageExpiryInterval).toBe(40)
    await second.close()
    vi.setSystemTime(NOW + 61 * S)
    const outcomes: unknown[] = []
    const third = await spool(`${folder.path}/spool`, {
      onSettled: (_, outcome) => outcomes.push(outcome),
    })
    expect(await next(third)).toBeUndefined()
    expect(outcomes).toMatchObject([{ ok: false, error: { code: 'MESSAGE_EXPIRED' } }])
    await third.close()
  })
})
