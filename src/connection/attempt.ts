/**
 * What is needed for one attempt to connect?
 *
 * The server: one of the list, or the one to which a server sent us. The options, with what
 * `connectOptions` returns this time. If there is an authenticator, its first data.
 */

import type { Bytes } from '#bytes'
import { ConnectionError, messageOf, UsageError } from '../errors.ts'
import { checkApplicability } from '../options/applicability.ts'
import { credentials, redirected, urlOf, urlsOf } from '../options/endpoint.ts'
import { noOption } from '../options/foreign-names.ts'
import type { AttemptOptions, EventloopOptions } from '../options/options.ts'
import { type Resolved, resolveOptions } from '../options/resolve.ts'
import { throwIfAborted } from '../platform/abort-listeners.ts'
import type { AttemptFacts, ProtocolVersion } from '../protocol/facts.ts'
import { isPlainObject, withoutUndefined } from '../requests/check.ts'
import type { ConnectionFailure } from '../requests/vocabulary.ts'
import { AuthenticatorExchange } from './authenticator-exchange.ts'

/** What the reducers decided about an attempt. */
export interface Target {
  /** Index of the server in the list. */
  readonly host: number
  /** The Server Reference to follow instead, or null. */
  readonly redirect: string | null
  /** Number of the attempt since the last connection, from 1. */
  readonly attempt: number
  /** Number of the attempt since the loop was made, from 1. */
  readonly number: number
  /** Why there is no connection; null if there was none yet. */
  readonly lastClose: ConnectionFailure | null
  /** The client identifier of the session, which `connectOptions` may replace. */
  readonly clientId: string
  readonly protocolVersion: ProtocolVersion
}

/** What an attempt is made with. */
export interface Attempt {
  /** The options, with one URL at most. */
  readonly options: EventloopOptions
  /** What the reducers have to know of changed options; null if `connectOptions` changed none. */
  readonly facts: AttemptFacts | null
  /** The authentication exchange that has begun; null without an authenticator. */
  readonly exchange: AuthenticatorExchange | null
  /** The first Authentication Data of the exchange; null if there is none. */
  readonly authenticationData: Bytes | null
}

/** The options that `connectOptions` may return. */
const ATTEMPT_FIELDS: ReadonlySet<string> = new Set<keyof AttemptOptions>([
  ...(['url', 'headers', 'tls', 'transport', 'family', 'localAddress', 'lookup'] as const),
  ...(['username', 'password', 'clientId', 'will'] as const),
])

/**
 * Prepares an attempt.
 * @returns a promise only if the user's code has to be asked. It rejects if the attempt cannot be
 * made, and an abort of `signal` ends whatever is awaited.
 */
export function prepareAttempt(
  { options }: Resolved,
  target: Target,
  signal: AbortSignal,
): Attempt | Promise<Attempt> {
  const base = optionsAt(options, target)
  if (options.connectOptions !== undefined || options.authenticator !== undefined) {
    return askUser(base, target, signal)
  }
  return { options: base, facts: null, exchange: null, authenticationData: null }
}

async function askUser(
  base: EventloopOptions,
  target: Target,
  signal: AbortSignal,
): Promise<Attempt> {
  const given = await givenOptions(base, target, signal)
  throwIfAborted(signal)
  if (given === undefined) checkApplicability(base, 'attempt')
  const facts = given === undefined ? null : factsOf(base, given, target)
  const options = given === undefined ? base : { ...base, ...given }
  const { authenticator } = options
  if (authenticator === undefined) {
    return { options, facts, exchange: null, authenticationData: null }
  }
  try {
    const exchange = new AuthenticatorExchange(authenticator, 'connect', null)
    signal.addEventListener('abort', () => exchange.abandon(), { once: true })
    return { options, facts, exchange, authenticationData: await exchange.begin() }
  } catch (cause) {
    // The same holds later in the exchange: the error is fatal unless it says that it is retryable.
    const retryable = (cause as { retryable?: unknown } | null)?.retryable === true
    const details = { code: 'AUTHENTICATION_FAILED', retryable, cause }
    throw new ConnectionError(`the authentication failed: ${messageOf(cause)}`, details)
  }
}

/** @returns the options for a server, before `connectOptions` is asked. */
export function optionsAt(
  options: EventloopOptions,
  { host, redirect }: Pick<Target, 'host' | 'redirect'>,
): EventloopOptions {
  const urls = urlsOf(options)
  const at = urls.length > 1 ? { ...options, url: urls[host] ?? urls[0]! } : options
  if (redirect === null) return at
  // The server to which we are redirected gets the same credentials.
  const { username, password } = credentials(at)
  return {
    ...at,
    url: redirected(urlOf(at), redirect),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  }
}

async function givenOptions(
  { connectOptions }: EventloopOptions,
  { attempt, number, lastClose, redirect, protocolVersion }: Target,
  signal: AbortSignal,
): Promise<AttemptOptions | undefined> {
  if (connectOptions === undefined) return undefined
  let given: unknown
  try {
    given = await connectOptions(attempt, lastClose, signal, number, protocolVersion)
  } catch (cause) {
    const message = `connectOptions failed: ${messageOf(cause)}`
    throw new ConnectionError(message, { code: 'CONNECT_OPTIONS_FAILED', retryable: true, cause })
  }
  if (given === undefined || given === null) return undefined
  if (!isPlainObject(given))
    throw new UsageError('connectOptions: it must return an object of options')
  for (const name of Object.keys(given)) {
    if (!ATTEMPT_FIELDS.has(name)) throw noOption('connectOptions', name, [...ATTEMPT_FIELDS])
  }
  const { url, ...others }: AttemptOptions = withoutUndefined(given)
  if (Array.isArray(url))
    throw new UsageError('connectOptions.url: one URL is expected, not a list')
  // A redirect of the server takes precedence over the URL.
  return redirect !== null || url === undefined ? others : { url, ...others }
}

/** Validates what `connectOptions` returned as the options of the loop are validated. */
function factsOf(
  base: EventloopOptions,
  given: AttemptOptions,
  { clientId, protocolVersion }: Target,
): AttemptFacts {
  const { session, connectOptions, ...others } = base
  // Once the server has refused MQTT 5, the loop stays with the older version.
  const version = protocolVersion === 5 ? {} : { protocolVersion }
  const resolved = resolveOptions(
    { ...others, ...version, clientId, ...given },
    undefined,
    'attempt',
  )
  return { clientId: resolved.clientId, keepAlive: resolved.config.keepAlive }
}
