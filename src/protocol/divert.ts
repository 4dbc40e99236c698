/**
 * While there is no healthy connection, new publishes go another way. (T9)
 *
 * Healthy: there is a connection, and fewer than three PINGREQs wait for their answer. To know in time, PINGREQs are sent
 * three times as often as the user wants to be patient. The first answer brings everything back.
 */
import type { Draft } from './draft.ts'
import type { PublishFacts } from './facts.ts'
import { isExpired, refusalOf } from './refusals.ts'
import type { Outage, State } from './state.ts'

/** Without an answer to as many, a connection is not healthy. */
const PINGS = 3

type Parts = Pick<State, 'config' | 'connection' | 'keepAlive' | 'flow'>
type Roads = Parts & { readonly outage: Outage | null }

/** When a PINGREQ has to find out how the connection is; Infinity: not now. */
export function probeDueAt({ config, connection, keepAlive }: Parts): number {
  const { divert } = config
  if (divert === null || keepAlive.readingPaused || connection.pings.length >= PINGS) {
    return Infinity
  }
  return (
    Math.max(keepAlive.receivedAt, connection.pings.at(-1)?.sentAt ?? 0) + divert.afterMs / PINGS
  )
}

/** When new publishes begin to go the other way; Infinity: nothing speaks for it, or they do already. */
export function divertsAt({ config, connection, keepAlive, flow, outage }: Roads): number {
  const { divert } = config
  if (divert === null || flow.diverting) return Infinity
  if (outage !== null) return outage.downSince + divert.afterMs
  const { pings } = connection
  if (pings.length < PINGS || keepAlive.readingPaused) return Infinity
  // Any byte is a sign of life; and after a pause, in which no answer was read, the count starts anew (K2).
  return Math.max(pings[0]!.sentAt, keepAlive.receivedAt) + divert.afterMs
}

export function tickDivert(d: Draft, at: number): void {
  if (at < divertsAt(d)) return
  d.flow.diverting = true
  const { afterMs } = d.config.divert!
  const message = `No healthy connection for ${afterMs} ms: new publishes go to \`divert.to\`.`
  d.effects.push({ type: 'warn', code: 'DIVERTING', message })
}

/** A publish that was just taken goes the other way; what expired goes nowhere. */
export function divert(d: Draft, facts: PublishFacts, at: number): void {
  const { handle } = facts
  d.flow.diverted++
  if (!isExpired(facts, at)) d.effects.push({ type: 'divert', handle })
  else diverted(d, handle, refusalOf(facts, d.connection.limits, at))
}

export function diverted(d: Draft, handle: number, failure: ReturnType<typeof refusalOf>): void {
  if (d.flow.diverted === 0) return
  d.flow.diverted--
  d.counters.settled++
  const packet = null
  d.effects.push({ type: 'settle', handle, failure, packet, outcome: true, release: true })
}

/** How many publishes may be taken for the other way. */
export function divertedIntake({ config, flow }: Parts): number {
  return Math.max(0, (config.divert?.concurrency ?? 0) - flow.diverted)
}
