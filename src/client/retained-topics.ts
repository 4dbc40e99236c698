/**
 * For which topics has a subscription got a retained message? Without subscription identifiers a
 * server that sends one copy for each filter would give it twice.
 */

/** Beyond so many topics a retained message may be given twice, for filters that overlap. */
const TOPICS_MAX = 10_000

export class RetainedTopics {
  readonly #topics = new Set<string>()

  has(topic: string): boolean {
    return this.#topics.has(topic)
  }

  /** @returns whether there was no message of this topic before. */
  isFirst(topic: string): boolean {
    if (this.#topics.has(topic)) return false
    if (this.#topics.size < TOPICS_MAX) this.#topics.add(topic)
    return true
  }
}
