/**
 * Where does each packet of a client begin and end?
 *
 * The decoder is strict: the first byte and the Remaining Length are checked before the body has
 * come, and the first wrong packet ends the connection with the reason code of the standard.
 */

import { Reader } from '../codec/reader.ts'
import { ReceivedChunks } from '../codec/received-chunks.ts'
import { REFUSING, refuse } from '../codec/refuse.ts'
import { ProtocolError } from '../errors.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'
import { hex } from '../protocol/reason-codes.ts'
import { decodeConnect, decodeFromClient } from './decode-client.ts'
import type { PacketFromClient } from './packet-types.ts'

/** The decoder of what one client sends. */
export class ClientDecoder {
  readonly #chunks = new ReceivedChunks()
  readonly #maximumPacketSize: number
  /** The version of the CONNECT; null before it. */
  #version: ProtocolVersion | null = null

  constructor(maximumPacketSize: number) {
    this.#maximumPacketSize = maximumPacketSize
  }

  /** Takes a chunk as it came from the transport. */
  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
  }

  /**
   * @returns the next packet, or null if it has not come completely.
   * @throws ProtocolError at a packet that is wrong. Nothing can be read after it.
   */
  next(): PacketFromClient | null {
    const chunks = this.#chunks
    if (chunks.unreadBytes === 0) return null
    const first = chunks.peek(0)
    this.#checkFirstByte(first)
    let length = 0
    let size = 1
    for (;;) {
      if (size >= chunks.unreadBytes) return null
      const byte = chunks.peek(size)
      length |= (byte & 0x7f) << (7 * (size - 1))
      size++
      if (byte < 0x80) {
        if (byte === 0 && size > 2) refuse('PADDED_LENGTH', 'the Remaining Length is padded')
        break
      }
      if (size === 5) refuse('LENGTH', 'the Remaining Length is longer than four bytes')
    }
    const total = size + length
    if (total > this.#maximumPacketSize) {
      const limit = `the broker's Maximum Packet Size is ${this.#maximumPacketSize}`
      refuse('PACKET_TOO_LARGE', `a packet of ${total} bytes; ${limit}`, 'MQTT-3.2.2-15')
    }
    if (chunks.unreadBytes < total) return null
    const bytes = chunks.join(total)
    return this.#decode(first, new Reader(bytes, size, total, REFUSING.strict))
  }

  #decode(first: number, reader: Reader): PacketFromClient {
    const version = this.#version
    if (version !== null) return decodeFromClient(first, reader, version)
    const connect = decodeConnect(reader)
    this.#version = connect.protocolVersion ?? 4
    return connect
  }

  #checkFirstByte(first: number): void {
    const type = first >> 4
    const version = this.#version
    if (version === null && type !== 1) {
      const message = `the first packet must be a CONNECT; its first byte is ${hex(first)}`
      throw new ProtocolError(message, { reasonCode: 0x82, clause: 'MQTT-3.1.0-1' })
    }
    if (version !== null && type === 1) {
      const message = 'a second CONNECT on one connection'
      throw new ProtocolError(message, { reasonCode: 0x82, clause: 'MQTT-3.1.0-2' })
    }
    const fromServer = type === 2 || type === 9 || type === 11 || type === 13
    if (type === 0 || (type === 15 && version !== 5)) {
      refuse('PACKET_TYPE', `packet type ${type} is reserved`)
    }
    if (fromServer) refuse('WRONG_DIRECTION', `a client does not send packet type ${type}`)
    if (type === 3) return
    const flags = type === 6 || type === 8 || type === 10 ? 2 : 0
    // MQTT 3.1 lets these packets have the DUP flag when they are sent again.
    if ((first & 0x0f) === flags || (version === 3 && (first & 0x07) === flags)) return
    refuse('RESERVED_BITS', `wrong flags in the first byte ${hex(first)}`)
  }
}
