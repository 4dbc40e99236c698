/**
 * Which APIs did an AsyncAPI document come from? Read from the `x-it-mqtt` that `toAsyncApi()`
 * wrote. Descriptions and schemas that were changed in between are taken as they are.
 */
import { UsageError } from '../../index.ts'
import type { Api, ApiEvent, ApiRpc, ApiSchema } from '../api-types.ts'
import { inQuotes, majorOf } from '../bus-names.ts'
import { defineApi } from '../define-api.ts'
import { referenceIn, schemaOfComponent } from './asyncapi-refs.ts'
import { atPointer, checkReferences } from './schema-refs.ts'

type AsyncApiFields = Readonly<Record<string, unknown>>

/** How many Reference Objects may follow one another. */
const REFERENCES_MAX = 8

/** The APIs that are being read, by name and major version. */
interface ReadApi {
  readonly name: string
  readonly version: string
  readonly description: string | undefined
  readonly rpcs: [string, ApiRpc][]
  readonly events: [string, ApiEvent][]
}

/**
 * Reads the APIs of a document that `toAsyncApi()` made, with JSON Schemas in the place of what
 * was in code; where there was no JSON Schema form any value fits. Schemas become a part of the
 * program that uses the APIs: read only documents that you trust.
 * @param document the parsed document.
 * @throws UsageError for a document that is not AsyncAPI 3, or has no `x-it-mqtt`; what
 *   `defineApi()` throws.
 */
export function fromAsyncApi(document: unknown): readonly Api[] {
  const { asyncapi, operations = {}, 'x-it-mqtt': marks } = tableAt('the document', document)
  if (typeof asyncapi !== 'string' || !asyncapi.startsWith('3.')) {
    throw unusable(`it is not AsyncAPI 3, but ${inQuotes(asyncapi)}`)
  }
  if (marks === undefined) throw unusable('it has no x-it-mqtt, which toAsyncApi() writes')
  const { apis } = tableAt('x-it-mqtt', marks)
  if (!Array.isArray(apis)) throw unusable('x-it-mqtt.apis is no array')
  const all = new Map<string, ReadApi>()
  for (const given of apis) {
    const { name, version, description } = tableAt('x-it-mqtt.apis', given)
    const id = `${String(name)} ${majorOf(version)}`
    if (all.has(id)) throw unusable(`the API ${inQuotes(id)} stands twice in x-it-mqtt`)
    const read = { name, version, description, rpcs: [], events: [] }
    all.set(id, read as unknown as ReadApi)
  }
  for (const [id, given] of Object.entries(tableAt('operations', operations))) {
    const operation = tableAt(id, resolvedIn(document, given))
    if (operation['x-it-mqtt'] === undefined) continue
    const { api, major, rpc, event } = tableAt(id, operation['x-it-mqtt'])
    const read = all.get(`${String(api)} ${String(major)}`)
    if (read === undefined) throw unusable(`${id} is of an API that x-it-mqtt does not name`)
    if (rpc !== undefined) read.rpcs.push([String(rpc), rpcOfOperation(document, id, operation)])
    else read.events.push([String(event), eventOfOperation(document, id, operation)])
  }
  return Object.freeze([...all.values()].map(defined))
}

function defined({ name, version, description, rpcs, events }: ReadApi): Api {
  const table = <T>(entries: readonly [string, T][]) => Object.fromEntries(entries)
  return defineApi({
    ...{ name, version, rpcs: table(rpcs), events: table(events) },
    ...(description === undefined ? {} : { description }),
  })
}

function unusable(why: string): UsageError {
  return new UsageError(`fromAsyncApi: the document cannot be read: ${why}`)
}

function tableAt(where: string, value: unknown): AsyncApiFields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as AsyncApiFields
  throw unusable(`${where} is no object`)
}

/** @returns what a Reference Object stands for. */
function resolvedIn(document: unknown, given: unknown): unknown {
  let value = given
  for (let count = 0; count < REFERENCES_MAX; count++) {
    const reference = referenceIn(value)
    if (reference === null) return value
    if (!reference.startsWith('#/')) {
      throw unusable(`the $ref ${inQuotes(reference)} leads out of the document`)
    }
    value = atPointer(document, reference)
    if (value === undefined) throw unusable(`the $ref ${inQuotes(reference)} leads nowhere`)
  }
  throw unusable('a $ref leads to too many others')
}

function messagesOf(document: unknown, id: string, given: unknown): readonly AsyncApiFields[] {
  if (!Array.isArray(given)) throw unusable(`${id} has no array of messages`)
  return given.map((message) => tableAt(id, resolvedIn(document, message)))
}

function rpcOfOperation(document: unknown, id: string, operation: AsyncApiFields): ApiRpc {
  const { messages, reply, 'x-it-mqtt': marks, description } = operation
  const input = messagesOf(document, id, messages)[0]
  const answers = messagesOf(document, id, tableAt(id, resolvedIn(document, reply))['messages'])
  const errors: [string, ApiSchema][] = []
  let output: ApiSchema | undefined
  for (const answer of answers) {
    const { error } = messageMarks(id, answer)
    const schema = payloadSchema(document, id, answer)
    if (error === undefined) output = schema
    else errors.push([String(error), schema ?? {}])
  }
  return {
    input: input === undefined ? undefined : payloadSchema(document, id, input),
    output,
    ...(errors.length === 0 ? {} : { errors: Object.fromEntries(errors) }),
    ...(tableAt(id, marks)['idempotent'] === true ? { idempotent: true } : {}),
    ...describedBy(description),
  }
}

function eventOfOperation(document: unknown, id: string, operation: AsyncApiFields): ApiEvent {
  const [message] = messagesOf(document, id, operation['messages'])
  return {
    payload: message === undefined ? undefined : payloadSchema(document, id, message),
    ...describedBy(operation['description']),
  }
}

function describedBy(description: unknown): { readonly description?: string } {
  return typeof description === 'string' ? { description } : {}
}

function messageMarks(id: string, message: AsyncApiFields): AsyncApiFields {
  const marks = message['x-it-mqtt']
  return marks === undefined ? {} : tableAt(id, marks)
}

function payloadSchema(
  document: unknown,
  id: string,
  message: AsyncApiFields,
): ApiSchema | undefined {
  const { payload } = message
  if (payload !== undefined) {
    const schema = tableAt(`a payload of ${id}`, schemaOfComponent(document, payload))
    checkReferences(`fromAsyncApi: a payload of ${id}`, schema)
    return schema
  }
  return messageMarks(id, message)['schema'] === null ? {} : undefined
}
