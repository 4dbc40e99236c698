/** `it-mqtt/client`: topics with parameters and typed values. Nothing is defined here. */
export { bytes, type Codec, type PayloadContext, text } from './codec.ts'
export { json } from './json-codec.ts'
export type {
  SchemaInput,
  SchemaOutput,
  StandardIssue,
  StandardPathSegment,
  StandardProps,
  StandardResult,
  StandardSchema,
} from './standard-schema.ts'
export { topic } from './topic.ts'
export type { FillParams, ParamsOf, Topic, TopicOptions, TopicParams } from './topic-types.ts'
