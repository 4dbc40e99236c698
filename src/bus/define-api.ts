/**
 * Can a definition be an API? It is checked once, here, and frozen: both sides of the wire share it
 * as data, and nobody changes it later.
 */
import { UsageError } from '../index.ts'
import type { Api, ApiDefinition, ApiEvent, ApiEvents, ApiRpc, ApiRpcs } from './api-types.ts'
import { checkApiName, checkBusName, inQuotes, majorOf } from './bus-names.ts'
import { isApiSchema } from './schema-check.ts'

const API_FIELDS = ['name', 'version', 'rpcs', 'events', 'description']
const RPC_FIELDS = ['input', 'output', 'errors', 'idempotent', 'description']
const EVENT_FIELDS = ['payload', 'description']

/** Codes that a call can be rejected with although its handler declared no error. */
const RESERVED_CODES: ReadonlySet<string> = new Set([
  ...['BAD_REQUEST', 'UNKNOWN', 'KEY_REUSED', 'RESPONDER_FAILED', 'BUSY', 'RESPONDER_TIMEOUT'],
  ...['REFUSED_BY_RESPONDER', 'NO_RESPONDERS'],
])

/** Names that an object of functions cannot have: it would be awaited, or lose its prototype. */
const UNUSABLE: Readonly<Record<string, string>> = {
  then: 'an object with a function of this name is taken for a promise',
  ['__proto__']: 'JavaScript has another meaning for it',
}

/**
 * Defines an API: what can be called and what can happen, with a schema for each value. The types
 * of callers, handlers and listeners come from the schemas.
 * @throws UsageError for a name, a version or a schema that cannot be used; it says where.
 */
export function defineApi<
  const Rpcs extends ApiRpcs = Record<never, ApiRpc>,
  const Events extends ApiEvents = Record<never, ApiEvent>,
>(definition: ApiDefinition<Rpcs, Events>): Api<Rpcs, Events> {
  checkFieldNames('defineApi', definition, API_FIELDS)
  const name = checkApiName(definition.name)
  const { version, description = '' } = definition
  const major = majorOf(version)
  if (major === null) {
    const what = `defineApi: the version of ${name} must be a semantic version such as "1.2.0"`
    throw new UsageError(`${what}, not ${inQuotes(version)}`)
  }
  checkDescription(name, description)
  const rpcs = frozenTable(name, 'rpc', definition.rpcs ?? {}, checkRpc)
  const events = frozenTable(name, 'event', definition.events ?? {}, checkEvent)
  const both = Object.keys(rpcs).find((key) => Object.hasOwn(events, key))
  if (both !== undefined) {
    throw new UsageError(`defineApi: "${both}" is both an rpc and an event of ${name}; rename one`)
  }
  return Object.freeze({ name, version, major, description, rpcs, events }) as Api<Rpcs, Events>
}

/** @returns whether a value was made by `defineApi()`, or looks like it. */
export function checkApi(what: string, api: Api): Api {
  const isApi =
    typeof api === 'object' && api !== null && Object.isFrozen(api) && Number.isInteger(api.major)
  if (isApi) return api
  throw new UsageError(`${what}: the API must be what defineApi() returned`)
}

function frozenTable<D>(
  api: string,
  kind: 'rpc' | 'event',
  given: Readonly<Record<string, D>>,
  check: (where: string, definition: D) => D,
): Readonly<Record<string, D>> {
  if (!isTable(given)) throw new UsageError(`defineApi: ${kind}s of ${api} must be an object`)
  // Without a prototype, so that `constructor` is a name like others.
  const table: Record<string, D> = Object.create(null)
  for (const [name, definition] of Object.entries(given)) {
    const where = `defineApi: the ${kind} ${inQuotes(name)} of ${api}`
    checkBusName(`${where}: its name`, name)
    if (Object.hasOwn(UNUSABLE, name)) {
      throw new UsageError(`${where} needs another name: ${UNUSABLE[name]}`)
    }
    if (!isTable(definition)) throw new UsageError(`${where} must be an object`)
    table[name] = Object.freeze(check(where, definition))
  }
  return Object.freeze(table)
}

function checkRpc(where: string, rpc: ApiRpc): ApiRpc {
  checkFieldNames(where, rpc, RPC_FIELDS)
  checkSchema(`${where}: input`, rpc.input)
  checkSchema(`${where}: output`, rpc.output)
  checkDescription(where, rpc.description)
  const { errors, idempotent = false } = rpc
  if (typeof idempotent !== 'boolean') {
    throw new UsageError(`${where}: idempotent must be true or false`)
  }
  if (errors === undefined) return { ...rpc }
  if (!isTable(errors)) throw new UsageError(`${where}: errors must be an object`)
  const copy: Record<string, unknown> = Object.create(null)
  for (const [code, schema] of Object.entries(errors)) {
    checkBusName(`${where}: the code of an error`, code)
    if (RESERVED_CODES.has(code)) {
      throw new UsageError(`${where}: the error ${code} needs another code; this one is taken`)
    }
    if (schema === undefined) throw new UsageError(`${where}: the error ${code} has no schema`)
    checkSchema(`${where}: the error ${code}`, schema)
    copy[code] = schema
  }
  return { ...rpc, errors: Object.freeze(copy) as NonNullable<ApiRpc['errors']> }
}

function checkEvent(where: string, event: ApiEvent): ApiEvent {
  checkFieldNames(where, event, EVENT_FIELDS)
  checkSchema(`${where}: payload`, event.payload)
  checkDescription(where, event.description)
  return { ...event }
}

function checkSchema(where: string, schema: unknown): void {
  if (schema === undefined || isApiSchema(schema)) return
  throw new UsageError(`${where} must be a Standard Schema or a JSON Schema`)
}

function checkDescription(where: string, description: unknown): void {
  if (description === undefined || typeof description === 'string') return
  throw new UsageError(`${where}: description must be a text`)
}

/** @throws UsageError for a value that is no object, or has fields of other names. */
export function checkFieldNames(what: string, given: unknown, allowed: readonly string[]): void {
  if (typeof given !== 'object' || given === null) {
    throw new UsageError(`${what}: an object is needed, not ${inQuotes(given)}`)
  }
  const unknown = Object.keys(given).find((field) => !allowed.includes(field))
  if (unknown === undefined) return
  throw new UsageError(`${what} has no field ${inQuotes(unknown)}; allowed: ${allowed.join(', ')}`)
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
