/**
 * Which filters of one subscription may share a SUBSCRIBE, and so an identifier? (M6, a message is
 * given once to each subscription)
 */
import type { FilterEntry } from './filter-entry.ts'
import { FilterTrie } from './filter-trie.ts'

/**
 * @returns the filters in groups, each for one SUBSCRIBE. Filters that overlap are in different
 *   groups, so that their copies of a message have different identifiers.
 */
export function groupsOf(entries: readonly FilterEntry[]): readonly (readonly FilterEntry[])[] {
  if (entries.length === 1) return [entries]
  const groups: { readonly trie: FilterTrie<null>; readonly members: FilterEntry[] }[] = []
  for (const entry of entries) {
    const isFree = ({ trie }: { trie: FilterTrie<null> }) =>
      trie.overlapping(entry.filter).length === 0
    let group = groups.find(isFree)
    if (group === undefined) groups.push((group = { trie: new FilterTrie(), members: [] }))
    group.trie.add(entry.filter, null)
    group.members.push(entry)
  }
  return groups.map(({ members }) => members)
}
