/**
 * One attempt to connect: to which server of the list, or where a server sent us; with what `connectOptions` says this time; and
 * the first words of the authenticator.
 */

import { ConnectionError, UsageError } from '../errors.ts'
import { credentials, endpointOf, redirected, urlsOf } from '../options/endpoint.ts'
import type { AttemptOptions, EventloopOptions } from '../options/options.ts'
import { type Resolved, resolveOptions } from '../options/resolve.ts'
import type { AttemptFacts, ProtocolVersion } from '../protocol/facts.ts'
import { checkFields, isPlainObject, withoutUndefined } from '../requests/check.ts'
import type { ConnectionFailure } from '../requests/vocabulary.ts'
import { Exchange } from './authentication-exchange.ts'

export interface Target {
  /** Which of the list. */
  readonly host: number
  /** A Server Reference in its place; null: none. */
  readonly redirect: string | null
  /** Since the last connection, from 1. */
  readonly attempt: number
  readonly lastClose: ConnectionFailure | null
  /** Of the session, where `connectOptions` says no other. */
  readonly clientId: string
  readonly protocolVersion: ProtocolVersion
}

export interface Attempt {
  /** With one URL at most. */
  readonly options: EventloopOptions
  /** Null: `connectOptions` said nothing. */
  readonly facts: AttemptFacts | null
  readonly exchange: Exchange | null
  /** The first words of the exchange. */
  readonly authenticationData: Buffer | null
}

const FIELDS: ReadonlySet<string> = new Set<keyof AttemptOptions>([
  ...(['url', 'headers', 'tls', 'transport'] as const),
  ...(['username', 'password', 'clientId', 'will'] as const),
])

/**
 * A promise only where somebody has to be asked: it rejects with what keeps the attempt from being made, and an abort of `signal`
 * ends whatever is awaited.
 */
export function prepareAttempt(
  { options }: Resolved,
  target: Target,
  signal: AbortSignal,
): Attempt | Promise<Attempt> {
  const there = optionsAt(options, target)
  if (options.connectOptions !== undefined || options.authenticator !== undefined) {
    return askedFor(there, target, signal)
  }
  return { options: there, facts: null, exchange: null, authenticationData: null }
}

async function askedFor(
  there: EventloopOptions,
  target: Target,
  signal: AbortSignal,
): Promise<Attempt> {
  const given = await givenOptions(there, target, signal)
  signal.throwIfAborted()
  const facts = given === undefined ? null : factsOf(there, given, target)
  const options = given === undefined ? there : { ...there, ...given }
  const { authenticator } = options
  if (authenticator === undefined) {
    return { options, facts, exchange: null, authenticationData: null }
  }
  try {
    const exchange = new Exchange(authenticator, 'connect', null)
    signal.addEventListener('abort', () => exchange.abandon(), { once: true })
    return { options, facts, exchange, authenticationData: await exchange.begin() }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    // As later in the exchange: fatal, unless the error says that it is not.
    const retryable = (cause as { retryable?: unknown } | null)?.retryable === true
    const details = { code: 'AUTHENTICATION_FAILED', retryable, cause }
    throw new ConnectionError(`the authentication failed: ${why}`, details)
  }
}

/** The options as they stand where nothing has to be prepared. */
export function optionsAt(
  options: EventloopOptions,
  { host, redirect }: Pick<Target, 'host' | 'redirect'>,
): EventloopOptions {
  const urls = urlsOf(options)
  const at = urls.length > 1 ? { ...options, url: urls[host] ?? urls[0]! } : options
  if (redirect === null) return at
  // Whom we trust to send us elsewhere, we trust to know who we are.
  const { username, password } = credentials(at)
  return {
    ...at,
    url: redirected(endpointOf(at).url, redirect),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  }
}

async function givenOptions(
  { connectOptions }: EventloopOptions,
  { attempt, lastClose, redirect }: Target,
  signal: AbortSignal,
): Promise<AttemptOptions | undefined> {
  if (connectOptions === undefined) return undefined
  let given: unknown
  try {
    given = await connectOptions(attempt, lastClose, signal)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const message = `connectOptions failed: ${why}`
    throw new ConnectionError(message, { code: 'CONNECT_OPTIONS_FAILED', retryable: true, cause })
  }
  if (given === undefined || given === null) return undefined
  if (!isPlainObject(given))
    throw new UsageError('connectOptions: it must return an object of options')
  checkFields('connectOptions', given, FIELDS)
  const { url, ...others }: AttemptOptions = withoutUndefined(given)
  if (Array.isArray(url))
    throw new UsageError('connectOptions.url: one URL is expected, not a list')
  // Where the server sent us is where we go.
  return redirect !== null || url === undefined ? others : { url, ...others }
}

/** Judges what was given as the options of the loop are judged. */
function factsOf(
  there: EventloopOptions,
  given: AttemptOptions,
  { clientId, protocolVersion }: Target,
): AttemptFacts {
  const { session, ...others } = there
  // A version that the server does not speak is given up for good.
  const version = protocolVersion === 5 ? {} : { protocolVersion }
  const resolved = resolveOptions({ ...others, ...version, clientId, ...given })
  return { clientId: resolved.clientId, keepAlive: resolved.config.keepAlive }
}
