/**
 * How does a packet leave the broker, and how is a connection closed?
 *
 * Every packet goes through `transmit`, where faults and the log see it. Packets of one moment are
 * written together.
 */
import { allocateOwn } from '#bytes'
import { soon } from '#runtime'
import { PACKET_BYTES_MAX } from '../protocol/sizes.ts'
import type { BrokerConnection, BrokerCore } from './broker-state.ts'
import { resetError } from './byte-pipe.ts'
import { encodeFromBroker } from './encode-server.ts'
import type { PacketRecord } from './packet-log.ts'
import type { PacketFromBroker } from './packet-types.ts'

/** @returns the entry of the log for a packet. */
export function packetRecord(
  core: BrokerCore,
  connection: BrokerConnection,
  packet: PacketRecord['packet'],
  direction: PacketRecord['direction'],
): PacketRecord {
  const { clientId, number } = connection
  return { at: core.clock.now(), clientId, connection: number, direction, packet, fault: null }
}

/** Sends a packet, unless the connection is closed or a fault says otherwise. */
export function transmit(
  core: BrokerCore,
  connection: BrokerConnection,
  packet: PacketFromBroker,
): void {
  if (!connection.open) return
  const record = packetRecord(core, connection, packet, 'toClient')
  const fault = core.faults.take(record)
  core.log.add(fault === null ? record : { ...record, fault: fault.kind })
  switch (fault?.kind) {
    case 'drop':
      return noteAnswer(connection, packet)
    case 'delay':
      core.timers.after(fault.ms, () => sendLogged(core, connection, packet))
      return
    case 'kill':
      return cutTransport(connection)
    case 'duplicate':
      putPacket(connection, packet)
      return sendLogged(core, connection, packet)
    default:
      return putPacket(connection, packet)
  }
}

/** Sends a packet past the faults. */
export function sendLogged(
  core: BrokerCore,
  connection: BrokerConnection,
  packet: PacketFromBroker,
): void {
  if (!connection.open) return
  core.log.add(packetRecord(core, connection, packet, 'toClient'))
  putPacket(connection, packet)
}

/** Whether a packet is as small as the client's Maximum Packet Size demands. [MQTT-3.1.2-24] */
export function fits(connection: BrokerConnection, packet: PacketFromBroker): boolean {
  const { maximumPacketSize, version } = connection
  if (maximumPacketSize >= PACKET_BYTES_MAX || version === 0) return true
  return encodeFromBroker(packet, version).length <= maximumPacketSize
}

/** Writes bytes as they are. */
export function putBytes(connection: BrokerConnection, bytes: Uint8Array): void {
  if (!connection.open) return
  if (connection.unwritten.length === 0) soon(flushUnwritten, connection)
  connection.unwritten.push(bytes)
}

function putPacket(connection: BrokerConnection, packet: PacketFromBroker): void {
  noteAnswer(connection, packet)
  putBytes(connection, encodeFromBroker(packet, connection.version || 5))
}

/** A publish of the client no longer counts against Receive Maximum once it is answered. */
function noteAnswer(connection: BrokerConnection, packet: PacketFromBroker): void {
  const { cmd, messageId } = packet
  const ends =
    cmd === 'puback' || cmd === 'pubcomp' || (cmd === 'pubrec' && (packet.reasonCode ?? 0) >= 0x80)
  if (ends && messageId !== undefined) connection.unanswered.delete(messageId)
}

function flushUnwritten(connection: BrokerConnection): void {
  const { unwritten, stream } = connection
  connection.unwritten = []
  if (unwritten.length === 0 || stream.destroyed) return
  stream.write(unwritten.length === 1 ? unwritten[0]! : joinedBytes(unwritten), doNothing)
}

function joinedBytes(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = allocateOwn(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

function doNothing(): void {}

/** Closes a connection in order: what was sent before arrives, then the end. */
export function closeConnection(connection: BrokerConnection): void {
  if (!connection.open) return
  flushUnwritten(connection)
  connection.lost()
  connection.stream.end()
}

/** Ends a connection with a DISCONNECT, which exists in MQTT 5 only. */
export function disconnectClient(
  core: BrokerCore,
  connection: BrokerConnection,
  reasonCode: number,
  reasonString?: string,
): void {
  if (connection.version === 5 && connection.session !== null) {
    const explained = reasonString !== undefined && mayExplain(connection)
    const properties = explained
      ? { properties: { reasonString: reasonString.slice(0, 1000) } }
      : {}
    const packet: PacketFromBroker = { cmd: 'disconnect', reasonCode, ...properties }
    transmit(
      core,
      connection,
      fits(connection, packet) ? packet : { cmd: 'disconnect', reasonCode },
    )
  }
  closeConnection(connection)
}

/** Whether the client wants reasons, which it does unless it says otherwise. [MQTT-3.1.2-29] */
function mayExplain({ connect }: BrokerConnection): boolean {
  return connect?.properties?.requestProblemInformation !== false
}

/** Cuts a connection without a word, at both ends if the transport is in memory. */
export function cutTransport(connection: BrokerConnection): void {
  connection.unwritten = []
  connection.lost()
  connection.stream.destroy()
  connection.clientEnd?.destroy(resetError('ECONNRESET', 'the broker cutTransport the connection'))
}
