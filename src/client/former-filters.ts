/**
 * Which filters has this client had and left? A message that was received before the UNSUBACK, and
 * is read after it, is not for a later subscription. (M5, a subscription acknowledges what it has
 * handled)
 */
import { FilterTrie } from './filter-trie.ts'

/** How many are remembered: those that were left last. */
const FORMER_MAX = 1000

export class FormerFilters {
  readonly #filters = new Set<string>()
  readonly #trie = new FilterTrie<string>()
  readonly #matched: string[] = []

  add(filter: string): void {
    this.delete(filter)
    this.#filters.add(filter)
    this.#trie.add(filter, filter)
    if (this.#filters.size <= FORMER_MAX) return
    for (const oldest of this.#filters) return this.delete(oldest)
  }

  delete(filter: string): void {
    if (this.#filters.delete(filter)) this.#trie.delete(filter, filter)
  }

  match(topic: string): boolean {
    return this.#trie.match(topic, this.#matched).length > 0
  }
}
