/** When do retained messages come, and when do they end? */
import type { IncomingPublish, QoS } from '../index.ts'
import type { DoctorQuestion } from './question.ts'
import { hasPayload, NotKnown, payloadString, type Visit } from './visit.ts'

export const BY_WILDCARD: DoctorQuestion = {
  id: 'retained-wildcard',
  question: 'Do filters with wildcards bring retained messages?',
  async run(visit) {
    const peer = await visit.open()
    await visit.send(peer, visit.topic('kept'), 'kept', { retain: true })
    await visit.grant(peer, visit.topic('+'), 1)
    const way = { sender: peer, topic: visit.topic('kept') }
    const came = await visit.mayCome(peer, () => hasPayload(peer.messages, 'kept'), way)
    if (!came) {
      const exact = await visit.open()
      await visit.grant(exact, visit.topic('kept'), 1)
      await visit.comes(exact, 'the retained message', () => hasPayload(exact.messages, 'kept'))
    }
    return {
      answer: came ? 'yes' : 'no, only the exact topic does',
      reliable: came,
      meaning: came
        ? 'A subscription begins with the present state.'
        : 'Subscribe to each topic by its name to learn its present state.',
      profile: { retainedByWildcard: came },
    }
  },
}

/**
 * How many retained messages there are, and how often they are asked for. Together with the fence
 * they are as many filters as any broker takes in one SUBSCRIBE.
 */
const FENCED = { messages: 7, rounds: 3 }

export const FENCE: DoctorQuestion = {
  id: 'retained-fence',
  question: 'Do retained messages come before a message that is published after the SUBACK?',
  async run(visit) {
    const numbers = Array.from({ length: FENCED.messages }, (_, i) => String(i))
    const topics = numbers.map((n) => visit.topic(n))
    const sender = await visit.open()
    const answers = await sender.publishTogether(
      topics.map((topic) => [topic, 'kept', { qos: 1, retain: true }] as const),
    )
    if (answers.some(({ kind }) => kind !== 'accepted')) throw new NotKnown('a publish failed')
    let late = 0
    for (let round = 0; round < FENCED.rounds; round++) {
      late += await lateOf(visit, topics, (round % 2) as QoS)
    }
    const isOrdered = late === 0
    const count = FENCED.messages * FENCED.rounds
    return {
      answer: isOrdered ? `yes, ${count} of ${count}` : `no, ${late} of ${count} came later`,
      reliable: isOrdered,
      meaning: isOrdered
        ? 'A message of its own tells a client that it has all retained messages.'
        : 'No message tells a client that it has all retained messages; it waits for quiet.',
      profile: { retainedBeforeFence: isOrdered },
    }
  },
}

/** @returns how many retained messages came behind the fence. */
async function lateOf(visit: Visit, topics: readonly string[], qos: QoS): Promise<number> {
  const peer = await visit.open()
  const fence = visit.topic('fence')
  // Its turn is taken here: a pause behind the SUBACK would hide retained messages that are late.
  await visit.turn(1)
  const answer = await peer.subscribe([...topics, fence], { qos })
  if (answer.kind !== 'accepted') throw new NotKnown(`a subscription got: ${answer.says}`)
  await peer.publish(fence, 'fence', { qos, hasTurn: true })
  // Copies of a message, or of the fence, are neither missing messages nor late ones.
  const kept = (messages: readonly IncomingPublish[]) =>
    new Set(messages.filter((one) => payloadString(one) === 'kept').map(({ topic }) => topic)).size
  const isWhole = () => hasPayload(peer.messages, 'fence') && kept(peer.messages) === topics.length
  await visit.comes(peer, 'the retained messages and the fence', isWhole)
  const before = peer.messages.slice(0, peer.messages.map(payloadString).indexOf('fence'))
  await peer.close()
  return topics.length - kept(before)
}

export const RETAIN_ONCE: DoctorQuestion = {
  id: 'retain-handling',
  question: 'Does Retain Handling 1 bring retained messages for a new subscription only?',
  needs5: true,
  async run(visit) {
    const topic = visit.topic('once')
    const peer = await visit.open()
    await visit.send(peer, topic, 'once', { retain: true })
    await visit.grant(peer, topic, 1, { rh: 1 })
    const copies = () =>
      peer.messages.filter((one) => payloadString(one) === 'once' && !one.dup).length
    const way = { sender: peer, topic }
    const first = await visit.mayCome(peer, () => copies() > 0, way)
    if (!first) {
      const ordinary = await visit.open()
      await visit.grant(ordinary, topic, 1)
      const isThere = () => hasPayload(ordinary.messages, 'once')
      await visit.comes(ordinary, 'the retained message of an ordinary subscription', isThere)
    }
    const count = copies()
    await visit.grant(peer, topic, 1, { rh: 1 })
    const again = await visit.mayCome(peer, () => copies() > count, way)
    const isRight = first && !again
    return {
      answer: isRight ? 'yes' : first ? 'no: they come again' : 'no: they do not come at all',
      reliable: isRight,
      meaning: isRight
        ? 'Subscriptions are renewed without repetition.'
        : 'Renewing a subscription repeats or hides retained messages.',
      profile: { retainHandling: isRight },
    }
  },
}

/** The Message Expiry Interval in seconds, and when the message is looked for, in ms. */
const LIFE_S = 6
const LOOKED_MS = { during: 2200, after: 7500 }

export const RETAINED_EXPIRY: DoctorQuestion = {
  id: 'retained-expiry',
  question: 'Do retained messages expire, and do they come with the time that is left?',
  needs5: true,
  waits: true,
  async run(visit) {
    const topic = visit.topic('mortal')
    const sender = await visit.open()
    const properties = { messageExpiryInterval: LIFE_S }
    await visit.send(sender, topic, 'mortal', { retain: true, properties })
    const published = visit.clock.now()
    await visit.pause(LOOKED_MS.during)
    const during = await visit.open()
    await visit.grant(during, topic, 1)
    await visit.comes(during, 'the retained message', () => during.messages.length > 0)
    const left = during.messages[0]!.properties?.messageExpiryInterval
    // Its life ends before the second look, also at a broker that is slow.
    const counts = left !== undefined && left < LIFE_S
    await visit.pause(LOOKED_MS.after - (visit.clock.now() - published))
    const after = await visit.open()
    await visit.grant(after, topic, 1)
    const isThere = () => hasPayload(after.messages, 'mortal')
    const expires = !(await visit.mayCome(after, isThere, { sender, topic }))
    const time = counts ? 'counted down' : left === undefined ? 'not said' : 'not counted down'
    return {
      answer: `${expires ? 'they expire' : 'they do not expire'}, the time left is ${time}`,
      reliable: expires && counts,
      meaning: !expires
        ? 'A retained message stays until somebody removes it.'
        : counts
          ? 'A reader sees how old a retained message is, and old ones go away.'
          : 'Old ones go away, but a reader does not see how old a retained message is.',
      profile: { retainedExpires: expires, expiryCountsDown: counts },
    }
  },
}
