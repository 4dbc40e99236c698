/**
 * What may a test choose about the broker: its limits, which the CONNACK announces, and its habits,
 * in which real brokers differ?
 */
import { describe, UsageError } from '../errors.ts'
import { machine, type Platform } from '../platform/machine.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'
import { PACKET_BYTES_MAX } from '../protocol/sizes.ts'

/** What a broker does where the standard leaves a choice, and where real brokers break it. */
export interface BrokerHabits {
  /**
   * What a session gets of a message that several of its subscriptions match: `'merged'`, one copy
   * with all subscription identifiers (mosquitto); `'separate'`, a copy for each subscription with
   * its identifier; `'one-id'`, one copy with only the first identifier; `'separate-no-id'`, a copy
   * for each subscription and no identifier. Default `'merged'`.
   */
  readonly overlap?: 'merged' | 'separate' | 'one-id' | 'separate-no-id' | undefined
  /**
   * When retained messages are sent: directly after the SUBACK, directly before it, or `'late'`, 10
   * ms after it, so that other messages come first. Default `'afterSuback'`.
   */
  readonly retainedTiming?: 'afterSuback' | 'beforeSuback' | 'late' | undefined
  /** Whether retained messages expire. Default true; false breaks [MQTT-3.3.2-5]. */
  readonly retainedExpires?: boolean | undefined
  /**
   * Whether a message that waited at the broker, a retained one included, goes out with what is
   * left of its Message Expiry Interval. Default true; false breaks [MQTT-3.3.2-6]: it goes out
   * with the interval with which it was published.
   */
  readonly expiryCountsDown?: boolean | undefined
  /**
   * Whether PUBACK and PUBREC have reason code 0x10 if no subscription matched. MQTT 5. Default
   * true.
   */
  readonly noMatchingSubscribers?: boolean | undefined
  /**
   * Whether wills are published. Default true; false breaks [MQTT-3.1.2-8]: every will is lost.
   */
  readonly willPublished?: boolean | undefined
  /**
   * Whether a will waits for its Will Delay Interval. Default true; false publishes each will as if
   * it had none.
   */
  readonly willDelayed?: boolean | undefined
  /**
   * How much later than the standard says wills are published, in ms. Neither a new connection of
   * the client nor `broker.restart()` stops a will that is late. Default 0; at most 86,400,000.
   */
  readonly willLateMs?: number | undefined
  /**
   * What is published if another connection takes the session over: `true`, the will of the
   * connection that is replaced, if the standard asks for it; `false`, nothing; `'new'`, the will
   * of the connection that takes the session over, whatever its delay, which some brokers do by
   * mistake. Default true.
   */
  readonly willOnTakeover?: boolean | 'new' | undefined
  /**
   * Whether what a member of a shared subscription has not acknowledged when its connection ends
   * goes to another member that is connected: messages that wait, and those in flight at QoS 1.
   * Default true; false keeps them for the member's session.
   */
  readonly sharedRedistribution?: boolean | undefined
  /** Whether `$share/…` is a shared subscription before MQTT 5, too. Default true. */
  readonly sharedInMqtt3?: boolean | undefined
  /** Whether messages at QoS 0 are kept for a session that is away. Default false. */
  readonly queueQos0?: boolean | undefined
}

/** The limits of a broker. All but the last three are announced in the CONNACK of MQTT 5. */
export interface BrokerLimits {
  /** How many publishes at QoS > 0 it takes without an acknowledgement. Default 65,535. */
  readonly receiveMaximum?: number | undefined
  /** The highest QoS of a publish that it takes. Default 2. */
  readonly maximumQoS?: 0 | 1 | 2 | undefined
  /** Whether it takes retained messages. Default true. */
  readonly retainAvailable?: boolean | undefined
  /** Whether it takes filters with wildcards. Default true. */
  readonly wildcardAvailable?: boolean | undefined
  /** Whether it takes shared subscriptions. Default true. */
  readonly sharedAvailable?: boolean | undefined
  /** Whether it takes subscription identifiers. Default true. */
  readonly subscriptionIdentifiersAvailable?: boolean | undefined
  /** How many topic aliases it takes. Default 0. */
  readonly topicAliasMaximum?: number | undefined
  /** The largest packet that it takes, in bytes. Default 268,435,460, which is not announced. */
  readonly maximumPacketSize?: number | undefined
  /** The Response Information for a client that asks for it. Default none. */
  readonly responseInformation?: string | undefined
  /** The keep-alive in seconds that it prescribes instead of the client's. Default none. */
  readonly serverKeepAlive?: number | undefined
  /** The longest Session Expiry Interval that it grants, in seconds. Default 4,294,967,295. */
  readonly sessionExpiryMaximum?: number | undefined
  /**
   * How many publishes at QoS > 0 it sends to a client without an acknowledgement; the client's
   * Receive Maximum holds as well. Default 65,535.
   */
  readonly maxInflight?: number | undefined
  /** How many messages wait for one session; further ones are dropped. Default 100,000. */
  readonly maxQueued?: number | undefined
  /** How many packets `broker.log` keeps; older ones are dropped. Default 100,000. */
  readonly logLimit?: number | undefined
}

/** The options of `createBroker()`. */
export interface BrokerOptions extends BrokerLimits, BrokerHabits {
  /**
   * Where time and random numbers come from: `virtualClock()`, or any `Platform`. Default the clock
   * of the machine.
   */
  readonly clock?: Platform | undefined
  /** The versions of MQTT that it speaks. Default 5, 4 (3.1.1) and 3 (3.1). */
  readonly protocolVersions?: readonly ProtocolVersion[] | undefined
}

const DEFAULTS = {
  overlap: 'merged',
  retainedTiming: 'afterSuback',
  retainedExpires: true,
  expiryCountsDown: true,
  noMatchingSubscribers: true,
  willPublished: true,
  willDelayed: true,
  willLateMs: 0,
  willOnTakeover: true,
  sharedRedistribution: true,
  sharedInMqtt3: true,
  queueQos0: false,
  receiveMaximum: 65_535,
  maximumQoS: 2,
  retainAvailable: true,
  wildcardAvailable: true,
  sharedAvailable: true,
  subscriptionIdentifiersAvailable: true,
  topicAliasMaximum: 0,
  maximumPacketSize: PACKET_BYTES_MAX,
  responseInformation: '',
  serverKeepAlive: -1,
  sessionExpiryMaximum: 4_294_967_295,
  maxInflight: 65_535,
  maxQueued: 100_000,
  logLimit: 100_000,
  protocolVersions: [5, 4, 3],
  clock: machine,
} as const satisfies BrokerOptions

/** The options with their defaults. `responseInformation` '' and `serverKeepAlive` -1 mean none. */
export type BrokerSettings = {
  readonly [Name in keyof BrokerOptions]-?: Exclude<BrokerOptions[Name], undefined>
}

/** The smallest and the largest value of each number. */
const RANGES: Readonly<Record<string, readonly [min: number, max: number]>> = {
  receiveMaximum: [1, 65_535],
  maximumQoS: [0, 2],
  willLateMs: [0, 86_400_000],
  topicAliasMaximum: [0, 65_535],
  maximumPacketSize: [1, PACKET_BYTES_MAX],
  serverKeepAlive: [-1, 65_535],
  sessionExpiryMaximum: [0, 4_294_967_295],
  maxInflight: [1, 65_535],
  maxQueued: [0, Number.MAX_SAFE_INTEGER],
  logLimit: [0, Number.MAX_SAFE_INTEGER],
}

/** @returns all settings. @throws UsageError for a name or a value that does not exist. */
export function brokerSettings(options: BrokerOptions): BrokerSettings {
  const settings: Record<string, unknown> = { ...DEFAULTS }
  for (const [name, value] of Object.entries(options)) {
    if (!(name in DEFAULTS)) {
      const allowed = Object.keys(DEFAULTS).join(', ')
      throw new UsageError(`createBroker has no option ${describe(name)}; allowed: ${allowed}`)
    }
    if (value === undefined) continue
    const range = RANGES[name]
    if (range !== undefined) checkRange(name, value, range)
    settings[name] = value
  }
  return settings as unknown as BrokerSettings
}

function checkRange(name: string, value: unknown, [min, max]: readonly [number, number]): void {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return
  const allowed = `a whole number from ${min} to ${max}`
  throw new UsageError(`createBroker: ${name} must be ${allowed}, not ${describe(value)}`)
}
