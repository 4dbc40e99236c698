/** Which schema documents can be read of what lies at some topics? */
import type { ClientHost } from '../../client/index.ts'
import { UsageError } from '../../index.ts'
import { apiTopic, majorOf, schemaTopic } from '../bus-names.ts'
import { loadSchema } from './load-schema.ts'
import { lookAt } from './look-at.ts'
import type { SchemaDocument } from './schema-types.ts'

/** What was read. */
interface ReadDocuments {
  /** The documents, by their topics in order. */
  readonly documents: readonly SchemaDocument[]
  /** What is left out, and why. */
  readonly faults: readonly string[]
}

/** @throws as `lookAt` */
export async function readDocuments(
  host: ClientHost,
  prefix: string,
  filters: readonly string[],
  max: number,
): Promise<ReadDocuments> {
  const found = await lookAt(host, filters, max)
  const documents: SchemaDocument[] = []
  const faults: string[] = []
  for (const topic of [...found.keys()].sort()) {
    const payload = found.get(topic)!
    // An empty message means that there is none any more.
    if (payload.length === 0) continue
    try {
      documents.push(documentAt(prefix, topic, payload))
    } catch (error) {
      faults.push(`${topic} is left out: ${(error as Error).message}`)
    }
  }
  return { documents: Object.freeze(documents), faults }
}

function documentAt(prefix: string, topic: string, payload: Uint8Array): SchemaDocument {
  const document = loadSchema(payload)
  const { api, service, version } = document
  const base = apiTopic(prefix, { name: api, major: majorOf(version)! })
  if (schemaTopic(base, service) === topic) return document
  throw new UsageError(`it is the schema of ${api} ${version} of ${service}, and lies elsewhere`)
}
