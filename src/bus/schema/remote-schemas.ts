/**
 * Does a value fit what the service on the other side has published? With `validate.remote` its
 * documents are read when a value is there to be checked, and again after a while. What is not
 * checked passes, and is reported once. (B14, a schema from the server is data)
 */
import { hostOf, issuePlaces } from '../../client/index.ts'
import type { PayloadIssue } from '../../index.ts'
import type { Api } from '../api-types.ts'
import { apiTopic, schemaTopic } from '../bus-names.ts'
import type { BusParts } from '../bus-parts.ts'
import { withinTime } from '../within-time.ts'
import { readDocuments } from './read-documents.ts'
import {
  type DocumentedPlace,
  type SchemaCheck,
  type SchemaChecker,
  schemaChecker,
} from './schema-checker.ts'
import type { SchemaDocument } from './schema-types.ts'

/** How old documents may be that a value is checked with. */
const FRESH_MS = 60_000
/** How old they may be if a value is refused with them. */
const REFUSING_MS = 1000
/** How many services of one API are read. */
const SERVICES_MAX = 256
/** How many warnings are remembered as given; then all are given again. */
const REMOTE_WARNINGS_MAX = 1000
const CANNOT_BE_READ = 'the schema documents cannot be read'

/** Which value it is. */
interface RemotePlace {
  readonly api: Api
  readonly place: DocumentedPlace
  /** Names the value in a warning. */
  readonly what: string
}

/** What is wrong with a value. */
interface RemoteRefusal {
  readonly issues: readonly PayloadIssue[]
  /** Completes "the input …". */
  readonly text: string
}

/** The documents of an API, from when they were asked for; null: they cannot be read. */
interface DocumentReading {
  readonly at: number
  readonly documents: Promise<readonly SchemaDocument[] | null>
}

const remoteOf = new WeakMap<BusParts, RemoteSchemas>()

/**
 * @param value as it travels.
 * @returns why the other side does not take the value, or says that it does not make it; else null.
 * @throws UsageError `NO_VALIDATOR`
 */
export async function refusedRemotely(
  bus: BusParts,
  given: RemotePlace,
  value: unknown,
): Promise<RemoteRefusal | null> {
  const remote = remoteOf.get(bus) ?? new RemoteSchemas(bus)
  remoteOf.set(bus, remote)
  return remote.refusal(given, value)
}

/** Loads what is needed to check the values of APIs. @throws UsageError `NO_VALIDATOR` */
export async function prepareRemote(bus: BusParts, apis: Iterable<Api>): Promise<void> {
  const isNeeded = [...apis].some(({ name }) => bus.termsOf(name).validate.remote)
  if (isNeeded) await schemaChecker()
}

/** @returns a value as the other side gets it. @throws what the codec throws. */
export function travelled(bus: BusParts, api: Api, topic: string, value: unknown): unknown {
  const { codec } = bus.termsOf(api.name)
  const payload = codec.encode(value)
  const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload
  return codec.decode(bytes, { topic, properties: undefined })
}

class RemoteSchemas {
  readonly #bus: BusParts
  readonly #readings = new Map<string, DocumentReading>()
  readonly #checkers = new Map<boolean, Promise<SchemaChecker>>()
  readonly #reported = new Set<string>()

  constructor(bus: BusParts) {
    this.#bus = bus
  }

  async refusal(given: RemotePlace, value: unknown): Promise<RemoteRefusal | null> {
    const { api, place } = given
    const checker = await this.#checker(this.#bus.termsOf(api.name).validate.trustPatterns)
    const check = async (ageMsMax: number): Promise<SchemaCheck | null> => {
      const documents = await this.#read(api, ageMsMax).documents
      return documents === null ? null : checker.check(documents, place, value)
    }
    let made = await check(FRESH_MS)
    // A later version of the service may take it.
    if (made?.verdict === 'invalid') made = await check(REFUSING_MS)
    if (made?.verdict !== 'invalid') return this.#report(given, made)
    const whose = `the schema that the service ${made.service} has at the server`
    const text = `does not fit ${whose}, at ${issuePlaces(made.issues)}; see \`issues\``
    return { issues: made.issues, text }
  }

  #report({ what }: RemotePlace, check: SchemaCheck | null): null {
    const { reason, unchecked } = check ?? { reason: CANNOT_BE_READ, unchecked: [] }
    if (reason === null && unchecked.length === 0) return null
    const why = reason ?? `${unchecked.join(', ')} of the schema are passed over`
    const part = reason === null ? 'in full ' : ''
    const message = `${what} is not checked ${part}with a schema at the server: ${why}`
    if (this.#isNews(message)) this.#bus.warn('SCHEMA_UNCHECKED', message)
    return null
  }

  #read(api: Api, ageMsMax: number): DocumentReading {
    const now = this.#bus.clock.now()
    const base = apiTopic(this.#bus.prefix, api)
    const known = this.#readings.get(base)
    if (known !== undefined && now - known.at <= ageMsMax) return known
    const reading = { at: now, documents: this.#documents(api, base) }
    this.#readings.set(base, reading)
    return reading
  }

  async #documents(api: Api, base: string): Promise<readonly SchemaDocument[] | null> {
    const bus = this.#bus
    const { client, prefix } = bus
    const filters = [schemaTopic(base, '+')]
    const reading = readDocuments(hostOf(client), prefix, filters, SERVICES_MAX)
    const { timeoutMs } = bus.termsOf(api.name)
    try {
      const { documents, faults } = await withinTime(bus, 'schema', reading, timeoutMs)
      for (const fault of faults) this.#warnOnce(fault)
      return documents.length === 0 && faults.length > 0 ? null : documents
    } catch (error) {
      this.#warnOnce(`${filters[0]} cannot be read: ${(error as Error).message}`)
      return null
    }
  }

  /** What strangers have published may change often, and is reported once for each API. */
  #warnOnce(message: string): void {
    const topic = message.slice(0, message.indexOf(' '))
    if (this.#isNews(topic)) this.#bus.warn('SCHEMA_UNREADABLE', message)
  }

  #isNews(name: string): boolean {
    if (this.#reported.has(name)) return false
    // Strangers choose what is said of their documents.
    if (this.#reported.size >= REMOTE_WARNINGS_MAX) this.#reported.clear()
    this.#reported.add(name)
    return true
  }

  #checker(trustPatterns: boolean): Promise<SchemaChecker> {
    const known = this.#checkers.get(trustPatterns)
    if (known !== undefined) return known
    const made = schemaChecker({ trustPatterns })
    this.#checkers.set(trustPatterns, made)
    // A package that was missing may be there at the next call.
    made.catch(() => this.#checkers.delete(trustPatterns))
    return made
  }
}
