/**
 * One connection: a transport with the decoder and the outbox at its ends, from the moment it is open until it has closed.
 */
import type { Duplex } from 'node:stream'
import { Decoder } from '../codec/decode.ts'
import type { ProtocolVersion, ServerPacket } from '../protocol/facts.ts'
import type { Limits } from '../protocol/state.ts'
import { Outbox, type OutboxListener } from './outbox.ts'

export interface LinkListener {
  /** Bytes are there to be decoded. */
  readable(): void
  /** The kernel took something; `outbox.report` says what. */
  written(): void
  /** The transport has closed. `error`: null where the peer closed in order. */
  closed(error: unknown, byPeer: boolean): void
}

// Listeners that all links share: the stream knows its link. Ten thousand idle connections hold no closures.
const LINK = Symbol('link')
type Linked = Duplex & { [LINK]?: Link }

function onData(this: Linked, chunk: Uint8Array): void {
  this[LINK]!.data(chunk)
}

function onError(this: Linked, error: unknown): void {
  this[LINK]!.failed(error)
}

function onEnd(this: Linked): void {
  this[LINK]!.ended()
}

function onClose(this: Linked): void {
  this[LINK]!.closed()
}

export class Link implements OutboxListener {
  readonly outbox: Outbox
  readonly #decoder: Decoder
  readonly #duplex: Duplex
  #listener: LinkListener | null
  #error: unknown = null
  #ended = false
  #closed = false
  /** We are closing: what still comes is thrown away. */
  #deaf = false
  /** The decoder stopped because it was told to, not because it ran out of bytes. */
  #more = false

  constructor(
    duplex: Duplex,
    protocolVersion: ProtocolVersion,
    maximumPacketSize: number,
    listener: LinkListener,
  ) {
    this.#duplex = duplex
    this.#listener = listener
    this.#decoder = new Decoder(protocolVersion, maximumPacketSize)
    this.outbox = new Outbox(duplex, protocolVersion, this)
    const linked: Linked = duplex
    linked[LINK] = this
    linked.on('data', onData).on('error', onError).on('end', onEnd).on('close', onClose)
    if (duplex.destroyed) queueMicrotask(() => this.closed())
  }

  data(chunk: Uint8Array): void {
    if (this.#deaf) return
    this.#decoder.push(chunk)
    this.#more = true
    this.#listener?.readable()
  }

  failed(error: unknown): void {
    this.#error ??= error
  }

  ended(): void {
    this.#ended = true
    // The peer says nothing more: there is no MQTT in one direction only.
    this.#duplex.destroy()
  }

  written(): void {
    this.#listener?.written()
  }

  closed(): void {
    if (this.#closed) return
    this.#closed = true
    this.#listener?.closed(this.#error, this.#ended && this.#error === null)
  }

  /** Nothing more may be written [MQTT-3.14.4-1]. */
  get closing(): boolean {
    return this.#deaf
  }

  /** Whether bytes wait that `read` has not seen. */
  get hasMore(): boolean {
    return this.#more
  }

  /** Appends at most `max` packets. Throws the decoder's ProtocolError; the packets before it are appended. */
  read(into: ServerPacket[], max: number): void {
    this.#more = this.#decoder.read(into, max) === max
  }

  /** The server has said in its CONNACK what it takes. */
  agree({ topicAliasMaximum, maximumPacketSize }: Limits): void {
    this.outbox.encoder.allowAliases(topicAliasMaximum, maximumPacketSize)
  }

  pause(): void {
    this.#duplex.pause()
  }

  resume(): void {
    this.#duplex.resume()
  }

  /** Writes what is left and closes. `patient`: the server may close first, else we do once everything is written. */
  close(patient: boolean): void {
    this.outbox.flush()
    if (!patient) this.#duplex.once('finish', () => this.#duplex.destroy())
    this.#deaf = true
    // What the server still says is read and thrown away, so that its FIN is seen.
    this.#duplex.resume()
    this.outbox.end()
  }

  destroy(): void {
    this.#duplex.destroy()
  }

  /** From now on somebody else listens; what happened meanwhile is told. */
  handTo(listener: LinkListener | null): void {
    this.#listener = listener
    if (listener !== null && this.#closed) {
      const ended = this.#ended && this.#error === null
      queueMicrotask(() => listener.closed(this.#error, ended))
    }
  }
}
