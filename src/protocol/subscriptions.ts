/**
 * What is subscribed, and which SUBSCRIBE packets renew it after the server lost the session?
 *
 * (D5, a lost session is rebuilt in order) Subscriptions are kept in buckets by a hash of the
 * filter, in a persistent table, so that a hundred thousand of them cost nothing until they are
 * needed.
 */
import type { Draft } from './draft.ts'
import type { Properties, QoS, SubscribeFacts, SubscriptionFacts } from './facts.ts'
import { emptyTable, entries, type PacketTable, TableEditor } from './packet-table.ts'
import { hex, reasonOf } from './reason-codes.ts'
import { forgetRefused, noteRefused, refusalOf } from './refusals.ts'
import type { HeldSubscription } from './session-state.ts'
import { packetBytes, utf8Length, varintBytes } from './sizes.ts'

/**
 * The largest renewal packet in bytes, whatever the server takes. Some brokers close on very large
 * packets.
 */
const RENEWAL_BYTES_MAX = 65_536
const MESSAGE_ID_BYTES = 2
/** The length of a filter and its options, in bytes. */
const FILTER_OVERHEAD_BYTES = 3

/** A subscription that is to be renewed. */
export type Wanted = Pick<HeldSubscription, 'subscription' | 'properties'>

/**
 * Handles a SUBACK. A granted subscription replaces the one with the same filter. [MQTT-3.8.4-3]
 */
export function subscribed(d: Draft, facts: SubscribeFacts, granted: readonly number[]): void {
  facts.subscriptions.forEach((subscription, i) => {
    const code = granted[i]!
    if (code < 0x80)
      keepSubscription(d, subscription, facts.properties, grantedBy(code, subscription))
    else noteRefused(d, subscription, code)
  })
}

/** @returns the QoS that a code grants: one that is no QoS accepts what was requested. */
function grantedBy(code: number, { qos }: SubscriptionFacts): QoS {
  return code > 2 ? qos : (code as QoS)
}

/** Handles the SUBACK of a renewal. Subscriptions that are refused now are removed. */
export function renewed(d: Draft, facts: SubscribeFacts, granted: readonly number[]): void {
  facts.subscriptions.forEach((subscription, i) => {
    const code = granted[i]!
    if (code < 0x80) return
    const why = `The server refused it: ${reasonOf(code).description} (${hex(code)}).`
    notRenewed(d, subscription, code, why, false)
  })
}

/**
 * Removes a subscription that could not be renewed, and warns the user.
 * @param givenUp whether the loop gives it up without an answer of the server.
 */
export function notRenewed(
  d: Draft,
  subscription: SubscriptionFacts,
  code: number,
  why: string,
  givenUp: boolean,
): void {
  const { topic } = subscription
  removeSubscription(d, topic)
  noteRefused(d, subscription, code, givenUp)
  const message = `The subscription "${topic}" could not be renewed. ${why}`
  d.effects.push({ type: 'warn', code: 'RENEWAL_REFUSED', message })
}

/** Handles an UNSUBACK. In MQTT 3 it has no reason codes and every filter is unsubscribed. */
export function unsubscribed(d: Draft, filters: readonly string[], codes: readonly number[]): void {
  filters.forEach((filter, i) => {
    if ((codes[i] ?? 0) >= 0x80) return
    removeSubscription(d, filter)
    forgetRefused(d, filter)
  })
}

function keepSubscription(
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

function removeSubscription(d: Draft, filter: string): void {
  const key = hash(filter)
  const bucket = d.subscriptions.get(key) ?? []
  const others = bucket.filter((held) => held.subscription.topic !== filter)
  if (others.length === bucket.length) return
  d.session.subscriptionCount--
  if (others.length > 0) d.subscriptions.set(key, others)
  else d.subscriptions.remove(key)
}

/** @returns all subscriptions, oldest first. */
export function subscriptionsOf(
  table: PacketTable<readonly HeldSubscription[]>,
): HeldSubscription[] {
  return [...entries(table)].flatMap(([, bucket]) => bucket).sort((a, b) => a.order - b.order)
}

/** @returns the table for the subscriptions of a saved session. */
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
 * Subscriptions that break a limit of the CONNACK are removed.
 * @param filtersMax The most filters in one packet.
 * @returns SUBSCRIBE packets for these subscriptions, with options and identifiers, as large as the
 * server allows. [MQTT-3.2.2-15]
 */
export function makeRenewals(
  d: Draft,
  wanted: readonly Wanted[],
  filtersMax: number,
): SubscribeFacts[] {
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
      const size = FILTER_OVERHEAD_BYTES + utf8Length(subscription.topic)
      const refusal = refusalOf(renewal([subscription], properties, emptyBytes + size), limits, 0)
      if (refusal !== null) {
        notRenewed(d, subscription, refusal.reasonCode ?? 0x80, refusal.message, true)
        continue
      }
      const full = subscriptions.length >= filtersMax
      if (full || packetBytes(bytes + size) > limit) flush()
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

/** Groups the subscriptions by their properties, which belong to a whole packet. */
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

/**
 * @returns the bytes of the properties of a SUBSCRIBE, with their length: identifier and User
 * Properties. (3.8.2.1)
 */
function propertiesBytes(properties: Properties | undefined): number {
  let bytes = 0
  const identifier = properties?.['subscriptionIdentifier']
  if (typeof identifier === 'number') bytes += 1 + varintBytes(identifier)
  for (const [name, values] of Object.entries(properties?.['userProperties'] ?? {})) {
    for (const value of [values].flat()) bytes += 5 + utf8Length(name) + utf8Length(String(value))
  }
  return varintBytes(bytes) + bytes
}

/** @returns a hash of 16 bits (FNV-1a, folded). */
function hash(filter: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < filter.length; i++) h = Math.imul(h ^ filter.charCodeAt(i), 0x01000193)
  return (h ^ (h >>> 16)) & 0xffff
}
