/**
 * Which packets did the server send?
 *
 * Bytes become packets. An error that the bytes alone show is refused here with its reason code and
 * clause, or noted if the tolerance allows the connection to continue. Rules that depend on the
 * state of the session are checked by the reducers.
 *
 * A packet that is in one chunk is decoded without a copy. The chunks of a packet that is cut are
 * kept and joined once, when the packet is complete. So every byte is copied at most once, and a
 * packet is not buffered if its fixed header already shows that it is wrong (I2, sizes are checked
 * before a body is buffered).
 *
 * For payloads see slabs.ts (R5, a yielded packet keeps little memory alive). Small payloads are
 * not copied one by one. Instead 2 KiB of the chunk, from the first payload on, are copied into a
 * slab together, and all payloads in these 2 KiB are views of that copy.
 */

import { type Bytes, BytesView, copyBytes, NO_BYTES } from '#bytes'
import { BugError, ProtocolError } from '../errors.ts'
import {
  DEVIATIONS,
  type DeviationKind,
  type DeviationNote,
  type Tolerance,
} from '../protocol/deviations.ts'
import type {
  PacketName,
  Properties,
  QoS,
  ReceivedPublish,
  ServerPacket,
} from '../protocol/facts.ts'
import * as rare from './decode-rare.ts'
import { checkFirstByte, checkLength, fixedLengths } from './fixed-header.ts'
import { packetNameOf } from './packet-name.ts'
import { Reader } from './reader.ts'
import { ReceivedChunks } from './received-chunks.ts'
import { clauseFor, REFUSING, refuse, refuseCut, type Tolerant } from './refuse.ts'
import { claim, copyOf, payloadOfJoined } from './slabs.ts'
import { decodeRepeated } from './text.ts'

const PADDED = 'the Remaining Length has more bytes than it needs'

/** Bytes that are copied together. A payload larger than half of it is copied by itself. */
const COPY_BYTES = 2048

/**
 * The decoder of one connection.
 *
 * Fields and methods are `private` and not `#`, here and in `Encoder` and `ReceivedChunks`, because
 * `#` methods add a hidden field to each object: 37 bytes of the 5 KB that an idle connection may
 * hold.
 */
export class Decoder implements Tolerant {
  private readonly version: number
  private readonly maximumPacketSize: number
  private readonly tolerance: Tolerance
  private readonly lengths: readonly number[]
  private error: ProtocolError | BugError | null = null
  /** What is known of the packet that could not be decoded; null if there was none. */
  refused: PacketName | null = null
  /** The deviations that were not taken yet, or null if there are none. */
  private notes: DeviationNote[] | null = null
  /** Whether a CONNACK was read. */
  private begun = false

  private readonly chunks = new ReceivedChunks()
  /** How many unread bytes are needed before the decoder reads on. */
  private needed = 1

  /** The memory into which a part of the current chunk was copied; null if none was. */
  private copy: ArrayBufferLike | null = null
  /** The offset in the chunk at which the copied part ends. */
  private copyEnd = 0
  /**
   * The number that is added to an offset in the chunk to get the offset of the same byte in
   * `copy`.
   */
  private copyShift = 0

  constructor(protocolVersion: 3 | 4 | 5, maximumPacketSize: number, tolerance: Tolerance) {
    this.version = protocolVersion
    this.tolerance = tolerance
    this.maximumPacketSize = maximumPacketSize
    this.lengths = fixedLengths(protocolVersion)
  }

  /** Takes a chunk as it came from the transport, and keeps a reference to it until it is read. */
  push(chunk: Uint8Array): void {
    if (this.error === null) this.chunks.push(chunk)
  }

  /** How many bytes were pushed and not decoded yet. */
  get bufferedBytes(): number {
    return this.chunks.unreadBytes
  }

  /** @returns the deviations that were read since the last call, or null if there were none. */
  takeNotes(): readonly DeviationNote[] | null {
    const { notes } = this
    this.notes = null
    return notes
  }

  /** Refuses the packet that is being read, or notes the deviation. */
  tolerate(kind: DeviationKind, what: string, clause: string = DEVIATIONS[kind].clause): void {
    REFUSING[this.tolerance].tolerate(kind, what, clause)
    this.notes ??= []
    const { notes } = this
    const known = notes.findIndex((note) => note.kind === kind)
    if (known < 0) notes.push({ kind, count: 1, what, clause: clauseFor(this.version, clause) })
    else notes[known] = { ...notes[known]!, count: notes[known]!.count + 1 }
  }

  /**
   * Appends at most `max` packets to `into`.
   * @returns how many.
   * @throws ProtocolError at a packet that is wrong. The good ones before it are in `into`. Every
   * later call throws it again.
   */
  read(into: ServerPacket[], max: number): number {
    if (this.error !== null) throw this.error
    if (this.chunks.unreadBytes < this.needed) return 0
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
      const start = chunks.at
      let at = start
      while (count < max && end - at >= 2) {
        const first = chunk[at]!
        let length = chunk[at + 1]!
        let body = at + 2
        if (length >= 0x80) {
          if (end - at < 5) break // the fixed header may continue in the next chunk
          const second = chunk[at + 2]!
          length = (length & 0x7f) | ((second & 0x7f) << 7)
          body = at + 3
          if (second >= 0x80 || second === 0) break // a longer or a wrong length, which is rare
        }
        const stop = body + length
        if (stop > end || stop - at > limit) break
        const fixed = lengths[first >> 4]!
        if (fixed >= 0 && length !== fixed) break
        into.push(this.packet(first, chunk, body, stop, false))
        count++
        at = chunks.at = stop
      }
      if (at !== start) {
        chunks.unreadBytes -= at - start
        this.needed = 1
      }
      if (count === max) break
      if (at === end) {
        this.forgetCopy()
        if (!chunks.next()) break
      } else {
        const packet = this.slowPacket()
        if (packet === null) break
        into.push(packet)
        count++
      }
    }
    if (chunks.unreadBytes === 0) {
      chunks.clear()
      this.forgetCopy()
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
        return rare.decodeAck('puback', version, bytes, at, end, this)
      case 0x50:
        return rare.decodeAck('pubrec', version, bytes, at, end, this)
      case 0x62:
        return rare.decodeAck('pubrel', version, bytes, at, end, this)
      case 0x70:
        return rare.decodeAck('pubcomp', version, bytes, at, end, this)
      case 0xd0:
        return { cmd: 'pingresp' }
      default:
        checkFirstByte(first, version, this.begun, REFUSING[this.tolerance])
        checkFirstByte(first, version, this.begun, this)
        if (first >> 4 === 3) return this.publish(first, bytes, at, end, joined)
        return this.rarePacket(first >> 4, bytes, at, end)
    }
  }

  /** Decodes a packet by its type alone: its flags were checked. */
  private rarePacket(type: number, bytes: Bytes, at: number, end: number): ServerPacket {
    const version = this.version
    switch (type) {
      case 2:
        this.begun = true
        return rare.decodeConnack(version, bytes, at, end, this)
      case 4:
        return rare.decodeAck('puback', version, bytes, at, end, this)
      case 5:
        return rare.decodeAck('pubrec', version, bytes, at, end, this)
      case 6:
        return rare.decodeAck('pubrel', version, bytes, at, end, this)
      case 7:
        return rare.decodeAck('pubcomp', version, bytes, at, end, this)
      case 9:
        return rare.decodeSubscriptionAck('suback', version, bytes, at, end, this)
      case 11:
        return rare.decodeSubscriptionAck('unsuback', version, bytes, at, end, this)
      case 12:
        return { cmd: 'pingreq' }
      case 13:
        return { cmd: 'pingresp' }
      case 14:
        return rare.decodeDisconnect(bytes, at, end, this)
      default:
        return rare.decodeAuth(bytes, at, end, this)
    }
  }

  private publish(
    first: number,
    bytes: Bytes,
    at: number,
    end: number,
    joined: boolean,
  ): ReceivedPublish {
    if (end - at < 2) refuseCut('a publish')
    const topicStart = at + 2
    let behind = topicStart + ((bytes[at]! << 8) | bytes[at + 1]!)
    if (behind > end) refuseCut('the Topic Name')
    const topic = decodeRepeated(
      bytes,
      topicStart,
      behind,
      'the Topic Name',
      'UNREADABLE_TOPIC',
      this,
      true,
    )
    const qos = ((first >> 1) & 3) as QoS
    let messageId: number | undefined
    if (qos !== 0) {
      if (end - behind < 2) refuseCut('the packet identifier')
      messageId = (bytes[behind]! << 8) | bytes[behind + 1]!
      if (messageId === 0) rare.refuseZeroId('publish')
      behind += 2
    }
    let properties: Properties | undefined
    if (this.version === 5) {
      if (behind < end && bytes[behind] === 0) {
        behind++
      } else {
        const reader = new Reader(bytes, behind, end, this)
        properties = reader.properties('publish')
        behind = reader.at
      }
    }
    if (topic === '' && properties?.['topicAlias'] === undefined) {
      this.tolerate('EMPTY_TOPIC', 'a publish has neither a topic nor a topic alias')
      return rare.unreadable(qos, messageId, properties)
    }
    if (topic === null) return rare.unreadable(qos, messageId, properties)
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
    } as ReceivedPublish
  }

  private payloadOfChunk(chunk: Bytes, start: number, end: number): Bytes {
    const length = end - start
    if (length === 0) return NO_BYTES
    if (end > this.copyEnd) {
      if (length > COPY_BYTES / 2) return copyOf(chunk, start, end)
      const most = Math.min(COPY_BYTES, chunk.length - start)
      const { slab, offset, length: claimed } = claim(length, most)
      copyBytes(chunk, start, start + claimed, slab, offset)
      this.copy = slab.buffer
      this.copyEnd = start + claimed
      this.copyShift = offset - start
    }
    return new BytesView(this.copy!, start + this.copyShift, length)
  }

  private forgetCopy(): void {
    this.copy = null
    this.copyEnd = 0
  }

  /**
   * Decodes a packet that is cut, long or not checked yet.
   * @returns null if more bytes are needed.
   */
  private slowPacket(): ServerPacket | null {
    const { chunks, version } = this
    const early = REFUSING[this.tolerance]
    let padded = false
    if (chunks.unreadBytes < this.needed) return null
    const first = chunks.peek(0)
    checkFirstByte(first, version, this.begun, early)
    let length = 0
    let size = 1
    for (;;) {
      if (size >= chunks.unreadBytes) {
        this.needed = size + 1
        return null
      }
      const byte = chunks.peek(size)
      length |= (byte & 0x7f) << (7 * (size - 1))
      size++
      if (byte < 0x80) {
        padded = byte === 0 && size > 2
        if (padded) early.tolerate('PADDED_LENGTH', PADDED)
        break
      }
      if (size === 5) refuse('LENGTH', 'the Remaining Length is longer than four bytes')
    }
    const total = size + length
    if (total > this.maximumPacketSize) {
      const limit = this.maximumPacketSize
      refuse('PACKET_TOO_LARGE', `a packet of ${total} bytes; the limit is ${limit}`)
    }
    checkLength(first, length, version, early)
    if (chunks.unreadBytes < total) {
      this.needed = total
      return null
    }
    this.needed = 1
    checkLength(first, length, version, this)
    if (padded) this.tolerate('PADDED_LENGTH', PADDED)
    const { head, at } = chunks
    if (head.length - at >= total) {
      const packet = this.packet(first, head, at + size, at + total, false)
      chunks.at = at + total
      chunks.unreadBytes -= total
      return packet
    }
    const joined = chunks.join(total)
    this.forgetCopy()
    try {
      return this.packet(first, joined, size, total, true)
    } catch (error) {
      this.refused = packetNameOf(joined, 0)
      throw error
    }
  }

  /** Remembers the error and drops all bytes. */
  private fail(error: unknown): Error {
    this.refused ??= packetNameOf(this.chunks.head, this.chunks.at)
    if (error instanceof ProtocolError) {
      const clause = clauseFor(this.version, error.clause)
      const { reasonCode } = error
      this.error =
        clause === error.clause ? error : new ProtocolError(error.message, { reasonCode, clause })
    } else {
      this.error = new BugError('the decoder failed', { cause: error })
    }
    this.chunks.clear()
    this.forgetCopy()
    return this.error
  }
}
