/**
 * Has the consumer looked at a refusal? If neither the stream nor `onSettled` is given outcomes,
 * the packet that refuses a request is its only report. It counts as heard if the consumer reads
 * the code, `reasonCode` or `granted`, before it asks for the next packet. (D6, one bad request
 * never stalls the others)
 *
 * Only such packets are watched, so all others cost nothing.
 */
import { INSPECT } from '../platform/machine.ts'
import type { Incoming } from './vocabulary.ts'

type Watched = { [name: PropertyKey]: unknown }

export class Unheard {
  /** The error of each refusing packet whose code was not read. */
  readonly #errors = new Map<object, unknown>()
  /** The packets of them that the consumer was given, oldest first. */
  #given: object[] = []

  add(packet: Incoming, error: unknown): void {
    this.#errors.set(packet, error)
    watch(packet as unknown as Watched, 'granted' in packet ? 'granted' : 'reasonCode', () => {
      this.#errors.delete(packet)
    })
  }

  /** Notes that the consumer is given this packet. */
  give(packet: Incoming): void {
    if (this.#errors.has(packet)) this.#given.push(packet)
  }

  /**
   * The consumer asks for the next packet.
   * @returns the error of the first refusal that it was given and did not look at, or null.
   */
  ask(): { readonly reason: unknown } | null {
    const given = this.#given
    this.#given = []
    const packet = given.find((one) => this.#errors.has(one))
    return packet === undefined ? null : { reason: this.#errors.get(packet) }
  }
}

/** Calls `look` when this property is read for the first time, or the packet printed. */
function watch(packet: Watched, name: string, look: () => void): void {
  const value = packet[name]
  const set = (changed: unknown) => {
    const plain = { value: changed, writable: true, enumerable: true, configurable: true }
    Object.defineProperty(packet, name, plain)
    delete packet[INSPECT]
  }
  const get = () => {
    look()
    set(value)
    return value
  }
  Object.defineProperty(packet, name, { get, set, enumerable: true, configurable: true })
  const inspect = () => {
    get()
    return packet
  }
  Object.defineProperty(packet, INSPECT, { value: inspect, configurable: true })
}
