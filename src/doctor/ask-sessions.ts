/** What of a client is left while it is away, and what does PUBACK say of it? */
import type { DoctorQuestion } from './question.ts'
import { hasPayload, NotKnown } from './visit.ts'

/** The reason code that means: nobody has subscribed. */
const NOBODY_CODE = 0x10

export const SESSION_KEPT: DoctorQuestion = {
  id: 'session',
  question: 'Is a session kept while its client is away, and does the CONNACK say so?',
  async run(visit) {
    const topic = visit.topic('away')
    const who = { id: visit.newId(), keeps: true }
    const before = await visit.open(who)
    const isLying = before.connack?.sessionPresent === true
    await visit.grant(before, topic, 1)
    const sender = await visit.open()
    await visit.send(sender, topic, 'there')
    await visit.comes(before, 'a message to a client that is there', () =>
      hasPayload(before.messages, 'there'),
    )
    await before.cut()
    await visit.send(sender, topic, 'away')
    const after = await visit.open(who)
    const isPresent = after.connack?.sessionPresent === true
    // If the session is lost, so is the way on which the message would have come.
    if (!isPresent) await visit.grant(after, topic, 1)
    const came = await visit.mayCome(after, () => hasPayload(after.messages, 'away'), {
      sender,
      topic,
    })
    const isKept = isPresent && came && !isLying
    const said = isPresent ? 'Session Present 1' : 'Session Present 0'
    const lie = isLying ? '; a session that cannot exist is said to be present' : ''
    return {
      answer: isKept ? 'yes' : `no: ${said}, the message ${came ? 'came' : 'is lost'}${lie}`,
      reliable: isKept,
      meaning: isKept
        ? 'Messages at QoS 1 and 2 wait for a client that comes back in time.'
        : 'What is published while a client is away may be lost; ask for it again.',
      profile: { sessionKept: isKept },
    }
  },
}

export const NOBODY_SUBSCRIBED: DoctorQuestion = {
  id: 'no-subscribers',
  question: 'Does it say that nobody has subscribed (0x10)?',
  needs5: true,
  async run(visit) {
    const sender = await visit.open()
    const most = sender.limits?.maximumQoS ?? 0
    const said: number[] = []
    for (const qos of [1, 2] as const) {
      if (qos > most) continue
      const { codes } = await visit.send(sender, visit.topic('nobody'), 'x', { qos })
      // At QoS 2 the PUBREC has the code, and the PUBCOMP, which ends the exchange, has none.
      if (codes.includes(NOBODY_CODE)) said.push(qos)
    }
    const isSaid = said.includes(1)
    return {
      answer: said.length === 0 ? 'not seen' : `at QoS ${said.join(' and ')}`,
      reliable: isSaid,
      meaning: isSaid
        ? 'A request that nobody answers fails at once instead of timing out.'
        : 'A request that nobody answers can only time out.',
      // If somebody has subscribed to everything, it is never said: that is no property of it.
      profile: isSaid ? { noMatchingSubscribers: true } : {},
    }
  },
}

export const NOBODY_AWAY: DoctorQuestion = {
  id: 'no-subscribers-away',
  question: 'Does it also say that nobody has subscribed if all subscribers are away?',
  needs5: true,
  async run(visit) {
    const topic = visit.topic('absent')
    const subscriber = await visit.open({ keeps: true })
    await visit.grant(subscriber, topic, 1)
    await subscriber.close()
    const sender = await visit.open()
    const nobody = await visit.send(sender, visit.topic('nobody'), 'x')
    if (!nobody.codes.includes(NOBODY_CODE)) {
      throw new NotKnown('it was not seen to say 0x10 for a topic without any subscriber')
    }
    const { codes } = await visit.send(sender, topic, 'x')
    const isSaid = codes.includes(NOBODY_CODE)
    return {
      answer: isSaid ? 'yes' : 'no',
      reliable: !isSaid,
      meaning: isSaid
        ? 'The code 0x10 does not mean that nobody will get the message.'
        : 'A message with another code has a session to which it goes.',
      profile: { noMatchingWhileAway: isSaid },
    }
  },
}
