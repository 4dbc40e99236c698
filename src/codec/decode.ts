/**
 * Bytes from a server → packets, strictly: what the bytes alone tell to be wrong is refused here with its code and clause;
 * what depends on the state of the session is left to the reducers.
 *
 * A packet that lies whole in one chunk is decoded where it lies. One that is cut by chunks is waited for: its chunks are
 * kept as they came (small ones gathered, so that a drip of bytes stays cheap) and joined once, when it is complete, never
 * before and never by the size that it announced. So every byte is copied at most once on its way, whatever the cuts, and
 * nothing is buffered that the fixed header already condemns (I2).
 *
 * Payloads: see memory.ts for R5. Small ones are not copied one by one: a stretch of the chunk, 2 KiB from the first payload
 * on, is copied into the slab, and the payloads that follow in it are views of that copy.
 */
import { BugError, ProtocolError } from '../errors.ts'
import { type Bytes, BytesView, copyBytes, NO_BYTES } from '../platform/bytes.ts'
import type { Properties, PublishPacket, QoS, ServerPacket } from '../protocol/contract.ts'
import * as rare from './decode-rare.ts'
import { fixedLengths, judgeFirstByte, judgeLength } from './fixed-header.ts'
import { Reader } from './reader.ts'
import { ReceivedChunks } from './received-chunks.ts'
import { clauseFor, cutOff, MALFORMED, PACKET_TOO_LARGE, PROTOCOL_ERROR, refuse } from './refuse.ts'
import { claim, copyOf, SLAB_BYTES } from './slabs.ts'
import { topicOf } from './text.ts'

/** Bytes copied at a time; a payload that is larger than half of it is copied by itself. */
const STRETCH_BYTES = 2048

export class Decoder {
  private readonly version: number
  private readonly maximumPacketSize: number
  private readonly lengths: readonly number[]
  private error: ProtocolError | BugError | null = null

  private readonly chunks = new ReceivedChunks()
  /** Bytes that must be held before the next judgement can be made. */
  private needed = 1

  /** The stretch of `chunk` that was copied, where its copy is, and what turns an offset of one into the other. */
  private stretch: ArrayBufferLike | null = null
  private stretchEnd = 0
  private stretchShift = 0

  constructor(protocolVersion: 3 | 4 | 5, maximumPacketSize: number) {
    this.version = protocolVersion
    this.maximumPacketSize = maximumPacketSize
    this.lengths = fixedLengths(protocolVersion)
  }

  /** Takes a chunk as it came from the socket; keeps a reference until it is consumed. */
  push(chunk: Uint8Array): void {
    if (this.error === null) this.chunks.push(chunk)
  }

  /** Bytes held that are not yet decoded. */
  get bufferedBytes(): number {
    return this.chunks.held
  }

  /** Whether a read may return a packet or throw. */
  get ready(): boolean {
    return this.error !== null || this.chunks.held >= this.needed
  }

  /**
   * Appends at most `max` packets to `into` and returns how many.
   * @throws ProtocolError at a packet that is wrong: the good ones before it are in `into`. It is thrown again by every later call.
   */
  read(into: ServerPacket[], max: number): number {
    if (this.error !== null) throw this.error
    if (this.chunks.held < this.needed) return 0
    try {
      return this.decode(into, max)
    } catch (error) {
      throw this.fail(error)
    }
  }

  private decode(into: ServerPacket[], max: number): number {
    const chunks = this.chunks
    const limit = this.maximumPacketSize
    const { lengths } = this
    let count = 0
    while (count < max) {
      const chunk = chunks.head
      const end = chunk.length
      const begin = chunks.at
      let at = begin
      while (count < max && end - at >= 2) {
        const first = chunk[at]!
        let length = chunk[at + 1]!
        let body = at + 2
        if (length >= 0x80) {
          if (end - at < 5) break // the header may go on in the next chunk
          const second = chunk[at + 2]!
          length = (length & 0x7f) | ((second & 0x7f) << 7)
          body = at + 3
          if (second >= 0x80 || second === 0) break // three bytes and more, or too many: rare
        }
        const stop = body + length
        if (stop > end || stop - at > limit) break
        const fixed = lengths[first >> 4]!
        if (fixed >= 0 && length !== fixed) break
        into.push(this.packet(first, chunk, body, stop, false))
        count++
        at = stop
      }
      if (at !== begin) {
        chunks.at = at
        chunks.held -= at - begin
        this.needed = 1
      }
      if (count === max) break
      if (at === end) {
        this.forgetStretch()
        if (!chunks.next()) break
      } else {
        const packet = this.slowPacket()
        if (packet === null) break
        into.push(packet)
        count++
      }
    }
    if (chunks.held === 0) {
      chunks.clear()
      this.forgetStretch()
    }
    return count
  }

  private packet(
    first: number,
    bytes: Bytes,
    at: number,
    end: number,
    joined: boolean,
  ): ServerPacket {
    const version = this.version
    switch (first) {
      case 0x30:
      case 0x31:
      case 0x32:
      case 0x33:
      case 0x34:
      case 0x35:
      case 0x3a:
      case 0x3b:
      case 0x3c:
      case 0x3d:
        return this.publish(first, bytes, at, end, joined)
      case 0x40:
        return rare.decodeAck('puback', bytes, at, end)
      case 0x50:
        return rare.decodeAck('pubrec', bytes, at, end)
      case 0x62:
        return rare.decodeAck('pubrel', bytes, at, end)
      case 0x70:
        return rare.decodeAck('pubcomp', bytes, at, end)
      case 0x20:
        return rare.decodeConnack(version, bytes, at, end)
      case 0x90:
        return rare.decodeSubscriptionAck('suback', version, bytes, at, end)
      case 0xb0:
        return rare.decodeSubscriptionAck('unsuback', version, bytes, at, end)
      case 0xd0:
        return { cmd: 'pingresp' }
      default:
        judgeFirstByte(first, version)
        // What is left is DISCONNECT and AUTH of MQTT 5, and QoS 0 with DUP of MQTT 3.1.
        if (first === 0xe0) return rare.decodeDisconnect(bytes, at, end)
        if (first === 0xf0) return rare.decodeAuth(bytes, at, end)
        return this.publish(first, bytes, at, end, joined)
    }
  }

  private publish(
    first: number,
    bytes: Bytes,
    at: number,
    end: number,
    joined: boolean,
  ): PublishPacket {
    if (end - at < 2) cutOff('a publish')
    const topicStart = at + 2
    let behind = topicStart + ((bytes[at]! << 8) | bytes[at + 1]!)
    if (behind > end) cutOff('the Topic Name')
    const topic = topicOf(bytes, topicStart, behind)
    const qos = ((first >> 1) & 3) as QoS
    let messageId: number | undefined
    if (qos !== 0) {
      if (end - behind < 2) cutOff('the packet identifier')
      messageId = (bytes[behind]! << 8) | bytes[behind + 1]!
      if (messageId === 0) rare.zeroId('publish')
      behind += 2
    }
    let properties: Properties | undefined
    if (this.version === 5) {
      if (behind < end && bytes[behind] === 0) {
        behind++
      } else {
        const reader = new Reader(bytes, behind, end)
        properties = reader.properties('publish')
        behind = reader.at
      }
    }
    if (topic === '' && properties?.topicAlias === undefined) {
      refuse(PROTOCOL_ERROR, '3.3.2.1', 'a publish has neither a topic nor a topic alias')
    }
    return {
      cmd: 'publish',
      topic,
      payload: joined
        ? payloadOfJoined(bytes, behind, end)
        : this.payloadOfChunk(bytes, behind, end),
      qos,
      dup: (first & 8) !== 0,
      retain: (first & 1) !== 0,
      messageId,
      properties,
    } as PublishPacket
  }

  private payloadOfChunk(chunk: Bytes, start: number, end: number): Bytes {
    const length = end - start
    if (length === 0) return NO_BYTES
    if (end > this.stretchEnd) {
      if (length > STRETCH_BYTES / 2) return copyOf(chunk, start, end)
      const most = Math.min(STRETCH_BYTES, chunk.length - start)
      const { slab, offset, length: claimed } = claim(length, most)
      copyBytes(chunk, start, start + claimed, slab, offset)
      this.stretch = slab.buffer
      this.stretchEnd = start + claimed
      this.stretchShift = offset - start
    }
    return new BytesView(this.stretch!, start + this.stretchShift, length)
  }

  private forgetStretch(): void {
    this.stretch = null
    this.stretchEnd = 0
  }

  /** The packet that begins here where it is cut, long or not yet judged; null: more bytes are needed. */
  private slowPacket(): ServerPacket | null {
    const { chunks, version } = this
    if (chunks.held < this.needed) return null
    const first = chunks.peek(0)
    judgeFirstByte(first, version)
    let length = 0
    let size = 1
    for (;;) {
      if (size >= chunks.held) {
        this.needed = size + 1
        return null
      }
      const byte = chunks.peek(size)
      length |= (byte & 0x7f) << (7 * (size - 1))
      size++
      if (byte < 0x80) {
        if (byte === 0 && size > 2) {
          refuse(MALFORMED, 'MQTT-1.5.5-1', 'the Remaining Length has more bytes than it needs')
        }
        break
      }
      if (size === 5) refuse(MALFORMED, '2.1.4', 'the Remaining Length is longer than four bytes')
    }
    const total = size + length
    if (total > this.maximumPacketSize) {
      const limit = this.maximumPacketSize
      refuse(PACKET_TOO_LARGE, 'MQTT-3.1.2-24', `a packet of ${total} bytes; the limit is ${limit}`)
    }
    judgeLength(first, length, version)
    if (chunks.held < total) {
      this.needed = total
      return null
    }
    this.needed = 1
    const { head, at } = chunks
    if (head.length - at >= total) {
      const packet = this.packet(first, head, at + size, at + total, false)
      chunks.at = at + total
      chunks.held -= total
      return packet
    }
    const joined = chunks.join(total)
    this.forgetStretch()
    return this.packet(first, joined, size, total, true)
  }

  /** Remembers the error, lets go of all bytes. */
  private fail(error: unknown): Error {
    if (error instanceof ProtocolError) {
      const clause = clauseFor(this.version, error.clause)
      const { reasonCode } = error
      this.error =
        clause === error.clause ? error : new ProtocolError(error.message, { reasonCode, clause })
    } else {
      this.error = new BugError('the decoder failed', { cause: error })
    }
    this.chunks.clear()
    this.forgetStretch()
    return this.error
  }
}

/** The joined packet is ours alone: its payload may be a view of it, if what else is in it keeps within R5. */
function payloadOfJoined(joined: Bytes, start: number, end: number): Bytes {
  const length = end - start
  if (length === 0) return NO_BYTES
  if (joined.length - length > SLAB_BYTES) return copyOf(joined, start, end)
  return new BytesView(joined.buffer, start, length)
}
