/**
 * Which fields does a packet have: integers, strings, binary data, properties?
 *
 * The reader is used for rare packets; for frequent ones the decoder reads the bytes itself. A
 * field that would continue after `end` is malformed, so nothing is read from the next packet.
 */
import type { Bytes } from '../platform/bytes.ts'
import type { Properties } from '../protocol/facts.ts'
import type { UserProperties } from '../protocol/packets.ts'
import { hasWildcard } from '../protocol/topics.ts'
import { IN, PROPERTY_RULES, type PropertyPlace, type PropertyRule } from './properties.ts'
import { MALFORMED, PROTOCOL_ERROR, refuse, refuseCut, TOPIC_ALIAS_INVALID } from './refuse.ts'
import { copyOf } from './slabs.ts'
import { decodeText } from './text.ts'

/** Each method names the field that it reads, for the error if it is refused. */
export class Reader {
  readonly bytes: Bytes
  /** Offset of the next byte. */
  at: number
  /** Offset after the last byte. */
  end: number

  constructor(bytes: Bytes, at: number, end: number) {
    this.bytes = bytes
    this.at = at
    this.end = end
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
          refuse(MALFORMED, 'MQTT-1.5.5-1', `${field} is written with more bytes than it needs`)
        }
        return value
      }
    }
    return refuse(MALFORMED, '1.5.5', `${field} is longer than four bytes`)
  }

  string(field: string): string {
    const start = this.#extent(field)
    return decodeText(this.bytes, start, this.at, field)
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
        refuse(MALFORMED, '2.2.2.2', `there is no property 0x${id.toString(16)}`)
      }
      if ((rule.places & IN[place]) === 0) {
        refuse(MALFORMED, '2.2.2.2', `${rule.name} is not allowed in this packet (${place})`)
      }
      if (rule.type === 'pair') {
        found[rule.name] = this.#userProperty(found[rule.name] as UserProperties | undefined)
        continue
      }
      const again = (seen & rule.bit) !== 0
      seen |= rule.bit
      // A PUBLISH has one for each subscription that it matches. [MQTT-3.3.4-4]
      if (again && !(place === 'publish' && rule.name === 'subscriptionIdentifier')) {
        refuse(PROTOCOL_ERROR, rule.clause, `${rule.name} is there more than once`)
      }
      const value = this.#value(rule)
      const before = found[rule.name]
      if (!again) found[rule.name] = value
      else if (Array.isArray(before)) before.push(value)
      else found[rule.name] = [before, value]
    }
    this.end = packetEnd
    return found
  }

  #value(rule: PropertyRule): unknown {
    const { name, type } = rule
    switch (type) {
      case 'string':
        return this.string(name)
      case 'binary':
        return this.binary(name)
      case 'topic': {
        const topic = this.string(name)
        if (topic === '') refuse(PROTOCOL_ERROR, 'MQTT-4.7.3-1', `${name} is empty`)
        if (hasWildcard(topic)) refuse(PROTOCOL_ERROR, rule.clause, `${name} holds a wildcard`)
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
          // A Topic Alias of 0 has a reason code of its own. [MQTT-3.3.2-8]
          const code = name === 'topicAlias' ? TOPIC_ALIAS_INVALID : PROTOCOL_ERROR
          refuse(code, rule.clause, `${name} is ${value}; ${rule.min} to ${rule.max} are allowed`)
        }
        return type === 'flag' ? value === 1 : value
      }
    }
  }

  /** The object has no prototype, so that `__proto__` is a name like any other. */
  #userProperty(before: UserProperties | undefined): UserProperties {
    const found: UserProperties = before ?? Object.create(null)
    const name = this.string('the name of a user property')
    const value = this.string('the value of a user property')
    const known = found[name]
    if (known === undefined) found[name] = value
    else if (typeof known === 'string') found[name] = [known, value]
    else known.push(value)
    return found
  }
}
