/**
 * Goal: time passes only when the test says so, and everything that takes no time has happened
 * before. Method: timers, promises and loops on one clock.
 */
import { eventloop, publish, run, subscribe } from 'it-mqtt'
import { createBroker, virtualClock } from 'it-mqtt/testing'
import { expect, test } from 'vitest'

test('timers fire in the order in which they are due, each at its own instant', async () => {
  const clock = virtualClock({ startAt: 0 })
  const seen: string[] = []
  const note = (name: string) => (): void => {
    seen.push(`${name}@${clock.now()}`)
  }
  clock.setTimer(note('late'), 20)
  clock.setTimer(() => {
    note('first')()
    void Promise.resolve().then(() => clock.setTimer(note('chained'), 5))
  }, 10)
  clock.setTimer(note('same'), 10)
  clock.clearTimer(clock.setTimer(note('never'), 1))
  await clock.advance(19)
  expect([seen, clock.elapsed, clock.pendingTimers, clock.nextDue]).toEqual([
    ...[['first@10', 'same@10', 'chained@15'], 19, 1, 20],
  ])
  await clock.jump(100)
  expect(seen.at(-1)).toBe('late@119')
})

test('wall time and random numbers are the same in each run', () => {
  const draw = (seed: number): number[] => {
    const clock = virtualClock({ seed })
    return [clock.random(), clock.random(), clock.wallNow()]
  }
  expect(draw(1)).toEqual(draw(1))
  expect(draw(1)).not.toEqual(draw(2))
  expect(draw(3)[2]).toBe(Date.UTC(2026, 0, 1))
  for (const value of draw(4).slice(0, 2)) expect(value >= 0 && value < 1).toBe(true)
})

test('until: no more time passes than the promise needs', async () => {
  const clock = virtualClock({ startAt: 0 })
  const slept = new Promise<string>((resolve) => clock.setTimer(() => resolve('woken'), 500))
  clock.setTimer(() => {}, 9999)
  expect([await clock.until(slept), clock.elapsed]).toEqual(['woken', 500])
  await expect(clock.until(Promise.reject(new Error('no')))).rejects.toThrow('no')
})

test('until: a promise that nothing can settle is an error', async () => {
  const clock = virtualClock()
  const never = new Promise<void>(() => {})
  await expect(clock.until(never)).rejects.toThrow(/still pending, and no timer is set/)
  const stop = clock.every(10, () => {})
  await expect(clock.until(never, 100)).rejects.toThrow(/still pending, and 100 ms have passed/)
  stop()
  expect(clock.pendingTimers).toBe(0)
})

test('a timer that is set again and again without time passing is an error', async () => {
  const clock = virtualClock()
  const again = (): void => {
    clock.setTimer(again, 0)
  }
  again()
  await expect(clock.advance(1)).rejects.toThrow(/again and again/)
})

test('an hour of a loop with keep-alives takes no time', async () => {
  const clock = virtualClock()
  const broker = createBroker({ clock })
  const loop = eventloop(
    { clientId: 'a', keepAlive: 60, transport: broker.transport, platform: clock },
    [subscribe('t')],
  )
  const consumed = (async () => {
    for await (const packet of loop) if (packet.cmd === 'publish') return
  })()
  await clock.advance(3_600_000)
  broker.publish('t')
  await clock.until(consumed)
  expect(broker.packets('pingreq').length).toBeGreaterThanOrEqual(59)
  expect(broker.packets('connect')).toHaveLength(1)
})

test('waitFor: a packet that came already counts, and the second one is waited for', async () => {
  const clock = virtualClock()
  const broker = createBroker({ clock, logLimit: 3 })
  const client = broker.open()
  client.on('error', () => {})
  const send = (text: string): unknown => client.write(Buffer.from(text, 'hex'), () => {})
  send('100d00044d51545404020000000161')
  await clock.settle()
  const { at, clientId } = await clock.until(broker.waitFor('connect'))
  expect([at, clientId]).toEqual([clock.startedAt, 'a'])
  const second = broker.waitFor({ cmd: 'pingreq', clientId: 'a' }, 2)
  send('c000c000')
  expect((await clock.until(second)).packet).toEqual({ cmd: 'pingreq' })
  expect(broker.log).toHaveLength(3)
  broker.clearLog()
  expect(broker.log).toEqual([])
})

test('a loop calls wallNow() as a method of its platform', async () => {
  const clock = virtualClock()
  const options = { clientId: 'a', transport: createBroker({ clock }).transport, platform: clock }
  const { session } = await clock.until(run(options, [publish('t', 'x', { qos: 1 })]))
  expect(session.clientId).toBe('a')
})
