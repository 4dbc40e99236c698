/**
 * Goal: what a broker did once, or did for another reason, restricts no client and promises nothing.
 * Method: rights, quotas, lost connections and copies as faults of the broker in memory; most of
 * them made the doctor say something wrong once.
 */
import { expect, test } from 'vitest'
import type { BrokerOptions, PacketRecord, TestBroker } from '../../src/testing/index.ts'
import { about, patient, payloadOfRecord, reported, toBroker, toClient } from './world.ts'

const ALWAYS = { times: Number.POSITIVE_INFINITY }
const isPublish = ({ packet }: PacketRecord) => packet.cmd === 'publish'
const isLarge = (bytes: number) => (record: PacketRecord) =>
  isPublish(record) && toBroker(record) && payloadOfRecord(record).length > bytes
const isShare = ({ packet }: PacketRecord) =>
  packet.cmd === 'subscribe' && packet.subscriptions[0]!.topic.startsWith('$share/')
const hasFilters =
  (count: number) =>
  ({ packet }: PacketRecord) =>
    packet.cmd === 'subscribe' && packet.subscriptions.length > count
const ofQuestion = (id: string) => about(id, toClient)

interface Doubt {
  readonly is: string
  readonly id: string
  readonly options?: BrokerOptions
  prepare(broker: TestBroker): void
  /** What was found wrongly, and may not be now. */
  readonly version?: 4 | 5
}

/** Nothing of these is known. */
const UNKNOWN: readonly Doubt[] = [
  {
    ...{ id: 'packet-size', is: 'the announced size meets a refusal' },
    options: { maximumPacketSize: 1_048_576 },
    prepare: ({ faults }) => faults.refuse(about('packet-size', toBroker), 0x87, ALWAYS),
  },
  {
    ...{ id: 'shared', is: 'rights forbid $share' },
    prepare: ({ faults }) => faults.refuse(isShare, 0x87, ALWAYS),
  },
  {
    ...{ id: 'shared', is: 'MQTT 3.1.1 has one code for every refusal', version: 4 },
    prepare: ({ faults }) => faults.refuse(isShare, 0x9e, ALWAYS),
  },
  {
    ...{ id: 'shared', is: 'every subscription ends the connection' },
    prepare: ({ faults }) => faults.kill('subscribe', ALWAYS),
  },
  {
    ...{ id: 'no-subscribers-away', is: 'it never says 0x10' },
    options: { noMatchingSubscribers: false },
    prepare: () => {},
  },
  ...['will', 'will-takeover', 'will-takeover-delay', 'will-session-end'].map((id) => ({
    ...{ id, is: 'rights forbid to read' },
    prepare: ({ faults }: TestBroker) => {
      faults.drop(ofQuestion(id), ALWAYS)
    },
  })),
  ...['will-takeover', 'will-takeover-delay', 'will-session-end'].map((id) => ({
    ...{ id, is: 'every will is lost', options: { willPublished: false } },
    prepare: () => {},
  })),
  {
    ...{ id: 'qos', is: 'every publish is refused' },
    prepare: ({ faults }) => faults.refuse(about('qos', toBroker), 0x87, ALWAYS),
  },
  ...['session', 'retain-handling', 'sends-ahead', 'shared-lost'].map((id) => ({
    ...{ id, is: 'rights forbid to read' },
    prepare: ({ faults }: TestBroker) => {
      faults.drop(ofQuestion(id), ALWAYS)
    },
  })),
  ...['receive-maximum', 'sends-ahead', 'session', 'shared-lost'].map((id) => ({
    ...{ id, is: 'QoS 0 is granted' },
    prepare: ({ faults }: TestBroker) => {
      faults.answer('subscribe', [{ cmd: 'suback', granted: [0] }], ALWAYS)
    },
  })),
]

test.each(UNKNOWN)('$id is not known if $is', async ({ id, options, prepare, version = 5 }) => {
  const one = patient(options, version)
  prepare(one.broker)
  const { findings, profile } = await reported(one, { only: [id] })
  expect(findings[0]).toMatchObject({ certainty: 'unknown', reliable: null })
  expect(findings[0]!.why).toBeTruthy()
  expect(profile).toEqual({})
})

/** Where only the cause is not proved, the answer goes as far as what was seen. */
const WITHIN: readonly (Doubt & { readonly answer: string; readonly profile?: object })[] = [
  {
    ...{ id: 'packet-size', is: 'the uplink is slow', answer: '262,144 bytes and more' },
    prepare: ({ faults }) => faults.delay(isLarge(500_000), 60_000, ALWAYS),
  },
  {
    ...{ id: 'packet-size', is: 'a quota refuses', answer: '131,072 bytes and more' },
    prepare: ({ faults }) => faults.refuse(isLarge(200_000), 0x97, ALWAYS),
  },
  {
    ...{ id: 'packet-size', is: 'a connection is lost', answer: '1,048,576 bytes and more' },
    prepare: ({ faults }) => faults.kill(isLarge(200_000)),
  },
  {
    ...{ id: 'filters-per-subscribe', is: 'a quota refuses', answer: '64 and more' },
    prepare: ({ faults }) => faults.refuse(hasFilters(100), 0x97, ALWAYS),
  },
  {
    ...{ id: 'filters-per-subscribe', is: 'nothing answers', answer: '64 and more' },
    prepare: ({ faults }) => faults.drop(hasFilters(100), ALWAYS),
  },
  {
    ...{ id: 'filters-per-subscribe', is: 'a connection is lost', answer: '256 and more' },
    prepare: ({ faults }) => faults.kill(hasFilters(100)),
  },
  {
    ...{ id: 'shared', is: 'a connection is lost', answer: 'yes' },
    prepare: ({ faults }) => faults.kill(isShare),
    profile: { sharedSubscriptions: true },
  },
  {
    ...{ id: 'shared', is: 'a message comes twice', answer: 'yes' },
    prepare: ({ faults }) => faults.duplicate(ofQuestion('shared')),
    profile: { sharedSubscriptions: true },
  },
  {
    ...{ id: 'qos', is: 'a connection is lost', answer: 'QoS 2' },
    prepare: ({ faults }) => faults.kill({ cmd: 'publish', qos: 2, direction: 'toBroker' }),
    profile: { maximumQoS: 2 },
  },
  {
    ...{ id: 'retained-fence', is: 'the fence comes twice', answer: 'yes, 21 of 21' },
    prepare: ({ faults }) =>
      faults.duplicate((one) => toClient(one) && payloadOfRecord(one) === 'fence', ALWAYS),
    profile: { retainedBeforeFence: true },
  },
]

test.each(WITHIN)('$id is $answer if $is', async ({ id, options, prepare, answer, profile }) => {
  const one = patient(options, 5)
  prepare(one.broker)
  const report = await reported(one, { only: [id] })
  expect(report.findings[0]).toMatchObject({ answer, why: null })
  const { protocolVersion: _, ...found } = report.profile
  expect(found).toEqual(profile ?? {})
})

test('a prefix of other letters fills the packet to the byte', async () => {
  const one = patient({ maximumPacketSize: 20_000 }, 5)
  const { findings } = await reported(one, { only: ['packet-size'], prefix: 'büro/doctor' })
  expect(findings[0]).toMatchObject({ answer: '20,000 bytes announced', certainty: 'shown' })
})

test('two copies with one and the same identifier are not told apart', async () => {
  const one = patient({ overlap: 'one-id' }, 5)
  one.broker.faults.duplicate(ofQuestion('overlap'), ALWAYS)
  const { profile } = await reported(one, { only: ['overlap'] })
  expect(profile).toEqual({})
})
