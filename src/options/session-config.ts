/**
 * Which session does a loop begin or go on with, how long does the server keep it, and what is
 * renewed in it?
 */
import { UsageError } from '../errors.ts'
import type { Config } from '../protocol/config.ts'
import { DEFAULT_LIMITS } from '../protocol/handshake.ts'
import { choice, whole, wrong } from '../requests/check.ts'
import { Session, type SessionStore } from '../requests/session.ts'
import type { EventloopOptions } from './options.ts'

type SessionConfig = Pick<
  Config,
  | 'cleanStart'
  | 'store'
  | 'resumes'
  | 'adopt'
  | 'generatedClientId'
  | 'sessionExpiryInterval'
  | 'renewSubscriptions'
  | 'filtersPerSubscribe'
  | 'knownLimits'
>

/** How many seconds the server keeps a session by default, by `cleanStart`. */
const EXPIRY_SECONDS = { true: 300, false: 86_400, always: 0 } as const

/** @param session The saved session that was given or loaded, or null. */
export function sessionConfig(o: EventloopOptions, session: Session | null): SessionConfig {
  // A session that has met no server has nothing there to resume.
  const resumes = session !== null && session.protocolVersion > 0
  const store = isStore(o.session)
  const cleanStart = cleanStartOf(o, resumes || store || o.session === 'adopt')
  const { sessionExpiryInterval: expiry, renewSubscriptions } = o
  const seconds = EXPIRY_SECONDS[`${cleanStart}`]
  const isNew = o.session === undefined && session === null
  const mayBeShared = o.clientId !== undefined && o.clientId !== ''
  return {
    cleanStart,
    store,
    resumes,
    adopt: o.session === 'adopt' || store || o.tolerance !== 'strict',
    generatedClientId: isNew && !mayBeShared && o.connectOptions === undefined,
    sessionExpiryInterval: whole('sessionExpiryInterval', expiry, seconds, 0, 0xffff_ffff),
    renewSubscriptions: choice('renewSubscriptions', renewSubscriptions, 'unsure', [
      ...(['lost', 'unsure', 'always'] as const),
    ]),
    ...measuredConfig(o),
  }
}

/** The smallest limit of a packet that leaves room for every acknowledgement, in bytes. */
const PACKET_BYTES_MIN = 16

/** What `profile` says of the server, where an option says nothing. */
function measuredConfig({
  filtersPerSubscribe,
  profile,
}: EventloopOptions): Pick<Config, 'filtersPerSubscribe' | 'knownLimits'> {
  if (profile !== undefined && (typeof profile !== 'object' || profile === null)) {
    throw wrong('profile', 'an object, as it-mqtt/doctor measures it', profile)
  }
  const filters = known(profile?.filtersPerSubscribe)
  const size = known(profile?.maximumPacketSize)
  const { maximumPacketSize } = DEFAULT_LIMITS
  return {
    filtersPerSubscribe:
      filtersPerSubscribe !== undefined
        ? whole('filtersPerSubscribe', filtersPerSubscribe, Number.NaN, 1, 65_535)
        : filters === undefined
          ? null
          : whole('profile.filtersPerSubscribe', filters, Number.NaN, 1, 65_535),
    knownLimits: {
      maximumPacketSize: whole(
        ...(['profile.maximumPacketSize', size, maximumPacketSize] as const),
        ...([PACKET_BYTES_MIN, maximumPacketSize] as const),
      ),
      sharedSubscriptionAvailable: profile?.sharedSubscriptions !== false,
    },
  }
}

function known<T>(value: T | 'unknown' | undefined): T | undefined {
  return value === 'unknown' ? undefined : value
}

/** A session that is given is resumed, unless a new one is wanted at every connection. */
function cleanStartOf(o: EventloopOptions, isGiven: boolean): Config['cleanStart'] {
  if (o.cleanStart === 'always') {
    if (o.session !== 'adopt') return 'always'
    throw new UsageError(
      'cleanStart: "always" begins a new session at every connection, so nothing can be adopted;' +
        ' leave out session: "adopt"',
    )
  }
  const { cleanStart = true } = o
  if (typeof cleanStart !== 'boolean') {
    throw wrong('cleanStart', 'true or false, or "always"', cleanStart)
  }
  return isGiven ? false : cleanStart
}

/** @returns the saved session that was given, or null. */
export function givenSession(o: EventloopOptions): Session | null {
  return o.session instanceof Session ? o.session : null
}

export function isStore(value: unknown): value is SessionStore {
  const store = value as Partial<SessionStore> | null | undefined
  return (
    typeof store === 'object' &&
    store !== null &&
    typeof store.load === 'function' &&
    typeof store.commit === 'function'
  )
}
