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
  ApiSettings,
  Bus,
  BusFeature,
  BusFeatures,
  BusOptions,
  BusRunOptions,
  CallOptions,
  EventPort,
  Implementation,
  Served,
  ServedCall,
  ServeOptions,
  ValueOfPort,
} from './bus-types.ts'
export { configSchema } from './config/config-schema.ts'
export type {
  ConfigFetch,
  ConfigResponse,
  ConfigSource,
  ConfigText,
  ConfigValue,
  LoadConfigOptions,
} from './config/config-types.ts'
export { loadConfig } from './config/load-config.ts'
export {
  type Redriven,
  type RedrivenLetter,
  type RedriveOptions,
  redriveDeadLetters,
} from './dead-letters.ts'
export { declaredError } from './declared-error.ts'
export { defineApi } from './define-api.ts'
export { type BusDescription, describeBus } from './describe-bus.ts'
export type {
  DiscoveredApi,
  DiscoveredListener,
  DiscoveredProcess,
  DiscoveredTask,
  DiscoverOptions,
} from './discover-types.ts'
export type { EventOutbox, FireArguments, Fired, FireOptions } from './fire-types.ts'
export { type ForgetOptions, type Forgotten, forgetListener } from './forget-listener.ts'
export type {
  BusHooks,
  CallContext,
  ExecuteContext,
  FireContext,
  HandleContext,
  Hook,
  LifeContext,
  PublishSchemaContext,
  TaskContext,
} from './hook-types.ts'
export {
  type InspectedEvent,
  type InspectedKind,
  type InspectedLetter,
  type InspectedSchema,
  type InspectOptions,
  inspectFilters,
  inspectMessage,
} from './inspected.ts'
export type { ListenerPlace } from './listener-place.ts'
export type {
  BusEvent,
  BusListener,
  EventAction,
  EventDedupe,
  EventIterator,
  ListenerOptions,
  ListenerSettings,
  ListenerStats,
  RetryOptions,
} from './listener-types.ts'
export { openTelemetry, type TelemetryApi, type TelemetrySpan } from './open-telemetry.ts'
export { type MetricsRegistry, prometheus } from './prometheus.ts'
export type {
  BusLogger,
  BusLogLevel,
  BusLogWriter,
  EventReport,
  RpcReport,
  SchemaReport,
} from './report-types.ts'
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
export {
  type DocumentedPlace,
  type SchemaCheck,
  type SchemaChecker,
  type SchemaCheckerOptions,
  schemaChecker,
} from './schema/schema-checker.ts'
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
export type {
  BusTask,
  CronOptions,
  Interval,
  TaskAction,
  TaskOptions,
  TaskRun,
  TaskStats,
  Times,
} from './task-types.ts'
export type { BusValidation } from './validation-types.ts'
