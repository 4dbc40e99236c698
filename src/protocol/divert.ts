/**
 * When do new publishes go to `divert.to` instead of the server? (T9, publishes are diverted during
 * an outage)
 *
 * A connection is healthy while fewer than three PINGREQs are unanswered. To find out in time,
 * PINGREQs are sent at a third of the interval that the user chose. The first PINGRESP ends the
 * diverting.
 */
import type { Config } from './config.ts'
import type { Draft } from './draft.ts'
import type { Failure, PublishFacts } from './facts.ts'
import { isExpired, refusalOf } from './refusals.ts'
import type { WaitingRequest } from './session-state.ts'
import type { ConnectionState, FlowState, KeepAliveState, ReconnectState } from './state.ts'

/** A connection with this many unanswered PINGREQs is not healthy. */
const PINGS = 3

interface DivertParts {
  readonly config: Config
  readonly connection: ConnectionState
  readonly keepAlive: KeepAliveState
  readonly flow: FlowState
  readonly reconnect: ReconnectState
}

/**
 * @returns when a PINGREQ must find out whether the connection is healthy, or Infinity if none
 * must.
 */
export function probeDueAt({
  config,
  connection,
  keepAlive,
}: Pick<DivertParts, 'config' | 'connection' | 'keepAlive'>): number {
  const { divert } = config
  if (divert === null || keepAlive.readingPaused || connection.pings.length >= PINGS) {
    return Infinity
  }
  const pingedAt = connection.pings.at(-1)?.sentAt ?? 0
  return Math.max(keepAlive.receivedAt, pingedAt) + divert.afterMs / PINGS
}

/**
 * @returns when diverting begins, or Infinity if the connection is healthy or diverting has begun
 * already.
 */
export function divertsAt({ config, connection, keepAlive, flow, reconnect }: DivertParts): number {
  const { divert } = config
  if (divert === null || flow.diverting) return Infinity
  if (reconnect.outage !== null) return reconnect.outage.downSince + divert.afterMs
  const [oldest] = connection.pings
  if (oldest === undefined || connection.pings.length < PINGS || keepAlive.readingPaused) {
    return Infinity
  }
  // Any byte proves that the server is there. After a pause, in which no answer was read, the time
  // starts again.
  return Math.max(oldest.sentAt, keepAlive.receivedAt) + divert.afterMs
}

export function beginDiverting(d: Draft, at: number): void {
  d.flow.diverting = true
  const { afterMs } = d.config.divert!
  d.warn('DIVERTING', `No healthy connection for ${afterMs} ms: new publishes go to \`divert.to\`.`)
  divertWaiting(d, at)
}

/** Diverts the publishes that were taken in this outage, before the diverting began. */
function divertWaiting(d: Draft, at: number): void {
  const from = d.reconnect.outage?.firstOrder ?? Infinity
  const { waiting, waitingAt } = d.session
  if (waiting.length === waitingAt) return
  const left: WaitingRequest[] = []
  for (const request of waiting.slice(waitingAt)) {
    const { facts, order } = request
    if (facts.kind === 'publish' && order >= from && isDiverted(d, facts)) divert(d, facts, at)
    else left.push(request)
  }
  d.session.waiting = left
  d.session.waitingAt = 0
}

/** @returns whether a request that was just taken is diverted. */
export function isDiverted({ flow }: Draft, facts: PublishFacts): boolean {
  return flow.diverting && facts.count === 1
}

/** Diverts a publish that was just taken. An expired one is settled instead. */
export function divert(d: Draft, facts: PublishFacts, at: number): void {
  const { handle } = facts
  d.flow.diverted++
  if (!isExpired(facts, at)) d.effects.push({ type: 'divert', handle })
  else diverted(d, handle, refusalOf(facts, d.connection.limits, at))
}

/** Settles a diverted publish with the outcome that `divert.to` gave it. */
export function diverted(d: Draft, handle: number, failure: Failure | null): void {
  if (d.flow.diverted === 0) return
  d.flow.diverted--
  d.settle(handle, failure, null, true)
}

/** @returns how many publishes may be taken to be diverted. */
export function divertCapacity({ config, flow }: Pick<DivertParts, 'config' | 'flow'>): number {
  return Math.max(0, (config.divert?.concurrency ?? 0) - flow.diverted)
}
