/**
 * Which version of MQTT does the next CONNECT have?
 *
 * Unless the user pinned the version, MQTT 5 is asked first. A server that does not know it refuses
 * in as many ways as there are servers: with a return code, with a CONNACK in the form of 3.1.1, by
 * closing in order or with a reset, or by saying nothing. After each of them 3.1.1 is asked once,
 * immediately. It is remembered once a server has accepted it; until then the next round, and the
 * next server, begin with MQTT 5 again.
 */
import type { Draft } from './draft.ts'
import { makeFailure, type PacketName } from './facts.ts'
import { enter } from './lifecycle.ts'

/** What may mean that a server does not know MQTT 5, in words. */
const SIGNS = {
  refused: 'The server does not support MQTT 5',
  oldForm: 'The server answered in the form of MQTT 3.1.1',
  closed: 'The server closed the connection without an answer to MQTT 5',
  silent: 'The server did not answer MQTT 5 within connectTimeout',
} as const

/** A CONNACK of MQTT 3 has two bytes behind its fixed header, one of MQTT 5 has at least three. */
const OLD_CONNACK_BYTES = 2

/** The ways in which a transport ends if the server closes it, in order or with a reset. */
const CLOSED_BY_SERVER: ReadonlySet<string> = new Set([
  'CONNECTION_CLOSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
])

/** @returns whether this loss may be the answer of a server that does not know the version. */
export function isWordlessClose({ connection }: Draft, code: string, byPeer: boolean): boolean {
  if (connection.kind !== 'connecting' || connection.heard) return false
  return byPeer || CLOSED_BY_SERVER.has(code)
}

/** @returns whether a packet that could not be decoded is a CONNACK of MQTT 3. */
export function isOldConnack({ connection }: Draft, packet: PacketName | undefined): boolean {
  if (connection.kind !== 'connecting' || packet?.cmd !== 'connack') return false
  return packet.remainingLength === OLD_CONNACK_BYTES
}

/**
 * Asks for version 4 next, if version 5 was refused by a server that never accepted it.
 * @returns whether it does.
 */
export function fallBackToVersion4(d: Draft, sign: keyof typeof SIGNS): boolean {
  const { reconnect, connection } = d
  if (!reconnect.versionMayFall || connection.protocolVersion !== 5) return false
  // Only MQTT 5 has sessions for clients without an identifier. [MQTT-3.1.3-7]
  if (d.session.clientId === '' && !d.config.cleanStart) return false
  reconnect.version = 4
  reconnect.versionMayFall = false
  const message = `${SIGNS[sign]}; the loop tries 3.1.1.`
  connection.reason = makeFailure('handshake', 'refused', 'UNSUPPORTED_VERSION', true, message)
  return true
}

/**
 * Destroys the transport and dials the same server again, with the other version. The next attempt
 * has the time limit of this one, unless `connectBy` is put off before.
 */
export function redial(d: Draft, at: number): void {
  d.connection.afterClose = 'redial'
  d.connection.closeBy = at
  enter(d, 'disconnected', at)
  d.effects.push({ type: 'destroy' })
}

/** Lets the next server, or the next round, begin with MQTT 5, unless a server accepted 4. */
export function forgetVersion({ reconnect, session, config }: Draft): void {
  if (!config.versionMayFall || session.protocolVersion !== 0) return
  reconnect.version = config.protocolVersion
  reconnect.versionMayFall = true
}
