/**
 * What the loop does, for whoever listens on Node's `diagnostics_channel`; it costs nothing while nobody does.
 *
 * | channel | message |
 * | --- | --- |
 * | `it-mqtt:packet` | `{ clientId, direction: 'sent' or 'received', packet }`, without passwords and authentication data |
 * | `it-mqtt:transition` | `{ clientId, from, to, reason, at, retryAt }` |
 * | `it-mqtt:outcome` | `{ clientId, request, outcome }` |
 * | `it-mqtt:stall` | `{ clientId, kind: 'consumer' or 'acknowledgement' or 'transport', message }` |
 */
import { channel } from 'node:diagnostics_channel'

export const packets = channel('it-mqtt:packet')
export const transitions = channel('it-mqtt:transition')
export const outcomes = channel('it-mqtt:outcome')
export const stalls = channel('it-mqtt:stall')
