/**
 * Packets on their way to the transport: encoded into batches, written piece by piece, so that a write that stands still can
 * be told from one that moves, and a QoS 0 publish can be settled when the kernel took it. (K2)
 */
import type { Duplex } from 'node:stream'
import { Encoder } from '../codec/encode.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'

/** Bytes of one write: small enough that a slow link shows progress well within a keep-alive. */
const PIECE_BYTES = 65_536
/** Bytes handed to the transport and not yet taken by the kernel, at most. */
const OUTSTANDING_BYTES_MAX = 262_144
/** Bytes that wait here and there beyond which no more requests are taken. */
export const CONGESTED_BYTES = 524_288

/** One for all that are empty; never changed. */
const NOTHING: Piece[] = []

interface Piece {
  readonly bytes: Uint8Array
  /** QoS 0 publishes that are complete with this piece, and whether a PINGREQ is. */
  readonly publishes: number
  readonly ping: boolean
}

export interface WrittenReport {
  publishes: number
  ping: boolean
}

export interface OutboxListener {
  /** The kernel took something; `report` says what. */
  written(): void
}

export class Outbox {
  readonly encoder: Encoder
  readonly #duplex: Duplex
  readonly #listener: OutboxListener
  #queue: Piece[] = NOTHING
  #queueAt = 0
  #queuedBytes = 0
  #outstanding = 0
  #publishes = 0
  #ping = false
  #ending = false
  /** What the kernel took since the last report. */
  report: WrittenReport | null = null

  constructor(duplex: Duplex, protocolVersion: ProtocolVersion, listener: OutboxListener) {
    this.encoder = new Encoder(protocolVersion)
    this.#duplex = duplex
    this.#listener = listener
  }

  /** QoS 0 publishes were encoded. */
  countPublishes(count: number): void {
    this.#publishes += count
  }

  /** QoS 0 publishes that were encoded elsewhere. */
  group(encoded: readonly Uint8Array[], count: number): void {
    for (const bytes of encoded) this.encoder.append(bytes)
    this.#publishes += count
  }

  /** A PINGREQ was encoded. */
  countPing(): void {
    this.#ping = true
  }

  /** Bytes that the kernel has not taken. */
  get pendingBytes(): number {
    return this.encoder.pendingBytes + this.#queuedBytes + this.#outstanding
  }

  /** Hands over what was encoded; false: nothing was. */
  flush(): boolean {
    if (this.encoder.pendingBytes === 0) return false
    const buffers = this.encoder.take()
    buffers.forEach((buffer, i) => {
      for (let at = 0; at < buffer.length; at += PIECE_BYTES) {
        const bytes =
          at === 0 && buffer.length <= PIECE_BYTES ? buffer : buffer.subarray(at, at + PIECE_BYTES)
        const last = i === buffers.length - 1 && at + PIECE_BYTES >= buffer.length
        if (this.#queue === NOTHING) this.#queue = []
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
      this.#duplex.write(piece.bytes, (error) => this.#taken(piece, error))
    }
    if (this.#queueAt < this.#queue.length) return
    this.#queue = NOTHING
    this.#queueAt = 0
    if (this.#ending) this.#duplex.end()
  }

  #taken(piece: Piece, error: Error | null | undefined): void {
    // The transport tells of its end in its own way.
    if (error) return
    this.#outstanding -= piece.bytes.length
    this.report ??= { publishes: 0, ping: false }
    this.report.publishes += piece.publishes
    this.report.ping ||= piece.ping
    if (this.#queueAt < this.#queue.length) this.#pump()
    this.#listener.written()
  }

  /** Closes the transport's writing side once everything is written. */
  end(): void {
    this.#ending = true
    this.#pump()
  }
}
