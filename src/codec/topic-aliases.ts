/**
 * Which topic has which alias on this connection. (3.3.2.3.4)
 *
 * Topics that are used keep their aliases. Once all are given, a topic without one takes an alias only from a topic that has
 * rested for a while: more topics than aliases, in turn, would else cost three bytes a message and save none.
 */

/** An alias has rested when as many publishes, for each alias that there is, went by without it. */
const RESTS = 4

interface Aliased {
  readonly alias: number
  topic: string
  usedAt: number
}

export class TopicAliases {
  readonly #maximum: number
  /** A packet up to this size has room for an alias. */
  readonly bytesMax: number
  readonly #byTopic = new Map<string, Aliased>()
  readonly #given: Aliased[] = []
  /** Publishes so far. */
  #count = 0
  /** Goes round, one alias for each topic that asks in vain. */
  #hand = 0
  /** Of the alias given last: whether the server knows its topic. */
  isKnown = false

  constructor(maximum: number, bytesMax: number) {
    this.#maximum = maximum
    this.bytesMax = bytesMax
  }

  /** The alias of a topic; 0: it has none. */
  of(topic: string): number {
    const count = ++this.#count
    const known = this.#byTopic.get(topic)
    this.isKnown = known !== undefined
    if (known !== undefined) {
      known.usedAt = count
      return known.alias
    }
    if (this.#given.length < this.#maximum) {
      const fresh = { alias: this.#given.length + 1, topic, usedAt: count }
      this.#given.push(fresh)
      this.#byTopic.set(topic, fresh)
      return fresh.alias
    }
    const rested = this.#given[this.#hand]!
    this.#hand = (this.#hand + 1) % this.#given.length
    if (count - rested.usedAt < RESTS * this.#given.length) return 0
    this.#byTopic.delete(rested.topic)
    rested.topic = topic
    rested.usedAt = count
    this.#byTopic.set(topic, rested)
    return rested.alias
  }
}
