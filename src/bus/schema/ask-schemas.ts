/**
 * Which schemas of an API lie at the server? They are data of others: read and checked, and never
 * compiled. (B14, a schema from the server is data)
 */
import { hostOf } from '../../client/index.ts'
import { UsageError } from '../../index.ts'
import { apiNameFault, inQuotes } from '../bus-names.ts'
import { type BusParts, checkTimeMs } from '../bus-parts.ts'
import { checkFieldNames } from '../define-api.ts'
import { withinTime } from '../within-time.ts'
import { readDocuments } from './read-documents.ts'
import type { AskSchemaOptions } from './schema-options.ts'
import type { SchemaDocument } from './schema-types.ts'

/** How many documents of one API are read, and of all. */
const DOCUMENTS_MAX = 256
const DOCUMENTS_OF_ALL_MAX = 1024
/** How many levels the names of APIs have that are found without their names. */
const API_LEVELS_MAX = 8

/** @throws as `bus.schema()` */
export async function askSchemas(
  bus: BusParts,
  name: string | undefined,
  options: AskSchemaOptions = {},
): Promise<readonly SchemaDocument[]> {
  const fault = name === undefined ? null : apiNameFault(name)
  if (fault !== null) {
    throw new UsageError(`schema: ${inQuotes(name)} is no name of an API: ${fault}`)
  }
  checkFieldNames('schema: options', options, ['timeout'])
  const ms = checkTimeMs('schema: timeout', options.timeout) ?? bus.termsOf(name ?? '').timeoutMs
  const levels = Array.from({ length: API_LEVELS_MAX }, (_, i) => '+/'.repeat(i).concat('+'))
  const names = name === undefined ? levels : [name]
  const filters = names.map((one) => `${bus.prefix}/${one}/+/schema/+`)
  const max = name === undefined ? DOCUMENTS_OF_ALL_MAX : DOCUMENTS_MAX
  const reading = readDocuments(hostOf(bus.client), bus.prefix, filters, max)
  const { documents, faults } = await withinTime(
    bus,
    `schema: ${name ?? 'of all APIs'}`,
    reading,
    ms,
  )
  for (const fault of faults) bus.warn('SCHEMA_UNREADABLE', fault)
  return documents
}
