/**
 * What do measurements and synchronisation use of the client?
 */
import type { IncomingPublish, Platform, PublishRequest, QoS, WarningCode } from '../index.ts'
import type { ClientPlan } from './client-options.ts'
import type { Published } from './client-types.ts'
import type { Listener } from './core.ts'
import type { NextOptions } from './subscription-types.ts'

export interface ProbeHost {
  readonly clock: Platform
  readonly plan: ClientPlan
  /** Whether the client takes anything: it has not ended, and nobody has closed it. */
  readonly isOpen: boolean
  /** The number of good connections so far. */
  readonly epoch: number
  /** What the connection allows; there must have been one. */
  terms(): { readonly isMqtt5: boolean }
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
  /** Calls `listener` after each CONNACK. @returns a function that ends it. */
  onConnected(listener: (resumed: boolean) => void): () => void
  /** Whether somebody needs the connection, so that packets are read. */
  readonly isWanted: boolean
  readonly reception: {
    /** How many messages have been received. */
    readonly arrivals: number
  }
  /** Calls `listener` when `isWanted` changes. */
  onWanted(listener: () => void): () => void
  /** Calls `listener` once when the client has ended, with the error that ended it or null. */
  onEnd(listener: (error: unknown) => void): () => void
  warn(code: WarningCode, message: string): void
}
