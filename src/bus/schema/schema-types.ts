/**
 * What is a schema document? It says in JSON what an API takes and gives, for those who do not have
 * the API in code. Types only; docs/WIRE.md has the document for other implementations.
 */
import type { JsonSchema } from '../api-types.ts'

/**
 * A JSON Schema 2020-12 (or, with its `$schema`, of another draft) of a value as it travels. Null:
 * the API has a schema there that has no JSON Schema form.
 */
export type DocumentedSchema = JsonSchema | null

/** An rpc in a schema document. */
export interface DocumentedRpc {
  /** What is given. Absent: nothing. */
  readonly input?: DocumentedSchema
  /** What is returned. Absent: nothing. */
  readonly output?: DocumentedSchema
  /** The data of each declared error, by its code. Absent: there are none. */
  readonly errors?: Readonly<Record<string, DocumentedSchema>>
  /** Whether it may be executed twice. Absent: it may not. */
  readonly idempotent?: true
  /** For people. */
  readonly description?: string
}

/** An event in a schema document. */
export interface DocumentedEvent {
  /** What an event says. Absent: nothing but that it happened. */
  readonly payload?: DocumentedSchema
  /** For people. */
  readonly description?: string
}

/** A schema document: an API as one service has it, as data. */
export interface SchemaDocument {
  /** The version of this format. */
  readonly itm: 1
  /** The name of the API. */
  readonly api: string
  /** The semantic version of the API. */
  readonly version: string
  /** The service that serves it. */
  readonly service: string
  /** SHA-256 of the canonical text of everything else, in hexadecimal digits. */
  readonly hash: string
  /** For people. */
  readonly description?: string
  /** What can be called. */
  readonly rpcs: Readonly<Record<string, DocumentedRpc>>
  /** What can happen. */
  readonly events: Readonly<Record<string, DocumentedEvent>>
}
