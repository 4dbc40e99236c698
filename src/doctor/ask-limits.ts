/** How much may one packet carry, to the broker and from it? */
import { ProtocolError } from '../index.ts'
import type { DoctorQuestion } from './question.ts'
import { hasPayload, NotKnown, type Visit } from './visit.ts'

/** How many filters a SUBSCRIBE is tried with. */
const FILTER_COUNTS = [8, 64, 256]
/** How often the limit between two of them is looked for. */
const HALVINGS = 6
/** The sizes that are tried where none is announced, in bytes: limits of known brokers. */
const PACKET_BYTES = [16_384, 131_072, 262_144, 1_048_576]
/** Nothing larger is sent, in bytes. */
const SENT_BYTES_MAX = 1_048_576

export const FILTERS_PER_SUBSCRIBE: DoctorQuestion = {
  id: 'filters-per-subscribe',
  question: 'How many filters may one SUBSCRIBE have?',
  async run(visit) {
    if (!(await takesFilters(visit, 1))) throw new NotKnown('it did not take a single filter')
    let most = 1
    let tooMany: number | null = null
    for (const count of FILTER_COUNTS) {
      // A second try tells a limit from a connection that was lost by chance.
      if ((await takesFilters(visit, count)) || (await takesFilters(visit, count))) most = count
      else {
        tooMany = count
        break
      }
    }
    for (let i = 0; tooMany !== null && i < HALVINGS && tooMany - most > 1; i++) {
      const middle = Math.floor((most + tooMany) / 2)
      if (await takesFilters(visit, middle)) most = middle
      else tooMany = middle
    }
    if (tooMany === null) {
      const meaning = 'Subscriptions may be joined, and are renewed in few packets.'
      return { answer: `${most} and more`, reliable: true, meaning }
    }
    return {
      answer: `${most}, and not ${tooMany}`,
      reliable: false,
      meaning: `Give the profile to the client or the loop, which then sends ${most} at most.`,
      profile: { filtersPerSubscribe: most },
    }
  },
}

async function takesFilters(visit: Visit, count: number): Promise<boolean> {
  const peer = await visit.open()
  const filters = Array.from({ length: count }, (_, i) => visit.topic(String(i)))
  const { kind } = await peer.subscribe(filters)
  await peer.close()
  return kind === 'accepted'
}

export const PACKET_SIZE: DoctorQuestion = {
  id: 'packet-size',
  question: 'How large may a packet be?',
  async run(visit) {
    const announced = visit.first.limits?.maximumPacketSize ?? Number.POSITIVE_INFINITY
    const isAnnounced = announced < 268_435_460
    const sizes = isAnnounced && announced <= SENT_BYTES_MAX ? [announced] : PACKET_BYTES
    let most = 0
    let tooLarge: number | null = null
    for (const size of sizes) {
      if (await takesPacket(visit, size)) most = size
      else {
        tooLarge = size
        break
      }
    }
    if (most === 0 && !isAnnounced) throw new NotKnown('it did not take a packet of 16 KiB')
    const shown = (bytes: number) => `${bytes.toLocaleString('en')} bytes`
    if (isAnnounced) {
      const isTaken = tooLarge === null
      const limit = `${shown(announced)} announced`
      return {
        answer: isTaken ? limit : `${limit}, and ${shown(tooLarge!)} not taken`,
        ...(most === announced ? {} : { certainty: 'said' as const }),
        reliable: isTaken,
        meaning: 'A request that is larger than the announced size is refused before it is sent.',
        profile: { maximumPacketSize: isTaken ? announced : Math.max(most, 16) },
      }
    }
    if (tooLarge === null) {
      const meaning = 'No limit was found up to this size; larger packets were not tried.'
      return { answer: `${shown(most)} and more`, reliable: true, meaning }
    }
    return {
      answer: `${shown(most)}, and not ${shown(tooLarge)}`,
      reliable: false,
      meaning: 'With the profile, larger requests are refused here and cost no connection.',
      profile: { maximumPacketSize: most },
    }
  },
}

async function takesPacket(visit: Visit, bytes: number): Promise<boolean> {
  const peer = await visit.open()
  const topic = visit.topic('large')
  const lengthBytes = bytes > 2_097_155 ? 4 : bytes > 16_387 ? 3 : bytes > 130 ? 2 : 1
  const identifier = 2
  const properties = visit.version === 5 ? 1 : 0
  const overhead = 1 + lengthBytes + 2 + topic.length + identifier + properties
  const payload = 'x'.repeat(Math.max(0, bytes - overhead))
  const { kind } = await peer.publish(topic, payload, { qos: 1 })
  await peer.close()
  return kind === 'accepted'
}

/** The Maximum Packet Size of the client that is sent too much, in bytes. */
const OWN_BYTES = 256

export const PACKET_SIZE_OBEYED: DoctorQuestion = {
  id: 'packet-size-obeyed',
  question: "Does it obey the client's Maximum Packet Size?",
  needs5: true,
  async run(visit) {
    const reader = await visit.open({ maximumPacketSize: OWN_BYTES })
    const sender = await visit.open()
    await visit.grant(reader, visit.topic('small'), 1)
    await visit.send(sender, visit.topic('small'), 'y'.repeat(2 * OWN_BYTES))
    await visit.send(sender, visit.topic('small'), 'small')
    await reader.until(() => hasPayload(reader.messages, 'small') || reader.messages.length > 0)
    const { ended } = reader
    const isObeyed = reader.messages.length === 1 && hasPayload(reader.messages, 'small')
    if (!isObeyed && reader.messages.length === 0 && !(ended instanceof ProtocolError)) {
      throw new NotKnown('neither the large message came nor the small one behind it')
    }
    return {
      answer: isObeyed ? 'yes' : 'no',
      reliable: isObeyed,
      meaning: isObeyed
        ? 'A message that is too large for a client is not sent to it.'
        : 'A message that is too large costs the client its connection; leave the size out.',
      profile: { packetSizeObeyed: isObeyed },
    }
  },
}
