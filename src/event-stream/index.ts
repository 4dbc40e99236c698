/** The public names of `it-mqtt/event-stream`. Nothing is defined here. */
export {
  type BytePair,
  type NodeWritable,
  overBytes,
  type WebWritable,
} from './byte-carrier.ts'
export { type ChunkSigningOptions, type ChunkToSign, chunkSigning } from './chunk-signing.ts'
export type { IdleOptions, StreamSource, WebReadable } from './chunk-source.ts'
export type { DecodeLimits } from './codec/frame-rules.ts'
export {
  type HeaderInput,
  type HeadersInput,
  type HeaderValue,
  header,
  type MessageInput,
  type StreamMessage as Message,
} from './codec/header-values.ts'
export { decodeStreamMessage as decodeMessage } from './codec/message-decoder.ts'
export {
  encodeMessageParts,
  encodeStreamMessage as encodeMessage,
} from './codec/message-encoder.ts'
export { type DecodeOptions, decodeStream, encodeStream } from './decode-stream.ts'
export {
  defineEvents,
  type EventDefinition,
  type EventDefinitions,
  type EventHeaders,
  type EventOf,
  type EventSet,
  type EventValue,
  type OtherDefinitions,
  type SentValue,
} from './event-definitions.ts'
export type {
  Carrier,
  EventStream,
  EventStreamOptions,
  InitialValue,
  Senders,
  Signed,
  Signer,
  SignRequest,
  StreamFailure,
  StreamWarning,
  Verified,
  Verifier,
} from './event-stream-types.ts'
export { type MqttCarrierOptions, overMqtt } from './mqtt-carrier.ts'
export { openEventStream } from './open-event-stream.ts'
export {
  bindTopic,
  checkTopics,
  type LabelValue,
  type ModeledTopic,
  type TopicBinding,
} from './topic-binding.ts'
