/** Is what was given as `profile` one, and which version of MQTT was it measured with? */
import { UsageError } from '../errors.ts'
import { wrong } from '../requests/check.ts'
import type { BrokerProfile } from './broker-profile.ts'

const YES_NO = [true, false] as const
const FORMS: ReadonlySet<unknown> = new Set(['code', 'closed', 'dropped', 'silence'])

/** The values of each field; `number` and `forms` are checked otherwise. */
const PROFILE_FIELDS: Readonly<
  Record<keyof BrokerProfile, readonly unknown[] | 'number' | 'forms'>
> = {
  protocolVersion: [5, 4, 3],
  filtersPerSubscribe: 'number',
  maximumPacketSize: 'number',
  sharedSubscriptions: YES_NO,
  overlap: ['separate', 'merged', 'one-id'],
  retainedBeforeFence: YES_NO,
  maximumQoS: [0, 1, 2],
  noMatchingSubscribers: YES_NO,
  noMatchingWhileAway: YES_NO,
  retainedByWildcard: YES_NO,
  retainedExpires: YES_NO,
  expiryCountsDown: YES_NO,
  retainHandling: YES_NO,
  sessionKept: YES_NO,
  willPublished: YES_NO,
  willOnTakeover: [true, false, 'new'],
  willDelayObeyed: YES_NO,
  willAtSessionEnd: YES_NO,
  sharedRedistribution: YES_NO,
  sharedSkipsAway: YES_NO,
  sharedKept: YES_NO,
  receiveMaximumObeyed: YES_NO,
  packetSizeObeyed: YES_NO,
  sendsAhead: YES_NO,
  ordered: YES_NO,
  orderedOverTopics: YES_NO,
  responseInformation: YES_NO,
  refusedPublish: 'forms',
  refusedSubscribe: 'forms',
}

/** @throws UsageError for a field that does not exist, or a value that it cannot have. */
export function checkProfile(profile: unknown): void {
  if (typeof profile !== 'object' || profile === null || Array.isArray(profile)) {
    throw wrong('profile', 'an object, as it-mqtt/doctor measures it', profile)
  }
  if ('profile' in profile && 'findings' in profile) {
    throw new UsageError('profile: this is a whole report of it-mqtt/doctor; give report.profile')
  }
  for (const [name, value] of Object.entries(profile)) {
    if (!Object.hasOwn(PROFILE_FIELDS, name)) {
      const allowed = Object.keys(PROFILE_FIELDS).join(', ')
      throw new UsageError(`profile has no field ${name}; it has ${allowed}`)
    }
    checkField(`profile.${name}`, value, PROFILE_FIELDS[name as keyof BrokerProfile])
  }
}

function checkField(
  name: string,
  value: unknown,
  allowed: readonly unknown[] | 'number' | 'forms',
): void {
  if (value === undefined || value === 'unknown' || allowed === 'number') return
  if (allowed === 'forms') {
    if (Array.isArray(value) && value.every((one) => FORMS.has(one))) return
    throw wrong(name, 'an array of code, closed, dropped and silence, or "unknown"', value)
  }
  if (!allowed.includes(value)) throw wrong(name, `${allowed.join(', ')} or "unknown"`, value)
}
