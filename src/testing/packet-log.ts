/**
 * Which packets went through the broker, and which of them does a test mean?
 *
 * The log has every packet in both directions, with its instant and its client, and the fault that
 * it met.
 */
import { describe, UsageError } from '../errors.ts'
import { matches } from '../protocol/topics.ts'
import type { PacketFromBroker, PacketFromClient } from './packet-types.ts'

/** A packet that went through the broker, or was to go. */
export interface PacketRecord {
  /** When it came or was to leave, in ms of the broker's clock. */
  readonly at: number
  /** The client identifier, also the one that the broker assigned. */
  readonly clientId: string
  /** The number of the connection: 1 for the first one to this broker. */
  readonly connection: number
  /** Whether the client sent it, or the broker. */
  readonly direction: 'toBroker' | 'toClient'
  /** The packet, in the words of mqtt-packet. Do not change it. */
  readonly packet: PacketFromClient | PacketFromBroker
  /** What a fault did to it, or null. */
  readonly fault: FaultKind | null
}

/** What a fault does to a packet. */
export type FaultKind = 'drop' | 'delay' | 'duplicate' | 'refuse' | 'answer' | 'kill'

/** Which packets are meant: those for which every field that is given holds. */
export interface PacketPattern {
  /** The type of the packet. */
  readonly cmd?: PacketRecord['packet']['cmd'] | undefined
  /**
   * A topic filter. A PUBLISH has a topic that it matches, a SUBSCRIBE or UNSUBSCRIBE has this very
   * filter among its own, a CONNECT has a will with such a topic.
   */
  readonly topic?: string | undefined
  /** The client. */
  readonly clientId?: string | undefined
  /** The direction. */
  readonly direction?: PacketRecord['direction'] | undefined
  /** The QoS of a PUBLISH. */
  readonly qos?: 0 | 1 | 2 | undefined
}

/** Which packets are meant: a type of packet, a pattern, or a function that decides. */
export type PacketMatch =
  | PacketRecord['packet']['cmd']
  | PacketPattern
  | ((record: PacketRecord) => boolean)

const FIELDS: ReadonlySet<string> = new Set(['cmd', 'topic', 'clientId', 'direction', 'qos'])

/** @returns a function that says whether a packet is meant. */
export function packetTest(match: PacketMatch): (record: PacketRecord) => boolean {
  if (typeof match === 'function') return match
  const pattern: PacketPattern = typeof match === 'string' ? { cmd: match } : match
  if (typeof pattern !== 'object' || pattern === null) {
    const allowed = 'a type of packet, a pattern or a function'
    throw new UsageError(`a match must be ${allowed}, not ${describe(match)}`)
  }
  const unknown = Object.keys(pattern).find((name) => !FIELDS.has(name))
  if (unknown !== undefined) {
    const allowed = [...FIELDS].join(', ')
    throw new UsageError(`a match has no ${describe(unknown)}; allowed: ${allowed}`)
  }
  const { cmd, topic, clientId, direction, qos } = pattern
  return (record) => {
    const { packet } = record
    if (cmd !== undefined && packet.cmd !== cmd) return false
    if (clientId !== undefined && record.clientId !== clientId) return false
    if (direction !== undefined && record.direction !== direction) return false
    if (qos !== undefined && (packet.cmd !== 'publish' || packet.qos !== qos)) return false
    return topic === undefined || isAbout(packet, topic)
  }
}

function isAbout(packet: PacketRecord['packet'], filter: string): boolean {
  switch (packet.cmd) {
    case 'publish':
      return packet.topic !== '' && matches(filter, packet.topic)
    case 'subscribe':
      return packet.subscriptions.some(({ topic }) => topic === filter)
    case 'unsubscribe':
      return packet.unsubscriptions.includes(filter)
    case 'connect':
      return packet.will !== undefined && matches(filter, packet.will.topic)
    default:
      return false
  }
}

interface PacketWaiter {
  readonly test: (record: PacketRecord) => boolean
  missing: number
  readonly found: (record: PacketRecord) => void
}

/** The packets of one broker, and those who wait for one. */
export class PacketLog {
  readonly records: PacketRecord[] = []
  readonly #limit: number
  readonly #waiters = new Set<PacketWaiter>()
  readonly #watchers = new Set<(record: PacketRecord) => void>()

  constructor(limit: number) {
    this.#limit = limit
  }

  add(record: PacketRecord): void {
    this.records.push(record)
    if (this.records.length > this.#limit) this.records.shift()
    for (const waiter of this.#waiters) this.#offer(waiter, record)
    for (const watch of this.#watchers) watch(record)
  }

  /** Calls `listener` for each packet from now on. @returns a function that stops it. */
  watch(match: PacketMatch, listener: (record: PacketRecord) => void): () => void {
    const test = packetTest(match)
    const watcher = (record: PacketRecord): void => {
      if (test(record)) listener(record)
    }
    this.#watchers.add(watcher)
    return () => {
      this.#watchers.delete(watcher)
    }
  }

  /** @returns a promise of the packet that is the `count`th to match in the whole log. */
  wait(match: PacketMatch, count: number): Promise<PacketRecord> {
    return new Promise((resolve) => {
      const waiter = { test: packetTest(match), missing: count, found: resolve }
      this.#waiters.add(waiter)
      for (const record of this.records) this.#offer(waiter, record)
    })
  }

  clear(): void {
    this.records.length = 0
  }

  #offer(waiter: PacketWaiter, record: PacketRecord): void {
    if (waiter.missing === 0 || !waiter.test(record)) return
    waiter.missing--
    if (waiter.missing > 0) return
    this.#waiters.delete(waiter)
    waiter.found(record)
  }
}
