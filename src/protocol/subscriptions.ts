/**
 * What is subscribed, and the SUBSCRIBE packets that bring it back after the server lost the session. (D5, E1)
 *
 * Kept in buckets by a hash of the filter in a persistent table, so that a hundred thousand subscriptions cost nothing until
 * they are asked for.
 */
import type {
  HeldSubscription,
  Properties,
  QoS,
  SubscribeFacts,
  SubscriptionFacts,
} from './contract.ts'
import type { Draft } from './draft.ts'
import { emptyTable, entries, type PacketTable, TableEditor } from './packet-table.ts'

/** No renewal packet is larger, whatever the server takes: brokers dislike giants. */
const RENEWAL_BYTES_MAX = 65_536
/** Fixed header, packet identifier, property length. */
const SUBSCRIBE_OVERHEAD_BYTES = 12
/** Length of the filter and its options. */
const FILTER_OVERHEAD_BYTES = 3

/** A SUBACK came: what was granted replaces what was held for the same filter [MQTT-3.8.4-3]. */
export function subscribed(d: Draft, facts: SubscribeFacts, granted: readonly number[]): void {
  facts.subscriptions.forEach((subscription, i) => {
    const code = granted[i]!
    if (code < 0x80) keep(d, subscription, facts.properties, code as QoS)
  })
}

/** A renewal was answered: what the server refuses now is no longer held. */
export function renewed(d: Draft, facts: SubscribeFacts, granted: readonly number[]): void {
  facts.subscriptions.forEach(({ topic }, i) => {
    if (granted[i]! < 0x80) return
    drop(d, topic)
    const message = `The server refused to renew the subscription "${topic}".`
    d.effects.push({ type: 'warn', code: 'RENEWAL_REFUSED', message })
  })
}

/** An UNSUBACK came. In MQTT 3 it has no codes and means all. */
export function unsubscribed(d: Draft, filters: readonly string[], codes: readonly number[]): void {
  filters.forEach((filter, i) => {
    if ((codes[i] ?? 0) < 0x80) drop(d, filter)
  })
}

function keep(
  d: Draft,
  subscription: SubscriptionFacts,
  properties: Properties | undefined,
  granted: QoS,
): void {
  const key = hash(subscription.topic)
  const bucket = d.subscriptions.get(key) ?? []
  const others = bucket.filter((held) => held.subscription.topic !== subscription.topic)
  if (others.length === bucket.length) d.session.subscriptionCount++
  const order = d.session.nextOrder++
  d.subscriptions.set(key, [...others, { subscription, properties, order, granted }])
}

function drop(d: Draft, filter: string): void {
  const key = hash(filter)
  const bucket = d.subscriptions.get(key) ?? []
  const others = bucket.filter((held) => held.subscription.topic !== filter)
  if (others.length === bucket.length) return
  d.session.subscriptionCount--
  if (others.length > 0) d.subscriptions.set(key, others)
  else d.subscriptions.remove(key)
}

/** All that are held, oldest first. */
export function subscriptionsOf(
  table: PacketTable<readonly HeldSubscription[]>,
): HeldSubscription[] {
  return [...entries(table)].flatMap(([, bucket]) => bucket).sort((a, b) => a.order - b.order)
}

/** The table of a session that was saved. */
export function restoreSubscriptions(
  saved: readonly HeldSubscription[],
): PacketTable<readonly HeldSubscription[]> {
  const table = new TableEditor<readonly HeldSubscription[]>(emptyTable())
  for (const held of saved) {
    const key = hash(held.subscription.topic)
    table.set(key, [...(table.get(key) ?? []), held])
  }
  return table.finish()
}

/** The SUBSCRIBE requests for exactly what is held, options and identifiers included, in packets that the server takes. */
export function renewals(
  table: PacketTable<readonly HeldSubscription[]>,
  maximumPacketSize: number,
): SubscribeFacts[] {
  const limit = Math.min(maximumPacketSize, RENEWAL_BYTES_MAX)
  const packets: SubscribeFacts[] = []
  const byProperties = new Map<string, HeldSubscription[]>()
  for (const held of subscriptionsOf(table)) {
    const key = JSON.stringify(held.properties ?? null)
    const group = byProperties.get(key)
    if (group) group.push(held)
    else byProperties.set(key, [held])
  }
  for (const [key, group] of byProperties) {
    const properties = group[0]!.properties
    // JSON is never shorter than the encoded properties but for their 1 + 2 + 2 bytes a pair.
    const overhead = SUBSCRIBE_OVERHEAD_BYTES + (properties ? utf8Bytes(key) * 2 : 0)
    let bytes = overhead
    let subscriptions: SubscriptionFacts[] = []
    const flush = () => {
      if (subscriptions.length === 0) return
      packets.push({ kind: 'subscribe', handle: 0, bytes, subscriptions, properties })
      subscriptions = []
      bytes = overhead
    }
    for (const { subscription } of group) {
      const size = utf8Bytes(subscription.topic) + FILTER_OVERHEAD_BYTES
      if (bytes + size > limit) flush()
      subscriptions.push(subscription)
      bytes += size
    }
    flush()
  }
  return packets
}

function hash(filter: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < filter.length; i++) h = Math.imul(h ^ filter.charCodeAt(i), 0x01000193)
  return (h ^ (h >>> 16)) & 0xffff
}

function utf8Bytes(text: string): number {
  let bytes = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    // Each half of a surrogate pair counts 2 of its 4 bytes.
    bytes += code < 0x80 ? 1 : code < 0x800 || (code >= 0xd800 && code < 0xe000) ? 2 : 3
  }
  return bytes
}
