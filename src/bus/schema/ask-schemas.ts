/**
 * Which schemas of an API lie at the server? They are data of others: read and checked, and never
 * compiled. (B14, a schema from the server is data)
 */
import { hostOf } from '../../client/index.ts'
import { UsageError } from '../../index.ts'
import { apiNameFault, apiTopic, inQuotes, majorOf, schemaTopic } from '../bus-names.ts'
import { type BusParts, checkTimeMs } from '../bus-parts.ts'
import { withinTime } from '../calling.ts'
import { checkFieldNames } from '../define-api.ts'
import { loadSchema } from './load-schema.ts'
import { lookAt } from './look-at.ts'
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
  const looking = lookAt(hostOf(bus.client), filters, max)
  const found = await withinTime(bus, `schema: ${name ?? 'of all APIs'}`, looking, ms)
  const documents: SchemaDocument[] = []
  for (const topic of [...found.keys()].sort()) {
    const payload = found.get(topic)!
    // An empty message means that there is none any more.
    if (payload.length === 0) continue
    try {
      documents.push(documentAt(bus.prefix, topic, payload))
    } catch (error) {
      bus.warn('SCHEMA_UNREADABLE', `${topic} is left out: ${(error as Error).message}`)
    }
  }
  return Object.freeze(documents)
}

function documentAt(prefix: string, topic: string, payload: Uint8Array): SchemaDocument {
  const document = loadSchema(payload)
  const { api, service, version } = document
  const base = apiTopic(prefix, { name: api, major: majorOf(version)! })
  if (schemaTopic(base, service) === topic) return document
  throw new UsageError(`it is the schema of ${api} ${version} of ${service}, and lies elsewhere`)
}
