/**
 * What real brokers do against the standard, each as a switch of the simulated broker. A broker
 * keeps its quirks for as long as it lives, unlike its moods. With `tolerance: 'field'` every
 * promise holds before each of them.
 */
import { randomOf } from '../support/random.ts'

/** The quirks that the engine is known to live with. */
export const QUIRKS = [
  /** RabbitMQ: a PUBLISH at QoS 2 is answered by PUBACK, and counts as one at QoS 1. */
  'acknowledgesAtQoS1',
  /** mosquitto, EMQX: more messages without acknowledgement than the Receive Maximum. */
  'exceedsReceiveMaximum',
  /** ejabberd: filters are refused with 0x8F, in MQTT 3.1.1 too. */
  'refusesWith8f',
  /** mochi, EMQX: reason codes that are in no table. */
  'unknownCodes',
  /** ThingsBoard, Moquette and others: reserved bits of the fixed header are set. */
  'reservedBits',
  /** ThingsBoard: Session Present is 1, although nothing outlives a connection. */
  'claimsSession',
  /** mosquitto: shared subscriptions do not outlive a restart of the broker, and the rest does. */
  'forgetsShares',
] as const
export type Quirk = (typeof QUIRKS)[number]

/** How many of the seeds have quirks. */
const SHARE = 0.4

/** A filter that a broker refuses if it refuses any. */
export const REFUSED_FILTER = 'other/3'
export const SHARED_FILTER = '$share/group/shared/#'

/** Codes that no table has. */
export const UNKNOWN = { good: 0x01, bad: 0xee } as const

/** Draws the quirks of a seed; what else the seed decides does not depend on them. */
export function quirksOf(seed: number): readonly Quirk[] {
  const random = randomOf(seed ^ 0x3c6ef372)
  if (random() >= SHARE) return []
  const one = () => QUIRKS[Math.floor(random() * QUIRKS.length)]!
  return random() < 0.6 ? [one()] : [one(), one(), one()]
}

/** The packets of which the reserved bits are set, and what the standard wants there. */
const RESERVED: Readonly<Record<number, number>> = { 4: 0, 5: 0, 6: 2, 7: 0, 9: 0, 11: 0, 13: 0 }

/** Inverts the reserved bits of a packet that has some and is no CONNACK. */
export function withReservedBits(packet: Buffer): Buffer {
  if (RESERVED[packet[0]! >> 4] === undefined) return packet
  const bent = Buffer.from(packet)
  bent[0]! ^= 0x0f
  return bent
}

/**
 * Makes a stream of packets readable for a strict parser: reserved bits and unknown codes become
 * what they mean.
 */
export class Mender {
  #bytes: Buffer = Buffer.alloc(0)
  readonly #version: 4 | 5

  constructor(version: 4 | 5) {
    this.#version = version
  }

  /** @returns the packets that are complete. */
  read(chunk: Buffer): Buffer {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    const packets: Buffer[] = []
    for (;;) {
      const end = endOf(this.#bytes)
      if (end === null || end > this.#bytes.length) return Buffer.concat(packets)
      packets.push(this.#mended(Buffer.from(this.#bytes.subarray(0, end))))
      this.#bytes = this.#bytes.subarray(end)
    }
  }

  #mended(packet: Buffer): Buffer {
    const type = packet[0]! >> 4
    const bits = RESERVED[type]
    if (bits !== undefined) packet[0] = (type << 4) | bits
    for (const at of this.#codesIn(packet, type)) {
      const code = packet[at]!
      if (code === UNKNOWN.bad || (type === 9 && code > 0x80)) packet[at] = 0x80
      else if (code === UNKNOWN.good && type !== 9) packet[at] = 0
    }
    return packet
  }

  /** @returns where the reason codes are. The simulated broker sends no properties in these. */
  #codesIn({ length }: Buffer, type: number): number[] {
    if (type >= 4 && type <= 7) return length > 4 ? [4] : []
    if (type === 14) return length > 2 ? [2] : []
    if (type !== 9 && type !== 11) return []
    const first = this.#version === 5 ? 5 : 4
    return Array.from({ length: Math.max(0, length - first) }, (_, i) => first + i)
  }
}

/** @returns where the first packet ends, or null if its length is not there yet. */
function endOf(bytes: Buffer): number | null {
  let length = 0
  for (let at = 1; at < bytes.length && at < 5; at++) {
    length |= (bytes[at]! & 0x7f) << (7 * (at - 1))
    if (bytes[at]! < 0x80) return at + 1 + length
  }
  return null
}
