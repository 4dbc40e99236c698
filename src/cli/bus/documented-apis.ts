/** Which APIs do the schema documents describe that services have published? */
import type {
  Api,
  DocumentedEvent,
  DocumentedRpc,
  DocumentedSchema,
  SchemaDocument,
} from '../../bus/index.ts'

/**
 * @returns the APIs of documents. They are only written: nothing validates with schemas of others.
 *   Of several services with the same API and major version the first is taken.
 */
export async function apisIn(documents: readonly SchemaDocument[]): Promise<readonly Api[]> {
  const { defineApi } = await import('../../bus/index.ts')
  const apis = new Map<string, Api>()
  for (const { api, version, description = '', rpcs, events } of documents) {
    const id = `${api} ${Number.parseInt(version, 10)}`
    if (apis.has(id)) continue
    const definition = {
      ...{ name: api, version, description },
      rpcs: eachOf(rpcs, rpcOfDocument),
      events: eachOf(events, eventOfDocument),
    }
    apis.set(id, defineApi(definition))
  }
  return [...apis.values()]
}

function eachOf<T, R>(table: Readonly<Record<string, T>>, of: (one: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(table).map(([name, one]) => [name, of(one)]))
}

function rpcOfDocument({ input, output, errors, ...rest }: DocumentedRpc) {
  return {
    ...rest,
    input: anySchema(input),
    output: anySchema(output),
    ...(errors === undefined ? {} : { errors: eachOf(errors, (one) => one ?? {}) }),
  }
}

function eventOfDocument({ payload, ...rest }: DocumentedEvent) {
  return { ...rest, payload: anySchema(payload) }
}

/** A schema without a JSON Schema form is any value. */
function anySchema(schema: DocumentedSchema | undefined) {
  return schema === null ? {} : schema
}
