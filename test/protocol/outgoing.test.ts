/**
 * Goal: requests are sent within the window, in order, again after a loss, and each has one
 * outcome. (D1 to D6, I3)
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Config } from '../../src/protocol/config.ts'
import type { Effect, Input } from '../../src/protocol/contract.ts'
import { step } from '../../src/protocol/engine.ts'
import type { QoS, ServerPacket } from '../../src/protocol/facts.ts'
import { initialSession } from '../../src/protocol/initial.ts'
import { entries, lookup, TableEditor } from '../../src/protocol/packet-table.ts'
import { requestCapacity } from '../../src/protocol/queries.ts'
import { SUSPECT } from '../../src/protocol/window.ts'
import {
  ackOf,
  byeOf,
  connackOf,
  Driver,
  failureOf,
  messageOf,
  only,
  outcomes,
  PINGRESP,
  plainConnack,
  publishOf,
  subackOf,
  subscribeOf,
  type Untimed,
  unsubscribeOf,
  wire,
} from './support.ts'

function connected(over: Partial<Config> = {}, properties: Record<string, unknown> = {}): Driver {
  const driver = new Driver(over)
  driver.connect(connackOf(false, properties))
  return driver
}

/** The loss of a connection that says nothing about what was open. */
const UNREACHABLE = { failure: failureOf({ code: 'EHOSTUNREACH' }) }

const many = (from: number, count: number, qos: QoS = 1) =>
  Array.from({ length: count }, (_, i) => publishOf(from + i, qos))

describe('[D4] the window', () => {
  test('min(Receive Maximum of this CONNACK, maxInflight), one more is held, anything else passes', () => {
    const bounds = fc.record({
      receiveMaximum: fc.integer({ min: 1, max: 20 }),
      maxInflight: fc.integer({ min: 1, max: 20 }),
    })
    fc.assert(
      fc.property(bounds, ({ receiveMaximum, maxInflight }) => {
        const window = Math.min(receiveMaximum, maxInflight)
        const driver = connected({ maxInflight }, { receiveMaximum })
        expect(requestCapacity(driver.state)).toBe(window + 1)
        expect(wire(driver.request(...many(1, window + 1))).length).toBe(window)
        expect(driver.state.outgoing.inFlight).toBe(window)
        expect(requestCapacity(driver.state)).toBe(0)
        expect(wire(driver.request(publishOf(50, 0), subscribeOf(51), unsubscribeOf(52)))).toEqual([
          'PUBLISH h50',
          `SUBSCRIBE ${window + 1} a`,
          `UNSUBSCRIBE ${window + 2} a`,
        ])
        expect(wire(driver.receive(ackOf('puback', 1)))).toEqual([
          `PUBLISH ${window + 3} h${window + 1}`,
        ])
        expect(requestCapacity(driver.state)).toBe(1)
      }),
      { numRuns: 60 },
    )
  })

  test('on MQTT 3.1.1 nothing is sent above maxInflightQos2 while a message at QoS 2 is in flight', () => {
    const config = { protocolVersion: 4, maxInflightQos2: 20 } as const
    const driver = connected(config)
    expect(wire(driver.request(...many(1, 30, 1)))).toHaveLength(30)
    // The first one finds none at QoS 2 in flight.
    expect(wire(driver.request(...many(101, 30, 2)))).toEqual(['PUBLISH 31 h101'])
    for (let id = 1; id <= 11; id++) expect(wire(driver.receive(ackOf('puback', id)))).toEqual([])
    expect(wire(driver.receive(ackOf('puback', 12)))).toEqual(['PUBLISH 32 h102'])
    expect(driver.state.outgoing).toMatchObject({ inFlight: 20, inFlightQos2: 2 })
    expect(wire(driver.receive(ackOf('pubrec', 31)))).toEqual(['PUBREL 31'])
    expect(wire(driver.receive(ackOf('pubcomp', 31)))).toEqual(['PUBLISH 33 h103'])

    const announced = connected({ maxInflightQos2: 20 }, { receiveMaximum: 100 })
    expect(wire(announced.request(...many(1, 30, 2)))).toHaveLength(30)
  })

  test('[C17] [MQTT-3.3.4-7] it bounds what is sent again too, when a CONNACK lowers it from 100 to 1', () => {
    const driver = connected({}, { receiveMaximum: 100 })
    driver.request(...many(1, 100))
    driver.lose()
    const effects = driver.connect(connackOf(true, { receiveMaximum: 1 }))
    expect(wire(effects)).toEqual(['CONNECT 5', 'DUP PUBLISH 1 h1'])
    for (let id = 1; id < 100; id++) {
      expect(wire(driver.receive(ackOf('puback', id)))).toEqual([
        `DUP PUBLISH ${id + 1} h${id + 1}`,
      ])
    }
    driver.receive(ackOf('puback', 100))
    expect(driver.state.session.open.size).toBe(0)
  })

  test('a PUBREL that is sent again does not count', () => {
    const driver = connected({}, { receiveMaximum: 2 })
    driver.request(...many(1, 2, 2))
    driver.receive(ackOf('pubrec', 1), ackOf('pubrec', 2))
    driver.lose()
    driver.connect(connackOf(true, { receiveMaximum: 2 }))
    expect(driver.state.outgoing.inFlight).toBe(0)
    expect(wire(driver.request(...many(3, 3)))).toEqual(['PUBLISH 3 h3', 'PUBLISH 4 h4'])
  })

  test('PUBREC does not free it, PUBCOMP does; a negative PUBREC does', () => {
    const driver = connected({}, { receiveMaximum: 1 })
    driver.request(...many(1, 2, 2))
    expect(wire(driver.receive(ackOf('pubrec', 1)))).toEqual(['PUBREL 1'])
    expect(wire(driver.receive(ackOf('pubcomp', 1)))).toEqual(['PUBLISH 2 h2'])
    driver.request(publishOf(3, 2))
    expect(wire(driver.receive(ackOf('pubrec', 2, 0x97)))).toEqual(['PUBLISH 3 h3'])
  })

  test('[C19] after any mix of answers what is free and what is in flight are the window', () => {
    const codes = fc.array(
      fc.tuple(
        fc.constantFrom(1, 2),
        fc.constantFrom(0, 0x10, 0x80, 0x97),
        fc.constantFrom(0, 0x92),
      ),
      { maxLength: 60 },
    )
    fc.assert(
      fc.property(codes, (list) => {
        const driver = connected({}, { receiveMaximum: 3 })
        list.forEach(([qos, code, last], i) => {
          driver.request(publishOf(i + 1, qos as QoS))
          const [[id] = [0]] = [...entries(driver.state.session.open)]
          if (qos === 1) driver.receive(ackOf('puback', id, code))
          else {
            driver.receive(ackOf('pubrec', id, code))
            if (code < 0x80) driver.receive(ackOf('pubcomp', id, last))
          }
          expect(driver.state.outgoing.inFlight).toBe(0)
          expect(requestCapacity(driver.state)).toBe(4)
        })
      }),
    )
  })
})

describe('[D4] [MQTT-2.2.1-3] identifiers', () => {
  test('[C14] beside one that is never acknowledged the others wrap around and skip it', () => {
    let { state } = connected()
    const at = 1_000_000
    state = step(state, { type: 'requests', at, requests: [publishOf(1)], hold: false }).state
    let last = 1
    for (let i = 0; i < 700; i++) {
      const requests = many(2 + i * 100, 100)
      const taken = step(state, { type: 'requests', at, requests, hold: false })
      const ids = only(taken.effects, 'publish').map(({ messageId }) => messageId)
      expect(ids.length).toBe(100)
      for (const id of ids) {
        expect(id).toBe(last === 65_535 ? 2 : last + 1)
        last = id
      }
      const packets = ids.map((id) => ackOf('puback', id))
      state = step(taken.state, { type: 'received', at, packets }).state
    }
    expect(state.session.open.size).toBe(1)
    expect(last).toBeLessThan(10_000)
  })

  test('[C15] acknowledgements in any order, cut anywhere: no identifier overlaps, all goes on', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(4), fc.nat(1000)), { maxLength: 80 }), (list) => {
        const driver = connected({ maxInflight: 5 })
        let handle = 1
        for (const [what, die] of list) {
          if (what === 0) {
            driver.lose()
            driver.connect()
            continue
          }
          const kinds = [publishOf(handle, 1), publishOf(handle, 2), subscribeOf(handle)]
          if (requestCapacity(driver.state) > 0) {
            driver.request(kinds[die % 3]!)
            handle++
          }
          const open = [...entries(driver.state.session.open)].filter(
            ([, { epoch }]) => epoch === driver.state.connection.epoch,
          )
          const chosen = open[die % Math.max(1, open.length)]
          if (chosen === undefined || what === 1) continue
          const [id, { facts, stage }] = chosen
          if (facts.kind === 'subscribe') driver.receive(subackOf(id, 1))
          else if (facts.kind === 'publish' && facts.qos === 1) driver.receive(ackOf('puback', id))
          else driver.receive(ackOf(stage === 'pubrel' ? 'pubcomp' : 'pubrec', id))
        }
        expect(driver.kind).toBe('connected')
      }),
      { numRuns: 200 },
    )
  })

  test('exhaustion waits: nothing is used twice, nothing throws, the last one free is found', () => {
    const one = connected()
    one.request(subscribeOf(77))
    const template = lookup(one.state.session.open, 1)!
    const open = new TableEditor(initialSession('c').open)
    for (let id = 1; id <= 65_535; id++) if (id !== 40_000) open.set(id, template)
    const session = { ...initialSession('c'), open: open.finish(), nextOrder: 70_000 }
    const at = 1_000_000
    let { state } = connected({}, { receiveMaximum: 1 })
    state = { ...state, session }
    const feed = (untimed: Untimed) => {
      const result = step(state, { ...untimed, at } as Input)
      state = result.state
      return wire(result.effects)
    }
    const take = (handle: number) =>
      feed({ type: 'requests', requests: [subscribeOf(handle)], hold: false })
    expect(take(1)).toEqual(['SUBSCRIBE 40000 a'])
    expect(take(2)).toEqual([])
    expect(feed({ type: 'received', packets: [subackOf(7, 0)] })).toEqual(['SUBSCRIBE 7 a'])
  })
})

describe('[D3] order', () => {
  test('[C16] a cut in the middle of a replay: the next one begins at the oldest again, the new wait', () => {
    const driver = connected({}, { receiveMaximum: 3 })
    driver.request(...many(1, 4))
    driver.lose(UNREACHABLE)
    expect(wire(driver.connect(connackOf(true, { receiveMaximum: 2 })))).toEqual([
      'CONNECT 5',
      'DUP PUBLISH 1 h1',
      'DUP PUBLISH 2 h2',
    ])
    driver.lose(UNREACHABLE)
    expect(wire(driver.connect(connackOf(true, { receiveMaximum: 1 })))).toEqual([
      'CONNECT 5',
      'DUP PUBLISH 1 h1',
    ])
    const rest = [1, 2, 3].flatMap((id) => wire(driver.receive(ackOf('puback', id))))
    expect(rest).toEqual(['DUP PUBLISH 2 h2', 'DUP PUBLISH 3 h3', 'PUBLISH 4 h4'])
  })

  test('[MQTT-4.6.0-1] identifiers that wrapped do not change it', () => {
    const session = { ...initialSession('c'), nextMessageId: 65_534 }
    const driver = new Driver({}, session)
    driver.connect(connackOf(false))
    expect(wire(driver.request(...many(1, 4)))).toEqual([
      'PUBLISH 65534 h1',
      'PUBLISH 65535 h2',
      'PUBLISH 1 h3',
      'PUBLISH 2 h4',
    ])
    driver.lose()
    expect(wire(driver.connect(connackOf(true))).slice(1)).toEqual([
      'DUP PUBLISH 65534 h1',
      'DUP PUBLISH 65535 h2',
      'DUP PUBLISH 1 h3',
      'DUP PUBLISH 2 h4',
    ])
  })

  test('[D3] [MQTT-4.6.0-1] births were sent first: they are sent again first', () => {
    const driver = new Driver({ hasBirths: true })
    driver.open()
    driver.receive(connackOf(false, { receiveMaximum: 1 }))
    driver.feed({ type: 'births', requests: [] })
    driver.request(...many(1, 2))
    driver.lose(UNREACHABLE)
    driver.connect(connackOf(true))
    expect(wire(driver.feed({ type: 'births', requests: [publishOf(3)] }))).toEqual([
      'PUBLISH 2 h3',
      'DUP PUBLISH 1 h1',
      'PUBLISH 3 h2',
    ])
    driver.lose(UNREACHABLE)
    driver.connect(connackOf(true))
    expect(wire(driver.feed({ type: 'births', requests: [] }))).toEqual([
      'DUP PUBLISH 1 h1',
      'DUP PUBLISH 2 h3',
      'DUP PUBLISH 3 h2',
    ])
  })

  test('[C08] a retransmission that nobody acknowledges holds up nothing else', () => {
    const driver = connected({}, { receiveMaximum: 2 })
    driver.request(publishOf(1))
    driver.lose()
    driver.connect(connackOf(true, { receiveMaximum: 2 }))
    expect(wire(driver.request(publishOf(2, 0), publishOf(3), subscribeOf(4)))).toEqual([
      'PUBLISH h2',
      'PUBLISH 2 h3',
      'SUBSCRIBE 3 a',
    ])
  })
})

describe('[D5] Session Present', () => {
  const stages: [string, (driver: Driver) => void][] = [
    ['never sent', (driver) => driver.request(publishOf(2, 2))],
    ['before PUBREC', () => {}],
    ['after PUBREC', (driver) => driver.receive(ackOf('pubrec', 1))],
  ]
  for (const [stage, prepare] of stages) {
    for (const present of [false, true]) {
      for (const onSessionLost of ['republish', 'fail'] as const) {
        test(`[C10] [C11] ${present ? 1 : 0}, ${onSessionLost}, ${stage}`, () => {
          const driver = connected({ onSessionLost }, { receiveMaximum: 1 })
          driver.request(publishOf(1, 2))
          prepare(driver)
          driver.lose()
          const effects = driver.connect(connackOf(present))
          const sent = wire(effects).slice(1)
          const held = stage === 'never sent'
          if (present) {
            const first = stage === 'after PUBREC' ? 'PUBREL 1' : 'DUP PUBLISH 1 h1'
            expect(sent).toEqual(held ? [first, 'PUBLISH 2 h2'] : [first])
            expect(outcomes(effects)).toEqual([])
          } else if (stage === 'after PUBREC') {
            expect(sent).toEqual([])
            expect(outcomes(effects)).toEqual(['h1 ok'])
          } else if (onSessionLost === 'fail') {
            // Requests that were never sent are sent as usual.
            expect(sent).toEqual(held ? ['PUBLISH 2 h2'] : [])
            expect(outcomes(effects)).toEqual(['h1 SESSION_LOST'])
          } else {
            expect(sent).toEqual(held ? ['PUBLISH 2 h1', 'PUBLISH 3 h2'] : ['PUBLISH 2 h1'])
            expect(outcomes(effects)).toEqual([])
          }
        })
      }
    }
  }

  test('0: subscriptions first, then what waits, publishes in their order; SUBSCRIBE without answer again', () => {
    const driver = connected({}, { receiveMaximum: 2 })
    driver.request(subscribeOf(1, ['held']))
    driver.receive(subackOf(1, 1))
    driver.request(publishOf(2), subscribeOf(3, ['asked']), unsubscribeOf(4, ['gone']))
    driver.request(publishOf(5), publishOf(6))
    driver.lose()
    const effects = driver.connect(connackOf(false))
    expect(wire(effects).slice(1)).toEqual([
      'SUBSCRIBE 6 held',
      'SUBSCRIBE 7 asked',
      'UNSUBSCRIBE 8 gone',
      'PUBLISH 9 h2',
      'PUBLISH 10 h5',
      'PUBLISH 11 h6',
    ])
  })

  test('1: a SUBSCRIBE without its answer is sent again under its identifier', () => {
    const driver = connected()
    driver.request(subscribeOf(1), publishOf(2), unsubscribeOf(3))
    driver.lose()
    expect(wire(driver.connect(connackOf(true))).slice(1)).toEqual([
      'SUBSCRIBE 1 a',
      'DUP PUBLISH 2 h2',
      'UNSUBSCRIBE 3 a',
    ])
  })

  test('cancelled and timed out requests are not republished', () => {
    const driver = connected()
    driver.request(publishOf(1), publishOf(2))
    driver.feed({ type: 'cancel', handle: 1, cause: 9 })
    driver.lose()
    const effects = driver.connect(connackOf(false))
    expect(wire(effects).slice(1)).toEqual(['PUBLISH 3 h2'])
    expect(only(effects, 'settle')).toEqual([
      { type: 'settle', handle: 1, failure: null, packet: null, outcome: false, release: true },
    ])
  })
})

describe('[D6] [C28] a poison message', () => {
  /** Answers the PINGREQ that a cautious connection begins with. */
  function cautious(driver: Driver, present = true): string[] {
    const began = wire(driver.connect(connackOf(present)))
    expect(began).toEqual([expect.stringMatching(/^CONNECT/), 'PINGREQ'])
    return wire(driver.receive(PINGRESP))
  }

  for (const code of [0x81, 0x82, 0x87, 0x90, 0x95, 0x99, 0x9b]) {
    test(`DISCONNECT 0x${code.toString(16)} three times on it alone: quarantined, the others pass`, () => {
      const driver = connected()
      driver.request(...many(1, 3))
      // Three are open, and any of them may be the cause. From now on one is sent at a time.
      driver.receive(byeOf(code))
      driver.lose({ byPeer: true })
      expect(cautious(driver)).toEqual(['DUP PUBLISH 1 h1'])
      expect(wire(driver.receive(ackOf('puback', 1)))).toEqual(['DUP PUBLISH 2 h2'])
      for (let strike = 1; strike <= 3; strike++) {
        const effects = driver.receive(byeOf(code))
        expect(outcomes(effects)).toEqual(strike < 3 ? [] : ['h2 QUARANTINED'])
        if (strike === 3) {
          const [{ failure } = { failure: null }] = only(effects, 'settle')
          expect(failure).toMatchObject({ source: 'refused', reasonCode: code, retryable: false })
        }
        driver.lose({ byPeer: true })
        expect(cautious(driver)).toEqual([strike < 3 ? 'DUP PUBLISH 2 h2' : 'DUP PUBLISH 3 h3'])
      }
      driver.receive(ackOf('puback', 3))
      expect(driver.state.session.cautious).toBe(false)
      expect(wire(driver.request(...many(4, 3))).length).toBe(3)
    })
  }

  const innocent: [string, (driver: Driver) => void][] = [
    ['a network without a route', (driver) => driver.lose(UNREACHABLE)],
    ['a time-out', (driver) => driver.advance(200_000)],
    ['a network that is gone', (driver) => driver.feed({ type: 'network', online: false })],
    ['the user', (driver) => driver.feed({ type: 'reconnect', policy: null })],
  ]
  for (const [name, close] of innocent) {
    test(`${name} counts against nobody, and leaves the window as it is`, () => {
      const driver = connected()
      driver.feed({ type: 'ping', id: 1 })
      driver.receive(PINGRESP)
      driver.request(publishOf(1))
      for (let i = 0; i < 5; i++) {
        close(driver)
        if (driver.state.connection.engaged) driver.lose()
        expect(driver.state.session.cautious).toBe(false)
        expect(wire(driver.connect(connackOf(true))).slice(1)).toEqual(['DUP PUBLISH 1 h1'])
        driver.feed({ type: 'ping', id: 1 })
        driver.receive(PINGRESP)
      }
      expect([...entries(driver.state.session.open)][0]![1].strikes).toBe(0)
    })
  }

  test('a close counts only if this connection had answered a PINGREQ', () => {
    const driver = connected()
    driver.request(publishOf(1))
    for (let i = 0; i < 5; i++) {
      expect(outcomes(driver.receive(byeOf(0x82)))).toEqual([])
      driver.lose({ byPeer: true })
      // The server closed before it answered the PINGREQ.
      expect(wire(driver.connect(connackOf(true))).slice(1)).toEqual(['PINGREQ'])
    }
    expect([...entries(driver.state.session.open)][0]![1].strikes).toBe(SUSPECT)
  })

  test('nothing is sent before the PINGREQ is answered, and no time-out of its own comes of it', () => {
    const driver = connected()
    driver.request(publishOf(1))
    driver.receive(byeOf(0x82))
    driver.lose({ byPeer: true })
    driver.connect(connackOf(true))
    expect(driver.advance(10_000)).toEqual([])
    expect(requestCapacity(driver.state)).toBe(1)
    expect(wire(driver.request(publishOf(2)))).toEqual([])
    expect(requestCapacity(driver.state)).toBe(0)
    expect(wire(driver.receive(PINGRESP))).toEqual(['DUP PUBLISH 1 h1'])
    expect(wire(driver.receive(ackOf('puback', 1)))).toEqual(['PUBLISH 2 h2'])
  })

  test('it does not count while anything else of ours is open', () => {
    const driver = connected({ quarantineAfter: 1 })
    driver.feed({ type: 'ping', id: 1 })
    driver.receive(PINGRESP)
    driver.request(publishOf(1), subscribeOf(2))
    expect(outcomes(driver.receive(byeOf(0x82)))).toEqual([])
    driver.lose({ byPeer: true })
    cautious(driver)
    // Now it is the only one.
    expect(outcomes(driver.receive(byeOf(0x82)))).toEqual(['h1 QUARANTINED'])
  })

  test('a PUBREL is sent alone too, and a server that closes on it quarantines its message', () => {
    const driver = connected({ quarantineAfter: 2 })
    driver.request(publishOf(1, 2), publishOf(2))
    driver.receive(ackOf('pubrec', 1))
    driver.receive(byeOf(0x82))
    for (let strike = 1; strike <= 2; strike++) {
      driver.lose({ byPeer: true })
      expect(cautious(driver)).toEqual(['PUBREL 1'])
      expect(outcomes(driver.receive(byeOf(0x82)))).toEqual(strike < 2 ? [] : ['h1 QUARANTINED'])
    }
    driver.lose({ byPeer: true })
    expect(cautious(driver)).toEqual(['DUP PUBLISH 2 h2'])
  })

  test('the identifier of a quarantined QoS 2 message is not used again, and may be released', () => {
    const driver = connected({ quarantineAfter: 1 }, {})
    driver.request(publishOf(1, 2))
    driver.receive(byeOf(0x82))
    driver.lose({ byPeer: true })
    cautious(driver)
    expect(outcomes(driver.receive(byeOf(0x82)))).toEqual(['h1 QUARANTINED'])
    driver.lose({ byPeer: true })
    expect(wire(driver.connect(connackOf(true))).slice(1)).toEqual(['PINGREQ'])
    expect(lookup(driver.state.session.open, 1)).toMatchObject({ settled: true })
    // The server had the message after all. It can finish the delivery.
    expect(wire(driver.receive(ackOf('pubrec', 1)))).toEqual(['PUBREL 1'])
    driver.receive(ackOf('pubcomp', 1))
    expect(driver.state.session.open.size).toBe(0)
    expect(driver.state.session.owed).toBe(0)
  })

  test('a FIN brings isolation at the first loss, a reset at the second without progress', () => {
    for (const byPeer of [true, false]) {
      const driver = new Driver({ protocolVersion: 4 })
      driver.connect(plainConnack())
      driver.request(publishOf(1))
      driver.lose({ byPeer })
      if (!byPeer) {
        expect(wire(driver.connect(plainConnack(true))).slice(1)).toEqual(['DUP PUBLISH 1 h1'])
        driver.lose({ byPeer })
      }
      for (let strike = 1; strike <= 3; strike++) {
        expect(wire(driver.connect(plainConnack(true))).slice(1)).toEqual(['PINGREQ'])
        expect(wire(driver.receive(PINGRESP))).toEqual(['DUP PUBLISH 1 h1'])
        expect(outcomes(driver.lose({ byPeer }))).toEqual(strike < 3 ? [] : ['h1 QUARANTINED'])
      }
    }
  })

  test('resets among which others are settled bring isolation at the fourth', () => {
    const driver = connected()
    driver.request(publishOf(1))
    for (let n = 1; n <= 4; n++) {
      driver.request(publishOf(1 + n))
      driver.receive(ackOf('puback', 1 + n))
      driver.lose()
      const sent = wire(driver.connect(connackOf(true))).slice(1)
      expect(sent).toEqual([n < 4 ? 'DUP PUBLISH 1 h1' : 'PINGREQ'])
    }
  })

  for (const quarantineAfter of [1, 2, 7]) {
    test(`quarantineAfter ${quarantineAfter}`, () => {
      const driver = connected({ quarantineAfter })
      driver.request(publishOf(1))
      driver.receive(byeOf(0x99))
      driver.lose({ byPeer: true })
      let strikes = 0
      let settled: string[] = []
      while (settled.length === 0 && strikes < 20) {
        cautious(driver)
        settled = outcomes(driver.receive(byeOf(0x99)))
        strikes++
        driver.lose({ byPeer: true })
      }
      expect(strikes).toBe(quarantineAfter)
    })
  }

  test('0: never given up, no caution, sent ever more slowly', () => {
    const driver = connected({ quarantineAfter: 0 })
    driver.request(publishOf(1))
    let waited = 0
    for (let i = 0; i < 12; i++) {
      driver.receive(byeOf(0x99))
      driver.lose({ byPeer: true })
      waited = driver.state.connection.retryAt - driver.at
      expect(wire(driver.connect(connackOf(true))).slice(1)).toEqual(['DUP PUBLISH 1 h1'])
    }
    expect(waited).toBeGreaterThan(10_000)
  })

  test('strikes go with the message when the session is lost, and the republished one is the same request', () => {
    const driver = connected()
    driver.request(publishOf(1))
    driver.receive(byeOf(0x99))
    driver.lose({ byPeer: true })
    cautious(driver, false)
    for (let strike = 1; strike <= 3; strike++) {
      expect(outcomes(driver.receive(byeOf(0x99)))).toEqual(strike < 3 ? [] : ['h1 QUARANTINED'])
      driver.lose({ byPeer: true })
      if (strike < 3) expect(cautious(driver, false)[0]).toMatch(/^PUBLISH \d+ h1$/)
    }
  })

  test('what came after the suspicious close is not sent in between, and the window opens once all before it are settled', () => {
    const driver = connected()
    driver.request(...many(1, 2))
    driver.receive(byeOf(0x99))
    driver.lose({ byPeer: true })
    cautious(driver)
    expect(wire(driver.request(publishOf(3, 0)))).toEqual([])
    driver.receive(ackOf('puback', 1))
    const effects = driver.receive(ackOf('puback', 2))
    expect(wire(effects)).toEqual(['PUBLISH h3'])
    expect(wire(driver.request(...many(4, 5))).length).toBe(5)
  })
})

describe('[C27] cancelling', () => {
  test('before it is sent: the outcome, no identifier, and what follows moves up', () => {
    const driver = connected({}, { receiveMaximum: 1 })
    driver.request(...many(1, 2))
    const effects = driver.feed({ type: 'cancel', handle: 2, cause: 5 })
    expect(outcomes(effects)).toEqual(['h2 CANCELLED'])
    expect(only(effects, 'settle')[0]?.failure?.cause).toBe(5)
    driver.receive(ackOf('puback', 1))
    expect(wire(driver.request(publishOf(3)))).toEqual(['PUBLISH 2 h3'])
  })

  for (const qos of [1, 2] as const) {
    test(`after it is sent at QoS ${qos}: the outcome immediately, identifier and window with the acknowledgement`, () => {
      const driver = connected({}, { receiveMaximum: 1 })
      driver.request(publishOf(1, qos))
      const effects = driver.feed({ type: 'cancel', handle: 1, cause: 5 })
      expect(only(effects, 'settle')).toMatchObject([{ handle: 1, outcome: true, release: false }])
      expect(driver.state.outgoing.inFlight).toBe(1)
      expect(wire(driver.request(publishOf(2)))).toEqual([])
      expect(driver.feed({ type: 'cancel', handle: 1, cause: 5 })).toEqual([])
      if (qos === 2) driver.receive(ackOf('pubrec', 1))
      const late = driver.receive(ackOf(qos === 1 ? 'puback' : 'pubcomp', 1))
      expect(only(late, 'settle')).toMatchObject([{ handle: 1, outcome: false, release: true }])
      expect(wire(late)).toEqual(['PUBLISH 2 h2'])
    })
  }

  test('a handle that is nobody’s is no harm', () => {
    expect(connected().feed({ type: 'cancel', handle: 77, cause: 1 })).toEqual([])
  })
})

describe('ackTimeout', () => {
  const late = (then: 'reconnect' | 'fail') => ({ ackTimeout: { afterMs: 5000, then } })

  test('reconnect: the connection is dropped at the instant, and the message sent again', () => {
    const driver = connected(late('reconnect'))
    driver.request(publishOf(1))
    driver.advance(4999)
    expect(driver.kind).toBe('connected')
    driver.advance(1)
    expect(driver.state.connection.reason?.code).toBe('ACK_TIMEOUT')
    driver.lose()
    expect(wire(driver.connect(connackOf(true))).slice(1)).toEqual(['DUP PUBLISH 1 h1'])
  })

  test('fail: settled at the instant, each at its own; the identifier stays until the acknowledgement', () => {
    const driver = connected(late('fail'), { receiveMaximum: 2 })
    driver.request(publishOf(1))
    driver.advance(1000)
    driver.request(publishOf(2))
    expect(outcomes(driver.advance(3999))).toEqual([])
    expect(outcomes(driver.advance(1))).toEqual(['h1 ACK_TIMEOUT'])
    expect(outcomes(driver.advance(999))).toEqual([])
    expect(outcomes(driver.advance(1))).toEqual(['h2 ACK_TIMEOUT'])
    expect(driver.state.outgoing.inFlight).toBe(2)
    expect(wire(driver.request(publishOf(3)))).toEqual([])
    expect(wire(driver.receive(ackOf('puback', 1)))).toEqual(['PUBLISH 3 h3'])
  })

  test('fail, and then the session ends: released, not republished', () => {
    const driver = connected(late('fail'))
    driver.request(publishOf(1))
    driver.advance(5000)
    driver.lose()
    const effects = driver.connect(connackOf(false))
    expect(wire(effects).slice(1)).toEqual([])
    expect(only(effects, 'settle')).toMatchObject([{ handle: 1, outcome: false, release: true }])
  })

  test('[E3] it stands still in pauses, however many', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 900 }), fc.integer({ min: 1, max: 9000 })), {
          maxLength: 5,
        }),
        (pauses) => {
          const driver = connected({ ...late('fail'), keepAlive: 0 })
          driver.request(publishOf(1))
          let active = 0
          for (const [running, paused] of pauses) {
            expect(outcomes(driver.advance(running))).toEqual([])
            active += running
            driver.feed({ type: 'pause', ms: Infinity })
            expect(outcomes(driver.advance(paused))).toEqual([])
            driver.feed({ type: 'resume' })
          }
          expect(outcomes(driver.advance(5000 - active - 1))).toEqual([])
          expect(outcomes(driver.advance(1))).toEqual(['h1 ACK_TIMEOUT'])
        },
      ),
    )
  })

  test('[E3] the time of a request that is sent while paused begins with the resume', () => {
    const driver = connected({ ...late('fail'), keepAlive: 0 }, { receiveMaximum: 1 })
    driver.request(...many(1, 2))
    driver.feed({ type: 'pause', ms: 60_000 })
    driver.advance(30_000)
    driver.receive(ackOf('puback', 1))
    driver.advance(30_000)
    expect(outcomes(driver.advance(4999))).toEqual([])
    expect(outcomes(driver.advance(1))).toEqual(['h2 ACK_TIMEOUT'])
  })

  test('it begins again with each connection, and counts SUBSCRIBE and a PUBREL that was sent again', () => {
    const driver = connected(late('fail'))
    driver.request(publishOf(1, 2), subscribeOf(2))
    driver.receive(ackOf('pubrec', 1))
    driver.advance(4000)
    driver.lose()
    driver.connect(connackOf(true))
    expect(outcomes(driver.advance(4999))).toEqual([])
    expect(outcomes(driver.advance(1)).sort()).toEqual(['h1 ACK_TIMEOUT', 'h2 ACK_TIMEOUT'])
  })
})

describe('[I3] expiry', () => {
  const at = 1_000_000
  const expiring = (handle: number, ms: number, qos: QoS = 1) =>
    publishOf(handle, qos, { expiresAt: at + ms })
  const seconds = (effects: readonly Effect[]) =>
    only(effects, 'publish').map(({ expirySeconds }) => expirySeconds)

  test('what is sent carries the time that is left, rounded up; none is -1', () => {
    for (const [passed, left] of [
      [0, 60],
      [1, 60],
      [999, 60],
      [1000, 59],
      [59_001, 1],
      [59_999, 1],
    ] as const) {
      const driver = new Driver({ keepAlive: 0 })
      driver.connect(connackOf(false))
      driver.advance(passed)
      expect(seconds(driver.request(expiring(1, 60_000), publishOf(2)))).toEqual([left, -1])
    }
  })

  test('held: it expires at its instant, in the queue, and the others move up', () => {
    const driver = connected({}, { receiveMaximum: 1 })
    driver.request(publishOf(1), expiring(2, 5000))
    expect(outcomes(driver.advance(4999))).toEqual([])
    expect(outcomes(driver.advance(1))).toEqual(['h2 MESSAGE_EXPIRED'])
    driver.receive(ackOf('puback', 1))
    expect(wire(driver.request(publishOf(3)))).toEqual(['PUBLISH 2 h3'])
  })

  test('held without a connection: the same', () => {
    const driver = connected({}, { receiveMaximum: 1 })
    driver.request(publishOf(1), expiring(2, 5000))
    driver.lose({ random: 0.999 })
    driver.open()
    driver.lose({ random: 0.999 })
    expect(outcomes(driver.advance(5000))).toEqual(['h2 MESSAGE_EXPIRED'])
  })

  test('taken too late: refused without an identifier', () => {
    const driver = connected()
    const effects = driver.request(expiring(1, 0), publishOf(2))
    expect(outcomes(effects)).toEqual(['h1 MESSAGE_EXPIRED'])
    expect(wire(effects)).toEqual(['PUBLISH 1 h2'])
  })

  test('in flight it is sent again whatever its age, with a second left at least: the broker may have it', () => {
    const driver = connected()
    driver.request(expiring(1, 60_000))
    driver.advance(20_500)
    driver.lose(UNREACHABLE)
    expect(seconds(driver.connect(connackOf(true)))).toEqual([
      Math.ceil((at + 60_000 - driver.at) / 1000),
    ])
    driver.sleep(100_000)
    driver.lose(UNREACHABLE)
    expect(seconds(driver.connect(connackOf(true)))).toEqual([1])
  })

  test('republished after the session was lost, it may have expired meanwhile', () => {
    const driver = connected()
    driver.request(expiring(1, 5000))
    driver.sleep(6000)
    driver.lose()
    const effects = driver.connect(connackOf(false))
    expect(outcomes(effects)).toEqual(['h1 MESSAGE_EXPIRED'])
    expect(wire(effects).slice(1)).toEqual([])
  })
})

describe('[D2] QoS 0', () => {
  test('settled when the kernel took it, in order, and not before', () => {
    const driver = connected()
    driver.request(publishOf(1, 0), publishOf(2, 0), publishOf(3, 0))
    expect(driver.state.counters.settled).toBe(0)
    expect(driver.feed({ type: 'written', publishes: 2, ping: false, more: true })).toEqual([
      { type: 'confirm', count: 2, failure: null },
    ])
    expect(driver.state.outgoing.unconfirmed).toBe(1)
  })

  test('the connection breaks first: settled with CONNECTION_LOST, and nothing twice when the write ends late', () => {
    const driver = connected()
    driver.request(publishOf(1, 0), publishOf(2, 0))
    const [confirm] = only(driver.receive(byeOf(0x8b)), 'confirm')
    expect(confirm).toMatchObject({
      count: 2,
      failure: { source: 'connection', code: 'CONNECTION_LOST' },
    })
    expect(driver.feed({ type: 'written', publishes: 2, ping: false, more: false })).toEqual([])
    expect(driver.state.counters).toMatchObject({ taken: 2, settled: 2 })
  })
})

describe('[E3] throttle', () => {
  /** @returns the instants of the first transmissions if there is always another request. */
  function sent(perSecond: number, ms: number, qos: QoS): number[] {
    const driver = connected({ keepAlive: 0 })
    driver.feed({ type: 'throttle', perSecond })
    const instants: number[] = []
    let handle = 1
    const note = (effects: readonly Effect[]) => {
      for (const _ of only(effects, 'publish')) instants.push(driver.at)
      const packets: ServerPacket[] = only(effects, 'publish')
        .filter(({ messageId }) => messageId > 0)
        .map(({ messageId }) => ackOf('puback', messageId))
      if (packets.length > 0) driver.receive(...packets)
    }
    for (let passed = 0; passed < ms; passed++) {
      while (requestCapacity(driver.state) > 0) note(driver.request(publishOf(handle++, qos)))
      note(driver.advance(1))
    }
    return instants
  }

  for (const perSecond of [0.5, 1, 5, 10, 33, 100, 1000, 5000]) {
    for (const qos of [0, 1] as const) {
      test(`${perSecond} a second at QoS ${qos}: never more, no burst beyond 100 ms' worth, and not much less`, () => {
        const ms = perSecond < 5 ? 20_000 : perSecond < 1000 ? 2000 : 400
        const instants = sent(perSecond, ms, qos)
        const burst = Math.max(1, perSecond / 10)
        for (const window of [1, 50, 100, 300, ms]) {
          let from = 0
          let most = 0
          instants.forEach((instant, i) => {
            while (instants[from]! <= instant - window) from++
            most = Math.max(most, i - from + 1)
          })
          expect(most).toBeLessThanOrEqual(Math.ceil(burst + (perSecond * window) / 1000))
        }
        expect(instants.length).toBeGreaterThanOrEqual(Math.floor((perSecond * ms) / 1000) - 1)
      })
    }
  }

  test('it bounds first transmissions only: what is sent again, acknowledgements and SUBSCRIBE pass', () => {
    const driver = connected({ keepAlive: 0 })
    driver.request(...many(1, 5))
    driver.feed({ type: 'throttle', perSecond: 1 })
    expect(wire(driver.request(subscribeOf(6)))).toEqual(['SUBSCRIBE 6 a'])
    expect(wire(driver.receive(messageOf(2, 3), ackOf('pubrel', 9)))).toEqual(['PUBCOMP 9 0x92'])
    driver.lose()
    expect(wire(driver.connect(connackOf(true))).length).toBe(1 + 5 + 1)
  })

  test('null lifts it: what waits is sent immediately, in its order', () => {
    const driver = connected({ keepAlive: 0 })
    driver.feed({ type: 'throttle', perSecond: 1 })
    driver.request(publishOf(1))
    driver.request(publishOf(2))
    expect(wire(driver.feed({ type: 'throttle', perSecond: 0 }))).toEqual(['PUBLISH 2 h2'])
    expect(wire(driver.request(...many(3, 3))).length).toBe(3)
  })

  test('with the window full the deadline is not its own: no loop spins', () => {
    const driver = connected({ keepAlive: 0 }, { receiveMaximum: 1 })
    driver.feed({ type: 'throttle', perSecond: 10 })
    driver.request(publishOf(1))
    driver.request(publishOf(2))
    // `advance` throws if a deadline does not move after its tick.
    expect(wire(driver.advance(60_000))).toEqual([])
    expect(wire(driver.receive(ackOf('puback', 1)))).toEqual(['PUBLISH 2 h2'])
  })
})

test('[D2] what is held for a later loop is taken and not sent', () => {
  const driver = connected()
  const facts = [publishOf(1, 0), publishOf(2), subscribeOf(3)]
  expect(driver.feed({ type: 'requests', requests: facts, hold: true })).toEqual([])
  expect(driver.state.session.waiting.map(({ facts: one }) => one.handle)).toEqual([1, 2, 3])
  expect(driver.state.counters).toMatchObject({ taken: 3, settled: 0 })
})

test('[N5] [D2] what the stream gives in the turn in which the loss ended the loop is held', () => {
  const driver = connected({
    reconnect: { when: 'never', minMs: 100, maxMs: 30_000, stableMs: 30_000 },
  })
  driver.lose()
  expect(driver.state.connection.kind).toBe('failed')
  const facts = [publishOf(1, 0), publishOf(2), subscribeOf(3)]
  expect(driver.feed({ type: 'requests', requests: facts, hold: false })).toEqual([])
  expect(driver.state.session.waiting.map(({ facts: one }) => one.handle)).toEqual([1, 2, 3])
  expect(driver.state.counters).toMatchObject({ taken: 3, settled: 0 })
})
