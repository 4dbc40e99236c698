/** Does the broker send more than a client has room for? */
import type { Peer } from './peer.ts'
import type { DoctorQuestion } from './question.ts'
import { NotKnown, payloadString, type Visit } from './visit.ts'

/** The Receive Maximum of the client. */
const ROOM = 4
/** How many messages wait for it. */
const MESSAGES = 10

export const RECEIVE_MAXIMUM_OBEYED: DoctorQuestion = {
  id: 'receive-maximum',
  question: "Does it obey the client's Receive Maximum, also when a session is resumed?",
  needs5: true,
  async run(visit) {
    const reader = { id: visit.newId(), keeps: true, receiveMaximum: ROOM, holds: true }
    const fresh = await visit.open(reader)
    const sender = await visit.open()
    const topic = visit.topic('many')
    await visit.grant(fresh, topic, 1)
    const numbers = Array.from({ length: MESSAGES }, (_, i) => String(i))
    const answers = await sender.publishTogether(
      numbers.map((payload) => [topic, payload, { qos: 1 }] as const),
    )
    if (answers.some(({ kind }) => kind !== 'accepted')) throw new NotKnown('a publish failed')
    const most = await mostOpen(visit, fresh)
    await fresh.cut()
    const again = await visit.open(reader)
    const mostAgain = again.connack?.sessionPresent ? await mostOpen(visit, again) : null
    const isObeyed = most <= ROOM && (mostAgain ?? 0) <= ROOM
    if (isObeyed && mostAgain === null) throw new NotKnown('the session was not resumed')
    const resumed = mostAgain === null ? '' : `, ${mostAgain} when resumed`
    return {
      answer: isObeyed ? 'yes' : `no: ${most} unacknowledged with ${ROOM}${resumed}`,
      reliable: isObeyed,
      meaning: isObeyed
        ? 'A client bounds with Receive Maximum what it has to hold.'
        : 'A client gets more than it asked for; it-mqtt holds it, and pauses reading.',
      profile: { receiveMaximumObeyed: isObeyed },
    }
  },
}

/** @returns how many messages were unacknowledged at the same time, at most. */
async function mostOpen(visit: Visit, peer: Peer): Promise<number> {
  const { messages } = peer
  // QoS 0 needs no acknowledgement, and a copy repeats identifier and payload.
  const ids = () => {
    const counted = messages.filter(({ qos }) => qos > 0)
    return new Set(counted.map((one) => `${one.messageId} ${payloadString(one)}`)).size
  }
  await visit.comes(peer, 'the first message', () => ids() > 0)
  await peer.until(() => ids() > ROOM, visit.absenceMs)
  const before = ids()
  if (before > ROOM) return before
  // Some brokers obey it until the first acknowledgement, which also shows that it goes on.
  const acked = messages.find(({ qos }) => qos > 0)!.messageId
  for (const one of messages) if (one.messageId === acked) peer.ack(one)
  await visit.comes(peer, 'a further message behind an acknowledgement', () => ids() > before)
  await peer.until(() => ids() - 1 > ROOM, visit.absenceMs)
  return Math.max(before, ids() - 1)
}
