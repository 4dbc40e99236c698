/**
 * What do the parts of a client use of each other? The client implements it.
 */
import type {
  Eventloop,
  IncomingPublish,
  Platform,
  PublishRequest,
  QoS,
  WarningCode,
} from '../index.ts'
import type { ClientPlan } from './client-options.ts'
import type { Published } from './client-types.ts'

/** A reader inside the client: it is given messages as they arrive and holds nothing back. */
export interface Listener {
  /** Resolves when the server has granted the filter; rejects if it refuses. It is no demand. */
  readonly granted: Promise<void>
  /** Ends it, and the filter at the server. */
  close(): void
}

/** What the requests and the measurements of a client use of it. */
export interface Core {
  readonly clock: Platform
  readonly plan: ClientPlan
  readonly loop: Eventloop
  /** Whether the client takes nothing more. */
  readonly closing: boolean
  /** The number of the last good connection, 0 before the first one. */
  readonly epoch: number
  /** The topic at which this client is answered; known once there was a connection. */
  responseTopic(): string
  /** Keeps the client reading until the function that it returns is called. */
  demand(): () => void
  /** Sends a publish after all that were sent before. */
  send(request: PublishRequest): Promise<Published>
  /** Subscribes for the client itself. Messages are acknowledged as they arrive. */
  listen(filter: string, qos: QoS, handler: (packet: IncomingPublish) => void): Listener
  /** Calls `listener` after each good CONNACK; `resumed` says whether the session was there. */
  onConnected(listener: (resumed: boolean) => void): () => void
  /** Calls `listener` once when the client has ended, with the error that ended it or null. */
  onEnd(listener: (error: unknown) => void): () => void
  warn(code: WarningCode, message: string): void
}
