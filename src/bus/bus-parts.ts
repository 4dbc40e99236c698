/** What do the parts of a bus share? The client, and what was chosen when the bus was made. */
import {
  type Client,
  type ClientOptions,
  type Codec,
  createClient,
  json,
  type PayloadContext,
} from '../client/index.ts'
import {
  machineName,
  type Platform,
  systemPlatform,
  UsageError,
  type UserProperties,
  type WarningCode,
} from '../index.ts'
import type { Presence } from '../presence/index.ts'
import { type ApiChoices, apiChoices, CHOICE_FIELDS } from './api-settings.ts'
import type { Api } from './api-types.ts'
import { BusLog } from './bus-log.ts'
import {
  BUS_PROPERTIES,
  busClientId,
  busLevelOf,
  checkApiName,
  checkBusName,
  checkBusPrefix,
  isProcessName,
} from './bus-names.ts'
import { presentClient } from './bus-presence.ts'
import { BusReports } from './bus-reports.ts'
import type { BusOptions, Served } from './bus-types.ts'
import { isEnvelopeName } from './cloud-event.ts'
import { checkFieldNames } from './define-api.ts'
import type { EventOutbox } from './fire-types.ts'
import { HookTable } from './hook-table.ts'
import { type SchemaPlan, schemaPlan } from './schema/schema-options.ts'
import { SchemaChecks } from './schema-check.ts'
import type { BusValidation } from './validation-types.ts'

const OPTION_FIELDS = [
  ...['service', 'process', 'prefix', 'client', 'timeout', 'validate', 'codec', 'hooks', 'ajv'],
  ...['outbox', 'logger', 'control', 'presence', 'apis', 'listeners', 'features', 'schema'],
  ...['envelope', ...CHOICE_FIELDS.filter((field) => field !== 'codec')],
]
const TIME_MAX_MS = 86_400_000
const CALL_TIMEOUT_MS = 5000
const PUBLISHED: SchemaPlan = { lifetime: 'retained', onBreaking: 'warn' }

/** What is validated. */
type BusValidates = { readonly [Name in keyof BusValidation]-?: boolean }

/** What holds for an API. */
interface ApiTerms extends ApiChoices {
  readonly timeoutMs: number
  readonly validate: BusValidates
}

export interface BusParts {
  readonly service: string
  readonly process: string
  /** Whether the process has a name that it has again after a restart. */
  readonly hasName: boolean
  readonly prefix: string
  readonly client: Client
  /** The options from which listeners make clients of their own. */
  readonly clientOptions: ClientOptions
  readonly clock: Platform
  /** What holds for an API, by its name. */
  readonly termsOf: (api: string) => ApiTerms
  readonly checks: SchemaChecks
  readonly hooks: HookTable
  readonly outbox: EventOutbox | undefined
  /** How the events of this process say what they are. */
  readonly envelope: NonNullable<BusOptions['envelope']>
  readonly reports: BusReports
  readonly log: BusLog | null
  /** Whether it answers who asks what is there. */
  readonly hasControl: boolean
  /** Who is there of the service; null if this process does not say that it is. */
  readonly processes: Presence | null
  /** How schemas are published if `serve()` does not say; null: not at all. */
  readonly schemaPlan: SchemaPlan | null
  /** This process, as it says in what it sends. */
  readonly by: string
  /** The APIs that this process serves, by the topic of each. */
  readonly served: Map<string, { readonly api: Api; readonly served: Served }>
  /**
   * @param api the name of the API that it is about, if it is about one.
   * @param cause what a handler has thrown, if it is about that.
   */
  warn(code: WarningCode, message: string, api?: string, cause?: unknown): void
}

/** @throws UsageError for an option that cannot be used. */
export function busParts(options: BusOptions): BusParts {
  checkFieldNames('createBus', options, OPTION_FIELDS)
  const service = checkBusName('createBus: service', options.service)
  const prefix = checkBusPrefix(options.prefix ?? 'bus')
  const { codec: given = json, ajv, outbox } = options
  const timeoutMs = checkTimeMs('createBus: timeout', options.timeout) ?? CALL_TIMEOUT_MS
  const validate = validationOf('createBus: validate', options.validate)
  const usual: ApiChoices = { log: 'debug', isStrict: false, codec: given, qos: 1 }
  const { codec, ...choices } = apiChoices('createBus', options, usual)
  const termsOf = apiTermsOf(options.apis, {
    ...{ timeoutMs, validate, ...choices, codec: orNothing(codec) },
  })
  const levelOf = (api: string) => termsOf(api).log
  const log = options.logger === undefined ? null : new BusLog(options.logger, levelOf)
  const clientOptions = loggedBy(log, clientOptionsOf(options.client))
  const clock = clientOptions.platform ?? systemPlatform
  const named = options.process ?? machineName()
  if (named !== null && !isProcessName(named)) {
    throw new UsageError('createBus: process must be a text of 1 to 200 characters')
  }
  const process = named ?? uuid(clock)
  const hooks = new HookTable()
  for (const one of options.hooks ?? []) hooks.add(one)
  const hasControl = flagOf('control', options.control ?? true)
  const reports = new BusReports(service, process, clock)
  if (log !== null) reports.add(log)
  const clientId = busClientId(prefix, service, process)
  const own = { clientId, ...clientOptions, ...sessionOfCalls(clientOptions) }
  const { client, processes } = flagOf('presence', options.presence ?? false)
    ? presentClient(own, prefix, service)
    : { client: createClient(own), processes: null }
  return {
    ...{ service, process, hasName: named !== null, prefix, client, clientOptions, clock },
    ...{ hooks, outbox, reports, log, hasControl, processes },
    schemaPlan: schemaPlan('createBus', options.schema, PUBLISHED),
    termsOf,
    envelope: checkEnvelopeName(options.envelope, clientOptions),
    checks: new SchemaChecks(ajv),
    by: `${service}/${busLevelOf(process)}`,
    served: new Map(),
    warn: (code, message, api, cause) => {
      const warning = cause === undefined ? { code, message } : { code, message, cause }
      const report = () => client.warn(warning)
      if (log === null || api === undefined) report()
      else log.about(api, report)
    },
  }
}

/** @returns the options of a client. @throws UsageError if they are none. */
export function clientOptionsOf(given: BusOptions['client']): ClientOptions {
  if (typeof given === 'string' || given instanceof URL) return { url: given }
  if (typeof given === 'object' && given !== null && !('limits' in given)) return given
  const what = 'createBus: client must be a URL or the options of createClient()'
  throw new UsageError(`${what}; listeners have connections of their own`)
}

/**
 * A server gives calls also to who is away, as long as its session lives, instead of those that are
 * there. So the session ends with the connection. Listeners, for whom events are to wait, have
 * sessions of their own.
 */
function sessionOfCalls({ protocolVersion = 5, cleanStart = true, ...given }: ClientOptions) {
  const { session, sessionExpiryInterval, will } = given
  const isGiven = session !== undefined || sessionExpiryInterval !== undefined
  if (protocolVersion !== 5 || cleanStart !== true || isGiven) return {}
  // A will is published at the end of the session at the latest.
  return { sessionExpiryInterval: will?.properties?.willDelayInterval ?? 0 }
}

function checkEnvelopeName(
  envelope: unknown = 'itm',
  { protocolVersion = 5 }: ClientOptions,
): BusParts['envelope'] {
  if (!isEnvelopeName(envelope)) {
    throw new UsageError('createBus: envelope must be one of itm, cloudevents')
  }
  if (envelope === 'itm' || protocolVersion === 5) return envelope
  const why = 'leave out protocolVersion of the client, or envelope'
  throw new UsageError(`createBus: envelope: CloudEvents are sent with MQTT 5 only; ${why}`)
}

function flagOf(name: string, given: unknown): boolean {
  if (typeof given === 'boolean') return given
  throw new UsageError(`createBus: ${name} must be true or false`)
}

/** @returns options with which the warnings of a connection go to the log too. */
function loggedBy(log: BusLog | null, options: ClientOptions): ClientOptions {
  if (log === null) return options
  const { onWarning } = options
  return {
    ...options,
    onWarning: (warning) => {
      log.warning(warning)
      onWarning?.(warning)
    },
  }
}

/** @returns what holds for an API by its name. @throws UsageError for a setting that is none. */
function apiTermsOf(apis: BusOptions['apis'], common: ApiTerms): BusParts['termsOf'] {
  if (apis === undefined) return () => common
  if (typeof apis !== 'object' || apis === null) {
    throw new UsageError('createBus: apis must be an object of settings by the names of APIs')
  }
  const terms = new Map<string, ApiTerms>()
  for (const [api, settings] of Object.entries(apis)) {
    const what = `createBus: apis: ${checkApiName(api)}`
    checkFieldNames(what, settings, ['timeout', 'validate', ...CHOICE_FIELDS])
    const { timeout, validate, codec } = settings
    const choices = apiChoices(what, settings, common)
    terms.set(api, {
      ...choices,
      codec: codec === undefined ? common.codec : orNothing(choices.codec),
      timeoutMs: checkTimeMs(`${what}: timeout`, timeout) ?? common.timeoutMs,
      validate:
        validate === undefined ? common.validate : validationOf(`${what}: validate`, validate),
    })
  }
  return (api) => terms.get(api) ?? common
}

function validationOf(what: string, given: BusValidation = {}): BusValidates {
  const { outgoing = true, incoming = true, remote = false, trustPatterns = false } = given
  const validate = { outgoing, incoming, remote, trustPatterns }
  checkFieldNames(what, given, Object.keys(validate))
  for (const [name, value] of Object.entries(validate)) {
    if (typeof value === 'boolean') continue
    throw new UsageError(`${what}.${name} must be true or false`)
  }
  return validate
}

/** @returns the value. @throws UsageError if it is no time in ms. */
export function checkTimeMs(what: string, ms: number | undefined): number | undefined {
  if (ms === undefined || (typeof ms === 'number' && ms > 0 && ms <= TIME_MAX_MS)) return ms
  throw new UsageError(`${what} must be more than 0 and at most ${TIME_MAX_MS} ms, not ${ms}`)
}

/** @returns the value. @throws UsageError if it is no whole number between two bounds. */
export function checkWholeNumber(what: string, given: number, least: number, most: number): number {
  if (Number.isInteger(given) && given >= least && given <= most) return given
  throw new UsageError(`${what} must be a whole number from ${least} to ${most}, not ${given}`)
}

/**
 * A value for the codec. The client sends text and bytes as they are, and takes `null` for nothing;
 * for the bus they are values like others.
 */
export class BusValue {
  readonly value: unknown
  /** What the codec made of it, once it was asked. */
  encoded: string | Uint8Array | null = null

  constructor(value: unknown) {
    this.value = value
  }
}

/** @returns a codec for which an empty payload is no value, and no value an empty payload. */
function orNothing(codec: Codec<unknown>): Codec<unknown> {
  return {
    contentType: codec.contentType,
    payloadFormatIndicator: codec.payloadFormatIndicator,
    encode(given: unknown) {
      if (!(given instanceof BusValue)) return given === undefined ? '' : codec.encode(given)
      given.encoded = given.value === undefined ? '' : codec.encode(given.value)
      return given.encoded
    },
    decode: (payload: Uint8Array, message: PayloadContext) =>
      payload.length === 0 ? undefined : codec.decode(payload, message),
  }
}

/** The two digits of each byte: `toString(16)` of more than 31 bits takes several times as long. */
const BYTE_DIGITS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** @returns 128 random bits in the form of a UUID of version 4. */
export function uuid(clock: Platform): string {
  const word = () => Math.floor(clock.random() * 2 ** 32) | 0
  const pair = (bits: number) => BYTE_DIGITS[(bits >>> 8) & 255]! + BYTE_DIGITS[bits & 255]!
  const [first, second, third, fourth] = [word(), word(), word(), word()]
  const version = (second & 0x0fff) | 0x4000
  const variant = ((third >>> 16) & 0x3fff) | 0x8000
  const head = `${pair(first >>> 16)}${pair(first)}-${pair(second >>> 16)}-${pair(version)}`
  return `${head}-${pair(variant)}-${pair(third)}${pair(fourth >>> 16)}${pair(fourth)}`
}

/** @returns the first value of a User Property, or null. */
export function headerOf(headers: UserProperties | undefined, name: string): string | null {
  if (headers === undefined || !Object.hasOwn(headers, name)) return null
  const value = headers[name]
  return (Array.isArray(value) ? value[0] : (value as string | undefined)) ?? null
}

/** @returns the User Properties of what this process sends. */
export function headersOf(
  bus: BusParts,
  version: string,
  headers: UserProperties | undefined,
): UserProperties {
  const own = { [BUS_PROPERTIES.version]: version, [BUS_PROPERTIES.by]: bus.by }
  return headers === undefined ? own : { ...headers, ...own }
}

const knownVersions = new WeakMap<Client, boolean>()

/**
 * Waits for the first connection of a client, if there was none.
 * @returns whether messages may have properties. The version does not change afterwards.
 */
export function hasProperties(
  client: Client,
  options: { readonly signal?: AbortSignal | undefined } = {},
): boolean | Promise<boolean> {
  const known = knownVersions.get(client)
  if (known !== undefined) return known
  return client.ready(options).then(() => {
    const isKnown = client.state.connection.protocolVersion === 5
    knownVersions.set(client, isKnown)
    return isKnown
  })
}
