/** At which QoS, in which order and how often do messages come? */
import type { BrokerProfile, IncomingPublish, QoS } from '../index.ts'
import type { PeerAnswer } from './peer.ts'
import { sureAnswer } from './proofs.ts'
import type { DoctorQuestion } from './question.ts'
import { hasPayload, NotKnown, payloadString, type Visit } from './visit.ts'

/** The reason code that says: not at this QoS. */
const QOS_CODE = 0x9b

async function sendAt(visit: Visit, topic: string, qos: QoS): Promise<PeerAnswer> {
  const sender = await visit.open()
  return sender.publish(topic, `q${qos}`, { qos })
}

export const QOS_GRANTED: DoctorQuestion = {
  id: 'qos',
  question: 'Up to which QoS are messages delivered?',
  async run(visit) {
    const reader = await visit.open()
    const topic = visit.topic('best')
    const { codes } = await visit.grant(reader, topic, 2)
    const granted = Math.min(codes[0] ?? 0, 2)
    let most: number | null = null
    let differs = ''
    for (const qos of [2, 1, 0] as const) {
      const isNext = () => hasPayload(reader.messages, `q${qos}`)
      const ask = () => sendAt(visit, topic, qos)
      const control = async () => {
        const answer = await sendAt(visit, topic, qos === 2 ? 1 : 0)
        await visit.comes(reader, 'a message at a lower QoS', () => reader.messages.length > 0)
        return answer
      }
      const answer = await sureAnswer({ ask, control })
      const isPuback = answer.packet === 'puback' && qos === 2
      if (isPuback) differs = ', and PUBACK answers QoS 2'
      if (answer.kind === 'closed' && qos === 2) differs = ', and QoS 2 ends the connection'
      if (answer.kind === 'accepted' && !isPuback) {
        await visit.comes(reader, `the message at QoS ${qos}`, isNext)
        most = reader.messages.find((one) => payloadString(one) === `q${qos}`)!.qos
        break
      }
      const isLimit = answer.kind === 'unsent' || answer.codes.includes(QOS_CODE)
      if (isLimit || isPuback || answer.kind === 'closed') continue
      throw new NotKnown(`a publish at QoS ${qos} got: ${answer.says}`)
    }
    if (most === null) throw new NotKnown('it took no message at any QoS')
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

type Copies = 'separate' | 'merged' | 'one-id' | 'untold' | 'unsteady'

const COPIES_WORDS: Readonly<Record<Copies, string>> = {
  separate: 'a copy for each filter, with its identifier',
  merged: 'one copy with all identifiers',
  'one-id': 'one copy',
  untold: 'copies that identifiers do not tell apart',
  unsteady: 'now this, now that',
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
    // The second message of each pair is a fence behind the copies of the first one.
    for (const name of ['both', 'behind']) {
      for (const i of PAIRS.keys()) {
        await visit.send(sender, visit.topic(`${i}/both`), `${name}${i}`)
      }
    }
    const copies = (name: string, i: number) =>
      reader.messages.filter((one) => !one.dup && payloadString(one) === `${name}${i}`)
    for (const i of PAIRS.keys()) {
      await visit.comes(reader, 'a message', () => copies('both', i).length > 0)
      await visit.comes(reader, 'a message', () => copies('behind', i).length > 0)
    }
    await reader.until(
      () => PAIRS.every((_, i) => copies('behind', i).length > 1 && copies('both', i).length > 1),
      visit.absenceMs,
    )
    const found = PAIRS.map((_, i) => {
      const ids = hasIds ? [2 * i + 1, 2 * i + 2] : []
      const both = copiesOf(copies('both', i), ids)
      return both === copiesOf(copies('behind', i), ids) ? both : 'unsteady'
    })
    if (reader.ended !== null) throw new NotKnown('the connection has ended')
    return overlapReply(found)
  },
}

/** @param expected the identifiers of the two filters, if the broker has them. */
function copiesOf(copies: readonly IncomingPublish[], expected: readonly number[]): Copies {
  const found = copies.map(({ properties }) => [properties?.subscriptionIdentifier ?? []].flat())
  const all = found.flat().sort((a, b) => a - b)
  const areBoth = expected.length === 2 && all.join() === expected.join()
  if (copies.length === 1) return areBoth ? 'merged' : all.length > 1 ? 'untold' : 'one-id'
  return copies.length === 2 && areBoth && found.every(({ length }) => length === 1)
    ? 'separate'
    : 'untold'
}

function overlapReply(found: readonly Copies[]) {
  const [first] = found
  const isOne = found.every((one) => one === first)
  const [one, two, mixed] = found.map((kind) => COPIES_WORDS[kind])
  const answer = isOne ? one! : `${one} at QoS 0, ${two} at QoS 1, ${mixed} if they differ`
  const overlap: BrokerProfile['overlap'] =
    isOne && first !== 'untold' && first !== 'unsteady' ? first : 'unknown'
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
    const isNext = () => hasPayload(reader.messages, '1')
    const came = await reader.until(isNext, visit.absenceMs)
    if (!came) {
      // It was withheld, and not lost or late, if an acknowledgement brings it.
      reader.ack(reader.messages[0]!)
      await visit.comes(reader, 'the message behind an acknowledgement', isNext)
    }
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
