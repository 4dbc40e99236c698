/** Does the broker send more than a client has room for? */
import type { Peer } from './peer.ts'
import type { DoctorQuestion } from './question.ts'
import { NotKnown, type Visit } from './visit.ts'

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
  await visit.comes(peer, 'the first message', () => messages.length > 0)
  await visit.mayCome(peer, () => messages.length > ROOM)
  const before = messages.length
  if (before > ROOM) return before
  // Some brokers obey it until the first acknowledgement.
  peer.ack(messages[0]!)
  await visit.mayCome(peer, () => messages.length - 1 > ROOM)
  return Math.max(before, messages.length - 1)
}
