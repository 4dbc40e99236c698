/**
 * What do the parts of a client use of each other? `client-core.ts` implements it.
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
import type { NextOptions } from './subscription-types.ts'

/** A reader inside the client: it is given messages as they arrive and holds nothing back. */
export interface Listener {
  /** Resolves when the server has granted the filter; rejects if it refuses. It is no demand. */
  readonly granted: Promise<void>
  /** Ends it, and the filter at the server. */
  close(): void
}

export interface Core {
  readonly clock: Platform
  readonly plan: ClientPlan
  readonly loop: Eventloop
  /** Whether the client takes anything: it has not ended, and nobody has closed it. */
  readonly isOpen: boolean
  /** The number of good connections so far. */
  readonly epoch: number
  /** The topic at which this client is answered; there must have been a connection. */
  responseTopic(): string
  /** @returns a topic of its own, for one measurement; there must have been a connection. */
  scratchTopic(): string
  /** Keeps the client reading until the function that it returns is called. */
  demand(): () => void
  demanding(type: 'calls' | 'lasting'): () => void
  /** Sends a publish after all that were sent before. */
  send(request: PublishRequest, options?: NextOptions): Promise<Published>
  /** Subscribes for the client itself. Messages are acknowledged as they arrive. */
  listen(filter: string, qos: QoS, handler: (packet: IncomingPublish) => void): Listener
  /** Calls `action` now if there was a connection, else after the first CONNACK. */
  whenConnected(action: () => void): void
  /** Calls `listener` after each good CONNACK; `resumed` says whether the session was there. */
  onConnected(listener: (resumed: boolean) => void): () => void
  /** Calls `listener` once when the client has ended, with the error that ended it or null. */
  onEnd(listener: (error: unknown) => void): () => void
  /** Has `begin` called when the client closes; it resolves when its part is done. */
  onClose(begin: () => Promise<unknown>): () => void
  warn(code: WarningCode, message: string): void
}
