/** How much may one packet carry, to the broker and from it? */
import { ProtocolError } from '../index.ts'
import type { PeerAnswer } from './peer.ts'
import { ifKnown, isTaken } from './proofs.ts'
import type { DoctorQuestion } from './question.ts'
import { hasPayload, NotKnown, type Visit } from './visit.ts'

/** How many filters a SUBSCRIBE is tried with. */
const FILTER_COUNTS = [8, 64, 256]
/** How often the limit between two of them is looked for. */
const HALVINGS = 5
/**
 * The sizes that are tried, in bytes: limits of known brokers, and more. The profile never has less
 * than the smallest one.
 */
const PACKET_BYTES = [16_384, 131_072, 262_144, 1_048_576]
/** The Maximum Packet Size of a server that announces none, in bytes. */
const UNBOUNDED = 268_435_460
const QUOTA_OR_CLOSED = 'A larger one was not taken, which may have other causes.'
const PACKET_TOO_LARGE = 0x95
/** No reason code says that a SUBSCRIBE has too many filters: quotas and rights have others. */
const NO_CODE = -1

/** @returns the most that is taken, and what is too much; null if nothing was shown to be. */
interface Bounds {
  most: number
  tooMuch: number | null
  /** Whether something larger was not taken without proof that it is too large. */
  isDoubtful: boolean
}

/** Tries sizes in their order. @throws NotKnown if the first one is not taken. */
async function boundsOf(
  sizes: readonly number[],
  send: (size: number) => Promise<PeerAnswer>,
  code: number,
): Promise<Bounds> {
  const [first, ...others] = sizes
  const { kind, says } = await send(first!)
  if (kind !== 'accepted') throw new NotKnown(`the smallest one got: ${says}`)
  const bounds: Bounds = { most: first!, tooMuch: null, isDoubtful: false }
  for (const size of others) {
    const taken = await takes(bounds, size, send, code)
    if (taken) bounds.most = size
    else {
      bounds.tooMuch = taken === null ? null : size
      bounds.isDoubtful = taken === null
      break
    }
  }
  return bounds
}

function takes(
  { most }: Bounds,
  size: number,
  send: (size: number) => Promise<PeerAnswer>,
  code: number,
): Promise<boolean | null> {
  return ifKnown(isTaken({ ask: () => send(size), control: () => send(most) }, code))
}

export const FILTERS_PER_SUBSCRIBE: DoctorQuestion = {
  id: 'filters-per-subscribe',
  question: 'How many filters may one SUBSCRIBE have?',
  async run(visit) {
    const send = (count: number) => sendFilters(visit, count)
    const bounds = await boundsOf([1, ...FILTER_COUNTS], send, NO_CODE)
    for (let i = 0; bounds.tooMuch !== null && i < HALVINGS; i++) {
      if (bounds.tooMuch - bounds.most < 2) break
      const middle = Math.floor((bounds.most + bounds.tooMuch) / 2)
      const taken = await takes(bounds, middle, send, NO_CODE)
      if (taken === null) break
      if (taken) bounds.most = middle
      else bounds.tooMuch = middle
    }
    const { most, tooMuch, isDoubtful } = bounds
    if (tooMuch === null) {
      const meaning = isDoubtful
        ? QUOTA_OR_CLOSED
        : 'Subscriptions may be joined, and are renewed in few packets.'
      return { answer: `${most} and more`, reliable: true, meaning }
    }
    return {
      answer: `${most}, and not ${tooMuch}`,
      reliable: false,
      meaning: `Give the profile to the client or the loop, which then sends ${most} at most.`,
      profile: { filtersPerSubscribe: most },
    }
  },
}

async function sendFilters(visit: Visit, count: number): Promise<PeerAnswer> {
  const peer = await visit.open()
  const filters = Array.from({ length: count }, (_, i) => visit.topic(String(i)))
  const answer = await peer.subscribe(filters)
  await peer.close()
  return answer
}

export const PACKET_SIZE: DoctorQuestion = {
  id: 'packet-size',
  question: 'How large may a packet be?',
  // What it uploads delays everything else that goes the same way.
  alone: true,
  async run(visit) {
    const announced = visit.first.limits?.maximumPacketSize ?? UNBOUNDED
    const largest = PACKET_BYTES.at(-1)!
    const sizes = PACKET_BYTES.filter((size) => size < announced)
    if (announced <= largest) sizes.push(announced)
    const { most, tooMuch, isDoubtful } = await boundsOf(
      sizes,
      sizedSender(visit),
      PACKET_TOO_LARGE,
    )
    const shown = (bytes: number) => `${bytes.toLocaleString('en')} bytes`
    const said = announced < UNBOUNDED ? `${shown(announced)} announced` : null
    if (tooMuch !== null) {
      return {
        answer: `${said === null ? '' : `${said}, but `}${shown(most)}, and not ${shown(tooMuch)}`,
        reliable: false,
        meaning: 'With the profile, larger requests are refused here and cost no connection.',
        profile: { maximumPacketSize: most },
      }
    }
    if (said !== null && !isDoubtful) {
      const meaning = 'A request that is larger than announced is refused before it is sent.'
      const isShown = most === announced
      const certainty = isShown ? 'shown' : 'said'
      return { answer: said, certainty, reliable: true, meaning }
    }
    const meaning = isDoubtful
      ? QUOTA_OR_CLOSED
      : 'No limit was found up to this size; larger packets were not tried.'
    return { answer: `${shown(most)} and more`, reliable: true, meaning }
  },
}

/**
 * @returns a function that publishes a packet of so many bytes, and waits the longer for the answer
 *   the longer the last one took: a slow uplink is no limit.
 */
function sizedSender(visit: Visit): (bytes: number) => Promise<PeerAnswer> {
  let msPerByte = 0
  return async (bytes) => {
    const peer = await visit.open()
    const topic = visit.topic('large')
    const lengthBytes = bytes > 2_097_155 ? 4 : bytes > 16_386 ? 3 : bytes > 129 ? 2 : 1
    const identifier = 2
    const properties = visit.version === 5 ? 1 : 0
    const topicBytes = new TextEncoder().encode(topic).length
    const room = bytes - (1 + lengthBytes + 2 + topicBytes + identifier + properties)
    if (room < 0) throw new NotKnown('a packet of this size has no room for the topic')
    const patienceMs = visit.patienceMs + 2 * msPerByte * bytes
    const from = visit.clock.now()
    const answer = await peer.publish(topic, 'x'.repeat(room), { qos: 1, patienceMs })
    if (answer.kind === 'accepted') msPerByte = (visit.clock.now() - from) / bytes
    await peer.close()
    return answer
  }
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
