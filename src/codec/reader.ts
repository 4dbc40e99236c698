/**
 * Reads the fields of one packet: integers, strings, binary data, properties. For what is rare; the hot paths of the
 * decoder read their bytes themselves. Whatever would reach behind `end` is malformed: nothing is borrowed from the next packet.
 */
import type { Bytes } from '../platform/bytes.ts'
import type { Properties } from '../protocol/contract.ts'
import { hasWildcard } from '../protocol/topics.ts'
import { IN, PROPERTY_RULES, type PropertyPlace, type PropertyRule } from './properties.ts'
import { cutOff, MALFORMED, PROTOCOL_ERROR, refuse, TOPIC_ALIAS_INVALID } from './refuse.ts'
import { copyOf } from './slabs.ts'
import { textOf } from './text.ts'

type UserProperties = { [name: string]: string | string[] }

export class Reader {
  bytes: Bytes
  at: number
  end: number

  constructor(bytes: Bytes, at: number, end: number) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  byte(what: string): number {
    if (this.at >= this.end) cutOff(what)
    return this.bytes[this.at++]!
  }

  uint16(what: string): number {
    const { bytes, at } = this
    if (at + 2 > this.end) cutOff(what)
    this.at = at + 2
    return (bytes[at]! << 8) | bytes[at + 1]!
  }

  uint32(what: string): number {
    return this.uint16(what) * 0x10000 + this.uint16(what)
  }

  /** [MQTT-1.5.5-1] at most four bytes, and no more than needed. */
  varint(what: string): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte(what)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) {
          refuse(MALFORMED, 'MQTT-1.5.5-1', `${what} is written with more bytes than it needs`)
        }
        return value
      }
    }
    return refuse(MALFORMED, '1.5.5', `${what} is longer than four bytes`)
  }

  string(what: string): string {
    const start = this.#extent(what)
    return textOf(this.bytes, start, this.at, what)
  }

  binary(what: string): Bytes {
    const start = this.#extent(what)
    return copyOf(this.bytes, start, this.at)
  }

  /** Steps over a two-byte length and as many bytes; returns where these begin. */
  #extent(what: string): number {
    const length = this.uint16(what)
    const start = this.at
    if (start + length > this.end) cutOff(what)
    this.at = start + length
    return start
  }

  /** The property block at `at`, or undefined where it is empty. */
  properties(place: PropertyPlace): Properties | undefined {
    const length = this.varint('the Property Length')
    if (length === 0) return undefined
    const packetEnd = this.end
    const end = this.at + length
    if (end > packetEnd) cutOff('the properties')
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
        refuse(MALFORMED, '2.2.2.2', `${rule.name} may not stand in this packet (${place})`)
      }
      if (rule.type === 'pair') {
        found[rule.name] = this.#userProperty(found[rule.name] as UserProperties | undefined)
        continue
      }
      const again = (seen & rule.bit) !== 0
      seen |= rule.bit
      // [MQTT-3.3.4-4] one for each subscription that the message matches.
      if (again && !(place === 'publish' && rule.name === 'subscriptionIdentifier')) {
        refuse(PROTOCOL_ERROR, rule.clause, `${rule.name} stands more than once`)
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
          // [MQTT-3.3.2-8] an alias of 0 has a code of its own.
          const code = name === 'topicAlias' ? TOPIC_ALIAS_INVALID : PROTOCOL_ERROR
          refuse(code, rule.clause, `${name} is ${value}; ${rule.min} to ${rule.max} are allowed`)
        }
        return type === 'flag' ? value === 1 : value
      }
    }
  }

  /** Without a prototype: a name such as __proto__ is a name like any other. */
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
