/**
 * Packets → bytes for a server. PUBLISH and the acknowledgements are written straight into a batch; the rest, which is rare,
 * by rare.ts.
 *
 * A batch is a buffer of at most 64 KiB, begun when there is something to write and sized by what the connection wrote
 * before, so that an idle encoder holds nothing and a busy one writes large pieces. What was taken belongs to the socket: a
 * batch is never written again. A payload of 16 KiB and more is passed by reference.
 */
import type { ClientPacket } from '../protocol/packets.ts'
import { varintBytes } from '../protocol/sizes.ts'
import { encodeRare } from './encode-rare.ts'
import { TopicAliases } from './topic-aliases.ts'
import { writeVarint } from './writer.ts'

/** What the encoder needs of a PUBLISH that was validated. */
export interface EncodablePublish {
  readonly request: { readonly topic: string }
  /** The topic as UTF-8, with its length before it. */
  readonly topic: Uint8Array
  readonly payload: Uint8Array | string
  readonly payloadBytes: number
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  /**
   * The properties as bytes, without their length and without the Message Expiry Interval; null if
   * there are none.
   */
  readonly properties: Uint8Array | null
  /** The size of the packet as MQTT 5, the fixed header included. */
  readonly bytes: number
}

/** Bytes of a batch. */
const BATCH_BYTES_MIN = 256
const BATCH_BYTES_MAX = 65_536
/** Bytes. Below this copying a payload is cheaper than another piece for the socket. */
const REFERENCE_BYTES_MIN = 16_384
/** Bytes. Up to this a loop is faster than a call of TypedArray.prototype.set. */
const LOOP_BYTES_MAX = 24

const EXPIRY_ID = 0x02
const ALIAS_ID = 0x23
/** What `buffer.write(text, at, length, 'latin1')` ends in, without the steps before it. */
const writeLatin1 = (
  Buffer.prototype as unknown as {
    latin1Write(this: Buffer, text: string, at: number, length: number): number
  }
).latin1Write

/** Of a Topic Alias in a packet: the property, and what the lengths before it may grow by. */
const ALIAS_BYTES_MAX = 3 + 2

const FIRST_BYTES = { puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 } as const

export class Encoder {
  readonly version: 3 | 4 | 5
  private batch: Buffer | null = null
  private used = 0
  private full: Uint8Array[] | null = null
  private fullBytes = 0
  private nextBytes = BATCH_BYTES_MIN
  private aliases: TopicAliases | null = null

  constructor(protocolVersion: 3 | 4 | 5) {
    this.version = protocolVersion
  }

  /** From now on topics have aliases, as far as the server allows. */
  allowAliases(topicAliasMaximum: number, maximumPacketSize: number): void {
    const bytesMax = maximumPacketSize - ALIAS_BYTES_MAX
    this.aliases = topicAliasMaximum > 0 ? new TopicAliases(topicAliasMaximum, bytesMax) : null
  }

  /** A PUBLISH. `messageId`: 0 at QoS 0. `expirySeconds`: the Message Expiry Interval that is left, -1 for none. */
  publish(
    prepared: EncodablePublish,
    messageId: number,
    dup: boolean,
    expirySeconds: number,
  ): void {
    const { payload, payloadBytes, qos } = prepared
    const { aliases } = this
    const mayAlias = aliases !== null && prepared.topic.length > ALIAS_BYTES_MAX
    const topicAlias =
      mayAlias && prepared.bytes <= aliases.bytesMax ? aliases.of(prepared.request.topic) : 0
    const topic = topicAlias !== 0 && aliases!.isKnown ? NO_TOPIC : prepared.topic
    const topicBytes = topic.length
    let properties: Uint8Array | null = null
    let propertyBytes = 0
    let length = topicBytes + payloadBytes
    if (qos !== 0) length += 2
    if (this.version === 5) {
      properties = prepared.properties
      if (properties !== null) propertyBytes = properties.length
      if (expirySeconds >= 0) propertyBytes += 5
      if (topicAlias !== 0) propertyBytes += 3
      length += varintBytes(propertyBytes) + propertyBytes
    }
    const apart = payloadBytes >= REFERENCE_BYTES_MIN
    const batch = this.room(apart ? 5 + length - payloadBytes : 5 + length)
    let at = this.used
    batch[at++] = 0x30 | (dup ? 8 : 0) | (qos << 1) | (prepared.retain ? 1 : 0)
    if (length < 0x80) batch[at++] = length
    else at = writeVarint(batch, at, length)
    if (topicBytes <= LOOP_BYTES_MAX) {
      for (let i = 0; i < topicBytes; i++) batch[at + i] = topic[i]!
    } else {
      batch.set(topic, at)
    }
    at += topicBytes
    if (qos !== 0) {
      batch[at++] = messageId >> 8
      batch[at++] = messageId
    }
    if (this.version === 5) {
      at = writeVarint(batch, at, propertyBytes)
      if (expirySeconds >= 0) {
        batch[at++] = EXPIRY_ID
        at = batch.writeUInt32BE(expirySeconds, at)
      }
      if (topicAlias !== 0) {
        batch[at++] = ALIAS_ID
        at = batch.writeUInt16BE(topicAlias, at)
      }
      if (properties !== null) {
        batch.set(properties, at)
        at += properties.length
      }
    }
    if (apart) {
      this.used = at
      this.refer(typeof payload === 'string' ? Buffer.from(payload) : payload)
      return
    }
    if (typeof payload !== 'string') {
      batch.set(payload, at)
    } else if (payloadBytes === payload.length) {
      writeLatin1.call(batch, payload, at, payloadBytes) // as many bytes as characters: ASCII
    } else {
      batch.write(payload, at, payloadBytes)
    }
    this.used = at + payloadBytes
  }

  /** An acknowledgement: the short form where the reason code is 0, without properties otherwise. */
  ack(
    cmd: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
    messageId: number,
    reasonCode: number,
  ): void {
    const batch = this.room(5)
    const at = this.used
    const withReason = reasonCode !== 0 && this.version === 5
    batch[at] = FIRST_BYTES[cmd]
    batch[at + 1] = withReason ? 3 : 2
    batch[at + 2] = messageId >> 8
    batch[at + 3] = messageId
    if (withReason) batch[at + 4] = reasonCode
    this.used = at + (withReason ? 5 : 4)
  }

  /** Everything that is rare: CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT, AUTH. */
  packet(packet: ClientPacket): void {
    this.append(encodeRare(packet, this.version))
  }

  /** Whole packets that are encoded already. */
  append(bytes: Uint8Array): void {
    if (bytes.length >= REFERENCE_BYTES_MIN) {
      this.refer(bytes)
    } else {
      this.room(bytes.length).set(bytes, this.used)
      this.used += bytes.length
    }
  }

  /** Bytes written and not yet taken. */
  get pendingBytes(): number {
    return this.fullBytes + this.used
  }

  /** What is to be written, in order; the encoder is empty afterwards. */
  take(): Uint8Array[] {
    this.close()
    const taken = this.full ?? []
    const bytes = this.fullBytes
    this.full = null
    this.fullBytes = 0
    // As large as what was just written, by powers of two: steady traffic fits into one batch.
    const wanted = bytes < BATCH_BYTES_MIN ? BATCH_BYTES_MIN : 1 << (32 - Math.clz32(bytes - 1))
    this.nextBytes = Math.min(wanted, BATCH_BYTES_MAX)
    return taken
  }

  /** The batch, with at least `bytes` of room behind `used`. */
  private room(bytes: number): Buffer {
    const { batch } = this
    if (batch !== null && batch.length - this.used >= bytes) return batch
    this.close()
    const size = Math.max(this.nextBytes, bytes)
    this.nextBytes = Math.min(this.nextBytes * 4, BATCH_BYTES_MAX)
    return (this.batch = Buffer.allocUnsafe(size))
  }

  private refer(bytes: Uint8Array): void {
    const { batch, used } = this
    this.close()
    this.add(bytes)
    // The batch goes on behind what was cut off.
    if (batch !== null && batch.length > used) this.batch = batch.subarray(used)
  }

  private close(): void {
    const { batch, used } = this
    if (batch !== null && used > 0) this.add(batch.subarray(0, used))
    this.batch = null
    this.used = 0
  }

  private add(bytes: Uint8Array): void {
    if (this.full === null) this.full = []
    this.full.push(bytes)
    this.fullBytes += bytes.length
  }
}

const NO_TOPIC = new Uint8Array(2)
