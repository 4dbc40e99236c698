/**
 * Which fields does a packet have: integers, strings, binary data, properties?
 *
 * The reader is used for rare packets; for frequent ones the decoder reads the bytes itself. A
 * field that would continue after `end` is malformed, so nothing is read from the next packet.
 */
import type { Bytes } from '#bytes'
import type { DeviationKind } from '../protocol/deviations.ts'
import type { Properties } from '../protocol/facts.ts'
import type { UserProperties } from '../protocol/packets.ts'
import { hasWildcard } from '../protocol/topics.ts'
import { IN, PROPERTY_RULES, type PropertyPlace, type PropertyRule } from './properties.ts'
import { refuse, refuseCut, type Tolerant } from './refuse.ts'
import { copyOf } from './slabs.ts'
import { decodeRepeated, decodeText, quote } from './text.ts'

/**
 * What is named by strangers. Its prototype has no names and no prototype, so that `__proto__` is a
 * name like any other. It is made and read five times as fast as what Object.create(null) returns.
 */
class Unrelated {
  [name: string]: string | string[]
}
Reflect.deleteProperty(Unrelated.prototype, 'constructor')
Object.freeze(Object.setPrototypeOf(Unrelated.prototype, null))

/** Each method names the field that it reads, for the error if it is refused. */
export class Reader {
  readonly bytes: Bytes
  /** Offset of the next byte. */
  at: number
  /** Offset after the last byte. */
  end: number
  readonly #tolerant: Tolerant

  constructor(bytes: Bytes, at: number, end: number, tolerant: Tolerant) {
    this.bytes = bytes
    this.at = at
    this.end = end
    this.#tolerant = tolerant
  }

  byte(field: string): number {
    if (this.at >= this.end) refuseCut(field)
    return this.bytes[this.at++]!
  }

  uint16(field: string): number {
    const { bytes, at } = this
    if (at + 2 > this.end) refuseCut(field)
    this.at = at + 2
    return (bytes[at]! << 8) | bytes[at + 1]!
  }

  uint32(field: string): number {
    return this.uint16(field) * 0x10000 + this.uint16(field)
  }

  /**
   * Reads a Variable Byte Integer: at most four bytes, and no more than the value needs.
   * [MQTT-1.5.5-1]
   */
  varint(field: string): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte(field)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) {
          const what = `${field} is written with more bytes than it needs`
          this.#tolerant.tolerate('PADDED_LENGTH', what)
        }
        return value
      }
    }
    return refuse('LENGTH', `${field} is longer than four bytes`, '1.5.5')
  }

  /** @returns the text, or null if it is none and can be skipped. */
  string(field: string, kind: DeviationKind): string | null {
    const start = this.#extent(field)
    return decodeText(this.bytes, start, this.at, field, kind, this.#tolerant)
  }

  /** As `string`, for a text that is likely to have come before. */
  #repeated(field: string, kind: DeviationKind): string | null {
    const start = this.#extent(field)
    return decodeRepeated(this.bytes, start, this.at, field, kind, this.#tolerant, false)
  }

  binary(field: string): Bytes {
    const start = this.#extent(field)
    return copyOf(this.bytes, start, this.at)
  }

  /**
   * Skips a two-byte length and that many bytes.
   * @returns the offset at which these bytes begin.
   */
  #extent(field: string): number {
    const length = this.uint16(field)
    const start = this.at
    if (start + length > this.end) refuseCut(field)
    this.at = start + length
    return start
  }

  /** @returns the properties at `at`, or undefined if there are none. */
  properties(place: PropertyPlace): Properties | undefined {
    const length = this.varint('the Property Length')
    if (length === 0) return undefined
    const packetEnd = this.end
    const end = this.at + length
    if (end > packetEnd) refuseCut('the properties')
    const found: { [name: string]: unknown } = {}
    let seen = 0
    this.end = end
    while (this.at < end) {
      const id = this.varint('a property identifier')
      const rule = PROPERTY_RULES[id]
      if (rule === undefined) {
        refuse('UNKNOWN_PROPERTY', `there is no property 0x${id.toString(16)}`)
      }
      if ((rule.places & IN[place]) === 0) {
        const what = `${rule.name} is not allowed in this packet (${place})`
        this.#tolerant.tolerate('MISPLACED_PROPERTY', what)
        this.#skip(rule)
        continue
      }
      if (rule.type === 'pair') {
        const all = this.#userProperty(found[rule.name] as UserProperties | undefined)
        if (all !== undefined) found[rule.name] = all
        continue
      }
      // A PUBLISH has one for each subscription that it matches. [MQTT-3.3.4-4]
      const isList = place === 'publish' && rule.name === 'subscriptionIdentifier'
      const again = (seen & rule.bit) !== 0 && !isList
      seen |= rule.bit
      if (again) this.#tolerant.tolerate('REPEATED_PROPERTY', twice(rule), rule.clause)
      const value = this.#value(rule)
      const before = found[rule.name]
      if (again && !isSame(before, value))
        refuse('CONTRADICTING_PROPERTY', twice(rule), rule.clause)
      if (value === undefined) continue
      if (before === undefined || !isList) found[rule.name] = value
      else if (Array.isArray(before)) before.push(value)
      else found[rule.name] = [before, value]
    }
    this.end = packetEnd
    return found
  }

  /** Steps over a property that says nothing here. */
  #skip({ name, type }: PropertyRule): void {
    switch (type) {
      case 'pair':
        this.#extent(name)
        this.#extent(name)
        return
      case 'string':
      case 'topic':
      case 'binary':
        this.#extent(name)
        return
      case 'uint16':
        this.uint16(name)
        return
      case 'uint32':
        this.uint32(name)
        return
      case 'varint':
        this.varint(name)
        return
      default:
        this.byte(name)
    }
  }

  /** @returns the value, or undefined if the property must be skipped. */
  #value(rule: PropertyRule): unknown {
    const { name, type } = rule
    const tolerant = this.#tolerant
    switch (type) {
      case 'string':
        return this.string(name, rule.text) ?? undefined
      case 'binary':
        return this.binary(name)
      case 'topic': {
        const topic = this.#repeated(name, rule.text)
        if (topic === null) return undefined
        if (topic === '') {
          tolerant.tolerate('PROPERTY_VALUE', `${name} is empty`, 'MQTT-4.7.3-1')
          return undefined
        }
        if (hasWildcard(topic)) {
          const what = `${name} ${quote(topic)} holds a wildcard`
          tolerant.tolerate('WILDCARD_IN_TOPIC', what, rule.clause)
        }
        return topic
      }
      default: {
        const value =
          type === 'uint16'
            ? this.uint16(name)
            : type === 'uint32'
              ? this.uint32(name)
              : type === 'varint'
                ? this.varint(name)
                : this.byte(name)
        if (value < rule.min || value > rule.max) {
          const what = `${name} is ${value}; ${rule.min} to ${rule.max} are allowed`
          tolerant.tolerate(rule.outOfRange, what, rule.clause)
          // The reducers ignore an alias that is not allowed, or close if there is no topic.
          return rule.outOfRange === 'TOPIC_ALIAS' ? value : undefined
        }
        return type === 'flag' ? value === 1 : value
      }
    }
  }

  /**
   * @returns all user properties so far, or undefined if there is none.
   */
  #userProperty(before: UserProperties | undefined): UserProperties | undefined {
    const name = this.#repeated('the name of a user property', 'PROPERTY_TEXT')
    const value = this.string('the value of a user property', 'PROPERTY_TEXT')
    if (name === null || value === null) return before
    const found: UserProperties = before ?? new Unrelated()
    const known = found[name]
    if (known === undefined) found[name] = value
    else if (typeof known === 'string') found[name] = [known, value]
    else known.push(value)
    return found
  }
}

function twice({ name }: PropertyRule): string {
  return `${name} is there more than once`
}

/** @returns whether two values of one property are equal, or one of them was skipped. */
function isSame(a: unknown, b: unknown): boolean {
  if (a === undefined || b === undefined) return true
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    return a.length === b.length && a.every((byte, i) => byte === b[i])
  }
  return a === b
}
