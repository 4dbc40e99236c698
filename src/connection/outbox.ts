/**
 * How do packets get to the transport, and when has the kernel taken them?
 *
 * Packets are encoded into batches, which are written in pieces. So a write that makes no progress
 * can be told apart from a slow one (K2, a dead connection is dropped in time), and a
 * QoS 0 publish can be settled when the kernel took it.
 */
import { Encoder } from '../codec/encode.ts'
import type { ByteStream } from '../platform/byte-stream.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'

/** Bytes of one write, at most: so few that a slow link shows progress within the keep-alive. */
const PIECE_BYTES = 65_536
/** Bytes handed to the transport and not yet taken by the kernel, at most. */
const OUTSTANDING_BYTES_MAX = 262_144
/** Bytes not taken by the kernel, in all. Beyond it no more requests are taken. */
export const CONGESTED_BYTES = 524_288

/** The queue of every outbox in which nothing waits. It is never changed. */
const NO_PIECES: Piece[] = []

interface Piece {
  readonly bytes: Uint8Array
  /** How many QoS 0 publishes are complete with this piece. */
  readonly publishes: number
  /** Whether a PINGREQ is complete with this piece. */
  readonly ping: boolean
}

/** What the kernel took. */
interface WrittenReport {
  /** How many QoS 0 publishes. */
  publishes: number
  /** Whether a PINGREQ was among it. */
  ping: boolean
}

export interface OutboxListener {
  /** The kernel took something; `Outbox.report` says what. */
  written(): void
}

export class Outbox {
  readonly encoder: Encoder
  readonly #stream: ByteStream
  readonly #listener: OutboxListener
  /** The pieces that wait, from index `#queueAt` on. */
  #queue: Piece[] = NO_PIECES
  #queueAt = 0
  #queuedBytes = 0
  /** Bytes handed to the transport and not taken by the kernel yet. */
  #outstanding = 0
  /** How many QoS 0 publishes the encoder holds. */
  #publishes = 0
  /** Whether the encoder holds a PINGREQ. */
  #ping = false
  #ending = false
  /** What the kernel took since the listener last set this to null; null if it took nothing. */
  report: WrittenReport | null = null

  constructor(stream: ByteStream, protocolVersion: ProtocolVersion, listener: OutboxListener) {
    this.encoder = new Encoder(protocolVersion)
    this.#stream = stream
    this.#listener = listener
  }

  /** Counts QoS 0 publishes that were encoded. */
  countPublishes(count: number): void {
    this.#publishes += count
  }

  /** Appends and counts a group of QoS 0 publishes that are encoded already. */
  group(encoded: readonly Uint8Array[], count: number): void {
    for (const bytes of encoded) this.encoder.append(bytes)
    this.#publishes += count
  }

  /** Notes that a PINGREQ was encoded. */
  countPing(): void {
    this.#ping = true
  }

  /** How many bytes the kernel has not taken yet. */
  get pendingBytes(): number {
    return this.encoder.pendingBytes + this.#queuedBytes + this.#outstanding
  }

  /**
   * Hands over what was encoded.
   * @returns false if nothing was.
   */
  flush(): boolean {
    if (this.encoder.pendingBytes === 0) return false
    const buffers = this.encoder.take()
    buffers.forEach((buffer, i) => {
      for (let at = 0; at < buffer.length; at += PIECE_BYTES) {
        const bytes =
          at === 0 && buffer.length <= PIECE_BYTES ? buffer : buffer.subarray(at, at + PIECE_BYTES)
        const last = i === buffers.length - 1 && at + PIECE_BYTES >= buffer.length
        if (this.#queue === NO_PIECES) this.#queue = []
        this.#queue.push({ bytes, publishes: last ? this.#publishes : 0, ping: last && this.#ping })
        this.#queuedBytes += bytes.length
      }
    })
    this.#publishes = 0
    this.#ping = false
    this.#pump()
    return true
  }

  #pump(): void {
    while (this.#queueAt < this.#queue.length && this.#outstanding < OUTSTANDING_BYTES_MAX) {
      const piece = this.#queue[this.#queueAt++]!
      this.#queuedBytes -= piece.bytes.length
      this.#outstanding += piece.bytes.length
      this.#stream.write(piece.bytes, (error) => this.#taken(piece, error))
    }
    if (this.#queueAt < this.#queue.length) return
    this.#queue = NO_PIECES
    this.#queueAt = 0
    if (this.#ending) this.#stream.end()
  }

  #taken(piece: Piece, error: Error | null | undefined): void {
    // The events of the transport report its end.
    if (error) return
    this.#outstanding -= piece.bytes.length
    this.report ??= { publishes: 0, ping: false }
    this.report.publishes += piece.publishes
    this.report.ping ||= piece.ping
    if (this.#queueAt < this.#queue.length) this.#pump()
    this.#listener.written()
  }

  /** Ends our side of the transport once everything is written. */
  end(): void {
    this.#ending = true
    this.#pump()
  }
}
