/**
 * Shared by the tests of single statements: a loop at a server that sends and does what the test
 * wants.
 */
import mqtt, { type IConnackPacket, type Packet } from 'mqtt-packet'
import { expect } from 'vitest'
import {
  type Eventloop,
  type EventloopOptions,
  type IncomingPublish,
  publish,
  type Request,
  UsageError,
} from '../../src/index.ts'
import { hex } from '../codec/support.ts'
import { VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer, type ServerConnection } from '../support/server.ts'

/** A loop that answers every deviation as the standard says. */
export const startStrict: typeof startLoop = (options, ...rest) =>
  startLoop({ tolerance: 'strict', ...options }, ...rest)

export interface World extends Started {
  readonly connection: ServerConnection
  /** Lets everything happen that takes no time. */
  settle(): Promise<void>
}

/** Starts a loop that has sent its CONNECT; the CONNACK has these fields, or none comes. */
export async function world(
  options: EventloopOptions = {},
  requests: readonly Request[] = [],
  connack: Partial<IConnackPacket> | false = {},
): Promise<World> {
  const server = new ScriptedServer(new VirtualClock(), {
    autoConnack: connack === false ? false : connack,
    autoAck: false,
  })
  const started = startStrict({ until: 'closed', ...options }, requests, undefined, { server })
  const settle = () => started.clock.advance(0)
  await settle()
  // Values that are read later come from getters, which a copy would freeze.
  const live = Object.create(started) as Started
  return Object.assign(live, { connection: server.connections[0]!, settle })
}

/** The CONNECT as it was written, without fixed header. */
export async function connectBytes(options: EventloopOptions = {}): Promise<Buffer> {
  const { connection } = await world(options, [], false)
  const { bytes } = connection
  expect(bytes[0]).toBe(0x10)
  return bytes.subarray(2)
}

export const FLAGS = 7
export const messages = ({ received }: Started) =>
  received.filter((packet): packet is IncomingPublish => packet.cmd === 'publish')
export const said = (connection: ServerConnection) => connection.packets.map(({ cmd }) => cmd)

/**
 * Expects that these bytes are answered with DISCONNECT and one of these codes, and a close, and
 * that nothing of them is yielded.
 */
export async function refuses(
  bytes: string | Buffer,
  codes: readonly number[],
  options: EventloopOptions = {},
  requests: readonly Request[] = [],
): Promise<void> {
  const w = await world(options, requests)
  w.connection.send(typeof bytes === 'string' ? hex(bytes) : bytes)
  await w.clock.advance(1000)
  const last = w.connection.packets.at(-1)!
  expect(last.cmd).toBe('disconnect')
  expect(codes).toContain((last as { reasonCode?: number }).reasonCode)
  expect(w.connection.closed).toBe(true)
  expect(messages(w)).toEqual([])
}

/** Expects that the attempt ends with an error and a closed connection. */
export async function failsToConnect(
  answer: string | Partial<IConnackPacket>,
  options: EventloopOptions = {},
): Promise<{ error: unknown; w: World }> {
  const w = await world(
    { reconnect: 'never', protocolVersion: 5, ...options },
    [publish('q', 'x', { qos: 1 })],
    false,
  )
  if (typeof answer === 'string') w.connection.send(hex(answer))
  else w.connection.connack(answer)
  await w.clock.advance(2000)
  expect(w.ended).toBe(true)
  expect(w.error).toBeInstanceOf(Error)
  expect(w.connection.closed).toBe(true)
  expect(w.outcomes).toEqual([])
  return { error: w.error, w }
}

export function usage(request: () => unknown, says: RegExp): void {
  expect(request).toThrow(UsageError)
  expect(request).toThrow(says)
}

/** Sends a request that is refused before it is sent. @returns the error of its outcome. */
export async function refusedHere(request: Request, connack: Partial<IConnackPacket> = {}) {
  const w = await world({}, [request], connack)
  await w.clock.advance(10)
  expect(said(w.connection)).toEqual(['connect'])
  const [settled] = w.outcomes
  expect(settled!.outcome.ok).toBe(false)
  return (settled!.outcome as { error: unknown }).error
}

export const generated = (packet: Packet) => mqtt.generate(packet, { protocolVersion: 5 })
export const inbound = (fields: object) =>
  generated({
    cmd: 'publish',
    topic: 't',
    payload: 'p',
    qos: 0,
    dup: false,
    retain: false,
    ...fields,
  } as Packet)

/** The subscriptions, with the QoS that was granted. */
export function granted({ state }: Eventloop): [string, number | null][] {
  const held = state.subscriptions.filter(({ status }) => status === 'granted')
  return held.map(({ topic, granted }) => [topic, granted])
}
