/**
 * Goal: connections are dropped, lost and closed, and the loop ends, as promised. (D5, N2, E1, E2)
 */
import { describe, expect, test } from 'vitest'
import type { Config } from '../../src/protocol/config.ts'
import type { Effect } from '../../src/protocol/contract.ts'
import {
  ackOf,
  byeOf,
  connackOf,
  Driver,
  failureOf,
  messageOf,
  only,
  plainConnack,
  publishOf,
  subackOf,
  subscribeOf,
  types,
  unsubackOf,
  unsubscribeOf,
  wire,
} from './support.ts'

function connected(over: Partial<Config> = {}, present = false): Driver {
  const driver = new Driver(over)
  driver.connect(connackOf(present))
  return driver
}

/** The consumer takes and handles everything that was yielded. */
function pullAll(driver: Driver): readonly Effect[] {
  const { bufferedPackets: packets, bufferedBytes: bytes } = driver.state.flow
  const through = driver.state.incoming.nextSequence - 1
  return driver.feed({
    type: 'pulled',
    packets,
    bytes,
    yieldedThrough: through,
    handledThrough: through,
  })
}

describe('[E1] until', () => {
  type Until = Config['until']
  const ends: Record<Until, Record<'nothing' | 'subscribed' | 'adopted', boolean>> = {
    idle: { nothing: true, subscribed: false, adopted: false },
    settled: { nothing: true, subscribed: true, adopted: true },
    closed: { nothing: false, subscribed: false, adopted: false },
  }
  for (const [until, bySituation] of Object.entries(ends) as [Until, (typeof ends)[Until]][]) {
    for (const [situation, ended] of Object.entries(bySituation)) {
      test(`${until}, ${situation}: ${ended ? 'ends' : 'goes on'}`, () => {
        const adopted = situation === 'adopted'
        const driver = connected({ until, resumes: false }, adopted)
        if (situation === 'subscribed') {
          driver.request(subscribeOf(1))
          driver.receive(subackOf(1, 0))
        }
        driver.feed({ type: 'requestsEnded' })
        const effects = pullAll(driver)
        expect(wire(effects)).toEqual(ended ? ['DISCONNECT 0x00'] : [])
        expect(driver.kind).toBe(ended ? 'closing' : 'connected')
      })
    }
  }

  const open: [string, (driver: Driver) => void, (driver: Driver) => void][] = [
    [
      'a request without its outcome',
      (d) => d.request(publishOf(1)),
      (d) => d.receive(ackOf('puback', 1)),
    ],
    [
      'a QoS 0 publish that the kernel has not taken',
      (d) => d.request(publishOf(1, 0)),
      (d) => d.feed({ type: 'written', publishes: 1, ping: false, more: false }),
    ],
    ['a packet that is not pulled', (d) => d.receive(messageOf(0)), () => {}],
    ['a message that is not acknowledged', (d) => d.receive(messageOf(1, 1)), () => {}],
    [
      'a QoS 2 message that is not released',
      (d) => {
        d.receive(messageOf(2, 1))
        pullAll(d)
      },
      (d) => d.receive(ackOf('pubrel', 1)),
    ],
    [
      'a subscription',
      (d) => {
        d.request(subscribeOf(1))
        d.receive(subackOf(1, 0))
      },
      (d) => {
        d.request(unsubscribeOf(2))
        d.receive(unsubackOf(2, 0))
      },
    ],
  ]
  for (const [name, prepare, finish] of open) {
    test(`idle waits for ${name}`, () => {
      const driver = connected({ until: 'idle' })
      pullAll(driver)
      prepare(driver)
      driver.feed({ type: 'requestsEnded' })
      expect(driver.kind).toBe('connected')
      finish(driver)
      pullAll(driver)
      expect(driver.kind).toBe('closing')
    })
  }

  test('it is judged after a CONNACK, never without one', () => {
    const driver = new Driver({ until: 'idle' })
    driver.feed({ type: 'requestsEnded' })
    driver.open()
    expect(driver.kind).toBe('connecting')
    driver.lose()
    expect(driver.kind).toBe('disconnected')
    driver.connect(connackOf(false))
    pullAll(driver)
    expect(driver.kind).toBe('closing')
  })

  test('what the consumer of manual does not acknowledge is its own business', () => {
    const driver = connected({ until: 'idle', acks: 'manual' })
    driver.receive(messageOf(1, 1), messageOf(2, 2))
    driver.feed({ type: 'requestsEnded' })
    pullAll(driver)
    expect(driver.kind).toBe('closing')
  })
})

describe('[E2] DISCONNECT', () => {
  const goodbyes: [Partial<Config>, Record<string, unknown>, number, unknown][] = [
    [{ cleanStart: false }, {}, 0, undefined],
    [{ cleanStart: true, resumes: false }, {}, 0, { sessionExpiryInterval: 0 }],
    [{ cleanStart: true, resumes: false }, { sessionExpiryInterval: 0 }, 0, undefined],
    [{ cleanStart: true, resumes: false, sessionExpiryInterval: 0 }, {}, 0, undefined],
    [{ cleanStart: 'always', resumes: false }, {}, 0, { sessionExpiryInterval: 0 }],
    [{ cleanStart: false, generatedClientId: true }, {}, 0, { sessionExpiryInterval: 0 }],
    [{ disconnectReason: 4 }, {}, 4, undefined],
  ]
  for (const [config, connack, reasonCode, properties] of goodbyes) {
    test(`${JSON.stringify(config)}, CONNACK ${JSON.stringify(connack)}: DISCONNECT ${reasonCode} ${JSON.stringify(properties) ?? ''}`, () => {
      const driver = new Driver(config)
      driver.connect(connackOf(false, connack))
      const effects = driver.feed({ type: 'shutdown', failure: null })
      expect(only(effects, 'disconnect')).toEqual([{ type: 'disconnect', reasonCode, properties }])
      expect(only(effects, 'close')).toEqual([{ type: 'close', patient: true }])
    })
  }

  test('3.1.1 has no properties', () => {
    const driver = new Driver({ protocolVersion: 4, cleanStart: true, resumes: false })
    driver.connect(plainConnack())
    const [goodbye] = only(driver.feed({ type: 'shutdown', failure: null }), 'disconnect')
    expect(goodbye?.properties).toBeUndefined()
  })

  test('the server has one second to close, then the transport is destroyed, once', () => {
    const driver = connected()
    driver.feed({ type: 'shutdown', failure: null })
    expect(types(driver.advance(999))).toEqual([])
    expect(types(driver.advance(1))).toEqual(['destroy'])
    expect(types(driver.advance(60_000))).toEqual([])
    expect(driver.lose()).toEqual([{ type: 'finished', failure: null }])
    expect(driver.kind).toBe('closed')
  })

  test('what the loop ends with is what ended it first, whatever the transport says', () => {
    const failure = failureOf({ code: 'FIRST', retryable: false })
    const driver = connected()
    driver.feed({ type: 'shutdown', failure })
    driver.feed({ type: 'shutdown', failure: failureOf({ code: 'SECOND' }) })
    expect(only(driver.lose({ byPeer: true }), 'finished')).toEqual([{ type: 'finished', failure }])
    expect(driver.kind).toBe('failed')
  })

  test('reading goes on, so that the end of the peer is seen', () => {
    const driver = connected({ maxBufferedPackets: 1 })
    expect(driver.state.keepAlive.readingPaused).toBe(true)
    expect(types(driver.feed({ type: 'shutdown', failure: null }))).toContain('resumeReading')
  })

  test('disconnect takes nothing more and lets what is in flight settle, then sends DISCONNECT', () => {
    const driver = connected()
    driver.request(publishOf(1), publishOf(2, 2))
    expect(wire(driver.feed({ type: 'disconnect', timeoutMs: 10_000, failure: null }))).toEqual([])
    driver.receive(ackOf('puback', 1))
    driver.receive(ackOf('pubrec', 2))
    expect(wire(driver.receive(ackOf('pubcomp', 2)))).toEqual(['DISCONNECT 0x00'])
  })

  test('disconnect: at most its timeout, across a lost connection too; the shorter of two counts', () => {
    const driver = connected()
    driver.request(publishOf(1))
    driver.feed({ type: 'disconnect', timeoutMs: 10_000, failure: null })
    driver.feed({ type: 'disconnect', timeoutMs: 5000, failure: null })
    driver.feed({ type: 'disconnect', timeoutMs: 60_000, failure: null })
    driver.advance(2000)
    driver.lose()
    const before = driver.at
    driver.connect(connackOf(true))
    driver.advance(3000 - (driver.at - before) - 1)
    expect(driver.kind).toBe('connected')
    expect(wire(driver.advance(1))).toEqual(['DISCONNECT 0x00'])
    driver.lose()
    expect(driver.kind).toBe('closed')
    // The request is held and not settled. (D2)
    expect(driver.state.session.owed).toBe(1)
  })

  test('disconnect without a connection: at its timeout no DISCONNECT is sent', () => {
    const driver = connected()
    driver.request(publishOf(1))
    driver.lose({ random: 0.99 })
    driver.feed({ type: 'disconnect', timeoutMs: 50, failure: null })
    expect(types(driver.advance(50))).toEqual(['finished'])
  })
})

describe('going down', () => {
  test('the next dial waits until the transport is really gone', () => {
    const driver = connected()
    driver.receive(byeOf(0x8b))
    expect(types(driver.advance(999))).toEqual([])
    expect(types(driver.advance(1))).toEqual(['destroy'])
    expect(types(driver.advance(60_000))).toEqual([])
    expect(driver.lose()).toEqual([])
    expect(types(driver.advance(600))).toEqual(['dial'])
  })

  test('the reason is what we judged, not how the transport ended', () => {
    const driver = connected()
    driver.receive(byeOf(0x8b))
    driver.lose({ failure: failureOf({ code: 'EPIPE' }) })
    expect(driver.state.connection.reason?.code).toBe('SERVER_SHUTTING_DOWN')
    expect(driver.state.counters.reconnections).toEqual({ SERVER_SHUTTING_DOWN: 1 })
  })

  test('a second loss of one transport is none', () => {
    const driver = connected()
    driver.lose()
    const { state } = driver
    expect(driver.lose()).toEqual([])
    expect(driver.state.counters).toEqual(state.counters)
  })

  test('[E3] reconnect: sends DISCONNECT and dials without delay when the transport has closed', () => {
    const driver = connected()
    driver.request(publishOf(1))
    expect(wire(driver.feed({ type: 'reconnect', policy: null }))).toEqual(['DISCONNECT 0x00'])
    expect(types(driver.lose())).toEqual(['dial'])
    driver.feed({ type: 'opened', attempt: null })
    expect(wire(driver.receive(connackOf(true)))).toEqual(['DUP PUBLISH 1 h1'])
  })

  test('[E3] reconnect while the wait for the next attempt runs: dials now; while the old transport closes: as soon as it is gone', () => {
    const waiting = connected()
    waiting.lose()
    expect(types(waiting.feed({ type: 'reconnect', policy: null }))).toEqual(['dial'])
    const dropping = connected()
    dropping.receive(byeOf(0x8b))
    expect(types(dropping.feed({ type: 'reconnect', policy: null }))).toEqual([])
    expect(types(dropping.lose())).toEqual(['dial'])
  })

  test('[I1] malformed input: DISCONNECT with its code in MQTT 5, only closed in 3.1.1', () => {
    for (const version of [4, 5] as const) {
      const driver = new Driver({ protocolVersion: version })
      driver.connect(version === 5 ? connackOf(false) : plainConnack())
      driver.request(publishOf(1))
      const effects = driver.feed({
        type: 'malformed',
        reasonCode: 0x95,
        clause: 'x',
        message: 'x',
      })
      expect(wire(effects)).toEqual(version === 5 ? ['DISCONNECT 0x95'] : [])
      expect(only(effects, 'close')).toEqual([{ type: 'close', patient: false }])
      expect(driver.state.connection.reason).toMatchObject({ source: 'protocol', clause: 'x' })
    }
  })
})
