/** The public names of `it-mqtt/testing`. Nothing is defined here. */
export {
  type BrokerPublishOptions,
  type ConnectedClient,
  createBroker,
  type RetainedInfo,
  type SessionInfo,
  type TestBroker,
} from './broker.ts'
export type { BrokerHabits, BrokerLimits, BrokerOptions } from './broker-options.ts'
export type { ClientViolation } from './broker-state.ts'
export type { Fault, FaultOptions, Faults, ScriptedAnswer } from './fault-list.ts'
export type { FaultKind, PacketMatch, PacketPattern, PacketRecord } from './packet-log.ts'
export type { MessageAck, PacketFromBroker, PacketFromClient } from './packet-types.ts'
export { type VirtualClock, type VirtualClockOptions, virtualClock } from './virtual-clock.ts'
