/**
 * What does a message from the server cause, and when is it acknowledged?
 *
 * (R1, a message is acknowledged when it is handled; R2, a QoS 2 message is yielded once; R6,
 * messages not yet yielded wait for the CONNACK) Every message above QoS 0 gets a sequence number
 * when it is yielded. Acknowledgements are sent in the order of the sequences, whatever the order
 * in which they become due. [MQTT-4.6.0-2, MQTT-4.6.0-3] Sequences never repeat, so an
 * acknowledgement that belongs to an earlier connection cannot be taken for one of this connection.
 */
import type { Draft, Mutable } from './draft.ts'
import type { AckPacket, QoS, ReceivedPublish, Violation } from './facts.ts'
import { entries, lookup } from './packet-table.ts'
import { overQuota } from './quota.ts'
import type { ReceivedMessage } from './session-state.ts'
import type { IncomingState, PendingAck } from './state.ts'
import { deviates } from './tolerance.ts'

/** @returns the key of a sequence in the table of pending acknowledgements. */
const placeOf = (sequence: number) => sequence & 0xffff

/** @returns the rule that a PUBLISH breaks, or null. */
export function publishReceived(d: Draft, packet: ReceivedPublish, at: number): Violation | null {
  const bare = packet.topic === '' && !packet.unreadable
  const aliased = packet.properties?.['topicAlias'] !== undefined || bare
  const resolved = aliased ? resolveAlias(d, packet) : packet
  if ('reasonCode' in resolved) return resolved
  const messageId = resolved.messageId ?? 0
  if (!resolved.unreadable) d.counters.received++
  if (resolved.qos === 0) {
    if (!resolved.unreadable) yieldPublish(d, resolved, 0, 0, false)
    return null
  }
  const known = d.received.size > 0 ? d.received.get(messageId) : undefined
  if (resolved.qos === 1 && known !== undefined) {
    const violation = identifierOfQos2(d, messageId, known)
    if (violation !== null) return violation
  }
  if (resolved.qos === 2 && known !== undefined && isOfThisConnection(d, known)) {
    // The server sent it twice on one connection: it is acknowledged again and yielded once.
    // [MQTT-4.3.3-10]
    if (known.pendingSequence < d.incoming.pendingFrom) {
      d.send({ type: 'acknowledge', cmd: 'pubrec', messageId, reasonCode: 0 })
    }
    return null
  }
  if (resolved.dup) noteRepeated(d, resolved.qos, messageId)
  const excess = overQuota(d)
  if (excess !== null) return excess
  if (resolved.qos === 1) qos1Received(d, resolved, messageId, at)
  else qos2Received(d, resolved, messageId, known, at)
  return null
}

/** Warns once if an adopted session had messages in flight, which nobody here can know. */
function warnAdopted(d: Draft): void {
  if (!d.session.adopted || d.connection.epoch > 1 || d.incoming.adoptedInFlight) return
  d.incoming.adoptedInFlight = true
  const message =
    `The session "${d.session.clientId}" was adopted and had messages in flight: an earlier` +
    ' process may have handled some of them. Use a saved session or a session store to know.'
  d.warn('ADOPTED_IN_FLIGHT', message)
}

/**
 * The identifier of a QoS 2 message is used by a message at QoS 1. A message of an earlier
 * connection is over then, and its identifier is free for another.
 */
function identifierOfQos2(d: Draft, messageId: number, known: ReceivedMessage): Violation | null {
  const what = `QoS 1 PUBLISH with packet identifier ${messageId}, which a QoS 2 message has`
  const violation = deviates(d, 'IDENTIFIER_OF_QOS_2', what)
  if (violation !== null) return violation
  if (!isOfThisConnection(d, known)) forget(d, messageId, known)
  return null
}

/** Forgets a QoS 2 message that the server has forgotten. Its PUBREC is not due any more. */
function forget(d: Draft, messageId: number, known: ReceivedMessage): void {
  const { incoming } = d
  const { stage, sequence, pendingSequence } = known
  d.received.remove(messageId)
  if (stage === 'arrived' && sequence < incoming.epochFrom) {
    incoming.unhandledEarlier = Math.max(0, incoming.unhandledEarlier - 1)
  }
  if (!isOfThisConnection(d, known)) return
  incoming.unacknowledged--
  if (pendingSequence < incoming.pendingFrom) return
  d.pending.remove(placeOf(pendingSequence))
  acknowledgeHead(d)
}

function isOfThisConnection({ incoming }: Draft, { pendingSequence }: ReceivedMessage): boolean {
  return pendingSequence >= incoming.epochFrom
}

/** Among at most this many pending messages a repeated one is looked for. */
const LOOKED_THROUGH_MAX = 1024

/**
 * What the server sends again, after the CONNACK of a resumed session or on the same connection,
 * has the DUP flag and does not count against Receive Maximum once more.
 */
function noteRepeated(d: Draft, qos: QoS, messageId: number): void {
  const lenient = d.config.tolerance === 'field'
  const resumed = d.connection.connack?.sessionPresent === true
  if (lenient || resumed) d.incoming.repeats++
  if (resumed) warnAdopted(d)
  if (!lenient || qos !== 1 || !isOpen(d, messageId)) return
  const what = `PUBLISH with packet identifier ${messageId} sent again on the same connection`
  deviates(d, 'RESENT_WHILE_OPEN', what)
}

function isOpen(d: Draft, messageId: number): boolean {
  if (d.pending.size > LOOKED_THROUGH_MAX) return false
  const { pendingFrom, nextSequence } = d.incoming
  for (let sequence = pendingFrom; sequence < nextSequence; sequence++) {
    const pending = d.pending.get(placeOf(sequence))
    if (pending?.messageId === messageId && pending.qos === 1) return true
  }
  return false
}

function qos1Received(d: Draft, packet: ReceivedPublish, messageId: number, at: number): void {
  const sequence = d.incoming.nextSequence++
  if (d.config.acks === 'receipt') {
    d.incoming.pendingFrom = d.incoming.nextSequence
    noteAcknowledged(d.incoming, packet.topic, messageId)
    d.send({ type: 'acknowledge', cmd: 'puback', messageId, reasonCode: 0 })
  } else {
    d.incoming.unacknowledged++
    d.pending.set(placeOf(sequence), {
      messageId,
      topic: packet.topic,
      qos: 1,
      acknowledged: packet.unreadable === true,
      reasonCode: 0,
      at,
    })
  }
  if (packet.unreadable) return acknowledgeHead(d)
  // A message that was acknowledged on receipt is not sent again, so it is never held back.
  yieldPublish(d, packet, d.config.acks === 'receipt' ? 0 : sequence, 0, false)
}

/**
 * Yields the message when it is received first. When it is received again, it is yielded only if
 * this process did not do so yet.
 */
function qos2Received(
  d: Draft,
  packet: ReceivedPublish,
  messageId: number,
  known: ReceivedMessage | undefined,
  at: number,
): void {
  d.incoming.unacknowledged++
  const sequence = d.incoming.nextSequence++
  const seen = known !== undefined && (known.stage === 'handled' || known.stage === 'arrived')
  const unheard = packet.unreadable === true
  const handled = known?.stage === 'handled' || d.config.acks === 'receipt' || unheard
  const deliveryId = known?.deliveryId ?? d.session.nextDeliveryId++
  d.received.set(messageId, {
    deliveryId,
    sequence: seen ? known.sequence : sequence,
    pendingSequence: sequence,
    stage: handled ? 'handled' : 'arrived',
    again: known?.again ?? false,
  })
  const owed = d.config.acks === 'receipt' ? 0 : sequence
  if (!seen && !unheard) yieldPublish(d, packet, owed, deliveryId, known?.again ?? false)
  d.pending.set(placeOf(sequence), {
    messageId,
    topic: packet.topic,
    qos: 2,
    acknowledged: handled,
    reasonCode: 0,
    at,
  })
  if (handled) acknowledgeHead(d)
}

function yieldPublish(
  d: Draft,
  packet: ReceivedPublish,
  sequence: number,
  deliveryId: number,
  redelivered: boolean,
): void {
  d.yieldMessage(packet, messageBytes(packet), 0, sequence, deliveryId, redelivered)
}

/** The memory of a message beside its payload and topic, in bytes. */
const MESSAGE_OVERHEAD_BYTES = 200
/** The memory of a property beside its value, in bytes. */
const PROPERTY_BYTES = 100

/** @returns how much a message counts against `maxBufferedBytes`. */
function messageBytes(packet: ReceivedPublish): number {
  const bytes = packet.payload.length + packet.topic.length + MESSAGE_OVERHEAD_BYTES
  return packet.properties === undefined ? bytes : bytes + propertiesWeight(packet.properties)
}

function propertiesWeight(properties: object): number {
  let bytes = 0
  for (const name in properties) {
    const value = (properties as { readonly [name: string]: unknown })[name]
    bytes += PROPERTY_BYTES
    if (typeof value === 'string') bytes += value.length
    else if (ArrayBuffer.isView(value)) bytes += value.byteLength
    else if (typeof value === 'object' && value !== null) bytes += propertiesWeight(value)
  }
  return bytes
}

/**
 * Handles a PUBREL: the server has forgotten the message, so it is forgotten here. [MQTT-4.3.3-11]
 * @returns the rule that it breaks, or null.
 */
export function pubrelReceived(d: Draft, packet: AckPacket): Violation | null {
  const { messageId } = packet
  const known = d.received.get(messageId)
  if (known !== undefined && known.stage !== 'handled') {
    const what = `PUBREL for packet identifier ${messageId} before PUBREC`
    const violation = deviates(d, 'PUBREL_BEFORE_PUBREC', what)
    if (violation !== null) return violation
  }
  if (known !== undefined) forget(d, messageId, known)
  if (known === undefined) warnAdopted(d)
  const reasonCode = known === undefined ? 0x92 : 0
  d.send({ type: 'acknowledge', cmd: 'pubcomp', messageId, reasonCode })
  return null
}

/** Notes that the consumer has handled every message up to this sequence. */
export function handledThrough(d: Draft, sequence: number): void {
  for (let s = d.incoming.pendingFrom; s <= sequence; s++) mark(d, s, 0)
  acknowledgeHead(d)
  if (d.incoming.unhandledEarlier === 0) return
  for (const [messageId, message] of entries(d.received.finish())) {
    if (message.stage === 'arrived' && message.sequence <= sequence) {
      handledEarlier(d, messageId, message, 0)
    }
  }
  acknowledgeHead(d)
}

/**
 * Handles `ack()`. If the message came on an earlier connection, the acknowledgement counts for its
 * redelivery at QoS 2, and does nothing otherwise.
 */
export function acknowledged(
  d: Draft,
  sequence: number,
  messageId: number,
  reasonCode: number,
): void {
  if (sequence >= d.incoming.epochFrom) mark(d, sequence, reasonCode)
  else {
    const message = d.received.get(messageId)
    if (message?.sequence === sequence) handledEarlier(d, messageId, message, reasonCode)
  }
  acknowledgeHead(d)
}

/**
 * Notes that a QoS 2 message of an earlier connection is handled, so that its redelivery is
 * acknowledged without being yielded.
 */
function handledEarlier(
  d: Draft,
  messageId: number,
  message: ReceivedMessage,
  reasonCode: number,
): void {
  if (message.stage !== 'arrived') return
  d.incoming.unhandledEarlier = Math.max(0, d.incoming.unhandledEarlier - 1)
  if (message.pendingSequence >= d.incoming.epochFrom) mark(d, message.pendingSequence, reasonCode)
  else d.received.set(messageId, { ...message, stage: 'handled' })
}

/** Notes that the message of this sequence may be acknowledged. */
function mark(d: Draft, sequence: number, reasonCode: number): void {
  if (sequence < d.incoming.pendingFrom) return
  const waiting = d.pending.get(placeOf(sequence))
  if (waiting === undefined || waiting.acknowledged) return
  d.pending.set(placeOf(sequence), { ...waiting, acknowledged: true, reasonCode })
  if (waiting.qos === 1) return
  const message = d.received.get(waiting.messageId)
  if (message === undefined) return
  if (reasonCode < 0x80) d.received.set(waiting.messageId, { ...message, stage: 'handled' })
  else d.received.remove(waiting.messageId)
}

function noteAcknowledged(
  incoming: Mutable<IncomingState>,
  topic: string,
  messageId: number,
): void {
  incoming.acknowledgedTopic = topic
  incoming.acknowledgedId = messageId
}

/** Sends the acknowledgements that are due, in order, until the first that is not. */
function acknowledgeHead(d: Draft): void {
  const { incoming } = d
  while (incoming.pendingFrom < incoming.nextSequence) {
    const place = placeOf(incoming.pendingFrom)
    const head = d.pending.get(place)
    if (head !== undefined) {
      if (!head.acknowledged) return
      d.pending.remove(place)
      const { messageId, qos, reasonCode } = head
      noteAcknowledged(incoming, head.topic, messageId)
      if (qos === 1 || reasonCode >= 0x80) incoming.unacknowledged--
      const cmd = qos === 1 ? 'puback' : 'pubrec'
      d.send({ type: 'acknowledge', cmd, messageId, reasonCode })
    }
    incoming.pendingFrom++
  }
}

/** @returns the acknowledgement that must be sent next, or undefined if none is pending. */
export function headOf(incoming: IncomingState): PendingAck | undefined {
  return lookup(incoming.pending, placeOf(incoming.pendingFrom))
}

/** @returns whether a message of this connection waits for its acknowledgement. */
export function isPending(incoming: IncomingState, sequence: number): boolean {
  if (sequence < incoming.pendingFrom || sequence < incoming.epochFrom) return false
  return lookup(incoming.pending, placeOf(sequence))?.acknowledged === false
}

/**
 * Notes that the connection is gone: its pending acknowledgements are stale, its topic aliases
 * void. [MQTT-3.3.2-7]
 */
export function incomingLost(d: Draft): void {
  const { incoming } = d
  let unhandled = 0
  for (const [messageId, message] of entries(d.received.finish())) {
    if (message.stage !== 'arrived') continue
    if (message.sequence <= incoming.yieldedThrough) unhandled++
    else d.received.set(messageId, { ...message, stage: message.again ? 'restored' : 'unseen' })
  }
  d.pending.clear()
  incoming.unhandledEarlier = unhandled
  incoming.pendingFrom = incoming.nextSequence
  incoming.epochFrom = incoming.nextSequence
  incoming.unacknowledged = 0
  incoming.repeats = 0
  incoming.acknowledgedTopic = ''
  incoming.acknowledgedId = 0
  incoming.aliases = []
  d.effects.push({ type: 'holdBack' })
}

/**
 * Releases the messages that were held back, after a CONNACK. Without a session the server does not
 * redeliver them (D5, a lost session is rebuilt in order), so they are yielded; with it they are
 * dropped.
 */
export function incomingConnected(d: Draft, sessionPresent: boolean): void {
  if (!sessionPresent) {
    d.received.clear()
    d.incoming.unhandledEarlier = 0
  }
  d.effects.push({ type: 'releaseHeldBack', drop: sessionPresent, before: d.incoming.epochFrom })
}

/** @returns the packet with its topic, or the rule that its alias breaks. */
function resolveAlias(d: Draft, packet: ReceivedPublish): ReceivedPublish | Violation {
  const alias = packet.properties?.['topicAlias'] as number | undefined
  const { topicAliasMaximum } = d.config
  if (alias === undefined) {
    return {
      reasonCode: 0x82,
      clause: 'MQTT-4.7.3-1',
      message: 'PUBLISH without a topic and without an alias',
    }
  }
  if (alias === 0 || alias > topicAliasMaximum) {
    const what = `Topic Alias ${alias}, ${topicAliasMaximum} is the Topic Alias Maximum`
    const alone = packet.topic === '' && !packet.unreadable
    // The decoder has noted the alias 0.
    if (alias === 0 && !alone && d.config.tolerance === 'field') return packet
    return deviates(d, alone ? 'ALIAS_ALONE' : 'TOPIC_ALIAS', what) ?? packet
  }
  const { aliases } = d.incoming
  if (packet.topic !== '' || packet.unreadable) {
    const changed = aliases.slice()
    while (changed.length <= alias) changed.push(undefined)
    changed[alias] = packet.topic
    d.incoming.aliases = changed
    return packet
  }
  const topic = aliases[alias]
  if (topic !== undefined)
    return topic === '' ? { ...packet, unreadable: true } : { ...packet, topic }
  const what = `Topic Alias ${alias} was never given a topic on this connection`
  return deviates(d, 'ALIAS_WITHOUT_TOPIC', what) ?? packet
}
