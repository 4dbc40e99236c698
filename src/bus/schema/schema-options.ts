/** How may the schemas of what is served be published? */
import { UsageError } from '../../index.ts'
import { checkFieldNames } from '../define-api.ts'

/** How `bus.serve()` publishes the schema document of an API. */
export interface SchemaPublishing {
  /**
   * How long the document lies at the server. `retained`: until another one replaces it. `lease`:
   * it expires 60 s after the last process that runs has refreshed it, which each does after 48 s;
   * this needs MQTT 5. Default `retained`.
   */
  readonly lifetime?: 'lease' | 'retained' | undefined
  /**
   * What happens if the document would break those who have the one that lies there. `warn`: it is
   * replaced, with the warning `SCHEMA_REPLACED`. `refuse`: `run()` rejects with `SCHEMA_BREAKING`,
   * and the API is not served before the comparison; `served.granted` then waits for `run()`.
   * What the comparison does not understand is served, with the warning `SCHEMA_UNPROVEN`; for this
   * nobody is taken to send what a schema with `properties` does not name, so that a new optional
   * property of an input is none of it.
   * Default `warn`.
   */
  readonly onBreaking?: 'warn' | 'refuse' | undefined
}

/** The options of `bus.schema()`. */
export interface AskSchemaOptions {
  /** Replaces the `timeout` of the bus. In ms, 1 to 86,400,000. */
  readonly timeout?: number | undefined
}

export interface SchemaPlan {
  readonly lifetime: 'lease' | 'retained'
  readonly onBreaking: 'warn' | 'refuse'
}

/** @returns what an option says; null: nothing is published. @throws UsageError */
export function schemaPlan(
  what: string,
  given: SchemaPublishing | false | undefined,
  defaults: SchemaPlan | null,
): SchemaPlan | null {
  if (given === undefined) return defaults
  if (given === false) return null
  checkFieldNames(`${what}: schema`, given, ['lifetime', 'onBreaking'])
  const {
    lifetime = defaults?.lifetime ?? 'retained',
    onBreaking = defaults?.onBreaking ?? 'warn',
  } = given
  if (lifetime !== 'lease' && lifetime !== 'retained') {
    throw new UsageError(`${what}: schema.lifetime must be one of lease, retained`)
  }
  if (onBreaking !== 'warn' && onBreaking !== 'refuse') {
    throw new UsageError(`${what}: schema.onBreaking must be one of warn, refuse`)
  }
  return { lifetime, onBreaking }
}
