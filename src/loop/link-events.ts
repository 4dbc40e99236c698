/**
 * How do events of the transport become inputs? The transport opens, brings bytes, hands written
 * bytes to the kernel, and is lost.
 */

import { packetChannel } from '#runtime'
import type { Attempt } from '../connection/attempt.ts'
import { discard } from '../connection/dial.ts'
import { Link } from '../connection/link.ts'
import { CONGESTED_BYTES } from '../connection/outbox.ts'
import { reportReceived } from '../connection/send.ts'
import { ProtocolError } from '../errors.ts'
import type { ByteStream } from '../platform/byte-stream.ts'
import type { Input } from '../protocol/contract.ts'
import { DEVIATIONS } from '../protocol/deviations.ts'
import type { Failure, ServerPacket } from '../protocol/facts.ts'
import { packetCapacity } from '../protocol/queries.ts'
import { authenticationFailure, closedError, dialFailure, lossFailure } from './failures.ts'
import { isAlive } from './life.ts'
import type { Parts } from './parts.ts'
import { authenticationOf, reportStall } from './perform.ts'
import { publicFailure } from './transitions.ts'
import { destinationOf, endpointFor } from './where.ts'

export function opened(loop: Parts, stream: ByteStream, attempt: Attempt): void {
  const deviation = loop.dialer?.deviation ?? null
  loop.dialer = null
  const { connection, config } = loop.state
  if (!isAlive(loop.life) || connection.kind !== 'connecting') {
    discard(stream)
    attempt.exchange?.abandon()
    return lost(loop, null, false)
  }
  const { protocolVersion } = connection
  const plain = attempt.options === loop.resolved.options && attempt.exchange === null
  loop.attempt = plain && attempt.facts === null ? null : attempt
  if (attempt.exchange !== null) authenticationOf(loop).adopt(attempt.exchange)
  loop.link = new Link(stream, protocolVersion, config, loop)
  if (deviation !== null) noteSubprotocol(loop, deviation)
  loop.run({ type: 'opened', at: loop.now(), attempt: attempt.facts })
}

/** The only rule of a transport that a server may break. */
function noteSubprotocol(loop: Parts, what: string): void {
  const { clause } = DEVIATIONS.NO_SUBPROTOCOL
  const deviations = [{ kind: 'NO_SUBPROTOCOL', count: 1, what, clause }] as const
  loop.add({ type: 'deviated', at: loop.now(), deviations })
}

/**
 * Decodes the bytes that came, as far as the consumer's buffer has room for `packetsMax` packets.
 * `over`: nothing more will come.
 */
export function decode(loop: Parts, packetsMax: number, over = false): void {
  const { link } = loop
  if (link === null || !link.hasMore || packetsMax <= 0) return
  const packets: ServerPacket[] = []
  const at = loop.now()
  const who = link.stranger(over)
  if (who === 'more') return
  if (who !== null) return loop.add(notMqtt(loop, who, at))
  try {
    link.read(packets, packetsMax)
    noteDeviations(loop, link, at)
    received(loop, packets, at)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    const { reasonCode, clause, message } = error
    noteDeviations(loop, link, at)
    received(loop, packets, at)
    const packet = link.refused ?? { cmd: 'unknown' }
    const isFirst = loop.state.connection.kind === 'connecting' && packets.length === 0
    const strange = isFirst && !FIRST_PACKETS.has(packet.cmd) ? strangeBytes(loop, message) : {}
    loop.add({ type: 'malformed', at, reasonCode, clause, message, packet, ...strange })
  }
}

/** Handles the bytes of a read. Then reading rests, if that pays and is not switched off. */
export function handleBytes(loop: Parts): void {
  decode(loop, packetCapacity(loop.state))
  loop.turn()
  const { state } = loop
  if (state.config.gatherReads) loop.link?.restIfUseful(state.outgoing.inFlight, loop.platform)
}

/** The packets that a server may send before a connection is accepted. */
const FIRST_PACKETS: ReadonlySet<string> = new Set(['connack', 'disconnect', 'auth'])

/** Servers of binary protocols are known by what is wrong with their first bytes only. */
function strangeBytes(loop: Parts, what: string) {
  const strange = 'its first packet is none; check host and port'
  const message = `${endpointFor(loop)} is no MQTT server: ${strange} (${what})`
  return { code: 'NOT_MQTT', message } as const
}

function notMqtt(loop: Parts, who: string, at: number): Input {
  const message = `${endpointFor(loop)} is no MQTT server: ${who}`
  const violation = { reasonCode: 0x82, clause: 'MQTT-3.2.0-1', message }
  return { type: 'malformed', at, ...violation, code: 'NOT_MQTT', packet: { cmd: 'unknown' } }
}

function noteDeviations(loop: Parts, link: Link, at: number): void {
  const deviations = link.takeNotes()
  if (deviations !== null) loop.add({ type: 'deviated', at, deviations })
}

function received(loop: Parts, packets: readonly ServerPacket[], at: number): void {
  if (packetChannel.hasSubscribers) reportReceived(packets, loop.state)
  loop.add({ type: 'received', at, packets })
}

/** Adds an input because the kernel took bytes that were written. */
export function written(loop: Parts): void {
  const outbox = loop.link?.outbox
  const report = outbox?.report
  if (outbox === undefined || report === undefined || report === null) return
  outbox.report = null
  const { publishes, ping } = report
  const more = outbox.pendingBytes > 0
  loop.add({ type: 'written', at: loop.now(), publishes, ping, more })
  noteCongestion(loop)
}

/** Adds an input if the transport has become congested, or no longer is. */
export function noteCongestion(loop: Parts): void {
  if (loop.link === null) return
  const { congested } = loop.state.flow
  const pending = loop.link.outbox.pendingBytes
  const now = pending > (congested ? CONGESTED_BYTES / 2 : CONGESTED_BYTES)
  if (now === congested) return
  loop.add({ type: 'congestion', at: loop.now(), congested: now })
  if (now) reportStall(loop, 'transport', `${pending} bytes wait for the transport.`)
}

/**
 * Adds an input because the transport closed or could not be opened.
 * @param error null if the transport closed without an error.
 */
export function lost(loop: Parts, error: unknown, byPeer: boolean): void {
  const { kind, opened } = loop.state.connection
  const to = destinationOf(loop)
  const at = loop.now()
  // Inputs that wait for the next step are stepped after the loss, because nothing was sent for
  // them.
  const waiting = loop.takeInputs()
  if (loop.link?.hasMore) loop.add({ type: 'unwritable', at })
  decode(loop, Number.MAX_SAFE_INTEGER, true)
  loop.link = null
  const dialling = kind === 'connecting' && !opened
  const base = dialling
    ? dialFailure(error, to)
    : lossFailure(error, kind === 'connecting' ? 'handshake' : 'connected', to)
  const failure = error === null ? base : { ...base, cause: loop.causes.keepRecent(error) }
  const { afterClose, reason } = loop.state.connection
  const why = afterClose !== null && reason !== null ? reason : failure
  failOutstanding(loop, afterClose === 'end' ? closedError : () => loop.causes.errorOf(why))
  const retryable = decide(loop, why)
  const random = loop.platform.random()
  loop.add({ type: 'lost', at, random, failure, byPeer, retryable })
  for (const input of waiting) loop.add(input)
  loop.turn()
}

/** @returns the decision of the user's `retryable` on a failure, or null if there is none. */
function decide(loop: Parts, failure: Failure): boolean | null {
  // The same settings would fail in the same way.
  const isHopeless = failure.source === 'usage' && !failure.retryable
  if (!loop.retryable || isHopeless) return null
  try {
    return loop.retryable(publicFailure(failure))
  } catch (error) {
    loop.fail(error)
    return false
  }
}

/** Fails the pings and re-authentications that this connection can no longer answer. */
export function failOutstanding(loop: Parts, reason: () => unknown): void {
  loop.pings?.fail(reason)
  loop.authentication?.abandon(reason)
  loop.renewals = null
}

/** Adds an input because the authenticator failed or does not trust the server. */
export function unauthenticated(loop: Parts, error: unknown): void {
  const { kind } = loop.state.connection
  const base = authenticationFailure(error, kind === 'connected' ? 'connected' : 'handshake')
  const failure = { ...base, cause: loop.causes.keepRecent(error) }
  loop.push({ type: 'unauthenticated', at: loop.now(), failure })
}
