/** The public names of `it-mqtt/bus`. Nothing is defined here. */
export type {
  Api,
  ApiDefinition,
  ApiEvent,
  ApiEvents,
  ApiInput,
  ApiOutput,
  ApiRpc,
  ApiRpcs,
  ApiSchema,
  CallArguments,
  CallResult,
  DeclaredOf,
  ErrorCodesOf,
  ErrorInput,
  FiredPayload,
  HandlerInput,
  HandlerResult,
  HeardPayload,
  JsonSchema,
} from './api-types.ts'
export { createBus } from './bus.ts'
export type {
  ApiCaller,
  Bus,
  BusOptions,
  BusValidation,
  CallOptions,
  EventOutbox,
  EventPort,
  FireArguments,
  Fired,
  FireOptions,
  Implementation,
  Served,
  ServedCall,
  ServeOptions,
  ValueOfPort,
} from './bus-types.ts'
export { declaredError } from './declared-error.ts'
export { defineApi } from './define-api.ts'
export type {
  BusHooks,
  CallContext,
  ExecuteContext,
  FireContext,
  HandleContext,
  Hook,
  LifeContext,
  PublishSchemaContext,
} from './hook-types.ts'
export type {
  BusEvent,
  BusListener,
  EventAction,
  EventDedupe,
  EventIterator,
  ListenerOptions,
  ListenerStats,
  RetryOptions,
} from './listener-types.ts'
export {
  type CompareSchemasOptions,
  compareSchemas,
  type SchemaChange,
  type SchemaComparison,
  type SchemaVerdict,
} from './schema/compare-schemas.ts'
export { type DumpSchemaOptions, dumpSchema, schemaText } from './schema/dump-schema.ts'
export { fromAsyncApi } from './schema/from-asyncapi.ts'
export { loadSchema } from './schema/load-schema.ts'
export type { AskSchemaOptions, SchemaPublishing } from './schema/schema-options.ts'
export type {
  DocumentedEvent,
  DocumentedRpc,
  DocumentedSchema,
  SchemaDocument,
} from './schema/schema-types.ts'
export type { UndeclaredProperties } from './schema/subset-types.ts'
export { type AsyncApiDocument, type AsyncApiOptions, toAsyncApi } from './schema/to-asyncapi.ts'
export type { JsonSchemaCompiler, JsonSchemaValidator } from './schema-check.ts'
