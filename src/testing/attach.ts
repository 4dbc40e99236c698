/** How does a stream of bytes become a connection of the broker? */
import { ProtocolError } from '../errors.ts'
import type { ByteStream } from '../platform/byte-stream.ts'
import { PACKET_BYTES_MAX } from '../protocol/sizes.ts'
import type { BrokerConnection, BrokerCore } from './broker-state.ts'
import { ClientDecoder } from './client-decoder.ts'
import { receivePacket } from './handle-packet.ts'
import { connectionEnded } from './session-life.ts'
import { violate } from './violations.ts'
import { closeConnection } from './wire.ts'

/**
 * Makes a connection of a stream.
 * @param clientEnd the client's end of it if it is in memory.
 */
export function attach(core: BrokerCore, stream: ByteStream, clientEnd: ByteStream | null): void {
  const connection: BrokerConnection = {
    ...{ number: ++core.connectionCount, stream, clientEnd, open: true, unwritten: [] },
    decoder: new ClientDecoder(core.settings.maximumPacketSize),
    ...{ version: 0, clientId: '', connect: null, connectedAt: 0, session: null, will: null },
    ...{ silenceMsMax: 0, silenceTimer: null, lastReceivedAt: core.clock.now() },
    aliases: new Map(),
    unanswered: new Set(),
    ...{ inFlight: 0, receiveMaximum: 0, maximumPacketSize: PACKET_BYTES_MAX },
    lost: () => connectionEnded(core, connection),
  }
  core.connections.add(connection)
  stream.on('error', () => {})
  stream.on('close', connection.lost)
  stream.on('end', () => (connection.open ? closeConnection(connection) : stream.end()))
  stream.on('data', (chunk) => {
    if (!connection.open) return
    connection.decoder.push(chunk)
    readPackets(core, connection)
  })
  if (core.hanging) stream.pause()
}

/** Handles what has come, unless the broker hangs. */
export function readPackets(core: BrokerCore, connection: BrokerConnection): void {
  while (connection.open && !core.hanging) {
    try {
      const packet = connection.decoder.next()
      if (packet === null) return
      receivePacket(core, connection, packet)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      violate(core, connection, error)
    }
  }
}
