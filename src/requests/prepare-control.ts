/**
 * Is a control usable? It is validated once, here, when the loop takes it.
 */
import type { ReconnectPolicy } from '../protocol/config.ts'
import { checkRequestFields, type Fields, list, wrong } from './check.ts'
import { reconnectPolicy } from './reconnect-policy.ts'
import type { Control, SentRequest } from './vocabulary.ts'

/** A control that was validated. */
export interface PreparedControl {
  readonly kind: 'control'
  readonly control: Control
  /** The policy that a `reconnect` brings, with its defaults; null if it brings none. */
  readonly policy: ReconnectPolicy | null
}

const REQUESTS: readonly SentRequest['cmd'][] = ['publish', 'subscribe', 'unsubscribe']

/** Every control may have these fields, because a stream may give a control a key too. */
const SHARED_FIELDS = ['cmd', 'key', 'signal']

const CONTROL_FIELDS: Readonly<Record<Control['cmd'], ReadonlySet<string>>> = {
  pause: new Set([...SHARED_FIELDS, 'ms']),
  resume: new Set(SHARED_FIELDS),
  throttle: new Set([...SHARED_FIELDS, 'perSecond']),
  reconnect: new Set([...SHARED_FIELDS, 'reconnect']),
  disconnect: new Set([...SHARED_FIELDS, 'timeout']),
  shutdown: new Set(SHARED_FIELDS),
  ping: new Set(SHARED_FIELDS),
  reauthenticate: new Set(SHARED_FIELDS),
}

/** @throws UsageError that names the field, what is allowed and what was given. */
export function prepareControl(given: unknown): PreparedControl {
  if (typeof given !== 'object' || given === null) {
    throw wrong('a control', 'an object with cmd', given)
  }
  const fields = given as Fields
  const { cmd } = fields
  if (typeof cmd !== 'string' || !Object.hasOwn(CONTROL_FIELDS, cmd)) {
    throw wrong('cmd', `one of ${list([...REQUESTS, ...Object.keys(CONTROL_FIELDS)])}`, cmd)
  }
  checkRequestFields(fields, CONTROL_FIELDS[cmd as Control['cmd']])
  const { ms, perSecond, timeout, reconnect } = fields
  if (ms !== undefined) checkMs('pause.ms', ms)
  if (timeout !== undefined) checkMs('disconnect.timeout', timeout)
  if (cmd === 'throttle' && perSecond !== null) {
    if (typeof perSecond !== 'number' || !(perSecond > 0) || perSecond === Infinity) {
      throw wrong('throttle.perSecond', 'a number above 0, or null to lift it', perSecond)
    }
  }
  const policy = reconnect === undefined ? null : reconnectPolicy('reconnect.reconnect', reconnect)
  return { kind: 'control', control: given as Control, policy }
}

function checkMs(name: string, value: unknown): void {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw wrong(name, 'milliseconds, 0 or more', value)
  }
}
