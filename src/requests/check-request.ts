/**
 * Would a loop accept this request? For programs that refuse a bad request before there is a loop.
 */
import { prepare } from './prepare.ts'

/**
 * Checks a request or a control as a loop does when it takes it. What only the server can refuse
 * is not known here.
 *
 * @param protocolVersion The version of MQTT that will be spoken, default 5.
 * @throws UsageError naming the field, what was given and what is allowed.
 */
export function checkRequest(request: unknown, protocolVersion: 3 | 4 | 5 = 5): void {
  prepare(request, protocolVersion)
}
