/**
 * What does one connection consist of? A transport with the decoder and the outbox at its ends,
 * from the moment when it is open until it has closed.
 */

import { NO_BYTES } from '#bytes'
import { soon } from '#runtime'
import { restsWell } from '#transport'
import { Decoder } from '../codec/decode.ts'
import type { ByteStream } from '../platform/byte-stream.ts'
import { endGuard } from '../platform/error-guard.ts'
import type { Platform } from '../platform/machine.ts'
import type { Config } from '../protocol/config.ts'
import type { DeviationNote } from '../protocol/deviations.ts'
import type { PacketName, ProtocolVersion, ServerPacket } from '../protocol/facts.ts'
import type { Limits } from '../protocol/state.ts'
import { joinFirst, mayBeMqtt, whoAnswers } from './first-bytes.ts'
import { Outbox, type OutboxListener } from './outbox.ts'
import { mayRest, Rests } from './rest.ts'

export interface LinkListener {
  /** Bytes came that can be decoded. */
  readable(): void
  /** The kernel took something; `outbox.report` says what. */
  written(): void
  /** The transport has closed. `error` is null if it closed without one. */
  closed(error: unknown, byPeer: boolean): void
}

// All links share these listeners and find the link in its stream, so that an idle connection holds
// no closures.
const LINK = Symbol('link')
type Linked = ByteStream & { [LINK]?: Link }

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

/** @returns the first bytes so far, or null if they are those of an MQTT server. */
function mayBegin(first: Uint8Array, chunk: Uint8Array): Uint8Array | null {
  if (first.length === 0 && mayBeMqtt(chunk[0])) return null
  return joinFirst(first, chunk)
}

export class Link implements OutboxListener {
  readonly outbox: Outbox
  readonly #decoder: Decoder
  readonly #stream: ByteStream
  #listener: LinkListener | null
  #error: unknown = null
  #ended = false
  #closed = false
  /** Whether we are closing and discard what still comes. */
  #discarding = false
  /** The first bytes that came, until it is known that they are those of MQTT; then null. */
  #first: Uint8Array | null = NO_BYTES
  #isPaused = false
  /** How many bytes were read last. */
  #lastRead = 0
  /** Null until much is outstanding. */
  #rests: Rests | null = null
  /** Ends the rest of the reading; null if it does not rest. */
  #endRest: (() => void) | null = null
  /** Whether the decoder may hold a packet: it stopped at `max`, or bytes came since. */
  #more = false

  constructor(
    stream: ByteStream,
    protocolVersion: ProtocolVersion,
    { maximumPacketSize, tolerance }: Pick<Config, 'maximumPacketSize' | 'tolerance'>,
    listener: LinkListener,
  ) {
    this.#stream = stream
    this.#listener = listener
    this.#decoder = new Decoder(protocolVersion, maximumPacketSize, tolerance)
    this.outbox = new Outbox(stream, protocolVersion, this)
    const linked: Linked = stream
    linked[LINK] = this
    linked.on('data', onData)
    endGuard(linked)
    linked.on('error', onError)
    linked.on('end', onEnd)
    linked.on('close', onClose)
    if (stream.destroyed) soon((link) => link.closed(), this as Link)
  }

  // The events of the transport.

  data(chunk: Uint8Array): void {
    if (this.#discarding) return
    if (this.#first !== null) this.#first = mayBegin(this.#first, chunk)
    this.#decoder.push(chunk)
    this.#more = true
    this.#lastRead = chunk.length
    this.#listener?.readable()
  }

  failed(error: unknown): void {
    this.#error ??= error
  }

  ended(): void {
    this.#ended = true
    // MQTT needs both directions.
    this.#stream.destroy()
  }

  written(): void {
    this.#listener?.written()
  }

  closed(): void {
    if (this.#closed) return
    this.#closed = true
    this.#endRest?.()
    this.#listener?.closed(this.#error, this.#ended && this.#error === null)
  }

  /** Whether we are closing, so that nothing more may be written [MQTT-3.14.4-1]. */
  get closing(): boolean {
    return this.#discarding
  }

  /** Whether `read` may find a packet. */
  get hasMore(): boolean {
    return this.#more
  }

  /** What is known of the packet at which `read` threw. */
  get refused(): PacketName | null {
    return this.#decoder.refused
  }

  /**
   * Judges the first bytes, before they are decoded. If they are not those of MQTT, nothing more is
   * read.
   * @param over whether nothing more will come.
   * @returns who answered instead; null if it may be MQTT, and `more` if that is not known yet.
   */
  stranger(over: boolean): string | 'more' | null {
    if (this.#first === null) return null
    const who = whoAnswers(this.#first, over)
    if (who === 'more') return who
    this.#first = null
    if (who !== null) {
      this.#discarding = true
      this.#more = false
    }
    return who
  }

  /**
   * Appends at most `max` packets to `into`.
   * @throws ProtocolError from the decoder. The packets before the wrong one are appended.
   */
  read(into: ServerPacket[], max: number): void {
    this.#more = this.#decoder.read(into, max) === max
  }

  /** @returns the deviations in what was read since the last call, or null if there were none. */
  takeNotes(): readonly DeviationNote[] | null {
    return this.#decoder.takeNotes()
  }

  /** Uses what the server allows in its CONNACK. */
  agree({ topicAliasMaximum, maximumPacketSize }: Limits): void {
    this.outbox.encoder.allowAliases(topicAliasMaximum, maximumPacketSize)
  }

  pause(): void {
    this.#isPaused = true
    this.#stream.pause()
  }

  resume(): void {
    this.#isPaused = false
    if (this.#endRest === null) this.#stream.resume()
  }

  /** Lets reading rest after a read, if that pays. */
  restIfUseful(inFlight: number, platform: Platform): void {
    const may = mayRest(inFlight, this.outbox.pendingBytes)
    if (this.#rests === null) {
      if (!may || !restsWell(this.#stream)) return
      this.#rests = new Rests()
    }
    const ms = this.#rests.read(this.#lastRead, platform.now(), may)
    if (this.#isPaused || this.#discarding) return
    if (ms === 0 || this.#endRest !== null) return
    this.#stream.pause()
    const timer = platform.setTimer(() => this.#endRest?.(), ms)
    this.#endRest = () => {
      platform.clearTimer(timer)
      this.#endRest = null
      if (!this.#isPaused) this.#stream.resume()
    }
  }

  /**
   * Writes what is left and closes.
   * @param patient whether to let the server close first. If not, we close once all is written.
   */
  close(patient: boolean): void {
    this.outbox.flush()
    if (!patient) this.#stream.once('finish', () => this.#stream.destroy())
    this.#discarding = true
    this.#endRest?.()
    // What the server still sends is read and discarded, so that its FIN is seen.
    this.#stream.resume()
    this.outbox.end()
  }

  destroy(): void {
    this.#endRest?.()
    this.#stream.destroy()
  }

  /** Makes `listener` the listener from now on, and reports to it a close that happened before. */
  handTo(listener: LinkListener | null): void {
    this.#listener = listener
    if (listener === null || !this.#closed) return
    soon((to) => to.closed(this.#error, this.#ended && this.#error === null), listener)
  }
}
