/**
 * Which messages of an earlier process of the session are for nobody? Those below the prefix of
 * presence that no space of this process reads: that process had subscribed to its own spaces and
 * connections. What is there now comes again with each sync.
 */
import type { ClientHost } from '../client/index.ts'
import { connectionTopic, readConnectionTopic } from './records.ts'

/** How many filters are remembered as given up; then all are given up again. */
const GIVEN_UP_MAX = 1000

const watched = new WeakMap<ClientHost, Set<string>>()

/** Gives up what an earlier process has asked for below a prefix. Once for each client. */
export function giveUpFormer(host: ClientHost, prefix: string): void {
  const prefixes = watched.get(host) ?? new Set()
  watched.set(host, prefixes)
  if (prefixes.has(prefix)) return
  prefixes.add(prefix)
  const given = new Set<string>()
  host.onUnasked(({ topic }) => {
    if (!topic.startsWith(`${prefix}/`)) return null
    const filters = formerFiltersOf(prefix, topic).filter((filter) => !given.has(filter))
    if (given.size >= GIVEN_UP_MAX) given.clear()
    for (const filter of filters) given.add(filter)
    return filters
  })
}

/** @returns the filters by which a record may have come. */
function formerFiltersOf(prefix: string, topic: string): readonly string[] {
  if (readConnectionTopic(prefix, topic) !== null) return [topic, connectionTopic(prefix, '+')]
  return [topic.replace(/[^/]*\/[^/]*$/, '+/+')]
}
