/**
 * The rows of malformed.jsonl, and how each is brought about: a loop at a scripted server is brought
 * into the state of the row with the options of the row, then the bytes come whole, byte by byte,
 * and with one more good PUBLISH behind them.
 */
import mqtt, { type IPublishPacket, type Packet } from 'mqtt-packet'
import { expect } from 'vitest'
import type { EventloopOptions } from '../../src/options/options.ts'
import type { Tolerance } from '../../src/protocol/deviations.ts'
import { publish, subscribe, unsubscribe } from '../../src/requests/build.ts'
import type { Incoming, IncomingPublish, Request } from '../../src/requests/vocabulary.ts'
import { hex, jsonLines } from '../codec/support.ts'
import { VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer, type ServerConnection } from '../support/server.ts'

export type Version = 4 | 5
export type Expected = 'close' | 'fail' | 'ok' | 'tol' | 'limit' | 'gone'
export type Place = 'pre' | 'up' | 'sub1' | 'sub2' | 'unsub1' | 'pub1' | 'pub2'
type Option = 'alias2' | 'maxPacket' | 'auth' | 'noproblem' | 'recvmax2' | 'fin' | 'drip'

export interface Row {
  readonly id: string
  readonly title: string
  readonly state: Place | 'situation'
  readonly options: Option | null
  readonly hex_v5: string | null
  readonly expect_v5: Expected | null
  readonly codes_v5: readonly (number | null)[]
  readonly hex_v311: string | null
  readonly expect_v311: Expected | null
}

/** A row in one version. */
export interface Case {
  readonly id: string
  readonly place: Place
  readonly option: Option | null
  readonly version: Version
  readonly hex: string
  readonly expected: Expected
  readonly codes: readonly (number | null)[]
}

export const CUTS = ['whole', 'byte by byte', 'with a good packet behind it'] as const
export type Cut = (typeof CUTS)[number]

export interface World extends Started {
  readonly row: Case
  readonly cut: Cut
  readonly connection: ServerConnection
  /** What a tolerant decoder reads in the row's bytes. */
  readonly meant: readonly Packet[]
  /** Packets that the client sent before the bytes came. */
  readonly sentBefore: number
  readonly delivered: readonly IncomingPublish[]
}

const OPTIONS: Readonly<Record<Option, (version: Version) => EventloopOptions>> = {
  alias2: () => ({ topicAliasMaximum: 2 }),
  maxPacket: () => ({ maximumPacketSize: 1000 }),
  auth: (version) => (version === 5 ? { properties: { authenticationMethod: 'M' } } : {}),
  noproblem: () => ({ properties: { requestProblemInformation: false } }),
  recvmax2: () => ({ receiveMaximum: 2 }),
  fin: () => ({}),
  drip: () => ({}),
}

const REQUESTS: Readonly<Record<Place, Request | null>> = {
  pre: null,
  up: null,
  sub1: subscribe('a'),
  sub2: subscribe(['a', 'b']),
  unsub1: unsubscribe('a'),
  pub1: publish('a', 'x', { qos: 1 }),
  pub2: publish('a', 'x', { qos: 2 }),
}

export const TAIL: Readonly<Record<Version, Buffer>> = {
  5: hex('3009 000474 61696c 00 2121'),
  4: hex('3008 000474 61696c 2121'),
}

/** From this size on, single bytes are sent many to a turn of Node's event loop. */
const LARGE_BYTES = 2048

export const rows = jsonLines<Row>('conformance/malformed.jsonl')

export function caseOf(row: Row, version: Version): Case | null {
  const { id, state, options, codes_v5 } = row
  const text = version === 5 ? row.hex_v5 : row.hex_v311
  const expected = version === 5 ? row.expect_v5 : row.expect_v311
  if (state === 'situation' || text === null || expected === null) return null
  return { id, place: state, option: options, version, hex: text, expected, codes: codes_v5 }
}

// ------------------------------------------------------------------------------- bringing it about

export async function play(row: Case, cut: Cut, tolerance: Tolerance): Promise<World> {
  const clock = new VirtualClock()
  const server = new ScriptedServer(clock, { autoAck: false, autoClose: false })
  if (row.place === 'pre') server.autoConnack = false
  else if (row.option === 'auth' && row.version === 5) {
    server.autoConnack = { properties: { authenticationMethod: 'M' } }
  }
  const request = REQUESTS[row.place]
  const started = startLoop(
    {
      protocolVersion: row.version,
      reconnect: 'never',
      tolerance,
      until: 'closed',
      ...(row.option === null ? {} : OPTIONS[row.option](row.version)),
    },
    request === null ? [] : [request],
    undefined,
    { server },
  )
  await clock.advance(0)
  const { current: connection } = server
  const id = connection.packets.at(-1)!.messageId?.toString(16).padStart(4, '0')
  const bytes = hex(id === undefined ? row.hex : row.hex.replaceAll('eeee', id))
  const sentBefore = connection.packets.length
  if (cut === 'byte by byte') {
    await connection.drip(bytes, bytes.length > LARGE_BYTES ? 512 : 1)
  } else if (cut === 'whole') connection.send(bytes)
  else connection.send(Buffer.concat([bytes, TAIL[row.version]]))
  await clock.advance(0)
  if (row.option === 'fin') connection.end()
  // Closing may take a second (E2, an orderly end).
  await clock.advance(1000)
  const delivered = started.received.filter(isPublish)
  return {
    ...{ row, cut, connection, sentBefore, delivered, meant: meaningOf(bytes, row.version) },
    ...{ clock, server, loop: started.loop, received: started.received, done: started.done },
    ...{ outcomes: started.outcomes, warnings: started.warnings },
    get error() {
      return started.error
    },
    get ended() {
      return started.ended
    },
  }
}

export function isPublish(packet: Incoming): packet is IncomingPublish {
  return packet.cmd === 'publish'
}

/**
 * What mqtt-packet, which accepts nearly everything, reads in the bytes, up to the first packet
 * that it cannot read.
 */
function meaningOf(bytes: Buffer, protocolVersion: Version): Packet[] {
  const packets: Packet[] = []
  const parser = mqtt.parser({ protocolVersion })
  parser.on('packet', (packet) => packets.push(packet))
  parser.on('error', () => {})
  try {
    parser.parse(bytes)
  } catch {
    // It throws at some of them.
  }
  return packets
}

/** The messages of a legal row: aliases resolved, a repeated QoS 2 identifier once. */
export function messagesOf(packets: readonly Packet[]): string[] {
  const aliases = new Map<number, string>()
  const seen = new Set<number>()
  const messages: string[] = []
  for (const packet of packets) {
    if (packet.cmd !== 'publish') continue
    const alias = packet.properties?.topicAlias
    if (alias !== undefined && packet.topic !== '') aliases.set(alias, packet.topic)
    if (packet.qos === 2 && seen.has(packet.messageId!)) continue
    if (packet.qos === 2) seen.add(packet.messageId!)
    messages.push(textOf({ ...packet, topic: packet.topic || aliases.get(alias!)! }))
  }
  return messages
}

export function textOf({ topic, payload, qos }: Pick<IPublishPacket, 'topic' | 'payload' | 'qos'>) {
  return `${topic} @${qos}: ${Buffer.from(payload).toString('hex')}`
}

/** Expects that the connection is open: the row's messages were yielded, and one more is. */
export async function assertAlive(world: World, at: string): Promise<void> {
  const { row, cut, connection, sentBefore, clock, loop, meant, received } = world
  expect(world.error, at).toBeUndefined()
  expect(connection.closed, `${at}: closed`).toBe(false)
  expect(loop.state.connection.kind, at).toBe('connected')
  if (cut !== 'with a good packet behind it') {
    connection.send(TAIL[row.version])
    await clock.advance(0)
  }
  const publishes = received.filter(isPublish)
  expect(publishes.map(textOf), `${at}: delivered`).toEqual([...messagesOf(meant), 'tail @0: 2121'])
  const sent = connection.packets.slice(sentBefore)
  expect(
    sent.filter(({ cmd }) => cmd === 'disconnect'),
    at,
  ).toEqual([])
}

/** Expects that the loop has ended or ends now; either way nothing of it remains. */
export async function assertNothingLeft({ loop, clock, server, connection }: World, at: string) {
  loop.shutdown()
  await clock.advance(1000)
  expect(clock.pendingTimers, `${at}: timers`).toBe(0)
  expect(server.open, `${at}: sockets`).toBe(0)
  expect(connection.client.listenerCount('data'), `${at}: readers`).toBeLessThanOrEqual(1)
}
