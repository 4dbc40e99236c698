/** At which QoS, in which order and how often do messages come? */
import type { BrokerProfile, IncomingPublish, QoS } from '../index.ts'
import type { DoctorQuestion } from './question.ts'
import { hasPayload, NotKnown, payloadString, type Visit } from './visit.ts'

export const QOS_GRANTED: DoctorQuestion = {
  id: 'qos',
  question: 'Up to which QoS are messages delivered?',
  async run(visit) {
    const reader = await visit.open()
    const topic = visit.topic('best')
    const { codes } = await visit.grant(reader, topic, 2)
    const granted = Math.min(codes[0] ?? 0, 2)
    let most = 0
    let differs = ''
    for (const qos of [2, 1] as const) {
      const sender = await visit.open()
      const answer = await sender.publish(topic, `q${qos}`, { qos })
      if (answer.packet === 'puback' && qos === 2) differs = ', and PUBACK answers QoS 2'
      if (answer.kind === 'closed' && qos === 2) differs = ', and QoS 2 ends the connection'
      if (answer.kind !== 'accepted' || (qos === 2 && answer.packet === 'puback')) continue
      await visit.comes(reader, `the message at QoS ${qos}`, () =>
        hasPayload(reader.messages, `q${qos}`),
      )
      most = reader.messages.find((one) => payloadString(one) === `q${qos}`)!.qos
      break
    }
    const maximumQoS = Math.min(granted, most) as QoS
    return {
      answer: `QoS ${maximumQoS}${differs}`,
      reliable: maximumQoS === 2,
      meaning:
        maximumQoS === 2
          ? 'Exactly once is possible.'
          : `Ask for QoS ${maximumQoS} at most; a message may come twice.`,
      profile: { maximumQoS },
    }
  },
}

/** How many messages an order is judged by. */
const ORDERED = 8

async function inOrder(visit: Visit, topics: readonly string[]): Promise<boolean> {
  const reader = await visit.open()
  await visit.grant(reader, topics.length === 1 ? topics[0]! : visit.topic('+'), 1)
  const sender = await visit.open()
  const numbers = Array.from({ length: ORDERED }, (_, i) => String(i))
  const answers = await sender.publishTogether(
    numbers.map((n, i) => [topics[i % topics.length]!, n, { qos: 1 }] as const),
  )
  if (answers.some(({ kind }) => kind !== 'accepted')) throw new NotKnown('a publish failed')
  const came = () => [...new Set(reader.messages.map(payloadString))]
  await visit.comes(reader, 'all messages', () => came().length === ORDERED)
  return came().join() === numbers.join()
}

export const ORDER: DoctorQuestion = {
  id: 'order',
  question: 'Do messages to one topic come in their order?',
  async run(visit) {
    const ordered = await inOrder(visit, [visit.topic('one')])
    return {
      answer: ordered ? `yes, ${ORDERED} of ${ORDERED}` : 'no',
      reliable: ordered,
      meaning: ordered ? 'The last message is the newest.' : 'Number the messages.',
      profile: { ordered },
    }
  },
}

export const ORDER_OVER_TOPICS: DoctorQuestion = {
  id: 'order-over-topics',
  question: 'Do messages to several topics come in their order?',
  async run(visit) {
    const orderedOverTopics = await inOrder(visit, [visit.topic('a'), visit.topic('b')])
    return {
      answer: orderedOverTopics ? `yes, ${ORDERED} of ${ORDERED}` : 'no',
      reliable: orderedOverTopics,
      meaning: orderedOverTopics
        ? 'The standard asks for it within a topic only; an Ordered Topic is all that is certain.'
        : 'What belongs together goes to one topic.',
      profile: { orderedOverTopics },
    }
  },
}

type Copies = 'separate' | 'merged' | 'one-id' | 'untold'

const COPIES_WORDS: Readonly<Record<Copies, string>> = {
  separate: 'a copy for each filter, with its identifier',
  merged: 'one copy with all identifiers',
  'one-id': 'one copy',
  untold: 'a copy for each filter',
}

const PAIRS: readonly (readonly [QoS, QoS])[] = [
  [0, 0],
  [1, 1],
  [0, 1],
]

export const OVERLAP: DoctorQuestion = {
  id: 'overlap',
  question: 'What comes for a message that two filters of one client match?',
  async run(visit) {
    const reader = await visit.open()
    const sender = await visit.open()
    const hasIds = visit.version === 5 && visit.first.limits?.subscriptionIdentifiersAvailable
    const identified = (n: number) => (hasIds ? { properties: { subscriptionIdentifier: n } } : {})
    for (const [i, [a, b]] of PAIRS.entries()) {
      await visit.grant(reader, visit.topic(`${i}/+`), a, identified(2 * i + 1))
      await visit.grant(reader, visit.topic(`${i}/both`), b, identified(2 * i + 2))
    }
    for (const i of PAIRS.keys()) await visit.send(sender, visit.topic(`${i}/both`), `both${i}`)
    const copies = (i: number) => reader.messages.filter((one) => payloadString(one) === `both${i}`)
    for (const i of PAIRS.keys()) {
      await visit.comes(reader, 'a message', () => copies(i).length > 0)
    }
    await visit.mayCome(reader, () => PAIRS.every((_, i) => copies(i).length > 1))
    const found = PAIRS.map((_, i) => copiesOf(copies(i)))
    return overlapReply(found)
  },
}

function copiesOf(copies: readonly IncomingPublish[]): Copies {
  const counts = copies.map(({ properties }) => [properties?.subscriptionIdentifier ?? []].flat())
  if (copies.length === 1) return counts[0]!.length > 1 ? 'merged' : 'one-id'
  return copies.length === 2 && counts.every(({ length }) => length === 1) ? 'separate' : 'untold'
}

function overlapReply(found: readonly Copies[]) {
  const [first] = found
  const isOne = found.every((one) => one === first)
  const [one, two, mixed] = found.map((kind) => COPIES_WORDS[kind])
  const answer = isOne ? one! : `${one} at QoS 0, ${two} at QoS 1, ${mixed} if they differ`
  const overlap: BrokerProfile['overlap'] = isOne && first !== 'untold' ? first : 'unknown'
  const isSure = overlap === 'separate' || overlap === 'merged'
  return {
    answer,
    reliable: isSure,
    meaning: isSure
      ? 'Each subscription of a client gets its own messages, once.'
      : overlap === 'one-id'
        ? 'Identifiers do not say which filters match; it-mqtt compares the topics.'
        : 'A subscription may get a message twice; use filters that do not overlap.',
    profile: overlap === 'unknown' ? {} : { overlap },
  }
}

export const SENDS_AHEAD: DoctorQuestion = {
  id: 'sends-ahead',
  question: 'Does it send further messages while one is not acknowledged?',
  async run(visit) {
    const reader = await visit.open({ holds: true })
    const sender = await visit.open()
    const topic = visit.topic('ahead')
    await visit.grant(reader, topic, 1)
    await visit.send(sender, topic, '0')
    await visit.send(sender, topic, '1')
    await visit.comes(reader, 'the first message', () => hasPayload(reader.messages, '0'))
    const came = await visit.mayCome(reader, () => hasPayload(reader.messages, '1'))
    return {
      answer: came ? 'yes' : 'no',
      reliable: came,
      meaning: came
        ? 'A handler may take its time, and may wait for other messages.'
        : 'A handler that waits for another message waits in vain; acknowledge on receipt.',
      profile: { sendsAhead: came },
    }
  },
}
