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
export { defineApi } from './define-api.ts'
