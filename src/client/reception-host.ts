/**
 * What does reception use of its client? Types only.
 */
import type { IncomingPublish, Outcome } from '../index.ts'
import type { Making } from './line.ts'

/** What the connection allows. */
interface Terms {
  readonly isMqtt5: boolean
  readonly hasIdentifiers: boolean
}

/** What reception uses of the client. */
export interface ReceptionHost {
  now(): number
  /** Acknowledges a message at the server. */
  acknowledge(packet: IncomingPublish): void
  /** How many messages are not acknowledged has changed. */
  unhandled(by: number): void
  /** Puts a request into the line; `settled` is given its outcome. */
  request(make: Making, settled: (outcome: Outcome) => void): void
  terms(): Terms
  /** Whether messages may be identified by what they carry. */
  byIdentifier(): boolean
  /** Rejects if the server has no shared subscriptions, in MQTT 3.1.1. */
  checkShared(): Promise<void>
  /** Two filters of this client may match the same topic; `isMixed`: at QoS 0 and at another. */
  overlaps(a: string, b: string, isMixed: boolean): void
  /**
   * Whether a topic is for answers and measurements of clients with this identifier: what an
   * earlier process asked for is for nobody.
   */
  isOwn(topic: string): boolean
  /** The number of the CONNECT of the present connection. */
  attempt(): number
  /** The server refused a subscription. */
  refused(): void
}
