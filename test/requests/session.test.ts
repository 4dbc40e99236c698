/**
 * A session as a value and as text. Goal: whatever a loop holds when it ends, another one goes on with, in this process or the
 * next, and a text that is not exactly what was written is refused. Method: sessions are made by loops at a scripted server;
 * the object and its text must lead to the same bytes on the wire; texts are damaged at every offset.
 */

import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  decodeSession,
  type EventloopOptions,
  encodeSession,
  eventloop,
  type Incoming,
  type Outcome,
  type PublishRequest,
  publish,
  type QoS,
  type Request,
  type SentRequest,
  Session,
  subscribe,
  UsageError,
  unsubscribe,
} from '../../src/index.ts'
import type { IncomingPublish } from '../../src/requests/vocabulary.ts'
import { VirtualClock } from '../support/clock.ts'
import { collect, startLoop } from '../support/loop.ts'
import { ScriptedServer, type Sent, type ServerConnection } from '../support/server.ts'

const STILL: EventloopOptions = { keepAlive: 0, cleanStart: false, until: 'settled' }

afterEach(() => void vi.useRealTimers())

function told(packet: Sent): string {
  switch (packet.cmd) {
    case 'publish': {
      const id = packet.qos === 0 ? '' : ` ${packet.messageId}`
      return `${packet.dup ? 'DUP ' : ''}PUBLISH${id} ${String(packet.payload)}`
    }
    case 'subscribe':
      return `SUBSCRIBE ${packet.messageId} ${packet.subscriptions.map(({ topic }) => topic)}`
    case 'unsubscribe':
      return `UNSUBSCRIBE ${packet.messageId} ${packet.unsubscriptions}`
    case 'pubrel':
    case 'pubrec':
    case 'pubcomp':
    case 'puback':
      return `${packet.cmd.toUpperCase()} ${packet.messageId}`
    default:
      return packet.cmd.toUpperCase()
  }
}

function afterConnect(connection: ServerConnection): string[] {
  return connection.packets.filter(({ cmd }) => cmd !== 'connect').map(told)
}

function message(payload: string, qos: QoS, messageId: number, dup = false) {
  return { cmd: 'publish', topic: 'in', payload, qos, messageId, dup, retain: false } as const
}

/** What a loop holds that sent these requests, got no answer but to those that `answers` names, and shut down. */
async function sessionAfter(
  requests: readonly Request[],
  answers: (packet: Sent, connection: ServerConnection) => boolean = () => false,
  options: EventloopOptions = {},
): Promise<Session> {
  const clock = new VirtualClock()
  const server = new ScriptedServer(clock)
  server.onConnection = (connection) => {
    connection.autoAck = (packet) => answers(packet as Sent, connection)
  }
  const { loop, done } = startLoop({ ...STILL, until: 'closed', ...options }, requests, undefined, {
    server,
  })
  await clock.settle()
  loop.shutdown()
  await clock.advance(1000)
  await done
  return loop.session
}

/** Goes on with it at a server that finds the session, or not, and answers nothing. */
async function restored(
  session: Session,
  sessionPresent: boolean,
  requests: readonly Request[] = [],
  options: EventloopOptions = {},
) {
  const clock = new VirtualClock()
  const server = new ScriptedServer(clock, { autoAck: false, autoConnack: { sessionPresent } })
  const { cleanStart: _, ...rest } = STILL
  const started = startLoop({ ...rest, ...options, session }, requests, undefined, { server })
  await clock.settle()
  return started
}

function throwsUsage(text: unknown, what: string): string {
  try {
    decodeSession(text as string)
  } catch (error) {
    expect(error, what).toBeInstanceOf(UsageError)
    return (error as UsageError).message
  }
  throw new Error(`${what} was accepted`)
}

// ------------------------------------------------------------------------------------------------------------ round trip

const bytes = fc.uint8Array({ maxLength: 40 })
const payload = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  bytes,
  bytes.map((data) => ({ base64: Buffer.from(data).toString('base64') })),
  fc.constant(undefined),
)
const name = fc.stringMatching(/^[a-z/é]{1,12}$/)
const key = fc.oneof(fc.integer(), fc.string({ unit: 'grapheme', maxLength: 8 }))
const text = fc.stringMatching(/^[ -~é]{0,12}$/)

const publishes: fc.Arbitrary<PublishRequest> = fc
  .record(
    {
      topic: name,
      payload,
      qos: fc.constantFrom<QoS>(0, 1, 2),
      retain: fc.boolean(),
      key,
      properties: fc.record(
        {
          contentType: text,
          responseTopic: name,
          correlationData: fc.oneof(bytes, text),
          payloadFormatIndicator: fc.boolean(),
          userProperties: fc.record({ a: text, b: fc.array(text, { minLength: 1, maxLength: 3 }) }),
        },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: ['topic', 'qos'] },
  )
  .map(({ payload, ...rest }) => ({
    ...{ cmd: 'publish' as const, ...rest },
    ...(payload === undefined ? {} : { payload }),
  }))

const sent: fc.Arbitrary<SentRequest> = fc.oneof(
  { weight: 4, arbitrary: publishes },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.uniqueArray(name, { minLength: 1, maxLength: 3 }), fc.constantFrom<QoS>(0, 1, 2))
      .map(([filters, qos]) =>
        subscribe(filters, { qos, rap: true, properties: { subscriptionIdentifier: 7 } }),
      ),
  },
  { weight: 1, arbitrary: name.map((filter) => unsubscribe(filter)) },
)

const histories = fc.record({
  requests: fc.array(sent, { maxLength: 25 }),
  /** Which packets of the client are answered. */
  answers: fc.array(fc.boolean(), { minLength: 1, maxLength: 9 }),
  maxInflight: fc.constantFrom(1, 3, 1000),
  inbound: fc.uniqueArray(fc.integer({ min: 1, max: 65_535 }), { maxLength: 4 }),
})

/** Bytes and their base64 are the same payload. */
function comparable(request: SentRequest): unknown {
  const { signal, ...rest } = request
  return JSON.parse(
    JSON.stringify(rest, (_, value) => {
      if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString('base64') }
      if (value?.type === 'Buffer') return { base64: Buffer.from(value.data).toString('base64') }
      return value
    }),
  )
}

async function sessionOf({
  requests,
  answers,
  maxInflight,
  inbound,
}: typeof histories extends fc.Arbitrary<infer H> ? H : never): Promise<Session> {
  let step = 0
  const unique = new Set<unknown>()
  // A key that is held already makes its request disappear: that is another promise.
  const distinct = requests.filter(({ key }) => {
    if (key === undefined) return true
    if (unique.has(key)) return false
    unique.add(key)
    return true
  })
  const options = { maxInflight, acks: 'receipt' as const }
  return sessionAfter(
    distinct,
    (packet, connection) => {
      if (step === 0) connection.send(...inbound.map((id) => message('x', 2, id)))
      return answers[step++ % answers.length]! && packet.cmd !== 'pubrec'
    },
    options,
  )
}

describe('as text and back', () => {
  test('nothing is lost: the text of the text is the same, and so are the requests', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (history) => {
        const session = await sessionOf(history)
        expect(session.final).toBe(true)
        const text = encodeSession(session)
        const back = decodeSession(text)
        expect(back).toBeInstanceOf(Session)
        expect(back.final).toBe(true)
        expect(back.clientId).toBe(session.clientId)
        expect(back.protocolVersion).toBe(5)
        expect(encodeSession(back)).toBe(text)
        expect(back.held.map(comparable)).toEqual(session.held.map(comparable))
      }),
      { numRuns: 100 },
    )
  })

  test('the object and its text lead to the same bytes on the wire, Session Present 0 and 1', async () => {
    await fc.assert(
      fc.asyncProperty(histories, fc.boolean(), async (history, present) => {
        const session = await sessionOf(history)
        const text = encodeSession(session)
        const options: EventloopOptions = { until: 'closed' }
        const one = await restored(session, present, [], options)
        const other = await restored(decodeSession(text), present, [], options)
        expect(other.server.current.bytes.toString('hex')).toBe(
          one.server.current.bytes.toString('hex'),
        )
        expect(other.server.current.error).toBeUndefined()
        expect(other.loop.state.counters).toEqual(one.loop.state.counters)
        await Promise.all([one.loop.return(), other.loop.return()])
        // Going on and ending at once is going on with the same.
        expect(encodeSession(other.loop.session)).toBe(encodeSession(one.loop.session))
      }),
      { numRuns: 100 },
    )
  })

  test('what a request may hold: bytes of every value, { base64 }, text of every kind, no payload', async () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i)
    const requests = [
      publish('t', all, { qos: 1, properties: { correlationData: all } }),
      publish('t', Buffer.from(all), { qos: 1 }),
      publish('t', { base64: Buffer.from(all).toString('base64') }, { qos: 1 }),
      publish('t', 'é😀\u2028"\\\n', { qos: 1, properties: { correlationData: 'é' } }),
      publish('t', '', { qos: 1 }),
      publish('t', undefined, { qos: 1, retain: true }),
    ]
    const session = decodeSession(encodeSession(await sessionAfter(requests)))
    const { server, loop } = await restored(session, true)
    const packets = server.current.of('publish')
    const payloads = packets.map(({ payload }) => Buffer.from(payload).toString('base64'))
    const encoded = Buffer.from(all).toString('base64')
    expect(payloads).toEqual([
      ...[encoded, encoded, encoded, Buffer.from('é😀\u2028"\\\n').toString('base64'), '', ''],
    ])
    expect(packets[0]?.properties?.correlationData).toEqual(Buffer.from(all))
    expect(packets[3]?.properties?.correlationData).toEqual(Buffer.from('é'))
    expect(packets.map(({ retain }) => retain)).toEqual([false, false, false, false, false, true])
    await loop.return()
  })
})

// --------------------------------------------------------------------------------------------------------------- damage

describe('a text that is not what was written', () => {
  const make = () =>
    sessionAfter([
      publish('a', 'payload', { qos: 1, key: 'k' }),
      publish('a', Uint8Array.of(0, 255), { qos: 2 }),
    ])

  test('damaged at every offset: a UsageError that says what to do', async () => {
    const text = encodeSession(await make())
    for (let i = 0; i < text.length; i++) {
      const changed = String.fromCharCode(text.charCodeAt(i) ^ 1)
      const message = throwsUsage(text.slice(0, i) + changed + text.slice(i + 1), `change at ${i}`)
      expect(message).toMatch(/^session: .*(damaged|not the text of a session|format)/)
      throwsUsage(`${text.slice(0, i)}~${text.slice(i)}`, `insertion at ${i}`)
      if (i === text.length - 1) continue
      throwsUsage(text.slice(0, i), `cut at ${i}`)
      throwsUsage(text.slice(0, i) + text.slice(i + 1), `deletion at ${i}`)
    }
    for (const tail of ['x', '\n{}', text]) throwsUsage(text + tail, `${tail.length} appended`)
  })

  test('foreign, of a later format, or no text at all', async () => {
    const text = encodeSession(await make())
    const [head = '', body = ''] = text.split('\n')
    expect(throwsUsage(text.replace('session 1 ', 'session 2 '), 'format 2')).toMatch(/format 2/)
    for (const foreign of ['', '\n', '{}', body, head, 'it-mqtt session', 'x'.repeat(100_000)]) {
      throwsUsage(foreign, JSON.stringify(foreign.slice(0, 40)))
    }
    for (const other of [undefined, null, 5, {}, Buffer.from(text)]) throwsUsage(other, 'no text')
    // Its checksum is right, and yet nobody here wrote it.
    for (const forged of ['', 'null', '[]', '{}', '{"clientId":5}', 'no JSON', '"text"']) {
      const sum = createHash('sha256').update(forged).digest('hex')
      throwsUsage(`it-mqtt session 1 ${sum}\n${forged}\n`, `forged ${forged}`)
    }
  })

  test('encodeSession takes sessions only', () => {
    for (const other of [undefined, null, {}, 'adopt', { clientId: 'a', final: true }]) {
      expect(() => encodeSession(other as Session)).toThrow(UsageError)
    }
  })

  test('a session of another client identifier, as object and as text', async () => {
    const session = await sessionAfter([publish('a', 'x', { qos: 1 })], undefined, {
      clientId: 'mine',
    })
    for (const one of [session, decodeSession(encodeSession(session))]) {
      const attempt = () => eventloop({ url: 'mqtt://h', clientId: 'other', session: one })
      expect(attempt).toThrow(UsageError)
      expect(attempt).toThrow(/clientId.*"mine".*"other"/)
      const { server, loop } = await restored(one, true)
      const [connect] = server.current.of('connect')
      expect(connect).toMatchObject({ clientId: 'mine', clean: false, protocolVersion: 5 })
      await loop.return()
    }
  })
})

// ------------------------------------------------------------------------------------------------------- final or not

describe('final and not final', () => {
  test('a copy of a running loop says so, and stays as it was', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoAck: false })
    const requests = [publish('t', '1', { qos: 1 }), publish('t', '2', { qos: 1 })]
    const { loop } = startLoop(STILL, requests, undefined, { server })
    await clock.settle()
    const copy = loop.session
    expect(copy.final).toBe(false)
    server.current.acknowledge(server.current.of('publish')[0]!)
    await clock.settle()
    expect(loop.session.held).toEqual([requests[1]])
    expect(copy.held).toEqual(requests)
    loop.shutdown()
    await clock.advance(1000)
    expect(loop.session.final).toBe(true)
    expect(copy.final).toBe(false)
    expect(copy.held).toEqual(requests)
    expect(decodeSession(encodeSession(copy)).final).toBe(false)
    expect(decodeSession(encodeSession(loop.session)).final).toBe(true)
  })

  test('reading it is O(1): a million times with 50,000 requests held', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoAck: false })
    const requests = Array.from({ length: 50_000 }, () => publish('t', '', { qos: 1 }))
    const { loop } = startLoop({ ...STILL, maxInflight: 65_000 }, requests, undefined, { server })
    while (loop.state.counters.held < 50_000) await clock.settle()
    let seen = 0
    for (let i = 0; i < 1_000_000; i++) if (!loop.session.final) seen++
    expect(seen).toBe(1_000_000)
    await loop.return()
  })

  test('not final: in-flight messages are sent again under their ids, new ones get ids far from those', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoAck: false })
    const held = publish('t', 'held', { qos: 1 })
    const { loop } = startLoop(STILL, [held], undefined, { server })
    await clock.settle()
    const copy = loop.session
    await loop.return()
    for (const session of [copy, decodeSession(encodeSession(copy))]) {
      const again = await restored(session, true, [publish('t', 'new', { qos: 1 })])
      const packets = again.server.current.of('publish')
      expect(packets.map(({ payload, dup }) => [String(payload), dup])).toEqual([
        ...[
          ['held', true],
          ['new', false],
        ],
      ])
      expect(packets[0]?.messageId).toBe(1)
      // The process went on after the copy: it may have used the next thousands.
      expect(packets[1]?.messageId).toBeGreaterThan(10_000)
      await again.loop.return()
    }
  })
})

// ------------------------------------------------------------------------------------------------- restored into a loop

describe('restored into a loop', () => {
  const requests = () => [
    subscribe('kept/#', { qos: 1 }),
    publish('t', 'q1', { qos: 1 }),
    publish('t', 'q2', { qos: 2 }),
    publish('t', 'recd', { qos: 2 }),
    subscribe('asked'),
    unsubscribe('gone'),
    publish('t', 'waiting', { qos: 1 }),
  ]
  const answers = (packet: Sent) =>
    packet.messageId === 1 || (packet.cmd === 'publish' && String(packet.payload) === 'recd')

  for (const asText of [false, true]) {
    const as = (session: Session) => (asText ? decodeSession(encodeSession(session)) : session)
    const how = asText ? 'as text' : 'as object'

    test(`${how}, Session Present 1: each goes on where it was, in order, under its id`, async () => {
      const session = as(await sessionAfter(requests(), answers, { maxInflight: 3 }))
      expect(session.held).toHaveLength(6)
      const started = await restored(session, true, [], { maxInflight: 3 })
      expect(afterConnect(started.server.current)).toEqual([
        ...['SUBSCRIBE 7 kept/#', 'DUP PUBLISH 2 q1', 'DUP PUBLISH 3 q2', 'PUBREL 4'],
        ...['SUBSCRIBE 5 asked', 'UNSUBSCRIBE 6 gone', 'PUBLISH 8 waiting'],
      ])
      expect(started.loop.state.subscriptions[0]).toMatchObject({ topic: 'kept/#', granted: 1 })
      expect(started.outcomes).toEqual([])
      started.server.current.autoAck = true
      for (const packet of started.server.current.packets.slice(1)) {
        started.server.current.acknowledge(packet)
      }
      await started.done
      expect(started.outcomes.map(({ outcome }) => outcome.ok)).toEqual(Array(6).fill(true))
      const outcomes = new Set(started.outcomes.map(({ request }) => request))
      expect(outcomes).toEqual(new Set(session.held))
    })

    test(`${how}, Session Present 0: subscriptions are renewed, then what is open goes out as new`, async () => {
      const session = as(await sessionAfter(requests(), answers, { maxInflight: 3 }))
      const started = await restored(session, false, [], { maxInflight: 3 })
      const sent = afterConnect(started.server.current).map((one) => one.replace(/ \d+ /, ' '))
      expect(sent).toEqual([
        ...['SUBSCRIBE kept/#', 'SUBSCRIBE asked', 'UNSUBSCRIBE gone'],
        ...['PUBLISH q1', 'PUBLISH q2', 'PUBLISH waiting'],
      ])
      // The server had it: sending it again would double it.
      const recd = session.held.find((one) => one.cmd === 'publish' && one.payload === 'recd')
      expect(started.outcomes).toMatchObject([{ request: recd, outcome: { ok: true } }])
      expect(started.outcomes[0]?.request).toBe(recd)
      await started.loop.return()
    })
  }

  test('subscriptions come back with their options and identifiers, batched', async () => {
    const filters = Array.from({ length: 5000 }, (_, i) => `plant/${i}/temperature`)
    const properties = { subscriptionIdentifier: 9, userProperties: { who: 'edge' } }
    const session = await sessionAfter(
      [
        subscribe(filters, { qos: 2, nl: true, rap: true, rh: 1, properties }),
        subscribe('plain', { qos: 1 }),
        unsubscribe(filters[0]!),
      ],
      () => true,
    )
    const { server, loop } = await restored(decodeSession(encodeSession(session)), false)
    const packets = server.current.of('subscribe')
    expect(packets.length).toBeGreaterThan(1)
    const renewed = packets.flatMap(({ subscriptions, properties }) =>
      subscriptions.map((one) => ({ ...one, id: properties?.subscriptionIdentifier })),
    )
    expect(renewed).toHaveLength(5000)
    expect(renewed.filter(({ topic }) => topic === 'plain')).toMatchObject([
      { qos: 1, nl: false, rap: false, rh: 0, id: undefined },
    ])
    const options = { qos: 2, nl: true, rap: true, rh: 1, id: 9 }
    expect(renewed.filter(({ id }) => id === 9)).toEqual(
      filters.slice(1).map((topic) => ({ topic, ...options })),
    )
    expect(packets.find(({ properties }) => properties)?.properties?.userProperties).toMatchObject({
      who: 'edge',
    })
    await loop.return()
  })

  for (const present of [true, false]) {
    test(`[R2] received identifiers, Session Present ${Number(present)}: ${present ? 'known, not yielded again' : 'forgotten'}`, async () => {
      const clock = new VirtualClock()
      const server = new ScriptedServer(clock, { autoAck: false })
      const options: EventloopOptions = { ...STILL, until: 'closed', acks: 'manual' }
      const first = startLoop(options, [], undefined, { server, manual: true })
      await collect(first, 1)
      server.current.send(message('handled', 2, 3), message('seen', 2, 4), message('unseen', 2, 5))
      const packets: Incoming[] = await collect(first, 2)
      first.loop.ack(packets[0] as IncomingPublish)
      await clock.settle()
      expect(afterConnect(server.current)).toEqual(['PUBREC 3'])
      first.loop.shutdown()
      await clock.advance(1000)

      const session = decodeSession(encodeSession(first.loop.session))
      const next = await restored(session, present, [], { until: 'closed' })
      const { current } = next.server
      current.send(
        ...[message('handled', 2, 3, present), message('seen', 2, 4, present)],
        message('unseen', 2, 5, present),
      )
      await next.clock.settle()
      const got = next.received.flatMap((one) =>
        one.cmd === 'publish' ? [[String(one.payload), one.redelivered ?? false]] : [],
      )
      expect(got).toEqual([
        ...(present ? [] : [['handled', false]]),
        ['seen', present],
        ['unseen', false],
      ])
      expect(afterConnect(current)).toEqual(['PUBREC 3', 'PUBREC 4', 'PUBREC 5'])
      await next.loop.return()
    })
  }

  test('[MQTT-2.2.1-3] an id that is taken only, because its request was cancelled, stays taken and has no outcome', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoAck: false })
    const abort = new AbortController()
    const request = publish('t', 'cancelled', { qos: 1, signal: abort.signal })
    const { loop } = startLoop(STILL, [request], undefined, { server })
    await clock.settle()
    abort.abort()
    await clock.settle()
    loop.shutdown()
    await clock.advance(1000)
    expect(loop.session.held).toEqual([])
    const session = decodeSession(encodeSession(loop.session))
    const next = await restored(session, true, [publish('t', 'new', { qos: 1 })])
    expect(afterConnect(next.server.current)).toEqual(['DUP PUBLISH 1 cancelled', 'PUBLISH 2 new'])
    next.server.current.autoAck = true
    for (const packet of next.server.current.of('publish')) next.server.current.acknowledge(packet)
    await next.done
    expect(next.outcomes).toHaveLength(1)
  })

  test('[D7] keys: kinds are told apart, and what failed is told to have failed', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoAck: false })
    const make = () => [
      publish('t', 'good', { qos: 1, key: 1 }),
      publish('t', 'bad', { qos: 1, key: '1' }),
      publish('t', 'open', { qos: 1, key: 2 }),
    ]
    const never = () => new Promise<void>(() => {})
    const source = Object.assign(make(), { settled: never })
    const { loop } = startLoop(STILL, source, undefined, { server })
    await clock.settle()
    server.current.send({ cmd: 'puback', messageId: 1, reasonCode: 0 })
    server.current.send({ cmd: 'puback', messageId: 2, reasonCode: 0x87 })
    await clock.settle()
    loop.shutdown()
    await clock.advance(1000)

    const heard: (readonly [unknown, boolean])[] = []
    const replay = Object.assign(make(), {
      settled: (request: Request, outcome: Outcome) =>
        void heard.push([request.cmd === 'publish' && request.key, outcome.ok]),
    })
    const text = encodeSession(loop.session)
    const next = startLoop({ until: 'settled', session: decodeSession(text) }, replay, undefined, {
      server: new ScriptedServer(clock, { autoConnack: { sessionPresent: true } }),
    })
    await next.done
    expect(afterConnect(next.server.current)).toEqual(['DUP PUBLISH 3 open', 'DISCONNECT'])
    expect(heard).toHaveLength(3)
    expect(new Map(heard)).toEqual(
      new Map<unknown, boolean>([
        [1, true],
        ['1', false],
        [2, true],
      ]),
    )
  })

  test('[I3] the message expiry goes on counting while nobody runs', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_700_000_000_000 })
    const options = { qos: 1, properties: { messageExpiryInterval: 60 } } as const
    const session = await sessionAfter(
      [publish('t', 'one', options), publish('t', 'two', options), publish('t', 'three', options)],
      undefined,
      { maxInflight: 1 },
    )
    const text = encodeSession(session)
    vi.setSystemTime(1_700_000_000_000 + 40_000)
    const inTime = await restored(decodeSession(text), true)
    const expiries = () =>
      inTime.server.current
        .of('publish')
        .map(({ properties }) => properties?.messageExpiryInterval ?? 0)
    expect(expiries()).toHaveLength(2)
    for (const seconds of expiries()) {
      expect(seconds).toBeGreaterThan(15)
      expect(seconds).toBeLessThanOrEqual(21)
    }
    await inTime.loop.return()
    vi.setSystemTime(1_700_000_000_000 + 90_000)
    const late = await restored(decodeSession(text), true)
    // The one that was in flight is the broker's to judge; what was never sent is settled here.
    expect(afterConnect(late.server.current)).toEqual(['DUP PUBLISH 1 one'])
    expect(late.outcomes).toHaveLength(1)
    expect(late.outcomes).toMatchObject([{ outcome: { error: { code: 'MESSAGE_EXPIRED' } } }])
    await late.loop.return()
  })

  test('a session made under 3.1.1 goes on under 3.1.1, Clean Session 0', async () => {
    const session = await sessionAfter([publish('t', 'x', { qos: 1 })], undefined, {
      protocolVersion: 4,
    })
    expect(session.protocolVersion).toBe(4)
    const { server, loop } = await restored(decodeSession(encodeSession(session)), true)
    expect(server.current.of('connect')).toMatchObject([{ protocolVersion: 4, clean: false }])
    expect(afterConnect(server.current)).toEqual(['DUP PUBLISH 1 x'])
    await loop.return()
  })

  test('of a loop that never ran: empty, and good for a beginning', async () => {
    const { session } = eventloop({ url: 'mqtt://h', clientId: 'c' })
    expect(session).toMatchObject({ clientId: 'c', protocolVersion: 0, final: false })
    expect(session.held).toEqual([])
    const next = await restored(decodeSession(encodeSession(session)), false, [
      publish('t', 'x', { qos: 1 }),
    ])
    expect(next.server.current.of('publish')).toHaveLength(1)
    await next.loop.return()
  })
})
