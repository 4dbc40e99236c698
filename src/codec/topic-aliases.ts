/**
 * Which topic has which Topic Alias on this connection? (3.3.2.3.4)
 *
 * A topic that is used keeps its alias. Once all aliases are given, a topic without one gets the
 * alias of another topic only if that topic was not used for a while. Otherwise, if more topics
 * than aliases were used in turn, each message would carry both its topic and an alias of three
 * bytes.
 */

/**
 * An alias is given to another topic after this many publishes without it, times the number of
 * aliases.
 */
const UNUSED_ROUNDS = 4

interface Aliased {
  readonly alias: number
  topic: string
  /** Number of the publish that used it last. */
  usedAt: number
}

export class TopicAliases {
  readonly #maximum: number
  /** A packet of at most this many bytes has room for an alias. */
  readonly bytesMax: number
  readonly #byTopic = new Map<string, Aliased>()
  readonly #given: Aliased[] = []
  /** How many publishes were sent so far. */
  #count = 0
  /** Index of the alias that is looked at next. It moves on with each topic that has no alias. */
  #next = 0
  /** Whether the server knows the topic of the alias that was returned last. */
  isKnown = false

  constructor(maximum: number, bytesMax: number) {
    this.#maximum = maximum
    this.bytesMax = bytesMax
  }

  /** @returns the alias of a topic, or 0 if it has none. */
  aliasOf(topic: string): number {
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
    const oldest = this.#given[this.#next]!
    this.#next = (this.#next + 1) % this.#given.length
    if (count - oldest.usedAt < UNUSED_ROUNDS * this.#given.length) return 0
    this.#byTopic.delete(oldest.topic)
    oldest.topic = topic
    oldest.usedAt = count
    this.#byTopic.set(topic, oldest)
    return oldest.alias
  }
}
