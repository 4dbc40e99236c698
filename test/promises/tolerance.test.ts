/**
 * Goal: the default lives with what servers in the field send (I1, `tolerance: 'field'`). Method: the
 * situations of public reports (docs/TOLERANCE.md has the links) on a scripted server, as bytes. The
 * rows of malformed.jsonl are in test/conformance/malformed-field.test.ts.
 */
import { pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import { ConnectionError, type MqttError, RefusedError } from '../../src/errors.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import { publish, subscribe } from '../../src/requests/build.ts'
import type { Incoming, IncomingPublish, Request } from '../../src/requests/vocabulary.ts'
import { hex } from '../codec/support.ts'
import { VirtualClock } from '../support/clock.ts'
import { collect, type Settled, type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

const STILL: EventloopOptions = { until: 'closed', keepAlive: 0 }

const isPublish = (packet: Incoming): packet is IncomingPublish => packet.cmd === 'publish'
const topics = ({ received }: Started) => received.filter(isPublish).map(({ topic }) => topic)
const told = ({ warnings }: Started) => warnings.filter(({ code }) => code === 'SERVER_DEVIATION')

/** `ok`, or the code of the error of a request. */
function codeOf(settled: Settled | undefined): string | undefined {
  if (settled === undefined) return undefined
  return settled.outcome.ok ? 'ok' : (settled.outcome.error as MqttError).code
}

/** A loop at a server that answers nothing by itself, after its CONNACK. */
async function connected(
  options: EventloopOptions = {},
  requests: Iterable<Request> | AsyncIterable<Request> = [],
): Promise<Started> {
  const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
  const started = startLoop({ ...STILL, ...options }, requests, undefined, { server })
  await server.clock.advance(0)
  return started
}

/** Sends bytes; `ee ee` stands for the identifier of the request that is open. */
async function sends({ server, clock }: Started, text: string): Promise<void> {
  const id = server.current.packets.at(-1)!.messageId?.toString(16).padStart(4, '0')
  server.current.send(hex(text.replaceAll(' ', '').replaceAll('eeee', id ?? '')))
  await clock.advance(0)
}

interface Situation {
  readonly title: string
  readonly versions: readonly (3 | 4 | 5)[]
  readonly options?: EventloopOptions
  readonly request?: Request
  readonly bytes: string
  readonly kind: string
  /** `ok`, or the code of the error. */
  readonly outcome?: string
  readonly topics?: readonly string[]
  /** What the client answers. */
  readonly answers?: readonly string[]
}

const q1 = publish('t', 'x', { qos: 1 })
const q2 = publish('t', 'x', { qos: 2 })

const SITUATIONS: readonly Situation[] = [
  {
    title: 'RabbitMQ 3.x answers a PUBLISH at QoS 2 with PUBACK: it is settled as QoS 1',
    ...{ versions: [4], request: q2, bytes: '40 02 ee ee' },
    ...{ kind: 'ACKNOWLEDGED_AT_OTHER_QOS', outcome: 'ok' },
  },
  {
    title: 'a topic with wildcards that came by AMQP is delivered',
    ...{ versions: [3, 4], bytes: '30 05 00 03 61 2f 2b', kind: 'WILDCARD_IN_TOPIC' },
    topics: ['a/+'],
  },
  {
    title: 'a Response Topic with a wildcard is delivered',
    ...{ versions: [5], bytes: '30 0a 00 01 61 06 08 00 03 72 2f 23', kind: 'WILDCARD_IN_TOPIC' },
    topics: ['a'],
  },
  {
    title:
      'a retained topic with U+0000 is acknowledged, and does not lock out the subscriber of #',
    ...{ versions: [4], bytes: '33 07 00 03 61 00 62 00 07', kind: 'UNREADABLE_TOPIC' },
    ...{ topics: [], answers: ['puback'] },
  },
  {
    title: 'the same at QoS 2',
    ...{ versions: [4], bytes: '35 07 00 03 61 00 62 00 07', kind: 'UNREADABLE_TOPIC' },
    ...{ topics: [], answers: ['pubrec'] },
  },
  {
    title: 'a topic that is not UTF-8 is acknowledged in MQTT 5',
    ...{ versions: [5], bytes: '32 06 00 01 ff 00 07 00', kind: 'UNREADABLE_TOPIC' },
    ...{ topics: [], answers: ['puback'] },
  },
  ...(
    [
      ['ThingsBoard and Moquette send SUBACK as 92', subscribe('a'), '92 03 ee ee 00'],
      ['ThingsBoard sends PUBACK as 42', q1, '42 02 ee ee'],
    ] as const
  ).map(([title, request, bytes]): Situation => {
    return { title, versions: [3, 4], request, bytes, kind: 'RESERVED_BITS', outcome: 'ok' }
  }),
  {
    title: 'EMQX 2 sends QoS 0 with DUP',
    ...{ versions: [4], bytes: '38 03 00 01 61', kind: 'DUP_AT_QOS_0', topics: ['a'] },
  },
  {
    title: 'VerneMQ, aedes and NanoMQ leave Will Delay Interval in a PUBLISH',
    ...{ versions: [5], bytes: '30 09 00 01 61 05 18 00 00 00 05', kind: 'MISPLACED_PROPERTY' },
    topics: ['a'],
  },
  {
    title: 'MQTTnet sends a topic alias beyond our maximum with the topic',
    ...{ versions: [5], bytes: '30 07 00 01 61 03 23 00 05', kind: 'TOPIC_ALIAS', topics: ['a'] },
  },
  {
    title: 'mochi sends PUBACK with the code 0x01',
    ...{ versions: [5], request: q1, bytes: '40 03 ee ee 01' },
    ...{ kind: 'UNKNOWN_REASON_CODE', outcome: 'ok' },
  },
  {
    title: 'EMQX 4.3 sends PUBREC with the code 0x93',
    ...{ versions: [5], request: q2, bytes: '50 03 ee ee 93' },
    ...{ kind: 'UNKNOWN_REASON_CODE', outcome: 'NEGATIVE_ACKNOWLEDGEMENT' },
  },
  {
    title: 'ejabberd refuses a filter of MQTT 3.1.1 with 0x8f',
    ...{ versions: [4], request: subscribe('a'), bytes: '90 03 ee ee 8f' },
    ...{ kind: 'UNKNOWN_REASON_CODE', outcome: 'NEGATIVE_ACKNOWLEDGEMENT' },
  },
  {
    title: 'a Remaining Length that is padded',
    ...{ versions: [4], request: q1, bytes: '40 82 00 ee ee', kind: 'PADDED_LENGTH' },
    outcome: 'ok',
  },
  {
    title: 'a SUBACK that has no code',
    ...{ versions: [4], request: subscribe('a'), bytes: '90 02 ee ee' },
    ...{ kind: 'MISSING_REASON_CODES', outcome: 'NEGATIVE_ACKNOWLEDGEMENT' },
  },
]

describe('[I1] the connection goes on, and it is reported once', () => {
  for (const situation of SITUATIONS) {
    for (const protocolVersion of situation.versions) {
      test(`MQTT ${protocolVersion}: ${situation.title}`, async () => {
        const { request, bytes, kind, outcome } = situation
        const requests = request === undefined ? [] : [request]
        const s = await connected({ protocolVersion, ...situation.options }, requests)
        const { current } = s.server
        const before = current.packets.length
        await sends(s, bytes)
        expect(current.closed).toBe(false)
        expect(s.loop.state.counters.deviations).toEqual({ [kind]: 1 })
        expect(told(s)).toHaveLength(1)
        expect(told(s)[0]!.deviation).toBe(kind)
        expect(told(s)[0]!.message).toMatch(/^custom:\/\/transport: .+ \[.+\]\. /)
        if (outcome !== undefined) {
          expect(codeOf(s.outcomes[0])).toBe(outcome)
        }
        if (situation.topics !== undefined) expect(topics(s)).toEqual(situation.topics)
        if (situation.answers !== undefined) {
          const answers = current.packets.slice(before).map(({ cmd }) => cmd)
          expect(answers).toEqual(situation.answers)
        }
        await s.loop.return()
      })
    }
  }
})

test('[I1] an outcome says at which QoS a message was acknowledged', async () => {
  const s = await connected({ protocolVersion: 4 }, [q2])
  await sends(s, '40 02 ee ee')
  expect(s.outcomes).toMatchObject([{ outcome: { ok: true, packet: { cmd: 'puback' } } }])
  expect(s.server.current.of('pubrel')).toEqual([])
  await s.loop.return()
})

test('[I1] MQTT 3.1 allows DUP in PUBREL, so nothing is reported', async () => {
  const s = await connected({ protocolVersion: 3 })
  await sends(s, '34 06 00 01 61 00 07 78')
  await sends(s, '6a 02 00 07')
  expect(s.server.current.of('pubcomp')).toMatchObject([{ messageId: 7 }])
  expect(told(s)).toEqual([])
  await s.loop.return()
})

test('[I1] it is counted each time, and reported once for each kind and connection', async () => {
  const s = await connected({ protocolVersion: 4, reconnect: { minMs: 10, maxMs: 10 } })
  await sends(s, '38 03 00 01 61')
  const { deviations } = s.loop.state.counters
  await sends(s, '38 03 00 01 61 30 05 00 03 61 2f 2b')
  expect(deviations).toEqual({ DUP_AT_QOS_0: 1 })
  expect(s.loop.state.counters.deviations).toEqual({ DUP_AT_QOS_0: 2, WILDCARD_IN_TOPIC: 1 })
  expect(told(s)).toHaveLength(2)
  s.server.current.end()
  await s.clock.advance(100)
  await sends(s, '38 03 00 01 61')
  expect(told(s)).toHaveLength(3)
  await s.loop.return()
})

test('[I1] an alias without its topic closes the connection', async () => {
  const s = await connected({ protocolVersion: 5, reconnect: 'never' })
  await sends(s, '30 06 00 00 03 23 00 05')
  expect(s.server.current.of('disconnect')).toMatchObject([{ reasonCode: 0x94 }])
  expect(s.error).toMatchObject({ name: 'ProtocolError' })
})

test('[I1] ClearBlade refuses with CONNACK 0x0d: unknown, tried again, and told when it ends', async () => {
  for (const reconnect of ['never', { when: 'always', minMs: 10, maxMs: 10 }] as const) {
    const server = new ScriptedServer(new VirtualClock(), { autoConnack: false })
    const options = { ...STILL, protocolVersion: 4, reconnect } as const
    const s = startLoop(options, [], undefined, { server })
    await s.clock.advance(0)
    server.current.send(hex('20 02 00 0d'))
    await s.clock.advance(100)
    if (reconnect === 'never') {
      expect(s.error).toBeInstanceOf(RefusedError)
      expect(s.error).toMatchObject({ retryable: true })
      expect((s.error as Error).message).toMatch(/unknown.*13/i)
    } else {
      expect(s.error).toBeUndefined()
      expect(server.connections.length).toBeGreaterThan(1)
      await s.loop.return()
    }
  }
})

test('[I1] EMQX 4 and BifroMQ send QoS 1 again while it is open: it counts once', async () => {
  const server = new ScriptedServer(new VirtualClock())
  const options = { ...STILL, receiveMaximum: 2, acks: 'manual' } as const
  const s = startLoop(options, [], undefined, { server, manual: true })
  await collect(s, 1)
  const message = (messageId: number, dup: boolean) =>
    ({ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId, dup, retain: false }) as const
  server.current.send(message(1, false), message(1, true), message(1, true))
  expect((await collect(s, 3)).every(isPublish)).toBe(true)
  expect(server.current.closed).toBe(false)
  expect(s.loop.state.counters.deviations).toEqual({ RESENT_WHILE_OPEN: 2 })
  await s.loop.return()
})

describe('[R2] a server that forgets a QoS 2 message before its PUBREC', () => {
  const message = (qos: 1 | 2, topic: string) =>
    ({ cmd: 'publish', topic, payload: 'x', qos, messageId: 7, dup: false, retain: false }) as const
  const pubrel = { cmd: 'pubrel', messageId: 7, reasonCode: 0 } as const

  test.each(['pull', 'manual', 'receipt'] as const)(
    'PUBREL behind PUBLISH, acks %s: delivered once, and the next of that identifier too',
    async (acks) => {
      const s = await connected({ acks })
      s.server.current.send(message(2, 'a'), pubrel)
      await s.clock.advance(0)
      s.server.current.send(message(2, 'b'))
      await s.clock.advance(0)
      expect(topics(s)).toEqual(['a', 'b'])
      const answers = s.server.current.packets.slice(1).map(({ cmd }) => cmd)
      expect(answers.filter((cmd) => cmd === 'pubcomp')).toHaveLength(1)
      expect(answers.filter((cmd) => cmd === 'pubrec')).toHaveLength(
        { pull: 1, manual: 0, receipt: 2 }[acks],
      )
      const [first, second] = s.received.filter(isPublish)
      if (acks === 'manual') {
        expect(s.loop.ack(first!)).toBe('stale')
        expect(s.loop.ack(second!)).toBe('queued')
        await s.clock.advance(0)
        expect(s.server.current.of('pubrec')).toHaveLength(1)
      }
      expect(s.server.connections).toHaveLength(1)
      await s.loop.return()
    },
  )

  /** A session that was resumed after one message at QoS 2, which is not acknowledged. */
  async function resumedWithOne(): Promise<Started> {
    const s = await connected({ acks: 'manual', reconnect: { minMs: 10, maxMs: 10 } })
    s.server.current.send(message(2, 'a'))
    await s.clock.advance(0)
    s.server.autoConnack = { sessionPresent: true }
    s.server.current.reset()
    await s.clock.advance(1000)
    return s
  }

  test('the PUBREL comes after a lost connection: one connection, and the next is delivered', async () => {
    const s = await resumedWithOne()
    s.server.current.send(pubrel, message(2, 'b'))
    await s.clock.advance(1000)
    expect(topics(s)).toEqual(['a', 'b'])
    expect(s.server.connections).toHaveLength(2)
    await s.loop.return()
  })

  test('its identifier is used at QoS 1, and then for another message at QoS 2', async () => {
    const s = await resumedWithOne()
    s.server.current.send(message(1, 'b'), message(2, 'c'))
    await s.clock.advance(0)
    expect(topics(s)).toEqual(['a', 'b', 'c'])
    await s.loop.return()
  })
})

test('[T6] an Assigned Client Identifier that is empty does not replace that of the client', async () => {
  const server = new ScriptedServer(new VirtualClock(), { autoConnack: false })
  const options = { ...STILL, reconnect: { minMs: 10, maxMs: 10 } }
  const s = startLoop(options, [], undefined, { server })
  await s.clock.advance(0)
  await sends(s, '20 06 00 00 03 12 00 00')
  expect(s.loop.state.counters.deviations).toEqual({ PROPERTY_VALUE: 1 })
  server.current.end()
  await s.clock.advance(1000)
  expect(server.current.of('connect')).toMatchObject([{ clientId: 'test' }])
  await s.loop.return()
})

describe('[R3] more unacknowledged messages than Receive Maximum', () => {
  const message = (messageId: number, qos: 1 | 2, payload = `${messageId}`) =>
    ({ cmd: 'publish', topic: 'a', payload, qos, messageId, dup: false, retain: false }) as const
  const rows = [1, 5, 10].flatMap((most) => ([1, 2] as const).map((qos) => [most, qos] as const))

  test.each(rows)(
    'Receive Maximum %i, QoS %i: all are delivered on one connection, in order',
    async (receiveMaximum, qos) => {
      const server = new ScriptedServer(new VirtualClock())
      const s = startLoop({ ...STILL, receiveMaximum }, [], undefined, { server, manual: true })
      await collect(s, 1)
      const ids = Array.from({ length: 8 * receiveMaximum }, (_, i) => i + 1)
      server.current.send(...ids.map((id) => message(id, qos)))
      const got = (await collect(s, ids.length)).filter(isPublish)
      expect(got.map(({ payload }) => Number(payload.toString()))).toEqual(ids)
      expect(server.connections).toHaveLength(1)
      expect(told(s)).toHaveLength(1)
      await s.loop.return()
    },
  )

  test('far beyond it and beyond maxBufferedBytes: DISCONNECT 0x93', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const bounds = { receiveMaximum: 2, maxBufferedBytes: 1000, reconnect: 'never' } as const
    const s = startLoop({ ...STILL, ...bounds }, [], undefined, { server, manual: true })
    await collect(s, 1)
    const ids = Array.from({ length: 40 }, (_, i) => i + 1)
    server.current.send(Buffer.concat(ids.map(bytesOf)))
    await s.clock.advance(0)
    expect(server.current.of('disconnect')).toMatchObject([{ reasonCode: 0x93 }])
    await s.loop.return()
  })

  function bytesOf(id: number): Buffer {
    const payload = Buffer.alloc(100, 120)
    const body = Buffer.concat([hex('00 01 61'), Buffer.from([id >> 8, id & 255, 0]), payload])
    return Buffer.concat([Buffer.from([0x32, body.length]), body])
  }
})

test('[D5] Session Present 1 after Clean Start 1: nothing of an old session is expected', async () => {
  const server = new ScriptedServer(new VirtualClock(), { autoConnack: { sessionPresent: true } })
  const requests = pushable<Request>({ objectMode: true })
  const s = startLoop({ ...STILL }, requests, undefined, { server })
  requests.push(subscribe('a')).push(q1)
  await s.clock.advance(0)
  expect(s.outcomes.map(({ outcome }) => outcome.ok)).toEqual([true, true])
  expect(s.loop.state.counters.deviations).toEqual({ SESSION_PRESENT_UNASKED: 1 })
  await s.loop.return()
})

test('[I1] tolerance strict closes where field goes on', async () => {
  for (const situation of SITUATIONS.filter(({ kind }) => kind !== 'UNKNOWN_IDENTIFIER')) {
    const { request, bytes, versions, options } = situation
    const s = await connected(
      { protocolVersion: versions[0]!, reconnect: 'never', tolerance: 'strict', ...options },
      request === undefined ? [] : [request],
    )
    await sends(s, bytes)
    await s.clock.advance(1000)
    expect(s.server.current.closed, situation.title).toBe(true)
    expect(s.error, situation.title).not.toBeInstanceOf(ConnectionError)
    expect(s.loop.state.counters.deviations, situation.title).toEqual({})
  }
})
