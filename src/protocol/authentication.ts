/**
 * Whose turn is it in an enhanced authentication, and is this AUTH allowed? (4.12; T6, credentials
 * and authentication)
 *
 * The authenticator supplies the data. It is asked by the effect `authenticate` and answers with
 * the inputs `authenticated` and `unauthenticated`. While its answer is pending, an AUTH from the
 * server is a protocol error. This file changes only the exchange; `receiving.ts` couples it with
 * the rest of the connection.
 */
import type { Draft } from './draft.ts'
import {
  type Failure,
  type Properties,
  protocolError,
  type ReasonPacket,
  type Violation,
} from './facts.ts'
import { hex } from './reason-codes.ts'
import type { AuthenticationExchange } from './state.ts'

const SUCCESS = 0x00
/** The reason code of an AUTH that continues the exchange. (3.15.2.1) */
export const CONTINUE = 0x18
const REAUTHENTICATE = 0x19

/**
 * The most bytes of an AUTH before method and data: fixed header, reason code, lengths and property
 * names.
 */
const AUTH_OVERHEAD_BYTES = 5 + 1 + 4 + 3 + 3
/** The most bytes of UTF-8 for one unit of a string. */
const BYTES_PER_UNIT_MAX = 3

/**
 * Handles an AUTH: it is the authenticator's turn, unless the AUTH breaks a rule.
 * @returns the rule that it breaks, or null.
 */
export function authReceived(d: Draft, packet: ReasonPacket, at: number): Violation | null {
  const { connection, config } = d
  const { exchange, kind } = connection
  const { reasonCode, properties } = packet
  const code = `AUTH ${hex(reasonCode)}`
  if (config.authenticationMethod === null) return uninvited(code)
  if (properties?.['authenticationMethod'] !== config.authenticationMethod) {
    return protocolError(
      'MQTT-4.12.0-5',
      `${code} without the Authentication Method of the CONNECT`,
    )
  }
  if (exchange === null) {
    const mayBegin = kind === 'connected' && config.authenticator === 'either'
    if (!mayBegin || reasonCode !== CONTINUE) return uninvited(code)
    connection.exchange = { by: 'server', turn: 'ours', begun: true, until: endsBy(d, at) }
    ask(d, 'begin', 'server', properties)
    return null
  }
  if (exchange.turn !== 'theirs') return uninvited(code)
  if (reasonCode === CONTINUE) {
    connection.exchange = { ...exchange, turn: 'ours' }
    ask(d, 'answer', askedBy(exchange), properties)
    return null
  }
  if (reasonCode !== SUCCESS || exchange.by === 'connect') {
    return protocolError('MQTT-4.12.0-2', `${code} where only 0x18 may come`)
  }
  connection.exchange = { ...exchange, turn: 'verifying' }
  ask(d, 'verify', askedBy(exchange), properties)
  return null
}

function endsBy({ config }: Draft, at: number): number {
  return at + config.connectTimeoutMs
}

function uninvited(code: string): Violation {
  return protocolError('MQTT-4.12.0-6', `${code} that was not asked for`)
}

function askedBy({ by }: AuthenticationExchange): 'client' | 'server' {
  return by === 'server' ? 'server' : 'client'
}

function ask(
  d: Draft,
  step: 'begin' | 'answer' | 'verify',
  by: 'client' | 'server',
  properties: Properties | undefined,
): void {
  const data = (properties?.['authenticationData'] as Uint8Array | undefined) ?? null
  d.effects.push({ type: 'authenticate', step, by, data })
}

/** Begins the exchange of a CONNECT that names an authentication method. */
export function authenticateConnect({ connection }: Draft): void {
  connection.exchange = { by: 'connect', turn: 'theirs', begun: true, until: Infinity }
}

/** Asks the authenticator whether it accepts the server, after a good CONNACK. */
export function verifyConnack(d: Draft, properties: Properties | undefined): void {
  d.connection.exchange = { by: 'connect', turn: 'verifying', begun: true, until: Infinity }
  ask(d, 'verify', 'client', properties)
}

/**
 * Begins a reauthentication, unless an exchange is under way, which then serves for it.
 * [MQTT-4.12.1-1]
 */
export function beginReauthentication(d: Draft, at: number): void {
  const { connection, config } = d
  const able = connection.kind === 'connected' && connection.protocolVersion === 5
  if (!able || config.authenticator === 'none' || connection.exchange !== null) return
  connection.exchange = { by: 'client', turn: 'ours', begun: false, until: endsBy(d, at) }
  ask(d, 'begin', 'client', undefined)
}

/**
 * Sends the authenticator's answer to the server.
 * @returns false if it is larger than the server's Maximum Packet Size.
 */
export function sendAuth(
  d: Draft,
  exchange: AuthenticationExchange,
  data: Uint8Array | null,
): boolean {
  const method = d.config.authenticationMethod ?? ''
  const bytes = AUTH_OVERHEAD_BYTES + method.length * BYTES_PER_UNIT_MAX + (data?.length ?? 0)
  // Before the CONNACK no limit is agreed.
  const { kind, limits } = d.connection
  if (kind === 'connected' && bytes > limits.maximumPacketSize) return false
  d.connection.exchange = { ...exchange, turn: 'theirs', begun: true }
  d.send({ type: 'auth', reasonCode: exchange.begun ? CONTINUE : REAUTHENTICATE, data })
  return true
}

/** Ends an exchange that began after the CONNACK. */
export function endExchange(d: Draft, failure: Failure | null): void {
  d.connection.exchange = null
  d.effects.push({ type: 'reauthenticated', failure })
}
