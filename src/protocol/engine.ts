/**
 * What does an input do to the state, and which effects follow?
 *
 * `step` routes each input to the reducers that it concerns. After each input it asks the same
 * questions again: is the loop done, and may bytes be read?
 *
 * Coupling. A reducer is a file that changes one part of the state. Reducers are coupled by
 * connecting/closing/retrying, receiving and timers, and by the routing here; no other file imports
 * another reducer. `test/protocol/coupling.test.ts` has the table of allowed imports.
 *
 * Names. A past participle means that something happened (`transportOpened`, `confirmed`). An
 * imperative does something (`drop`, `flush`, `settle`). A name that ends in `At` is an instant, or
 * gives one (`sentAt`, `pingDueAt`). `is`, `may`, `must` and `has` ask a question and change
 * nothing.
 */

import { unreachable } from '../errors.ts'
import { beginReauthentication } from './authentication.ts'
import { close, drain, endWhenDone, violated } from './closing.ts'
import { dialNextRound, transportOpened } from './connecting.ts'
import type { Input, Step } from './contract.ts'
import { divert, diverted, isDiverted } from './divert.ts'
import { Draft } from './draft.ts'
import type { RequestFacts } from './facts.ts'
import { consumerPulled, mustPauseReading } from './flow.ts'
import { acknowledged, handledThrough } from './incoming.ts'
import { keepAliveReading, keepAliveSent, keepAliveWritten, sendPing } from './keepalive.ts'
import { flush, take, takeBirths, takenApart } from './outgoing.ts'
import { pause, resume } from './pauses.ts'
import { authenticationFailed, authenticatorAnswered, packetsReceived } from './receiving.ts'
import { connectivity, network, reconnect, transportLost } from './retrying.ts'
import { cancel, confirmed, giveUpUnread } from './settling.ts'
import type { State } from './state.ts'
import { tick } from './timers.ts'
import { deviated } from './tolerance.ts'
import { fallBackToVersion4, isOldConnack, redial } from './versions.ts'
import { deliveriesAcknowledged, endCaution } from './window.ts'

/** `step(s, [a, b])` gives the same as stepping `a` and then `b`. */
export function step(state: State, input: Input | readonly Input[]): Step {
  const d = new Draft(state)
  stepDraft(d, isList(input) ? input : [input])
  return { state: d.finish(), effects: d.effects }
}

/** Edits a draft as `step` does. */
export function stepDraft(d: Draft, inputs: readonly Input[]): void {
  for (const input of inputs) handle(d, input)
}

function isList(input: Input | readonly Input[]): input is readonly Input[] {
  return Array.isArray(input)
}

function handle(d: Draft, input: Input): void {
  if (isOver(d)) {
    // After the end the session still notes what the consumer handled, and the requests that were
    // taken: a stream may have given one after the loss that ended the loop.
    const { type } = input
    if (type === 'pulled' || type === 'diverted' || type === 'requests') route(d, input)
    return
  }
  d.input = input.type
  const { unacknowledged, pendingFrom } = d.incoming
  route(d, input)
  if (isOver(d)) return
  endWhenDone(d, input.at)
  if (isOver(d)) return
  if (d.isolation !== null) {
    const less = d.incoming.unacknowledged < unacknowledged
    if (less || d.incoming.pendingFrom !== pendingFrom) deliveriesAcknowledged(d)
  }
  decideReading(d, input.at)
  if (d.sent) keepAliveSent(d.keepAlive, input.at)
  d.sent = false
}

function isOver({ connection }: Draft): boolean {
  return connection.kind === 'closed' || connection.kind === 'failed'
}

/** Pauses or resumes reading, if that has changed. */
function decideReading(d: Draft, at: number): void {
  const paused = mustPauseReading(d, at)
  if (paused === d.keepAlive.readingPaused) return
  keepAliveReading(d.keepAlive, at, paused)
  d.effects.push({ type: paused ? 'pauseReading' : 'resumeReading' })
}

/** A flat table of all inputs, in the order of `contract.ts`. */
function route(d: Draft, input: Input): void {
  const { at } = input
  switch (input.type) {
    // transport
    case 'opened':
      return transportOpened(d, input.attempt, at)
    case 'received':
      return packetsReceived(d, input.packets, at)
    case 'deviated':
      for (const { kind, count, what, clause } of input.deviations) {
        deviated(d, kind, count, what, clause)
      }
      return
    case 'malformed':
      if (isOldConnack(d, input.packet) && fallBackToVersion4(d, 'oldForm')) return redial(d, at)
      d.reading = input.packet ?? null
      violated(d, at, input)
      d.reading = null
      return
    case 'written':
      keepAliveWritten(d.keepAlive, at, input.ping, input.more)
      return confirmed(d, input.publishes)
    case 'released':
      d.sent = true
      if (d.isolation !== null) d.isolation.handed = input.messageId ?? d.isolation.handed
      return
    case 'congestion':
      d.flow.congested = input.congested
      return
    case 'unwritable':
      d.connection.opened = false
      return
    case 'lost':
      return transportLost(d, input)
    // requests
    case 'requests':
      d.flow.unreadAsked = false
      for (const facts of input.requests) requestTaken(d, facts, at, input.hold || isOver(d))
      return
    case 'refused':
      d.counters.taken += input.count
      d.counters.settled += input.count
      return
    case 'births':
      takeBirths(d, input.requests, at)
      d.connection.birthsPending = false
      return flush(d, at)
    case 'requestsEnded':
      d.flow.requestsEnded = true
      return
    case 'cancel':
      return cancel(d, input.handle, input.cause)
    case 'apart':
      return takenApart(d, input.handle, input.requests, at)
    case 'diverted':
      return diverted(d, input.handle, input.failure)
    // consumer
    case 'start':
      if (d.connection.kind === 'idle') dialNextRound(d, at)
      return
    case 'pulled':
      if (!isOver(d)) consumerPulled(d, at)
      d.flow.bufferedPackets -= input.packets
      d.flow.bufferedBytes -= input.bytes
      d.incoming.yieldedThrough = Math.max(d.incoming.yieldedThrough, input.yieldedThrough)
      if (input.handledThrough > 0) handledThrough(d, input.handledThrough)
      return
    case 'ack':
      return acknowledged(d, input.sequence, input.messageId, input.reasonCode)
    case 'unread':
      return giveUpUnread(d, input.handles)
    // controls
    case 'pause':
      return pause(d, at, input.ms === Infinity ? Infinity : at + input.ms)
    case 'resume':
      return resume(d, at)
    case 'throttle':
      d.flow.perSecond = input.perSecond
      d.flow.nextTransmissionAt = at
      return flush(d, at)
    case 'reconnect':
      return reconnect(d, input.policy, at)
    case 'ping':
      if (d.connection.kind === 'connected') sendPing(d, input.id, at)
      return
    case 'disconnect':
      return drain(d, at, at + input.timeoutMs, input.failure)
    case 'shutdown':
      d.connection.endsWith ??= input.failure
      return close(d, at)
    case 'reauthenticate':
      return beginReauthentication(d, at)
    // authentication, network, time
    case 'authenticated':
      return authenticatorAnswered(d, input.data, at)
    case 'unauthenticated':
      return authenticationFailed(d, input.failure, at)
    case 'connectivity':
      return connectivity(d, input.online, at)
    case 'network':
      return network(d, input.online, at)
    case 'tick':
      return tick(d, at, input.attempt ?? null)
    default:
      return unreachable(input)
  }
}

/** Diverts a request that was just taken, or gives it to the connection. */
function requestTaken(d: Draft, facts: RequestFacts, at: number, hold: boolean): void {
  const publish = facts.kind === 'publish'
  d.counters.taken += publish ? facts.count : 1
  endCaution(d)
  if (publish && !hold && isDiverted(d, facts)) divert(d, facts, at)
  else take(d, facts, at, hold)
}
