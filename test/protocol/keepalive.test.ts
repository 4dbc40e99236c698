/**
 * Goal: PINGREQs and losses happen when K1 to K3 say. Method: the functions of instants, then the
 * same through `step`.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  deadAt,
  keepAlivePinged,
  keepAliveReading,
  keepAliveReceived,
  keepAliveSent,
  keepAliveStart,
  keepAliveWritten,
  pingDueAt,
} from '../../src/protocol/keepalive.ts'
import type { KeepAliveState } from '../../src/protocol/state.ts'
import { nextDeadline } from '../../src/protocol/timers.ts'
import { connackOf, Driver, messageOf, only, PINGRESP, publishOf, wire } from './support.ts'

const K = 60_000
const T = 1_000_000

function stateOf(over: Partial<KeepAliveState> = {}): KeepAliveState {
  return { ...keepAliveStart(K / 1000, T), ...over }
}

/** The kernel takes everything that was written. */
function written(driver: Driver): void {
  const publishes = driver.state.outgoing.unconfirmed
  const { pinging, pingTakenAt } = driver.state.keepAlive
  driver.feed({ type: 'written', publishes, ping: pinging && pingTakenAt < 0, more: false })
}

describe('[K1] when a PINGREQ is due', () => {
  const table: [string, Partial<KeepAliveState>, number][] = [
    ['nothing has happened', {}, T + K],
    ['only sent since', { sentAt: T + 50 }, T + K],
    ['only received since', { receivedAt: T + 50 }, T + K],
    ['both, last sent', { sentAt: T + 70, receivedAt: T + 50 }, T + 50 + K],
    ['both, last received', { sentAt: T + 50, receivedAt: T + 70 }, T + 50 + K],
    ['one is on its way', { pinging: true }, Infinity],
    [
      'reading is paused: what was received says nothing',
      { readingPaused: true, sentAt: T + 9, receivedAt: T + 2 },
      T + 9 + K,
    ],
    [
      'paused, and one was not answered: the server must hear from us still',
      { readingPaused: true, pinging: true },
      T + K,
    ],
    ['no keep alive', { intervalMs: 0 }, Infinity],
    ['no keep alive and paused', { intervalMs: 0, readingPaused: true }, Infinity],
  ]
  for (const [name, over, due] of table) {
    test(name, () => expect(pingDueAt(stateOf(over))).toBe(due))
  }

  test('[K1] [C05] a function of what was sent, received, pinged, paused, and of nothing else', () => {
    const instants = fc.integer({ min: T, max: T + 10 * K })
    fc.assert(
      fc.property(
        fc.record({
          sentAt: instants,
          receivedAt: instants,
          pinging: fc.boolean(),
          readingPaused: fc.boolean(),
        }),
        fc.record({
          movedAt: instants,
          standsSince: instants,
          pingTakenAt: instants,
          writing: fc.boolean(),
        }),
        (what, whatever) => {
          const due = pingDueAt(stateOf({ ...what, ...whatever }))
          const { sentAt, receivedAt } = what
          const awake = what.pinging ? Infinity : Math.min(sentAt, receivedAt) + K
          expect(due).toBe(what.readingPaused ? sentAt + K : awake)
          // The server gets a packet within keepAlive of the one before, or a PINGREQ is being
          // sent.
          expect(due <= sentAt + K || what.pinging).toBe(true)
        },
      ),
    )
  })

  test('an exchange in both directions spares the ping, one direction alone does not', () => {
    const both = new Driver({ keepAlive: 60 })
    both.connect()
    for (let i = 0; i < 20; i++) {
      both.advance(50_000)
      both.request(publishOf(1 + i, 0))
      both.feed({ type: 'written', publishes: 1, ping: false, more: false })
      both.receive(messageOf(0))
    }
    expect(wire(both.effects)).not.toContain('PINGREQ')

    const inbound = new Driver({ keepAlive: 60 })
    inbound.connect()
    let pinged = 0
    for (let i = 0; i < 20 && pinged === 0; i++) {
      if (wire(inbound.advance(5000)).includes('PINGREQ')) pinged = (i + 1) * 5000
      inbound.receive(messageOf(0))
    }
    expect(pinged).toBe(60_000)

    const outbound = new Driver({ keepAlive: 60 })
    outbound.connect()
    for (let i = 0; i < 12; i++) {
      outbound.request(publishOf(1 + i, 0))
      const effects = outbound.advance(5000)
      expect(wire(effects)).toEqual(i === 11 ? ['PINGREQ'] : [])
    }
  })

  test('paused by a slow consumer: a PINGREQ every keepAlive, answered or not read', () => {
    const driver = new Driver({ keepAlive: 10, maxBufferedPackets: 1 })
    driver.connect()
    expect(driver.state.keepAlive.readingPaused).toBe(true)
    const effects: string[] = []
    for (let i = 0; i < 6; i++) {
      effects.push(...wire(driver.advance(10_000)))
      driver.feed({ type: 'written', publishes: 0, ping: true, more: false })
    }
    expect(effects).toEqual(Array(6).fill('PINGREQ'))
    expect(driver.kind).toBe('connected')
  })
})

describe('[K2] when a connection is dead', () => {
  const table: [string, Partial<KeepAliveState>, number][] = [
    ['nobody has asked', {}, Infinity],
    [
      'asked, the kernel took it: half of keepAlive from there',
      { pinging: true, pingTakenAt: T + 7 },
      T + 7 + K / 2,
    ],
    [
      'asked, stuck behind writes: 1.5 from the last byte',
      { pinging: true, receivedAt: T + 7 },
      T + 7 + 1.5 * K,
    ],
    [
      'asked late, after the clock had jumped: half of keepAlive',
      { pinging: true, pingedAt: T + 9 * K },
      T + 9.5 * K,
    ],
    [
      'asked, stuck, and a write that was backed up moved',
      { pinging: true, movedAt: T + 9 },
      T + 9 + 1.5 * K,
    ],
    [
      'paused: silence proves nothing',
      { readingPaused: true, pinging: true, pingTakenAt: T },
      Infinity,
    ],
    [
      'paused, a write stands still',
      { readingPaused: true, writing: true, standsSince: T + 5 },
      T + 5 + 1.5 * K,
    ],
    ['no keep alive', { intervalMs: 0, pinging: true, pingTakenAt: T }, Infinity],
    [
      'no keep alive, paused, a write stands still',
      { intervalMs: 0, readingPaused: true, writing: true },
      Infinity,
    ],
  ]
  for (const [name, over, dead] of table) {
    test(name, () => expect(deadAt(stateOf(over))).toBe(dead))
  }

  test('[C06] whatever is sent: dead within 1.5 keepAlive of the last byte received, once nothing comes', () => {
    const gaps = fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(gaps, fc.boolean(), (sends, drains) => {
        const driver = new Driver({ keepAlive: 60 })
        driver.connect()
        const heardAt = driver.at
        let droppedAt = 0
        const pass = (ms: number) => {
          const until = driver.at + ms
          while (driver.at < until && driver.kind === 'connected') {
            const due = Math.min(until, nextDeadline(driver.state))
            const effects = driver.advance(due - driver.at)
            if (drains && only(effects, 'pingreq').length > 0) written(driver)
          }
          if (driver.kind !== 'connected') droppedAt ||= driver.at
        }
        for (const [i, gap] of sends.entries()) {
          pass(gap)
          if (driver.kind !== 'connected') break
          driver.request(publishOf(i + 1, 0))
          if (drains) written(driver)
        }
        pass(10 * K)
        expect(droppedAt).toBe(heardAt + 1.5 * K)
        expect(driver.state.connection.reason?.code).toBe('KEEP_ALIVE_TIMEOUT')
      }),
      { numRuns: 200 },
    )
  })

  test('any byte proves that the server is there: a message of hours, a byte a minute', () => {
    const driver = new Driver({ keepAlive: 60 })
    driver.connect()
    for (let i = 0; i < 200; i++) {
      driver.advance(59_000)
      driver.receive()
    }
    expect(driver.kind).toBe('connected')
  })

  test('half of keepAlive counts from when the kernel took the PINGREQ, not from when it was handed over', () => {
    const driver = new Driver({ keepAlive: 60 })
    driver.connect()
    expect(wire(driver.advance(60_000))).toEqual(['PINGREQ'])
    driver.advance(20_000)
    driver.feed({ type: 'written', publishes: 0, ping: true, more: false })
    driver.advance(29_999)
    expect(driver.kind).toBe('connected')
    driver.advance(1)
    expect(driver.kind).toBe('disconnected')
  })

  test('the time starts again when reading is resumed', () => {
    const driver = new Driver({ keepAlive: 60 })
    driver.connect()
    driver.advance(60_000)
    driver.feed({ type: 'written', publishes: 0, ping: true, more: false })
    driver.feed({ type: 'pause', ms: Infinity })
    for (let i = 0; i < 10; i++) {
      driver.advance(K)
      written(driver)
    }
    expect(driver.kind).toBe('connected')
    driver.feed({ type: 'resume' })
    driver.advance(1.5 * K - 1)
    expect(driver.kind).toBe('connected')
    driver.advance(1)
    expect(driver.kind).toBe('disconnected')
  })

  test('while paused a write that stands still for 1.5 keepAlive ends it, one that moves does not', () => {
    const driver = new Driver({ keepAlive: 60 })
    driver.connect()
    driver.feed({ type: 'written', publishes: 0, ping: false, more: false })
    driver.feed({ type: 'pause', ms: Infinity })
    driver.request(publishOf(1, 0))
    for (let i = 0; i < 10; i++) {
      driver.advance(80_000)
      driver.feed({ type: 'written', publishes: 0, ping: false, more: true })
    }
    expect(driver.kind).toBe('connected')
    driver.advance(1.5 * K - 1)
    expect(driver.kind).toBe('connected')
    driver.advance(1)
    expect(driver.kind).toBe('disconnected')
  })
})

describe('[K3] whose keep alive, and clocks that jump', () => {
  for (const [asked, said, holds] of [
    [60, undefined, 60],
    [60, 5, 5],
    [60, 0, 0],
    [0, 20, 20],
    [5, 600, 600],
  ] as const) {
    test(`asked ${asked}, the server says ${said ?? 'nothing'}: ${holds} s [MQTT-3.1.2-21]`, () => {
      const driver = new Driver({ keepAlive: asked })
      driver.connect(connackOf(false, said === undefined ? {} : { serverKeepAlive: said }))
      expect(driver.state.keepAlive.intervalMs).toBe(holds * 1000)
      const effects = driver.advance(holds === 0 ? 86_400_000 : holds * 1000)
      expect(wire(effects)).toEqual(holds === 0 ? [] : ['PINGREQ'])
    })
  }

  test('the next connection has the interval of its own CONNACK', () => {
    const driver = new Driver({ keepAlive: 60 })
    driver.connect(connackOf(false, { serverKeepAlive: 5 }))
    driver.lose()
    driver.connect(connackOf(true))
    expect(driver.state.keepAlive.intervalMs).toBe(60_000)
  })

  for (const hours of [1, 3, 24 * 365]) {
    test(`[C07] ${hours} h in one jump: one decision, one schedule`, () => {
      const asked = new Driver({ keepAlive: 60 })
      asked.connect()
      asked.sleep(hours * 3_600_000)
      expect(wire(asked.tick())).toEqual(['PINGREQ'])
      expect(asked.tick()).toEqual([])
      written(asked)
      expect(asked.advance(K / 2 - 1)).toEqual([])
      asked.receive(PINGRESP)
      expect(asked.kind).toBe('connected')

      const dead = new Driver({ keepAlive: 60 })
      dead.connect()
      dead.advance(60_000)
      dead.feed({ type: 'written', publishes: 0, ping: true, more: false })
      dead.sleep(hours * 3_600_000)
      const effects = [...dead.tick(), ...dead.tick(), ...dead.lose(), ...dead.tick()]
      expect(only(effects, 'close').length).toBe(1)
      expect(only(effects, 'dial')).toEqual([])
      expect(dead.state.counters.reconnections).toEqual({ KEEP_ALIVE_TIMEOUT: 1 })
      expect(dead.state.connection.retryAt).toBeGreaterThan(dead.at)
    })
  }
})

test('the transitions of the state, one by one', () => {
  const s = keepAliveStart(60, T)
  keepAliveSent(s, T + 1)
  expect(s).toMatchObject({ sentAt: T + 1, writing: true, standsSince: T + 1 })
  keepAliveSent(s, T + 2)
  expect(s).toMatchObject({ sentAt: T + 2, standsSince: T + 1 })
  keepAlivePinged(s, T + 2)
  expect(s).toMatchObject({ pinging: true, pingTakenAt: -1 })
  keepAliveWritten(s, T + 3, false, true)
  expect(s).toMatchObject({ pingTakenAt: -1, writing: true })
  keepAliveWritten(s, T + 4, true, false)
  expect(s).toMatchObject({ pingTakenAt: T + 4, writing: false })
  // A second PINGREQ gives no more time.
  keepAlivePinged(s, T + 5)
  keepAliveWritten(s, T + 5, true, false)
  expect(s).toMatchObject({ pingedAt: T + 2, pingTakenAt: T + 4 })
  keepAliveReading(s, T + 5, true)
  keepAliveReading(s, T + 9, false)
  expect(s).toMatchObject({
    readingPaused: false,
    receivedAt: T + 9,
    pinging: false,
    pingTakenAt: -1,
  })
  keepAliveReceived(s, T + 10)
  expect(s).toMatchObject({ receivedAt: T + 10, pinging: false, pingTakenAt: -1 })
})

test('[K2] a server that sends messages and never a PINGRESP keeps its connection, and no memory', () => {
  const driver = new Driver()
  driver.connect(connackOf(false))
  for (let i = 0; i < 300; i++) {
    expect(wire(driver.advance(K))).toContain('PINGREQ')
    driver.receive(messageOf(0))
  }
  expect(driver.kind).toBe('connected')
  expect(driver.state.connection.pings.length).toBeLessThanOrEqual(100)
})
