/**
 * What is subscribed, and the SUBSCRIBE packets that bring it back after the server lost the session. (D5, E1)
 *
 * Kept in buckets by a hash of the filter in a persistent table, so that a hundred thousand subscriptions cost nothing until
 * they are asked for.
 */
import type { Draft } from './draft.ts'
import type { Properties, QoS, SubscribeFacts, SubscriptionFacts } from './facts.ts'
import { emptyTable, entries, type PacketTable, TableEditor } from './packet-table.ts'
import { forgetRefused, noteRefused, refusalOf } from './refusals.ts'
import type { HeldSubscription } from './session-state.ts'

/** No renewal packet is larger, whatever the server takes: brokers dislike giants. */
const RENEWAL_BYTES_MAX = 65_536
const MESSAGE_ID_BYTES = 2
/** Length of the filter and its options. */
const FILTER_OVERHEAD_BYTES = 3

type Wanted = Pick<HeldSubscription, 'subscription' | 'properties'>

/** A SUBACK came: what was granted replaces what was held for the same filter [MQTT-3.8.4-3]. */
export function subscribed(d: Draft, facts: SubscribeFacts, granted: readonly number[]): void {
  facts.subscriptions.forEach((subscription, i) => {
    const code = granted[i]!
    if (code < 0x80) keep(d, subscription, facts.properties, code as QoS)
    else noteRefused(d, subscription, code)
  })
}

/** A renewal was answered: what the server refuses now is no longer held. */
export function renewed(d: Draft, facts: SubscribeFacts, granted: readonly number[]): void {
  facts.subscriptions.forEach((subscription, i) => {
    const code = granted[i]!
    if (code >= 0x80) unrenewed(d, subscription, code, 'The server refused it.')
  })
}

function unrenewed(d: Draft, subscription: SubscriptionFacts, code: number, why: string): void {
  const { topic } = subscription
  drop(d, topic)
  noteRefused(d, subscription, code)
  const message = `The subscription "${topic}" could not be renewed. ${why}`
  d.effects.push({ type: 'warn', code: 'RENEWAL_REFUSED', message })
}

/** An UNSUBACK came. In MQTT 3 it has no codes and means all. */
export function unsubscribed(d: Draft, filters: readonly string[], codes: readonly number[]): void {
  filters.forEach((filter, i) => {
    if ((codes[i] ?? 0) >= 0x80) return
    drop(d, filter)
    forgetRefused(d, filter)
  })
}

function keep(
  d: Draft,
  subscription: SubscriptionFacts,
  properties: Properties | undefined,
  granted: QoS,
): void {
  forgetRefused(d, subscription.topic)
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

/** What a renewal asked for. */
export function subscriptionsIn({ subscriptions, properties }: SubscribeFacts): Wanted[] {
  return subscriptions.map((subscription) => ({ subscription, properties }))
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

/**
 * The SUBSCRIBE requests for these, options and identifiers included, in packets that the server takes. What it said that it
 * takes from nobody is no longer held. [MQTT-3.2.2-15]
 */
export function renewals(d: Draft, wanted: readonly Wanted[]): SubscribeFacts[] {
  const { limits } = d.connection
  const limit = Math.min(limits.maximumPacketSize, RENEWAL_BYTES_MAX)
  const packets: SubscribeFacts[] = []
  for (const group of byProperties(wanted)) {
    const { properties } = group[0]!
    const emptyBytes = MESSAGE_ID_BYTES + propertiesBytes(properties)
    let bytes = emptyBytes
    let subscriptions: SubscriptionFacts[] = []
    const flush = () => {
      if (subscriptions.length > 0) packets.push(renewal(subscriptions, properties, bytes))
      subscriptions = []
      bytes = emptyBytes
    }
    for (const { subscription } of group) {
      const size = FILTER_OVERHEAD_BYTES + utf8Bytes(subscription.topic)
      const refusal = refusalOf(renewal([subscription], properties, emptyBytes + size), limits, 0)
      if (refusal !== null) {
        unrenewed(d, subscription, refusal.reasonCode ?? 0x80, refusal.message)
        continue
      }
      if (packetBytes(bytes + size) > limit) flush()
      subscriptions.push(subscription)
      bytes += size
    }
    flush()
  }
  return packets
}

function renewal(
  subscriptions: readonly SubscriptionFacts[],
  properties: Properties | undefined,
  bodyBytes: number,
): SubscribeFacts {
  const bytes = packetBytes(bodyBytes)
  return { kind: 'subscribe', handle: 0, bytes, subscriptions, properties }
}

/** Properties belong to the packet, not to its filters: what shares a packet has the same. */
function byProperties(wanted: readonly Wanted[]): Wanted[][] {
  const groups = new Map<string, Wanted[]>()
  for (const held of wanted) {
    const key = JSON.stringify(held.properties ?? null)
    const group = groups.get(key)
    if (group) group.push(held)
    else groups.set(key, [held])
  }
  return [...groups.values()]
}

/** With the length before them. SUBSCRIBE may carry an identifier and User Properties. (3.8.2.1) */
function propertiesBytes(properties: Properties | undefined): number {
  let bytes = 0
  const identifier = properties?.['subscriptionIdentifier']
  if (typeof identifier === 'number') bytes += 1 + variableBytes(identifier)
  for (const [name, values] of Object.entries(properties?.['userProperties'] ?? {})) {
    for (const value of [values].flat()) bytes += 5 + utf8Bytes(name) + utf8Bytes(String(value))
  }
  return variableBytes(bytes) + bytes
}

function packetBytes(bodyBytes: number): number {
  return 1 + variableBytes(bodyBytes) + bodyBytes
}

/** A Variable Byte Integer. (1.5.5) */
function variableBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4
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
