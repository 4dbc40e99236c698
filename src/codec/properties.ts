/**
 * Which properties does MQTT 5 have, and in which packets? (2.2.2.2)
 *
 * The decoder and the encoder read one table. A property has an identifier and a type, is allowed
 * in certain packets, and may be repeated or not. A property that is not in the table, or not
 * allowed in this packet, is malformed [MQTT-2.2.2]; one that is repeated or out of its range is a
 * Protocol Error. What is done about it depends on the tolerance.
 */
import type { DeviationKind } from '../protocol/deviations.ts'
import { REMAINING_LENGTH_MAX } from '../protocol/sizes.ts'

type PropertyType =
  | 'flag' // a byte, 0 or 1; a boolean in our objects
  | 'byte'
  | 'uint16'
  | 'uint32'
  | 'varint'
  | 'string'
  | 'topic' // a string that is a Topic Name
  | 'binary'
  | 'pair'

/** The packets that have properties, one bit for each. A will counts as a packet of its own. */
export const IN = {
  connect: 1,
  will: 2,
  connack: 4,
  publish: 8,
  ack: 16, // PUBACK, PUBREC, PUBREL, PUBCOMP
  subscribe: 32,
  suback: 64,
  unsubscribe: 128,
  unsuback: 256,
  disconnect: 512,
  auth: 1024,
} as const

export type PropertyPlace = keyof typeof IN

export interface PropertyRule {
  readonly id: number
  readonly name: string
  readonly type: PropertyType
  /** The packets in which the property is allowed, as bits of `IN`. */
  readonly places: number
  readonly repeatable: boolean
  /** Smallest value of a number. */
  readonly min: number
  /** Largest value of a number. */
  readonly max: number
  readonly clause: string
  /** The kind of deviation of a value that is smaller or larger. */
  readonly outOfRange: DeviationKind
  /** The kind of deviation of a text that is not UTF-8. */
  readonly text: DeviationKind
  /**
   * A bit that no other property has. The decoder sets it when it has read the property, to find
   * repetitions.
   */
  readonly bit: number
}

const TYPE_MAX: Record<PropertyType, number> = {
  flag: 1,
  byte: 255,
  uint16: 65_535,
  uint32: 4_294_967_295,
  varint: REMAINING_LENGTH_MAX,
  string: 65_535,
  topic: 65_535,
  binary: 65_535,
  pair: 65_535,
}

type PropertyRow = readonly [
  id: number,
  name: string,
  type: PropertyType,
  places: number,
  clause: string,
  limits?: PropertyLimits,
]

interface PropertyLimits {
  readonly min?: number
  readonly max?: number
  readonly repeatable?: true
  readonly outOfRange?: DeviationKind
  readonly text?: DeviationKind
}

const ANSWERS = IN.connack | IN.ack | IN.suback | IN.unsuback | IN.disconnect | IN.auth
const EVERYWHERE = 2047

const ROWS: readonly PropertyRow[] = [
  [0x01, 'payloadFormatIndicator', 'flag', IN.publish | IN.will, '3.3.2.3.2'],
  [0x02, 'messageExpiryInterval', 'uint32', IN.publish | IN.will, '3.3.2.3.3'],
  [0x03, 'contentType', 'string', IN.publish | IN.will, '3.3.2.3.9'],
  [0x08, 'responseTopic', 'topic', IN.publish | IN.will, 'MQTT-3.3.2-14'],
  [0x09, 'correlationData', 'binary', IN.publish | IN.will, '3.3.2.3.6'],
  // A PUBLISH from a server has one for each subscription that it matches; a SUBSCRIBE has one.
  [
    ...([0x0b, 'subscriptionIdentifier', 'varint', IN.publish | IN.subscribe] as const),
    ...(['3.3.2.3.8', { min: 1 }] as const),
  ],
  [0x11, 'sessionExpiryInterval', 'uint32', IN.connect | IN.connack | IN.disconnect, '3.2.2.3.2'],
  [
    ...([0x12, 'assignedClientIdentifier', 'string', IN.connack] as const),
    ...(['3.2.2.3.7', { text: 'CLIENT_IDENTIFIER_TEXT' }] as const),
  ],
  [0x13, 'serverKeepAlive', 'uint16', IN.connack, '3.2.2.3.14'],
  [0x15, 'authenticationMethod', 'string', IN.connect | IN.connack | IN.auth, '3.15.2.2.2'],
  [0x16, 'authenticationData', 'binary', IN.connect | IN.connack | IN.auth, '3.15.2.2.3'],
  [0x17, 'requestProblemInformation', 'flag', IN.connect, '3.1.2.11.7'],
  [0x18, 'willDelayInterval', 'uint32', IN.will, '3.1.3.2.2'],
  [0x19, 'requestResponseInformation', 'flag', IN.connect, '3.1.2.11.6'],
  [0x1a, 'responseInformation', 'string', IN.connack, '3.2.2.3.15'],
  [0x1c, 'serverReference', 'string', IN.connack | IN.disconnect, '3.2.2.3.16'],
  [0x1f, 'reasonString', 'string', ANSWERS, '3.4.2.2.2'],
  [0x21, 'receiveMaximum', 'uint16', IN.connect | IN.connack, '3.2.2.3.3', { min: 1 }],
  [0x22, 'topicAliasMaximum', 'uint16', IN.connect | IN.connack, '3.2.2.3.8'],
  [
    ...([0x23, 'topicAlias', 'uint16', IN.publish] as const),
    ...(['MQTT-3.3.2-8', { min: 1, outOfRange: 'TOPIC_ALIAS' }] as const),
  ],
  // Without it the server takes QoS 2, which is what a 2 means.
  [0x24, 'maximumQoS', 'byte', IN.connack, '3.2.2.3.4', { max: 1 }],
  [0x25, 'retainAvailable', 'flag', IN.connack, '3.2.2.3.5'],
  [0x26, 'userProperties', 'pair', EVERYWHERE, '2.2.2.2', { repeatable: true }],
  [0x27, 'maximumPacketSize', 'uint32', IN.connect | IN.connack, '3.2.2.3.6', { min: 1 }],
  [0x28, 'wildcardSubscriptionAvailable', 'flag', IN.connack, '3.2.2.3.11'],
  [0x29, 'subscriptionIdentifiersAvailable', 'flag', IN.connack, '3.2.2.3.12'],
  [0x2a, 'sharedSubscriptionAvailable', 'flag', IN.connack, '3.2.2.3.13'],
]

/** The rules, by identifier. */
export const PROPERTY_RULES: readonly (PropertyRule | undefined)[] = ROWS.reduce<
  (PropertyRule | undefined)[]
>((rules, [id, name, type, places, clause, limits = {}], index) => {
  rules[id] = {
    ...{ id, name, type, places, clause, bit: 1 << index },
    ...{ min: 0, max: TYPE_MAX[type], repeatable: false },
    ...{ outOfRange: 'PROPERTY_VALUE', text: 'PROPERTY_TEXT', ...limits },
  }
  return rules
}, new Array(0x2b).fill(undefined))

/** The rules, by name. */
export const PROPERTY_NAMES: ReadonlyMap<string, PropertyRule> = new Map(
  PROPERTY_RULES.flatMap((rule) => (rule === undefined ? [] : [[rule.name, rule] as const])),
)
