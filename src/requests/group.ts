/**
 * Publishes at QoS 0 that were taken one after the other: encoded as they come, and from then on one thing to the reducers,
 * which send it whole or have it taken apart.
 */
import type { Encoder } from '../codec/encode.ts'
import type { Holding, PreparedPublish } from './prepare.ts'
import type { PublishRequest, Settling } from './vocabulary.ts'

/** Bytes. A larger publish is worth an entry of its own. */
const MEMBER_BYTES_MAX = 4096

export class Group implements Holding {
  readonly kind = 'group'
  readonly requests: PublishRequest[] = []
  readonly settling: Settling | null
  readonly unlisten = null
  /** Of the largest packet: what a server's Maximum Packet Size is compared with. */
  bytes = 0
  /** Whether any of them is to be retained. */
  retain = false
  /** The packets, once the group is closed. */
  encoded: readonly Uint8Array[] = []
  readonly #encoder: Encoder

  /** `encoder`: its own until it is closed. */
  constructor(settling: Settling | null, encoder: Encoder) {
    this.settling = settling
    this.#encoder = encoder
  }

  /** Whether nothing will ever concern this publish alone but its outcome. */
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
