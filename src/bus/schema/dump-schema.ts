/**
 * How does an API become a schema document? Its schemas as JSON Schema, and a hash over all of it,
 * so that two documents can be compared without being read.
 */
import { sha256Hex, UsageError } from '../../index.ts'
import type { Api, ApiEvent, ApiRpc, ApiSchema } from '../api-types.ts'
import { checkBusName } from '../bus-names.ts'
import { checkApi, checkFieldNames } from '../define-api.ts'
import { canonicalText, frozenJson, nameTable, SCHEMA_BYTES_MAX } from './canonical-json.ts'
import { jsonFormOf } from './json-form.ts'
import { checkReferences } from './schema-refs.ts'
import type {
  DocumentedEvent,
  DocumentedRpc,
  DocumentedSchema,
  SchemaDocument,
} from './schema-types.ts'

/** The options of `dumpSchema()`. */
export interface DumpSchemaOptions {
  /** The name of the service that serves the API: `A-Z`, `a-z`, `0-9`, `_` and `-`. */
  readonly service: string
}

/**
 * Makes the schema document of an API, as `bus.serve()` publishes it: JSON Schemas of the values as
 * they travel, before transformations. A schema that has no JSON Schema form is null there.
 * @throws UsageError for a JSON Schema that is not JSON, refers to what is not in it, or is nested
 *   deeper than 64 levels; and for a document of more than 262,144 bytes.
 */
export function dumpSchema(api: Api, options: DumpSchemaOptions): SchemaDocument
/** Makes the schema documents of several APIs, in their order. */
export function dumpSchema(
  apis: readonly Api[],
  options: DumpSchemaOptions,
): readonly SchemaDocument[]
export function dumpSchema(
  given: Api | readonly Api[],
  options: DumpSchemaOptions,
): SchemaDocument | readonly SchemaDocument[] {
  checkFieldNames('dumpSchema: options', options, ['service'])
  const service = checkBusName('dumpSchema: service', options.service)
  if (!Array.isArray(given)) return documentOf(checkApi('dumpSchema', given as Api), service)
  return Object.freeze(given.map((api: Api) => documentOf(checkApi('dumpSchema', api), service)))
}

function documentOf(api: Api, service: string): SchemaDocument {
  const { name, version, description } = api
  const rest = {
    ...{ itm: 1 as const, api: name, version, service },
    ...(description === '' ? {} : { description }),
    rpcs: nameTable(sortedEntries(api.rpcs).map(([rpc, of]) => [rpc, rpcOf(`${name} ${rpc}`, of)])),
    events: nameTable(
      sortedEntries(api.events).map(([event, of]) => [event, eventOf(`${name} ${event}`, of)]),
    ),
  }
  const document = { ...rest, hash: hashOfDocument(rest) }
  schemaText(document)
  return frozenJson(document)
}

/** @returns the hash of a document: of the canonical text of everything in it but `hash`. */
export function hashOfDocument(document: object): string {
  const { hash: _, ...rest } = document as { readonly hash?: unknown }
  return sha256Hex(canonicalText('the schema document', rest))
}

/**
 * @returns the canonical text of a document, which is what is published: names sorted by UTF-16
 *   code units, no spaces.
 * @throws UsageError if it is longer than 262,144 bytes.
 */
export function schemaText(document: SchemaDocument): string {
  const text = canonicalText(`the schema document of ${document.api}`, document)
  const bytes = new TextEncoder().encode(text).length
  if (bytes <= SCHEMA_BYTES_MAX) return text
  const what = `the schema document of ${document.api} has ${bytes} bytes`
  throw new UsageError(`${what}; at most ${SCHEMA_BYTES_MAX} are published: split the API`)
}

function sortedEntries<T>(table: Readonly<Record<string, T>>): readonly [string, T][] {
  return Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1))
}

function rpcOf(where: string, rpc: ApiRpc): DocumentedRpc {
  const { input, output, errors = {}, idempotent, description } = rpc
  const codes = sortedEntries(errors)
  return {
    ...(input === undefined ? {} : { input: formIn(`${where}: input`, input) }),
    ...(output === undefined ? {} : { output: formIn(`${where}: output`, output) }),
    ...(codes.length === 0
      ? {}
      : { errors: nameTable(codes.map(([code, of]) => [code, formIn(`${where}: ${code}`, of)])) }),
    ...(idempotent === true ? { idempotent } : {}),
    ...(description === undefined ? {} : { description }),
  }
}

function eventOf(where: string, { payload, description }: ApiEvent): DocumentedEvent {
  return {
    ...(payload === undefined ? {} : { payload: formIn(`${where}: payload`, payload) }),
    ...(description === undefined ? {} : { description }),
  }
}

/** @returns a copy of the JSON form of a schema, which nobody changes later. */
function formIn(where: string, schema: ApiSchema): DocumentedSchema {
  const form = jsonFormOf(schema)
  if (form === null) return null
  const copy = JSON.parse(canonicalText(where, form)) as DocumentedSchema
  checkReferences(where, copy)
  return copy
}
