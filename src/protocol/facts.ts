/**
 * What do the reducers know about packets, requests and failures?
 *
 * The loop and the codec make these values; the reducers only read them. They are plain data: a
 * request is known by a handle (a number) and its sizes, while the loop keeps the object itself.
 */

/** A quality of service: 0 at most once, 1 at least once, 2 exactly once. */
export type QoS = 0 | 1 | 2
/** A version of MQTT: 5, 4 (3.1.1) or 3 (3.1). */
export type ProtocolVersion = 3 | 4 | 5

// ----------------------------------------------------------------------------------------- packets

/** Properties as decoded. The codec checks which names are allowed in which packet. */
export type Properties = { readonly [name: string]: unknown }

/** The answer to a CONNECT. (3.2) */
export interface ReceivedConnack {
  readonly cmd: 'connack'
  readonly sessionPresent: boolean
  /** Present in MQTT 5 only. */
  readonly reasonCode?: number
  /** Present in MQTT 3.1 and 3.1.1 only. */
  readonly returnCode?: number
  readonly properties?: Properties
}

export interface ReceivedPublish {
  readonly cmd: 'publish'
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly dup: boolean
  readonly retain: boolean
  readonly messageId?: number
  readonly properties?: Properties
  /** Whether it is acknowledged and not delivered, because its topic cannot be read. */
  readonly unreadable?: true
}

export interface AckPacket {
  readonly cmd: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'
  readonly messageId: number
  /** The reason code is always 0 in MQTT 3. */
  readonly reasonCode: number
  readonly properties?: Properties
}

export interface SubscriptionAckPacket {
  readonly cmd: 'suback' | 'unsuback'
  readonly messageId: number
  readonly granted: readonly number[]
  readonly properties?: Properties
}

interface ReceivedPingresp {
  readonly cmd: 'pingresp'
}

/** A server may not send it; what is done about it is in `deviations.ts`. */
interface ReceivedPingreq {
  readonly cmd: 'pingreq'
}

export interface ReasonPacket {
  readonly cmd: 'disconnect' | 'auth'
  readonly reasonCode: number
  readonly properties?: Properties
}

/** What is known of a packet that may not have been readable. */
export interface PacketName {
  readonly cmd: ServerPacket['cmd'] | 'unknown'
  readonly topic?: string
  readonly messageId?: number
  /** Of a CONNACK, whose form shows its version. */
  readonly remainingLength?: number
}

/** A packet from the decoder. It is well formed; the reducers decide whether it is allowed now. */
export type ServerPacket =
  | ReceivedConnack
  | ReceivedPublish
  | AckPacket
  | SubscriptionAckPacket
  | ReceivedPingresp
  | ReceivedPingreq
  | ReasonPacket

// ---------------------------------------------------------------------------------------- requests

/**
 * The part of a request that the reducers need. `bytes` is the size of its packet in MQTT 5, before
 * the engine adds anything to it.
 */
export type RequestFacts = PublishFacts | SubscribeFacts | UnsubscribeFacts

export interface PublishFacts {
  readonly kind: 'publish'
  readonly handle: number
  readonly qos: QoS
  readonly retain: boolean
  /** The size of the largest message if this is a group. */
  readonly bytes: number
  /** The instant at which the message expires, or 0 if it never does. */
  readonly expiresAt: number
  /** The number of messages: 1, or more for a group of QoS 0 messages that is sent as one. */
  readonly count: number
  /** Whether the message has properties, which MQTT 3 does not have. */
  readonly hasProperties?: boolean
}

export interface SubscriptionFacts {
  readonly topic: string
  readonly qos: QoS
  readonly nl?: boolean
  readonly rap?: boolean
  readonly rh?: 0 | 1 | 2
}

export interface SubscribeFacts {
  readonly kind: 'subscribe'
  /** The handle is 0 for a renewal, which no user waits for. */
  readonly handle: number
  readonly bytes: number
  readonly subscriptions: readonly SubscriptionFacts[]
  readonly properties: Properties | undefined
}

export interface UnsubscribeFacts {
  readonly kind: 'unsubscribe'
  readonly handle: number
  readonly bytes: number
  readonly unsubscriptions: readonly string[]
  readonly properties: Properties | undefined
}

/** The options of one attempt that may differ from those of the loop. */
export interface AttemptFacts {
  readonly clientId: string
  /** Keep Alive in seconds. */
  readonly keepAlive: number
}

// ---------------------------------------------------------------------------------------- failures

/** What went wrong with a connection or a request. The loop makes an error of it. */
export interface Failure {
  /**
   * `dial` lasts until the transport is open, `handshake` until the CONNACK, `connected` until the
   * connection ends. `request` means that a single request failed.
   */
  readonly phase: 'dial' | 'handshake' | 'connected' | 'request'
  /** Who is at fault, which is also the family of the error. */
  readonly source: 'usage' | 'protocol' | 'refused' | 'connection' | 'storage' | 'bug'
  readonly code: string
  readonly retryable: boolean
  /** The message says what went wrong, where, and what to do. */
  readonly message: string
  /** The reason code of the standard, if there was one. */
  readonly reasonCode?: number
  /** The clause that was broken, if one was. */
  readonly clause?: string
  readonly packet?: ServerPacket
  /** The HTTP status that refused the WebSocket upgrade. */
  readonly statusCode?: number
  /** How long the server asks to wait before the next attempt, in ms. */
  readonly retryAfterMs?: number
  /** The number under which the loop keeps the underlying error. */
  readonly cause?: number
}

/** A rule of the standard that the server broke. */
export interface Violation {
  readonly reasonCode: number
  readonly clause: string
  readonly message: string
  /** The code of the failure. Default `PROTOCOL`. */
  readonly code?: 'PROTOCOL' | 'NOT_MQTT'
}

/** @returns the violation of a rule whose reason code is "protocol error". */
export function protocolError(clause: string, message: string): Violation {
  return { reasonCode: 0x82, clause, message }
}

export function makeFailure(
  phase: Failure['phase'],
  source: Failure['source'],
  code: string,
  retryable: boolean,
  message: string,
): Failure {
  return { phase, source, code, retryable, message }
}

/** Shared by everything that has nothing to list. */
export const NO_ITEMS: readonly never[] = []
