/** When does a watcher look at the leases of connections, and what does it make of signs that wait? */
import { expect, test } from 'vitest'
import { PresenceTimer } from '../../src/presence/presence-timer.ts'
import { virtualClock } from '../../src/testing/index.ts'
import { PresenceWorld, SYNC_MS } from './presence-world.ts'

/** A will of the user's own, so that only the lease tells of a loss. */
const OTHER_WILL = {
  will: { topic: 'other', payload: '' },
  reconnect: { when: 'never' },
} as const

test('[H2] a short lease ends in time although a longer one was there before', async () => {
  const world = new PresenceWorld()
  const watching = world.watching(world.running(world.client()))
  await world.clock.advance(SYNC_MS)
  await world.entered('slow', 1, { ttl: 300 })
  await world.entered('fast', 2, { ttl: 2 }, OTHER_WILL)
  watching.news()
  world.broker.kill('fast')
  await world.clock.advance(2100)
  expect(watching.news()).toEqual(['lost fast 2'])
})

test('[H2] a timer moves to an earlier instant, and says how late it is', async () => {
  const clock = virtualClock()
  const late: number[] = []
  const timer = new PresenceTimer(clock, (ms) => late.push(ms))
  const begin = clock.now()
  timer.set(begin + 5000)
  timer.set(begin + 100)
  timer.set(begin + 5000)
  await clock.advance(100)
  expect(late).toEqual([0])
  timer.set(begin + 5000)
  timer.set(Number.POSITIVE_INFINITY)
  expect(clock.pendingTimers).toBe(0)
})

test('[H2] a watcher whose process stood still reads what waits before it judges', async () => {
  const world = new PresenceWorld()
  const { clock, broker } = world
  let stoodStill = 0
  const platform = Object.assign(Object.create(clock) as typeof clock, {
    now: () => clock.now() + stoodStill,
    wallNow: () => clock.wallNow(),
    setTimer: (callback: () => void, ms: number) => clock.setTimer(callback, ms),
    clearTimer: (timer: unknown) => clock.clearTimer(timer),
  })
  const watching = world.watching(world.running(world.client({ clientId: 'watcher', platform })))
  await clock.advance(SYNC_MS)
  await world.entered('ada', 1, { ttl: 10 })
  expect(watching.news()).toEqual(['enter ada 1'])
  // The sign of 5 s waits; the timers of 10 s come first when the process goes on.
  broker.faults.delay({ cmd: 'publish', direction: 'toClient', clientId: 'watcher' }, 6000)
  await clock.advance(9000)
  stoodStill = 20_000
  await clock.advance(20_000)
  expect(watching.news()).toEqual([])
})
