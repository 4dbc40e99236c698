/**
 * The vocabulary: what users write (requests, controls) and what the loop yields (packets). Types only.
 *
 * The words are mqtt-packet's, so that a packet read there means the same here. Where a public type differs from
 * mqtt-packet's it says why.
 */
import type {
  IAuthPacket,
  IConnackPacket,
  IDisconnectPacket,
  IPingrespPacket,
  IPubackPacket,
  IPubcompPacket,
  IPublishPacket,
  IPubrecPacket,
  IPubrelPacket,
  ISubackPacket,
  ISubscription,
  IUnsubackPacket,
  QoS,
  UserProperties,
} from 'mqtt-packet'

export type { QoS, UserProperties }

/** Bytes where a request is text (a line of NDJSON, a saved session): a string is UTF-8, anything else is base64. */
export interface Base64 {
  readonly base64: string
}

/** What may stand in a request. Optional everywhere. */
export interface RequestOptions {
  /**
   * The request's name in its source: never sent, kept in the session. A request whose key the session holds is not
   * sent again (D7), so a source may replay after a crash.
   */
  readonly key?: string | number
  /** Cancels: before it is sent it never is; after, the outcome comes at once and the id stays taken until acknowledged. */
  readonly signal?: AbortSignal
}

export interface PublishProperties {
  readonly payloadFormatIndicator?: boolean
  /** Seconds, 0 to 4,294,967,295. Counts while the request is held (I3). */
  readonly messageExpiryInterval?: number
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array | string | Base64
  readonly userProperties?: UserProperties
  readonly contentType?: string
}

export interface PublishRequest extends RequestOptions {
  readonly cmd: 'publish'
  readonly topic: string
  readonly payload?: string | Uint8Array | Base64
  /** Default 0. */
  readonly qos?: QoS
  /** Default false. */
  readonly retain?: boolean
  readonly properties?: PublishProperties
}

export interface Subscription extends Omit<ISubscription, 'rh' | 'qos'> {
  readonly topic: string
  readonly qos: QoS
  /** No Local: do not send back what this client published. MQTT 5. */
  readonly nl?: boolean
  /** Retain As Published. MQTT 5. */
  readonly rap?: boolean
  /** Retain Handling: 0 send retained messages, 1 only for a new subscription, 2 never. MQTT 5. */
  readonly rh?: 0 | 1 | 2
}

export interface SubscribeRequest extends RequestOptions {
  readonly cmd: 'subscribe'
  readonly subscriptions: readonly Subscription[]
  readonly properties?: {
    /** 1 to 268,435,455. */
    readonly subscriptionIdentifier?: number
    readonly userProperties?: UserProperties
  }
}

export interface UnsubscribeRequest extends RequestOptions {
  readonly cmd: 'unsubscribe'
  readonly unsubscriptions: readonly string[]
  readonly properties?: { readonly userProperties?: UserProperties }
}

/** A connection that failed or ended: when, through whom, why, and whether trying again may help. */
export interface ConnectionFailure {
  /** `dial`: no road to the server; `handshake`: no good CONNACK; `connected`: after it. */
  readonly phase: 'dial' | 'handshake' | 'connected' | 'request'
  readonly source: 'usage' | 'protocol' | 'refused' | 'connection' | 'storage' | 'bug'
  /** An error code of Node (`ECONNREFUSED`), or of this package (`KEEP_ALIVE_TIMEOUT`). */
  readonly code: string
  readonly retryable: boolean
  readonly message: string
  /** Of the standard, where the server gave one. */
  readonly reasonCode?: number
}

export type ReconnectWhen = 'always' | 'after-first-success' | 'never'

export interface ReconnectOptions {
  /** Default `after-first-success`. */
  readonly when?: ReconnectWhen
  /** Shortest delay in ms, 0 to 3,600,000. Default 100. */
  readonly minMs?: number
  /** The random part of the delay grows from 1 s to this many ms, 0 to 86,400,000. Default 30,000. */
  readonly maxMs?: number
  /** A connection that lasted as long, in ms, starts the delays anew. Default 30,000. */
  readonly stableMs?: number
  /** Overrules the judgement on a failure. */
  readonly retryable?: (failure: ConnectionFailure) => boolean
}

/** Steers the loop. In the request stream it takes effect in its turn, in the stream of controls at once. */
export type Control =
  | { readonly cmd: 'pause'; readonly ms?: number }
  | { readonly cmd: 'resume' }
  | { readonly cmd: 'throttle'; readonly perSecond: number | null }
  | { readonly cmd: 'reconnect'; readonly reconnect?: ReconnectWhen | ReconnectOptions }
  | { readonly cmd: 'disconnect'; readonly timeout?: number }
  | { readonly cmd: 'shutdown' }
  | { readonly cmd: 'ping' }
  | { readonly cmd: 'reauthenticate' }

export type Request = PublishRequest | SubscribeRequest | UnsubscribeRequest | Control

/** The requests that reach the broker, and so have an id, an order and an outcome. */
export type SentRequest = PublishRequest | SubscribeRequest | UnsubscribeRequest

interface Answers {
  /** The request that this packet answers: the same object. */
  request: SentRequest
}

/** A PUBLISH from the server: topic aliases resolved, the payload always bytes. */
export interface IncomingPublish extends Omit<IPublishPacket, 'payload'> {
  payload: Buffer
  /** QoS 2: the number of this message in the session; it comes again with the same one (R2). */
  deliveryId?: number
  /** QoS 2: this message may have been yielded before by a process that died before it marked it as handled. */
  redelivered?: boolean
}

export type IncomingPuback = IPubackPacket & Answers
export type IncomingPubrec = IPubrecPacket & Answers
export type IncomingPubcomp = IPubcompPacket & Answers
/** `granted` has a reason code for each filter, in order. */
export type IncomingSuback = Omit<ISubackPacket, 'granted'> & Answers & { granted: number[] }
/** `granted` has a reason code for each filter, in order; empty in MQTT 3. */
export type IncomingUnsuback = IUnsubackPacket & Answers

/** Every packet that the server sends. */
export type Incoming =
  | IConnackPacket
  | IncomingPublish
  | IncomingPuback
  | IncomingPubrec
  | IPubrelPacket
  | IncomingPubcomp
  | IncomingSuback
  | IncomingUnsuback
  | IPingrespPacket
  | IDisconnectPacket
  | IAuthPacket

/** How a request ended: one for each request. */
export type Outcome =
  | {
      readonly ok: true
      readonly packet?: Incoming /** Of a `ping`. */
      readonly roundTripMs?: number
    }
  | { readonly ok: false; readonly error: unknown; readonly packet?: Incoming }

/** A stream of requests that wants to know how each one ended. */
export interface Settling {
  /**
   * Called once for each request that came from this stream, or by key from it in an earlier life. The session keeps the key
   * until what it returns resolves (D7): so a stream on disk returns a promise of having written it down.
   */
  settled(request: Request, outcome: Outcome): void | Promise<void>
  /**
   * True: each iteration begins with what has no outcome, under the same keys. A loop that ends keeps no place in such a
   * stream; the next loop begins it anew.
   */
  readonly replays?: boolean
}
