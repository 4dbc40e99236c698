/**
 * Which words do users write, and which are they given? Requests, controls, packets, outcomes.
 * Types only.
 *
 * The words are those of the package mqtt-packet, so that a packet read there means the same here.
 * A request is plain data: a line of NDJSON is one. A field that is undefined counts as left out.
 */
import type { Bytes } from '#bytes'
import type { QoS } from '../protocol/facts.ts'
import type * as packets from '../protocol/packets.ts'

export type { QoS } from '../protocol/facts.ts'
export type {
  ConnectProperties,
  DisconnectPacket,
  PingrespPacket,
  PubrelPacket,
  UserProperties,
  WillProperties,
} from '../protocol/packets.ts'

// ---------------------------------------------------------------------------------------- requests

/** Bytes in a request that is text (a line of NDJSON, a saved session), as padded Base64. */
export interface Base64 {
  /** Base64 with padding. */
  readonly base64: string
}

/** Every request may have these fields. */
export interface RequestFields {
  /**
   * The name of the request in its stream, a string or a finite number. It is never sent. A request
   * whose key the session holds is not sent again (D7, a key that the session holds is not sent
   * again), so that a stream may repeat its requests after a crash.
   */
  readonly key?: string | number | undefined
  /**
   * Cancels the request. Before it is sent, it never is. Afterwards its outcome is given
   * immediately, and its packet identifier stays in use until the server acknowledges it.
   */
  readonly signal?: AbortSignal | undefined
}

/** The properties of a PUBLISH that a request may have. MQTT 5. (3.3.2.3) */
export interface PublishProperties {
  /** Whether the payload is UTF-8 text. */
  readonly payloadFormatIndicator?: boolean | undefined
  /**
   * Seconds, 0 to 4,294,967,295, until the message expires. They count while the request is held
   * (I3, Message Expiry counts while a request is held).
   */
  readonly messageExpiryInterval?: number | undefined
  /** The topic of the answer, without wildcards [MQTT-3.3.2-14]. */
  readonly responseTopic?: string | undefined
  /** At most 65,535 bytes. */
  readonly correlationData?: Uint8Array | string | Base64 | undefined
  /** The User Properties. */
  readonly userProperties?: packets.UserProperties | undefined
  /** The type of the payload, for example a MIME type. */
  readonly contentType?: string | undefined
}

/** A request to publish a message. */
export interface PublishRequest extends RequestFields {
  /** The type of the request. */
  readonly cmd: 'publish'
  /** 1 to 65,535 bytes of UTF-8, without wildcards [MQTT-3.3.2-2]. */
  readonly topic: string
  /** Text is sent as UTF-8. Default: empty. */
  readonly payload?: string | Uint8Array | Base64 | undefined
  /** Default 0. */
  readonly qos?: QoS | undefined
  /** Default false. */
  readonly retain?: boolean | undefined
  /** MQTT 5. */
  readonly properties?: PublishProperties | undefined
}

/** One filter of a subscription, with its options. (3.8.3.1) */
export interface Subscription {
  /** A Topic Filter: 1 to 65,535 bytes of UTF-8. */
  readonly topic: string
  /** The largest QoS at which the server may send. */
  readonly qos: QoS
  /** No Local: the server does not send back what this client published. Default false. MQTT 5. */
  readonly nl?: boolean | undefined
  /** Retain As Published: the server keeps the retain flag. Default false. MQTT 5. */
  readonly rap?: boolean | undefined
  /**
   * Retain Handling: the server sends retained messages always (0, default), only if the
   * subscription is new (1), or never (2). MQTT 5.
   */
  readonly rh?: 0 | 1 | 2 | undefined
}

/** A request to subscribe to topic filters. */
export interface SubscribeRequest extends RequestFields {
  /** The type of the request. */
  readonly cmd: 'subscribe'
  /** At least one [MQTT-3.8.3-2]. */
  readonly subscriptions: readonly Subscription[]
  /** MQTT 5. */
  readonly properties?:
    | {
        /** 1 to 268,435,455. */
        readonly subscriptionIdentifier?: number | undefined
        /** The User Properties. */
        readonly userProperties?: packets.UserProperties | undefined
      }
    | undefined
}

/** A request to end subscriptions. */
export interface UnsubscribeRequest extends RequestFields {
  /** The type of the request. */
  readonly cmd: 'unsubscribe'
  /** At least one filter [MQTT-3.10.3-2], each as it was subscribed. */
  readonly unsubscriptions: readonly string[]
  /** MQTT 5. */
  readonly properties?:
    | {
        /** The User Properties. */
        readonly userProperties?: packets.UserProperties | undefined
      }
    | undefined
}

/** A request that is sent to the server, and so has an outcome. */
export type SentRequest = PublishRequest | SubscribeRequest | UnsubscribeRequest

/** A request stream gives these. */
export type Request = SentRequest | Control

// ---------------------------------------------------------------------------------------- controls

/** When the loop connects again. */
export type ReconnectWhen = 'always' | 'after-first-success' | 'never'

/** A reconnect policy: when the loop connects again, and after which delay. */
export interface ReconnectOptions {
  /**
   * After every failure that is retryable, only after a first good CONNACK, or never. Default
   * `after-first-success`.
   */
  readonly when?: ReconnectWhen | undefined
  /** The shortest delay in ms, 0 to 3,600,000. Default 100. */
  readonly minMs?: number | undefined
  /**
   * The largest random part of a delay in ms, 0 to 86,400,000. It grows from 1 s. Default 30,000.
   */
  readonly maxMs?: number | undefined
  /**
   * How long a connection must have lasted, in ms, 0 to 86,400,000, for delays to start again with
   * the shortest. Default 30,000.
   */
  readonly stableMs?: number | undefined
  /** Decides whether a failure is retried, in place of `failure.retryable`. */
  readonly retryable?: ((failure: ConnectionFailure) => boolean) | undefined
}

/** Why a connection failed or ended. */
export interface ConnectionFailure {
  /** `dial`: there was no transport. `handshake`: there was no good CONNACK. `connected`: later. */
  readonly phase: 'dial' | 'handshake' | 'connected' | 'request'
  /** Who is at fault. */
  readonly source: 'usage' | 'protocol' | 'refused' | 'connection' | 'storage' | 'bug'
  /**
   * A code of Node (`ECONNREFUSED`) or of this package (`KEEP_ALIVE_TIMEOUT`, see `ErrorCodes`).
   */
  readonly code: string
  /** Whether another attempt may succeed without anyone changing anything. */
  readonly retryable: boolean
  /** The message says what is wrong, where, and what to do. */
  readonly message: string
  /** The reason code or return code of the server, if it sent one. */
  readonly reasonCode?: number
  /** The HTTP status that refused the WebSocket upgrade, if that was refused. */
  readonly statusCode?: number
  /** How long the server asks to wait before the next attempt, in ms, if it does. */
  readonly retryAfterMs?: number
}

/**
 * An instruction to the loop. In the request stream it takes effect in its turn; in the stream of
 * controls it takes effect immediately. (E3, controls lose and reorder nothing)
 */
export type Control =
  /** Stops taking requests and reading, for `ms` milliseconds or until `resume`. */
  | {
      /** The name of the control. */
      readonly cmd: 'pause'
      /** The length of the pause in ms. Default: until `resume`. */
      readonly ms?: number | undefined
    }
  | {
      /** The name of the control. */
      readonly cmd: 'resume'
    }
  /** Bounds first transmissions per second; null lifts the bound. */
  | {
      /** The name of the control. */
      readonly cmd: 'throttle'
      /** Requests per second, or null for no limit. */
      readonly perSecond: number | null
    }
  /** Drops the connection and connects again, with another policy if one is given. */
  | {
      /** The name of the control. */
      readonly cmd: 'reconnect'
      /** The reconnect policy from now on. Default: the policy stays. */
      readonly reconnect?: ReconnectWhen | ReconnectOptions | undefined
    }
  /** Takes nothing more, waits at most `timeout` ms (default 10,000) for outcomes, and ends. */
  | {
      /** The name of the control. */
      readonly cmd: 'disconnect'
      /** The longest wait in ms. Default 10,000. */
      readonly timeout?: number | undefined
    }
  /** Ends immediately. */
  | {
      /** The name of the control. */
      readonly cmd: 'shutdown'
    }
  /** Sends a PINGREQ; its outcome has `roundTripMs`. */
  | {
      /** The name of the control. */
      readonly cmd: 'ping'
    }
  /** Begins enhanced authentication again. MQTT 5, with an `authenticator`. (4.12.1) */
  | {
      /** The name of the control. */
      readonly cmd: 'reauthenticate'
    }

// ----------------------------------------------------------------------------------------- packets

/** The answer to a CONNECT. (3.2) */
export type ConnackPacket = packets.ConnackPacketOf<Bytes>
/** A step of enhanced authentication. MQTT 5. (3.15) */
export type AuthPacket = packets.AuthPacketOf<Bytes>

/** A message from the server. Topic aliases are resolved; the payload is always bytes. */
export interface IncomingPublish extends packets.PublishPacket<Bytes> {
  /** QoS 2: the number of this message in the session. A repetition has the same number (R2). */
  deliveryId?: number
  /**
   * QoS 2: true if this message may have been yielded before, by a process that ended before the
   * message was handled (R2, a QoS 2 message is yielded once).
   */
  redelivered?: boolean
}

interface Answers<Sent extends SentRequest> {
  /** The request that this packet answers: the same object. */
  request: Sent
}

/** A PUBACK, with the request that it answers. (3.4) */
export type IncomingPuback = packets.PubackPacket & Answers<PublishRequest>
/** A PUBREC, with the request that it answers. (3.5) */
export type IncomingPubrec = packets.PubrecPacket & Answers<PublishRequest>
/** A PUBCOMP, with the request that it answers. (3.7) */
export type IncomingPubcomp = packets.PubcompPacket & Answers<PublishRequest>
/** A SUBACK, with the request that it answers. (3.9) */
export type IncomingSuback = packets.SubackPacket & Answers<SubscribeRequest>
/** An UNSUBACK, with the request that it answers. (3.11) */
export type IncomingUnsuback = packets.UnsubackPacket & Answers<UnsubscribeRequest>

/** A packet from the server; `cmd` says which. */
export type Incoming =
  | ConnackPacket
  | IncomingPublish
  | IncomingPuback
  | IncomingPubrec
  | packets.PubrelPacket
  | IncomingPubcomp
  | IncomingSuback
  | IncomingUnsuback
  | packets.PingrespPacket
  | packets.DisconnectPacket
  | AuthPacket

// ---------------------------------------------------------------------------------------- outcomes

/** How a request ended. There is exactly one outcome for each request that is settled. */
export type Outcome =
  | {
      /** Whether the request succeeded. */
      readonly ok: true
      /** The packet that acknowledged the request, if it was acknowledged. */
      readonly packet?: Incoming
      /** The time from PINGREQ to PINGRESP in ms, for the control `ping`. */
      readonly roundTripMs?: number
    }
  | {
      /** Whether the request succeeded. */
      readonly ok: false
      /** The reason of the failure. */
      readonly error: unknown
      /** The packet that refused the request, if one did. */
      readonly packet?: Incoming
    }

/** A request stream that is given the outcome of each of its requests. */
export interface Settling {
  /**
   * Called once for each request of this stream, also for one with a key that an earlier loop took
   * from it. If it returns a promise, the session keeps the key until that promise resolves (D7): a
   * stream on disk resolves it when the outcome is safe on disk. It must be idempotent.
   */
  settled(request: Request, outcome: Outcome): void | Promise<void>
  /**
   * True if each iteration begins with the requests that have no outcome, under the same keys. When
   * a loop ends it closes such a stream, and the next loop iterates it again.
   */
  readonly replays?: boolean
}
