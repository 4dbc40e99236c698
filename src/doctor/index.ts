/** The public names of `it-mqtt/doctor`. Nothing is defined here. */
export type { BrokerProfile, RefusalForm } from '../index.ts'
export type {
  Certainty,
  DoctorFailure,
  DoctorOptions,
  DoctorReport,
  Examination,
  Finding,
} from './doctor-types.ts'
export { examine } from './examine.ts'
