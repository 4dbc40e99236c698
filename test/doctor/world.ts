/** An examination of a broker in memory, on a virtual clock. */
import { type DoctorOptions, type DoctorReport, examine } from '../../src/doctor/index.ts'
import {
  type BrokerOptions,
  createBroker,
  type PacketRecord,
  type TestBroker,
  type VirtualClock,
  virtualClock,
} from '../../src/testing/index.ts'

export interface Patient {
  readonly clock: VirtualClock
  readonly broker: TestBroker
  readonly target: DoctorOptions
}

export function patient(options: BrokerOptions = {}, version?: 4 | 5): Patient {
  const clock = virtualClock()
  const broker = createBroker({ clock, ...options })
  const spoken = version === undefined ? {} : { protocolVersion: version }
  return { clock, broker, target: { transport: broker.transport, platform: clock, ...spoken } }
}

/** @returns the report of an examination that takes no longer than a minute of the clock. */
export function reported(
  { clock, target }: Patient,
  options: DoctorOptions = {},
): Promise<DoctorReport> {
  return clock.until(examine({ ...target, ...options }).report(), 60_000)
}

/** The publishes of one question, which a fault is to meet. */
export const about =
  (question: string, is: (record: PacketRecord) => boolean = () => true) =>
  (record: PacketRecord): boolean => {
    const { packet } = record
    return packet.cmd === 'publish' && packet.topic.includes(`/${question}/`) && is(record)
  }

export const toClient = ({ direction }: PacketRecord) => direction === 'toClient'
export const toBroker = ({ direction }: PacketRecord) => direction === 'toBroker'

export const payloadOfRecord = ({ packet }: PacketRecord) =>
  packet.cmd === 'publish' ? Buffer.from(packet.payload as Uint8Array).toString() : ''
