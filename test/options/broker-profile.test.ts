/**
 * Goal: the loop acts on what a profile says of a server, and on nothing else of it. Method: a
 * broker in memory, whose log has what was sent.
 */
import { expect, test } from 'vitest'
import {
  type BrokerProfile,
  type EventloopOptions,
  eventloop,
  type Outcome,
  publish,
  type Request,
  subscribe,
  UsageError,
} from '../../src/index.ts'
import {
  createBroker,
  type TestBroker,
  type VirtualClock,
  virtualClock,
} from '../../src/testing/index.ts'

interface World {
  readonly clock: VirtualClock
  readonly broker: TestBroker
  readonly outcomes: Outcome[]
  readonly options: EventloopOptions
}

function world(profile: BrokerProfile, more: EventloopOptions = {}): World {
  const clock = virtualClock()
  const broker = createBroker({ clock })
  const outcomes: Outcome[] = []
  const options: EventloopOptions = {
    ...{ transport: broker.transport, platform: clock, keepAlive: 0, profile, ...more },
    ...{ reconnect: { when: 'always', minMs: 1, maxMs: 1 }, onWarning: () => {} },
    onSettled: (_, outcome) => outcomes.push(outcome),
  }
  return { clock, broker, outcomes, options }
}

const FILTERS = Array.from({ length: 7 }, (_, i) => `a/${i}`)

const sizes = ({ broker }: World) =>
  broker.packets('subscribe').map((one) => (one.cmd === 'subscribe' ? one.subscriptions.length : 0))

async function settled({ options }: World, requests: readonly Request[]): Promise<void> {
  for await (const _ of eventloop({ ...options, until: 'settled' }, requests));
}

test('[D5] filters go out as many in a SUBSCRIBE as the profile says', async () => {
  const all = world({ filtersPerSubscribe: 3 })
  await settled(all, [subscribe(FILTERS)])
  expect(sizes(all)).toEqual([3, 3, 1])
  expect(all.outcomes).toMatchObject([{ ok: true }])
})

test('[D5] a renewal after a lost session is no larger, although the SUBSCRIBE was', async () => {
  const all = world({ filtersPerSubscribe: 3 }, { until: 'closed' })
  const loop = eventloop(
    all.options,
    FILTERS.map((filter) => subscribe(filter)),
  )
  const reading = (async () => {
    for await (const _ of loop);
  })()
  await all.clock.until(all.broker.waitFor('suback', FILTERS.length))
  const before = sizes(all).length
  all.broker.restart({ keepSessions: false })
  await all.clock.until(all.broker.waitFor('suback', FILTERS.length + 3))
  expect(sizes(all).slice(before)).toEqual([3, 3, 1])
  await loop.return()
  await reading
})

test('[D5] the option counts more than the profile', async () => {
  const all = world({ filtersPerSubscribe: 3 }, { filtersPerSubscribe: 5 })
  await settled(all, [subscribe(FILTERS)])
  expect(sizes(all)).toEqual([5, 2])
})

test.each([5, 4] as const)('[T7] limits of the profile count in version %d', async (version) => {
  const profile = { maximumPacketSize: 40, sharedSubscriptions: false }
  const all = world(profile, { protocolVersion: version })
  await settled(all, [publish('a', 'x'.repeat(40), { qos: 1 }), subscribe('$share/g/a')])
  expect(all.outcomes).toMatchObject([
    { ok: false, error: { code: 'PACKET_TOO_LARGE', reasonCode: 0x95 } },
    { ok: false, error: { reasonCode: 0x9e } },
  ])
  expect(all.broker.packets('publish')).toEqual([])
  expect(all.broker.packets('subscribe')).toEqual([])
})

test('what is unknown changes nothing', async () => {
  const unknown = 'unknown'
  const all = world({
    filtersPerSubscribe: unknown,
    maximumPacketSize: unknown,
    sharedSubscriptions: unknown,
  })
  await settled(all, [subscribe([...FILTERS, '$share/g/a']), publish('a', 'x'.repeat(400))])
  expect(sizes(all)).toEqual([8])
  expect(all.outcomes.map(({ ok }) => ok)).toEqual([true, true])
})

test('a profile that cannot be is named', () => {
  for (const [profile, named] of [
    [{ filtersPerSubscribe: 0 }, 'profile.filtersPerSubscribe'],
    [{ maximumPacketSize: 3 }, 'profile.maximumPacketSize'],
    ['mosquitto', 'profile'],
  ] as const) {
    const options = { url: 'mqtt://localhost', profile: profile as BrokerProfile }
    expect(() => eventloop(options)).toThrow(UsageError)
    expect(() => eventloop(options)).toThrow(named)
  }
})

test.each([5, 4] as const)(
  '[T7] limits that were measured with another version than %d do not count',
  async (version) => {
    const measured = version === 5 ? 4 : 5
    const profile = { protocolVersion: measured, maximumPacketSize: 40 } as const
    const all = world(profile, { protocolVersion: version })
    await settled(all, [publish('a', 'x'.repeat(40), { qos: 1 })])
    expect(all.outcomes).toMatchObject([{ ok: true }])
  },
)

test('[T7] a CONNACK that grants Shared Subscriptions counts more than the profile', async () => {
  const all = world({ sharedSubscriptions: false })
  const properties = { sharedSubscriptionAvailable: true }
  all.broker.faults.answer('connect', [
    { cmd: 'connack', sessionPresent: false, reasonCode: 0, properties },
  ])
  all.broker.faults.answer('subscribe', [{ cmd: 'suback', granted: [0] }])
  await settled(all, [subscribe('$share/g/a')])
  expect(all.outcomes).toMatchObject([{ ok: true }])
})

test.each<[string, unknown]>([
  ['no field nonsense', { nonsense: true }],
  ['profile.sharedSubscriptions', { sharedSubscriptions: 'false' }],
  ['profile.overlap', { overlap: 'x' }],
  ['profile.refusedPublish', { refusedPublish: ['shrug'] }],
  ['report.profile', { profile: {}, findings: [] }],
  ['profile must be', [{ overlap: 'merged' }]],
])('a profile with a mistake is refused: %s', (named, profile) => {
  const options = { url: 'mqtt://localhost', profile: profile as BrokerProfile }
  expect(() => eventloop(options)).toThrow(UsageError)
  expect(() => eventloop(options)).toThrow(named)
})
