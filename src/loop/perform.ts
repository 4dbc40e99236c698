/**
 * Performs the effects of the reducers, in order. The only user code that runs here is
 * `onConnected` and `onWarning`. Outcomes are reported later, after all effects of a step were
 * performed.
 */

import { stallChannel, transitionChannel } from '#runtime'
import { ConnectionAuthenticator } from '../connection/authenticator.ts'
import { Dialer } from '../connection/dial.ts'
import type { Link } from '../connection/link.ts'
import { sendPacket, sendPublish } from '../connection/send.ts'
import { unreachable, type WarningCode } from '../errors.ts'
import { emitWarning } from '../platform/warnings.ts'
import type { Effect, PublishEffect, TransitionEffect, YieldEffect } from '../protocol/contract.ts'
import { isAfterEnd, needsConnection, type PacketEffect } from '../protocol/effects.ts'
import type { Failure, RequestFacts } from '../protocol/facts.ts'
import { isControl, JOINED } from '../requests/ledger.ts'
import type {
  ConnackPacket,
  Incoming,
  IncomingPublish,
  SentRequest,
  SubscribeRequest,
} from '../requests/vocabulary.ts'
import { hasStopped, isAlive } from './life.ts'
import { noProgressMessage } from './no-progress.ts'
import type { Parts } from './parts.ts'
import { publicFailure, Transitions, transitionOf } from './transitions.ts'
import { endpointFor } from './where.ts'

/**
 * Performs the effects of a step. With a session store, effects that depend on a commit are kept
 * back until that commit is safe.
 */
export function perform(loop: Parts, effects: readonly Effect[]): void {
  if (loop.renewals !== null) completeRenewals(loop, loop.renewals, effects)
  const admitted = loop.gate?.admit(effects, loop.link) ?? effects
  for (const effect of admitted) performOne(loop, effect)
}

/**
 * Completes the answers of renewals with their requests, which are forgotten with the connection:
 * an answer that waits for a commit may be yielded after its loss.
 */
function completeRenewals(
  loop: Parts,
  renewals: Map<number, SubscribeRequest>,
  effects: readonly Effect[],
): void {
  for (const effect of effects) {
    if (effect.type !== 'yield' || effect.packet.cmd !== 'suback' || effect.handle > 0) continue
    const { messageId = 0 } = effect.packet
    const request = renewals.get(messageId)
    if (request === undefined) continue
    ;(effect.packet as { request?: SentRequest }).request = request
    renewals.delete(messageId)
  }
  if (renewals.size === 0) loop.renewals = null
}

/**
 * Performs the effects that have waited for a commit.
 * @param link the connection that the effects belong to; it may be closed by now.
 */
export function release(loop: Parts, effects: readonly Effect[], link: Link | null): void {
  if (!isAlive(loop.life)) return settleLate(loop, effects)
  const gone = link === null || link !== loop.link
  loop.withoutTurns(() => {
    for (const effect of effects) {
      // A message of a connection that has ended is treated like the messages that were in the
      // inbox when that connection ended.
      const over = gone || loop.inbox.isHoldingBack
      if (effect.type === 'yield' && loop.life === 'leaving') loop.inbox.drop(effect)
      else if (effect.type === 'yield' && effect.sequence > 0 && over) give(loop, effect, true)
      else if (!needsConnection(effect) || !(gone || link.closing)) performOne(loop, effect)
    }
  })
  if (loop.link?.outbox.flush()) loop.add({ type: 'released', at: loop.now(), ...lastId(effects) })
  loop.inbox.serve()
  loop.ledger.report()
  loop.turn()
}

/** @returns the packet identifier of the last PUBLISH or PUBREL, if there is one. */
function lastId(effects: readonly Effect[]): { readonly messageId?: number } {
  const last = effects.findLast(
    (effect) =>
      (effect.type === 'publish' && effect.qos > 0) ||
      (effect.type === 'acknowledge' && effect.cmd === 'pubrel'),
  )
  return last !== undefined && 'messageId' in last ? { messageId: last.messageId } : {}
}

/**
 * Reports the outcomes that became safe after the loop had ended. All other effects are dropped.
 */
export function settleLate(loop: Parts, effects: readonly Effect[]): void {
  for (const effect of effects) if (isAfterEnd(effect)) loop.ledger.settle(effect)
  loop.ledger.report()
}

function performOne(loop: Parts, effect: Effect): void {
  const { link } = loop
  switch (effect.type) {
    case 'yield':
      return give(loop, effect, false)
    case 'settle':
      return loop.ledger.settle(effect)
    case 'publish':
      return sendPublish(effect, link, loop.ledger, loop.state)
    case 'acknowledge':
    case 'subscribe':
    case 'unsubscribe':
    case 'connect':
    case 'pingreq':
    case 'auth':
    case 'disconnect':
      return send(loop, effect)
    case 'takeApart': {
      const { handle } = effect
      const requests = loop.ledger.takeApart(handle, loop.state.connection.protocolVersion)
      return loop.add({ type: 'apart', at: loop.now(), handle, requests })
    }
    case 'confirm':
      return loop.ledger.confirm(effect.count, effect.failure)
    case 'dial':
      return dial(loop, effect)
    case 'close':
      return link?.close(effect.patient)
    case 'destroy':
      return link === null ? loop.dialer?.cancel() : link.destroy()
    case 'pauseReading':
      return link?.pause()
    case 'resumeReading':
      return link?.resume()
    case 'holdBack':
      return loop.inbox.holdBack()
    case 'releaseHeldBack':
      return loop.inbox.releaseHeldBack(effect.drop, effect.before)
    case 'births':
      return births(loop, effect.packet as ConnackPacket)
    case 'pong':
      return loop.pings?.answered(effect.id)
    case 'transition':
      return reportTransition(loop, effect)
    case 'checkConnectivity':
      loop.network?.check()
      return
    case 'authenticate':
      return authenticationOf(loop).ask(effect)
    case 'reauthenticated':
      return reauthenticated(loop, effect.failure)
    case 'divert':
      return giveToDiverter(loop, effect.handle)
    case 'warn':
      return loop.warn(effect.code, warningText(loop, effect), effect.deviation)
    case 'noProgress':
      return loop.warn('NO_PROGRESS', noProgressMessage(loop, effect))
    case 'unread':
      return loop.add({ type: 'unread', at: loop.now(), handles: loop.ledger.heardHandles() })
    case 'finished': {
      const { failure } = effect
      return loop.end(failure === null ? null : { reason: loop.causes.errorOf(failure) })
    }
    default:
      return unreachable(effect)
  }
}

/**
 * Completes a packet with its request or its `deliveryId`, and adds it to the inbox.
 * @param late whether the connection of the packet has ended.
 */
function give(loop: Parts, effect: YieldEffect, late: boolean): void {
  const packet = effect.packet as Incoming
  if (effect.handle > 0) {
    const { request } = loop.ledger.get(effect.handle)!
    ;(packet as { request?: SentRequest }).request = request
  } else if (effect.deliveryId > 0) {
    const message = packet as IncomingPublish
    message.deliveryId = effect.deliveryId
    if (effect.redelivered) message.redelivered = true
  }
  if (late) loop.inbox.offerLate(effect)
  else loop.inbox.offer(effect)
}

function dial(
  loop: Parts,
  { host, redirect, attempt, protocolVersion }: Extract<Effect, { type: 'dial' }>,
): void {
  const { connection, session, reconnect } = loop.state
  const { reason } = connection
  const lastClose = reason === null ? null : publicFailure(reason)
  loop.network?.forget()
  loop.attempt = null
  loop.dialer ??= new Dialer(loop.resolved, loop)
  const { clientId } = session
  const number = reconnect.dials
  loop.dialer.dial({ host, redirect, attempt, number, lastClose, clientId, protocolVersion })
}

function send(loop: Parts, effect: Exclude<PacketEffect, PublishEffect>): void {
  const { link, resolved, attempt, state } = loop
  const packet = sendPacket(effect, link, resolved, attempt, state)
  if (packet?.cmd !== 'subscribe' || effect.type !== 'subscribe') return
  if (effect.facts.handle !== 0) return
  loop.renewals ??= new Map()
  loop.renewals.set(effect.messageId, packet as SubscribeRequest)
}

function reauthenticated(loop: Parts, failure: Failure | null): void {
  loop.authentication?.ended(() => (failure === null ? null : loop.causes.errorOf(failure)))
}

/** Gives a publish to the user's `divert.to`. */
function giveToDiverter(loop: Parts, handle: number): void {
  const slot = loop.ledger.get(handle)
  if (slot?.kind === 'publish') loop.diverter?.divert(handle, slot.request)
}

/** Calls `onConnected` and takes the requests that it returns; they are sent before all others. */
function births(loop: Parts, connack: ConnackPacket): void {
  const requests: RequestFacts[] = []
  const at = loop.now()
  const clock = { now: () => at }
  try {
    const { connection, reconnect } = loop.state
    const first = loop.ends?.onConnected?.(connack, reconnect.dials) ?? []
    const others = loop.resolved.options.onConnected?.(connack, reconnect.dials) ?? []
    for (const birth of [...first, ...others]) {
      const { protocolVersion } = connection
      const taken = loop.ledger.accept(birth, null, protocolVersion, clock, false)
      if (taken === null || taken === JOINED) continue
      if (isControl(taken)) loop.control(taken, true)
      else requests.push(taken)
    }
  } catch (error) {
    loop.fail(error)
  }
  loop.add({ type: 'births', at, requests })
}

/**
 * Reports a change of the connection to the users of `transitions()` and to the diagnostics
 * channel.
 */
export function reportTransition(loop: Parts, effect: TransitionEffect): void {
  if (effect.to === 'connected') loop.link?.agree(loop.state.connection.limits)
  const { watchers } = loop
  if (watchers === null && !transitionChannel.hasSubscribers) return
  const transition = transitionOf(effect)
  watchers?.report(transition)
  if (!transitionChannel.hasSubscribers) return
  transitionChannel.publish({ clientId: loop.state.session.clientId, ...transition })
}

/**
 * @returns the queues of all users of `transitions()`. After the end of the loop each queue ends
 *   immediately.
 */
export function watchersOf(loop: Parts): Transitions {
  loop.watchers ??= new Transitions()
  if (hasStopped(loop.life)) loop.watchers.end()
  return loop.watchers
}

/** @returns the exchange with the user's authenticator; only for a loop that has one. */
export function authenticationOf(loop: Parts): ConnectionAuthenticator {
  loop.authentication ??= new ConnectionAuthenticator(loop.resolved.options.authenticator!, loop)
  return loop.authentication
}

/**
 * @returns the text that the user reads. That of a deviation names the server, which the reducers
 * do not know.
 */
function warningText(loop: Parts, { code, message }: Extract<Effect, { type: 'warn' }>): string {
  return code === 'SERVER_DEVIATION' ? `${endpointFor(loop)}: ${message}` : message
}

/** The warnings that are also reported as stalls, each with the `kind` of the stall. */
const STALLS: Readonly<Record<string, string>> = {
  CONSUMER_STALLED: 'consumer',
  ACKNOWLEDGEMENT_FORGOTTEN: 'acknowledgement',
}

interface ToldWarning {
  readonly code: WarningCode
  readonly message: string
  readonly deviation: string | undefined
  readonly cause: unknown
}

export function warn(loop: Parts, { code, message, deviation, cause }: ToldWarning): void {
  const kind = STALLS[code]
  if (kind !== undefined) reportStall(loop, kind, message)
  const { onWarning } = loop.resolved.options
  if (onWarning === undefined) return emitWarning(loop, code, message, deviation)
  try {
    onWarning({
      ...{ code, message },
      ...(deviation === undefined ? {} : { deviation }),
      ...(cause === undefined ? {} : { cause }),
    })
  } catch (error) {
    loop.fail(error)
  }
}

export function reportStall(loop: Parts, kind: string, message: string): void {
  if (!stallChannel.hasSubscribers) return
  stallChannel.publish({ clientId: loop.state.session.clientId, kind, message })
}
