/**
 * What do the parts of a client use of each other? The client implements it.
 */
import type {
  EventChannel,
  Eventloop,
  IncomingPublish,
  Platform,
  ProtocolVersion,
  PublishRequest,
  QoS,
  WarningCode,
} from '../index.ts'
import type { ClientPlan } from './client-options.ts'
import type { Published } from './client-types.ts'
import type { ClientSubscribeOptions, Message, Subscription } from './subscription-types.ts'
import type { Topic, TopicParams } from './topic-types.ts'

/** A reader inside the client: it is given messages as they arrive and holds nothing back. */
export interface Listener {
  /** Resolves when the server has granted the filter; rejects if it refuses. It is no demand. */
  readonly granted: Promise<void>
  /** Ends it, or some of its filters, also at the server. */
  close(filters?: readonly string[]): void
}

/** A reader inside the client that acknowledges messages itself. */
export interface PushReceiver {
  readonly granted: Promise<void>
  /** Ends it. `unhandled` are messages that nobody will acknowledge. */
  close(unhandled: readonly Message[]): void
}

/** Is given the outcome of a publish, once. */
export interface OutcomeListener {
  published(published: Published): void
  failed(error: unknown): void
}

/** What a lane judges the connection by. */
export interface Health {
  /** PINGREQs without an answer on this connection. */
  readonly unansweredPings: number
  /** Since when there is no connection, on the clock of the client; null if there is one. */
  readonly disconnectedAt: number | null
}

/** What the requests and the measurements of a client use of it. */
export interface Core {
  readonly clock: Platform
  readonly plan: ClientPlan
  readonly loop: Eventloop
  readonly clientId: string
  /** The version in use; 5 before the first connection, unless another one was chosen. */
  readonly protocolVersion: ProtocolVersion
  /** Whether the client takes nothing more. */
  readonly closing: boolean
  /** The number of the last good connection, 0 before the first one. */
  readonly epoch: number
  /** Whether there is a connection now. */
  readonly connected: boolean
  readonly requestChannel: EventChannel
  /** The topic at which this client is answered; known once there was a connection. */
  responseTopic(): string
  /** Keeps the client reading until the function that it returns is called. */
  demand(): () => void
  /** Somebody who waits begins (1) or ends (-1): as `demand`, counted by the caller. */
  wants(by: 1 | -1): void
  /** Sends a publish after all that were sent before. */
  send(request: PublishRequest): Promise<Published>
  /**
   * As `send`, without a promise, and while the client closes too. The listener is not called
   * before `post` returns.
   */
  post(request: PublishRequest, listener: OutcomeListener): void
  /** Subscribes for the client itself. Messages are acknowledged as they arrive. */
  listen(filter: string, qos: QoS, handler: (packet: IncomingPublish) => void): Listener
  /**
   * Subscribes for a part of the client that acknowledges each message itself (`message.ack()`).
   * Messages are given as they arrive. It is no demand. `ended` is called once when the server
   * refuses the filter, or the client ends (null if by `close()`), and never after `close()`.
   */
  receive(
    filter: string | Topic<TopicParams, never>,
    options: Pick<ClientSubscribeOptions, 'qos' | 'share' | 'retained'>,
    handler: (message: Message) => void,
    ended: (error: unknown) => void,
  ): PushReceiver
  /** `client.subscribe()`. */
  subscribe(
    filter: string | Topic<TopicParams, never>,
    options: ClientSubscribeOptions,
  ): Subscription
  health(): Health
  /** Calls `listener` after each good CONNACK; `resumed` says whether the session was there. */
  onConnected(listener: (resumed: boolean) => void): () => void
  /** Calls `begin` when `close()` begins, which waits for the promise that it returns. */
  onClose(begin: () => Promise<unknown>): () => void
  /** Calls `listener` once when the client has ended, with the error that ended it or null. */
  onEnd(listener: (error: unknown) => void): () => void
  warn(code: WarningCode, message: string): void
}
