/**
 * The public names of `it-mqtt`; `it-mqtt/disk` has its own (disk/index.ts). Nothing is defined
 * here.
 */

export { diagnosticsChannel, machineName, requestChannel } from '#runtime'
export { memoryPair } from '#transport'
export {
  BugError,
  ConnectionError,
  type ErrorCode,
  type ErrorCodes,
  type FilterAnswer,
  MqttError,
  type PayloadIssue,
  ProtocolError,
  RefusedError,
  type RemoteFailure,
  StorageError,
  UsageError,
  type WarningCode,
  type WarningCodes,
} from './errors.ts'
export type { LoopChoices } from './loop/beginning.ts'
export { Connected, connect } from './loop/connect.ts'
export { type Eventloop, eventloop } from './loop/eventloop.ts'
export type { LoopState, SubscriptionState } from './loop/loop-state.ts'
export { type ReplayedStep, replay } from './loop/recorder.ts'
export { type RunOptions, type RunResult, run } from './loop/run.ts'
export type { Transition } from './loop/transitions.ts'
export type {
  AuthenticationData,
  Authenticator,
  ExchangeContext,
  ExchangeSteps,
} from './options/authenticator-options.ts'
export type { BrokerProfile, RefusalForm } from './options/broker-profile.ts'
export type { DivertOptions } from './options/divert-options.ts'
export type {
  AttemptOptions,
  ConnectOptions,
  EventloopOptions,
  Warning,
  WillOptions,
} from './options/options.ts'
export type { RecorderOptions } from './options/recorder-options.ts'
export { browserHints } from './platform/browser-hints.ts'
export type {
  ByteStream,
  Endpoint,
  HandshakeHeaders,
  OpenTransport,
  SocketOptions,
  WebStreams,
} from './platform/byte-stream.ts'
export type { EventChannel } from './platform/event-channel.ts'
export { machine as systemPlatform, type Platform } from './platform/machine.ts'
export { textOfBytes as text } from './platform/text-of-bytes.ts'
export type { Tolerance } from './protocol/deviations.ts'
export type { ProtocolVersion } from './protocol/facts.ts'
export type { ConnectionKind, Limits } from './protocol/state.ts'
export { matches } from './protocol/topics.ts'
export {
  type PublishOptions,
  publish,
  type SubscribeOptions,
  subscribe,
  type UnsubscribeOptions,
  unsubscribe,
} from './requests/build.ts'
export { checkRequest } from './requests/check-request.ts'
export { Session, type SessionStore } from './requests/session.ts'
export { decodeSession, encodeSession } from './requests/session-text.ts'
export type { Requests } from './requests/source.ts'
export { validateFilter, validateTopic } from './requests/topic-checks.ts'
export type {
  AuthPacket,
  Base64,
  ConnackPacket,
  ConnectionFailure,
  ConnectProperties,
  Control,
  DisconnectPacket,
  Incoming,
  IncomingPuback,
  IncomingPubcomp,
  IncomingPublish,
  IncomingPubrec,
  IncomingSuback,
  IncomingUnsuback,
  Outcome,
  PingrespPacket,
  PublishProperties,
  PublishRequest,
  PubrelPacket,
  QoS,
  ReconnectOptions,
  ReconnectWhen,
  Request,
  SentRequest,
  Settling,
  SubscribeRequest,
  Subscription,
  UnsubscribeRequest,
  UserProperties,
  WillProperties,
} from './requests/vocabulary.ts'
