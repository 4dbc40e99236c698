/** The public names of `it-mqtt/bus/testing`. Nothing is defined here. */
export { type ContractOptions, type ContractReport, contractTest } from './contract-test.ts'
export { type FakeBus, fakeBus } from './fake-bus.ts'
export type {
  CallRecord,
  Expectation,
  FakeBusOptions,
  FireRecord,
  MockAnswer,
} from './fake-types.ts'
