/**
 * Is a CONNECT accepted, and with which session and limits? (3.1, 3.2)
 */
import type { ProtocolVersion } from '../protocol/facts.ts'
import type { ConnackPacketOf, ConnectPacket } from '../protocol/packets.ts'
import { PACKET_BYTES_MAX } from '../protocol/sizes.ts'
import type { BrokerConnection, BrokerCore, BrokerSession } from './broker-state.ts'
import { sendUnfinished } from './delivery.ts'
import {
  acceptedWill,
  beginSession,
  endSession,
  replaceConnection,
  wakeSession,
} from './session-life.ts'
import { closeConnection, disconnectClient, transmit } from './wire.ts'

type ConnackProperties = NonNullable<ConnackPacketOf['properties']>

/** The return codes of MQTT 3 by the reason codes of MQTT 5; others are "server unavailable". */
const RETURN_CODE: Readonly<Record<number, number>> = {
  132: 1,
  133: 2,
  134: 4,
  135: 5,
  138: 5,
}
/** The longest client identifier of MQTT 3.1, in characters. */
const CLIENT_ID_MAX_3 = 23
/** The Session Expiry Interval that means for ever. */
const FOR_EVER = 0xffff_ffff

/**
 * Handles a CONNECT.
 * @param refusal the reason code with which a fault refuses it, or 0.
 */
export function acceptClient(
  core: BrokerCore,
  connection: BrokerConnection,
  packet: ConnectPacket,
  refusal: number,
): void {
  const version = packet.protocolVersion ?? 4
  connection.version = version
  connection.connect = packet
  const reasonCode = refusal || core.refusesWith || problemOf(core, packet, version)
  if (reasonCode !== 0) return refuseClient(core, connection, reasonCode)
  const { clientId } = connection
  const clean = packet.clean !== false
  for (const other of [...core.connections]) {
    if (other === connection || other.session?.clientId !== clientId) continue
    replaceConnection(core, other, packet)
    other.open = true // The DISCONNECT still leaves.
    disconnectClient(core, other, 0x8e)
  }
  const known = core.sessions.get(clientId)
  if (known !== undefined && clean) endSession(core, known)
  const sessionPresent = known !== undefined && !clean
  const session = sessionPresent ? known : beginSession(core, clientId)
  wakeSession(core, session)
  attachSession(core, connection, session, packet, version)
  const properties = version === 5 ? limitsFor(core, connection, session, packet) : {}
  const code = version === 5 ? { reasonCode: 0, properties } : { returnCode: 0 }
  transmit(core, connection, { cmd: 'connack', sessionPresent, ...code })
  watchKeepAlive(core, connection)
  sendUnfinished(core, session)
}

/** @returns the reason code with which a CONNECT is refused, or 0. */
function problemOf(core: BrokerCore, packet: ConnectPacket, version: ProtocolVersion): number {
  const { protocolVersions, maximumQoS, retainAvailable } = core.settings
  const { clientId, clean, will, properties } = packet
  if (!protocolVersions.includes(version)) return 0x84
  // Enhanced authentication is not supported. [MQTT-4.12.0-1]
  if (properties?.authenticationMethod !== undefined) return 0x8c
  if (clientId === '' && (version === 3 || (version === 4 && clean === false))) return 0x85
  if (version === 3 && clientId.length > CLIENT_ID_MAX_3) return 0x85
  if (will !== undefined && (will.qos ?? 0) > maximumQoS) return 0x9b
  return will?.retain && !retainAvailable ? 0x9a : 0
}

function refuseClient(core: BrokerCore, connection: BrokerConnection, reasonCode: number): void {
  const code =
    connection.version === 5 ? { reasonCode } : { returnCode: RETURN_CODE[reasonCode] ?? 3 }
  transmit(core, connection, { cmd: 'connack', sessionPresent: false, ...code })
  closeConnection(connection)
}

function attachSession(
  core: BrokerCore,
  connection: BrokerConnection,
  session: BrokerSession,
  packet: ConnectPacket,
  version: ProtocolVersion,
): void {
  const { settings, clock } = core
  const properties = packet.properties ?? {}
  session.expiryMs = expiryMsOf(core, packet, version)
  session.connection = connection
  connection.session = session
  connection.will = acceptedWill(core, packet)
  connection.connectedAt = clock.now()
  connection.inFlight = 0
  connection.receiveMaximum = Math.min(settings.maxInflight, properties.receiveMaximum ?? 65_535)
  connection.maximumPacketSize = properties.maximumPacketSize ?? PACKET_BYTES_MAX
  const { serverKeepAlive } = settings
  const prescribed = version === 5 && serverKeepAlive >= 0
  const keepAlive = prescribed ? serverKeepAlive : (packet.keepalive ?? 0)
  connection.silenceMsMax = keepAlive * 1500
}

function expiryMsOf(core: BrokerCore, packet: ConnectPacket, version: ProtocolVersion): number {
  if (version !== 5) return packet.clean === false ? Number.POSITIVE_INFINITY : 0
  const asked = packet.properties?.sessionExpiryInterval ?? 0
  return expiryMs(Math.min(asked, core.settings.sessionExpiryMaximum))
}

/** @returns a Session Expiry Interval in ms. */
export function expiryMs(seconds: number): number {
  return seconds === FOR_EVER ? Number.POSITIVE_INFINITY : seconds * 1000
}

/** @returns the properties of the CONNACK: what differs from the defaults of the standard. */
function limitsFor(
  core: BrokerCore,
  { clientId, connect }: BrokerConnection,
  session: BrokerSession,
  packet: ConnectPacket,
): ConnackProperties {
  const { settings } = core
  const found: ConnackProperties = {}
  if (connect?.clientId === '') found.assignedClientIdentifier = clientId
  const asked = packet.properties?.sessionExpiryInterval ?? 0
  if (expiryMs(asked) !== session.expiryMs) {
    found.sessionExpiryInterval = settings.sessionExpiryMaximum
  }
  if (settings.receiveMaximum < 65_535) found.receiveMaximum = settings.receiveMaximum
  if (settings.maximumQoS < 2) found.maximumQoS = settings.maximumQoS
  if (!settings.retainAvailable) found.retainAvailable = false
  if (!settings.wildcardAvailable) found.wildcardSubscriptionAvailable = false
  if (!settings.sharedAvailable) found.sharedSubscriptionAvailable = false
  if (!settings.subscriptionIdentifiersAvailable) found.subscriptionIdentifiersAvailable = false
  if (settings.topicAliasMaximum > 0) found.topicAliasMaximum = settings.topicAliasMaximum
  if (settings.maximumPacketSize < PACKET_BYTES_MAX) {
    found.maximumPacketSize = settings.maximumPacketSize
  }
  if (settings.serverKeepAlive >= 0) found.serverKeepAlive = settings.serverKeepAlive
  const wantsResponse = packet.properties?.requestResponseInformation === true
  if (wantsResponse && settings.responseInformation !== '') {
    found.responseInformation = settings.responseInformation
  }
  return found
}

/** Ends the connection if nothing comes for one and a half times the keep-alive. [MQTT-3.1.2-22] */
function watchKeepAlive(core: BrokerCore, connection: BrokerConnection): void {
  const { silenceMsMax } = connection
  if (silenceMsMax === 0) return
  const check = (): void => {
    if (!connection.open) return
    // A broker that hangs does not read, and knows nothing of what has come.
    if (core.hanging) connection.lastReceivedAt = core.clock.now()
    const leftMs = connection.lastReceivedAt + silenceMsMax - core.clock.now()
    if (leftMs <= 0) disconnectClient(core, connection, 0x8d)
    else connection.silenceTimer = core.timers.after(leftMs, check)
  }
  connection.silenceTimer = core.timers.after(silenceMsMax, check)
}
