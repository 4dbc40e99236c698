/**
 * Which options has the way for new publishes while there is no healthy connection? (T9)
 */
import type { PublishRequest } from '../requests/vocabulary.ts'

/**
 * Where new publishes go while there is no healthy connection. (T9, publishes are diverted
 * during an outage)
 */
export interface DivertOptions {
  /**
   * After how many ms without a healthy connection publishes are diverted, 1 to 86,400,000. A
   * connection is not healthy if three PINGREQs were not answered; they are sent three times in
   * this time.
   */
  readonly afterMs: number
  /**
   * Takes a publish in place of the server. The outcome of the publish is that of the returned
   * promise; the publish is never sent by MQTT. The order is not kept between diverted publishes
   * and others. `signal` is aborted by the signal of the request and by the end of the loop.
   */
  readonly to: (request: PublishRequest, signal: AbortSignal) => unknown
  /** How many calls may run at a time, 1 to 65,535. Default 16. */
  readonly concurrency?: number | undefined
}
