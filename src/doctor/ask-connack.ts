/** What does the CONNACK say? */
import type { DoctorQuestion } from './question.ts'

/** A packet of this size is the largest that MQTT knows: nothing was announced. */
const NOT_ANNOUNCED_BYTES = 268_435_460

export const ANNOUNCED_LIMITS: DoctorQuestion = {
  id: 'announced',
  question: 'Which limits does it announce?',
  needs5: true,
  single: true,
  async run({ first }) {
    const { limits, connack } = first
    const p = connack?.properties ?? {}
    if (limits === null) throw new Error('the first connection has ended')
    const told = [
      ...(limits.receiveMaximum === 65_535 ? [] : [`Receive Maximum ${limits.receiveMaximum}`]),
      ...(limits.maximumPacketSize === NOT_ANNOUNCED_BYTES
        ? []
        : [`Maximum Packet Size ${limits.maximumPacketSize}`]),
      ...(limits.maximumQoS === 2 ? [] : [`Maximum QoS ${limits.maximumQoS}`]),
      ...(limits.retainAvailable ? [] : ['no retained messages']),
      ...(limits.wildcardSubscriptionAvailable ? [] : ['no wildcards']),
      ...(limits.subscriptionIdentifiersAvailable ? [] : ['no subscription identifiers']),
      ...(limits.sharedSubscriptionAvailable ? [] : ['no shared subscriptions']),
      ...(limits.topicAliasMaximum === 0
        ? []
        : [`Topic Alias Maximum ${limits.topicAliasMaximum}`]),
      ...(p.serverKeepAlive === undefined ? [] : [`Keep Alive ${p.serverKeepAlive} s`]),
    ]
    return {
      answer: told.join(', ') || 'none',
      certainty: 'said',
      reliable: true,
      meaning: 'it-mqtt obeys these by itself.',
    }
  },
}

export const RESPONSE_INFORMATION: DoctorQuestion = {
  id: 'response-information',
  question: 'Does it give Response Information to those who ask?',
  needs5: true,
  async run(visit) {
    const peer = await visit.open({ properties: { requestResponseInformation: true } })
    const given = peer.connack?.properties?.responseInformation
    const isGiven = given !== undefined && given !== ''
    if (isGiven) visit.note(`CONNACK: Response Information of ${given.length} characters`)
    return {
      answer: isGiven ? 'yes' : 'no',
      certainty: 'said',
      reliable: isGiven,
      meaning: isGiven
        ? 'The response topic of a client lies below what it gives.'
        : 'The response topic of a client is chosen by the client; allow it in the ACL.',
      profile: { responseInformation: isGiven },
    }
  },
}
