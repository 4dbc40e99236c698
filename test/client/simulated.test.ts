/** What the simulation of clients has found, each as a story of its own. */
import { describe, expect, test } from 'vitest'
import type { IncomingRequest } from '../../src/client/index.ts'
import { decodeSession, encodeSession, type Session, type SessionStore } from '../../src/index.ts'
import { collect, text, VERSIONS, World } from './world.ts'

const sleep = (world: World, ms: number) =>
  new Promise<void>((resolve) => void world.clock.setTimer(resolve, ms))

describe.each(VERSIONS)('MQTT %d', (version) => {
  test('[Q5] a request that comes again while it is executed waits for the answer, too', async () => {
    const world = new World(version)
    const server = world.running(world.keeping())
    const slow = async () => {
      await sleep(world, 300)
      return 'y'
    }
    await world.value(server.respond('a', slow, { responseQos: 1 }).granted)
    const asked = world.client().request('a', 'x')
    asked.catch(() => {})
    await world.clock.advance(100)
    world.broker.kill('c0')
    await world.clock.advance(150)
    const lost = { cmd: 'puback', clientId: 'c0', direction: 'toClient' } as const
    world.broker.faults.drop(lost)
    await world.clock.advance(100)
    expect(world.broker.packets(lost), 'an acknowledgement that was lost').toHaveLength(1)
    expect(world.broker.sessions.get('c0')?.inflight).toBe(1)
    world.broker.kill('c0')
    await world.clock.advance(500)
    expect(world.broker.sessions.get('c0')?.inflight).toBe(0)
    expect(text(await world.value(asked))).toBe('y')
  })

  test('[M1] no timer is left of a request that was pulled and not answered', async () => {
    const world = new World(version)
    const server = world.client()
    const requests = server.requests('a')
    const pulled = requests.next()
    await world.clock.settle()
    const other = world.client()
    const asked = other.request('a', '', { timeout: 20_000 })
    asked.catch(() => {})
    expect((await world.value(pulled)).done).toBe(false)
    await world.value(Promise.all([server.close(), other.close()]), 10_000)
    expect(await world.error(asked)).toMatchObject({ code: 'ENDED' })
    expect(world.clock.pendingTimers).toBe(0)
  })

  test("[M5] what was left is acknowledged by a subscription with acks: 'receipt'", async () => {
    const world = new World(version)
    const client = world.running(world.keeping())
    const left = client.subscribe('a', { onLeave: 'keep' })
    await world.value(left.granted)
    world.broker.publish('a', '1', { qos: 1 })
    world.broker.publish('a', '2', { qos: 2 })
    await world.clock.settle()
    await left.return!()
    await world.clock.settle()
    expect(world.broker.sessions.get('c0')?.inflight).toBe(2)
    const { messages, texts } = collect(client.subscribe('a', { acks: 'receipt' }))
    await world.clock.settle()
    expect(texts).toEqual(['1', '2'])
    expect(messages.map(({ redelivered }) => redelivered)).toEqual([true, true])
    expect(world.broker.sessions.get('c0')?.inflight).toBe(0)
  })

  test('[M5] [M12] after losses that look suspicious no message is lost at the reconnection', async () => {
    const world = new World(version)
    const client = world.running(world.keeping())
    const subscription = client.subscribe('a')
    const changes: string[] = []
    const watch = async () => {
      for await (const { status } of subscription.transitions()) changes.push(status)
    }
    void watch()
    await world.value(subscription.granted)
    world.broker.publish('a', '1', { qos: 1 })
    await world.clock.settle()
    // The server closes whenever it gets this publish, so that the loop sends one thing at a time.
    world.broker.faults.kill({ cmd: 'publish', topic: 'bad' }, { times: 2 })
    const published = client.publish('bad', '')
    await world.value(published, 5000)
    expect(changes.slice(0, 3)).toEqual(['granted', 'resumed', 'resumed'])
    expect(text((await world.value(subscription.next())).value)).toBe('1')
  })
})

test('[Q6] a repetition that is waited for longer is executed if the first one has expired', async () => {
  const world = new World()
  const server = world.running(world.client())
  const seen: string[] = []
  const work = async ({ key }: IncomingRequest) => {
    seen.push(key)
    await sleep(world, 1500)
    return 'y'
  }
  await world.value(server.respond('a', work, { concurrency: 1 }).granted)
  const client = world.client()
  const others = client.request('a', '', { key: 'others' })
  const first = client.request('a', '', { key: 'k', timeout: 1000 })
  const second = client.request('a', '', { key: 'k', timeout: 5000 })
  expect(await world.error(first, 1000)).toMatchObject({ code: 'TIMEOUT' })
  expect(text(await world.value(others, 1000))).toBe('y')
  expect(text(await world.value(second, 3000))).toBe('y')
  expect(seen).toEqual(['others', 'k'])
})

test('[M5] what comes for a filter that was left and subscribed again holds nobody back', async () => {
  const world = new World(5, { maxInflight: 1 })
  const client = world.running(world.keeping())
  const before = client.subscribe('a', { onLeave: 'release' })
  const other = client.subscribe('b')
  await world.value(Promise.all([before.granted, other.granted]))
  world.broker.publish('b', '1', { qos: 1 })
  world.broker.publish('a', '2', { qos: 1 })
  await before.return!()
  await world.clock.settle()
  const { texts } = collect(client.subscribe('a'))
  await world.clock.settle()
  expect(world.broker.sessions.get('c0')).toMatchObject({ inflight: 1, queued: 1 })
  await world.value(other.first())
  world.broker.publish('a', '3', { qos: 1 })
  await world.clock.settle()
  expect(texts).toEqual(['3'])
  expect(world.broker.sessions.get('c0')).toMatchObject({ inflight: 0, queued: 0 })
})

test('[S1] the answer of a renewal that waits for a commit outlives its connection', async () => {
  const world = new World()
  let saved: string | null = null
  let commitMs = 0
  const store: SessionStore = {
    load: async () => (saved === null ? null : decodeSession(saved)),
    commit: async (session: Session) => {
      await sleep(world, commitMs)
      saved = encodeSession(session)
    },
    close: async () => {},
  }
  const client = world.running(world.client({ session: store, sessionExpiryInterval: 60 }))
  const subscription = client.subscribe('a')
  await world.value(subscription.granted, 100)
  world.broker.restart({ keepSessions: false })
  // A message changes the session, so that what comes with it waits for a commit.
  world.broker.watch({ cmd: 'suback' }, () => {
    commitMs = 50
    world.broker.publish('a', 'x', { qos: 2 })
  })
  await world.clock.until(world.broker.waitFor('suback', 2))
  await world.clock.advance(5)
  world.broker.kill()
  await world.clock.advance(1000)
  expect(subscription.state.status).toBe('granted')
})
