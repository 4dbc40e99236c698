/** The public names of `it-mqtt/event-stream`. Nothing is defined here. */
export type { IdleOptions, StreamSource, WebReadable } from './chunk-source.ts'
export {
  type HeaderInput,
  type HeadersInput,
  type HeaderValue,
  header,
  type MessageInput,
  type StreamMessage as Message,
} from './codec/header-values.ts'
export {
  type DecodeLimits,
  decodeStreamMessage as decodeMessage,
} from './codec/message-decoder.ts'
export {
  encodeMessageParts,
  encodeStreamMessage as encodeMessage,
} from './codec/message-encoder.ts'
export { type DecodeOptions, decodeStream, encodeStream } from './decode-stream.ts'
