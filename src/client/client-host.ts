/**
 * What does a layer above a client use of it, such as `it-mqtt/presence`? Types only.
 */
import type {
  BrokerProfile,
  IncomingPublish,
  Limits,
  Platform,
  ProtocolVersion,
  PublishRequest,
  QoS,
  WarningCode,
} from '../index.ts'
import type { ClientTarget, Published } from './client-types.ts'
import type { Synced } from './subscription-types.ts'

/** Is given the outcome of a publish, once. */
export interface PublishListener {
  /** The server has it, or at QoS 0 it has left. */
  published(published: Published): void
  /** It was not published: why. */
  failed(error: unknown): void
}

/** A reader of messages as they arrive. They are acknowledged, and hold nobody back. */
export interface ClientListener {
  /** Resolves when the server has granted the filters; rejects if it refuses one. No demand. */
  readonly granted: Promise<void>
  /** How many retained messages have come. */
  readonly retained: number
  /** When the last one came, in ms on the clock of the client. */
  readonly retainedAt: number
  /** Ends it, or some of its filters; at the server too, if nobody else needs them. */
  close(filters?: readonly string[]): void
}

/**
 * Looks at a message that nobody of this process has asked for.
 * @returns the filters by which it may have come, if nobody will ask for it later; else null.
 */
export type UnaskedListener = (packet: IncomingPublish) => readonly string[] | null

/**
 * A client as layers above it see it. Nothing of it makes the client read, but for what says so:
 * awaiting is driving, and a layer does not await on behalf of a user who does not.
 */
export interface ClientHost {
  /** What `createClient()` was given. */
  readonly target: ClientTarget
  /** The clock, the timers and the random numbers of the client. */
  readonly platform: Platform
  /** What is known about the server by measurement, with the version of MQTT in use. */
  readonly profile: BrokerProfile
  /** The client identifier; the one that the server assigned, if it did. */
  readonly clientId: string
  /** The version in use; 5 before the first connection, unless another one was chosen. */
  readonly protocolVersion: ProtocolVersion
  /** What the CONNACK of the present connection allows, or null. */
  readonly limits: Limits | null
  /** The number of the latest CONNECT, as `onConnected` gets it; 0 before the first. */
  readonly attempt: number
  /** Whether there is a connection now; its CONNACK may not have been read yet. */
  readonly isConnected: boolean
  /** Whether the client takes anything: it has not ended, and nobody has closed it. */
  readonly isOpen: boolean
  /** Whether somebody awaits something of the client, so that messages are read. */
  readonly isRead: boolean
  /** Calls `listener` when `isRead` changes. @returns a function that ends it. */
  onRead(listener: () => void): () => void
  /**
   * Calls `listener` when a CONNACK is read, in order with messages; `resumed` says whether the
   * session was there. @returns a function that ends it.
   */
  onConnected(listener: (resumed: boolean) => void): () => void
  /** Calls `listener` after the loss of a connection. @returns a function that ends it. */
  onLost(listener: () => void): () => void
  /** Calls `begin` when `close()` begins, which waits for the promise. @returns what ends it. */
  onClose(begin: () => Promise<unknown>): () => void
  /**
   * Calls `listener` once when the client has ended, now if it has: with the error that ended it,
   * or null. @returns a function that ends it.
   */
  onEnd(listener: (error: unknown) => void): () => void
  /** Keeps the client reading until the function that it returns is called. */
  demand(): () => void
  /**
   * Subscribes with one SUBSCRIBE, which leaves in order with publishes. Filters that were
   * subscribed already are asked for again, so that their retained messages come again.
   * @param options `qos`, and whether retained messages are wanted.
   */
  listen(
    filters: readonly string[],
    options: { readonly qos: QoS; readonly retained: boolean },
    handler: (packet: IncomingPublish) => void,
  ): ClientListener
  /**
   * Says which messages that an earlier process of the session has asked for are for nobody. Each
   * one at QoS > 0 that this process has not asked for, and that has come or comes, is given to the
   * listeners. If one of them returns filters it is acknowledged, and holds nobody back; these
   * filters are unsubscribed, but for those in use.
   */
  onUnasked(listener: UnaskedListener): void
  /**
   * Resolves when the retained messages of listeners have come, as far as this can be known: as
   * `Subscription.synced`, for all of them at once. It keeps the client reading.
   */
  synced(listeners: readonly ClientListener[]): Promise<Synced>
  /**
   * Publishes, also while the client closes. Until it has its outcome, the client reads. The
   * listener is not called before `post` returns.
   */
  post(request: PublishRequest, listener: PublishListener): void
  /**
   * Notes a request that the option `onConnected` is about to return, so that the listener is given
   * its outcome. @returns the request.
   */
  birth(request: PublishRequest, listener: PublishListener): PublishRequest
  /**
   * Resolves when a message of the client's own has come back, and so everything that the server
   * had sent before. It keeps the client reading.
   * @throws `TIMEOUT` after 5 s, and what ends the client.
   */
  roundTrip(): Promise<void>
  /** Reports a warning, as the client does. */
  warn(code: WarningCode, message: string): void
}
