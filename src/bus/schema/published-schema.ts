/**
 * What lies at the server where the schema document of one API belongs, and may this process put
 * its own there? (B12, a served API has its schema at the server; B13, what replaces a schema is
 * compared with it)
 */
import { hostOf } from '../../client/index.ts'
import { MqttError, sha256Hex, UsageError, type WarningCode } from '../../index.ts'
import type { Api } from '../api-types.ts'
import { apiTopic, schemaTopic } from '../bus-names.ts'
import type { BusParts } from '../bus-parts.ts'
import { sizeWhenSent } from '../bus-reports.ts'
import { runHooks } from '../hook-table.ts'
import type { PublishSchemaContext } from '../hook-types.ts'
import type { SchemaReport } from '../report-types.ts'
import { compareSchemas, type SchemaChange, type SchemaComparison } from './compare-schemas.ts'
import { dumpSchema, schemaText } from './dump-schema.ts'
import { schemasWithoutForm } from './json-form.ts'
import { loadSchema } from './load-schema.ts'
import { lookAt } from './look-at.ts'
import type { SchemaPlan } from './schema-options.ts'
import type { SchemaDocument } from './schema-types.ts'

/** How long a lease is, in seconds. */
const LEASE_S = 60
/** After which part of the lease it is refreshed, in ms. */
export const REFRESH_MS = LEASE_S * 1000 * 0.8
const CHANGES_SHOWN_MAX = 5

/** What is reported. */
interface SchemaStep {
  readonly kind: SchemaReport['kind']
  readonly comparison?: SchemaComparison | null
  readonly bytes: number
  /** Default: it went well. */
  readonly code?: string | null
  /** Default: it took no time. */
  readonly startedAt?: number | null
}

export class PublishedSchema {
  readonly #bus: BusParts
  readonly #api: Api
  readonly #plan: SchemaPlan
  readonly #topic: string
  #made: { readonly document: SchemaDocument; readonly text: string } | null = null
  /** Nothing is published any more: why was reported. */
  #isGivenUp = false
  /** The hash of what lay at the server when a warning was given about it. */
  #reportedHash: string | null = null
  /** Whether it was reported that what lies at the server cannot be read. */
  #isUnreadable = false
  /** Whether the API may be served. */
  #isApproved: boolean
  /** Whether what lies at the server has to be looked at. */
  isDue = true
  readonly approved: Promise<void> | null
  #approve: (() => void) | null = null

  constructor(bus: BusParts, api: Api, plan: SchemaPlan) {
    this.#bus = bus
    this.#api = api
    this.#plan = plan
    this.#topic = schemaTopic(apiTopic(bus.prefix, api), bus.service)
    this.#isApproved = plan.onBreaking === 'warn'
    this.approved = this.#isApproved
      ? null
      : new Promise((resolve) => {
          this.#approve = resolve
        })
  }

  get isLease(): boolean {
    return this.#plan.lifetime === 'lease'
  }

  get isApproved(): boolean {
    return this.#isApproved
  }

  /**
   * Looks at what lies at the server, and replaces it if it differs.
   * @throws UsageError `SCHEMA_BREAKING`; what the loss of the connection throws.
   */
  async settle(): Promise<void> {
    const own = this.#own()
    if (own === null || this.#isGivenUp) return this.#open()
    const there = await this.#look()
    const comparison = there === null ? null : this.#compared(there, own.document)
    this.#open()
    if (there === own.text && !this.isLease) {
      return this.#report({ kind: 'keep', comparison, bytes: 0 })
    }
    await this.#publish('publish', comparison)
  }

  /** Publishes again what is about to expire. */
  async refresh(): Promise<void> {
    if (this.#made !== null && !this.#isGivenUp) await this.#publish('refresh', null)
  }

  /**
   * Looks at what lies at the server, if the API may not be served before.
   * @throws UsageError `SCHEMA_BREAKING`
   */
  async approve(): Promise<void> {
    if (this.#isApproved) return
    const own = this.#own()
    const there = own === null || this.#isGivenUp ? null : await this.#look()
    if (there !== null) this.#compared(there, own!.document)
    this.#open()
  }

  #open(): void {
    this.#isApproved = true
    this.#approve?.()
  }

  /** @returns the document of this process; null if there can be none. */
  #own() {
    if (this.#made !== null || this.#isGivenUp) return this.#made
    const { service, warn } = this.#bus
    const { name } = this.#api
    try {
      const document = dumpSchema(this.#api, { service })
      this.#made = { document, text: schemaText(document) }
    } catch (error) {
      this.#giveUp((error as Error).message)
      return null
    }
    const missing = schemasWithoutForm(this.#api)
    if (missing.length > 0) {
      const what = `${name}: the published schema has no JSON Schema of ${listedPlaces(missing)}`
      warn('SCHEMA_INCOMPLETE', `${what}; values are validated all the same`, name)
    }
    const { limits, protocolVersion } = hostOf(this.#bus.client)
    if (limits?.retainAvailable === false) this.#giveUp('the server keeps no retained messages')
    else if (this.isLease && protocolVersion !== 5) {
      this.#giveUp('a lease needs MQTT 5; set `lifetime` to retained')
    }
    return this.#made
  }

  /** @returns the text that lies at the server; null if there is none, or it cannot be read. */
  async #look(): Promise<string | null> {
    const { client, warn } = this.#bus
    const host = hostOf(client)
    const { attempt } = host
    try {
      const [found] = (await lookAt(host, [this.#topic], 1)).values()
      if (found === undefined || found.length === 0) return null
      return new TextDecoder().decode(found)
    } catch (error) {
      // After the loss of a connection it is asked again.
      if (!host.isConnected || host.attempt !== attempt) throw error
      if (!this.#isUnreadable) {
        const what = `${this.#topic} cannot be read, so that nothing is compared with it`
        warn('SCHEMA_UNREADABLE', `${what}: ${(error as Error).message}`, this.#api.name)
      }
      this.#isUnreadable = true
      return null
    }
  }

  /** @throws UsageError if the API breaks what lies there, and must not. */
  #compared(there: string, own: SchemaDocument): SchemaComparison | null {
    let before: SchemaDocument
    try {
      before = loadSchema(there)
      if (before.api !== own.api) throw new UsageError('it is the schema of another API')
    } catch (error) {
      const what = `what lies at ${this.#topic} is replaced: ${(error as Error).message}`
      this.#reportOnce(there, 'SCHEMA_UNREADABLE', what)
      return null
    }
    const comparison = compareSchemas(before, own)
    if (comparison.result === 'unknown') this.#tellUnproven(there, before, own)
    if (comparison.result !== 'breaking') return comparison
    const places = placesOf(comparison, 'breaking')
    const what = `${own.api} ${own.version} breaks ${before.version}, which lies at the server`
    if (!this.#isApproved) {
      this.#report({ kind: 'publish', comparison, bytes: 0, code: 'SCHEMA_BREAKING' })
      const remedy = 'give it another major version, or allow it with `onBreaking: "warn"`'
      throw new UsageError(`${what}: ${places}; ${remedy}`, { code: 'SCHEMA_BREAKING' })
    }
    this.#reportOnce(there, 'SCHEMA_REPLACED', `${what}: ${places}`)
    return comparison
  }

  /**
   * Who has asked for a refusal is told what nobody has proved. A new optional property is none of
   * that: only who sends what no schema names could have sent another value under its name.
   */
  #tellUnproven(there: string, before: SchemaDocument, own: SchemaDocument): void {
    if (this.#plan.onBreaking !== 'refuse') return
    const comparison = compareSchemas(before, own, { undeclared: 'absent' })
    if (comparison.result !== 'unknown') return
    const places = placesOf(comparison, 'unknown')
    const what = `${own.api} ${own.version} is served, and may break ${before.version}`
    const remedy = 'compare these places yourself'
    this.#reportOnce(there, 'SCHEMA_UNPROVEN', `${what}: ${places}; ${remedy}`)
  }

  /** Reports something about what lies at the server, unless that was reported. */
  #reportOnce(there: string, code: WarningCode, message: string): void {
    const hash = sha256Hex(there)
    if (this.#reportedHash !== hash) this.#bus.warn(code, message, this.#api.name)
    this.#reportedHash = hash
  }

  async #publish(kind: SchemaReport['kind'], comparison: SchemaComparison | null): Promise<void> {
    const { document } = this.#made!
    const hooks = this.#bus.hooks.of('publishSchema', this.#api.name)
    const { api, service, version } = document
    const context: PublishSchemaContext = {
      ...{ kind: 'publishSchema', api, service, version, topic: this.#topic, document },
      comparison,
    }
    try {
      await runHooks(hooks, context, () => this.#send(kind, comparison))
    } catch (error) {
      if (error instanceof MqttError && error.code === 'ENDED') return
      this.#giveUp((error as Error).message)
    }
  }

  async #send(kind: SchemaReport['kind'], comparison: SchemaComparison | null): Promise<void> {
    const { client, reports, clock } = this.#bus
    const startedAt = reports.hasSchemaListeners ? clock.now() : null
    const hasProperties = hostOf(client).protocolVersion === 5
    const properties = {
      contentType: 'application/json',
      payloadFormatIndicator: true,
      ...(this.isLease ? { messageExpiryInterval: LEASE_S } : {}),
    }
    const options = { qos: 1 as const, retain: true, ...(hasProperties ? { properties } : {}) }
    const { text } = this.#made!
    await client.publish(this.#topic, text, options)
    this.#report({ kind, comparison, bytes: sizeWhenSent(text), startedAt })
  }

  #giveUp(why: string): void {
    this.#isGivenUp = true
    this.#report({ kind: 'publish', bytes: 0, code: 'SCHEMA_UNPUBLISHED' })
    const what = `${this.#api.name}: the schema is not published, and the API is served without it`
    this.#bus.warn('SCHEMA_UNPUBLISHED', `${what}: ${why}`, this.#api.name)
  }

  #report({ kind, comparison, bytes, code = null, startedAt = null }: SchemaStep): void {
    const { reports } = this.#bus
    const { name, version } = this.#api
    reports.schema(startedAt, () => ({
      ...{ kind, api: name, version, topic: this.#topic, bytes, code },
      ...{ hash: this.#made?.document.hash ?? null, result: comparison?.result ?? null },
    }))
  }
}

function listedPlaces(places: readonly string[]): string {
  const more = places.length - CHANGES_SHOWN_MAX
  const list = places.slice(0, CHANGES_SHOWN_MAX).join(', ')
  return more > 0 ? `${list} and ${more} more` : list
}

/** @returns the places of the changes of a kind, for people. */
function placesOf({ changes }: SchemaComparison, wanted: SchemaChange['kind']): string {
  const found = changes.filter(({ kind }) => kind === wanted)
  return listedPlaces(found.map(({ path, text }) => `${path} (${text})`))
}
