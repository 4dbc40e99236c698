/**
 * Goal: each question has the right answer at a broker that does what it asks for, and at one that
 * does not. Method: the broker in memory with its habits and faults, in both versions; one row for
 * each.
 */
import { describe, expect, test } from 'vitest'
import type { BrokerProfile, DoctorReport } from '../../src/doctor/index.ts'
import type { BrokerOptions, PacketRecord, TestBroker } from '../../src/testing/index.ts'
import { about, patient, payloadOfRecord, reported, toBroker, toClient } from './world.ts'

interface Row {
  readonly id: string
  readonly is: string
  readonly versions?: readonly (4 | 5)[]
  readonly options?: BrokerOptions
  readonly prepare?: (broker: TestBroker) => void
  readonly answer: string | RegExp
  readonly reliable: boolean
  readonly profile: BrokerProfile
  readonly certainty?: 'said'
}

const ONLY_5 = [5] as const
const ALWAYS = { times: Number.POSITIVE_INFINITY }

const filtersOf = ({ packet }: PacketRecord) =>
  packet.cmd === 'subscribe' ? packet.subscriptions.length : 0

const subscribesTo = (question: string) => (record: PacketRecord) =>
  record.packet.cmd === 'subscribe' &&
  record.packet.subscriptions.some(({ topic }) => topic.includes(`/${question}/`))

/** Refuses what has many levels, in one of the ways that brokers have. */
const manyLevels = ({ packet }: PacketRecord) =>
  (packet.cmd === 'publish' && packet.topic.split('/').length > 20) ||
  (packet.cmd === 'subscribe' && packet.subscriptions[0]!.topic.split('/').length > 20)

const ROWS: readonly Row[] = [
  {
    ...{ id: 'announced', is: 'limits', versions: ONLY_5, certainty: 'said' },
    options: { receiveMaximum: 20, retainAvailable: false, serverKeepAlive: 30 },
    answer: 'Receive Maximum 20, no retained messages, Keep Alive 30 s',
    ...{ reliable: true, profile: {} },
  },
  {
    ...{ id: 'announced', is: 'nothing', versions: ONLY_5, certainty: 'said' },
    ...{ answer: 'none', reliable: true, profile: {} },
  },
  {
    ...{ id: 'response-information', is: 'given', versions: ONLY_5, certainty: 'said' },
    options: { responseInformation: 'answers/7' },
    ...{ answer: 'yes', reliable: true, profile: { responseInformation: true } },
  },
  {
    ...{ id: 'response-information', is: 'not given', versions: ONLY_5, certainty: 'said' },
    ...{ answer: 'no', reliable: false, profile: { responseInformation: false } },
  },
  {
    ...{ id: 'qos', is: 'exactly once', answer: 'QoS 2', reliable: true },
    profile: { maximumQoS: 2 },
  },
  {
    ...{ id: 'qos', is: 'granted as 1', options: { maximumQoS: 1 } },
    ...{ answer: /^QoS 1/, reliable: false, profile: { maximumQoS: 1 } },
  },
  {
    ...{ id: 'qos', is: 'QoS 2 ends the connection', answer: /^QoS 1, and QoS 2 ends/ },
    prepare: ({ faults }) => faults.kill({ cmd: 'publish', qos: 2, direction: 'toBroker' }, ALWAYS),
    ...{ reliable: false, profile: { maximumQoS: 1 } },
  },
  {
    ...{ id: 'qos', is: 'PUBACK for QoS 2', answer: /^QoS 1, and PUBACK answers QoS 2/ },
    prepare: ({ faults }) =>
      faults.answer({ cmd: 'publish', qos: 2 }, [{ cmd: 'puback', reasonCode: 0 }], ALWAYS),
    ...{ reliable: false, profile: { maximumQoS: 1 } },
  },
  {
    ...{ id: 'filters-per-subscribe', is: 'without a limit', answer: '256 and more' },
    ...{ reliable: true, profile: {} },
  },
  {
    ...{ id: 'filters-per-subscribe', is: 'eight, or the connection ends' },
    prepare: ({ faults }) => faults.kill((record) => filtersOf(record) > 8, ALWAYS),
    ...{ answer: '8, and not 9', reliable: false, profile: { filtersPerSubscribe: 8 } },
  },
  {
    ...{ id: 'filters-per-subscribe', is: 'a hundred, or silence' },
    prepare: ({ faults }) => faults.drop((record) => filtersOf(record) > 100, ALWAYS),
    ...{ answer: /^100, and not 10[1-3]$/, reliable: false },
    profile: { filtersPerSubscribe: 100 },
  },
  {
    ...{ id: 'packet-size', is: 'large', answer: '1,048,576 bytes and more' },
    ...{ reliable: true, profile: {} },
  },
  {
    ...{ id: 'packet-size', is: 'limited, and announced', versions: ONLY_5 },
    options: { maximumPacketSize: 200_000 },
    ...{ answer: '200,000 bytes announced', reliable: true },
    profile: { maximumPacketSize: 200_000 },
  },
  {
    ...{ id: 'packet-size', is: 'limited, and not announced', versions: [4] },
    options: { maximumPacketSize: 131_072 },
    ...{ answer: '131,072 bytes, and not 262,144 bytes', reliable: false },
    profile: { maximumPacketSize: 131_072 },
  },
  {
    ...{ id: 'packet-size-obeyed', is: 'obeyed', versions: ONLY_5, answer: 'yes' },
    ...{ reliable: true, profile: { packetSizeObeyed: true } },
  },
  {
    ...{ id: 'packet-size-obeyed', is: 'not obeyed', versions: ONLY_5, answer: 'no' },
    prepare: (broker) => {
      const isLarge = (record: PacketRecord) => payloadOfRecord(record).length > 256
      broker.watch(about('packet-size-obeyed', isLarge), ({ packet }) => {
        const [reader] = [...broker.clients.values()].filter(
          ({ connect }) => connect.properties?.maximumPacketSize !== undefined,
        )
        if (packet.cmd !== 'publish') return
        const head = Buffer.from([0x30, 0x84, 0x04, 0, 1, 0x78, 0])
        broker.send(reader!.clientId, Buffer.concat([head, Buffer.alloc(512)]))
      })
    },
    ...{ reliable: false, profile: { packetSizeObeyed: false } },
  },
  {
    ...{ id: 'receive-maximum', is: 'obeyed', versions: ONLY_5, answer: 'yes' },
    ...{ reliable: true, profile: { receiveMaximumObeyed: true } },
  },
  {
    ...{ id: 'receive-maximum', is: 'not obeyed', versions: ONLY_5 },
    options: { receiveMaximumObeyed: false },
    ...{ answer: /^no: 10 unacknowledged with 4, 10 when resumed$/, reliable: false },
    profile: { receiveMaximumObeyed: false },
  },
  {
    ...{ id: 'sends-ahead', is: 'ahead', answer: 'yes', reliable: true },
    profile: { sendsAhead: true },
  },
  {
    ...{ id: 'sends-ahead', is: 'one at a time', options: { maxInflight: 1 } },
    ...{ answer: 'no', reliable: false, profile: { sendsAhead: false } },
  },
  {
    ...{ id: 'order', is: 'kept', answer: 'yes, 8 of 8', reliable: true },
    profile: { ordered: true },
  },
  {
    ...{ id: 'order', is: 'broken', answer: 'no', reliable: false, profile: { ordered: false } },
    prepare: ({ faults }) =>
      faults.delay(
        about('order', (one) => toClient(one) && payloadOfRecord(one) === '3'),
        20,
      ),
  },
  {
    ...{ id: 'order-over-topics', is: 'kept', answer: 'yes, 8 of 8', reliable: true },
    profile: { orderedOverTopics: true },
  },
  {
    ...{ id: 'order-over-topics', is: 'broken', answer: 'no', reliable: false },
    prepare: ({ faults }) =>
      faults.delay(
        about('order-over-topics', (one) => toClient(one) && payloadOfRecord(one) === '2'),
        20,
      ),
    profile: { orderedOverTopics: false },
  },
  {
    ...{ id: 'overlap', is: 'merged', versions: ONLY_5, options: { overlap: 'merged' } },
    ...{ answer: 'one copy with all identifiers', reliable: true, profile: { overlap: 'merged' } },
  },
  {
    ...{ id: 'overlap', is: 'separate', versions: ONLY_5, options: { overlap: 'separate' } },
    ...{ answer: 'a copy for each filter, with its identifier', reliable: true },
    profile: { overlap: 'separate' },
  },
  {
    ...{ id: 'overlap', is: 'one copy', options: { overlap: 'one-id' } },
    ...{ answer: 'one copy', reliable: false, profile: { overlap: 'one-id' } },
  },
  {
    ...{ id: 'overlap', is: 'copies', options: { overlap: 'separate-no-id' } },
    ...{ answer: 'a copy for each filter', reliable: false, profile: {} },
  },
  {
    ...{ id: 'retained-wildcard', is: 'brought', answer: 'yes', reliable: true },
    profile: { retainedByWildcard: true },
  },
  {
    ...{ id: 'retained-wildcard', is: 'not brought', answer: 'no, only the exact topic does' },
    prepare: ({ faults }) => faults.drop(about('retained-wildcard', toClient)),
    ...{ reliable: false, profile: { retainedByWildcard: false } },
  },
  {
    ...{ id: 'retained-fence', is: 'before', answer: 'yes, 32 of 32', reliable: true },
    profile: { retainedBeforeFence: true },
  },
  {
    ...{ id: 'retained-fence', is: 'late', options: { retainedTiming: 'late' } },
    ...{ answer: 'no, 32 of 32 came later', reliable: false },
    profile: { retainedBeforeFence: false },
  },
  {
    ...{ id: 'retain-handling', is: 'obeyed', versions: ONLY_5, answer: 'yes' },
    ...{ reliable: true, profile: { retainHandling: true } },
  },
  {
    ...{ id: 'retain-handling', is: 'repeated', versions: ONLY_5, answer: 'no: they come again' },
    prepare: (broker) => {
      broker.watch(subscribesTo('retain-handling'), ({ packet }) => {
        // Before the first SUBSCRIBE is handled, nobody gets it.
        if (packet.cmd === 'subscribe') broker.publish(packet.subscriptions[0]!.topic, 'again')
      })
    },
    ...{ reliable: false, profile: { retainHandling: false } },
  },
  {
    ...{ id: 'retained-expiry', is: 'right', versions: ONLY_5, reliable: true },
    answer: 'they expire, the time left is counted down',
    profile: { retainedExpires: true, expiryCountsDown: true },
  },
  {
    ...{ id: 'retained-expiry', is: 'for ever', versions: ONLY_5, reliable: false },
    options: { retainedExpires: false, expiryCountsDown: false },
    answer: 'they do not expire, the time left is not counted down',
    profile: { retainedExpires: false, expiryCountsDown: false },
  },
  {
    ...{ id: 'session', is: 'kept', answer: 'yes', reliable: true },
    profile: { sessionKept: true },
  },
  {
    ...{ id: 'session', is: 'lost', versions: ONLY_5, options: { sessionExpiryMaximum: 0 } },
    ...{ answer: 'no: Session Present 0, the message is lost', reliable: false },
    profile: { sessionKept: false },
  },
  {
    ...{ id: 'session', is: 'said and not kept' },
    prepare: ({ faults }) => faults.drop(about('session', toClient), ALWAYS),
    ...{ answer: 'no: Session Present 1, the message is lost', reliable: false },
    profile: { sessionKept: false },
  },
  {
    ...{ id: 'no-subscribers', is: 'said', versions: ONLY_5, answer: 'at QoS 1 and 2' },
    ...{ reliable: true, profile: { noMatchingSubscribers: true } },
  },
  {
    ...{ id: 'no-subscribers', is: 'not said', versions: ONLY_5, answer: 'no' },
    options: { noMatchingSubscribers: false },
    ...{ reliable: false, profile: { noMatchingSubscribers: false } },
  },
  {
    ...{ id: 'no-subscribers-away', is: 'not said', versions: ONLY_5, answer: 'no' },
    ...{ reliable: true, profile: { noMatchingWhileAway: false } },
  },
  {
    ...{ id: 'no-subscribers-away', is: 'said', versions: ONLY_5, answer: 'yes' },
    prepare: ({ faults }) =>
      faults.answer(about('no-subscribers-away', toBroker), [{ cmd: 'puback', reasonCode: 0x10 }]),
    ...{ reliable: false, profile: { noMatchingWhileAway: true } },
  },
  {
    ...{ id: 'will', is: 'published', answer: 'yes', reliable: true },
    profile: { willPublished: true },
  },
  {
    ...{ id: 'will', is: 'lost', options: { willPublished: false }, answer: 'not within 2 s' },
    ...{ reliable: false, profile: { willPublished: false } },
  },
  {
    ...{ id: 'will', is: 'late', options: { willLateMs: 3000 }, answer: 'not within 2 s' },
    ...{ reliable: false, profile: { willPublished: false } },
  },
  {
    ...{ id: 'will-takeover', is: 'the older one', answer: 'that of the older one' },
    ...{ reliable: true, profile: { willOnTakeover: true } },
  },
  {
    ...{ id: 'will-takeover', is: 'none', options: { willOnTakeover: false }, answer: 'none' },
    ...{ reliable: false, profile: { willOnTakeover: false } },
  },
  {
    ...{ id: 'will-takeover', is: 'the new one', options: { willOnTakeover: 'new' } },
    ...{ answer: 'that of the new connection', reliable: false },
    profile: { willOnTakeover: 'new' },
  },
  {
    ...{ id: 'will-takeover-delay', is: 'withheld', versions: ONLY_5, answer: 'yes' },
    ...{ reliable: true, profile: { willDelayObeyed: true } },
  },
  {
    ...{ id: 'will-takeover-delay', is: 'without delay', versions: ONLY_5 },
    options: { willDelayed: false },
    ...{ answer: 'no: it comes immediately', reliable: false },
    profile: { willDelayObeyed: false },
  },
  {
    ...{ id: 'will-session-end', is: 'published', versions: ONLY_5, answer: 'yes' },
    ...{ reliable: true, profile: { willAtSessionEnd: true } },
  },
  {
    ...{ id: 'will-session-end', is: 'lost', versions: ONLY_5, answer: 'not within 2 s' },
    options: { willOnTakeover: false },
    ...{ reliable: false, profile: { willAtSessionEnd: false } },
  },
  {
    ...{ id: 'shared', is: 'there', answer: 'yes', reliable: true },
    profile: { sharedSubscriptions: true },
  },
  {
    ...{ id: 'shared', is: 'announced as absent', versions: ONLY_5, certainty: 'said' },
    options: { sharedAvailable: false },
    ...{ answer: 'no', reliable: false, profile: { sharedSubscriptions: false } },
  },
  {
    ...{ id: 'shared', is: 'granted and empty', versions: [4], options: { sharedInMqtt3: false } },
    ...{ answer: 'no: it is granted, and nothing comes', reliable: false },
    profile: { sharedSubscriptions: false },
  },
  {
    ...{ id: 'shared', is: 'closing', answer: 'no: they end the connection', reliable: false },
    prepare: ({ faults }) => faults.kill(subscribesTo('shared'), ALWAYS),
    profile: { sharedSubscriptions: false },
  },
  {
    ...{ id: 'shared-lost', is: 'given to another', answer: 'yes', reliable: true },
    profile: { sharedRedistribution: true },
  },
  {
    ...{ id: 'shared-lost', is: 'lost', options: { sharedRedistribution: false } },
    ...{ answer: 'no, it is lost', reliable: false, profile: { sharedRedistribution: false } },
  },
  {
    ...{ id: 'shared-away', is: 'skipped', answer: 'yes', reliable: true },
    profile: { sharedSkipsAway: true },
  },
  {
    ...{ id: 'shared-away', is: 'served', answer: 'no, it got 2 of 4', reliable: false },
    prepare: ({ faults }) => faults.drop(about('shared-away', toClient), { times: 2 }),
    profile: { sharedSkipsAway: false },
  },
  {
    ...{ id: 'shared-nobody', is: 'kept', answer: 'yes', reliable: true },
    profile: { sharedKept: true },
  },
  {
    ...{ id: 'shared-nobody', is: 'lost', answer: 'no', reliable: false },
    prepare: ({ faults }) =>
      faults.drop(
        about('shared-nobody', (one) => toClient(one) && payloadOfRecord(one) === 'kept'),
        ALWAYS,
      ),
    profile: { sharedKept: false },
  },
  {
    ...{ id: 'refused-publish', is: 'a code', versions: ONLY_5 },
    prepare: ({ faults }) => faults.refuse(manyLevels, 0x90, ALWAYS),
    ...{ answer: 'with 300 levels: a reason code', reliable: true },
    profile: { refusedPublish: ['code'] },
  },
  {
    ...{ id: 'refused-publish', is: 'closing' },
    prepare: ({ faults }) =>
      faults.kill((one) => one.packet.cmd === 'publish' && manyLevels(one), ALWAYS),
    ...{ answer: 'with 300 levels: it closes the connection', reliable: false },
    profile: { refusedPublish: ['closed'] },
  },
  {
    ...{ id: 'refused-publish', is: 'dropped and silent' },
    prepare: ({ faults }) => {
      faults.drop((one) => about('refused-publish', toClient)(one) && !manyLevels(one), ALWAYS)
      faults.drop((one) => one.packet.cmd === 'publish' && manyLevels(one), ALWAYS)
    },
    answer: 'below $SYS/: it acknowledges and drops it; with 300 levels: no answer',
    ...{ reliable: false, profile: { refusedPublish: ['dropped', 'silence'] } },
  },
  {
    ...{ id: 'refused-subscribe', is: 'a code', answer: 'with 300 levels: a reason code' },
    prepare: ({ faults }) => faults.refuse(manyLevels, 0x8f, ALWAYS),
    ...{ reliable: true, profile: { refusedSubscribe: ['code'] } },
  },
  {
    ...{ id: 'refused-subscribe', is: 'silent', answer: 'with 300 levels: no answer' },
    prepare: ({ faults }) => faults.drop(manyLevels, ALWAYS),
    ...{ reliable: false, profile: { refusedSubscribe: ['silence'] } },
  },
]

async function reportOf(row: Row, version: 4 | 5): Promise<DoctorReport> {
  const one = patient(row.options, version)
  row.prepare?.(one.broker)
  const report = await reported(one, { only: [row.id] })
  // Without an announced limit a client cannot know that a packet is too large.
  const { violations } = one.broker
  expect(violations.filter(({ reasonCode }) => reasonCode !== 0x95)).toEqual([])
  expect([...one.broker.sessions.keys()]).toEqual([])
  one.broker.close()
  expect(one.clock.pendingTimers).toBe(0)
  return report
}

describe.each(ROWS)('$id: $is', (row) => {
  test.each(row.versions ?? ([5, 4] as const))('MQTT %d', async (version) => {
    const { findings, profile } = await reportOf(row, version)
    const [finding] = findings
    const { id, certainty = 'shown', reliable } = row
    expect(findings).toHaveLength(1)
    expect(finding).toMatchObject({ id, certainty, why: null, reliable })
    if (typeof row.answer === 'string') expect(finding!.answer).toBe(row.answer)
    else expect(finding!.answer).toMatch(row.answer)
    expect(profile).toEqual(row.profile)
    if (certainty === 'shown') expect(finding!.evidence.length).toBeGreaterThan(1)
  })
})

test('each question has a row for an answer to rely on and one for the other', async () => {
  const one = patient()
  const { findings } = await reported(one)
  for (const { id } of findings) {
    if (id === 'announced') continue
    const found = ROWS.filter((row) => row.id === id).map(({ reliable }) => reliable)
    expect(new Set(found), id).toEqual(new Set([true, false]))
  }
  expect([...one.broker.retained.keys()]).toEqual([])
  // A question of MQTT 5 is not known in the other version, and says so.
  const old = await reported(patient({}, 4))
  const unknown = old.findings.filter(({ certainty }) => certainty === 'unknown')
  expect(unknown.length).toBeGreaterThan(8)
  expect(new Set(unknown.map(({ why }) => why))).toEqual(
    new Set(['it is a question of MQTT 5', 'it refused nothing that was asked for']),
  )
})
