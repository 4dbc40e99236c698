/** The front door. */

export { Connected, connect } from './connect.ts'
export type { Endpoint, HandshakeHeaders, OpenTransport } from './endpoint.ts'
export {
  BugError,
  ConnectionError,
  MqttError,
  ProtocolError,
  RefusedError,
  StorageError,
  UsageError,
} from './errors.ts'
export { type Eventloop, eventloop } from './eventloop.ts'
export type {
  AuthenticationData,
  Authenticator,
  ExchangeContext,
  ExchangeSteps,
} from './exchange.ts'
export type {
  AttemptOptions,
  ConnectionFailure,
  ConnectOptions,
  DivertOptions,
  EventloopOptions,
  Platform,
  ReconnectOptions,
  Warning,
  WillOptions,
} from './options.ts'
export type {
  Base64,
  Control,
  Incoming,
  IncomingPuback,
  IncomingPubcomp,
  IncomingPublish,
  IncomingPubrec,
  IncomingSuback,
  IncomingUnsuback,
  Outcome,
  PublishProperties,
  PublishRequest,
  QoS,
  Request,
  SentRequest,
  Settling,
  SubscribeRequest,
  Subscription,
  UnsubscribeRequest,
  UserProperties,
} from './packets.ts'
export type { ConnectionKind, Limits, ProtocolVersion } from './protocol/contract.ts'
export { type RecorderOptions, type ReplayedStep, replay } from './recorder.ts'
export {
  type PublishOptions,
  publish,
  type SubscribeOptions,
  subscribe,
  type UnsubscribeOptions,
  unsubscribe,
} from './requests.ts'
export { type RunOptions, type RunResult, run } from './run.ts'
export { decodeSession, encodeSession, Session, type SessionStore } from './session.ts'
export type { Requests } from './sources/source.ts'
export type { LoopState, SubscriptionState } from './state.ts'
export type { Transition } from './transitions.ts'
export { memoryPair } from './transport/memory.ts'
