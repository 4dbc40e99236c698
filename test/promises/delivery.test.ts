/**
 * Delivery, D1 to D7, and the field notes that ask for it.
 *
 * Goal: across any number of lost connections, lost sessions and loops, what was taken reaches the broker as promised, in
 * order, within the window, and has one outcome or is held. Method: a broker that breaks the connection where a generated
 * script says so, judged by what it saw on the wire; tables and single cases where one rule is the point.
 */
import fc from 'fast-check'
import { pushable } from 'it-pushable'
import mqtt from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import {
  ConnectionError,
  decodeSession,
  type Eventloop,
  type EventloopOptions,
  encodeSession,
  eventloop,
  type Outcome,
  type PublishRequest,
  publish,
  type QoS,
  RefusedError,
  type Request,
  type Session,
  subscribe,
  UsageError,
  unsubscribe,
} from '../../src/index.ts'
import { peek, resolved, VirtualClock } from '../support/clock.ts'
import { type Settled, startLoop } from '../support/loop.ts'
import {
  networkError,
  ScriptedServer,
  type Sent,
  type ServerConnection,
} from '../support/server.ts'

const DAY_MS = 86_400_000
const q0 = (payload: string) => publish('t', payload)
const q1 = (payload: string) => publish('t', payload, { qos: 1 })
const q2 = (payload: string) => publish('t', payload, { qos: 2 })

/** A packet in a few words: what tests compare. */
function told(packet: Sent): string {
  switch (packet.cmd) {
    case 'publish': {
      const id = packet.qos === 0 ? '' : ` ${packet.messageId}`
      return `${packet.dup ? 'DUP ' : ''}PUBLISH${id} ${String(packet.payload)}`
    }
    case 'subscribe':
      return `SUBSCRIBE ${packet.subscriptions.map(({ topic }) => topic).join(' ')}`
    case 'pubrel': {
      const code = 'reasonCode' in packet && packet.reasonCode ? ` ${packet.reasonCode}` : ''
      return `PUBREL ${packet.messageId}${code}`
    }
    default:
      return packet.cmd.toUpperCase()
  }
}

/** All that a connection carried after its CONNECT. */
function afterConnect(connection: ServerConnection): string[] {
  return connection.packets.filter(({ cmd }) => cmd !== 'connect').map(told)
}

/** A PUBLISH or PUBREL answered with a negative acknowledgement. */
function refuse(connection: ServerConnection, packet: Sent, reasonCode: number): void {
  const published = packet.cmd === 'publish' && packet.qos === 1 ? 'puback' : 'pubrec'
  const cmd = packet.cmd === 'pubrel' ? 'pubcomp' : published
  connection.send({ cmd, messageId: packet.messageId!, reasonCode })
}

// ------------------------------------------------------------------------------------------------- a broker that breaks

/** What befalls one PUBLISH or PUBREL: `before`, the broker never gets it; `after`, its answer is lost. */
type Fault = 'none' | 'before' | 'after' | 'shutdown'

interface Script {
  readonly version: 4 | 5
  readonly requests: readonly { readonly topic: string; readonly qos: QoS }[]
  readonly faults: readonly Fault[]
  /** How long the broker thinks before each answer, ms: answers come in any order. */
  readonly delays: readonly number[]
  /** Receive Maximum of each connection. */
  readonly windows: readonly number[]
  /** Whether the session survived, for each reconnection. */
  readonly kept: readonly boolean[]
  readonly maxInflight: number
}

class Broker {
  readonly server: ScriptedServer
  readonly clock: VirtualClock
  readonly #script: Script
  /** Payloads as they reached subscribers, in order. */
  readonly deliveries: { readonly topic: string; readonly qos: QoS; readonly payload: string }[] =
    []
  /** What was wrong with what the client sent. */
  readonly wrongs: string[] = []
  onShutdown: () => void = () => {}
  #received = new Set<number>()
  /** Packet identifiers that the client may not use for anything new. */
  #open = new Map<number, string>()
  #seen = new Map<string, number>()
  #step = 0
  #present = false

  constructor(clock: VirtualClock, script: Script) {
    this.clock = clock
    this.#script = script
    this.server = new ScriptedServer(clock)
    this.server.onConnection = (connection) => this.#accept(connection)
  }

  #accept(connection: ServerConnection): void {
    const { version, windows, kept, maxInflight } = this.#script
    const index = this.server.connections.length - 1
    const sessionPresent = index > 0 && (kept[(index - 1) % Math.max(1, kept.length)] ?? true)
    this.#present = sessionPresent
    if (!sessionPresent) {
      this.#received = new Set()
      this.#open = new Map()
      this.#seen = new Map()
    }
    const receiveMaximum = version === 5 ? windows[index % windows.length]! : 65_535
    const properties = version === 5 ? { properties: { receiveMaximum } } : {}
    connection.autoConnack = { sessionPresent, ...properties }
    const window = Math.min(receiveMaximum, maxInflight)
    const inFlight = new Set<number>()
    let alive = true
    connection.autoAck = (packet) => {
      if (packet.cmd !== 'publish' && packet.cmd !== 'pubrel') return true
      const id = packet.messageId ?? 0
      if (packet.cmd === 'publish') this.#judge(packet as Sent, alive, inFlight, window)
      const fault = id === 0 ? 'none' : (this.#script.faults[this.#step++] ?? 'none')
      if (!alive) return false
      if (fault === 'before') {
        alive = false
        connection.reset()
        return false
      }
      this.#process(packet as Sent)
      if (fault === 'after') {
        alive = false
        connection.reset()
        return false
      }
      if (fault === 'shutdown') this.onShutdown()
      const delays = this.#script.delays
      const delay = delays[this.#step % delays.length] ?? 0
      this.clock.setTimer(() => {
        if (connection.closed) return
        if (packet.cmd === 'pubrel' || (packet.cmd === 'publish' && packet.qos === 1)) {
          inFlight.delete(id)
          this.#open.delete(id)
        }
        connection.acknowledge(packet)
      }, delay)
      return false
    }
  }

  /** What the wire shows, whether or not the broker lives to process it. */
  #judge(packet: Sent, alive: boolean, inFlight: Set<number>, window: number): void {
    if (packet.cmd !== 'publish') return
    const payload = String(packet.payload)
    const id = packet.messageId ?? 0
    const before = this.#seen.get(payload)
    const wrong = (what: string) => this.wrongs.push(`${told(packet)}: ${what}`)
    if (packet.qos === 0) {
      if (packet.dup) wrong('DUP at QoS 0')
      return
    }
    if (before !== undefined && !packet.dup) wrong('sent again without DUP')
    if (before !== undefined && before !== id) wrong(`sent again, was ${before}`)
    if (packet.dup && !this.#present) wrong('DUP where there is no session')
    const owner = this.#open.get(id)
    if (owner !== undefined && owner !== payload) wrong(`the identifier is of ${owner}`)
    this.#seen.set(payload, id)
    this.#open.set(id, payload)
    if (!alive) return
    inFlight.add(id)
    if (inFlight.size > window) wrong(`${inFlight.size} in flight, ${window} allowed`)
  }

  #process(packet: Sent): void {
    if (packet.cmd === 'pubrel') {
      this.#received.delete(packet.messageId!)
      return
    }
    if (packet.cmd !== 'publish') return
    const { topic, qos, messageId } = packet
    if (qos === 2) {
      if (this.#received.has(messageId!)) return
      this.#received.add(messageId!)
    }
    this.deliveries.push({ topic, qos, payload: String(packet.payload) })
  }
}

interface Run {
  readonly broker: Broker
  readonly requests: readonly PublishRequest[]
  readonly outcomes: readonly Settled[]
  readonly unbalanced: readonly string[]
  readonly errors: readonly unknown[]
  readonly finished: boolean
  readonly loops: number
}

/** Lives of loops, one after the other, until every request is settled. */
async function play(script: Script): Promise<Run> {
  const clock = new VirtualClock()
  const broker = new Broker(clock, script)
  const outcomes: Settled[] = []
  const unbalanced: string[] = []
  const errors: unknown[] = []
  const requests = script.requests.map(({ topic, qos }, i) => publish(topic, `m${i}`, { qos }))
  const stream = requests.values()
  let session: Session | undefined
  let loop: Eventloop | undefined
  let ended = true
  let asked = false
  const check = () => {
    if (loop === undefined) return
    const { taken, settled, held } = loop.state.counters
    if (taken !== settled + held) unbalanced.push(`${taken} taken, ${settled} + ${held}`)
  }
  broker.onShutdown = () => {
    asked = true
    loop?.shutdown()
  }
  let loops = 0
  const live = async () => {
    loops++
    ended = false
    loop = eventloop(
      {
        ...{ platform: clock, transport: broker.server.transport, clientId: 'c', keepAlive: 0 },
        ...{ protocolVersion: script.version, cleanStart: false, reconnect: 'always' },
        ...{ maxInflight: script.maxInflight, until: 'settled' },
        onSettled: (request, outcome) => {
          check()
          outcomes.push({ request, outcome, at: clock.now() })
        },
        ...(session === undefined ? {} : { session }),
      },
      stream,
    )
    try {
      for await (const _ of loop) check()
    } catch (error) {
      errors.push(error)
    }
    session = loop.session
    ended = true
  }
  for (let lives = 0; lives < 30; lives++) {
    if (ended && lives > 0 && !asked) break
    asked = false
    void live()
    await clock.advance(DAY_MS)
    check()
    if (!ended) break
  }
  return { broker, requests, outcomes, unbalanced, errors, finished: ended, loops }
}

const qosAnd = (...allowed: QoS[]) => fc.constantFrom(...allowed)

function scripts({ lost, restarts }: { lost: boolean; restarts: boolean }): fc.Arbitrary<Script> {
  const faults: fc.WeightedArbitrary<Fault>[] = [
    { weight: 6, arbitrary: fc.constant('none') },
    { weight: 1, arbitrary: fc.constant('before') },
    { weight: 1, arbitrary: fc.constant('after') },
  ]
  if (restarts) faults.push({ weight: 1, arbitrary: fc.constant('shutdown') })
  return fc.record({
    version: fc.constantFrom(4, 5),
    requests: fc.array(fc.record({ topic: fc.constantFrom('a', 'b'), qos: qosAnd(0, 1, 2) }), {
      ...{ minLength: 1, maxLength: 40 },
    }),
    faults: fc.array(fc.oneof(...faults), { maxLength: 60 }),
    delays: fc.array(fc.nat(40), { minLength: 1, maxLength: 12 }),
    windows: fc.array(fc.constantFrom(1, 2, 3, 10), { minLength: 1, maxLength: 6 }),
    kept: lost ? fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }) : fc.constant([true]),
    maxInflight: fc.constantFrom(1, 2, 5, 1000),
  })
}

function expectOneOutcomeEach({ requests, outcomes, unbalanced, errors, finished }: Run): void {
  expect(errors).toEqual([])
  expect(finished).toBe(true)
  expect(unbalanced).toEqual([])
  expect(outcomes).toHaveLength(requests.length)
  expect(new Set(outcomes.map(({ request }) => request))).toEqual(new Set(requests))
  for (const { request, outcome } of outcomes) {
    if (outcome.ok) continue
    // At most once means that the broken connection may take it along.
    expect((request as PublishRequest).qos).toBe(0)
    expect(outcome.error).toMatchObject({ code: 'CONNECTION_LOST' })
  }
}

/** Of each topic and QoS, the first deliveries as numbers must rise. */
function expectInOrder({ broker }: Run): void {
  const last = new Map<string, number>()
  const known = new Set<string>()
  for (const { topic, qos, payload } of broker.deliveries) {
    if (known.has(payload)) continue
    known.add(payload)
    const number = Number(payload.slice(1))
    const lane = `${topic} ${qos}`
    expect(number, `${payload} on ${lane}`).toBeGreaterThan(last.get(lane) ?? -1)
    last.set(lane, number)
  }
}

function countOf({ broker }: Run, i: number): number {
  return broker.deliveries.filter(({ payload }) => payload === `m${i}`).length
}

describe('any number of lost connections', () => {
  test('[D1] [D2] [D3] [D4] [C09] [C12] [C15] [C16] [C17] a session that lives: at least once, exactly once, in order, within the window', async () => {
    await fc.assert(
      fc.asyncProperty(scripts({ lost: false, restarts: false }), async (script) => {
        const run = await play(script)
        expectOneOutcomeEach(run)
        expect(run.broker.wrongs).toEqual([])
        expectInOrder(run)
        script.requests.forEach(({ qos }, i) => {
          if (qos === 1) expect(countOf(run, i)).toBeGreaterThanOrEqual(1)
          if (qos === 2) expect(countOf(run, i)).toBe(1)
          if (qos === 0) expect(countOf(run, i)).toBeLessThanOrEqual(1)
        })
      }),
      { numRuns: 150 },
    )
  })

  test('[D1] [D2] [N3] loops that end and are followed by others: nothing lost, nothing twice', async () => {
    await fc.assert(
      fc.asyncProperty(scripts({ lost: false, restarts: true }), async (script) => {
        const run = await play(script)
        expectOneOutcomeEach(run)
        expect(run.broker.wrongs).toEqual([])
        expectInOrder(run)
        script.requests.forEach(({ qos }, i) => {
          if (qos === 1) expect(countOf(run, i)).toBeGreaterThanOrEqual(1)
          if (qos === 2) expect(countOf(run, i)).toBe(1)
        })
      }),
      { numRuns: 100 },
    )
  })

  test('[D2] [D5] [C11] [C12] sessions that the broker loses: republished as new, none forgotten', async () => {
    await fc.assert(
      fc.asyncProperty(scripts({ lost: true, restarts: false }), async (script) => {
        const run = await play(script)
        expectOneOutcomeEach(run)
        expect(run.broker.wrongs).toEqual([])
        script.requests.forEach(({ qos }, i) => {
          if (qos > 0) expect(countOf(run, i)).toBeGreaterThanOrEqual(1)
        })
      }),
      { numRuns: 100 },
    )
  })
})

// ----------------------------------------------------------------------------------------------------------- single cases

interface Stage {
  readonly clock: VirtualClock
  readonly server: ScriptedServer
}

function stage(options: ConstructorParameters<typeof ScriptedServer>[1] = {}): Stage {
  const clock = new VirtualClock()
  return { clock, server: new ScriptedServer(clock, options) }
}

/** The connection breaks and the next one finds the session, or not. */
async function reconnect(
  { clock, server }: Stage,
  sessionPresent: boolean,
  properties: object = {},
): Promise<ServerConnection> {
  server.autoConnack = { sessionPresent, ...(server.current.version === 5 ? { properties } : {}) }
  const before = server.connections.length
  server.current.reset()
  await clock.advance(60_000)
  expect(server.connections).toHaveLength(before + 1)
  return server.current
}

const STILL: EventloopOptions = { keepAlive: 0, cleanStart: false, until: 'settled' }

describe('[D3] order and DUP', () => {
  test('[C09] [MQTT-3.3.1-1] [MQTT-3.3.1-2] DUP is 1 on what is sent again on the session, 0 on what is new', async () => {
    const s = stage({ autoAck: false })
    const requests = [q1('one'), q2('two'), q1('three')]
    const started = startLoop({ ...STILL, maxInflight: 2 }, requests, undefined, s)
    await s.clock.settle()
    expect(afterConnect(s.server.current)).toEqual(['PUBLISH 1 one', 'PUBLISH 2 two'])
    s.server.autoAck = true
    const second = await reconnect(s, true)
    await started.done
    expect(afterConnect(second)).toEqual([
      ...['DUP PUBLISH 1 one', 'DUP PUBLISH 2 two', 'PUBLISH 3 three', 'PUBREL 2', 'DISCONNECT'],
    ])
  })

  test('[C16] a cut in the middle of a replay: the next one begins at the oldest again, the new ones wait', async () => {
    const s = stage({ autoAck: false })
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const requests = names.map(q1)
    const properties = { receiveMaximum: 2 }
    const started = startLoop({ ...STILL, maxInflight: 4 }, requests, undefined, s)
    await s.clock.settle()
    // The answer to the oldest is lost; only two of four fit into the next window.
    const second = await reconnect(s, true, properties)
    expect(afterConnect(second)).toEqual(['DUP PUBLISH 1 a', 'DUP PUBLISH 2 b'])
    second.acknowledge(second.of('publish')[0]!)
    await s.clock.settle()
    expect(afterConnect(second).slice(2)).toEqual(['DUP PUBLISH 3 c'])
    s.server.autoAck = true
    const third = await reconnect(s, true, properties)
    await started.done
    expect(afterConnect(third)).toEqual([
      ...['DUP PUBLISH 2 b', 'DUP PUBLISH 3 c', 'DUP PUBLISH 4 d'],
      ...['PUBLISH 5 e', 'PUBLISH 6 f', 'DISCONNECT'],
    ])
  })

  test('[C14] [MQTT-2.2.1-3] 200,000 publishes beside one that is never acknowledged: ids wrap, skip it, and keep the order', async () => {
    const total = 200_000
    const s = stage()
    let next = 0
    let stuck = -1
    let wrong = ''
    s.server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        if (packet.cmd !== 'publish') return true
        const number = (packet.payload as Buffer).readUInt32BE(0)
        if (number !== next++ || packet.dup) wrong ||= `${number} instead of ${next - 1}`
        if (number === 70) stuck = packet.messageId!
        else if (packet.messageId === stuck) wrong ||= `${number} has the open id ${stuck}`
        // What would be kept for 200,000 packets.
        connection.packets.length = 0
        return number !== 70
      }
    }
    const requests = function* () {
      for (let i = 0; i < total; i++) {
        const payload = Buffer.allocUnsafe(4)
        payload.writeUInt32BE(i, 0)
        yield publish('t', payload, { qos: 1 })
      }
    }
    let settled = 0
    const onSettled = () => {
      settled++
    }
    const started = startLoop({ ...STILL, onSettled }, requests(), undefined, s)
    while (settled < total - 1 && wrong === '') await s.clock.settle()
    expect(wrong).toBe('')
    expect(next).toBe(total)
    expect(started.loop.state.counters).toMatchObject({ held: 1, inFlight: 1 })
    await started.loop.return()
  })

  test('[C08] the CONNACK is yielded at once and other traffic flows beside a retransmission that nobody acknowledges', async () => {
    const s = stage({ autoAck: (packet) => packet.cmd === 'publish' && packet.messageId !== 1 })
    const requests = [q1('stuck'), q1('two'), publish('t', 'zero'), q2('three')]
    const started = startLoop({ ...STILL, maxInflight: 1 }, requests, undefined, s)
    await s.clock.settle()
    const second = await reconnect(s, true, { receiveMaximum: 10 })
    expect(started.received.filter(({ cmd }) => cmd === 'connack')).toHaveLength(2)
    expect(second.of('publish').map(({ payload }) => String(payload))).toEqual(['stuck', 'zero'])
    expect(started.outcomes).toMatchObject([
      { request: { payload: 'zero' }, outcome: { ok: true } },
    ])
    await started.loop.return()
  })
})

describe('[D4] the window', () => {
  test('[MQTT-3.3.4-8] full, one publish more is taken and held; a QoS 0 publish or a SUBSCRIBE passes', async () => {
    const s = stage({ autoAck: false })
    const pulled: string[] = []
    const requests = function* (): Generator<Request> {
      for (const request of [
        ...[q1('1'), q2('2'), q1('3')],
        ...[publish('t', 'zero'), subscribe('f'), unsubscribe('g')],
        ...[q1('held'), publish('t', 'late'), subscribe('late')],
      ]) {
        pulled.push(request.cmd === 'publish' ? String(request.payload) : request.cmd)
        yield request
      }
    }
    const { loop } = startLoop({ ...STILL, maxInflight: 3 }, requests(), undefined, s)
    await s.clock.settle()
    expect(pulled).toEqual(['1', '2', '3', 'zero', 'subscribe', 'unsubscribe', 'held'])
    expect(afterConnect(s.server.current)).toEqual([
      ...['PUBLISH 1 1', 'PUBLISH 2 2', 'PUBLISH 3 3', 'PUBLISH zero', 'SUBSCRIBE f'],
      'UNSUBSCRIBE',
    ])
    expect(loop.state.counters).toMatchObject({ taken: 7, settled: 1, held: 6, inFlight: 3 })
    // PUBREC frees nothing, PUBCOMP does: one leaves, one more is taken.
    s.server.current.send({ cmd: 'pubrec', messageId: 2, reasonCode: 0 })
    await s.clock.settle()
    expect(pulled).toHaveLength(7)
    s.server.current.send({ cmd: 'pubcomp', messageId: 2, reasonCode: 0 })
    await s.clock.settle()
    expect(pulled).toHaveLength(9)
    expect(afterConnect(s.server.current).slice(6)).toEqual([
      ...['PUBREL 2', 'PUBLISH 6 held', 'PUBLISH late', 'SUBSCRIBE late'],
    ])
    await loop.return()
  })

  test('[C17] [MQTT-3.3.4-7] the window bounds retransmissions too: a CONNACK that lowers it from 100 to 1', async () => {
    const s = stage({ autoAck: false, autoConnack: { properties: { receiveMaximum: 100 } } })
    const requests = Array.from({ length: 120 }, (_, i) => (i % 2 ? q2(`${i}`) : q1(`${i}`)))
    const started = startLoop(STILL, requests, undefined, s)
    await s.clock.settle()
    expect(s.server.current.of('publish')).toHaveLength(100)
    const second = await reconnect(s, true, { receiveMaximum: 1 })
    const order: string[] = []
    let inFlight = 0
    let most = 0
    second.autoAck = () => false
    for (let i = 0; i < 400; i++) {
      await s.clock.settle()
      const fresh = await second.unseen()
      for (const packet of fresh) {
        if (packet.cmd === 'publish') {
          order.push(String(packet.payload))
          most = Math.max(most, ++inFlight)
        }
      }
      for (const packet of fresh) {
        if (packet.cmd === 'pubrel' || (packet.cmd === 'publish' && packet.qos === 1)) inFlight--
        second.acknowledge(packet)
      }
      if (started.ended) break
    }
    expect(most).toBe(1)
    expect(order).toEqual(requests.map(({ payload }) => payload))
    expect(started.outcomes.every(({ outcome }) => outcome.ok)).toBe(true)
  })

  test('a PUBREL that is sent again does not count', async () => {
    const s = stage({ autoAck: (packet) => packet.cmd === 'publish' })
    const requests = [q2('1'), q2('2'), q2('3')]
    const started = startLoop({ ...STILL, maxInflight: 2 }, requests, undefined, s)
    await s.clock.settle()
    s.server.autoAck = false
    const second = await reconnect(s, true, { receiveMaximum: 1 })
    expect(afterConnect(second)).toEqual(['PUBREL 1', 'PUBREL 2', 'PUBLISH 3 3'])
    await started.loop.return()
  })

  test('[C14] [MQTT-3.8.3-1] at 65,000 in flight a SUBSCRIBE still finds an identifier, and one of its own', async () => {
    const s = stage({
      autoAck: (packet) => packet.cmd === 'subscribe',
      autoConnack: { properties: { receiveMaximum: 65_535 } },
    })
    const many = Array.from({ length: 65_000 }, () => publish('t', '', { qos: 1 }))
    const more: Request[] = [subscribe('a'), subscribe('b'), publish('t', 'held', { qos: 1 })]
    const options = { ...STILL, maxInflight: 65_000 }
    const { loop, outcomes } = startLoop(options, [...many, ...more], undefined, s)
    while (s.server.current.packets.length < 65_003) await s.clock.settle()
    const ids = s.server.current.packets.slice(1).map(({ messageId }) => messageId)
    expect(new Set(ids).size).toBe(65_002)
    expect(outcomes.map(({ request }) => request)).toEqual(more.slice(0, 2))
    expect(loop.state.counters).toMatchObject({ inFlight: 65_000, held: 65_001 })
    await loop.return()
  })

  test('[C19] no mix of negative acknowledgements costs a unit of the window', async () => {
    const s = stage({ autoAck: false, autoConnack: { properties: { receiveMaximum: 2 } } })
    s.server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        const number = packet.cmd === 'publish' ? Number(packet.payload) : 0
        const bad = number % 3 === 0
        if (packet.cmd === 'publish' && bad) refuse(connection, packet as Sent, 0x87)
        else if (packet.cmd === 'pubrel' && (packet.messageId ?? 0) % 2 === 0) {
          refuse(connection, packet as Sent, 0x92)
        } else return true
        return false
      }
    }
    const requests = Array.from({ length: 200 }, (_, i) => (i % 2 ? q2(`${i}`) : q1(`${i}`)))
    const started = startLoop(STILL, requests, undefined, s)
    await started.done
    expect(started.error).toBeUndefined()
    expect(started.outcomes).toHaveLength(200)
    const failed = started.outcomes.filter(({ outcome }) => !outcome.ok)
    expect(failed.length).toBeGreaterThan(67)
    for (const { outcome } of failed) {
      expect(outcome).toMatchObject({ error: { name: 'RefusedError' } })
    }
    expect(started.loop.state.counters).toMatchObject({ inFlight: 0, held: 0, settled: 200 })
  })

  test('[C18] answers to identifiers that nobody uses: told, answered where they must be, and survived', async () => {
    for (const protocolVersion of [5, 4] as const) {
      const s = stage()
      const options = { ...STILL, until: 'closed', protocolVersion, tolerance: 'strict' } as const
      const { loop, warnings } = startLoop(options, [q1('x')], undefined, s)
      await s.clock.settle()
      await s.server.current.unseen()
      s.server.current.send(
        { cmd: 'pubrec', messageId: 77, reasonCode: 0 },
        { cmd: 'pubrel', messageId: 78, reasonCode: 0 },
        { cmd: 'puback', messageId: 79, reasonCode: 0 },
        { cmd: 'pubcomp', messageId: 80, reasonCode: 0 },
        { cmd: 'suback', messageId: 81, granted: [0] },
        { cmd: 'unsuback', messageId: 82, granted: [0] },
      )
      const answers = await s.server.current.unseen()
      const code = protocolVersion === 5 ? { reasonCode: 0x92 } : {}
      expect(answers).toMatchObject([
        { cmd: 'pubrel', messageId: 77, ...code },
        { cmd: 'pubcomp', messageId: 78, ...code },
      ])
      if (protocolVersion === 4) for (const one of answers) expect(one.length).toBe(2)
      for (const id of [77, 79, 80, 81, 82]) {
        expect(
          warnings.some(({ message }) => message.includes(`${id}`)),
          `${id}`,
        ).toBe(true)
      }
      expect(loop.state.connection.kind).toBe('connected')
      expect(s.server.connections).toHaveLength(1)
      await loop.return()
    }
  })
})

describe('[C10] QoS 2 across a lost connection', () => {
  for (const protocolVersion of [5, 4] as const) {
    for (const received of [false, true]) {
      for (const present of [true, false]) {
        const when = received ? 'after' : 'before'
        const expected = present
          ? received
            ? ['PUBREL 1']
            : ['DUP PUBLISH 1 x']
          : received
            ? []
            : ['PUBLISH 1 x']
        test(`MQTT ${protocolVersion}: ${when} PUBREC, Session Present ${Number(present)}: ${expected.join() || 'nothing'}`, async () => {
          const s = stage({ autoAck: (packet) => received && packet.cmd === 'publish' })
          const options: EventloopOptions = { ...STILL, until: 'closed', protocolVersion }
          const { loop, outcomes } = startLoop(options, [q2('x')], undefined, s)
          await s.clock.settle()
          expect(outcomes).toEqual([])
          s.server.autoAck = false
          const second = await reconnect(s, present)
          const sent = afterConnect(second).map((one) => one.replace(/^PUBLISH \d+/, 'PUBLISH 1'))
          expect(sent).toEqual(expected)
          if (received && !present) {
            expect(outcomes).toMatchObject([{ outcome: { ok: true } }])
          } else {
            expect(outcomes).toEqual([])
            second.autoAck = true
            for (const packet of second.packets.slice(1)) second.acknowledge(packet)
            await s.clock.settle()
            expect(outcomes).toMatchObject([{ outcome: { ok: true, packet: { cmd: 'pubcomp' } } }])
          }
          await loop.return()
        })
      }
    }
  }
})

test('[D1] a server that had completed the message answers the PUBREL that comes again with 0x92', async () => {
  const s = stage({ autoAck: (packet) => packet.cmd === 'publish' })
  const { loop, outcomes } = startLoop({ ...STILL, until: 'closed' }, [q2('x')], undefined, s)
  await s.clock.settle()
  s.server.autoAck = false
  const second = await reconnect(s, true)
  expect(afterConnect(second)).toEqual(['PUBREL 1'])
  second.send({ cmd: 'pubcomp', messageId: 1, reasonCode: 0x92 })
  await s.clock.settle()
  expect(outcomes).toMatchObject([{ outcome: { ok: true, packet: { reasonCode: 0x92 } } }])
  await loop.return()
})

describe('[D5] Session Present 0', () => {
  for (const onSessionLost of ['republish', 'fail'] as const) {
    for (const protocolVersion of [5, 4] as const) {
      test(`[C11] [C13] MQTT ${protocolVersion}, ${onSessionLost}: subscriptions, onConnected, then the rest`, async () => {
        const s = stage({ autoAck: (packet) => packet.cmd === 'subscribe' })
        const requests = [subscribe('f/#', { qos: 2 }), q1('one'), q2('two'), q2('recd'), q1('new')]
        const onConnected = () => [publish('birth', 'birth')]
        const { loop, outcomes, received } = startLoop(
          // With Clean Session, MQTT 3 loses the session at every drop.
          {
            ...{ keepAlive: 0, until: 'closed', maxInflight: 3 },
            ...{ cleanStart: protocolVersion === 4, onSessionLost, onConnected, protocolVersion },
          },
          requests,
          undefined,
          s,
        )
        await s.clock.settle()
        const first = s.server.current
        const recd = first.of('publish').find(({ payload }) => String(payload) === 'recd')!
        first.send({ cmd: 'pubrec', messageId: recd.messageId!, reasonCode: 0 })
        const inbound = { cmd: 'publish', topic: 'f/1', qos: 2, messageId: 7 } as const
        first.send({ ...inbound, payload: 'old', dup: false, retain: false })
        await s.clock.settle()
        expect(first.of('pubrec')).toHaveLength(1)
        expect(loop.state.counters).toMatchObject({ taken: 6, held: 4 })

        const second = await reconnect(s, false)
        const sent = second.packets.slice(1).map((one) => told(one).replace(/ \d+ /, ' '))
        const again = onSessionLost === 'republish' ? ['PUBLISH one', 'PUBLISH two'] : []
        expect(sent).toEqual(['SUBSCRIBE f/#', 'PUBLISH birth', ...again, 'PUBLISH new'])
        expect(second.of('subscribe')[0]?.subscriptions).toMatchObject([{ topic: 'f/#', qos: 2 }])
        const outcomeOf = (name: string) =>
          outcomes.filter(({ request }) => request.cmd === 'publish' && request.payload === name)
        expect(outcomeOf('recd')).toMatchObject([{ outcome: { ok: true } }])
        if (onSessionLost === 'fail') {
          for (const name of ['one', 'two']) {
            const error = { name: 'ConnectionError', code: 'SESSION_LOST' }
            expect(outcomeOf(name)).toMatchObject([{ outcome: { ok: false, error } }])
          }
        }
        // The identifier means another message now.
        second.send({ ...inbound, payload: 'other', dup: false, retain: false })
        await s.clock.settle()
        const payloads = received.flatMap((one) =>
          one.cmd === 'publish' ? [`${one.payload}`] : [],
        )
        expect(payloads).toEqual(['old', 'other'])
        expect(second.of('pubrel')).toEqual([])
        second.autoAck = true
        for (const packet of second.packets.slice(1)) second.acknowledge(packet)
        await s.clock.settle()
        expect(outcomeOf('new')).toMatchObject([{ outcome: { ok: true } }])
        expect(loop.state.counters.held).toBe(0)
        await loop.return()
      })
    }
  }

  test('[C13] exactly what is subscribed, options and identifiers included, in packets that the server takes', async () => {
    const s = stage()
    const filters = Array.from({ length: 60 }, (_, i) => `plant/${i}/${'x'.repeat(i % 20)}`)
    const properties = { subscriptionIdentifier: 9 }
    const requests: Request[] = [
      subscribe(filters, { qos: 1, rap: true, rh: 2, nl: true, properties }),
      subscribe('plant/1/x', { qos: 2, properties: { subscriptionIdentifier: 5 } }),
      subscribe('gone'),
      unsubscribe('gone'),
      q1('x'),
    ]
    const options: EventloopOptions = { ...STILL, until: 'closed' }
    const { loop } = startLoop(options, requests, undefined, s)
    await s.clock.settle()
    s.server.autoAck = false
    const second = await reconnect(s, false, { maximumPacketSize: 300 })
    const packets = second.of('subscribe')
    const renewed = packets.flatMap(({ subscriptions, properties }) =>
      subscriptions.map((one) => ({ ...one, id: properties?.subscriptionIdentifier })),
    )
    const options9 = { qos: 1, rap: true, rh: 2, nl: true, id: 9 }
    const wanted = filters.map((topic, i) =>
      i === 1 ? { topic, qos: 2, rap: false, rh: 0, nl: false, id: 5 } : { topic, ...options9 },
    )
    const byTopic = (a: { topic: string }, b: { topic: string }) => (a.topic < b.topic ? -1 : 1)
    expect(renewed.sort(byTopic)).toEqual(wanted.sort(byTopic))
    expect(packets.length).toBeGreaterThan(5)
    for (const packet of packets) {
      expect(mqtt.generate(packet, { protocolVersion: 5 }).length).toBeLessThanOrEqual(300)
    }
    // What the session keeps needs no renewal.
    const third = await reconnect(s, true)
    expect(third.of('subscribe').every(({ subscriptions }) => subscriptions.length > 0)).toBe(true)
    await loop.return()
  })

  test("[C13] Session Present 1, renewSubscriptions: 'lost': no subscription is renewed", async () => {
    const s = stage()
    const options = { ...STILL, until: 'closed', renewSubscriptions: 'lost' } as const
    const { loop } = startLoop(options, [subscribe('a')], undefined, s)
    await s.clock.settle()
    const second = await reconnect(s, true)
    expect(afterConnect(second)).toEqual([])
    await loop.return()
  })

  test('[MQTT-3.8.4-1] a SUBSCRIBE without its answer is sent again, and answered once', async () => {
    for (const present of [true, false]) {
      const s = stage({ autoAck: false })
      const request = subscribe('a', { qos: 1 })
      const { loop, outcomes } = startLoop({ ...STILL, until: 'closed' }, [request], undefined, s)
      await s.clock.settle()
      s.server.autoAck = true
      const second = await reconnect(s, present)
      expect(afterConnect(second)).toEqual(['SUBSCRIBE a'])
      expect(outcomes).toMatchObject([{ request, outcome: { ok: true } }])
      expect(loop.state.subscriptions).toMatchObject([{ topic: 'a', granted: 1 }])
      await loop.return()
    }
  })
})

// --------------------------------------------------------------------------------------------------------------------- D2

describe('[D2] one outcome or held', () => {
  const endings: readonly (readonly [string, (loop: Eventloop, abort: AbortController) => void])[] =
    [
      ['shutdown', (loop) => loop.shutdown()],
      ['return()', (loop) => void loop.return()],
      ['abort', (_, abort) => abort.abort(new Error('enough'))],
      ['disconnect after its time', (loop) => loop.disconnect(0)],
      ['disposal', (loop) => void loop[Symbol.asyncDispose]()],
    ]
  for (const [name, end] of endings) {
    test(`[C26] ${name}: what has no outcome is held, the same objects, and the next loop gives it`, async () => {
      const s = stage({ autoAck: (packet) => packet.messageId === 1 })
      const requests = [q1('done'), q1('sent'), q2('sent too'), subscribe('s'), q1('never sent')]
      const abort = new AbortController()
      const options = { ...STILL, maxInflight: 2 }
      const first = startLoop({ ...options, signal: abort.signal }, requests.values(), undefined, s)
      await s.clock.settle()
      const ping = peek(s.clock, first.loop.ping())
      end(first.loop, abort)
      await s.clock.advance(1000)
      expect(first.ended).toBe(true)
      expect(await ping).not.toBe('pending')
      expect(first.outcomes.map(({ request }) => request)).toEqual([requests[0]])
      const { held } = first.loop.session
      expect(held).toHaveLength(4)
      for (const [i, request] of held.entries()) expect(request).toBe(requests[i + 1])
      expect(first.loop.state.counters).toMatchObject({ taken: 5, settled: 1, held: 4 })
      expect(s.clock.pendingTimers).toBe(0)
      // Long after: a loop that ended says nothing any more.
      await s.clock.advance(DAY_MS)
      expect(first.outcomes).toHaveLength(1)

      s.server.autoAck = true
      s.server.autoConnack = { sessionPresent: true }
      const second = startLoop({ ...STILL, session: first.loop.session }, [], undefined, {
        server: s.server,
      })
      await second.done
      expect(second.error).toBeUndefined()
      const given = second.outcomes.map(({ request }) => request)
      expect(new Set(given)).toEqual(new Set(requests.slice(1)))
      expect(given).toHaveLength(4)
      expect(second.outcomes.every(({ outcome }) => outcome.ok)).toBe(true)
    })
  }

  test('[C23] what waits for its turn is in the session, QoS 0 too, and goes out in the next life', async () => {
    const s = stage()
    const first = startLoop({ ...STILL, until: 'closed' }, ['1', '2'].map(q0), undefined, s)
    first.loop.throttle(0.001)
    await s.clock.settle()
    expect(first.outcomes).toHaveLength(1)
    first.loop.shutdown()
    await first.done
    expect(first.loop.session.held).toMatchObject([{ payload: '2' }])
    const session = decodeSession(encodeSession(first.loop.session))
    const second = startLoop({ ...STILL, session }, [q1('3')], undefined, { server: s.server })
    await second.done
    expect(afterConnect(s.server.current)).toEqual(['PUBLISH 2', 'PUBLISH 1 3', 'DISCONNECT'])
    expect(second.outcomes).toHaveLength(2)
  })

  test('taken = settled + held at every instant, in callbacks too', async () => {
    const s = stage()
    const wrong: string[] = []
    const check = (where: string) => {
      const { taken, settled, held } = loop.state.counters
      if (taken !== settled + held) wrong.push(`${where}: ${taken} = ${settled} + ${held}`)
    }
    const requests = function* (): Generator<Request> {
      for (let i = 0; i < 3000; i++) {
        if (i > 0) check('stream')
        const qos = (i % 3) as QoS
        yield i % 50 === 0 ? publish('bad/#') : publish('t', `${i}`, { qos })
      }
    }
    const options: EventloopOptions = {
      ...STILL,
      onSettled: () => check('onSettled'),
      onConnected: () => {
        check('onConnected')
        return [publish('birth', '', { qos: 1 })]
      },
    }
    const { loop, done, server } = startLoop(options, requests(), undefined, s)
    await s.clock.settle()
    server.current.reset()
    await s.clock.advance(DAY_MS)
    await done
    expect(wrong).toEqual([])
    expect(loop.state.counters.held).toBe(0)
  })

  test('outcomes: to `settled` of the source first, then to onSettled; what one throws does not silence the others', async () => {
    const s = stage({ autoAck: false })
    const log: string[] = []
    const requests = Object.assign([q1('1'), q1('2'), q1('3')], {
      settled(request: Request) {
        log.push(`settled ${request.cmd === 'publish' && request.payload}`)
        if (log.length === 1) throw new Error('the first')
      },
    })
    const onSettled = (request: Request) =>
      void log.push(`onSettled ${request.cmd === 'publish' && request.payload}`)
    const started = startLoop({ ...STILL, onSettled }, requests, undefined, s)
    await s.clock.settle()
    // One chunk, and so one step.
    const ids = [1, 2, 3]
    const answers = ids.map((messageId) => ({ cmd: 'puback', messageId, reasonCode: 0 }) as const)
    s.server.current.send(...answers)
    await s.clock.advance(2000)
    expect(log.slice(0, 6)).toEqual([
      ...['settled 1', 'onSettled 1', 'settled 2', 'onSettled 2', 'settled 3', 'onSettled 3'],
    ])
    expect(log).toHaveLength(6)
    expect(started.error).toMatchObject({ message: 'the first' })
  })

  test('callbacks may push, control and abort', async () => {
    const s = stage()
    const requests = pushable<Request>({ objectMode: true })
    const abort = new AbortController()
    const reason = new Error('enough')
    const onSettled = () => {
      const { settled } = started.loop.state.counters
      if (settled === 1) started.loop.reconnect()
      if (settled < 4) requests.push(q1(`${settled + 1}`))
      else abort.abort(reason)
    }
    requests.push(q1('1'))
    const options = { ...STILL, signal: abort.signal, onSettled }
    const started = startLoop(options, requests, undefined, s)
    await s.clock.advance(60_000)
    expect(started.error).toBe(reason)
    expect(s.server.connections).toHaveLength(2)
    expect(timesSent(s.server, '4')).toBe(1)
  })
})

describe('[C25] outcomes belong to requests', () => {
  test('acknowledgements in any order, with code and properties, answer the object that they are of', async () => {
    const s = stage({ autoAck: false })
    const requests = [q1('a'), q1('b'), q1('c')]
    const started = startLoop(STILL, requests, undefined, s)
    await s.clock.settle()
    const sent = s.server.current.of('publish')
    const properties = { reasonString: 'nobody listens' }
    s.server.current.send({ cmd: 'puback', messageId: sent[2]!.messageId!, reasonCode: 0 })
    s.server.current.send({
      ...{ cmd: 'puback', messageId: sent[0]!.messageId!, reasonCode: 0x10, properties },
    })
    s.server.current.send({
      ...{ cmd: 'puback', messageId: sent[1]!.messageId!, reasonCode: 0x97 },
    })
    await started.done
    expect(
      started.outcomes.map(({ request }) => requests.indexOf(request as PublishRequest)),
    ).toEqual([2, 0, 1])
    expect(started.outcomes.map(({ outcome }) => outcome)).toMatchObject([
      { ok: true, packet: { cmd: 'puback', reasonCode: 0 } },
      { ok: true, packet: { cmd: 'puback', reasonCode: 0x10, properties } },
      { ok: false, error: { name: 'RefusedError', reasonCode: 0x97 }, packet: { cmd: 'puback' } },
    ])
    const acks = started.received.filter(({ cmd }) => cmd === 'puback')
    expect(acks.map((one) => 'request' in one && one.request)).toEqual([
      ...[requests[2], requests[0], requests[1]],
    ])
  })

  test('every answer carries its request: PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK', async () => {
    const requests = [q1('1'), q2('2'), subscribe('a'), unsubscribe('a')]
    const started = startLoop(STILL, requests)
    await started.done
    const answers = started.received.flatMap((one) =>
      'request' in one ? [[one.cmd, requests.indexOf(one.request as PublishRequest)]] : [],
    )
    expect(new Set(answers.map(String))).toEqual(
      new Set(['puback,0', 'pubrec,1', 'pubcomp,1', 'suback,2', 'unsuback,3']),
    )
  })

  test('QoS 0: the outcome comes when the kernel took the write, not before', async () => {
    const s = stage()
    const big = publish('t', Buffer.alloc(4_000_000))
    const started = startLoop(STILL, [publish('t', 'small'), big], undefined, s)
    s.server.onConnection = (connection) => {
      connection.autoConnack = true
    }
    await s.clock.settle()
    expect(started.outcomes.map(({ outcome }) => outcome)).toEqual([{ ok: true }, { ok: true }])

    const t = stage()
    t.server.onConnection = (connection) => {
      connection.autoAck = () => {
        connection.stall()
        return false
      }
    }
    const small = publish('t', 'small')
    const stalled = startLoop({ ...STILL, until: 'closed' }, [small, big], undefined, t)
    await t.clock.settle()
    expect(stalled.outcomes.some(({ request }) => request === big)).toBe(false)
    expect(stalled.loop.state.counters.held).toBeGreaterThanOrEqual(1)
    t.server.current.reset()
    await t.clock.settle()
    expect(stalled.outcomes.find(({ request }) => request === big)).toMatchObject({
      outcome: { ok: false, error: { name: 'ConnectionError', code: 'CONNECTION_LOST' } },
    })
    await stalled.loop.return()
  })
})

// --------------------------------------------------------------------------------------------------------------------- D6

/** Acknowledges everything; at `poison` it does this instead. */
function poisoned(s: Stage, close: (connection: ServerConnection) => void): void {
  s.server.autoAck = true
  s.server.onConnection = (connection) => {
    connection.autoConnack = { sessionPresent: s.server.connections.length > 1 }
    let alive = true
    connection.autoAck = (packet) => {
      if (!alive) return false
      if (packet.cmd !== 'publish' || String(packet.payload) !== 'poison') return true
      alive = false
      close(connection)
      return false
    }
  }
}

const saying = (reasonCode: number) => (connection: ServerConnection) => {
  connection.send({ cmd: 'disconnect', reasonCode })
  connection.end()
}

function timesSent(server: ScriptedServer, payload: string): number {
  return server.packets.filter((one) => one.cmd === 'publish' && String(one.payload) === payload)
    .length
}

describe('[D6] [C28] a poison message', () => {
  const among = () => [q1('1'), q2('2'), q1('poison'), q1('3'), q2('4'), publish('t', '5')]

  for (const code of [0x81, 0x82, 0x87, 0x90, 0x95, 0x99, 0x9b]) {
    test(`DISCONNECT 0x${code.toString(16)}: quarantined, and the others pass`, async () => {
      const s = stage()
      poisoned(s, saying(code))
      const requests = among()
      const started = startLoop(STILL, requests, undefined, s)
      await s.clock.advance(DAY_MS)
      expect(started.error).toBeUndefined()
      expect(started.ended).toBe(true)
      expect(started.outcomes).toHaveLength(requests.length)
      for (const { request, outcome } of started.outcomes) {
        // At most once: the first close may take it along.
        if (request === requests[5]) continue
        if (request !== requests[2]) expect(outcome.ok).toBe(true)
        else {
          expect(outcome).toMatchObject({ ok: false, error: { code: 'QUARANTINED' } })
          expect(!outcome.ok && outcome.error).toBeInstanceOf(RefusedError)
          expect(outcome).toMatchObject({ error: { reasonCode: code, retryable: false } })
        }
      }
      // Once among others, then three times alone.
      expect(timesSent(s.server, 'poison')).toBe(4)
      for (const connection of s.server.connections.slice(1, 4)) {
        const [, first] = connection.packets
        expect(first?.cmd).toBe('pingreq')
      }
    })
  }

  test('after a suspicious close the window is one until all that was in flight is settled', async () => {
    const s = stage({ autoAck: false })
    const requests = ['a', 'b', 'c', 'd', 'e'].map(q1)
    const started = startLoop({ ...STILL, maxInflight: 3 }, requests, undefined, s)
    await s.clock.settle()
    s.server.autoConnack = { sessionPresent: true }
    saying(0x82)(s.server.current)
    await s.clock.advance(60_000)
    const second = s.server.current
    expect(afterConnect(second)).toEqual(['PINGREQ'])
    second.send({ cmd: 'pingresp' })
    for (const expected of ['DUP PUBLISH 1 a', 'DUP PUBLISH 2 b', 'DUP PUBLISH 3 c']) {
      await s.clock.settle()
      expect(afterConnect(second).at(-1)).toBe(expected)
      second.acknowledge(second.packets.at(-1)!)
    }
    await s.clock.settle()
    expect(second.of('publish').length).toBeGreaterThanOrEqual(4)
    second.autoAck = true
    for (const packet of second.of('publish').slice(3)) second.acknowledge(packet)
    await s.clock.settle()
    expect(started.outcomes).toHaveLength(5)
    await started.done
  })

  test('a close counts only if the connection had answered a PINGREQ', async () => {
    for (const [pinged, sent] of [
      [false, 4],
      [true, 3],
    ] as const) {
      const s = stage()
      poisoned(s, saying(0x82))
      const stream = async function* () {
        if (pinged) await started.loop.ping()
        yield q1('poison')
      }
      const started = startLoop(STILL, stream(), undefined, s)
      await s.clock.advance(DAY_MS)
      expect(started.outcomes).toMatchObject([{ outcome: { error: { code: 'QUARANTINED' } } }])
      expect(timesSent(s.server, 'poison'), `pinged: ${pinged}`).toBe(sent)
    }
  })

  test('a close does not count while anything else of ours is open', async () => {
    const s = stage()
    poisoned(s, saying(0x82))
    const accept = s.server.onConnection!
    s.server.onConnection = (connection) => {
      accept(connection)
      const answer = connection.autoAck as (packet: mqtt.Packet) => boolean
      const index = s.server.connections.length
      connection.autoAck = (packet) =>
        packet.cmd === 'subscribe' && index === 1 ? false : answer(packet)
    }
    const stream = async function* (): AsyncGenerator<Request[]> {
      await started.loop.ping()
      yield [q1('poison'), subscribe('open')]
    }
    const started = startLoop(STILL, stream(), undefined, s)
    await s.clock.advance(DAY_MS)
    expect(timesSent(s.server, 'poison')).toBe(4)
    expect(started.outcomes).toHaveLength(2)
    await started.loop.return()
  })

  const innocent: readonly (readonly [string, 4 | 5, (connection: ServerConnection) => void])[] = [
    ['silence until the time-out', 5, (connection) => connection.stall()],
    ['silence in 3.1.1', 4, (connection) => connection.stall()],
    ...['ETIMEDOUT', 'EHOSTUNREACH', 'ENETDOWN'].map(
      (code) =>
        [code, 5, (connection: ServerConnection) => connection.reset(networkError(code))] as const,
    ),
  ]
  for (const [name, protocolVersion, close] of innocent) {
    test(`${name} never counts against a message`, async () => {
      const s = stage()
      let left = 12
      poisoned(s, (connection) => {
        if (left-- > 0) close(connection)
        else connection.acknowledge(connection.of('publish').at(-1)!)
      })
      const options: EventloopOptions = {
        ...{ ...STILL, keepAlive: 10, protocolVersion },
        ackTimeout: { afterMs: 5000, then: 'reconnect' },
      }
      const started = startLoop(options, [q1('poison')], undefined, s)
      await s.clock.advance(DAY_MS)
      expect(started.outcomes).toMatchObject([{ outcome: { ok: true } }])
      expect(timesSent(s.server, 'poison')).toBe(13)
    })
  }

  test('3.1.1: a FIN counts', async () => {
    const s = stage()
    poisoned(s, (connection) => connection.end())
    const requests = among()
    const started = startLoop({ ...STILL, protocolVersion: 4 }, requests, undefined, s)
    await s.clock.advance(DAY_MS)
    expect(started.outcomes).toHaveLength(requests.length)
    expect(started.outcomes.find(({ request }) => request === requests[2])).toMatchObject({
      outcome: { ok: false, error: { code: 'QUARANTINED' } },
    })
    expect(timesSent(s.server, 'poison')).toBe(4)
  })

  for (const [quarantineAfter, sent] of [
    [1, 2],
    [5, 6],
  ] as const) {
    test(`quarantineAfter ${quarantineAfter}`, async () => {
      const s = stage()
      poisoned(s, saying(0x99))
      const started = startLoop({ ...STILL, quarantineAfter }, among(), undefined, s)
      await s.clock.advance(DAY_MS)
      expect(timesSent(s.server, 'poison')).toBe(sent)
      expect(started.ended).toBe(true)
    })
  }

  test('quarantineAfter 0: never given up, sent ever more slowly', async () => {
    const s = stage()
    poisoned(s, saying(0x99))
    const options: EventloopOptions = { ...STILL, quarantineAfter: 0 }
    const started = startLoop(options, [q1('poison')], undefined, s)
    await s.clock.advance(3_600_000)
    expect(started.outcomes).toEqual([])
    expect(timesSent(s.server, 'poison')).toBeGreaterThan(20)
    expect(timesSent(s.server, 'poison')).toBeLessThan(400)
    await started.loop.return()
  })

  test('strikes outlive the loop: the next one goes on counting', async () => {
    const s = stage()
    poisoned(s, saying(0x82))
    let closes = 0
    const accept = s.server.onConnection!
    s.server.onConnection = (connection) => {
      accept(connection)
      if (++closes === 4) first.loop.shutdown()
    }
    const first = startLoop(STILL, [q1('poison')], undefined, s)
    await s.clock.advance(3_600_000)
    expect(first.outcomes).toEqual([])
    s.server.onConnection = accept
    const session = decodeSession(encodeSession(first.loop.session))
    const before = timesSent(s.server, 'poison')
    const second = startLoop({ ...STILL, session }, [], undefined, { server: s.server })
    await s.clock.advance(3_600_000)
    expect(second.outcomes).toMatchObject([{ outcome: { error: { code: 'QUARANTINED' } } }])
    expect(timesSent(s.server, 'poison') - before).toBeLessThanOrEqual(2)
  })
})

describe('[D6] bad requests among good ones', () => {
  test('[C28] a message that was in flight and is too large for the new server fails alone', async () => {
    const s = stage({ autoAck: false })
    const requests = [q1('small'), publish('t', Buffer.alloc(500), { qos: 2 }), q1('later')]
    const started = startLoop(STILL, requests, undefined, s)
    await s.clock.settle()
    s.server.autoAck = true
    const second = await reconnect(s, true, { maximumPacketSize: 100 })
    await started.done
    expect(started.outcomes.find(({ request }) => request === requests[1])).toMatchObject({
      outcome: { ok: false, error: { name: 'RefusedError', reasonCode: 0x95 } },
    })
    expect(afterConnect(second)).toEqual([
      ...['DUP PUBLISH 1 small', 'DUP PUBLISH 3 later', 'DISCONNECT'],
    ])
  })

  test('a failure that no packet tells of and nobody listens for ends the loop with that error', async () => {
    const s = stage({ autoAck: false })
    const options: EventloopOptions = { ...STILL, until: 'closed', onSessionLost: 'fail' }
    const started = startLoop(options, [q1('x')], undefined, { ...s, silent: true })
    await s.clock.settle()
    s.server.autoConnack = { sessionPresent: false }
    s.server.current.reset()
    await s.clock.advance(60_000)
    expect(started.ended).toBe(true)
    expect(started.error).toBeInstanceOf(ConnectionError)
    expect(started.error).toMatchObject({ code: 'SESSION_LOST' })
  })

  test('a failure whose code the consumer reads does not, nor does one that somebody listens for', async () => {
    const s = stage({ autoAck: false })
    s.server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        if (packet.cmd === 'publish') refuse(connection, packet as Sent, 0x87)
        return packet.cmd !== 'publish'
      }
    }
    const options: EventloopOptions = { ...STILL, until: 'settled' }
    const { loop } = startLoop(options, [q1('x'), q1('y')], undefined, {
      ...{ ...s, silent: true, manual: true },
    })
    const codes: (number | undefined)[] = []
    for await (const packet of loop) if (packet.cmd === 'puback') codes.push(packet.reasonCode)
    expect(codes).toEqual([0x87, 0x87])

    const heard: Outcome[] = []
    const requests = Object.assign([publish('bad/#'), q1('x')], {
      settled: (_: Request, outcome: Outcome) => void heard.push(outcome),
    })
    const listened = startLoop(options, requests, undefined, { server: s.server, silent: true })
    await listened.done
    expect(listened.error).toBeUndefined()
    expect(heard).toMatchObject([{ error: { name: 'UsageError' } }, { ok: false }])
    expect(!heard[0]!.ok && heard[0]!.error).toBeInstanceOf(UsageError)
  })
})

// -------------------------------------------------------------------------------------------------------------------- C27

describe('[C27] cancelling', () => {
  test('before it is sent: never on the wire, no identifier', async () => {
    const s = stage({ autoAck: false })
    const abort = new AbortController()
    const reason = new Error('changed my mind')
    const waiting = publish('t', 'cancelled', { qos: 1, signal: abort.signal })
    const started = startLoop(
      { ...STILL, maxInflight: 1 },
      [q1('1'), waiting, q1('2')],
      undefined,
      s,
    )
    await s.clock.settle()
    abort.abort(reason)
    await s.clock.settle()
    expect(started.outcomes).toMatchObject([{ request: waiting, outcome: { ok: false } }])
    expect(started.outcomes[0]?.outcome).toMatchObject({ error: reason })
    s.server.current.autoAck = true
    s.server.current.acknowledge(s.server.current.of('publish')[0]!)
    await started.done
    expect(afterConnect(s.server.current)).toEqual(['PUBLISH 1 1', 'PUBLISH 2 2', 'DISCONNECT'])
  })

  test('aborted already when it is taken: never on the wire', async () => {
    const reason = new Error('too late')
    const request = publish('t', 'x', { qos: 1, signal: AbortSignal.abort(reason) })
    const started = startLoop(STILL, [request])
    await started.done
    expect(started.outcomes).toMatchObject([{ request, outcome: { ok: false, error: reason } }])
    expect(afterConnect(started.server.current)).toEqual(['DISCONNECT'])
  })

  for (const qos of [1, 2] as const) {
    test(`after it is sent at QoS ${qos}: the outcome at once, identifier and window when it is acknowledged`, async () => {
      const s = stage({ autoAck: false })
      const abort = new AbortController()
      const reason = new Error('changed my mind')
      const request = publish('t', 'x', { qos, signal: abort.signal })
      const options = { ...STILL, maxInflight: 1 }
      const started = startLoop(options, [request, q1('next')], undefined, s)
      await s.clock.settle()
      abort.abort(reason)
      await s.clock.settle()
      expect(started.outcomes).toEqual([
        { request, outcome: { ok: false, error: reason }, at: s.clock.now() },
      ])
      expect(started.loop.state.counters.inFlight).toBe(1)
      expect(s.server.current.of('publish')).toHaveLength(1)
      // It stays taken across a connection: the broker may know it.
      const second = await reconnect(s, true)
      expect(afterConnect(second)).toEqual(['DUP PUBLISH 1 x'])
      second.autoAck = true
      second.acknowledge(second.of('publish')[0]!)
      await started.done
      expect(second.of('publish').map(told)).toEqual(['DUP PUBLISH 1 x', 'PUBLISH 2 next'])
      expect(started.outcomes).toHaveLength(2)
    })
  }

  test('after it is sent, and then the session is lost: it is not republished', async () => {
    const s = stage({ autoAck: false })
    const abort = new AbortController()
    const request = publish('t', 'x', { qos: 1, signal: abort.signal })
    const started = startLoop({ ...STILL, until: 'closed' }, [request], undefined, s)
    await s.clock.settle()
    abort.abort()
    await s.clock.settle()
    const second = await reconnect(s, false)
    expect(afterConnect(second)).toEqual([])
    expect(started.outcomes).toHaveLength(1)
    await started.loop.return()
  })

  test('a hundred thousand times at Receive Maximum 1: no unit of the window leaks, no listener stays', async () => {
    const s = stage({ autoConnack: { properties: { receiveMaximum: 1 } } })
    s.server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        connection.packets.length = 0
        // Every other one is cancelled while it is in flight.
        if (packet.cmd === 'publish' && packet.messageId! % 2 === 0) aborts.shift()?.abort()
        return true
      }
    }
    const total = 100_000
    const aborts: AbortController[] = []
    const requests = function* () {
      for (let i = 1; i <= total; i++) {
        const abort = new AbortController()
        if (i % 2 === 0) aborts.push(abort)
        yield publish('t', '', { qos: 1, signal: abort.signal })
      }
    }
    let settled = 0
    const onSettled = () => {
      settled++
    }
    const started = startLoop({ ...STILL, onSettled }, requests(), undefined, s)
    while (!started.ended) await s.clock.advance(1000)
    expect(started.error).toBeUndefined()
    expect(settled).toBe(total)
    expect(started.loop.state.counters).toMatchObject({ held: 0, inFlight: 0, taken: total })
  })
})

// --------------------------------------------------------------------------------------------------------------------- D7

/** A source that can be replayed: its keys are its places, and it tells when it has noted an outcome. */
class Replay implements Iterable<Request> {
  readonly told: string[] = []
  readonly #payloads: readonly string[]
  readonly #noted: (key: string) => Promise<void> | undefined

  constructor(payloads: readonly string[], noted: (key: string) => Promise<void> | undefined) {
    this.#payloads = payloads
    this.#noted = noted
  }

  *[Symbol.iterator](): Generator<Request> {
    for (const payload of this.#payloads) {
      yield publish('t', payload, { qos: 1, key: `key ${payload}` })
    }
  }

  settled(request: Request, outcome: Outcome): Promise<void> | undefined {
    const key = String(request.cmd === 'publish' && request.key)
    this.told.push(`${key} ${outcome.ok}`)
    return this.#noted(key)
  }
}

describe('[D7] a key that the session holds', () => {
  for (const asText of [false, true]) {
    for (const present of [true, false]) {
      test(`a source that replays${asText ? ' after a crash' : ''}, Session Present ${Number(present)}: nothing is sent twice`, async () => {
        const s = stage({
          autoAck: (packet) => String(packet.cmd === 'publish' && packet.payload) === 'a',
        })
        const never = new Promise<void>(() => {})
        const before = new Replay(['a', 'b', 'c', 'd'], () => never)
        const first = startLoop({ ...STILL, maxInflight: 2 }, before, undefined, {
          ...{ server: s.server, silent: true },
        })
        await s.clock.settle()
        expect(before.told).toEqual(['key a true'])
        first.loop.shutdown()
        await first.done
        expect(timesSent(s.server, 'c')).toBe(1)
        expect(timesSent(s.server, 'd')).toBe(0)

        s.server.autoAck = true
        s.server.autoConnack = { sessionPresent: present }
        const session = asText
          ? decodeSession(encodeSession(first.loop.session))
          : first.loop.session
        const after = new Replay(['a', 'b', 'c', 'd', 'e'], () => undefined)
        const second = startLoop({ ...STILL, session }, after, undefined, {
          ...{ server: s.server, silent: true },
        })
        await second.done
        expect(second.error).toBeUndefined()
        const dup = present ? 'DUP ' : ''
        const sent = s.server.current.of('publish').map((one) => told(one).replace(/ \d+ /, ' '))
        expect(sent).toEqual([...[`${dup}PUBLISH b`, `${dup}PUBLISH c`, 'PUBLISH d', 'PUBLISH e']])
        expect([...after.told].sort()).toEqual(
          ['a', 'b', 'c', 'd', 'e'].map((name) => `key ${name} true`),
        )
      })
    }
  }

  test('it is kept until the promise of `settled` resolves, and not longer', async () => {
    const s = stage()
    let noted = () => {}
    const twice = async function* (): AsyncGenerator<Request> {
      yield publish('t', 'first', { qos: 1, key: 7 })
      await s.clock.settle()
      yield publish('t', 'second', { qos: 1, key: 7 })
      await s.clock.settle()
      noted()
      await s.clock.settle()
      yield publish('t', 'third', { qos: 1, key: 7 })
    }
    const source = Object.assign(twice(), {
      settled: () => new Promise<void>((resolve) => (noted = resolve)),
    })
    const started = startLoop(STILL, source, undefined, s)
    await started.done
    expect(started.error).toBeUndefined()
    expect(s.server.current.of('publish').map(({ payload }) => String(payload))).toEqual([
      ...['first', 'third'],
    ])
  })

  test('in flight, the same key again is not sent; without `settled` it is free with the outcome', async () => {
    const s = stage({ autoAck: false })
    const stream: Request[] = [
      ...['one', 'again'].map((payload) => publish('t', payload, { qos: 1, key: 'k' })),
      publish('t', 'other', { qos: 1, key: 'l' }),
    ]
    const { loop, outcomes } = startLoop({ ...STILL, until: 'closed' }, stream, undefined, s)
    await s.clock.settle()
    expect(s.server.current.of('publish').map(told)).toEqual(['PUBLISH 1 one', 'PUBLISH 2 other'])
    s.server.current.acknowledge(s.server.current.of('publish')[0]!)
    await s.clock.settle()
    expect(outcomes.filter(({ request }) => request === stream[0])).toHaveLength(1)
    const { taken, settled, held } = loop.state.counters
    expect(taken).toBe(settled + held)
    await loop.return()
  })

  test('a rejected promise of `settled` ends the loop with its reason', async () => {
    const s = stage()
    const reason = new Error('the disk is full')
    const source = Object.assign([q1('x')], { settled: () => Promise.reject(reason) })
    const started = startLoop({ ...STILL, until: 'closed' }, source, undefined, s)
    await s.clock.advance(2000)
    expect(started.error).toBe(reason)
  })

  test('a key is never sent, and 1 is not "1"', async () => {
    const s = stage({ autoAck: false })
    const stream = [
      publish('t', 'number', { qos: 1, key: 1 }),
      publish('t', 'text', { qos: 1, key: '1' }),
    ]
    const { loop } = startLoop(STILL, stream, undefined, s)
    await s.clock.settle()
    expect(s.server.current.of('publish').map(told)).toEqual(['PUBLISH 1 number', 'PUBLISH 2 text'])
    expect(s.server.current.bytes.includes('key')).toBe(false)
    await resolved(s.clock, Promise.resolve(loop.shutdown()))
    await s.clock.advance(1000)
    expect(loop.session.held).toHaveLength(2)
  })
})
