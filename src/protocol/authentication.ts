/**
 * Enhanced authentication: who may speak when, in CONNECT … CONNACK and again later. (T6, 4.12)
 *
 * The words themselves are the authenticator's; it is asked by the effect `authenticate` and answers with the inputs
 * `authenticated` and `unauthenticated`. While it thinks nothing of the exchange may come from the server.
 */
import type { Draft } from './draft.ts'
import type { Failure, Properties, ReasonPacket } from './facts.ts'
import { hex } from './reason-codes.ts'
import type { AuthenticationExchange } from './state.ts'

const SUCCESS = 0x00
const CONTINUE = 0x18
const AGAIN = 0x19

/** Fixed header, reason code, property length, and what stands before the two properties, at most. */
const AUTH_OVERHEAD_BYTES = 5 + 1 + 4 + 3 + 3
const UTF8_BYTES_MAX = 3

/** The rule that an AUTH breaks; null: it may come, and the authenticator is asked. */
export function authReceived(
  d: Draft,
  packet: ReasonPacket,
  at: number,
): { clause: string; message: string } | null {
  const { connection, config } = d
  const { exchange, kind } = connection
  const { reasonCode, properties } = packet
  const code = `AUTH ${hex(reasonCode)}`
  if (config.authenticationMethod === null) return unasked(code)
  if (properties?.['authenticationMethod'] !== config.authenticationMethod) {
    const message = `${code} without the Authentication Method of the CONNECT`
    return { clause: 'MQTT-4.12.0-5', message }
  }
  if (exchange === null) {
    const mayBegin = kind === 'connected' && config.authenticator === 'either'
    if (!mayBegin || reasonCode !== CONTINUE) return unasked(code)
    connection.exchange = { by: 'server', turn: 'ours', begun: true, until: untilOf(d, at) }
    ask(d, 'begin', 'server', properties)
    return null
  }
  if (exchange.turn !== 'theirs') return unasked(code)
  if (reasonCode === CONTINUE) {
    connection.exchange = { ...exchange, turn: 'ours' }
    ask(d, 'answer', askedBy(exchange), properties)
    return null
  }
  if (reasonCode !== SUCCESS || exchange.by === 'connect') {
    return { clause: 'MQTT-4.12.0-2', message: `${code} where only 0x18 may come` }
  }
  connection.exchange = { ...exchange, turn: 'verifying' }
  ask(d, 'judge', askedBy(exchange), properties)
  return null
}

function untilOf({ config }: Draft, at: number): number {
  return at + config.connectTimeoutMs
}

function unasked(code: string): { clause: string; message: string } {
  return { clause: 'MQTT-4.12.0-6', message: `${code} that was not asked for` }
}

function askedBy({ by }: AuthenticationExchange): 'client' | 'server' {
  return by === 'server' ? 'server' : 'client'
}

function ask(
  d: Draft,
  step: 'begin' | 'answer' | 'judge',
  by: 'client' | 'server',
  properties: Properties | undefined,
): void {
  const data = (properties?.['authenticationData'] as Uint8Array | undefined) ?? null
  d.effects.push({ type: 'authenticate', step, by, data })
}

/** The CONNACK is good, and the authenticator may still refuse the server. */
export function judgeConnack(d: Draft, properties: Properties | undefined): void {
  d.connection.exchange = { by: 'connect', turn: 'verifying', begun: true, until: Infinity }
  ask(d, 'judge', 'client', properties)
}

/** On the control: begins, or joins the exchange that is under way. [MQTT-4.12.1-1] */
export function reauthenticate(d: Draft, at: number): void {
  if (d.connection.exchange !== null) return
  d.connection.exchange = { by: 'client', turn: 'ours', begun: false, until: untilOf(d, at) }
  d.effects.push({ type: 'authenticate', step: 'begin', by: 'client', data: null })
}

/** What the authenticator says goes to the server; false: the server would not take it. */
export function answer(
  d: Draft,
  exchange: AuthenticationExchange,
  data: Uint8Array | null,
): boolean {
  const method = d.config.authenticationMethod ?? ''
  const bytes = AUTH_OVERHEAD_BYTES + method.length * UTF8_BYTES_MAX + (data?.length ?? 0)
  // Before the CONNACK nothing is agreed.
  const { kind, limits } = d.connection
  if (kind === 'connected' && bytes > limits.maximumPacketSize) return false
  d.connection.exchange = { ...exchange, turn: 'theirs', begun: true }
  d.send({ type: 'auth', reasonCode: exchange.begun ? CONTINUE : AGAIN, data })
  return true
}

/** An exchange after the connection was made has ended. */
export function ended(d: Draft, failure: Failure | null): void {
  d.connection.exchange = null
  d.effects.push({ type: 'reauthenticated', failure })
}
