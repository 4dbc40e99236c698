/**
 * Which bytes go to the server?
 *
 * PUBLISH and the acknowledgements are written straight into a batch; encode-rare.ts encodes the
 * other packets. A batch is a buffer of at most 64 KiB. It is begun when there is something to
 * write, and its size follows what the connection wrote before, so that an idle encoder has no
 * buffer and a busy one writes large pieces. Once the transport has taken a batch, the encoder
 * never changes it. A payload of 16 KiB and more is passed by reference.
 */
import { allocatePooled, type Bytes, utf8Bytes, writeLatin1, writeUtf8 } from '#bytes'
import type { ClientPacket } from '../protocol/packets.ts'
import { varintBytes } from '../protocol/sizes.ts'
import { encodeRare } from './encode-rare.ts'
import { TopicAliases } from './topic-aliases.ts'
import { writeUint16, writeUint32, writeVarint } from './writer.ts'

/** The data of a validated PUBLISH that the encoder needs. */
interface EncodablePublish {
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

/** Bytes of the first batch of a connection that was idle. */
const BATCH_BYTES_MIN = 256
/** Bytes of a batch, unless one packet needs more. */
const BATCH_BYTES_MAX = 65_536
/**
 * In bytes. A shorter payload is copied, which is cheaper than one more piece for the transport.
 */
const REFERENCE_BYTES_MIN = 16_384
/** In bytes. For up to this many a loop is faster than a call of `TypedArray.prototype.set`. */
const LOOP_BYTES_MAX = 24

/** The identifier of Message Expiry Interval. */
const EXPIRY_ID = 0x02
/** The identifier of Topic Alias. */
const ALIAS_ID = 0x23
/** Bytes that a Topic Alias adds to a packet: the property itself, and the lengths before it. */
const ALIAS_BYTES_MAX = 3 + 2

const FIRST_BYTES = { puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 } as const

export class Encoder {
  readonly version: 3 | 4 | 5
  /** The batch that is written now; null if nothing was. */
  private batch: Bytes | null = null
  /** How many bytes of `batch` are written. */
  private used = 0
  /** The pieces that are complete; null if there are none. */
  private full: Uint8Array[] | null = null
  /** How many bytes `full` holds. */
  private fullBytes = 0
  /** Size of the next batch. */
  private nextBytes = BATCH_BYTES_MIN
  private aliases: TopicAliases | null = null

  constructor(protocolVersion: 3 | 4 | 5) {
    this.version = protocolVersion
  }

  /** From now on topics get aliases, as far as the server allows. */
  allowAliases(topicAliasMaximum: number, maximumPacketSize: number): void {
    const bytesMax = maximumPacketSize - ALIAS_BYTES_MAX
    this.aliases = topicAliasMaximum > 0 ? new TopicAliases(topicAliasMaximum, bytesMax) : null
  }

  /**
   * Writes a PUBLISH.
   * @param messageId 0 at QoS 0.
   * @param expirySeconds the rest of the Message Expiry Interval; -1 if there is none.
   */
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
      mayAlias && prepared.bytes <= aliases.bytesMax ? aliases.aliasOf(prepared.request.topic) : 0
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
        at = writeUint32(batch, at, expirySeconds)
      }
      if (topicAlias !== 0) {
        batch[at++] = ALIAS_ID
        at = writeUint16(batch, at, topicAlias)
      }
      if (properties !== null) {
        batch.set(properties, at)
        at += properties.length
      }
    }
    if (apart) {
      this.used = at
      this.refer(typeof payload === 'string' ? utf8Bytes(payload) : payload)
      return
    }
    if (typeof payload !== 'string') {
      batch.set(payload, at)
    } else if (payloadBytes === payload.length) {
      writeLatin1(batch, payload, at, payloadBytes) // as many bytes as characters: it is ASCII
    } else {
      writeUtf8(batch, payload, at, payloadBytes)
    }
    this.used = at + payloadBytes
  }

  /**
   * Writes an acknowledgement: in the short form if the reason code is 0, else without properties.
   */
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

  /**
   * Writes one of the other packets: CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT, AUTH.
   */
  packet(packet: ClientPacket): void {
    this.append(encodeRare(packet, this.version))
  }

  /** Writes whole packets that are encoded already. */
  append(bytes: Uint8Array): void {
    if (bytes.length >= REFERENCE_BYTES_MIN) {
      this.refer(bytes)
    } else {
      this.room(bytes.length).set(bytes, this.used)
      this.used += bytes.length
    }
  }

  /** How many bytes were written and not taken yet. */
  get pendingBytes(): number {
    return this.fullBytes + this.used
  }

  /** @returns everything that was written, in order. The encoder is empty afterwards. */
  take(): Uint8Array[] {
    this.close()
    const taken = this.full ?? []
    const bytes = this.fullBytes
    this.full = null
    this.fullBytes = 0
    // The next batch is as large as what was just taken, so that steady traffic fits into one.
    const wanted = bytes < BATCH_BYTES_MIN ? BATCH_BYTES_MIN : 1 << (32 - Math.clz32(bytes - 1))
    this.nextBytes = Math.min(wanted, BATCH_BYTES_MAX)
    return taken
  }

  /** @returns the batch, with room for at least `bytes` behind `used`. */
  private room(bytes: number): Bytes {
    const { batch } = this
    if (batch !== null && batch.length - this.used >= bytes) return batch
    this.close()
    const size = Math.max(this.nextBytes, bytes)
    this.nextBytes = Math.min(this.nextBytes * 4, BATCH_BYTES_MAX)
    return (this.batch = allocatePooled(size))
  }

  /** Adds a piece by reference. */
  private refer(bytes: Uint8Array): void {
    const { batch, used } = this
    this.close()
    this.add(bytes)
    // The rest of the batch is used for what is written next.
    if (batch !== null && batch.length > used) this.batch = batch.subarray(used)
  }

  /** Ends the batch; its written part becomes a piece. */
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

/** An empty Topic Name with its length. */
const NO_TOPIC = new Uint8Array(2)
