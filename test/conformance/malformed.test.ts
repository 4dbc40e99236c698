/**
 * Goal: for every input of malformed.jsonl that has bytes, the outcome that it names, in both
 * versions. Method: a loop at a scripted server is brought into the state of the row with the
 * options of the row; then the bytes come whole, byte by byte, and with one more good PUBLISH
 * behind them. The messages that the loop yielded are compared with what mqtt-packet reads in the
 * legal rows; of a broken packet nothing may be yielded.
 */
import mqtt, { type IPublishPacket, type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { MqttError, ProtocolError, RefusedError } from '../../src/errors.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import { publish, subscribe, unsubscribe } from '../../src/requests/build.ts'
import type { Incoming, IncomingPublish, Request } from '../../src/requests/vocabulary.ts'
import { hex, jsonLines } from '../codec/support.ts'
import { VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer, type ServerConnection } from '../support/server.ts'

type Version = 4 | 5
type Expected = 'close' | 'fail' | 'ok' | 'tol' | 'limit' | 'gone'
type Place = 'pre' | 'up' | 'sub1' | 'sub2' | 'unsub1' | 'pub1' | 'pub2'
type Option = 'alias2' | 'maxPacket' | 'auth' | 'noproblem' | 'recvmax2' | 'fin' | 'drip'

interface Row {
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
interface Case {
  readonly id: string
  readonly place: Place
  readonly option: Option | null
  readonly version: Version
  readonly hex: string
  readonly expected: Expected
  readonly codes: readonly (number | null)[]
}

const CUTS = ['whole', 'byte by byte', 'with a good packet behind it'] as const
type Cut = (typeof CUTS)[number]

interface World extends Started {
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

const TAIL: Readonly<Record<Version, Buffer>> = {
  5: hex('3009 000474 61696c 00 2121'),
  4: hex('3008 000474 61696c 2121'),
}

/** From this size on, single bytes are sent many to a turn of Node's event loop. */
const LARGE_BYTES = 2048

// --------------------------------------------------------------------------------------- every row

const rows = jsonLines<Row>('conformance/malformed.jsonl')

test('[I1] the table is whole: 174 rows of bytes, 20 situations, two that need more than bytes', () => {
  expect(rows).toHaveLength(196)
  const bare = rows.filter(({ hex_v5, hex_v311 }) => hex_v5 === null && hex_v311 === null)
  expect(bare.filter(({ state }) => state !== 'situation').map(({ id }) => id)).toEqual([
    'P43',
    'P45',
  ])
  expect(rows.length - bare.length).toBe(174)
})

for (const version of [5, 4] as const) {
  describe(`MQTT ${version === 5 ? '5' : '3.1.1'}`, () => {
    for (const row of rows) {
      const one = caseOf(row, version)
      if (one === null) continue
      test(`[I1] ${row.id} ${row.title}: ${VERDICTS[one.expected]}`, async () => {
        for (const cut of CUTS) await judge(await play(one, cut))
      })
    }
  })
}

function caseOf(row: Row, version: Version): Case | null {
  const { id, state, options, codes_v5 } = row
  const text = version === 5 ? row.hex_v5 : row.hex_v311
  const expected = version === 5 ? row.expect_v5 : row.expect_v311
  if (state === 'situation' || text === null || expected === null) return null
  return { id, place: state, option: options, version, hex: text, expected, codes: codes_v5 }
}

// ------------------------------------------------------------------------------- bringing it about

async function play(row: Case, cut: Cut): Promise<World> {
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

function isPublish(packet: Incoming): packet is IncomingPublish {
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
function messagesOf(packets: readonly Packet[]): string[] {
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

function textOf({ topic, payload, qos }: Pick<IPublishPacket, 'topic' | 'payload' | 'qos'>) {
  return `${topic} @${qos}: ${Buffer.from(payload).toString('hex')}`
}

// ------------------------------------------------------------------------------------- checking it

const VERDICTS: Readonly<Record<Expected, string>> = {
  close: 'the connection is closed',
  fail: 'the attempt fails',
  ok: 'it is legal and the connection goes on',
  tol: 'it goes on or is closed, and does not hang',
  limit: 'our limit closes the connection',
  gone: 'the connection is lost and nothing is delivered',
}

async function judge(world: World): Promise<void> {
  const { row, cut, connection } = world
  const at = `${row.id} ${cut}`
  // For any bytes: no defect of ours, nothing unreadable sent, at most one dial.
  expect(connection.error, at).toBeUndefined()
  expect(world.server.dials, at).toHaveLength(1)
  switch (row.expected) {
    case 'close':
    case 'fail':
    case 'limit':
      assertClosed(world, at)
      break
    case 'gone':
      assertGone(world, at)
      break
    case 'ok':
      await assertAlive(world, at)
      break
    case 'tol':
      if (connection.closed) assertClosed(world, at)
      else await assertAlive(world, at)
  }
  await DETAILS[row.id]?.(world, at)
  await assertNothingLeft(world, at)
}

/**
 * Expects that we closed, for the reason that the row names, and yielded nothing of the broken
 * packet or of what followed.
 */
function assertClosed(world: World, at: string): void {
  const { row, connection, sentBefore, delivered, outcomes, error } = world
  expect(connection.closed, `${at}: closed`).toBe(true)
  expect(world.ended, `${at}: over`).toBe(true)
  expect(error, at).toBeInstanceOf(MqttError)
  expect((error as MqttError).code, at).not.toBe('BUG')
  const said = connection.packets.slice(sentBefore).filter(({ cmd }) => cmd === 'disconnect')
  if (row.version === 4) {
    // A DISCONNECT of 3.1.1 would end the connection in order and cancel the will.
    expect(said, `${at}: no DISCONNECT in 3.1.1`).toEqual([])
  } else {
    const codes = said.map((packet) =>
      packet.cmd === 'disconnect' ? packet.reasonCode : undefined,
    )
    if (codes.length === 0 && row.codes.length > 0)
      expect(row.codes, `${at}: silent`).toContain(null)
    for (const code of codes) expect(row.codes, `${at}: ${codes}`).toContain(code)
    expect(codes.length, at).toBeLessThanOrEqual(1)
    if (codes.length === 1) {
      expect(connection.packets.at(-1)!.cmd, `${at}: nothing behind it`).toBe('disconnect')
      if (error instanceof ProtocolError) expect(error.reasonCode, at).toBe(codes[0])
    }
  }
  if (error instanceof ProtocolError) expect(error.clause, at).not.toBe('')
  const partial = PARTIAL[row.id] ?? []
  const texts = delivered.map(textOf)
  const strict = world.cut === 'byte by byte' || row.id === 'F32'
  if (strict) expect(texts, `${at}: delivered`).toEqual(partial)
  // A QoS 2 message that was not yielded when the connection was lost waits for its redelivery
  // (R6).
  else expect(partial.slice(0, texts.length), `${at}: delivered`).toEqual(texts)
  const settled = outcomes.filter(({ outcome }) => outcome.ok)
  expect(settled.length, `${at}: settled`).toBe(row.id === 'A07' ? 1 : 0)
  if (row.expected === 'fail') {
    expect(world.received, `${at}: the CONNACK is no success`).toEqual([])
    expect(world.loop.state.counters.sent, at).toBe(0)
  }
}

/** Messages of a refused row that came before the broken part. */
const PARTIAL: Readonly<Record<string, readonly string[]>> = {
  F32: ['a @0: 6869'],
  P44: ['a @2: 6869', 'a @2: 6869'],
  P46: ['a @2: 31'],
  P47: ['a @2: 31'],
}

function assertGone({ ended, error, delivered }: World, at: string): void {
  expect(ended, at).toBe(true)
  expect(error, at).toMatchObject({ name: 'ConnectionError', retryable: true })
  expect(delivered, at).toEqual([])
}

/** Expects that the connection is open: the row's messages were yielded, and one more is. */
async function assertAlive(world: World, at: string): Promise<void> {
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
async function assertNothingLeft({ loop, clock, server, connection }: World, at: string) {
  loop.shutdown()
  await clock.advance(1000)
  expect(clock.pendingTimers, `${at}: timers`).toBe(0)
  expect(server.open, `${at}: sockets`).toBe(0)
  expect(connection.client.listenerCount('data'), `${at}: readers`).toBeLessThanOrEqual(1)
}

// ---------------------------------------------------------------------- what the notes of rows add

const sentIn = (world: World) => world.connection.packets.slice(world.sentBefore)
const outcomesOf = ({ outcomes }: World) => outcomes.map(({ outcome }) => outcome)

const DETAILS: Readonly<Record<string, (world: World, at: string) => unknown>> = {
  // Only the client may ask; an answer would be a packet that no client may send.
  F06: (world, at) =>
    expect(
      sentIn(world).map(({ cmd }) => cmd),
      at,
    ).not.toContain('pingresp'),
  F30: ({ delivered }, at) => expect(delivered.length, at).toBeGreaterThanOrEqual(1),
  F31: ({ received }, at) => expect(received.filter(isPublish), at).toHaveLength(1001),
  // A refusal is reported as a refusal.
  C04: ({ error, row }, at) => {
    if (row.version === 5) expect((error as Error).message, at).toMatch(/0x8b/i)
  },
  C08: ({ error, row }, at) => assertRefused(error, row.version === 5 ? 0x87 : 5, at),
  C12: ({ error }, at) => {
    expect(error, at).toMatchObject({ code: 'UNSUPPORTED_VERSION', retryable: false })
  },
  C33: ({ received }, at) => {
    const connack = received.find((packet) => packet.cmd === 'connack')!
    const users = (connack.properties as { userProperties: object }).userProperties
    expect(Object.keys(users), at).toEqual(['__proto__', 'constructor', 'toString'])
    expect(
      Object.entries(users).map(([, value]) => value),
      at,
    ).toEqual(['x', 'x', 'x'])
    expect(({} as { x?: unknown }).x, at).toBeUndefined()
    expect(Object.prototype.toString.call({}), at).toBe('[object Object]')
  },
  C36: ({ loop, connection }, at) => {
    if (!connection.closed) expect(loop.state.clientId, at).toBe('zz')
    if (!connection.closed) expect(loop.session.clientId, at).toBe('zz')
  },
  C38: async ({ clock, connection, loop }, at) => {
    await clock.advance(3_600_000)
    expect(connection.of('pingreq'), at).toEqual([])
    expect(loop.state.connection.kind, at).toBe('connected')
  },
  // Nothing fits into one byte, not even a DISCONNECT.
  C39: (world, at) => {
    expect(sentIn(world), at).toEqual([])
    expect(world.error, at).toMatchObject({ retryable: false })
  },
  C40: ({ error, row }, at) => assertRefused(error, row.version === 5 ? 0x87 : 5, at),
  C41: ({ error }, at) => {
    assertRefused(error, 0x9d, at)
    expect((error as Error).message, at).toContain('evil.example')
  },
  P12: ({ delivered }, at) => expect(delivered[0]!.topic, at).toBe('\ufeffa'),
  P35: ({ delivered }, at) => {
    expect(delivered[0]!.properties?.subscriptionIdentifier, at).toEqual([1, 2, 2])
  },
  P42: ({ delivered }, at) => {
    expect(
      delivered.slice(0, 3).map(({ topic }) => topic),
      at,
    ).toEqual(['a', 'b', 'b'])
  },
  // It is acknowledged again; if the second came before the first was handled, one PUBREC answers
  // both.
  P46: (world, at) => {
    if (world.connection.closed) return
    const answers = sentIn(world).map(({ cmd }) => cmd)
    expect(answers, at).toEqual(world.cut === 'byte by byte' ? ['pubrec', 'pubrec'] : ['pubrec'])
  },
  P48: (world, at) => {
    expect(sentIn(world), at).toMatchObject([
      { cmd: 'puback', messageId: 7 },
      { cmd: 'puback', messageId: 7 },
    ])
  },
  P49: (world, at) => expect(sentIn(world), at).toMatchObject([{ cmd: 'puback', messageId: 9 }]),
  P51: ({ delivered }, at) => {
    const { userProperties } = delivered[0]!.properties!
    expect(userProperties!['k'], at).toHaveLength(10_000)
  },
  P52: ({ delivered }, at) => {
    expect(
      delivered.slice(0, 2).map(({ topic }) => topic),
      at,
    ).toEqual(['__proto__', 'constructor'])
  },
  A01: ({ loop, outcomes }, at) => {
    expect(outcomes, at).toEqual([])
    expect(loop.state.counters.settled, at).toBe(0)
    expect(loop.state.counters.inFlight, at).toBe(0)
  },
  A06: (world, at) => expect(outcomesOf(world), at).toEqual([]),
  A07: (world, at) => {
    expect(outcomesOf(world), at).toMatchObject([{ ok: true }])
    expect(world.loop.state.counters.inFlight, at).toBe(0)
  },
  A08: (world, at) => {
    expect(world.connection.of('publish'), at).toHaveLength(1)
    expect(sentIn(world).filter(({ cmd }) => cmd === 'pubrel').length, at).toBeGreaterThan(0)
  },
  A11: (world, at) => {
    const [outcome, ...more] = outcomesOf(world)
    expect(more, at).toEqual([])
    expect(outcome, at).toMatchObject({ ok: false, error: { name: 'RefusedError' } })
    assertRefused(outcome!.ok ? undefined : outcome!.error, 0x97, at)
    expect(
      sentIn(world).filter(({ cmd }) => cmd === 'pubrel'),
      at,
    ).toEqual([])
  },
  A12: (world, at) => {
    expect(sentIn(world), at).toMatchObject([
      {
        cmd: 'pubcomp',
        messageId: 0x1234,
        ...(world.row.version === 5 ? { reasonCode: 0x92 } : {}),
      },
    ])
  },
  A19: (world, at) => expect(outcomesOf(world), at).toMatchObject([{ ok: true }]),
  S01: (world, at) =>
    expect(
      outcomesOf(world).filter(({ ok }) => ok),
      at,
    ).toEqual([]),
  S06: (world, at) => expect(outcomesOf(world).length, at).toBeLessThanOrEqual(1),
  S08: (world, at) => expect(outcomesOf(world), at).toEqual([]),
  S12: (world, at) => expect(outcomesOf(world), at).toMatchObject([{ ok: true }]),
  // None of the three answers the ping that is sent an hour later.
  D01: async ({ clock, connection, error, ended }, at) => {
    expect([error, ended], at).toEqual([undefined, false])
    await clock.advance(60_000)
    expect(connection.of('pingreq'), at).toHaveLength(1)
    expect(connection.closed, at).toBe(false)
    await clock.advance(31_000)
    expect(connection.closed, at).toBe(true)
  },
  D06: (world, at) => {
    assertRefused(world.error, 0x8b, at)
    expect(world.received.at(-1), at).toMatchObject({ cmd: 'disconnect', reasonCode: 0x8b })
  },
}

function assertRefused(error: unknown, reasonCode: number, at: string): void {
  expect(error, at).toBeInstanceOf(RefusedError)
  expect((error as RefusedError).reasonCode, at).toBe(reasonCode)
}

// ------------------------------------------------------------------- rows that are more than bytes

test('[I1] P43 an alias of the previous connection means nothing on the next', async () => {
  const clock = new VirtualClock()
  const server = new ScriptedServer(clock)
  const { received } = startLoop({ topicAliasMaximum: 2 }, [subscribe('a')], undefined, { server })
  await clock.advance(0)
  const [first] = server.connections
  first!.send(hex('3009 000161 03 230001 6869'))
  await clock.advance(0)
  first!.reset()
  await clock.advance(60_000)
  const second = server.current
  expect(second).not.toBe(first)
  second.autoClose = false
  second.send(hex('3008 0000 03 230001 6869'))
  await clock.advance(1000)
  expect(second.closed).toBe(true)
  expect(second.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x82 })
  expect(received.filter(isPublish)).toHaveLength(1)
})

for (const version of [5, 4] as const) {
  test(`[I1] P45 [MQTT-3.1.2-24] 1000 bytes pass a Maximum Packet Size of 1000, 1001 do not (${version})`, async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoClose: false })
    const options = {
      protocolVersion: version,
      maximumPacketSize: 1000,
      reconnect: 'never',
    } as const
    const started = startLoop({ ...options, until: 'closed' }, [], undefined, { server })
    await clock.advance(0)
    const properties = version === 5 ? '00' : ''
    const packet = (bytes: number) => {
      const head = hex(`30 e5 07 000161 ${properties}`)
      head[1] = ((bytes - 3) & 0x7f) | 0x80
      head[2] = (bytes - 3) >> 7
      return Buffer.concat([head, Buffer.alloc(bytes - head.length, 'x')])
    }
    server.current.send(packet(1000))
    await clock.advance(0)
    expect(started.received.filter(isPublish)).toHaveLength(1)
    server.current.send(packet(1001))
    await clock.advance(1000)
    expect(started.received.filter(isPublish)).toHaveLength(1)
    expect(server.current.closed).toBe(true)
    expect(started.error).toMatchObject({ name: 'ProtocolError', reasonCode: 0x95 })
    if (version === 5) {
      expect(server.current.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x95 })
    }
  })
}

test('[I1] A19 each short form of PUBACK settles its request', async () => {
  for (const form of ['4002eeee', '4003eeee00', '4004eeee0000']) {
    const world = await play(caseOf({ ...rowOf('A19'), hex_v5: form }, 5)!, 'whole')
    expect(outcomesOf(world), form).toMatchObject([{ ok: true }])
  }
})

test('[I1] a version that was not pinned: a 3.1.1 refusal of version 5 (C12) is answered with 3.1.1', async () => {
  const clock = new VirtualClock()
  const server = new ScriptedServer(clock, { autoConnack: false })
  const started = startLoop({ until: 'closed' }, [], undefined, { server })
  await clock.advance(0)
  server.current.send(hex('20020001'))
  await clock.advance(0)
  expect(server.connections.map(({ version }) => version)).toEqual([5, 4])
  server.current.connack()
  await clock.advance(0)
  expect(started.loop.state.connection).toMatchObject({ kind: 'connected', protocolVersion: 4 })
})

function rowOf(id: string): Row {
  return rows.find((row) => row.id === id)!
}
