/**
 * Goal: for every input of malformed.jsonl that has bytes, the outcome that it names, in both
 * versions, with `tolerance: 'strict'`. Method: malformed.ts brings each row about. The messages that
 * the loop yielded are compared with what mqtt-packet reads in the legal rows; of a broken packet
 * nothing may be yielded.
 */
import { describe, expect, test } from 'vitest'
import { MqttError, ProtocolError, RefusedError } from '../../src/errors.ts'
import { subscribe } from '../../src/requests/build.ts'
import { hex } from '../codec/support.ts'
import { VirtualClock } from '../support/clock.ts'
import { ScriptedServer } from '../support/server.ts'
import {
  assertAlive,
  assertNothingLeft,
  CUTS,
  caseOf,
  type Expected,
  isPublish,
  play,
  type Row,
  rows,
  textOf,
  type World,
} from './malformed.ts'
import { startStrict } from './world.ts'

// --------------------------------------------------------------------------------------- every row

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
        for (const cut of CUTS) await judge(await play(one, cut, 'strict'))
      })
    }
  })
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
  const { received } = startStrict({ topicAliasMaximum: 2 }, [subscribe('a')], undefined, {
    server,
  })
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
    const started = startStrict({ ...options, until: 'closed' }, [], undefined, { server })
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
    const world = await play(caseOf({ ...rowOf('A19'), hex_v5: form }, 5)!, 'whole', 'strict')
    expect(outcomesOf(world), form).toMatchObject([{ ok: true }])
  }
})

test('[I1] a version that was not pinned: a 3.1.1 refusal of version 5 (C12) is answered with 3.1.1', async () => {
  const clock = new VirtualClock()
  const server = new ScriptedServer(clock, { autoConnack: false })
  const started = startStrict({ until: 'closed' }, [], undefined, { server })
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
