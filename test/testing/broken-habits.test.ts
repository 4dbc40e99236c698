/**
 * Goal: the habits of brokers that break the standard, which what relies on wills and on expiry has
 * to survive. Method: raw clients on a virtual clock. Each test runs with the habit off, too.
 */
import type { IConnectPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import type { BrokerOptions } from '../../src/testing/broker-options.ts'
import { type RawPeer, type Version, world } from './raw-peer.ts'

const LASTING = { clean: false, properties: { sessionExpiryInterval: 60 } } as const

function willOf(payload: string, willDelayInterval = 0): Partial<IConnectPacket> {
  const properties = { willDelayInterval }
  const will = { topic: 'w', payload: Buffer.from(payload), qos: 1, retain: true, properties }
  return { will } as Partial<IConnectPacket>
}

/** A broker with a watcher of the topic `w`. */
async function watched(options: BrokerOptions, version: Version = 5) {
  const made = world(version, options)
  const watcher = await made.join('watcher')
  watcher.subscribe('w')
  await made.clock.settle()
  watcher.take()
  return { ...made, watcher }
}

const published = (peer: RawPeer): string[] =>
  peer.take().flatMap((line) => (line.startsWith('publish') ? [line.split(' ')[2]!] : []))

describe.each([5, 4] as const)('MQTT %d', (version) => {
  test.each([
    [true, ['gone']],
    [false, []],
  ] as const)('willPublished: %s', async (willPublished, expected) => {
    const { clock, broker, join, watcher } = await watched({ willPublished }, version)
    await join('a', willOf('gone'))
    broker.kill('a')
    await clock.advance(60_000)
    expect(published(watcher)).toEqual(expected)
    expect(broker.retained.size).toBe(expected.length)
  })

  test.each([
    [0, ['gone', 'here'], [], 'here'],
    [5000, ['here'], ['gone'], 'gone'],
  ] as const)('willLateMs: %d, though the client is back', async (willLateMs, ...expected) => {
    const { clock, broker, join, watcher } = await watched({ willLateMs }, version)
    const [before, after, last] = expected
    await join('a', willOf('gone'))
    broker.kill('a')
    const again = await join('a', willOf('gone again'))
    again.publish('w', 'here', { qos: 1, retain: true })
    await clock.advance(4999)
    expect(published(watcher)).toEqual(before)
    await clock.advance(1)
    expect(published(watcher)).toEqual(after)
    expect(Buffer.from(broker.retained.get('w')!.payload).toString()).toBe(last)
  })
})

test('a late will outlives a restart, and not the end of the broker', async () => {
  for (const ends of [false, true]) {
    const { clock, broker, join } = await watched({ willLateMs: 5000 })
    await join('a', willOf('gone'))
    broker.kill('a')
    if (ends) broker.close()
    else broker.restart()
    await clock.advance(5000)
    expect(broker.retained.has('w')).toBe(!ends)
  }
})

test.each([
  [true, [], ['gone']],
  [false, ['gone'], []],
] as const)('willDelayed: %s', async (willDelayed, before, after) => {
  const { clock, broker, join, watcher } = await watched({ willDelayed })
  await join('a', { ...LASTING, ...willOf('gone', 5) })
  broker.kill('a')
  await clock.advance(4999)
  expect(published(watcher)).toEqual(before)
  await clock.advance(1)
  expect(published(watcher)).toEqual(after)
})

test.each<[habit: boolean | 'new', delay: number, clean: boolean, expected: readonly string[]]>([
  [true, 0, false, ['old']],
  [true, 5, false, []],
  [true, 5, true, ['old']],
  [false, 0, false, []],
  ['new', 0, false, ['new']],
  ['new', 5, false, ['new']],
  ['new', 5, true, ['new']],
])('willOnTakeover: %s, delay %d s, clean start %s', async (habit, delay, clean, expected) => {
  const { clock, broker, join, watcher } = await watched({ willOnTakeover: habit })
  await join('a', { ...LASTING, ...willOf('old', delay) })
  await join('a', { ...LASTING, clean, ...willOf('new', delay) })
  await clock.advance(10_000)
  expect(published(watcher)).toEqual(expected)
  // The new connection has its will in any case.
  broker.kill('a')
  await clock.advance(10_000)
  expect(published(watcher)).toEqual(['new'])
})

test('willOnTakeover: new publishes nothing if the new connection has no will', async () => {
  const { clock, join, watcher } = await watched({ willOnTakeover: 'new' })
  await join('a', { ...LASTING, ...willOf('old') })
  await join('a', LASTING)
  await clock.advance(10_000)
  expect(published(watcher)).toEqual([])
})

test.each<[expires: boolean, counts: boolean, early: number | undefined, late: unknown]>([
  [true, true, 6, []],
  [true, false, 10, []],
  [false, true, undefined, [undefined]],
  [false, false, 10, [10]],
])('retainedExpires: %s, expiryCountsDown: %s', async (retainedExpires, counts, early, late) => {
  const { clock, broker, join } = world(5, { retainedExpires, expiryCountsDown: counts })
  const properties = { messageExpiryInterval: 10 }
  broker.publish('t', 'x', { qos: 1, retain: true, properties })
  const intervalsFor = async (clientId: string) => {
    const client = await join(clientId)
    client.subscribe('t')
    await clock.settle()
    return client.packets.flatMap((packet) =>
      packet.cmd === 'publish' ? [packet.properties?.messageExpiryInterval] : [],
    )
  }
  await clock.advance(4000)
  expect(await intervalsFor('early')).toEqual([early])
  await clock.advance(86_400_000)
  expect(await intervalsFor('late')).toEqual(late)
})

test('expiryCountsDown: false holds for messages that wait for a session and for wills', async () => {
  for (const [expiryCountsDown, left] of [
    [true, 6],
    [false, 10],
  ] as const) {
    const { clock, broker, join, peer } = world(5, { expiryCountsDown })
    const away = await join('away', LASTING)
    for (const topic of ['t', 'w']) away.subscribe(topic, { qos: 1 })
    await clock.settle()
    away.send('disconnect')
    const { will } = willOf('gone')
    const properties = { messageExpiryInterval: 10 }
    await join('a', { will: { ...will!, properties } })
    broker.kill('a')
    broker.publish('t', 'x', { qos: 1, properties })
    await clock.advance(4000)
    const back = peer()
    back.connect('away', LASTING)
    await clock.settle()
    expect(back.packets.slice(1)).toMatchObject(
      [
        { topic: 'w', properties },
        { topic: 't', properties },
      ].map((one) => ({ ...one, properties: { messageExpiryInterval: left } })),
    )
  }
})
