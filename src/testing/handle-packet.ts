/**
 * What does the broker do about a packet of a client?
 *
 * `receivePacket` sees every packet first: it notes it in the log and lets the faults have it.
 */
import type { DisconnectPacket, PublishPacket } from '../protocol/packets.ts'
import { acceptClient, expiryMs } from './accept-client.ts'
import type { BrokerConnection, BrokerCore, BrokerMessage, BrokerSession } from './broker-state.ts'
import { handleMessageAck } from './delivery.ts'
import type { ActiveFault } from './fault-list.ts'
import { handleSubscribe, handleUnsubscribe } from './handle-subscribe.ts'
import type { PacketFromClient } from './packet-types.ts'
import { routeMessage } from './routing.ts'
import { violate } from './violations.ts'
import {
  closeConnection,
  cutTransport,
  packetRecord,
  putBytes,
  sendLogged,
  transmit,
} from './wire.ts'

/** Takes a packet that was decoded. */
export function receivePacket(
  core: BrokerCore,
  connection: BrokerConnection,
  packet: PacketFromClient,
): void {
  connection.lastReceivedAt = core.clock.now()
  if (packet.cmd === 'connect') {
    const { clientId, protocolVersion } = packet
    connection.clientId = clientId === '' ? `assigned-${++core.assignedCount}` : clientId
    connection.version = protocolVersion ?? 4
  }
  const record = packetRecord(core, connection, packet, 'toBroker')
  const fault = core.faults.take(record)
  core.log.add(fault === null ? record : { ...record, fault: fault.kind })
  switch (fault?.kind) {
    case 'drop':
      return
    case 'kill':
      return cutTransport(connection)
    case 'answer':
      for (const answer of fault.answer?.(record) ?? []) {
        if (answer instanceof Uint8Array) putBytes(connection, answer)
        else sendLogged(core, connection, withIdentifier(answer, packet))
      }
      return
    case 'delay':
      core.timers.after(fault.ms, () => {
        if (!connection.open) return
        core.log.add(packetRecord(core, connection, packet, 'toBroker'))
        handlePacket(core, connection, packet, null)
      })
      return
    case 'duplicate':
      handlePacket(core, connection, packet, null)
      if (!connection.open) return
      core.log.add(packetRecord(core, connection, packet, 'toBroker'))
      return handlePacket(core, connection, packet, null)
    default:
      return handlePacket(core, connection, packet, fault)
  }
}

/** The packets of an answer that carry the identifier of what they answer. */
const ANSWERING: ReadonlySet<string> = new Set([
  ...['puback', 'pubrec', 'pubrel', 'pubcomp', 'suback', 'unsuback'],
])

function withIdentifier<Answer extends { readonly cmd: string; readonly messageId?: number }>(
  answer: Answer,
  { messageId }: PacketFromClient,
): Answer {
  if (!ANSWERING.has(answer.cmd) || answer.messageId !== undefined) return answer
  return messageId === undefined ? answer : { ...answer, messageId }
}

function handlePacket(
  core: BrokerCore,
  connection: BrokerConnection,
  packet: PacketFromClient,
  fault: ActiveFault | null,
): void {
  const { session } = connection
  const refusal = fault?.reasonCode ?? 0
  if (packet.cmd === 'connect') {
    if (session === null) acceptClient(core, connection, packet, refusal)
    return
  }
  // Its CONNECT was dropped or delayed by a fault.
  if (session === null) return
  switch (packet.cmd) {
    case 'publish':
      return handlePublish(core, connection, session, packet, refusal)
    case 'puback':
    case 'pubrec':
    case 'pubcomp':
      return handleMessageAck(core, connection, session, packet)
    case 'pubrel':
      return handlePubrel(core, connection, session, packet.messageId ?? 0)
    case 'subscribe':
      return handleSubscribe(core, connection, session, packet, fault)
    case 'unsubscribe':
      return handleUnsubscribe(core, connection, session, packet, refusal)
    case 'pingreq':
      return transmit(core, connection, { cmd: 'pingresp' })
    case 'disconnect':
      return handleDisconnect(core, connection, session, packet)
    default: {
      const message = 'an auth without an authenticationMethod in the CONNECT'
      violate(core, connection, { reasonCode: 0x82, clause: 'MQTT-4.12.0-6', message })
    }
  }
}

function handlePublish(
  core: BrokerCore,
  connection: BrokerConnection,
  session: BrokerSession,
  packet: PublishPacket,
  refusal: number,
): void {
  const broken = brokenLimit(core, connection, packet)
  if (broken !== null) {
    const [reasonCode, clause, message] = broken
    return violate(core, connection, { reasonCode, clause, message })
  }
  const topic = resolveAlias(core, connection, packet)
  if (topic === null) return
  const { qos, messageId = 0 } = packet
  const isRepeated = qos === 2 && session.unreleased.has(messageId)
  if (qos > 0) connection.unanswered.add(messageId)
  const isMqtt5 = connection.version === 5
  let reasonCode = 0
  if (refusal !== 0) {
    if (isMqtt5) reasonCode = refusal
  } else if (!isRepeated) {
    const count = routeMessage(core, acceptedMessage(core, session, packet, topic))
    if (count === 0 && isMqtt5 && core.settings.noMatchingSubscribers) reasonCode = 0x10
  }
  if (qos === 2 && reasonCode < 0x80) session.unreleased.add(messageId)
  if (qos === 0) return
  transmit(core, connection, { cmd: qos === 1 ? 'puback' : 'pubrec', messageId, reasonCode })
}

type BrokenLimit = readonly [reasonCode: number, clause: string, message: string]

/** @returns the limit of the CONNACK that a publish exceeds, or null. MQTT 3 announces none. */
function brokenLimit(
  core: BrokerCore,
  { version, unanswered }: BrokerConnection,
  { qos, retain, messageId = 0 }: PublishPacket,
): BrokenLimit | null {
  if (version !== 5) return null
  const { retainAvailable, maximumQoS, receiveMaximum } = core.settings
  if (retain && !retainAvailable) {
    return [0x9a, 'MQTT-3.2.2-14', 'a retained publish, which the CONNACK excludes']
  }
  if (qos > maximumQoS) {
    return [0x9b, 'MQTT-3.2.2-11', `a publish at QoS ${qos}; the Maximum QoS is ${maximumQoS}`]
  }
  const isFull = unanswered.size >= receiveMaximum && !unanswered.has(messageId)
  if (qos === 0 || !isFull) return null
  return [0x93, 'MQTT-3.3.4-7', `more than Receive Maximum, ${receiveMaximum}, publishes`]
}

/** @returns the topic of a publish, or null if its alias is wrong and the connection was ended. */
function resolveAlias(
  core: BrokerCore,
  connection: BrokerConnection,
  { topic, properties }: PublishPacket,
): string | null {
  const alias = properties?.topicAlias
  if (alias === undefined) return topic
  const { topicAliasMaximum } = core.settings
  if (alias > topicAliasMaximum) {
    const message = `Topic Alias ${alias}; the Topic Alias Maximum is ${topicAliasMaximum}`
    violate(core, connection, { reasonCode: 0x94, clause: 'MQTT-3.3.2-9', message })
    return null
  }
  if (topic !== '') {
    connection.aliases.set(alias, topic)
    return topic
  }
  const known = connection.aliases.get(alias)
  if (known !== undefined) return known
  const message = `Topic Alias ${alias} was never given a topic`
  violate(core, connection, { reasonCode: 0x82, clause: 'MQTT-3.3.2-12', message })
  return null
}

function acceptedMessage(
  core: BrokerCore,
  { clientId }: BrokerSession,
  packet: PublishPacket,
  topic: string,
): BrokerMessage {
  const { payload, qos, retain } = packet
  const { topicAlias: _, messageExpiryInterval, ...properties } = packet.properties ?? {}
  const lifeMs = (messageExpiryInterval ?? Number.POSITIVE_INFINITY) * 1000
  const expiresAt = core.clock.now() + lifeMs
  return { topic, payload, qos, retain, properties, lifeMs, expiresAt, publisher: clientId }
}

function handlePubrel(
  core: BrokerCore,
  connection: BrokerConnection,
  session: BrokerSession,
  messageId: number,
): void {
  const isKnown = session.unreleased.delete(messageId)
  const code = isKnown || connection.version !== 5 ? 0 : 0x92
  transmit(core, connection, { cmd: 'pubcomp', messageId, reasonCode: code })
}

function handleDisconnect(
  core: BrokerCore,
  connection: BrokerConnection,
  session: BrokerSession,
  { reasonCode = 0, properties }: DisconnectPacket,
): void {
  const asked = properties?.sessionExpiryInterval
  if (asked !== undefined) {
    if (asked > 0 && session.expiryMs === 0) {
      const message = 'a Session Expiry Interval in DISCONNECT after 0 in CONNECT'
      return violate(core, connection, { reasonCode: 0x82, clause: '3.14.2.2.2', message })
    }
    session.expiryMs = expiryMs(Math.min(asked, core.settings.sessionExpiryMaximum))
  }
  // Only 0x00 removes the will. [MQTT-3.14.4-3]
  if (reasonCode === 0) connection.will = null
  closeConnection(connection)
}
