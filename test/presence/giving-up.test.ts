/**
 * Goal: a call that is given up leaves nothing behind, whatever it waited for. Method: each answer
 * of the broker takes a while, and the call is given up at every moment until it would have had its
 * result; the broker's retained messages, the demand of the client and its timers are looked at.
 */
import { describe, expect, test } from 'vitest'
import { type Client, hostOf } from '../../src/client/index.ts'
import { type CallBounds, type MemberOptions, presence } from '../../src/presence/index.ts'
import { SyncWaiters } from '../../src/presence/sync-waiters.ts'
import { VERSIONS } from '../client/world.ts'
import { PresenceWorld, SYNC_MS, shown } from './presence-world.ts'

const ALWAYS = { times: Number.POSITIVE_INFINITY }
const ANSWER_MS = 20
/** Longer than whatever the client asks of the server by itself. */
const CALM_MS = 8000
const REASON = new Error('enough')

/** A world in which every packet of the broker takes a while. */
function slowWorld(version: 4 | 5 = 5): PresenceWorld {
  const world = new PresenceWorld(version)
  world.broker.faults.delay({ direction: 'toClient' }, ANSWER_MS, ALWAYS)
  return world
}

/** Begins a call, and gives it up after some ms. @returns the error, or null if it was too late. */
async function givenUp(
  world: PresenceWorld,
  ms: number,
  how: 'signal' | 'timeout',
  call: (bounds: CallBounds) => Promise<unknown>,
) {
  const ending = new AbortController()
  const bounds = how === 'signal' ? { signal: ending.signal } : { timeout: ms + 0.5 }
  const calling = call(bounds).then(
    () => null,
    (error) => error,
  )
  await world.clock.advance(ms)
  ending.abort(REASON)
  return world.value(calling, how === 'signal' ? 0 : 1)
}

function expectReason(error: { code?: string }, how: 'signal' | 'timeout'): void {
  if (how === 'signal') expect(error).toBe(REASON)
  else expect(error).toMatchObject({ name: 'ConnectionError', code: 'TIMEOUT', retryable: true })
}

async function expectNoDemand(world: PresenceWorld, client: Client): Promise<void> {
  await world.clock.advance(CALM_MS)
  expect(hostOf(client).isRead).toBe(false)
}

const names = (world: PresenceWorld) =>
  [...world.broker.retained.keys()].map((topic) => topic.split('/').slice(1, 4).join('/'))

describe.each(VERSIONS)('MQTT %d', (version) => {
  test.each(['signal', 'timeout'] as const)(
    '[H4] enter() that is given up by its %s, at any moment, has not entered',
    async (how) => {
      let moments = 0
      for (let ms = 0; ; ms += ANSWER_MS / 2) {
        const world = slowWorld(version)
        const client = world.present({ clientId: 'ada' })
        const room = presence(client, 'room')
        const error = await givenUp(world, ms, how, (bounds) => room.enter(1, bounds))
        if (error === null) break
        expectReason(error, how)
        expect(room.state.entered).toBe(0)
        await expectNoDemand(world, client)
        expect(names(world), `after ${ms} ms`).toEqual([])
        // It can enter after all, and is renewed as ever.
        await world.value(room.enter(2), CALM_MS)
        expect(names(world)).toContain('s/room/ada')
        await world.end()
        moments++
      }
      expect(moments).toBeGreaterThan(3)
    },
  )

  test('[H5] get() that is given up at any moment leaves nothing, and may be called again', async () => {
    let moments = 0
    for (let ms = 0; ; ms += ANSWER_MS / 2) {
      const world = slowWorld(version)
      await world.entered('ada', 1).catch(() => {})
      await world.clock.advance(CALM_MS)
      const client = world.client({ clientId: 'watcher' })
      const room = presence(client, 'room')
      const error = await givenUp(world, ms, 'signal', (bounds) => room.get(bounds))
      if (error === null) break
      expect(error).toBe(REASON)
      await expectNoDemand(world, client)
      expect(shown(await world.value(room.get(), CALM_MS))).toEqual(['ada 1'])
      await world.end()
      moments++
    }
    expect(moments).toBeGreaterThan(10)
  })
})

test('[H5] get() without a server is given up, and the client dials no more', async () => {
  const world = new PresenceWorld()
  world.broker.refuseConnections()
  const client = world.client()
  const room = presence(client, 'room')
  const error = await givenUp(world, 500, 'timeout', (bounds) => room.get(bounds))
  expectReason(error, 'timeout')
  expect(error.message).toMatch(/^get: .* 500.5 ms$/)
  await expectNoDemand(world, client)
})

test('[H5] get() after a pause is given up while it waits for what the server had sent', async () => {
  const world = new PresenceWorld()
  const client = world.client()
  const room = presence(client, 'room')
  await world.value(room.get(), SYNC_MS)
  await world.clock.advance(5000)
  world.broker.faults.drop({ cmd: 'publish', direction: 'toClient' }, ALWAYS)
  expect(await givenUp(world, 100, 'signal', (bounds) => room.get(bounds))).toBe(REASON)
  await expectNoDemand(world, client)
})

test.each([
  ['signal', { signal: AbortSignal.abort(REASON) }, REASON.message],
  ['signal', { signal: 5 as never }, 'signal must be an AbortSignal'],
  ['timeout', { timeout: 0 }, 'timeout must be a number of ms, more than 0'],
  ['timeout', { timeout: Number.NaN }, 'not NaN'],
])('[H7] bounds that end a call before it begins: %s %o', async (_, bounds, text) => {
  const world = new PresenceWorld()
  const room = presence(world.present(), 'room')
  const calls = [room.enter(1, bounds), room.update(1, bounds), room.get(bounds)]
  for (const error of await world.errors([...calls, room.leave(1, bounds)])) {
    expect(error.message).toContain(text)
  }
  await world.clock.advance(1000)
  expect(world.broker.log).toEqual([])
})

/** What a member has at last, after calls of which the last one is given up. */
interface Undone {
  readonly is: string
  readonly before: boolean
  /** Calls that nobody gives up, while no record is acknowledged. */
  readonly meanwhile: readonly ('enter' | 'leave')[]
  readonly online: boolean
  readonly has: string | null
}

const UNDONE: readonly Undone[] = [
  { is: 'an update online', before: true, meanwhile: [], online: true, has: '"before"' },
  { is: 'an update offline', before: true, meanwhile: [], online: false, has: '"before"' },
  { is: 'an entry offline', before: false, meanwhile: [], online: false, has: null },
  { is: 'a later update', before: true, meanwhile: ['enter'], online: true, has: '"enter"' },
  { is: 'it offline', before: true, meanwhile: ['enter'], online: false, has: '"enter"' },
  { is: 'a second entry', before: false, meanwhile: ['enter'], online: true, has: '"enter"' },
  { is: 'it offline', before: false, meanwhile: ['enter'], online: false, has: '"enter"' },
  { is: 'an entry after a leave', before: true, meanwhile: ['leave'], online: true, has: null },
  { is: 'it offline', before: true, meanwhile: ['leave'], online: false, has: null },
  {
    ...{ is: 'it after both, offline', before: false, meanwhile: ['enter', 'leave'] },
    ...{ online: false, has: null },
  },
]

test.each(UNDONE)(
  '[H4] $is that is given up is as it was: $has (before: $before, meanwhile: $meanwhile)',
  async ({ before, meanwhile, online, has }) => {
    const world = new PresenceWorld()
    const client = world.running(world.present({ clientId: 'ada' }))
    const room = presence(client, 'room')
    if (before) await world.value(room.enter('before'))
    await world.clock.advance(1000)
    // Records are published all the same.
    const hold = world.broker.faults.drop({ cmd: 'puback', direction: 'toClient' }, ALWAYS)
    if (!online) {
      world.broker.refuseConnections()
      world.broker.kill()
      await world.clock.advance(10)
    }
    const others = meanwhile.map((what) => room[what](what))
    const settled = Promise.allSettled(others)
    expect(await givenUp(world, 10, 'signal', (bounds) => room.update('x', bounds))).toBe(REASON)
    hold.remove()
    world.broker.acceptConnections()
    // What was not acknowledged is acknowledged on the next connection.
    client.reconnect()
    const outcomes = await world.value(settled, CALM_MS)
    expect(outcomes.map(({ status }) => status)).toEqual(others.map(() => 'fulfilled'))
    const kept = [...world.broker.retained.values()].find(({ topic }) => topic.includes('/s/room/'))
    const data = kept && JSON.parse(new TextDecoder().decode(kept.payload)).data
    expect(data === undefined ? null : JSON.stringify(data)).toBe(has)
    expect(room.state.entered).toBe(has === null ? 0 : 1)
    await world.value(room.leave(), 100)
    expect(names(world)).toEqual([])
  },
)

test('[H6] leave() that is given up leaves all the same', async () => {
  const world = new PresenceWorld()
  const { room } = await world.entered('ada', 1)
  world.broker.refuseConnections()
  world.broker.kill()
  await world.clock.advance(10)
  const options: MemberOptions = { timeout: 100 }
  expect((await world.error(room.leave(undefined, options), 100)).code).toBe('TIMEOUT')
  world.broker.acceptConnections()
  await world.clock.advance(1000)
  expect(names(world)).toEqual([])
})

test('[H6] an update that is given up does not belong to its presence', async () => {
  const world = new PresenceWorld()
  const { client, room } = await world.entered('ada', 1)
  const other = presence(client, 'room')
  const hold = world.broker.faults.drop({ cmd: 'puback', direction: 'toClient' }, ALWAYS)
  expect(await givenUp(world, 10, 'signal', (bounds) => other.update(2, bounds))).toBe(REASON)
  hold.remove()
  client.reconnect()
  await world.clock.advance(1000)
  expect(names(world)).toContain('s/room/ada')
  // The other one is open still, and does not hold it.
  await world.value(room.close(), 100)
  expect(names(world)).toEqual([])
})

test('[H4] an earlier call that is given up changes nothing of a later one', async () => {
  const world = slowWorld()
  const client = world.running(world.present({ clientId: 'ada' }))
  const room = presence(client, 'room')
  await world.clock.advance(1000)
  const later = async () => {
    await world.clock.advance(1)
    return room.update('later')
  }
  const calling = later()
  expect(await givenUp(world, 5, 'signal', (bounds) => room.enter('x', bounds))).toBe(REASON)
  await world.value(calling, 1000)
  const written = world.broker
    .packets({ cmd: 'publish', direction: 'toBroker' })
    .filter((packet) => packet.cmd === 'publish' && packet.topic.startsWith('presence/s/'))
  expect(written).toHaveLength(2)
  const kept = [...world.broker.retained.values()].find(({ topic }) => topic.includes('/s/room/'))
  expect(JSON.parse(new TextDecoder().decode(kept!.payload)).data).toBe('later')
})

test('[H4] that the server refuses what was given up is nothing to the calls before it', async () => {
  const world = slowWorld()
  const client = world.present({ clientId: 'ada' })
  const room = presence(client, 'room')
  const first = room.enter('first')
  world.broker.faults.refuse({ cmd: 'publish', topic: 'presence/s/#' })
  const settled = first.then(() => room.state.entered)
  // The CONNACK has come, and the record of the second call has left.
  const ms = 1.5 * ANSWER_MS
  expect(await givenUp(world, ms, 'signal', (bounds) => room.update('x', bounds))).toBe(REASON)
  expect(await world.value(settled, 1000)).toBe(1)
})

test('[H6] an entry that is given up after another presence has left enters nobody', async () => {
  const world = new PresenceWorld()
  const { client, room } = await world.entered('ada', 1)
  world.broker.refuseConnections()
  world.broker.kill()
  await world.clock.advance(10)
  await room.close()
  const other = presence(client, 'room')
  expect(await givenUp(world, 10, 'signal', (bounds) => other.enter(2, bounds))).toBe(REASON)
  world.broker.acceptConnections()
  await world.clock.advance(1000)
  expect(names(world)).toEqual([])
})

test('[H8] calls that have their result leave no timer, and no listener at their signal', async () => {
  const world = new PresenceWorld()
  const room = presence(world.present(), 'room')
  const { signal } = new AbortController()
  const heard = new Set<unknown>()
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (type: string, listener: never) => {
    heard.add(listener)
    add(type, listener)
  }
  signal.removeEventListener = (type: string, listener: never) => {
    heard.delete(listener)
    remove(type, listener)
  }
  const bounds = { signal, timeout: 86_400_000 }
  const calls = [room.enter(1, bounds), room.update(2, bounds), room.get(bounds)]
  expect(heard.size).toBe(calls.length)
  await world.value(Promise.all(calls), SYNC_MS)
  await world.value(room.leave(1, bounds))
  expect(heard.size).toBe(0)
  await world.end()
})

test('[H5] who has given up waits for no sync', async () => {
  const waiters = new SyncWaiters()
  const ending = new AbortController()
  const waiting = waiters.wait(ending.signal)
  ending.abort(REASON)
  await expect(waiting).rejects.toBe(REASON)
  expect(waiters.length).toBe(0)
})
