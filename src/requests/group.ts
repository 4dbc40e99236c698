/**
 * How do small QoS 0 publishes cost little? Those that follow one another are encoded as they are
 * taken, and are one thing to the reducers from then on: a group, which is sent whole or taken
 * apart.
 */
import { Encoder } from '../codec/encode.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'
import type { Holding, PreparedPublish } from './prepare.ts'
import type { PublishRequest, Settling } from './vocabulary.ts'

/** Bytes. A larger publish is sent by itself. */
const MEMBER_BYTES_MAX = 4096

export class Group implements Holding {
  readonly kind = 'group'
  readonly requests: PublishRequest[] = []
  readonly settling: Settling | null
  readonly unlisten = null
  /** The size of the largest packet: it is compared with the server's Maximum Packet Size. */
  bytes = 0
  /** Whether any of the messages is to be retained. */
  retain = false
  /** The packets, once the group is closed. */
  encoded: readonly Uint8Array[] = []
  readonly #encoder: Encoder

  /** @param encoder is used by nobody else until the group is closed. */
  constructor(settling: Settling | null, encoder: Encoder) {
    this.settling = settling
    this.#encoder = encoder
  }

  /** @returns whether the publish is small, at QoS 0, and without an expiry, key or signal. */
  static mayJoin({ qos, bytes, expiryGiven, request }: PreparedPublish): boolean {
    return (
      qos === 0 &&
      bytes <= MEMBER_BYTES_MAX &&
      !expiryGiven &&
      request.key === undefined &&
      request.signal === undefined
    )
  }

  add(prepared: PreparedPublish): void {
    this.requests.push(prepared.request)
    this.#encoder.publish(prepared, 0, false, -1)
    if (prepared.bytes > this.bytes) this.bytes = prepared.bytes
    if (prepared.retain) this.retain = true
  }

  close(): void {
    this.encoded = this.#encoder.take()
  }
}

/** Collects publishes that follow one another, until something else ends their group. */
export class GroupBuilder {
  /** The first message; a second one makes a group of both. */
  #first: PreparedPublish | null = null
  #group: Group | null = null
  /** One for all groups, because it learns how large they are. */
  #encoder: Encoder | null = null

  add(prepared: PreparedPublish, settling: Settling | null, version: ProtocolVersion): void {
    if (this.#group !== null) this.#group.add(prepared)
    else if (this.#first === null) {
      prepared.settling = settling
      this.#first = prepared
    } else {
      if (this.#encoder?.version !== version) this.#encoder = new Encoder(version)
      this.#group = new Group(settling, this.#encoder)
      this.#group.add(this.#first)
      this.#group.add(prepared)
    }
  }

  /**
   * @returns what was added since the last call: a group, a single message, or null for nothing.
   */
  take(): Group | PreparedPublish | null {
    const taken = this.#group ?? this.#first
    this.#first = null
    this.#group = null
    if (taken?.kind === 'group') taken.close()
    return taken
  }
}
