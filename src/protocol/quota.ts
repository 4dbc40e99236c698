/**
 * May the server send one more message above QoS 0?
 *
 * (R3, a slow consumer is normal) More unacknowledged messages than our Receive Maximum are a
 * deviation. With `tolerance: 'field'` reading is paused until the consumer has handled enough of
 * them. The connection is closed only if the server sends several times as many, and more is
 * buffered than the user allows.
 */
import type { Draft } from './draft.ts'
import type { Violation } from './facts.ts'
import { deviates } from './tolerance.ts'

/** The most pending acknowledgements that the table of a connection can hold. */
const PENDING_MAX = 65_535

/** How many times Receive Maximum is a flood. */
const FLOOD = 4

/** MQTT 3 has no Receive Maximum. */
function quotaOf({ connection, config }: Draft): number {
  return connection.protocolVersion === 5 ? config.receiveMaximum : PENDING_MAX
}

/**
 * Messages that are sent again in a resumed session do not count: after every CONNACK mosquitto 2.0
 * sends everything that was in flight, and as much again as Receive Maximum allows. Closing that
 * connection would only bring all of it again, and more.
 * @returns the violation if the server has sent more than is lived with, or null.
 */
export function overQuota(d: Draft): Violation | null {
  const { unacknowledged, repeats } = d.incoming
  const quota = quotaOf(d)
  const what = `More than ${quota} messages without acknowledgement (Receive Maximum)`
  if (d.pending.size >= PENDING_MAX) return deviates(d, 'UNACKNOWLEDGED_FLOOD', what)
  if (unacknowledged < quota + repeats) return null
  const violation = deviates(d, 'RECEIVE_MAXIMUM_EXCEEDED', what)
  if (violation !== null) return violation
  const isFlood = unacknowledged >= FLOOD * quota + repeats
  if (!isFlood || d.flow.bufferedBytes < d.config.maxBufferedBytes) return null
  return deviates(d, 'UNACKNOWLEDGED_FLOOD', what)
}

/**
 * Only messages that wait for the consumer count. A message at QoS 2 whose PUBREC was sent waits
 * for a PUBREL, which could not come while reading is paused.
 * @returns whether reading must be paused because the server has sent too much.
 */
export function isOverdrawn(d: Draft): boolean {
  return d.pending.size > quotaOf(d) + d.incoming.repeats
}
