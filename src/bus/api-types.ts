/**
 * What is an API, and which types follow from its schemas? Types only.
 */
import type { StandardSchema } from '../client/index.ts'

/** A JSON Schema, as plain data: draft 2020-12 or, with its `$schema`, draft-07. */
export interface JsonSchema {
  /** A keyword, such as `type`. */
  readonly [keyword: string]: unknown
}

/** A schema of any library that implements Standard Schema 1, or a JSON Schema. */
export type ApiSchema = StandardSchema | JsonSchema

/** What one side may call. */
export interface ApiRpc {
  /** What is given. Default: nothing. */
  readonly input?: ApiSchema | undefined
  /** What is returned. Default: nothing. */
  readonly output?: ApiSchema | undefined
  /** The data of each error that a handler may declare, by the code of the error. */
  readonly errors?: Readonly<Record<string, ApiSchema>> | undefined
  /**
   * Whether it may be executed twice: then a call is sent again if the connection was lost before
   * its answer came. Default false.
   */
  readonly idempotent?: boolean | undefined
  /** For people. */
  readonly description?: string | undefined
}

/** What one side announces. */
export interface ApiEvent {
  /** What an event says. Default: nothing but that it happened. */
  readonly payload?: ApiSchema | undefined
  /** For people. */
  readonly description?: string | undefined
}

/** The rpcs of an API, by name. */
export type ApiRpcs = Readonly<Record<string, ApiRpc>>

/** The events of an API, by name. */
export type ApiEvents = Readonly<Record<string, ApiEvent>>

/** What `defineApi()` takes. */
export interface ApiDefinition<Rpcs extends ApiRpcs, Events extends ApiEvents> {
  /** Levels of `A-Z`, `a-z`, `0-9`, `_` and `-`, joined by `/`. */
  readonly name: string
  /** A semantic version. Different major versions know nothing of each other. */
  readonly version: string
  /** What can be called. Default: nothing. */
  readonly rpcs?: Rpcs | undefined
  /** What can happen. Default: nothing. */
  readonly events?: Events | undefined
  /** For people. */
  readonly description?: string | undefined
}

/** An API: frozen data that all sides share. `defineApi()` makes it. */
export interface Api<Rpcs extends ApiRpcs = ApiRpcs, Events extends ApiEvents = ApiEvents> {
  /** Its name. */
  readonly name: string
  /** Its version. */
  readonly version: string
  /** The first number of its version. */
  readonly major: number
  /** For people; empty if there is none. */
  readonly description: string
  /** What can be called. */
  readonly rpcs: Rpcs
  /** What can happen. */
  readonly events: Events
}

/** The type of the values that a schema takes; `unknown` for a JSON Schema. */
export type ApiInput<S> = S extends StandardSchema
  ? NonNullable<S['~standard']['types']>['input']
  : unknown

/** The type of the values that a schema makes of them; `unknown` for a JSON Schema. */
export type ApiOutput<S> = S extends StandardSchema
  ? NonNullable<S['~standard']['types']>['output']
  : unknown

interface WithInput<S> {
  readonly input: S
}

interface WithOutput<S> {
  readonly output: S
}

interface WithPayload<S> {
  readonly payload: S
}

interface WithErrors<E> {
  readonly errors: E
}

/** The arguments of a call that say what is given: none, or one. */
export type CallArguments<Rpc> =
  Rpc extends WithInput<infer S> ? [input: ApiInput<S>] : [input?: undefined]

/** What a caller gets. */
export type CallResult<Rpc> = Rpc extends WithOutput<infer S> ? ApiOutput<S> : undefined

/** What a handler is given. */
export type HandlerInput<Rpc> = Rpc extends WithInput<infer S> ? ApiOutput<S> : undefined

/** What a handler returns. */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler without an output may return nothing
export type HandlerResult<Rpc> = Rpc extends WithOutput<infer S> ? ApiInput<S> : void

/** What is given to `fire()`. */
export type FiredPayload<Event> = Event extends WithPayload<infer S> ? ApiInput<S> : undefined

/** What a listener gets. */
export type HeardPayload<Event> = Event extends WithPayload<infer S> ? ApiOutput<S> : undefined

/** The codes of the errors that an rpc declares. */
export type ErrorCodesOf<Rpc> = Rpc extends WithErrors<infer E> ? keyof E & string : never

/** What a handler gives with an error that it declares. */
export type ErrorInput<Rpc, Code> =
  Rpc extends WithErrors<infer E> ? (Code extends keyof E ? ApiInput<E[Code]> : never) : never

/** An error that an rpc declares, as a caller gets it: a union of all its codes. */
export type DeclaredOf<Rpc> =
  Rpc extends WithErrors<infer E>
    ? {
        [Code in keyof E & string]: {
          /** Which error. */
          readonly code: Code
          /** Its data. */
          readonly data: ApiOutput<E[Code]>
          /** What the handler said to people; empty if nothing. */
          readonly message: string
        }
      }[keyof E & string]
    : never
