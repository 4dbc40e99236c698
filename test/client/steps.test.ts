/**
 * Goal: retained messages, newcomers, refusals and demand when the connection is lost at each step.
 * Method: the same run again and again, and the n-th packet is the last one of its connection.
 * Publishing, requests and everything about messages have test/simulation/client.
 */
import { describe, expect, test } from 'vitest'
import { collect, VERSIONS, World } from './world.ts'

const TOPICS = ['a/1', 'a/2', 'a/3']
/** Longer than a connection and all that is asked of it take. */
const SETTLED_MS = 2000

interface Run {
  readonly version: 4 | 5
  /** Whether the server keeps the session. */
  readonly keeps: boolean
  /** The number of the packet behind which the connection is lost, or null. */
  readonly at: number | null
}

/** @returns how many packets there were before all was settled. */
async function run({ version, keeps, at }: Run): Promise<number> {
  const world = new World(version)
  const where = `packet ${at} of MQTT ${version}, ${keeps ? 'with' : 'without'} a session`
  for (const topic of TOPICS) world.broker.publish(topic, topic, { retain: true, qos: 1 })
  let passed = 0
  world.broker.watch(
    () => true,
    () => {
      passed++
      if (passed === at) void Promise.resolve().then(() => world.broker.kill())
    },
  )
  world.broker.faults.refuse({ cmd: 'subscribe', topic: 'secret' })
  const client = keeps ? world.keeping() : world.client()
  await world.clock.advance(1000)
  expect([passed, world.clock.pendingTimers], `nothing runs before demand: ${where}`).toEqual([
    0, 0,
  ])
  const first = client.subscribe('a/+')
  const refused = client.subscribe('secret')
  const refusal = refused.granted.catch((error: unknown) => error)
  const seen = [collect(first)]
  const synced = [first.synced.catch((error: unknown) => error)]
  await world.clock.advance(SETTLED_MS)
  const newcomer = client.subscribe('a/+')
  seen.push(collect(newcomer))
  synced.push(newcomer.synced.catch((error: unknown) => error))
  await world.clock.advance(SETTLED_MS)
  expect(await world.value(refusal), where).toMatchObject({ code: 'SUBSCRIBE_REFUSED' })
  expect(await world.error(refused.next()), where).toMatchObject({ code: 'SUBSCRIBE_REFUSED' })
  for (const one of synced) {
    const settled = await world.value(one, 10_000)
    expect(settled, where).not.toBe('pending')
    if (at === null) expect(settled).toEqual({ certainty: 'quiet', count: TOPICS.length })
  }
  for (const { texts } of seen) {
    // Without a session everybody is given them again.
    expect([...new Set(texts)].toSorted(), where).toEqual(TOPICS)
    if (at === null) expect(texts).toHaveLength(TOPICS.length)
  }
  const packets = passed
  const before = seen.map(({ texts }) => texts.length)
  world.broker.publish('a/1', 'live', { qos: 1 })
  await world.clock.advance(SETTLED_MS)
  for (const [i, { texts }] of seen.entries()) {
    expect(texts.slice(before[i]), `what is live comes once: ${where}`).toEqual(['live'])
  }
  expect([first.state.status, newcomer.state.status], where).toEqual(['granted', 'granted'])
  return packets
}

describe.each(VERSIONS)('MQTT %d', (version) => {
  test.each([false, true])(
    '[M1] [M9] [M10] [M11] a connection that is lost at each step, with a session: %s',
    async (keeps) => {
      const packets = await run({ version, keeps, at: null })
      expect(packets).toBeGreaterThan(15)
      for (let at = 1; at <= packets; at++) await run({ version, keeps, at })
    },
  )
})
