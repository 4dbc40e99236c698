/**
 * How are controls, pings, acknowledgements, re-authentications and warnings of the user performed?
 */

import { later } from '#runtime'
import { ConnectionError, describe, UsageError } from '../errors.ts'
import type { Warning } from '../options/options.ts'
import { isPending } from '../protocol/incoming.ts'
import { lookup } from '../protocol/packet-table.ts'
import { hex } from '../protocol/reason-codes.ts'
import type { State } from '../protocol/state.ts'
import { wrong } from '../requests/check.ts'
import type { PreparedControl } from '../requests/prepare-control.ts'
import { retryableOf } from '../requests/reconnect-policy.ts'
import type { Incoming, IncomingPublish } from '../requests/vocabulary.ts'
import { isRunning } from './life.ts'
import { isFinished } from './loop-state.ts'
import type { Parts } from './parts.ts'
import { authenticationOf } from './perform.ts'
import { Pings } from './pings.ts'

/** The default of how long `disconnect` waits for requests to settle, in ms. */
export const DRAIN_MS = 10_000

/** Reason codes of PUBACK and PUBREC; MQTT 3 cannot refuse. */
const ACK_CODES = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]

/**
 * @param inTurn whether the request stream gave the control, and not a method or the stream of
 *   controls.
 */
export function performControl(
  loop: Parts,
  { control, policy }: PreparedControl,
  inTurn: boolean,
): void {
  const at = loop.now()
  switch (control.cmd) {
    case 'pause':
      return loop.run({ type: 'pause', at, ms: control.ms ?? Number.POSITIVE_INFINITY })
    case 'resume':
      return loop.run({ type: 'resume', at })
    case 'throttle':
      return loop.run({ type: 'throttle', at, perSecond: control.perSecond ?? 0 })
    case 'reconnect':
      if (policy !== null) loop.retryable = retryableOf(control.reconnect)
      return loop.run({ type: 'reconnect', at, policy })
    case 'disconnect':
      return disconnect(loop, control.timeout ?? DRAIN_MS, inTurn)
    case 'shutdown':
      return loop.run({ type: 'shutdown', at, failure: null })
    case 'ping':
      return ping(loop, (error, roundTripMs) =>
        loop.ledger.reportControl(control, error, { roundTripMs }),
      )
    case 'reauthenticate':
      return reauthenticate(loop, (error) => loop.ledger.reportControl(control, error, {}))
  }
}

/**
 * Drains the loop. Requests that were given in the same turn are taken before, as far as the window
 * allows: a program that pushes its last request and disconnects wants both.
 */
function disconnect(loop: Parts, timeoutMs: number, inTurn: boolean): void {
  const drain = () => {
    loop.run({ type: 'disconnect', at: loop.now(), timeoutMs, failure: null })
  }
  if (inTurn || !isRunning(loop.life) || !loop.intake.takeLast()) return drain()
  loop.turn()
  later(() => {
    if (isRunning(loop.life)) drain()
  })
}

/** Sends a PINGREQ. `settle` is given the error, or null and the time until the answer. */
export function ping(loop: Parts, settle: (error: unknown, roundTripMs: number) => void): void {
  const { connection, keepAlive } = loop.state
  if (connection.kind !== 'connected') return settle(notConnected('ping'), 0)
  const limitMs = keepAlive.intervalMs || loop.resolved.config.connectTimeoutMs
  loop.pings ??= new Pings(loop.platform)
  const id = loop.pings.expect(limitMs, settle)
  loop.push({ type: 'ping', at: loop.now(), id })
}

/** Begins enhanced authentication again. `settle` is given the error, or null. */
export function reauthenticate(loop: Parts, settle: (error: unknown) => void): void {
  const { connection, config } = loop.state
  if (config.authenticator === 'none') {
    const message =
      'reauthenticate: there is no authenticator [MQTT-4.12.0-7]; ' +
      'give one as the option of that name'
    return settle(new UsageError(message, { code: 'NO_AUTHENTICATOR' }))
  }
  if (connection.kind !== 'connected') return settle(notConnected('reauthenticate'))
  authenticationOf(loop).wait(settle)
  loop.push({ type: 'reauthenticate', at: loop.now() })
}

/** Acknowledges a message with a reason code. (R1, a message is acknowledged when it is handled) */
export function acknowledge(
  loop: Parts,
  packet: IncomingPublish,
  reasonCode: number,
): 'queued' | 'stale' {
  checkMessage('ack', packet)
  const allowed = loop.state.connection.protocolVersion === 5 ? ACK_CODES : [0]
  if (!allowed.includes(reasonCode)) {
    const why = allowed.length === 1 ? ' (only MQTT 5 can refuse a message)' : ''
    const codes = allowed.map(hex).join(', ') + why
    throw wrong('ack: the reason code', `one of ${codes}`, reasonCode)
  }
  const sequence = loop.inbox.sequenceOf(packet)
  const messageId = packet.messageId ?? 0
  if (sequence === undefined || !mayAcknowledge(loop, sequence, messageId)) return 'stale'
  loop.inbox.acknowledged(packet)
  if (reasonCode === 0 && isNextInOrder(loop, sequence)) {
    loop.inbox.handledThrough = sequence
    loop.gathered()
    return 'queued'
  }
  loop.acking ??= new Set()
  loop.acking.add(sequence)
  loop.push({ type: 'ack', at: loop.now(), sequence, messageId, reasonCode })
  return 'queued'
}

/**
 * Whether all messages of this connection before this one are acknowledged, so that one input can
 * say how far a whole run of acknowledgements has come.
 */
function isNextInOrder({ state, inbox }: Parts, sequence: number): boolean {
  const { pendingFrom, unhandledEarlier } = state.incoming
  if (unhandledEarlier > 0) return false
  return sequence === Math.max(pendingFrom, inbox.handledThrough + 1)
}

/** A program that is not type-checked may give any packet. */
function checkMessage(method: string, packet: IncomingPublish): void {
  const { cmd } = (packet ?? {}) as Partial<Incoming>
  if (cmd === 'publish') return
  const given = cmd === undefined ? describe(packet) : `a packet of type ${cmd}`
  throw new UsageError(
    `${method}: the packet must be a PUBLISH that this loop yielded, not ${given}`,
  )
}

/** @returns how many messages before this one are not acknowledged, as far as the user knows. */
export function waitingBefore(loop: Parts, packet: IncomingPublish): number {
  checkMessage('waitingBefore', packet)
  const { state, inbox } = loop
  const sequence = inbox.sequenceOf(packet)
  if (sequence === undefined || isFinished(loop)) return 0
  const due = sequenceNow(state, sequence, packet.messageId ?? 0)
  // What was handled or acknowledged in this turn is not known to the reducers yet.
  const from = Math.max(state.incoming.pendingFrom, inbox.handledThrough + 1)
  let waiting = 0
  for (let earlier = from; earlier < due; earlier++) {
    if (isPending(state.incoming, earlier) && !loop.acking?.has(earlier)) waiting++
  }
  return waiting
}

/**
 * @returns the sequence whose acknowledgement is that of a message which was yielded under this
 *   one: another one if the server has sent a message at QoS 2 again on this connection. 0 if it
 *   has none on this connection.
 */
function sequenceNow({ incoming, session }: State, sequence: number, messageId: number): number {
  if (sequence >= incoming.epochFrom) return sequence
  const message = lookup(session.received, messageId)
  const isAgain = message?.sequence === sequence && message.pendingSequence >= incoming.epochFrom
  return isAgain ? message.pendingSequence : 0
}

/**
 * A message of an earlier connection may be acknowledged only at QoS 2: the acknowledgement is then
 * that of its redelivery.
 */
function mayAcknowledge(loop: Parts, sequence: number, messageId: number): boolean {
  const { incoming, session } = loop.state
  if (sequence <= loop.inbox.handledThrough || loop.acking?.has(sequence)) return false
  if (isFinished(loop)) return false
  if (sequence >= incoming.epochFrom) return isPending(incoming, sequence)
  const message = lookup(session.received, messageId)
  return message?.sequence === sequence && message.stage === 'arrived'
}

/** Reports a warning of code that is built on the loop. */
export function warnFor(loop: Parts, warning: Warning): void {
  const { code, message, deviation, cause } = (warning ?? {}) as Partial<Warning>
  if (typeof code !== 'string' || typeof message !== 'string') {
    throw wrong('warn', '{ code, message }, both of them text', warning)
  }
  loop.warn(code, message, deviation, cause)
}

function notConnected(what: string): ConnectionError {
  const message = `${what}: there is no connection now.`
  return new ConnectionError(message, { code: 'NOT_CONNECTED' })
}
