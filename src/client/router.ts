/**
 * Whose is a message? By the subscription identifiers that it carries, or by its topic. (M6, a
 * message is given once to each subscription; M10, subscriptions to one filter share it)
 */
import { type IncomingPublish, matches, type UnsubscribeRequest } from '../index.ts'
import { FilterEntry } from './filter-entry.ts'
import { empty, FilterTrie } from './filter-trie.ts'
import { RetainedTopics } from './retained-topics.ts'
import type { ClientSubscription } from './subscription.ts'

/** What one SUBSCRIBE asked for. */
interface Grant {
  readonly entries: readonly FilterEntry[]
  /** Who gets the retained messages that it brings. */
  readonly newcomers: readonly ClientSubscription[]
}

/**
 * How many identifiers of a filter are remembered. A message with one that is forgotten is found by
 * its topic.
 */
const IDENTIFIERS_KEPT = 8
const NO_NEWCOMERS: readonly ClientSubscription[] = []
/** How many identifiers of filters that were left are remembered. */
const RETIRED_MAX = 1000
/** The largest subscription identifier. (3.8.2.1.2) */
const IDENTIFIER_MAX = 268_435_455

/** Whose a message is. The same object is filled for each message. */
interface Route {
  readonly subscriptions: ClientSubscription[]
  /** The filters that it matches and that this client asked for. */
  readonly entries: FilterEntry[]
  /** The filters that the topic matches, if no identifier says whose the message is. */
  readonly matched: FilterEntry[]
  /** Whether it carries the identifier of a filter that was left: then it is for nobody. */
  isLate: boolean
}

export class Router {
  readonly #entries = new Map<string, FilterEntry>()
  /** Of all filters, as soon as one of them matches more than the topic of its name. */
  #trie: FilterTrie<FilterEntry> | null = null
  readonly #grants = new Map<number, Grant>()
  /** Identifiers of filters that were left last: a message that carries one is for nobody. */
  #retired: Set<number> | null = null
  #route: Route | null = null
  #lastIdentifier: number
  #stamp = 0

  /** @param firstIdentifier the identifier before the first one that is used. */
  constructor(firstIdentifier: number) {
    this.#lastIdentifier = firstIdentifier
  }

  get entries(): Iterable<FilterEntry> {
    return this.#entries.values()
  }

  find(filter: string): FilterEntry | undefined {
    return this.#entries.get(filter)
  }

  /** @returns what is known about a filter. */
  entryOf(filter: string): FilterEntry {
    let entry = this.#entries.get(filter)
    if (entry !== undefined) return entry
    entry = new FilterEntry(filter)
    this.#entries.set(filter, entry)
    if (this.#trie !== null) this.#trie.add(filter, entry)
    else if (!isTopic(filter)) {
      this.#trie = new FilterTrie()
      for (const one of this.#entries.values()) this.#trie.add(one.filter, one)
    }
    return entry
  }

  /** @returns what ends filters that nobody needs, or null if all are needed. */
  unneeded(filters: readonly string[]): UnsubscribeRequest | null {
    const unsubscriptions = filters.filter((filter) => !this.find(filter)?.isNeeded)
    return unsubscriptions.length > 0 ? { cmd: 'unsubscribe', unsubscriptions } : null
  }

  forget(entry: FilterEntry): void {
    if (this.#entries.get(entry.filter) !== entry) return
    this.#entries.delete(entry.filter)
    this.#trie?.delete(entry.filter, entry)
    for (const identifier of entry.identifiers) {
      const entries = this.#grants.get(identifier)?.entries ?? [entry]
      if (entries.every((one) => this.#entries.get(one.filter) !== one)) this.#retire(identifier)
    }
  }

  /** Messages that were received and not read may still carry it. */
  #retire(identifier: number): void {
    if (!this.#grants.delete(identifier)) return
    this.#retired ??= new Set()
    const retired = this.#retired.add(identifier)
    if (retired.size <= RETIRED_MAX) return
    for (const oldest of retired) {
      retired.delete(oldest)
      return
    }
  }

  #isKnown(identifier: number): boolean {
    return this.#grants.has(identifier) || this.#isRetired(identifier)
  }

  #isRetired(identifier: number): boolean {
    return this.#retired?.has(identifier) === true
  }

  /** @returns another filter of this client that may match the same topics, or null. */
  overlapping(entry: FilterEntry): FilterEntry | null {
    for (const filter of this.#trie?.overlapping(entry.filter) ?? []) {
      const other = this.#entries.get(filter)
      if (other?.isRead) return other
    }
    return null
  }

  /** @returns the identifier for a SUBSCRIBE. */
  identify(entries: readonly FilterEntry[], newcomers: readonly ClientSubscription[]): number {
    do {
      this.#lastIdentifier = (this.#lastIdentifier % IDENTIFIER_MAX) + 1
    } while (this.#isKnown(this.#lastIdentifier))
    this.#grants.set(this.#lastIdentifier, { entries, newcomers })
    for (const entry of entries) {
      const identifiers = [...entry.identifiers, this.#lastIdentifier]
      if (identifiers.length > IDENTIFIERS_KEPT) this.#grants.delete(identifiers.shift()!)
      entry.identifiers = identifiers
    }
    return this.#lastIdentifier
  }

  /** @returns whose a message is; valid until the next call. */
  route(packet: IncomingPublish, byIdentifier: boolean): Route {
    this.#route ??= { subscriptions: [], entries: [], matched: [], isLate: false }
    const route = this.#route
    empty(route.subscriptions)
    empty(route.entries)
    route.isLate = false
    this.#stamp++
    const identifiers = packet.properties?.subscriptionIdentifier
    if (
      byIdentifier &&
      identifiers !== undefined &&
      this.#byIdentifier(route, packet, identifiers)
    ) {
      return route
    }
    const matched = this.#match(packet.topic, route.matched)
    if (packet.retain) retained(route, matched, packet)
    else for (const entry of matched) this.#collect(route, entry, packet, NO_NEWCOMERS, false)
    return route
  }

  #match(topic: string, into: FilterEntry[]): FilterEntry[] {
    if (this.#trie !== null) return this.#trie.match(topic, into)
    empty(into)
    const entry = this.#entries.get(topic)
    if (entry !== undefined) into.push(entry)
    return into
  }

  /** @returns whether all identifiers are those of this client. */
  #byIdentifier(
    route: Route,
    packet: IncomingPublish,
    identifiers: number | readonly number[],
  ): boolean {
    if (typeof identifiers === 'number') return this.#byOne(route, packet, identifiers)
    for (const identifier of identifiers) {
      if (!this.#isKnown(identifier)) return false
    }
    for (const identifier of identifiers) this.#byOne(route, packet, identifier)
    return true
  }

  #byOne(route: Route, packet: IncomingPublish, identifier: number): boolean {
    const grant = this.#grants.get(identifier)
    if (grant === undefined) {
      route.isLate = this.#isRetired(identifier)
      return route.isLate
    }
    const { entries, newcomers } = grant
    for (const entry of entries) {
      if (entries.length > 1 && !matches(entry.filter, packet.topic)) continue
      this.#collect(route, entry, packet, newcomers, true)
    }
    return true
  }

  #collect(
    { subscriptions, entries }: Route,
    entry: FilterEntry,
    { topic, retain }: IncomingPublish,
    newcomers: readonly ClientSubscription[],
    byIdentifier: boolean,
  ): void {
    entries.push(entry)
    for (const subscription of entry.subscriptions) {
      if (subscription.stamp === this.#stamp) continue
      if (retain && entry.newcomers !== 'everybody' && !newcomers.includes(subscription)) continue
      if (retain && byIdentifier && subscription.retainedTopics?.has(topic)) continue
      if (byIdentifier && !isFirst(subscription, entry, topic)) continue
      if (!subscription.takes(topic)) continue
      subscription.stamp = this.#stamp
      subscriptions.push(subscription)
    }
  }
}

/** Whether a filter matches only the topic that is written like it. */
function isTopic(filter: string): boolean {
  return !/[+#]/.test(filter) && !filter.startsWith('$')
}

/**
 * Without identifiers nothing says for which filter a retained message came. The server sends one
 * copy for each filter, so each copy goes to the first filter with newcomers that have none.
 */
function retained(
  { subscriptions, entries }: Route,
  matched: readonly FilterEntry[],
  packet: IncomingPublish,
): void {
  entries.push(...matched)
  for (const { newcomers, subscriptions: all } of matched) {
    const waiting = newcomers === 'everybody' ? all : newcomers
    for (const one of waiting) {
      if (one.hasEnded || !one.takes(packet.topic)) continue
      one.retainedTopics ??= new RetainedTopics()
      if (one.retainedTopics.isFirst(packet.topic)) subscriptions.push(one)
    }
    if (subscriptions.length > 0) return
  }
}

/**
 * Of the copies that a server sends for several filters of one subscription, the one for the first
 * filter counts.
 */
function isFirst(
  { hasOneFilter, plan }: ClientSubscription,
  { filter }: FilterEntry,
  topic: string,
): boolean {
  return hasOneFilter || plan.filters.find((one) => matches(one, topic)) === filter
}
