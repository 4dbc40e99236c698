/**
 * What does a packet of MQTT look like as a plain object? Types only.
 *
 * The words and fields are those of the package mqtt-packet, so that a packet read there means the
 * same here; test/requests/vocabulary.test.ts compares the two. `Binary` is the type of binary
 * fields: any bytes in packets to send, the runtime's own kind of bytes in packets that users are
 * given.
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
  /** The User Properties. */
  userProperties?: UserProperties
}

/** A packet that the client sends and that has no fast path in the encoder. */
export type ClientPacket<Binary extends Uint8Array = Uint8Array> =
  | ConnectPacket<Binary>
  | SubscribePacket
  | UnsubscribePacket
  | PingreqPacket
  | DisconnectPacket
  | AuthPacketOf<Binary>

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
  /** Whether the payload is UTF-8 text. */
  payloadFormatIndicator?: boolean
  /** Seconds, 0 to 4,294,967,295. */
  messageExpiryInterval?: number
  /** The type of the payload, for example a MIME type. */
  contentType?: string
  /** The topic for an answer. */
  responseTopic?: string
  /** Bytes by which the answer is matched with its request. */
  correlationData?: Binary
  /** The User Properties. */
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
  /** Whether the server may send Response Information. */
  requestResponseInformation?: boolean
  /** Whether the server may explain failures with text and User Properties. */
  requestProblemInformation?: boolean
  /** The User Properties. */
  userProperties?: UserProperties
  /** The name of the authentication method. */
  authenticationMethod?: string
  /** Data of the authentication method. */
  authenticationData?: Binary
}

/** The answer to a CONNECT. (3.2) */
export interface ConnackPacketOf<Binary extends Uint8Array = Uint8Array> extends Identified {
  /** The type of the packet. */
  cmd: 'connack'
  /** MQTT 3. */
  returnCode?: number
  /** MQTT 5. */
  reasonCode?: number
  /** Whether the server goes on with a session of this client. */
  sessionPresent: boolean
  /** The properties of the packet. MQTT 5. */
  properties?: {
    /** Seconds. */
    sessionExpiryInterval?: number
    /** How many publishes at QoS > 0 the server accepts without acknowledgement. */
    receiveMaximum?: number
    /** The highest QoS at which the server accepts a publish. */
    maximumQoS?: number
    /** Whether the server accepts retained messages. */
    retainAvailable?: boolean
    /** Bytes. */
    maximumPacketSize?: number
    /** The client identifier that the server chose. */
    assignedClientIdentifier?: string
    /** How many topic aliases the server accepts. */
    topicAliasMaximum?: number
    /** An explanation, for people. */
    reasonString?: string
    /** The User Properties. */
    userProperties?: UserProperties
    /** Whether the server accepts topic filters with wildcards. */
    wildcardSubscriptionAvailable?: boolean
    /** Whether the server accepts subscription identifiers. */
    subscriptionIdentifiersAvailable?: boolean
    /** Whether the server accepts shared subscriptions. */
    sharedSubscriptionAvailable?: boolean
    /** Seconds. */
    serverKeepAlive?: number
    /** Text from which the client may make response topics. */
    responseInformation?: string
    /** Another server that the client may use. */
    serverReference?: string
    /** The name of the authentication method. */
    authenticationMethod?: string
    /** Data of the authentication method. */
    authenticationData?: Binary
  }
}

/** A message, in either direction. (3.3) */
export interface PublishPacket<Binary extends Uint8Array = Uint8Array> extends Identified {
  /** The type of the packet. */
  cmd: 'publish'
  /** The quality of service. */
  qos: QoS
  /** Whether the packet is sent again. */
  dup: boolean
  /** Whether the message is retained, or was when it was sent. */
  retain: boolean
  /** The topic name. */
  topic: string
  /** The content of the message. */
  payload: Binary
  /** The properties of the packet. MQTT 5. */
  properties?: {
    /** Whether the payload is UTF-8 text. */
    payloadFormatIndicator?: boolean
    /** Seconds that were left when the server sent the message. */
    messageExpiryInterval?: number
    /** The alias that the server used; `topic` is resolved already. */
    topicAlias?: number
    /** The topic for an answer. */
    responseTopic?: string
    /** Bytes by which the answer is matched with its request. */
    correlationData?: Binary
    /** The User Properties. */
    userProperties?: UserProperties
    /** The identifiers of the subscriptions that the message matched. */
    subscriptionIdentifier?: number | number[]
    /** The type of the payload, for example a MIME type. */
    contentType?: string
  }
}

interface Answer extends Identified {
  /** MQTT 5. */
  reasonCode?: number
  /** The properties of the packet. MQTT 5. */
  properties?: ReasonProperties
}

export interface PubackPacket extends Answer {
  /** The type of the packet. */
  cmd: 'puback'
}

export interface PubrecPacket extends Answer {
  /** The type of the packet. */
  cmd: 'pubrec'
}

/** A PUBREL: the server releases a QoS 2 message. (3.6) */
export interface PubrelPacket extends Answer {
  /** The type of the packet. */
  cmd: 'pubrel'
}

export interface PubcompPacket extends Answer {
  /** The type of the packet. */
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
  /** The type of the packet. */
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
  /** The type of the packet. */
  cmd: 'unsuback'
  /** A reason code for each filter, in order; empty in MQTT 3. */
  granted: number[]
}

export interface PingreqPacket extends Identified {
  cmd: 'pingreq'
}

/** A PINGRESP: the answer to a PINGREQ. (3.13) */
export interface PingrespPacket extends Identified {
  /** The type of the packet. */
  cmd: 'pingresp'
}

/** The end of a connection. (3.14) */
export interface DisconnectPacket extends Identified {
  /** The type of the packet. */
  cmd: 'disconnect'
  /** The reason code. MQTT 5. */
  reasonCode?: number
  /** The properties of the packet. MQTT 5. */
  properties?: ReasonProperties & {
    /** Seconds; only a client sends it. */
    sessionExpiryInterval?: number
    /** Another server; only a server sends it. */
    serverReference?: string
  }
}

/** A step of enhanced authentication. MQTT 5. (3.15) */
export interface AuthPacketOf<Binary extends Uint8Array = Uint8Array> extends Identified {
  /** The type of the packet. */
  cmd: 'auth'
  /** The reason code. MQTT 5. */
  reasonCode: number
  /** The properties of the packet. MQTT 5. */
  properties?: ReasonProperties & {
    /** The name of the authentication method. */
    authenticationMethod?: string
    /** Data of the authentication method. */
    authenticationData?: Binary
  }
}
