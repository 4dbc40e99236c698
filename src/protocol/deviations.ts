/**
 * What do servers send that the standard forbids, and what is done about it?
 *
 * The rule: if the meaning is clear and nothing of ours is at risk, the connection goes on. If
 * going on would be a guess (a length that does not fit, the packet identifier 0, an unknown packet
 * type, an alias that was never given a topic, a code that contradicts itself), it is closed. A
 * packet whose extent or meaning is not clear never yields a message.
 *
 * This table is total: each kind has its answer with `tolerance: 'field'`; with `'strict'` every
 * kind closes the connection, unless its reason code is 0. Codec and reducers look kinds up here
 * and have no opinion of their own. `docs/TOLERANCE.md` is made from it.
 */

export type Tolerance = 'field' | 'strict'

interface Deviation {
  /** The clause of MQTT 5.0 that is broken. The caller may give a more precise one. */
  readonly clause: string
  /**
   * The reason code of the DISCONNECT with which a connection is closed, or 0 if the standard does
   * not call for a close and `strict` goes on, too.
   */
  readonly reasonCode: number
  readonly field: 'go on' | 'close'
  /** What happens in `field`, or why the connection is closed. */
  readonly answer: string
  /** Servers that were seen to send it, with their versions. */
  readonly seen: readonly string[]
}

/** No server was seen to send it. */
const NOT_SEEN: readonly string[] = []

const GO_ON = { field: 'go on', reasonCode: 0x82, seen: NOT_SEEN } as const
const CLOSE = { field: 'close', reasonCode: 0x82, seen: NOT_SEEN } as const

/** Bytes that cannot be parsed have this code, packets that break a rule have 0x82. */
const MALFORMED = { reasonCode: 0x81 } as const

export const DEVIATIONS = {
  // fixed header
  RESERVED_BITS: {
    ...{ ...GO_ON, ...MALFORMED, clause: 'MQTT-2.1.3-1' },
    answer: 'The reserved bits of the fixed header are ignored.',
    seen: ['ThingsBoard', 'Alibaba Cloud IoT', 'Mongoose', 'Moquette'],
  },
  DUP_AT_QOS_0: {
    ...{ ...GO_ON, clause: 'MQTT-3.3.1-2' },
    answer: 'The DUP flag is ignored and the message is delivered.',
    seen: ['EMQX 2'],
  },
  PADDED_LENGTH: {
    ...{ ...GO_ON, ...MALFORMED, clause: 'MQTT-1.5.5-1' },
    answer: 'A length of at most four bytes is read, although fewer bytes would do.',
  },
  LEFT_OVER_BYTES: {
    ...{ ...GO_ON, ...MALFORMED, clause: '2.1.4' },
    answer: 'The bytes behind the last field of the packet are ignored.',
  },
  PINGREQ_FROM_SERVER: {
    ...{ ...GO_ON, clause: '2.1.2' },
    answer: 'The PINGREQ is ignored. It is not answered, because a client may not send PINGRESP.',
  },
  DISCONNECT_BEFORE_MQTT_5: {
    ...{ ...GO_ON, clause: '2.1.2' },
    answer: 'The DISCONNECT is read as that of MQTT 5: the server closes the connection.',
  },
  // WebSocket
  NO_SUBPROTOCOL: {
    ...{ ...GO_ON, clause: 'MQTT-6.0.0-4' },
    answer: 'A server that selects no sub-protocol is given MQTT; with strict, the upgrade fails.',
  },
  // CONNACK
  CONNACK_FLAGS: {
    ...{ ...GO_ON, ...MALFORMED, clause: 'MQTT-3.2.2-1' },
    answer: 'The reserved flags are ignored; Session Present is the lowest bit.',
  },
  UNKNOWN_CONNACK_CODE: {
    ...{ ...GO_ON, clause: 'MQTT-3.2.2-8' },
    answer: 'The server has refused the connection for an unknown reason; it is tried again.',
    seen: ['ClearBlade'],
  },
  SESSION_PRESENT_UNASKED: {
    ...{ ...GO_ON, clause: 'MQTT-3.2.2-2' },
    answer: 'A new session was asked for, so nothing of an old one is expected.',
  },
  UNASKED_AUTHENTICATION: {
    ...{ ...GO_ON, clause: 'MQTT-4.12.0-5' },
    answer: 'An authentication that this client did not ask for is ignored.',
  },
  // topics
  WILDCARD_IN_TOPIC: {
    ...{ ...GO_ON, clause: 'MQTT-3.3.2-2' },
    answer: 'The message is delivered with its topic as it came.',
    seen: ['Solace', 'RabbitMQ 3.10 (messages from AMQP)', 'NATS 2.9'],
  },
  UNREADABLE_TOPIC: {
    ...{ ...GO_ON, ...MALFORMED, clause: 'MQTT-1.5.4-1' },
    answer: 'The message is acknowledged and not delivered, because its topic cannot be read.',
    seen: ['RabbitMQ 3.10 (messages from AMQP)', 'NATS 2.9', 'printers'],
  },
  EMPTY_TOPIC: {
    ...{ ...GO_ON, clause: '3.3.2.1' },
    answer: 'The message is acknowledged and not delivered, because it has no topic.',
  },
  TOPIC_ALIAS: {
    ...{ ...GO_ON, reasonCode: 0x94, clause: 'MQTT-3.3.2-9' },
    answer: 'The alias is ignored, because the topic is there as well.',
    seen: ['MQTTnet until 2026'],
  },
  // properties
  MISPLACED_PROPERTY: {
    ...{ ...GO_ON, ...MALFORMED, clause: '2.2.2.2' },
    answer: 'A property that belongs to another packet is skipped.',
    seen: ['VerneMQ', 'Aedes', 'NanoMQ'],
  },
  SESSION_EXPIRY_IN_DISCONNECT: {
    ...{ ...GO_ON, clause: 'MQTT-3.14.2-2' },
    answer: 'The Session Expiry Interval of a DISCONNECT from the server is skipped.',
  },
  REPEATED_PROPERTY: {
    ...{ ...GO_ON, clause: '2.2.2.2' },
    answer: 'A property that comes twice with the same value counts once.',
  },
  PROPERTY_TEXT: {
    ...{ ...GO_ON, ...MALFORMED, clause: 'MQTT-1.5.4-1' },
    answer: 'A property that is not valid text is skipped; the rest of the packet counts.',
  },
  PROPERTY_VALUE: {
    ...{ ...GO_ON, clause: '2.2.2.2' },
    answer: 'A property whose value has no meaning is skipped, so that its default counts.',
  },
  UNWANTED_REASONS: {
    ...{ ...GO_ON, clause: 'MQTT-3.1.2-29' },
    answer: 'The reason is passed on, although Request Problem Information is 0.',
  },
  // messages
  RECEIVE_MAXIMUM_EXCEEDED: {
    ...{ ...GO_ON, reasonCode: 0x93, clause: 'MQTT-3.3.4-9' },
    answer: 'Reading is paused until the consumer has handled enough messages.',
    seen: ['Mosquitto 2.0.11', 'EMQX 4'],
  },
  RESENT_WHILE_OPEN: {
    ...{ ...GO_ON, reasonCode: 0, clause: 'MQTT-4.4.0-1' },
    answer: 'It is delivered and acknowledged again, and its packet identifier counts once.',
    seen: ['EMQX 4', 'BifroMQ'],
  },
  IDENTIFIER_OF_QOS_2: {
    ...{ ...GO_ON, clause: 'MQTT-2.2.1-4' },
    answer: 'The message at QoS 1 is delivered and acknowledged by itself.',
  },
  PUBREL_BEFORE_PUBREC: {
    ...{ ...GO_ON, clause: 'MQTT-4.3.3-6' },
    answer: 'The message is delivered if it came on this connection. It will not come again.',
  },
  // answers
  UNKNOWN_REASON_CODE: {
    ...{ ...GO_ON, clause: '2.4' },
    answer: 'A code of 0x80 or more refuses that request, a lower one accepts it.',
    seen: ['mochi-mqtt', 'EMQX 4.3', 'ejabberd 23.01 (SUBACK 0x8F in MQTT 3.1.1)'],
  },
  ACKNOWLEDGED_AT_OTHER_QOS: {
    ...{ ...GO_ON, clause: 'MQTT-4.3.3-1' },
    answer: 'The message counts as acknowledged at the QoS of the answer.',
    seen: ['RabbitMQ 3.x'],
  },
  PUBCOMP_WITHOUT_PUBREC: {
    ...{ ...GO_ON, clause: 'MQTT-4.3.3-1' },
    answer: 'The server has the message, so the message is settled.',
  },
  UNKNOWN_IDENTIFIER: {
    ...{ ...GO_ON, reasonCode: 0, clause: '4.3' },
    answer: 'An answer to a packet identifier that is not in use settles nothing.',
  },
  SHORT_UNSUBACK: {
    ...{ ...GO_ON, ...MALFORMED, clause: '2.1.4' },
    answer: 'An UNSUBACK in the shape of MQTT 3.1.1 accepts every filter.',
  },
  MISSING_REASON_CODES: {
    ...{ ...GO_ON, clause: 'MQTT-3.8.4-6' },
    answer: 'A filter without a reason code counts as refused in a SUBACK.',
  },
  SURPLUS_REASON_CODES: {
    ...{ ...GO_ON, clause: 'MQTT-3.8.4-6' },
    answer: 'The codes belong to the filters in their order; those behind them are ignored.',
  },
  UNASKED_PINGRESP: {
    ...{ ...GO_ON, reasonCode: 0, clause: '3.13' },
    answer: 'A PINGRESP that nobody asked for answers nothing.',
  },
  // What cannot be lived with.
  LENGTH: {
    ...{ ...CLOSE, ...MALFORMED, clause: '2.1.4' },
    answer: 'A length does not fit, so nobody knows where the packet or the field ends.',
  },
  PACKET_TOO_LARGE: {
    ...{ ...CLOSE, reasonCode: 0x95, clause: 'MQTT-3.1.2-24' },
    answer: 'The packet is larger than the memory that this client gives to one.',
  },
  PACKET_TYPE: {
    ...{ ...CLOSE, ...MALFORMED, clause: '2.1.2' },
    answer: 'No packet has this type.',
  },
  WRONG_DIRECTION: {
    ...{ ...CLOSE, clause: '2.1.2' },
    answer: 'Only a client sends this packet, or it is of another version: this is no MQTT server.',
  },
  FIRST_PACKET: {
    ...{ ...CLOSE, ...MALFORMED, clause: 'MQTT-2.1.3-1' },
    answer: 'These bytes come before any CONNACK; they may be of another protocol.',
  },
  QOS_3: {
    ...{ ...CLOSE, ...MALFORMED, clause: 'MQTT-3.3.1-4' },
    answer: 'Whether the packet has an identifier depends on the QoS.',
  },
  ZERO_IDENTIFIER: {
    ...{ ...CLOSE, clause: 'MQTT-2.2.1-4' },
    answer: 'Nothing has the packet identifier 0.',
  },
  UNKNOWN_PROPERTY: {
    ...{ ...CLOSE, ...MALFORMED, clause: '2.2.2.2' },
    answer: 'Nobody knows how long an unknown property is.',
  },
  CONTRADICTING_PROPERTY: {
    ...{ ...CLOSE, clause: '2.2.2.2' },
    answer: 'The property comes twice, with different values.',
  },
  CLIENT_IDENTIFIER_TEXT: {
    ...{ ...CLOSE, ...MALFORMED, clause: 'MQTT-1.5.4-1' },
    answer: 'Without the identifier that the server assigned, no session can be resumed.',
  },
  ALIAS_ALONE: {
    ...{ ...CLOSE, reasonCode: 0x94, clause: 'MQTT-3.3.2-9' },
    answer: 'Nobody knows the topic behind an alias that is not allowed.',
  },
  ALIAS_WITHOUT_TOPIC: {
    ...{ ...CLOSE, clause: 'MQTT-3.3.2-12' },
    answer: 'The alias was never given a topic on this connection.',
  },
  UNACKNOWLEDGED_FLOOD: {
    ...{ ...CLOSE, reasonCode: 0x93, clause: 'MQTT-3.3.4-9' },
    answer:
      'Four times Receive Maximum is unacknowledged, and more is buffered than maxBufferedBytes.',
  },
  OTHER_REQUEST_ANSWERED: {
    ...{ ...CLOSE, clause: 'MQTT-3.8.4-2' },
    answer: 'The answer belongs to another kind of request; the request would wait for ever.',
  },
  CONTRADICTING_CODES: {
    ...{ ...CLOSE, clause: 'MQTT-3.8.4-6' },
    answer: 'There are more codes than filters, and some of them refuse.',
  },
  AUTH_BITS: {
    ...{ ...CLOSE, ...MALFORMED, clause: 'MQTT-3.15.1-1' },
    answer: 'The standard requires it, and an authentication leaves no room for doubt.',
  },
  AUTH_CODE: {
    ...{ ...CLOSE, clause: 'MQTT-3.15.2-1' },
    answer: 'Nobody knows whether the authentication continues or has ended.',
  },
  AUTH_WITHOUT_METHOD: {
    ...{ ...CLOSE, clause: '3.15.2.2.2' },
    answer: 'Nobody knows to which authentication this belongs.',
  },
} as const satisfies Record<string, Deviation>

export type DeviationKind = keyof typeof DEVIATIONS

/** Deviations of one kind that came together. */
export interface DeviationNote {
  readonly kind: DeviationKind
  readonly count: number
  /** What came first, in words. */
  readonly what: string
  /** The clause in the version of the connection. */
  readonly clause: string
}

/** @returns whether a deviation closes the connection. */
export function isFatal(tolerance: Tolerance, kind: DeviationKind): boolean {
  const { field, reasonCode }: Deviation = DEVIATIONS[kind]
  return tolerance === 'field' ? field === 'close' : reasonCode !== 0
}
