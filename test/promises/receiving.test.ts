/**
 * Receiving, R1 to R6, and the field notes that ask for it.
 *
 * Goal: a message is acknowledged when it was handled and not before, yielded once at QoS 2, and what is buffered is bounded,
 * however slow the consumer and however often the connection breaks. Method: a scripted server and a consumer that pulls when
 * the test says so; a broker that breaks at generated points, judged by what the consumer got and what it was told.
 */
import fc from 'fast-check'
import { pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import { utf8Bytes } from '#bytes'
import {
  connect,
  decodeSession,
  type Eventloop,
  type EventloopOptions,
  encodeSession,
  eventloop,
  type Incoming,
  type IncomingPublish,
  publish,
  type QoS,
  type Request,
  type Session,
  subscribe,
} from '../../src/index.ts'
import { peek, VirtualClock } from '../support/clock.ts'
import { collect, type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer, type ServerConnection } from '../support/server.ts'

const DAY_MS = 86_400_000

/** A PUBLISH as the server sends it. */
function message(payload: string | Buffer, qos: QoS = 0, messageId = 0, dup = false) {
  const packet = { cmd: 'publish', topic: 'in', payload, qos, dup, retain: false } as const
  return qos === 0 ? packet : { ...packet, messageId }
}

const ACKS = ['puback', 'pubrec', 'pubcomp']

/** What the client acknowledged on this connection: "puback 1". */
function acks(connection: ServerConnection): string[] {
  return connection.packets
    .filter(({ cmd }) => ACKS.includes(cmd))
    .map(({ cmd, messageId }) => `${cmd} ${messageId}`)
}

function payloads(packets: readonly Incoming[]): string[] {
  return packets.flatMap((packet) => (packet.cmd === 'publish' ? [String(packet.payload)] : []))
}

function started(options: EventloopOptions = {}, manual = true): Started {
  return startLoop({ until: 'closed', keepAlive: 0, ...options }, [], undefined, { manual })
}

/** A loop whose CONNACK the test has taken already. */
async function connected(options: EventloopOptions = {}): Promise<Started> {
  const s = started(options)
  await collect(s, 1)
  return s
}

async function reconnect(
  { clock, server }: Started,
  sessionPresent: boolean,
): Promise<ServerConnection> {
  server.autoConnack = { sessionPresent }
  const before = server.connections.length
  server.current.end()
  await clock.advance(60_000)
  expect(server.connections).toHaveLength(before + 1)
  return server.current
}

function waitingBefore(loop: Eventloop, packet: Incoming | undefined): number {
  return loop.waitingBefore(packet as IncomingPublish)
}

function ackOf(loop: Eventloop, packet: Incoming | undefined): string {
  return loop.ack(packet as IncomingPublish)
}

// --------------------------------------------------------------------------------------------------------------------- R1

describe("[R1] acks: 'pull'", () => {
  for (const protocolVersion of [5, 4] as const) {
    test(`[C04] MQTT ${protocolVersion}: a message is acknowledged when the consumer asks for the next packet, and only then`, async () => {
      const s = await connected({ protocolVersion })
      const { current } = s.server
      const sent = [message('a', 1, 10), message('b', 2, 11), message('c', 1, 12), message('d')]
      current.send(...sent)
      await s.clock.settle()
      expect(acks(current)).toEqual([])
      const expected = ['puback 10', 'pubrec 11', 'puback 12']
      for (const handled of [0, 1, 2]) {
        await collect(s, 1)
        await s.clock.advance(60_000)
        expect(acks(current).filter((one) => !one.startsWith('pubcomp'))).toEqual(
          expected.slice(0, handled),
        )
      }
      await s.loop.return()
    })
  }

  test('[C04] killed with k messages not pulled, exactly these and the one in hand are unacknowledged', async () => {
    for (const pulled of [0, 1, 4, 10]) {
      const s = await connected()
      const ids = Array.from({ length: 10 }, (_, i) => i + 1)
      s.server.current.send(...ids.map((id) => message(`${id}`, 1, id)))
      if (pulled > 0) await collect(s, pulled)
      await s.clock.settle()
      expect(acks(s.server.current)).toEqual(
        ids.slice(0, Math.max(0, pulled - 1)).map((id) => `puback ${id}`),
      )
      await s.loop.return()
    }
  })

  for (const [name, leave] of [
    ['breaks', () => 'break'],
    [
      'throws',
      () => {
        throw new Error('in the body')
      },
    ],
  ] as const) {
    for (const qos of [1, 2] as const) {
      test(`a consumer that ${name} leaves its QoS ${qos} message unacknowledged, those before it not`, async () => {
        const s = started()
        s.server.autoAck = false
        const body = (async () => {
          for await (const packet of s.loop) {
            if (packet.cmd === 'connack') {
              s.server.current.send(message('first', qos, 1), message('second', qos, 2))
            }
            if (packet.cmd === 'publish' && String(packet.payload) === 'second') {
              if (leave() === 'break') break
            }
          }
        })()
        const outcome = await peek(s.clock, body)
        if (name === 'throws') expect(outcome).toMatchObject({ error: { message: 'in the body' } })
        await s.clock.advance(1000)
        const { current } = s.server
        expect(acks(current)).toEqual([qos === 1 ? 'puback 1' : 'pubrec 1'])
        expect(current.packets.at(-1)?.cmd).toBe('disconnect')
        expect(current.closed).toBe(true)
      })
    }
  }

  test('ack() before break says otherwise', async () => {
    const s = started()
    const body = (async () => {
      for await (const packet of s.loop) {
        if (packet.cmd === 'connack') s.server.current.send(message('only', 1, 1))
        if (packet.cmd !== 'publish') continue
        expect(s.loop.ack(packet)).toBe('queued')
        break
      }
    })()
    await peek(s.clock, body)
    await s.clock.advance(1000)
    expect(acks(s.server.current)).toEqual(['puback 1'])
  })

  test('a next() marks what had been delivered before the call, not what it will deliver', async () => {
    const s = await connected()
    const first = s.loop.next()
    const second = s.loop.next()
    s.server.current.send(message('a', 1, 1))
    await first
    await s.clock.settle()
    expect(acks(s.server.current)).toEqual([])
    const third = s.loop.next()
    await s.clock.settle()
    expect(acks(s.server.current)).toEqual(['puback 1'])
    s.server.current.send(message('b', 1, 2), message('c', 1, 3))
    expect(payloads([(await second).value!, (await third).value!])).toEqual(['b', 'c'])
    await s.clock.settle()
    expect(acks(s.server.current)).toEqual(['puback 1'])
    const fourth = s.loop.next()
    await s.clock.settle()
    expect(acks(s.server.current)).toEqual(['puback 1', 'puback 2', 'puback 3'])
    await s.loop.return()
    expect(await fourth).toEqual({ done: true, value: undefined })
  })

  test('next() calls are answered in order, one packet each', async () => {
    const s = await connected({ acks: 'manual' })
    const calls = Array.from({ length: 5 }, () => s.loop.next())
    s.server.current.send(message('0'), message('1', 1, 1))
    await s.clock.settle()
    s.server.current.send(message('2', 2, 2), message('3'), message('4'), message('5'))
    const got = (await Promise.all(calls)).map(({ value }) => value!)
    expect(payloads(got)).toEqual(['0', '1', '2', '3', '4'])
    expect(payloads(await collect(s, 1))).toEqual(['5'])
    await s.loop.return()
  })

  test('everything that the server sends is yielded, but for repeats of a QoS 2 PUBLISH', async () => {
    const s = started({ acks: 'receipt' }, false)
    await s.clock.settle()
    const { current } = s.server
    current.autoAck = (packet) => packet.cmd === 'pingreq'
    current.send(message('x', 2, 1), message('x', 2, 1, true))
    await s.clock.settle()
    current.send({ cmd: 'pubrel', messageId: 1, reasonCode: 0 })
    await s.loop.ping()
    current.send({ cmd: 'disconnect', reasonCode: 0x8b })
    await s.clock.advance(60_000)
    expect(s.received.map(({ cmd }) => cmd)).toEqual([
      ...['connack', 'publish', 'pubrel', 'pingresp', 'disconnect', 'connack'],
    ])
    expect(acks(current)).toEqual(['pubrec 1', 'pubrec 1', 'pubcomp 1'])
    await s.loop.return()
  })
})

describe("[R1] acks: 'receipt'", () => {
  test('acknowledged as it arrives, without a consumer', async () => {
    const s = await connected({ acks: 'receipt' })
    s.server.current.send(message('a', 1, 1), message('b', 2, 2))
    await s.clock.settle()
    expect(acks(s.server.current)).toEqual(['puback 1', 'pubrec 2', 'pubcomp 2'])
    const packets = await collect(s, 3)
    expect(payloads(packets)).toEqual(['a', 'b'])
    // There is nothing left to say.
    expect(ackOf(s.loop, packets[0])).toBe('stale')
    await s.clock.settle()
    expect(acks(s.server.current)).toHaveLength(3)
    await s.loop.return()
  })
})

describe("[R1] [C21] [MQTT-4.6.0-2] [MQTT-4.6.0-3] acks: 'manual'", () => {
  test('for any order of ack() calls the acknowledgements leave in the order received', async () => {
    const arbitrary = fc
      .array(fc.constantFrom<QoS>(0, 1, 2), { minLength: 1, maxLength: 12 })
      .chain((qos) =>
        fc.record({
          qos: fc.constant(qos),
          order: fc.shuffledSubarray(
            qos.map((_, i) => i),
            { minLength: qos.length },
          ),
          together: fc.boolean(),
        }),
      )
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ qos, order, together }) => {
        const s = await connected({ acks: 'manual' })
        s.server.autoAck = false
        s.server.current.autoAck = false
        s.server.current.send(...qos.map((q, i) => message(`${i}`, q, i + 1)))
        const packets = await collect(s, qos.length)
        const acked = new Set<number>()
        for (const i of order) {
          expect(ackOf(s.loop, packets[i])).toBe(qos[i] === 0 ? 'stale' : 'queued')
          acked.add(i)
          const before = qos.map((q, at) =>
            q === 0 ? 0 : qos.filter((other, j) => j < at && other > 0 && !acked.has(j)).length,
          )
          expect(packets.map((packet) => waitingBefore(s.loop, packet))).toEqual(before)
          if (together) continue
          await s.clock.settle()
          // Those at the head of the order that are acknowledged, no others.
          const head = qos.findIndex((q, j) => q > 0 && !acked.has(j))
          const due = qos.flatMap((q, j) => (q > 0 && (head < 0 || j < head) ? [j + 1] : []))
          const left = acks(s.server.current).map((one) => Number(one.split(' ')[1]))
          expect(left).toEqual(due)
        }
        await s.clock.settle()
        expect(acks(s.server.current)).toEqual(
          qos.flatMap((q, j) => (q === 0 ? [] : [`${q === 1 ? 'puback' : 'pubrec'} ${j + 1}`])),
        )
        for (const packet of packets) expect(ackOf(s.loop, packet)).toBe('stale')
        await s.loop.return()
      }),
      { numRuns: 60 },
    )
  })

  test('waitingBefore: nothing is before a message of a lost connection, or after the end', async () => {
    const s = await connected({ acks: 'manual' })
    s.server.current.send(message('a', 1, 1), message('b', 2, 2), message('c', 1, 3))
    const [a, b, c] = await collect(s, 3)
    const all = () => [a, b, c].map((packet) => waitingBefore(s.loop, packet))
    expect(all()).toEqual([0, 1, 2])
    const second = await reconnect(s, true)
    expect(all()).toEqual([0, 0, 0])
    // A message at QoS 2 that comes again is not yielded again, and keeps its packet.
    second.send(message('a', 1, 1, true), message('b', 2, 2, true))
    const [, again] = await collect(s, 2)
    expect(waitingBefore(s.loop, again)).toBe(0)
    expect(all()).toEqual([0, 1, 0])
    expect([ackOf(s.loop, a), ackOf(s.loop, b)]).toEqual(['stale', 'queued'])
    // It is forgotten with its acknowledgement, as all that is of an earlier connection.
    expect(all()).toEqual([0, 0, 0])
    expect(ackOf(s.loop, again)).toBe('queued')
    expect(all()).toEqual([0, 0, 0])
    await s.clock.settle()
    expect(acks(second).slice(0, 2)).toEqual(['puback 1', 'pubrec 2'])
    s.loop.shutdown()
    await s.clock.advance(1000)
    expect(all()).toEqual([0, 0, 0])
  })

  test("waitingBefore with acks: 'pull' counts what no later next() has handled", async () => {
    const s = await connected()
    const three = () => [s.loop.next(), s.loop.next(), s.loop.next()]
    const countsOf = async (calls: ReturnType<typeof three>) =>
      (await Promise.all(calls)).map(({ value }) => waitingBefore(s.loop, value))
    const early = three()
    s.server.current.send(message('a', 1, 1), message('b', 1, 2), message('c', 1, 3))
    await s.clock.settle()
    expect(await countsOf(early)).toEqual([0, 1, 2])
    s.server.current.send(message('d', 1, 4), message('e', 1, 5), message('f', 1, 6))
    await s.clock.settle()
    // Each call here marks the message of the call before as handled.
    expect(await countsOf(three())).toEqual([0, 0, 0])
    await s.loop.return()
  })

  test.each([undefined, null, 'text', {}, { cmd: 'puback', messageId: 1 }])(
    'waitingBefore of %j is a UsageError',
    async (given) => {
      const s = await connected({ acks: 'manual' })
      expect(() => s.loop.waitingBefore(given as never)).toThrow(/^waitingBefore: .* PUBLISH/)
      await s.loop.return()
    },
  )

  test('a reason code refuses: PUBACK and PUBREC carry it, and the message is over', async () => {
    const s = await connected({ acks: 'manual', receiveMaximum: 2 })
    s.server.current.autoAck = false
    s.server.current.send(message('a', 1, 1), message('b', 2, 2))
    const [a, b] = await collect(s, 2)
    expect(s.loop.ack(b as IncomingPublish, 0x83)).toBe('queued')
    expect(s.loop.ack(a as IncomingPublish, 0x97)).toBe('queued')
    await s.clock.settle()
    const answers = s.server.current.packets.slice(1)
    expect(answers).toMatchObject([
      { cmd: 'puback', messageId: 1, reasonCode: 0x97 },
      { cmd: 'pubrec', messageId: 2, reasonCode: 0x83 },
    ])
    // Its identifier is free, and so is its place in the Receive Maximum.
    s.server.current.send(message('c', 2, 2), message('d', 1, 1))
    expect(payloads(await collect(s, 2))).toEqual(['c', 'd'])
    expect(s.server.connections).toHaveLength(1)
    await s.loop.return()
  })

  test('an acknowledgement that is forgotten is reported once its age is worth it', async () => {
    const s = await connected({ acks: 'manual', warnAfterMs: 5000 })
    s.server.current.send(message('a', 1, 1))
    await collect(s, 1)
    await s.clock.advance(4999)
    expect(s.warnings).toEqual([])
    await s.clock.advance(1)
    expect(s.warnings).toMatchObject([{ code: 'ACKNOWLEDGEMENT_FORGOTTEN' }])
    await s.loop.return()
  })
})

describe('[R1] [C20] acknowledgements of an older connection', () => {
  for (const mode of ['manual', 'pull'] as const) {
    test(`${mode}: at QoS 1 they are stale, never block a newer one, and the redelivery has its own`, async () => {
      const s = await connected({ acks: mode })
      s.server.current.send(message('a', 1, 1), message('b', 1, 2))
      const [old] = await collect(s, 1)
      const second = await reconnect(s, true)
      second.send(message('a', 1, 1, true), message('b', 1, 2, true))
      await s.clock.settle()
      expect(ackOf(s.loop, old)).toBe('stale')
      await s.clock.settle()
      expect(acks(second)).toEqual([])
      // Without the session's answer `b` would come twice: the redelivery replaces what nobody took.
      const packets = await collect(s, 3)
      expect(packets.map(({ cmd }) => cmd)).toEqual(['connack', 'publish', 'publish'])
      expect(payloads(packets)).toEqual(['a', 'b'])
      if (mode === 'manual') {
        expect(ackOf(s.loop, packets[1])).toBe('queued')
        expect(ackOf(s.loop, packets[2])).toBe('queued')
      } else void s.loop.next()
      await s.clock.settle()
      expect(acks(second)).toEqual(['puback 1', 'puback 2'])
      await s.loop.return()
    })

    test(`${mode}: at QoS 2 the message is not yielded again, and its ack answers the redelivery`, async () => {
      const s = await connected({ acks: mode })
      s.server.current.send(message('a', 2, 1))
      const [old] = await collect(s, 1)
      const second = await reconnect(s, true)
      second.send(message('a', 2, 1, true), message('b', 1, 2))
      await s.clock.settle()
      expect(acks(second)).toEqual([])
      expect(ackOf(s.loop, old)).toBe('queued')
      await s.clock.settle()
      expect(acks(second)[0]).toBe('pubrec 1')
      expect(payloads(await collect(s, 3))).toEqual(['b'])
      await s.loop.return()
    })

    test(`${mode}: at QoS 2, acknowledged before the redelivery came`, async () => {
      const s = await connected({ acks: mode })
      s.server.current.send(message('a', 2, 1))
      const [old] = await collect(s, 1)
      const second = await reconnect(s, true)
      expect(ackOf(s.loop, old)).toBe('queued')
      await s.clock.settle()
      second.send(message('a', 2, 1, true), message('b', 1, 2))
      await s.clock.settle()
      expect(acks(second)).toEqual(['pubrec 1', 'pubcomp 1'])
      const rest = await collect(s, 3)
      expect(payloads(rest)).toEqual(['b'])
      await s.loop.return()
    })
  }

  test('pull: the body that was interrupted by a reconnection asks for the next, which acknowledges the redelivery', async () => {
    const s = await connected()
    s.server.current.send(message('a', 2, 1))
    await collect(s, 1)
    const second = await reconnect(s, true)
    second.send(message('a', 2, 1, true))
    await s.clock.settle()
    expect(acks(second)).toEqual([])
    await collect(s, 1)
    await s.clock.settle()
    expect(acks(second)[0]).toBe('pubrec 1')
    await s.loop.return()
  })

  test('after the session was lost they are stale', async () => {
    const s = await connected({ acks: 'manual' })
    s.server.current.send(message('a', 2, 1), message('b', 1, 2))
    const old = await collect(s, 2)
    const second = await reconnect(s, false)
    for (const packet of old) expect(ackOf(s.loop, packet)).toBe('stale')
    // The identifier is of another message now; the old handle must not touch it.
    second.send(message('other', 2, 1), message('another', 1, 2))
    await s.clock.settle()
    for (const packet of old) expect(ackOf(s.loop, packet)).toBe('stale')
    await s.clock.settle()
    expect(acks(second)).toEqual([])
    expect(payloads(await collect(s, 3))).toEqual(['other', 'another'])
    await s.loop.return()
  })
})

// --------------------------------------------------------------------------------------------------------------------- R2

type Fault = 'none' | 'before' | 'after' | 'shutdown'

interface Script {
  readonly version: 4 | 5
  readonly qos: readonly (1 | 2)[]
  /** What befalls each acknowledgement that the client sends. */
  readonly faults: readonly Fault[]
  /** After how many messages a connection breaks by itself; 0: it does not. */
  readonly cuts: readonly number[]
  /** How long the consumer takes for each message, ms. */
  readonly thinks: readonly number[]
  readonly acks: 'pull' | 'receipt' | 'manual'
}

interface Owed {
  readonly payload: string
  readonly qos: 1 | 2
  readonly messageId: number
  stage: 'publish' | 'pubrel' | 'done'
  attempted: boolean
}

/** A broker that owes a session its messages and breaks where the script says so. */
class Publisher {
  readonly server: ScriptedServer
  readonly owed: Owed[]
  onShutdown = () => {}
  readonly #clock: VirtualClock
  readonly #script: Script
  #step = 0

  constructor(clock: VirtualClock, script: Script) {
    this.#clock = clock
    this.#script = script
    this.owed = script.qos.map((qos, i) => {
      return { payload: `m${i}`, qos, messageId: 500 - i, stage: 'publish', attempted: false }
    })
    this.server = new ScriptedServer(clock)
    this.server.onConnection = (connection) => this.#serve(connection)
  }

  #serve(connection: ServerConnection): void {
    const index = this.server.connections.length - 1
    connection.autoConnack = { sessionPresent: index > 0 }
    let alive = true
    const fail = () => {
      alive = false
      connection.end()
    }
    const deliver = () => {
      if (connection.closed || connection.packets.length === 0) {
        if (!connection.closed) this.#clock.setTimer(deliver, 1)
        return
      }
      const cut = this.#script.cuts[index] ?? 0
      let sent = 0
      for (const one of this.owed) {
        if (one.stage === 'done') continue
        const { payload, qos, messageId } = one
        if (one.stage === 'pubrel') connection.send({ cmd: 'pubrel', messageId, reasonCode: 0 })
        else connection.send(message(payload, qos, messageId, one.attempted))
        one.attempted = true
        if (++sent === cut) return fail()
      }
    }
    this.#clock.setTimer(deliver, 1)
    connection.autoAck = (packet) => {
      const one = this.owed.find(({ messageId }) => messageId === packet.messageId)
      if (!ACKS.includes(packet.cmd) || one === undefined) return true
      if (!alive) return false
      const fault = this.#script.faults[this.#step++] ?? 'none'
      if (fault === 'before') {
        fail()
        return false
      }
      one.stage = packet.cmd === 'pubrec' ? 'pubrel' : 'done'
      if (fault === 'after') fail()
      else if (packet.cmd === 'pubrec') connection.acknowledge(packet)
      if (fault === 'shutdown') this.onShutdown()
      return false
    }
  }
}

interface Got {
  readonly payload: string
  readonly deliveryId: number | undefined
  readonly redelivered: boolean
  readonly life: number
}

async function receive(script: Script): Promise<{ got: Got[]; owed: Owed[]; errors: unknown[] }> {
  const clock = new VirtualClock()
  const broker = new Publisher(clock, script)
  const got: Got[] = []
  const errors: unknown[] = []
  let session: Session | undefined
  let loop: Eventloop | undefined
  let asked = true
  broker.onShutdown = () => {
    asked = true
    loop?.shutdown()
  }
  const think = (ms: number) =>
    new Promise<void>((resolve) => {
      clock.setTimer(resolve, ms)
    })
  const live = async (life: number) => {
    const current = eventloop({
      ...{ platform: clock, transport: broker.server.transport, clientId: 'c', keepAlive: 0 },
      ...{ protocolVersion: script.version, cleanStart: false, reconnect: 'always' },
      ...{ acks: script.acks, until: 'closed' },
      ...(session === undefined ? {} : { session }),
    })
    loop = current
    try {
      for await (const packet of current) {
        if (packet.cmd !== 'publish') continue
        const { deliveryId, redelivered = false } = packet
        got.push({ payload: String(packet.payload), deliveryId, redelivered, life })
        const ms = script.thinks[got.length % script.thinks.length]!
        if (script.acks !== 'manual') await think(ms)
        else void think(ms).then(() => current.ack(packet))
      }
    } catch (error) {
      errors.push(error)
    }
  }
  for (let life = 0; asked && life < 40; life++) {
    asked = false
    const lived = live(life)
    await clock.advance(DAY_MS)
    if (!asked) {
      loop?.shutdown()
      await clock.advance(2000)
    }
    await lived
    session = decodeSession(encodeSession(loop!.session))
  }
  return { got, owed: broker.owed, errors }
}

function scripts(restarts: boolean): fc.Arbitrary<Script> {
  const faults: fc.WeightedArbitrary<Fault>[] = [
    { weight: 4, arbitrary: fc.constant('none') },
    { weight: 1, arbitrary: fc.constant('before') },
    { weight: 1, arbitrary: fc.constant('after') },
  ]
  if (restarts) faults.push({ weight: 1, arbitrary: fc.constant('shutdown') })
  return fc.record({
    version: fc.constantFrom(4, 5),
    qos: fc.array(fc.constantFrom(1, 2), { minLength: 1, maxLength: 12 }),
    faults: fc.array(fc.oneof(...faults), { maxLength: 30 }),
    cuts: fc.array(fc.nat(6), { maxLength: 6 }),
    thinks: fc.array(fc.constantFrom(0, 1, 50, 5000), { minLength: 1, maxLength: 6 }),
    acks: fc.constantFrom('pull', 'receipt', 'manual'),
  })
}

describe('[R2] [MQTT-4.3.3-10] exactly once', () => {
  test('within a process a QoS 2 message is yielded once, wherever the connection breaks', async () => {
    await fc.assert(
      fc.asyncProperty(scripts(false), async (script) => {
        const { got, owed, errors } = await receive(script)
        expect(errors).toEqual([])
        for (const { payload, qos, stage } of owed) {
          expect(stage, payload).toBe('done')
          const times = got.filter((one) => one.payload === payload)
          if (qos === 2) expect(times, payload).toHaveLength(1)
          else expect(times.length, payload).toBeGreaterThanOrEqual(1)
          for (const { deliveryId, redelivered } of times) {
            expect(redelivered).toBe(false)
            expect(typeof deliveryId).toBe(qos === 2 ? 'number' : 'undefined')
          }
        }
        const ids = got.flatMap(({ deliveryId }) => (deliveryId === undefined ? [] : [deliveryId]))
        expect(new Set(ids).size).toBe(ids.length)
      }),
      { numRuns: 150 },
    )
  })

  test('over sessions that are restored: what comes again says so, under the same deliveryId', async () => {
    await fc.assert(
      fc.asyncProperty(scripts(true), async (script) => {
        const { got, owed, errors } = await receive(script)
        expect(errors).toEqual([])
        const names = new Map<number, string>()
        for (const { payload, qos, stage } of owed) {
          expect(stage, payload).toBe('done')
          const times = got.filter((one) => one.payload === payload)
          expect(times.length, payload).toBeGreaterThanOrEqual(1)
          if (qos === 1) continue
          const { deliveryId } = times[0]!
          expect(names.has(deliveryId!), `${payload} shares its id`).toBe(false)
          names.set(deliveryId!, payload)
          times.forEach((one, i) => {
            expect(one.deliveryId).toBe(deliveryId)
            expect(one.redelivered, payload).toBe(i > 0)
            // Once in each process at most.
            if (i > 0) expect(one.life).toBeGreaterThan(times[i - 1]!.life)
          })
        }
      }),
      { numRuns: 150 },
    )
  })

  for (const [stage, pulls, handled, again] of [
    ['handled', 1, true, []],
    ['yielded and not handled', 1, false, [{ deliveryId: 1, redelivered: true }]],
    ['not yielded', 0, false, [{ deliveryId: 1 }]],
  ] as const) {
    test(`a restored session: ${stage}`, async () => {
      const s = await connected({ acks: 'manual', cleanStart: false })
      s.server.autoAck = false
      s.server.current.autoAck = false
      s.server.current.send(message('x', 2, 7))
      await s.clock.settle()
      const packets = await collect(s, pulls)
      if (pulls > 0) expect(packets).toMatchObject([{ deliveryId: 1 }])
      if (handled) ackOf(s.loop, packets[0])
      await s.clock.settle()
      s.loop.shutdown()
      await s.clock.advance(1000)

      s.server.autoConnack = { sessionPresent: true }
      const session = decodeSession(encodeSession(s.loop.session))
      const next = startLoop({ until: 'closed', session }, [], undefined, { server: s.server })
      await s.clock.settle()
      s.server.current.send(message('x', 2, 7, true), message('new', 2, 8))
      await s.clock.settle()
      const got = next.received.filter((one): one is IncomingPublish => one.cmd === 'publish')
      expect(payloads(got)).toEqual([...again.map(() => 'x'), 'new'])
      expect(got.slice(0, -1)).toMatchObject(again)
      if (stage === 'not yielded') expect(got[0]).not.toHaveProperty('redelivered')
      expect(got.at(-1)).toMatchObject({ deliveryId: 2 })
      expect(acks(s.server.current).slice(0, 2)).toEqual(['pubrec 7', 'pubrec 8'])
      await next.loop.return()
    })
  }

  test('a copy of a running loop promises at least once: received identifiers are forgotten', async () => {
    for (const asText of [false, true]) {
      const s = await connected({ acks: 'receipt', cleanStart: false })
      s.server.autoAck = false
      s.server.current.autoAck = false
      s.server.current.send(message('x', 2, 7))
      await collect(s, 1)
      const copy = s.loop.session
      expect(copy.final).toBe(false)
      const session = asText ? decodeSession(encodeSession(copy)) : copy
      await s.loop.return()
      s.server.autoConnack = { sessionPresent: true }
      const next = startLoop({ until: 'closed', session }, [], undefined, { server: s.server })
      await s.clock.settle()
      s.server.current.send(message('another', 2, 7))
      await s.clock.settle()
      expect(payloads(next.received), `as text: ${asText}`).toEqual(['another'])
      await next.loop.return()
    }
  })
})

// --------------------------------------------------------------------------------------------------------------------- R3

describe('[R3] a slow consumer', () => {
  test('[C01] sixty seconds in the loop body at keepAlive 2: pinged, alive, and reading goes on in order', async () => {
    for (const flood of [5, 3000]) {
      const s = await connected({ keepAlive: 2, maxBufferedPackets: 100 })
      const sent = Array.from({ length: flood }, (_, i) => message(`${i}`))
      s.server.current.send(...sent)
      await collect(s, 1)
      await s.clock.advance(60_000)
      expect(s.server.connections).toHaveLength(1)
      expect(s.server.current.of('pingreq').length).toBeGreaterThanOrEqual(20)
      const got: string[] = ['0']
      while (got.length < flood) got.push(...payloads(await collect(s, 1)))
      expect(got).toEqual(sent.map(({ payload }) => payload))
      expect(s.loop.state.connection.kind).toBe('connected')
      await s.loop.return()
    }
  })

  test('[C02] a consumer that never pulls: what is buffered is bounded by packets, and the socket is paused', async () => {
    const s = await connected({ maxBufferedPackets: 50 })
    for (let i = 0; i < 400; i++) {
      s.server.current.send(...Array.from({ length: 50 }, () => message(Buffer.alloc(100))))
      await new Promise((resolve) => setImmediate(resolve))
      expect(s.loop.state.counters.bufferedPackets).toBeLessThanOrEqual(50)
    }
    await s.clock.settle()
    expect(s.loop.state.counters).toMatchObject({ bufferedPackets: 50, received: 50 })
    expect(s.server.current.client.isPaused()).toBe(true)
    // Slowly, but all of it comes.
    for (let i = 0; i < 2000; i++) await collect(s, 1)
    expect(s.server.connections).toHaveLength(1)
    await s.loop.return()
  })

  test('[C02] bounded by bytes, too', async () => {
    const s = await connected({ maxBufferedBytes: 100_000, maxBufferedPackets: 1_000_000 })
    for (let i = 0; i < 200; i++) s.server.current.send(message(Buffer.alloc(10_000)))
    await s.clock.settle()
    const { bufferedBytes, bufferedPackets } = s.loop.state.counters
    expect(bufferedPackets).toBeGreaterThanOrEqual(9)
    // What one chunk of the socket holds may come on top.
    expect(bufferedBytes).toBeLessThanOrEqual(100_000 + 65_536 + 10_000)
    expect(s.server.current.client.isPaused()).toBe(true)
    expect(payloads(await collect(s, 200))).toHaveLength(200)
    await s.loop.return()
  })

  test('[C02] QoS 1: never more than Receive Maximum', async () => {
    const s = await connected({ receiveMaximum: 20 })
    expect(s.server.current.of('connect')[0]?.properties?.receiveMaximum).toBe(20)
    // A broker that keeps to it: it sends as many as it has acknowledgements for.
    let id = 0
    const send = () => s.server.current.send(message('x', 1, (id % 60_000) + 1))
    s.server.current.autoAck = (packet) => {
      if (packet.cmd === 'puback' && ++id < 500) send()
      return false
    }
    for (; id < 20; id++) send()
    await s.clock.settle()
    expect(s.loop.state.counters).toMatchObject({ bufferedPackets: 20, received: 20 })
    await s.clock.advance(DAY_MS)
    expect(acks(s.server.current)).toEqual([])
    await collect(s, 300)
    expect(s.loop.state.counters.bufferedPackets).toBeLessThanOrEqual(20)
    await s.loop.return()
  })

  test('[C03] any number of QoS 0 messages in one chunk are yielded, in order', async () => {
    const s = await connected()
    const sent = Array.from({ length: 5000 }, (_, i) => message(`${i}`))
    s.server.current.send(...sent)
    expect(payloads(await collect(s, 5000))).toEqual(sent.map(({ payload }) => payload))
    await s.loop.return()
  })

  test('a consumer that holds the buffer full is told so', async () => {
    const s = await connected({ maxBufferedPackets: 5, warnAfterMs: 3000 })
    s.server.current.send(...Array.from({ length: 20 }, () => message('x')))
    await s.clock.advance(2999)
    expect(s.warnings).toEqual([])
    await s.clock.advance(60_000)
    expect(s.warnings).toMatchObject([{ code: 'CONSUMER_STALLED' }])
    await s.loop.return()
  })
})

// --------------------------------------------------------------------------------------------------------------------- R4

describe('[R4] [C24] pushing from inside the loop body', () => {
  for (const maxInflight of [1, 2, 1000]) {
    for (const maxBufferedPackets of [1, 7, 20_000]) {
      for (const qos of [0, 1, 2] as const) {
        test(`one QoS ${qos} request per message, window ${maxInflight}, buffer ${maxBufferedPackets}: it terminates`, async () => {
          const clock = new VirtualClock()
          const server = new ScriptedServer(clock)
          const total = 10_000
          const requests = pushable<Request>({ objectMode: true })
          let settled = 0
          const onSettled = () => {
            settled++
          }
          const options: EventloopOptions = {
            ...{ platform: clock, transport: server.transport, keepAlive: 0 },
            ...{ maxInflight, maxBufferedPackets, onSettled, until: 'settled' },
          }
          const loop = eventloop(options, requests)
          let got = 0
          const body = (async () => {
            for await (const packet of loop) {
              clock.touch()
              if (packet.cmd === 'connack') {
                server.current.send(...Array.from({ length: total }, (_, i) => message(`${i}`)))
              }
              if (packet.cmd !== 'publish') continue
              requests.push(publish('out', packet.payload, { qos }))
              if (++got === total) requests.end()
            }
          })()
          expect(await peek(clock, body)).not.toBe('pending')
          expect(got).toBe(total)
          expect(settled).toBe(total)
        })
      }
    }
  }

  test('with the buffer full of unread messages requests are still taken and sent', async () => {
    const requests = pushable<Request>({ objectMode: true })
    const options: EventloopOptions = { until: 'closed', maxBufferedPackets: 3, maxInflight: 4 }
    const s = startLoop(options, requests, undefined, { manual: true })
    await collect(s, 1)
    s.server.current.send(...Array.from({ length: 50 }, () => message('x', 1, 1)).slice(0, 1))
    s.server.current.send(...Array.from({ length: 50 }, () => message('x')))
    await s.clock.settle()
    expect(s.loop.state.counters.bufferedPackets).toBe(3)
    for (let i = 0; i < 10; i++) requests.push(publish('out', `${i}`, { qos: i % 2 ? 1 : 0 }))
    await s.clock.settle()
    // Four at QoS 1 fill the window; the fifth is held, because no answer is read.
    expect(s.server.current.of('publish').map(({ payload }) => Number(payload))).toEqual([
      ...[0, 1, 2, 3, 4, 5, 6, 7, 8],
    ])
    await s.loop.return()
  })

  test('awaiting the outcome of one’s own request in the body: it comes where the buffer has room', async () => {
    const clock = new VirtualClock()
    const requests = pushable<Request>({ objectMode: true })
    const server = new ScriptedServer(clock)
    const waiters: (() => void)[] = []
    const options: EventloopOptions = {
      ...{ platform: clock, transport: server.transport },
      onSettled: () => waiters.shift()?.(),
    }
    const loop = eventloop(options, requests)
    const body = (async () => {
      for await (const packet of loop) {
        if (packet.cmd !== 'connack') continue
        const outcome = new Promise<void>((resolve) => waiters.push(resolve))
        requests.push(publish('out', 'x', { qos: 2 }))
        await outcome
        clock.touch()
        requests.end()
      }
    })()
    await clock.advance(2000)
    expect(await peek(clock, body)).toEqual({ value: undefined })
  })
})

// --------------------------------------------------------------------------------------------------------------------- R5

describe('[R5] what is yielded keeps little else alive', () => {
  test('at most 8 KiB beyond its own size, whatever it came with', async () => {
    const s = await connected()
    const sizes = [0, 1, 64, 1000, 4095, 8191, 8193, 20_000, 65_535, 65_537, 300_000]
    const correlationData = Buffer.alloc(3000, 7)
    const userProperties = { k: 'v'.repeat(2000) }
    const sent = sizes.flatMap((size) => [
      message(Buffer.alloc(size, 1)),
      { ...message(Buffer.alloc(size, 1)), properties: { correlationData, userProperties } },
    ])
    // In one write, so that they share chunks; and again in pieces that are cut anywhere.
    s.server.current.send(...sent)
    const packets = await collect(s, sent.length)
    for (const packet of packets) {
      if (packet.cmd !== 'publish') continue
      const { payload, properties } = packet
      const views = [payload, ...(properties ? [properties.correlationData!] : [])]
      for (const view of views) {
        expect(view.buffer.byteLength - view.byteLength).toBeLessThanOrEqual(8192)
      }
    }
    expect(packets.map((one) => one.cmd === 'publish' && one.payload.length)).toEqual(
      sizes.flatMap((size) => [size, size]),
    )
    await s.loop.return()
  })
})

// --------------------------------------------------------------------------------------------------------------------- R6

describe('[R6] received and not yet yielded when the connection breaks', () => {
  const five = [
    message('a'),
    message('b', 1, 1),
    message('c', 2, 2),
    message('d'),
    message('e', 1, 3),
  ]

  for (const present of [true, false]) {
    test(`Session Present ${Number(present)}: ${present ? 'dropped in favour of the redelivery' : 'yielded, and their ack is stale'}`, async () => {
      const s = await connected({ acks: 'manual' })
      s.server.current.send(...five)
      await s.clock.settle()
      s.server.hang()
      s.server.current.end()
      await s.clock.settle()
      // While nobody knows, QoS 0 comes through and the others wait.
      expect(payloads(await collect(s, 2))).toEqual(['a', 'd'])
      const next = s.loop.next()
      expect(await peek(s.clock, next)).toBe('pending')

      s.server.accept()
      s.server.autoConnack = { sessionPresent: present }
      await s.clock.advance(60_000)
      expect(s.server.connections).toHaveLength(2)
      if (present) {
        const again = [message('b', 1, 1, true), message('c', 2, 2, true), message('e', 1, 3, true)]
        s.server.current.send(...again)
      }
      const packets = [(await next).value!, ...(await collect(s, 3))]
      expect(payloads(packets)).toEqual(['b', 'c', 'e'])
      expect(packets.filter(({ cmd }) => cmd === 'connack')).toHaveLength(1)
      const last = s.loop.next()
      expect(await peek(s.clock, last)).toBe('pending')
      for (const packet of packets.filter(({ cmd }) => cmd === 'publish')) {
        expect(ackOf(s.loop, packet)).toBe(present ? 'queued' : 'stale')
      }
      await s.clock.settle()
      expect(acks(s.server.current).slice(0, 3)).toEqual(
        present ? ['puback 1', 'pubrec 2', 'puback 3'] : [],
      )
      await s.loop.return()
    })
  }

  for (const present of [true, false]) {
    test(`receipt, Session Present ${Number(present)}: acknowledged already, so they are yielded, once`, async () => {
      const s = await connected({ acks: 'receipt' })
      s.server.autoAck = false
      s.server.current.autoAck = false
      s.server.current.send(...five)
      await s.clock.settle()
      expect(acks(s.server.current)).toEqual(['puback 1', 'pubrec 2', 'puback 3'])
      const second = await reconnect(s, present)
      // The PUBREC was lost, the PUBACKs were not.
      if (present) second.send(message('c', 2, 2, true))
      await s.clock.settle()
      const packets = await collect(s, 6)
      expect(payloads(packets).sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
      expect(await peek(s.clock, s.loop.next())).toBe('pending')
      await s.loop.return()
    })
  }

  test('receipt: what was acknowledged is there for next() after shutdown, too', async () => {
    const s = await connected({ acks: 'receipt' })
    s.server.current.autoAck = false
    s.server.current.send(...five)
    await s.clock.settle()
    s.loop.shutdown()
    await s.clock.advance(1000)
    expect(payloads(await collect(s, 5))).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(await s.loop.next()).toEqual({ done: true, value: undefined })
  })

  test('the places in the buffer of those that were dropped are free again', async () => {
    const s = await connected({ maxBufferedPackets: 10, receiveMaximum: 5 })
    for (let round = 0; round < 20; round++) {
      const sent = [1, 2, 3, 4, 5].map((id) => message('x', 1, id, round > 0))
      s.server.current.send(...sent)
      await s.clock.settle()
      await reconnect(s, true)
      await collect(s, 1)
    }
    expect(s.loop.state.counters).toMatchObject({ bufferedPackets: 0, bufferedBytes: 0 })
    await s.loop.return()
  })
})

// -------------------------------------------------------------------------------------------------------------- C29, C30

describe('[C29] topic aliases', () => {
  /** What a broker that uses aliases sends: the topic that is meant, and how it says so. */
  const traffic = fc.record({
    maximum: fc.constantFrom(1, 2, 5),
    steps: fc.array(
      fc.record({
        topic: fc.constantFrom('a', 'b/c', 'd/e/f', 'é'),
        qos: fc.constantFrom<QoS>(0, 1, 2),
        alias: fc.nat(5),
        drop: fc.boolean(),
      }),
      { minLength: 1, maxLength: 25 },
    ),
  })

  test('[MQTT-3.3.2-7] inbound: resolved at every QoS, forgotten with the connection', async () => {
    await fc.assert(
      fc.asyncProperty(traffic, async ({ maximum, steps }) => {
        const options: EventloopOptions = { until: 'closed', keepAlive: 0, acks: 'receipt' }
        const s = startLoop({ ...options, topicAliasMaximum: maximum, reconnect: 'always' })
        await s.clock.settle()
        expect(s.server.current.of('connect')[0]?.properties?.topicAliasMaximum).toBe(maximum)
        let known = new Map<number, string>()
        for (const [i, { topic, qos, alias, drop }] of steps.entries()) {
          if (drop && i % 5 === 4) {
            s.server.autoConnack = { sessionPresent: true }
            s.server.current.end()
            await s.clock.advance(60_000)
            known = new Map()
          }
          const number = (alias % maximum) + 1
          const short = known.get(number) === topic
          known.set(number, topic)
          s.server.current.send({
            ...{
              cmd: 'publish',
              topic: short ? '' : topic,
              payload: `${i}`,
              qos,
              messageId: i + 1,
            },
            ...{ dup: false, retain: false, properties: { topicAlias: number } },
          })
          await s.clock.settle()
        }
        const got = s.received.filter((one): one is IncomingPublish => one.cmd === 'publish')
        expect(got.map(({ topic, payload }) => `${topic} ${payload}`)).toEqual(
          steps.map(({ topic }, i) => `${topic} ${i}`),
        )
        await s.loop.return()
      }),
      { numRuns: 60 },
    )
  })

  test('inbound, and wrong: DISCONNECT with its code and another connection, never a throw', async () => {
    for (const [topicAlias, topic, reasonCode] of [
      [0, 'a', 0x94],
      [3, 'a', 0x94],
      [65_535, '', 0x94],
      [1, '', 0x82],
    ] as const) {
      const s = startLoop({
        ...{ until: 'closed', keepAlive: 0, topicAliasMaximum: 2, tolerance: 'strict' },
      } as const)
      await s.clock.settle()
      const { current } = s.server
      const alias = Buffer.from([0x23, topicAlias >> 8, topicAlias & 0xff])
      const body = Buffer.concat([
        ...[Buffer.from([0, topic.length]), Buffer.from(topic), Buffer.from([3]), alias],
      ])
      current.send(Buffer.concat([Buffer.from([0x30, body.length]), body]))
      await s.clock.advance(60_000)
      expect(current.of('disconnect')).toMatchObject([{ reasonCode }])
      expect(payloads(s.received)).toEqual([])
      expect(s.error).toBeUndefined()
      expect(s.server.connections).toHaveLength(2)
      await s.loop.return()
    }
  })

  test('[MQTT-3.3.2-7] an alias of the connection before means nothing', async () => {
    const s = startLoop({ until: 'closed', keepAlive: 0, topicAliasMaximum: 2 })
    await s.clock.settle()
    const aliased = { ...message('x'), properties: { topicAlias: 1 } }
    s.server.current.send(aliased, { ...aliased, topic: '' })
    await s.clock.settle()
    expect(payloads(s.received)).toEqual(['x', 'x'])
    const second = await reconnect(s, true)
    second.send({ ...aliased, topic: '' })
    await s.clock.settle()
    expect(second.of('disconnect')).toMatchObject([{ reasonCode: 0x82 }])
    expect(payloads(s.received)).toEqual(['x', 'x'])
    await s.loop.return()
  })

  test('outbound: over reconnections and changing maxima the broker hears the topics that were asked, and no session holds an alias', async () => {
    const arbitrary = fc.record({
      topics: fc.array(fc.constantFrom('a', 'b', 'c/d', 'long/topic/name'), {
        ...{ minLength: 1, maxLength: 40 },
      }),
      maxima: fc.array(fc.constantFrom(0, 1, 3), { minLength: 1, maxLength: 5 }),
      breakAt: fc.array(fc.nat(40), { maxLength: 4 }),
    })
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ topics, maxima, breakAt }) => {
        const clock = new VirtualClock()
        const server = new ScriptedServer(clock)
        const heard = new Map<string, string>()
        const wrong: string[] = []
        let count = 0
        server.onConnection = (connection) => {
          const index = server.connections.length - 1
          const topicAliasMaximum = maxima[index % maxima.length]!
          const properties = topicAliasMaximum > 0 ? { topicAliasMaximum } : {}
          connection.autoConnack = { sessionPresent: index > 0, properties }
          const aliases = new Map<number, string>()
          connection.autoAck = (packet) => {
            if (packet.cmd !== 'publish') return true
            const alias = packet.properties?.topicAlias
            if (alias !== undefined && alias > topicAliasMaximum) wrong.push(`alias ${alias}`)
            if (alias !== undefined && packet.topic !== '') aliases.set(alias, packet.topic)
            const topic = packet.topic === '' ? aliases.get(alias ?? 0) : packet.topic
            heard.set(String(packet.payload), topic ?? 'nothing')
            if (!breakAt.includes(count++)) return true
            connection.reset()
            return false
          }
        }
        const requests = topics.map((topic, i) => publish(topic, `${i}`, { qos: i % 2 ? 1 : 2 }))
        const options: EventloopOptions = { keepAlive: 0, until: 'settled', cleanStart: false }
        const s = startLoop({ ...options, maxInflight: 5 }, requests, undefined, { server })
        await clock.advance(DAY_MS)
        expect(wrong).toEqual([])
        expect([...heard].sort()).toEqual(topics.map((topic, i) => [`${i}`, topic]).sort())
        expect(encodeSession(s.loop.session)).not.toMatch(/topicAlias/)
        expect(s.ended).toBe(true)
      }),
      { numRuns: 60 },
    )
  })
})

describe('[C30] what the server may send is enforced', () => {
  for (const mode of ['pull', 'manual'] as const) {
    for (const qos of [1, 2] as const) {
      test(`[MQTT-3.3.4-9] ${mode}: one more than Receive Maximum at QoS ${qos}: DISCONNECT 0x93`, async () => {
        const s = await connected({ receiveMaximum: 3, acks: mode, tolerance: 'strict' })
        const { current } = s.server
        current.send(message('1', qos, 1), message('2', qos, 2), message('3', qos, 3))
        await s.clock.settle()
        expect(current.closed).toBe(false)
        expect(payloads(await collect(s, 2))).toEqual(['1', '2'])
        current.send(message('4', qos, 4))
        if (mode === 'pull') {
          // The first was acknowledged when the second was asked for.
          await s.clock.settle()
          if (qos === 1) expect(current.of('disconnect')).toEqual([])
          current.send(message('5', qos, 5), message('6', qos, 6))
        }
        await s.clock.settle()
        expect(current.of('disconnect')).toMatchObject([{ reasonCode: 0x93 }])
        expect(current.closed).toBe(true)
        await s.loop.return()
      })
    }
  }

  test('QoS 2 counts until PUBCOMP, and a message that comes twice counts once', async () => {
    const s = await connected({ receiveMaximum: 2, acks: 'receipt', tolerance: 'strict' })
    const { current } = s.server
    current.autoAck = false
    current.send(message('1', 2, 1), message('1', 2, 1, true), message('2', 2, 2))
    await s.clock.settle()
    expect(acks(current)).toEqual(['pubrec 1', 'pubrec 1', 'pubrec 2'])
    expect(current.closed).toBe(false)
    current.send({ cmd: 'pubrel', messageId: 1, reasonCode: 0 }, message('3', 2, 3))
    await s.clock.settle()
    expect(acks(current).slice(3)).toEqual(['pubcomp 1', 'pubrec 3'])
    current.send(message('4', 2, 4))
    await s.clock.settle()
    expect(current.of('disconnect')).toMatchObject([{ reasonCode: 0x93 }])
    await s.loop.return()
  })

  test('[I2] [MQTT-3.1.2-24] a packet over our Maximum Packet Size is refused on its fixed header', async () => {
    const s = await connected({ maximumPacketSize: 1000 })
    const { current } = s.server
    expect(current.of('connect')[0]?.properties?.maximumPacketSize).toBe(1000)
    current.send(message(Buffer.alloc(1000 - 3 - 2 - 2 - 1)))
    expect(await collect(s, 1)).toMatchObject([{ cmd: 'publish' }])
    // 998 bytes are announced, with three of header; nothing of the body has come.
    current.send(Buffer.from([0x30, 0xe6, 0x07]))
    await s.clock.settle()
    expect(current.of('disconnect')).toMatchObject([{ reasonCode: 0x95 }])
    await s.loop.return()
  })
})

// -------------------------------------------------------------------------------------------------------------- C38, C39

describe('[C38] messages that come with the CONNACK', () => {
  test('nothing runs before the first next(), nothing is lost behind the CONNACK, nothing is acknowledged unasked', async () => {
    const s = startLoop({ until: 'closed' }, [publish('out')], undefined, { manual: true })
    await s.clock.advance(DAY_MS)
    expect(s.server.dials).toEqual([])
    expect(s.clock.pendingTimers).toBe(0)

    s.server.autoConnack = false
    const first = s.loop.next()
    await s.clock.settle()
    const { current } = s.server
    current.send(
      { cmd: 'connack', sessionPresent: false, reasonCode: 0 },
      ...[message('queued', 1, 1), message('queued too', 2, 2)],
    )
    expect(await first).toMatchObject({ value: { cmd: 'connack' } })
    await s.clock.advance(1000)
    expect(acks(current)).toEqual([])
    expect(payloads(await collect(s, 2))).toEqual(['queued', 'queued too'])
    expect(acks(current)).toEqual(['puback 1'])
    await s.loop.return()
  })

  test('connect() reads nothing past the CONNACK until a loop pulls', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, { autoConnack: false })
    const options: EventloopOptions = { platform: clock, transport: server.transport }
    const connecting = connect({ ...options, until: 'closed' })
    await clock.settle()
    const connack = { cmd: 'connack', sessionPresent: false, reasonCode: 0 } as const
    server.current.send(connack, message('queued', 1, 1))
    const connectedValue = await connecting
    await clock.advance(30_000)
    expect(acks(server.current)).toEqual([])
    const loop = eventloop(connectedValue, [subscribe('a')])
    expect((await loop.next()).value).toMatchObject({ cmd: 'connack' })
    expect((await loop.next()).value).toMatchObject({
      cmd: 'publish',
      payload: utf8Bytes('queued'),
    })
    expect(acks(server.current)).toEqual([])
    await loop.return()
  })
})

describe('[C39] racing next() against time', () => {
  test('a consumer that keeps the promise it lost the race with loses no packet and no request, wherever it gave up', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3), { minLength: 1, maxLength: 10 }),
        fc.array(fc.nat(30), { maxLength: 3 }),
        async (patience, breaks) => {
          const clock = new VirtualClock()
          const server = new ScriptedServer(clock)
          const total = 20
          const arrived: string[] = []
          const sent: string[] = []
          let step = 0
          server.onConnection = (connection) => {
            connection.autoConnack = { sessionPresent: server.connections.length > 1 }
            let alive = true
            connection.autoAck = (packet) => {
              if (packet.cmd !== 'publish' || !alive) return packet.cmd !== 'publish'
              if (breaks.includes(step++)) {
                alive = false
                connection.end()
                return false
              }
              const name = String(packet.payload)
              arrived.push(name)
              // An answer late and one message in return, each a while later.
              clock.setTimer(() => connection.acknowledge(packet), step % 4)
              clock.setTimer(() => {
                if (!alive || connection.closed) return
                sent.push(`re ${name}`)
                connection.send(message(`re ${name}`))
              }, step % 3)
              return false
            }
          }
          const requests = Array.from({ length: total }, (_, i) => publish('t', `${i}`, { qos: 1 }))
          const s = startLoop(
            { keepAlive: 0, cleanStart: false, until: 'settled', maxInflight: 3 },
            ...([requests, undefined, { server, manual: true }] as const),
          )
          const got: Incoming[] = []
          let pending: Promise<IteratorResult<Incoming, undefined>> | undefined
          let abandoned = 0
          for (let turn = 0; turn < 10_000; turn++) {
            pending ??= s.loop.next()
            const outcome = await peek(clock, pending)
            if (outcome === 'pending') {
              // The timer won; the promise is kept.
              abandoned++
              await clock.advance(patience[turn % patience.length]!)
              if (abandoned % 7 === 0) await clock.advance(20_000)
              continue
            }
            pending = undefined
            if ('error' in outcome) throw outcome.error
            if (outcome.value.done) break
            got.push(outcome.value.value)
          }
          expect(abandoned).toBeGreaterThan(0)
          expect(new Set(arrived)).toEqual(new Set(requests.map(({ payload }) => payload)))
          expect(s.outcomes).toHaveLength(total)
          expect(got.filter(({ cmd }) => cmd === 'puback')).toHaveLength(total)
          expect(payloads(got)).toEqual(sent)
          for (const connection of server.connections) expect(connection.error).toBeUndefined()
        },
      ),
      { numRuns: 40 },
    )
  })
})
