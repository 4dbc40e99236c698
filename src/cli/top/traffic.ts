/**
 * What came for which topic? Messages are counted in a tree of topics: each level has the counts of
 * everything below it, so that a folded level still says what happens there.
 *
 * A message costs one look-up and a few additions, at 100,000 messages a second too; so the tree is
 * changed in place. Time is an argument everywhere. What is kept is bounded: topics, levels, names,
 * values. While the tree is frozen, the counts go on, and readers see those of that instant.
 */
import type { IncomingPublish } from '../../index.ts'
import { SlidingRate } from './sliding-rate.ts'
import { propertyLines } from './value-text.ts'

/** The last message of a topic, or an earlier one. */
export interface Value {
  /** When it came, in ms. */
  readonly at: number
  /** The payload, or its beginning. */
  readonly bytes: Uint8Array
  /** The length of the whole payload, in bytes. */
  readonly length: number
  readonly qos: number
  /** Whether the server sent it because it was retained, and not because it was published. */
  readonly stored: boolean
  /** The properties of MQTT 5, a line for each. */
  readonly properties: readonly string[]
}

/** What belongs to a topic itself, and not to those below it. */
interface Own {
  /** Messages that were published since counting began. */
  messages: number
  last: Value
  /** The values before the last one, oldest first, each cut off at `EARLIER_BYTES_MAX`. */
  readonly earlier: Value[]
  /** Whether the server is known to retain a message of this topic. */
  isRetained: boolean
}

/** Of a topic and everything below it. */
export interface Stats {
  /** Messages that were published since counting began; stored messages do not count. */
  messages: number
  /** Bytes of their payloads. */
  bytes: number
  /** When the last one came, or null. */
  lastAt: number | null
  /** Topics that had a message, this one included. */
  topics: number
  readonly rate: SlidingRate
  /** Null if there was no message for exactly this topic. */
  own: Own | null
}

export interface TopicNode {
  /** One level of the name, or all that is left of a name with very many levels. */
  readonly name: string
  /** The whole name down to here. */
  readonly path: string
  readonly parent: TopicNode | null
  /** 0 for the first level; -1 for the root. */
  readonly depth: number
  children: Map<string, TopicNode>
  stats: Stats
  /** The counts at the last freeze, if they have changed since then; null if it was not there. */
  frozen: Stats | null
  /** The freeze to which `frozen` belongs. */
  freeze: number
}

/** How much of a payload is kept of each topic. */
const VALUE_BYTES_MAX = 256
/** A payload is kept up to this size as long as all together have less than `KEPT_BYTES_MAX`. */
const WHOLE_BYTES_MAX = 65_536
const KEPT_BYTES_MAX = 32 * 1024 * 1024
const EARLIER_MAX = 8
const EARLIER_BYTES_MAX = 64
/** A name with more levels is one of this many, so that no single message makes a deep tree. */
const LEVELS_MAX = 32
/** Levels above the topics and the length of names, each for one topic that may be kept. */
const NODES_PER_TOPIC = 8
const NAME_CHARACTERS_PER_TOPIC = 512
/** How many topics that are not kept are told apart. */
const UNKEPT_MAX = 100_000

export class Traffic {
  readonly root: TopicNode
  /** When counting began. */
  readonly since: number
  readonly #topics = new Map<string, TopicNode>()
  readonly #topicsMax: number
  #nodes = 0
  #nameCharacters = 0
  /** Bytes of payloads beyond `VALUE_BYTES_MAX`. */
  #keptBytes = 0
  /** Hashes of the topics that are not kept. */
  readonly #unkept = new Set<number>()
  #unkeptMessages = 0
  #freezes = 0
  #frozenAt: number | null = null
  #messagesAtFreeze = 0

  constructor(topicsMax: number, since: number) {
    this.#topicsMax = topicsMax
    this.since = since
    this.root = this.#nodeFor('', '', null)
  }

  /** The number of topics that are kept. */
  get size(): number {
    return this.#topics.size
  }

  /** Every topic that had a message and is kept, in the order of their first messages. */
  topics(): IterableIterator<TopicNode> {
    return this.#topics.values()
  }

  /** What came for topics beyond the limits; it counts in the root only. */
  get unkept(): { readonly messages: number; readonly topics: number; readonly isMore: boolean } {
    const topics = this.#unkept.size
    return { messages: this.#unkeptMessages, topics, isMore: topics === UNKEPT_MAX }
  }

  get isFrozen(): boolean {
    return this.#frozenAt !== null
  }

  /** Messages that came since the freeze. */
  get messagesSinceFreeze(): number {
    return this.isFrozen ? this.root.stats.messages - this.#messagesAtFreeze : 0
  }

  /**
   * Counts a message.
   *
   * @param at in ms; never earlier than in the call before.
   * @param isStored whether it comes because it was retained, and not because it was published.
   * @param isRetained whether the server retains it now; null if that is not known.
   * @returns its topic, or null if that is beyond the limits.
   */
  add(
    packet: IncomingPublish,
    at: number,
    isStored: boolean,
    isRetained: boolean | null,
  ): TopicNode | null {
    const { length } = packet.payload
    const node = this.#topics.get(packet.topic) ?? this.#newTopic(packet.topic)
    for (let one = node ?? this.root; ; one = one.parent) {
      const stats = this.#statsToChange(one)
      if (!isStored) {
        stats.messages++
        stats.bytes += length
        stats.lastAt = at
        stats.rate.add(at, length)
      }
      if (one.parent === null) break
    }
    if (node === null) this.#countUnkept(packet.topic)
    else this.#remember(node.stats, packet, at, isStored, isRetained)
    return node
  }

  /** Notes that the server retains no message of this topic any more. */
  removed(topic: string): void {
    const node = this.#topics.get(topic)
    if (node === undefined) return
    const { own } = this.#statsToChange(node)
    if (own !== null) own.isRetained = false
  }

  /** Readers see the counts of this instant until `thaw`. */
  freeze(at: number): void {
    this.#freezes++
    this.#frozenAt = at
    this.#messagesAtFreeze = this.root.stats.messages
  }

  thaw(): void {
    this.#frozenAt = null
  }

  /** @returns the instant that readers see: now, or the one of the freeze. */
  shownAt(now: number): number {
    return this.#frozenAt ?? now
  }

  /** @returns the counts to show, or null if the topic was not there yet. */
  statsOf(node: TopicNode): Readonly<Stats> | null {
    return this.isFrozen && node.freeze === this.#freezes ? node.frozen : node.stats
  }

  /** @returns the topics from here on that the server is known to retain a message of. */
  retainedBelow(node: TopicNode): TopicNode[] {
    const found: TopicNode[] = []
    const waiting = [node]
    for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
      if (one.stats.own?.isRetained) found.push(one)
      waiting.push(...one.children.values())
    }
    return found
  }

  #remember(
    stats: Stats,
    packet: IncomingPublish,
    at: number,
    isStored: boolean,
    isRetained: boolean | null,
  ): void {
    const { payload, qos, properties } = packet
    const before = stats.own
    if (before !== null) this.#keptBytes -= beyond(before.last.bytes)
    const isWhole = payload.length <= WHOLE_BYTES_MAX && this.#keptBytes < KEPT_BYTES_MAX
    const bytes = beginning(payload, isWhole ? WHOLE_BYTES_MAX : VALUE_BYTES_MAX)
    this.#keptBytes += beyond(bytes)
    const last: Value = {
      at,
      bytes,
      length: payload.length,
      qos,
      stored: isStored,
      properties: properties === undefined ? NONE : propertyLines(properties),
    }
    const messages = isStored ? 0 : 1
    if (before === null) {
      stats.own = { messages, last, earlier: [], isRetained: isRetained ?? false }
      return
    }
    const { last: old, earlier } = before
    const isShort = old.bytes.length <= EARLIER_BYTES_MAX
    earlier.push(isShort ? old : { ...old, bytes: beginning(old.bytes, EARLIER_BYTES_MAX) })
    if (earlier.length > EARLIER_MAX) earlier.shift()
    before.messages += messages
    before.last = last
    if (isRetained !== null) before.isRetained = isRetained
  }

  #newTopic(topic: string): TopicNode | null {
    const levels = topic.split('/')
    if (levels.length > LEVELS_MAX) {
      levels.push(levels.splice(LEVELS_MAX - 1).join('/'))
    }
    const topics = this.#topicsMax
    const hasRoom =
      this.#topics.size < topics &&
      this.#nodes + levels.length <= topics * NODES_PER_TOPIC &&
      this.#nameCharacters + topic.length <= topics * NAME_CHARACTERS_PER_TOPIC
    if (!hasRoom) return null
    let node = this.root
    for (const level of levels) {
      const path = node === this.root ? level : `${node.path}/${level}`
      const known = node.children.get(level)
      if (known === undefined) {
        const made = this.#nodeFor(level, path, node)
        if (node.children === NO_CHILDREN) node.children = new Map()
        node.children.set(level, made)
        node = made
      } else node = known
    }
    this.#topics.set(topic, node)
    this.#nameCharacters += topic.length
    for (let one: TopicNode | null = node; one !== null; one = one.parent) {
      this.#statsToChange(one).topics++
    }
    return node
  }

  #nodeFor(name: string, path: string, parent: TopicNode | null): TopicNode {
    this.#nodes++
    return {
      name,
      path,
      parent,
      depth: parent === null ? -1 : parent.depth + 1,
      children: NO_CHILDREN,
      stats: {
        messages: 0,
        bytes: 0,
        lastAt: null,
        topics: 0,
        rate: new SlidingRate(),
        own: null,
      },
      frozen: null,
      freeze: this.isFrozen ? this.#freezes : 0,
    }
  }

  /** @returns the counts, after they were copied for the readers of a frozen tree if needed. */
  #statsToChange(node: TopicNode): Stats {
    if (!this.isFrozen || node.freeze === this.#freezes) return node.stats
    const { stats } = node
    node.frozen = stats
    node.freeze = this.#freezes
    const { own, rate } = stats
    node.stats = {
      ...stats,
      rate: rate.copy(),
      own: own === null ? null : { ...own, earlier: [...own.earlier] },
    }
    return node.stats
  }

  #countUnkept(topic: string): void {
    this.#unkeptMessages++
    if (this.#unkept.size < UNKEPT_MAX) this.#unkept.add(topicHash(topic))
  }
}

const NONE: readonly string[] = []
/** What all topics without children share; it stays empty. */
const NO_CHILDREN = new Map<string, TopicNode>()

/** @returns a copy of the first bytes: the payload shares its memory with other packets. */
function beginning(bytes: Uint8Array, most: number): Uint8Array {
  return new Uint8Array(bytes.length <= most ? bytes : bytes.subarray(0, most))
}

function beyond({ length }: Uint8Array): number {
  return Math.max(0, length - VALUE_BYTES_MAX)
}

/** @returns a hash of 32 bits (FNV-1a). */
function topicHash(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}
