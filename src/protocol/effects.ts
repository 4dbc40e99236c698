/**
 * Which effects rest on the session, and so wait where it is kept in a store until it is safe there?
 *
 * Not those that are signs of life, dialling and goodbyes, which may never wait; nor what does no harm when it is done twice,
 * subscribing.
 */
import type { Effect } from './contract.ts'

const AT_ONCE: ReadonlySet<Effect['type']> = new Set([
  'dial',
  'connect',
  'pingreq',
  'pong',
  'subscribe',
  'unsubscribe',
  'disconnect',
  'close',
  'destroy',
  'pauseReading',
  'resumeReading',
  'holdBack',
  'releaseHeldBack',
  'warn',
  'takeApart',
  'confirm',
  'transition',
  'checkConnectivity',
  'authenticate',
  'auth',
  'reauthenticated',
  'divert',
])

export function restsOnSession(effect: Effect): boolean {
  if (effect.type === 'publish') return effect.qos > 0
  return !AT_ONCE.has(effect.type)
}
