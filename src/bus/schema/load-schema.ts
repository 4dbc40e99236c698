/**
 * Is a text a schema document? It may have come from anybody who may publish below the prefix of
 * the bus. So it is measured before it is parsed, checked in each part, and then frozen data: it is
 * never compiled, and its patterns are never run. (B14, a schema from the server is data)
 */
import { UsageError } from '../../index.ts'
import { apiNameFault, inQuotes, isBusName, majorOf } from '../bus-names.ts'
import { frozenJson, nameTable, SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX } from './canonical-json.ts'
import { hashOfDocument } from './dump-schema.ts'
import { textFault } from './json-scan.ts'
import { checkReferences } from './schema-refs.ts'
import type {
  DocumentedEvent,
  DocumentedRpc,
  DocumentedSchema,
  SchemaDocument,
} from './schema-types.ts'

type DocumentFields = Readonly<Record<string, unknown>>

const DOCUMENT_FIELDS = [
  ...['itm', 'api', 'version', 'service', 'hash', 'description', 'rpcs', 'events'],
]

/**
 * Reads a schema document: what lies at a `…/schema/{service}` topic, or in a file.
 * @param given at most 262,144 bytes of UTF-8. Spaces and the order of names do not matter.
 * @returns the document, frozen. Tables have no prototype.
 * @throws UsageError for what is no schema document: another version of the format, a field that
 *   it does not have, a name that stands twice, more than 64 levels, a `$ref` that leads out of
 *   its schema, or a hash of other contents.
 */
export function loadSchema(given: string | Uint8Array): SchemaDocument {
  const text = textIn(given)
  const fault = textFault(text, SCHEMA_DEPTH_MAX)
  if (fault !== null) throw notADocument(fault)
  const fields = fieldsOf('it', parsed(text))
  checkDocumentFields('it', fields, DOCUMENT_FIELDS)
  if (fields['itm'] !== 1) {
    throw notADocument(
      'its field itm is not 1: it is none, or one of a version that is not known here',
    )
  }
  const { api, version, service, hash, description } = fields
  const apiFault = apiNameFault(api)
  if (apiFault !== null)
    throw notADocument(`its api ${inQuotes(api)} is no name of an API: ${apiFault}`)
  if (majorOf(version) === null) throw notADocument(`its version is ${inQuotes(version)}`)
  if (!isBusName(service)) throw notADocument(`its service ${inQuotes(service)} is no name`)
  const rest = {
    ...{ itm: 1 as const, api: api as string, version: version as string, service },
    ...descriptionIn('it', description),
    rpcs: entriesIn('rpcs', fields['rpcs'], rpcIn),
    events: entriesIn('events', fields['events'], eventIn),
  }
  const both = Object.keys(rest.rpcs).find((name) => Object.hasOwn(rest.events, name))
  if (both !== undefined) throw notADocument(`${inQuotes(both)} is both an rpc and an event`)
  if (hash !== hashOfDocument(rest)) throw notADocument('its hash is that of other contents')
  return frozenJson({ ...rest, hash })
}

function notADocument(why: string): UsageError {
  return new UsageError(`loadSchema: this is no schema document: ${why}`)
}

function textIn(given: unknown): string {
  if (typeof given === 'string') {
    // A text has at least as many bytes as UTF-16 units.
    if (given.length > SCHEMA_BYTES_MAX) throw tooLong(given.length)
    const { length } = new TextEncoder().encode(given)
    if (length > SCHEMA_BYTES_MAX) throw tooLong(length)
    return given
  }
  if (!(given instanceof Uint8Array)) {
    throw new UsageError(`loadSchema: a text or bytes are needed, not ${inQuotes(given)}`)
  }
  if (given.length > SCHEMA_BYTES_MAX) throw tooLong(given.length)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(given)
  } catch {
    throw notADocument('it is not UTF-8')
  }
}

function tooLong(bytes: number): UsageError {
  return notADocument(`it has ${bytes} bytes or more, and at most ${SCHEMA_BYTES_MAX} are read`)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw notADocument('it is not JSON')
  }
}

function fieldsOf(where: string, value: unknown): DocumentFields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as DocumentFields
  throw notADocument(`${where} is no JSON object`)
}

function checkDocumentFields(
  where: string,
  fields: DocumentFields,
  allowed: readonly string[],
): void {
  const unknown = Object.keys(fields).find((name) => !allowed.includes(name))
  if (unknown === undefined) return
  throw notADocument(`${where} has a field ${inQuotes(unknown)}; allowed: ${allowed.join(', ')}`)
}

function entriesIn<T>(
  kind: string,
  given: unknown,
  read: (where: string, value: DocumentFields) => T,
): Readonly<Record<string, T>> {
  const entries = Object.entries(fieldsOf(`its ${kind}`, given)).map(([name, value]) => {
    checkEntryName(kind, name)
    const where = `${inQuotes(name)} of its ${kind}`
    return [name, read(where, fieldsOf(where, value))] as const
  })
  return nameTable(entries)
}

function checkEntryName(kind: string, name: string): void {
  if (isBusName(name) && name !== '__proto__' && name !== 'then') return
  throw notADocument(`${inQuotes(name)} cannot be a name in its ${kind}`)
}

function rpcIn(where: string, fields: DocumentFields): DocumentedRpc {
  checkDocumentFields(where, fields, ['input', 'output', 'errors', 'idempotent', 'description'])
  const { input, output, errors, idempotent, description } = fields
  if (idempotent !== undefined && idempotent !== true) {
    throw notADocument(`idempotent of ${where} is neither true nor absent`)
  }
  const table = errors === undefined ? undefined : errorsIn(where, errors)
  return {
    ...(input === undefined ? {} : { input: schemaIn(`input of ${where}`, input) }),
    ...(output === undefined ? {} : { output: schemaIn(`output of ${where}`, output) }),
    ...(table === undefined ? {} : { errors: table }),
    ...(idempotent === undefined ? {} : { idempotent }),
    ...descriptionIn(where, description),
  }
}

function errorsIn(where: string, given: unknown): Readonly<Record<string, DocumentedSchema>> {
  const entries = Object.entries(fieldsOf(`errors of ${where}`, given)).map(([code, schema]) => {
    checkEntryName(`errors of ${where}`, code)
    return [code, schemaIn(`the error ${code} of ${where}`, schema)] as const
  })
  return nameTable(entries)
}

function eventIn(where: string, fields: DocumentFields): DocumentedEvent {
  checkDocumentFields(where, fields, ['payload', 'description'])
  const { payload, description } = fields
  return {
    ...(payload === undefined ? {} : { payload: schemaIn(`payload of ${where}`, payload) }),
    ...descriptionIn(where, description),
  }
}

function schemaIn(where: string, given: unknown): DocumentedSchema {
  if (given === null) return null
  const schema = fieldsOf(where, given)
  checkReferences(`loadSchema: ${where}`, schema)
  return schema
}

function descriptionIn(where: string, text: unknown): { readonly description?: string } {
  if (text === undefined) return {}
  if (typeof text === 'string') return { description: text }
  throw notADocument(`description of ${where} is no text`)
}
