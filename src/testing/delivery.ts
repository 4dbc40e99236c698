/**
 * How do messages reach one client, once, at least once or exactly once?
 *
 * A session sends in order as much as Receive Maximum allows; the rest waits in its queue. On a new
 * connection whatever is not acknowledged is sent again first, in its order. (4.4, 4.6)
 */
import type { PublishPacket } from '../protocol/packets.ts'
import type {
  BrokerConnection,
  BrokerCore,
  BrokerSession,
  OutgoingMessage,
  SentMessage,
} from './broker-state.ts'
import type { MessageAck } from './packet-types.ts'
import { violate } from './violations.ts'
import { fits, transmit } from './wire.ts'

/** Sends a message to a session, now or when it can. */
export function offer(core: BrokerCore, session: BrokerSession, outgoing: OutgoingMessage): void {
  const { connection, queue } = session
  if (outgoing.qos === 0) {
    if (connection?.open) return sendMessage(core, connection, outgoing, 0, false)
    if (!core.settings.queueQos0) return
  }
  if (queue.length >= core.settings.maxQueued) return
  queue.push(outgoing)
  pump(core, session)
}

/** Sends as much of what waits as the client allows. */
function pump(core: BrokerCore, session: BrokerSession): void {
  const { connection, sent } = session
  if (!connection?.open) return
  if (connection.inFlight < sent.size) resend(core, connection, sent)
  while (connection.inFlight === sent.size) {
    const next = session.queue[0]
    if (next === undefined || (next.qos > 0 && sent.size >= connection.receiveMaximum)) return
    session.queue.shift()
    if (next.qos === 0) {
      sendMessage(core, connection, next, 0, false)
      continue
    }
    const messageId = freeIdentifier(session)
    const packet = publishPacket(core, connection, next, messageId, false)
    if (packet === null) continue
    sent.set(messageId, { outgoing: next, stage: 'publish', isCurrent: true })
    connection.inFlight++
    transmit(core, connection, packet)
    if (!connection.open) return
  }
}

/** Begins anew on a new connection: nothing is in flight on it yet. */
export function sendUnfinished(core: BrokerCore, session: BrokerSession): void {
  for (const message of session.sent.values()) message.isCurrent = false
  pump(core, session)
}

function resend(
  core: BrokerCore,
  connection: BrokerConnection,
  sent: Map<number, SentMessage>,
): void {
  for (const [messageId, message] of sent) {
    if (message.isCurrent) continue
    if (connection.inFlight >= connection.receiveMaximum || !connection.open) return
    message.isCurrent = true
    connection.inFlight++
    if (message.stage === 'pubrel') transmit(core, connection, { cmd: 'pubrel', messageId })
    else sendMessage(core, connection, message.outgoing, messageId, true)
  }
}

function sendMessage(
  core: BrokerCore,
  connection: BrokerConnection,
  outgoing: OutgoingMessage,
  messageId: number,
  dup: boolean,
): void {
  const packet = publishPacket(core, connection, outgoing, messageId, dup)
  if (packet !== null) transmit(core, connection, packet)
}

/** @returns the packet, or null if the message has expired or is too large for the client. */
function publishPacket(
  core: BrokerCore,
  connection: BrokerConnection,
  { message, qos, retain, identifiers }: OutgoingMessage,
  messageId: number,
  dup: boolean,
): PublishPacket | null {
  const leftMs = message.expiresAt - core.clock.now()
  // Sending a message again was begun, so it goes on after its expiry. (3.3.2.3.3)
  if (leftMs <= 0 && !dup) return null
  const { topic, payload } = message
  const packet: PublishPacket = { cmd: 'publish', topic, payload, qos, dup, retain }
  if (qos > 0) packet.messageId = messageId
  if (connection.version === 5) {
    const properties = { ...message.properties }
    const shownMs = core.settings.expiryCountsDown ? leftMs : message.lifeMs
    if (shownMs !== Number.POSITIVE_INFINITY) {
      properties.messageExpiryInterval = Math.max(0, Math.ceil(shownMs / 1000))
    }
    const [first] = identifiers
    if (first !== undefined) {
      properties.subscriptionIdentifier = identifiers.length === 1 ? first : [...identifiers]
    }
    if (Object.keys(properties).length > 0) packet.properties = properties
  }
  return fits(connection, packet) ? packet : null
}

function freeIdentifier(session: BrokerSession): number {
  let id = session.lastIdentifier
  do id = (id % 65_535) + 1
  while (session.sent.has(id))
  session.lastIdentifier = id
  return id
}

/** Handles PUBACK, PUBREC and PUBCOMP of a client. */
export function handleMessageAck(
  core: BrokerCore,
  connection: BrokerConnection,
  session: BrokerSession,
  { cmd, messageId = 0, reasonCode = 0 }: MessageAck,
): void {
  const message = session.sent.get(messageId)
  const isRefusal = reasonCode >= 0x80
  if (cmd === 'pubrec' && message === undefined) {
    // The identifier is not in use: the client shall forget it as well. (3.6.2.1)
    transmit(core, connection, { cmd: 'pubrel', messageId, reasonCode: 0x92 })
    return
  }
  if (message === undefined) return
  const { stage, outgoing } = message
  const isExpected =
    cmd === 'puback'
      ? outgoing.qos === 1
      : cmd === 'pubrec'
        ? outgoing.qos === 2
        : outgoing.qos === 2 && (stage === 'pubrel' || isRefusal)
  if (!isExpected) {
    const message = `a ${cmd} answers publish ${messageId} at QoS ${outgoing.qos}`
    return violate(core, connection, { reasonCode: 0x82, clause: '4.3', message })
  }
  if (cmd === 'pubrec' && !isRefusal) {
    message.stage = 'pubrel'
    transmit(core, connection, { cmd: 'pubrel', messageId })
    return
  }
  session.sent.delete(messageId)
  if (message.isCurrent) connection.inFlight--
  pump(core, session)
}
