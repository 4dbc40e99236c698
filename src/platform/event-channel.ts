/**
 * What is a diagnostics channel, on every runtime?
 *
 * The channels report what a loop does on Node's `diagnostics_channel`. They cost nothing as long
 * as nobody subscribes. A runtime without this module has no subscribers.
 *
 * | channel | message |
 * | --- | --- |
 * | `it-mqtt:packet` | `{ clientId, direction, packet }` |
 * | `it-mqtt:transition` | `{ clientId, from, to, reason, at, retryAt, sessionPresent }` |
 * | `it-mqtt:outcome` | `{ clientId, request, outcome }` |
 * | `it-mqtt:stall` | `{ clientId, kind, message }` |
 * | `it-mqtt:request` | `{ clientId, topic, key, attempt, code, ms, via }` |
 * | `it-mqtt:rpc` | a `RpcReport` of `it-mqtt/bus` |
 * | `it-mqtt:event` | an `EventReport` of `it-mqtt/bus` |
 *
 * `direction` is `'sent'` or `'received'`, and `packet` comes without passwords and authentication
 * data. `kind` is `'consumer'`, `'acknowledgement'` or `'transport'`.
 */

/** A diagnostics channel, as far as code above a loop needs it. */
export interface EventChannel {
  /** Whether anybody listens. */
  readonly hasSubscribers: boolean
  /** Gives a message to those who listen. */
  publish(message: unknown): void
}
