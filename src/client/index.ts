/** The public names of `it-mqtt/client`. Nothing is defined here. */
export type { BrokerProfile, RefusalForm } from '../index.ts'
export { createClient, hostOf } from './client.ts'
export type {
  ClientHost,
  ClientListener,
  PublishListener,
  UnaskedListener,
} from './client-host.ts'
export type { Client, ClientState, Closed } from './client-interface.ts'
export type {
  ClientOptions,
  ClientPublishOptions,
  ClientTarget,
  Published,
  PublishedOne,
  TopicPublishOptions,
} from './client-types.ts'
export { bytes, type Codec, type PayloadContext, text } from './codec.ts'
export { issuePlaces } from './invalid-payload.ts'
export { json } from './json-codec.ts'
export type {
  AnswerTopic,
  FallbackRequest,
  ManyOptions,
  RequestCounters,
  RequestEvent,
  RequestOptions,
  Response,
  Trace,
  TraceOperation,
} from './request-types.ts'
export type { Requester } from './requester-type.ts'
export type {
  AnswerOptions,
  DeclaredFailure,
  DedupeOptions,
  DedupeStore,
  IncomingRequest,
  RequestSubscription,
  RequestsOptions,
  Responder,
  ResponderStats,
  RespondOptions,
  StoredAnswer,
} from './respond-types.ts'
export type {
  Decoded,
  NoSchema,
  SchemaInput,
  SchemaOutput,
  StandardIssue,
  StandardPathSegment,
  StandardProps,
  StandardResult,
  StandardSchema,
} from './standard-schema.ts'
export { payloadIssues } from './standard-schema.ts'
export type {
  ClientSubscribeOptions,
  ClientSubscriptionState,
  Message,
  NextOptions,
  Overflow,
  Subscription,
  SubscriptionTransition,
  Synced,
} from './subscription-types.ts'
export { topic } from './topic.ts'
export type {
  FillParams,
  ParamsOf,
  ParamsOfEach,
  Topic,
  TopicOptions,
  TopicParams,
  ValueOfEach,
} from './topic-types.ts'
