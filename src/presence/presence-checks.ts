/**
 * Is what a user gives presence usable? Each check throws a `UsageError` that says what is allowed.
 */
import { json } from '../client/index.ts'
import { UsageError, validateTopic } from '../index.ts'
import type { ConnectionPresenceOptions, PresenceOptions } from './presence-types.ts'
import { isUnsafe, levelOf, TTL_MAX } from './records.ts'

export const DEFAULT_PREFIX = 'presence'
const YEAR_S = 31_536_000

/** The options of a connection, with their defaults. */
export interface ConnectionTerms {
  readonly prefix: string
  readonly ttl: number
  readonly grace: number
  readonly recordTtl: number
}

/** The options of a space, with their defaults. */
export interface SpaceTerms {
  readonly prefix: string | undefined
  readonly maxMembers: number
  readonly maxData: number
  readonly janitor: boolean
}

export function connectionTerms(options: ConnectionPresenceOptions): ConnectionTerms {
  const names = ['prefix', 'ttl', 'grace', 'recordTtl']
  checkPresenceFields('withPresence', options, names)
  const { prefix = DEFAULT_PREFIX, ttl = 300, grace = 15, recordTtl = 86_400 } = options
  return {
    prefix: checkPrefix('withPresence', prefix),
    ttl: checkWhole('withPresence: ttl', ttl, 2, TTL_MAX, true),
    grace: checkWhole('withPresence: grace', grace, 0, 86_400, false),
    recordTtl: checkWhole('withPresence: recordTtl', recordTtl, 60, YEAR_S, true),
  }
}

export function spaceTerms(options: PresenceOptions): SpaceTerms {
  const names = ['prefix', 'maxMembers', 'maxData', 'janitor']
  checkPresenceFields('presence', options, names)
  const { prefix, maxMembers = 10_000, maxData = 16_384, janitor = false } = options
  if (typeof janitor !== 'boolean') {
    throw new UsageError(`presence: janitor must be true or false, not ${givenAs(janitor)}`)
  }
  return {
    prefix: prefix === undefined ? undefined : checkPrefix('presence', prefix),
    maxMembers: checkWhole('presence: maxMembers', maxMembers, 1, 1_000_000, false),
    maxData: checkWhole('presence: maxData', maxData, 1, 262_144, false),
    janitor,
  }
}

/** Checks that options are an object with these fields at most. */
export function checkPresenceFields(
  what: string,
  given: unknown,
  allowed: readonly string[],
): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new UsageError(`${what}: the options must be an object, not ${givenAs(given)}`)
  }
  for (const field of Object.keys(given)) {
    if (allowed.includes(field)) continue
    const list = allowed.join(', ')
    throw new UsageError(`${what}: there is no option "${field}"; there are ${list}`)
  }
}

/** @returns the name of a space, a member or a connection. */
export function checkName(what: string, name: unknown): string {
  if (typeof name !== 'string' || name === '') {
    throw new UsageError(`${what} must be a text that is not empty, not ${givenAs(name)}`)
  }
  const problem = validateTopic(levelOf(name))
  if (problem === null) return name
  throw new UsageError(`${what} cannot be a level of a topic: ${problem}: ${givenAs(name)}`)
}

/** @returns the data of a member as JSON; undefined if it has none. */
export function dataTextOf(what: string, data: unknown, maxData: number): string | undefined {
  if (data === undefined) return undefined
  let text: string
  try {
    text = json.encode(data) as string
  } catch (cause) {
    const why = (cause as Error).message
    throw new UsageError(`${what}: the data must be a value of JSON: ${why}`, {
      code: 'INVALID_PAYLOAD',
      cause,
    })
  }
  const { length } = new TextEncoder().encode(text)
  if (length <= maxData) return text
  throw new UsageError(`${what}: the data has ${length} bytes; maxData allows ${maxData}`)
}

function checkPrefix(what: string, prefix: unknown): string {
  if (typeof prefix !== 'string') {
    throw new UsageError(`${what}: prefix must be a text, not ${givenAs(prefix)}`)
  }
  const problem = validateTopic(prefix)
  if (problem !== null) throw new UsageError(`${what}: prefix: ${problem}: ${givenAs(prefix)}`)
  if (prefix.startsWith('$') || prefix.startsWith('/') || prefix.endsWith('/')) {
    const rule = 'must not begin with $ or /, or end with /'
    throw new UsageError(`${what}: prefix ${rule}: ${givenAs(prefix)}`)
  }
  if (isUnsafe(prefix)) {
    const rule = 'must not have control characters, or code points that are no characters'
    const why = 'since a server may close the connection for them [MQTT-1.5.4]'
    throw new UsageError(`${what}: prefix ${rule}, ${why}: ${JSON.stringify(prefix)}`)
  }
  return prefix
}

function checkWhole(
  what: string,
  given: unknown,
  least: number,
  most: number,
  allowsZero: boolean,
): number {
  const isWithin =
    Number.isInteger(given) && (given as number) >= least && (given as number) <= most
  if (isWithin || (allowsZero && given === 0)) return given as number
  const zero = allowsZero ? '0, or ' : ''
  throw new UsageError(
    `${what} must be ${zero}a whole number from ${least} to ${most}, not ${givenAs(given)}`,
  )
}

/** @returns how a message names a value. */
function givenAs(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return `"${value.slice(0, 40)}${value.length > 40 ? '…' : ''}"`
  if (typeof value === 'object' && value !== null) return 'an object'
  return typeof value === 'function' || typeof value === 'symbol' ? `a ${typeof value}` : `${value}`
}
