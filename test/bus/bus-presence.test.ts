/**
 * Goal: a process with `presence: true` is there from its first run to its end, and others hear of
 * its loss; without it nothing of this is done (B21). Method: buses at a broker in memory, and what
 * the broker retains.
 */
import { describe, expect, test } from 'vitest'
import { presence } from '../../src/presence/index.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

const retained = (w: BusWorld) => [...w.broker.retained.keys()]

describe.each([5, 4] as const)('MQTT %i', (version) => {
  test('[B21] a process is there from run() to close()', async () => {
    const w = new BusWorld(version)
    const one = w.bus('server', { presence: true, process: 'a/b' })
    const two = w.bus('server', { presence: true })
    one.serve(auth, answers)
    await w.run(two)
    const seen: string[] = []
    const watch = async () => {
      const watcher = w.client()
      for await (const { action, member } of presence(watcher, 'server', {
        prefix: 'bus/_presence',
      }).changes()) {
        seen.push(`${action} ${member.client}`)
      }
    }
    watch().catch(() => {})
    await w.clock.advance(2000)
    const running = one.run()
    await w.clock.advance(100)
    expect(seen).toEqual(['present p1', 'enter a/b'])
    const members = await w.value(two.processes!.get(), 2000)
    expect(members.map(({ client }) => client).sort()).toEqual(['a/b', 'p1'])
    expect(members[0]!.data).toEqual({ since: expect.stringMatching(/^\d{4}-.*Z$/) })
    const before = w.broker.packets({ cmd: 'publish' }).length
    await w.value(one.close(), 3000)
    await w.value(running)
    await w.clock.advance(100)
    expect(seen).toEqual(['present p1', 'enter a/b', 'leave a/b'])
    const after = w.broker.packets({ cmd: 'publish' }).slice(before)
    const topics = after.map((packet) => (packet as unknown as { topic: string }).topic)
    expect(topics.every((topic) => topic.startsWith('bus/_presence/'))).toBe(true)
    await w.value(two.close(), 3000)
    expect(retained(w)).toEqual([])
  })

  test('[B21] others hear when it is lost', async () => {
    const w = new BusWorld(version)
    const lost = w.bus('server', { presence: true }, { reconnect: 'never' } as never)
    await w.run(lost)
    const watcher = await w.run(w.bus('server', { presence: true }))
    const seen: string[] = []
    const watch = async () => {
      for await (const { action, member } of watcher.processes!.changes()) {
        seen.push(`${action} ${member.client}`)
      }
    }
    watch().catch(() => {})
    await w.clock.advance(2000)
    w.broker.kill('bus.server@p0')
    await w.clock.advance(20_000)
    expect(seen).toEqual(['present p0', 'present p1', 'lost p0'])
  })

  test('[B21] without the option it has no will, and nothing is retained', async () => {
    const w = new BusWorld(version)
    const bus = await w.run(w.bus('server'))
    expect(bus.processes).toBeNull()
    const [connect] = w.broker.packets({ cmd: 'connect' })
    expect((connect as { will?: unknown }).will ?? null).toBeNull()
    expect(retained(w)).toEqual([])
    expect(w.broker.packets({ cmd: 'publish' })).toEqual([])
  })
})

test('[B21] a second run() does not enter again', async () => {
  const w = new BusWorld()
  const bus = w.bus('server', { presence: true })
  const controller = new AbortController()
  const running = bus.run({ signal: controller.signal })
  await w.clock.advance(100)
  controller.abort()
  await w.value(running, 100)
  const before = w.broker.packets({ cmd: 'publish' }).length
  await w.run(bus)
  expect(w.broker.packets({ cmd: 'publish' })).toHaveLength(before)
  expect(before).toBeGreaterThan(0)
})

test('[B21] a run that is ended before there is a connection ends', async () => {
  const w = new BusWorld()
  const bus = w.bus('server', { presence: true }, {
    transport: () => new Promise(() => {}),
  } as never)
  const controller = new AbortController()
  const running = bus.run({ signal: controller.signal })
  await w.clock.advance(1000)
  controller.abort()
  expect(await w.after(100, running)).toEqual({ value: undefined })
})

test('[B21] a server that keeps no messages is an error', async () => {
  const w = new BusWorld(5, { retainAvailable: false })
  await w.run(w.bus('server', { presence: true }))
  expect(w.failures).toMatchObject([{ name: 'RefusedError' }])
})

test('[B21] true or false', () => {
  const w = new BusWorld()
  expect(() => w.bus('a', { presence: 1 as never })).toThrow(/presence must be true or false/)
  expect(() => w.bus('a', { control: 'no' as never })).toThrow(/control must be true or false/)
})
