/**
 * Goal: a state says how many requests may be taken, how many packets decoded, and when the next
 * tick is due.
 */
import { describe, expect, test } from 'vitest'
import type { AttemptStage } from '../../src/protocol/contract.ts'
import { packetCapacity, requestCapacity } from '../../src/protocol/queries.ts'
import { nextDeadline } from '../../src/protocol/timers.ts'
import {
  ackOf,
  byeOf,
  connackOf,
  Driver,
  failureOf,
  messageOf,
  PINGRESP,
  publishOf,
} from './support.ts'

const T = 1_000_000

function connected(over: ConstructorParameters<typeof Driver>[0] = {}): Driver {
  const driver = new Driver(over)
  driver.connect(connackOf(false))
  return driver
}

describe('[D4] intake', () => {
  const none: [string, () => Driver][] = [
    ['before the first next()', () => new Driver()],
    ['while connecting', () => begun((d) => d.open())],
    ['before births are in', () => connected({ hasBirths: true })],
    [
      'while paused',
      () =>
        begun(
          (d) => d.connect(),
          (d) => d.feed({ type: 'pause', ms: 5 }),
        ),
    ],
    [
      'while the transport is full',
      () =>
        begun(
          (d) => d.connect(),
          (d) => d.feed({ type: 'congestion', congested: true }),
        ),
    ],
    [
      'after the stream ended',
      () =>
        begun(
          (d) => d.connect(),
          (d) => d.feed({ type: 'requestsEnded' }),
        ),
    ],
    [
      'while draining',
      () =>
        begun(
          (d) => d.connect(),
          (d) => d.request(publishOf(1)),
          (d) => d.feed({ type: 'disconnect', timeoutMs: 9, failure: null }),
        ),
    ],
    [
      'without a connection',
      () =>
        begun(
          (d) => d.connect(),
          (d) => d.lose(),
        ),
    ],
    ['when it is over', () => begun((d) => d.feed({ type: 'shutdown', failure: null }))],
  ]
  for (const [name, make] of none)
    test(`${name}: nothing`, () => expect(requestCapacity(make().state)).toBe(0))

  test('the window and one more; nothing while something waits', () => {
    const driver = connected({ maxInflight: 3 })
    const seen = [requestCapacity(driver.state)]
    for (let handle = 1; handle <= 4; handle++) {
      driver.request(publishOf(handle))
      seen.push(requestCapacity(driver.state))
    }
    expect(seen).toEqual([4, 3, 2, 1, 0])
    driver.receive(ackOf('puback', 1))
    expect(requestCapacity(driver.state)).toBe(1)
  })

  test('one at a time under throttle, in caution and while things are sent again', () => {
    const throttled = connected()
    throttled.feed({ type: 'throttle', perSecond: 9 })
    expect(requestCapacity(throttled.state)).toBe(1)
    const cautious = connected()
    cautious.request(publishOf(1))
    cautious.receive(byeOf(0x82))
    cautious.lose()
    cautious.connect(connackOf(true))
    expect(requestCapacity(cautious.state)).toBe(1)
    const resending = connected()
    resending.request(publishOf(1), publishOf(2))
    resending.lose()
    resending.connect(connackOf(true, { receiveMaximum: 1 }))
    expect(requestCapacity(resending.state)).toBe(1)
  })
})

describe('room', () => {
  test('one packet before CONNACK; then what fits; nothing while paused or without a connection', () => {
    const driver = new Driver({ maxBufferedPackets: 4 })
    expect(packetCapacity(driver.state)).toBe(0)
    driver.open()
    expect(packetCapacity(driver.state)).toBe(1)
    driver.receive(connackOf())
    expect(packetCapacity(driver.state)).toBe(3)
    driver.receive(messageOf(0), messageOf(0), messageOf(0))
    expect(packetCapacity(driver.state)).toBe(0)
    driver.lose()
    expect(packetCapacity(driver.state)).toBe(0)
  })
})

describe('deadline', () => {
  const table: [string, () => Driver, number][] = [
    ['idle', () => new Driver(), Infinity],
    ['connecting: connectTimeout', () => begun((d) => d.feed({ type: 'start' })), T + 10_000],
    ['connecting, opened: the same instant', () => begun((d) => d.open()), T + 10_000],
    ['connected: the ping', () => connected(), T + 60_000],
    ['connected without keep alive: never', () => connected({ keepAlive: 0 }), Infinity],
    [
      'dropped: when the transport is destroyed',
      () =>
        begun(
          (d) => d.connect(),
          (d) => d.receive(byeOf(0x8b)),
        ),
      T + 1000,
    ],
    [
      'waiting: the next attempt',
      () =>
        begun(
          (d) => d.connect(),
          (d) => d.lose(),
        ),
      T + 600,
    ],
    [
      'closing: when the transport is destroyed',
      () =>
        begun(
          (d) => d.connect(),
          (d) => d.feed({ type: 'shutdown', failure: null }),
        ),
      T + 1000,
    ],
    ['closed', () => begun((d) => d.feed({ type: 'shutdown', failure: null })), Infinity],
    [
      'failed',
      () =>
        begun(
          (d) => d.open(),
          (d) => d.lose({ failure: failureOf({ retryable: false }) }),
        ),
      Infinity,
    ],
    [
      'draining',
      () =>
        begun(
          (d) => d.connect(),
          (d) => d.request(publishOf(1)),
          (d) => d.feed({ type: 'disconnect', timeoutMs: 777, failure: null }),
        ),
      T + 777,
    ],
    [
      'paused for a while',
      () =>
        begun(
          (d) => d.connect(),
          (d) => d.feed({ type: 'pause', ms: 333 }),
        ),
      T + 333,
    ],
    ['a message waits that expires', () => held({ expiresAt: T + 222 }), T + 222],
    ['throttled, one waits', () => throttled(), T + 1000],
    ['ackTimeout', () => late({}), T + 5000],
    [
      'ackTimeout, paused: only the ping',
      () => late({}, (d) => d.feed({ type: 'pause', ms: Infinity })),
      T + 60_000,
    ],
    [
      'a PINGREQ was taken',
      () =>
        begun(
          (d) => d.connect(),
          (d) => d.feed({ type: 'ping', id: 1 }),
          (d) => d.feed({ type: 'written', publishes: 0, ping: true, more: false }),
        ),
      T + 30_000,
    ],
    ['the consumer stalls', () => begun2({ maxBufferedPackets: 1, keepAlive: 0 }), T + 30_000],
    [
      'an acknowledgement is forgotten',
      () => begun2({ acks: 'manual', keepAlive: 0 }, (d) => d.receive(messageOf(1, 1))),
      T + 30_000,
    ],
  ]
  for (const [name, make, due] of table) {
    test(name, () => expect(nextDeadline(make().state)).toBe(due))
  }

  test('connectTimeout: dropped at the instant, destroyed, retried', () => {
    for (const opened of [false, true]) {
      const driver = new Driver()
      driver.feed({ type: 'start' })
      if (opened) driver.feed({ type: 'opened', attempt: null })
      driver.advance(9999)
      expect(driver.kind).toBe('connecting')
      const kinds = driver.advance(1).map(({ type }) => type)
      expect(kinds).toEqual(['close', 'destroy'])
      expect(driver.state.connection.reason).toMatchObject({
        code: 'CONNECT_TIMEOUT',
        phase: opened ? 'handshake' : 'dial',
        retryable: true,
      })
    }
  })

  test('[T2] connectTimeout: the message says the server and what was missing', () => {
    const messageOf = (prepare: (driver: Driver) => void, stage: AttemptStage) => {
      const driver = new Driver()
      driver.feed({ type: 'start' })
      prepare(driver)
      driver.sleep(10_000)
      driver.feed({ type: 'tick', attempt: { where: 'mqtts://h:8883', stage } })
      return driver.state.connection.reason!.message
    }
    const stages = {
      options: /connectOptions/,
      lookup: /name lookup/,
      tcp: /TCP connection/,
      unix: /Unix socket/,
      tls: /TLS handshake/,
      upgrade: /WebSocket upgrade/,
      transport: /the transport is not open/,
    } as const satisfies Record<AttemptStage, RegExp>
    for (const [stage, words] of Object.entries(stages)) {
      const message = messageOf(() => {}, stage as AttemptStage)
      expect(message).toContain('mqtts://h:8883 within 10000 ms (connectTimeout)')
      expect(message).toMatch(words)
      expect(message).not.toContain('CONNACK')
    }
    const opened = messageOf((driver) => driver.feed({ type: 'opened', attempt: null }), 'tls')
    expect(opened).toMatch(/mqtts:\/\/h:8883 .* no CONNACK/)
  })

  test('what was answered is no deadline any more', () => {
    const driver = connected()
    driver.feed({ type: 'ping', id: 1 })
    driver.feed({ type: 'written', publishes: 0, ping: true, more: false })
    driver.receive(PINGRESP)
    expect(nextDeadline(driver.state)).toBe(T + 60_000)
  })
})

function begun(...steps: readonly ((driver: Driver) => void)[]): Driver {
  const driver = new Driver()
  for (const one of steps) one(driver)
  return driver
}

function begun2(
  over: ConstructorParameters<typeof Driver>[0],
  then?: (driver: Driver) => void,
): Driver {
  const driver = connected(over)
  then?.(driver)
  return driver
}

function held(over: Parameters<typeof publishOf>[2]): Driver {
  const driver = connected({ maxInflight: 1 })
  driver.request(publishOf(1), publishOf(2, 1, over))
  return driver
}

function throttled(): Driver {
  const driver = connected()
  driver.feed({ type: 'throttle', perSecond: 1 })
  driver.request(publishOf(1))
  driver.request(publishOf(2))
  return driver
}

function late(
  over: ConstructorParameters<typeof Driver>[0],
  then?: (driver: Driver) => void,
): Driver {
  const driver = connected({ ackTimeout: { afterMs: 5000, then: 'fail' }, ...over })
  driver.request(publishOf(1))
  then?.(driver)
  return driver
}
