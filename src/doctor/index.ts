/** The public names of `it-mqtt/doctor`. Nothing is defined here. */
export type { BrokerProfile, RefusalForm } from '../index.ts'
export type {
  DoctorFailure,
  DoctorOptions,
  DoctorReport,
  Examination,
  Finding,
  FindingCertainty,
} from './doctor-types.ts'
export { examine } from './examine.ts'
