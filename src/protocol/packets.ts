/**
 * What does a packet of MQTT look like as a plain object? Types only.
 *
 * The words and fields are those of the package mqtt-packet, so that a packet read there means the
 * same here; test/types compares the two. `Binary` is the type of binary fields: any bytes in
 * packets to send, the runtime's own kind of bytes in packets that users are given.
 */
import type { QoS } from './facts.ts'

/** User Properties: a name that occurs several times has an array of values. */
export type UserProperties = { [name: string]: string | string[] }

interface Identified {
  /** The Packet Identifier, 1 to 65,535, if the packet has one. */
  messageId?: number
}

/** The properties of every packet that answers or refuses something. MQTT 5. */
export interface ReasonProperties {
  /** The other side's explanation, for people. */
  reasonString?: string
  userProperties?: UserProperties
}

/** A packet that the client sends and that has no fast path in the encoder. */
export type ClientPacket<Binary extends Uint8Array = Uint8Array> =
  | ConnectPacket<Binary>
  | SubscribePacket
  | UnsubscribePacket
  | PingreqPacket
  | DisconnectPacket
  | AuthPacket<Binary>

export interface ConnectPacket<Binary extends Uint8Array = Uint8Array> extends Identified {
  cmd: 'connect'
  clientId: string
  protocolVersion?: 4 | 5 | 3
  protocolId?: 'MQTT' | 'MQIsdp'
  /** Clean Start; in MQTT 3, Clean Session. */
  clean?: boolean
  /** Seconds, 0 to 65,535; 0 turns the keep-alive off. */
  keepalive?: number
  username?: string
  password?: Binary
  will?: {
    topic: string
    payload: Binary | string
    qos?: QoS
    retain?: boolean
    properties?: WillProperties<Binary>
  }
  properties?: ConnectProperties<Binary>
}

/** The properties of a will. MQTT 5. (3.1.3.2) */
export interface WillProperties<Binary extends Uint8Array = Uint8Array> {
  /** Seconds after the loss of the connection before the server publishes the will. */
  willDelayInterval?: number
  payloadFormatIndicator?: boolean
  /** Seconds, 0 to 4,294,967,295. */
  messageExpiryInterval?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Binary
  userProperties?: UserProperties
}

/** The properties of a CONNECT. MQTT 5. (3.1.2.11) */
export interface ConnectProperties<Binary extends Uint8Array = Uint8Array> {
  /** Seconds, 0 to 4,294,967,295. */
  sessionExpiryInterval?: number
  /** 1 to 65,535. */
  receiveMaximum?: number
  /** Bytes, 1 to 4,294,967,295. */
  maximumPacketSize?: number
  /** 0 to 65,535. */
  topicAliasMaximum?: number
  requestResponseInformation?: boolean
  requestProblemInformation?: boolean
  userProperties?: UserProperties
  authenticationMethod?: string
  authenticationData?: Binary
}

/** The answer to a CONNECT. (3.2) */
export interface ConnackPacket<Binary extends Uint8Array = Uint8Array> extends Identified {
  cmd: 'connack'
  /** MQTT 3. */
  returnCode?: number
  /** MQTT 5. */
  reasonCode?: number
  /** Whether the server goes on with a session of this client. */
  sessionPresent: boolean
  properties?: {
    /** Seconds. */
    sessionExpiryInterval?: number
    receiveMaximum?: number
    maximumQoS?: number
    retainAvailable?: boolean
    /** Bytes. */
    maximumPacketSize?: number
    assignedClientIdentifier?: string
    topicAliasMaximum?: number
    reasonString?: string
    userProperties?: UserProperties
    wildcardSubscriptionAvailable?: boolean
    subscriptionIdentifiersAvailable?: boolean
    sharedSubscriptionAvailable?: boolean
    /** Seconds. */
    serverKeepAlive?: number
    responseInformation?: string
    serverReference?: string
    authenticationMethod?: string
    authenticationData?: Binary
  }
}

/** A message, in either direction. (3.3) */
export interface PublishPacket<Binary extends Uint8Array = Uint8Array> extends Identified {
  cmd: 'publish'
  qos: QoS
  dup: boolean
  retain: boolean
  topic: string
  payload: Binary
  properties?: {
    payloadFormatIndicator?: boolean
    /** Seconds that were left when the server sent the message. */
    messageExpiryInterval?: number
    topicAlias?: number
    responseTopic?: string
    correlationData?: Binary
    userProperties?: UserProperties
    /** The identifiers of the subscriptions that the message matched. */
    subscriptionIdentifier?: number | number[]
    contentType?: string
  }
}

interface Answer extends Identified {
  /** MQTT 5. */
  reasonCode?: number
  properties?: ReasonProperties
}

export interface PubackPacket extends Answer {
  cmd: 'puback'
}

export interface PubrecPacket extends Answer {
  cmd: 'pubrec'
}

export interface PubrelPacket extends Answer {
  cmd: 'pubrel'
}

export interface PubcompPacket extends Answer {
  cmd: 'pubcomp'
}

/** One filter of a SUBSCRIBE, with its options. (3.8.3.1) */
export interface SubscriptionOptions {
  topic: string
  qos: QoS
  nl?: boolean
  rap?: boolean
  rh?: number
}

export interface SubscribePacket extends Identified {
  cmd: 'subscribe'
  subscriptions: SubscriptionOptions[]
  properties?: { subscriptionIdentifier?: number; userProperties?: UserProperties }
}

export interface SubackPacket extends Answer {
  cmd: 'suback'
  /** A reason code for each filter, in order. */
  granted: number[]
}

export interface UnsubscribePacket extends Identified {
  cmd: 'unsubscribe'
  unsubscriptions: string[]
  properties?: { userProperties?: UserProperties }
}

export interface UnsubackPacket extends Answer {
  cmd: 'unsuback'
  /** A reason code for each filter, in order; empty in MQTT 3. */
  granted: number[]
}

export interface PingreqPacket extends Identified {
  cmd: 'pingreq'
}

export interface PingrespPacket extends Identified {
  cmd: 'pingresp'
}

/** The end of a connection. (3.14) */
export interface DisconnectPacket extends Identified {
  cmd: 'disconnect'
  reasonCode?: number
  properties?: ReasonProperties & {
    /** Seconds; only a client sends it. */
    sessionExpiryInterval?: number
    /** Another server; only a server sends it. */
    serverReference?: string
  }
}

/** A step of enhanced authentication. MQTT 5. (3.15) */
export interface AuthPacket<Binary extends Uint8Array = Uint8Array> extends Identified {
  cmd: 'auth'
  reasonCode: number
  properties?: ReasonProperties & { authenticationMethod?: string; authenticationData?: Binary }
}
