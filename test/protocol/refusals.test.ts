/** Goal: a request that the server must refuse fails before it is sent. (I3, D6, C28, C40) */
import { describe, expect, test } from 'vitest'
import type { RequestFacts } from '../../src/protocol/facts.ts'
import { DEFAULT_LIMITS } from '../../src/protocol/handshake.ts'
import { isExpired, refusalOf } from '../../src/protocol/refusals.ts'
import {
  ackOf,
  connackOf,
  Driver,
  outcomes,
  publishOf,
  subscribeOf,
  unsubscribeOf,
  wire,
} from './support.ts'

const at = 1_000_000

/**
 * A limit of the CONNACK, a request that breaks it, one that does not, and the reason code of the
 * refusal.
 */
const table: [Record<string, unknown>, bad: RequestFacts, good: RequestFacts, string, number][] = [
  [
    { maximumPacketSize: 100 },
    publishOf(1, 1, { bytes: 101 }),
    publishOf(1, 1, { bytes: 100 }),
    'PACKET_TOO_LARGE',
    0x95,
  ],
  [{ maximumPacketSize: 29 }, subscribeOf(1), publishOf(1), 'PACKET_TOO_LARGE', 0x95],
  [{ maximumPacketSize: 29 }, unsubscribeOf(1), publishOf(1), 'PACKET_TOO_LARGE', 0x95],
  [{ maximumQoS: 0 }, publishOf(1, 1), publishOf(1, 0), 'QOS_NOT_SUPPORTED', 0x9b],
  [{ maximumQoS: 1 }, publishOf(1, 2), publishOf(1, 1), 'QOS_NOT_SUPPORTED', 0x9b],
  [
    { retainAvailable: false },
    publishOf(1, 0, { retain: true }),
    publishOf(1, 0),
    'RETAIN_NOT_SUPPORTED',
    0x9a,
  ],
  [
    { wildcardSubscriptionAvailable: false },
    subscribeOf(1, ['ok', 'a/+']),
    subscribeOf(1, ['a']),
    'WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED',
    0xa2,
  ],
  [
    { wildcardSubscriptionAvailable: false },
    subscribeOf(1, ['#']),
    unsubscribeOf(1, ['#']),
    'WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED',
    0xa2,
  ],
  [
    { sharedSubscriptionAvailable: false },
    subscribeOf(1, ['$share/g/a']),
    subscribeOf(1, ['share/g/a']),
    'SHARED_SUBSCRIPTIONS_NOT_SUPPORTED',
    0x9e,
  ],
  [
    { subscriptionIdentifiersAvailable: false },
    subscribeOf(1, ['a'], { subscriptionIdentifier: 3 }),
    subscribeOf(1, ['a'], {}),
    'SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED',
    0xa1,
  ],
]

describe('[C40] what the CONNACK rules out is refused here, with its reason code', () => {
  for (const [properties, bad, good, code, reasonCode] of table) {
    test(`${JSON.stringify(properties)}, ${bad.kind}: ${code}`, () => {
      const limits = { ...DEFAULT_LIMITS, ...properties }
      expect(refusalOf(bad, limits, at)).toMatchObject({
        phase: 'request',
        source: 'refused',
        code,
        reasonCode,
        retryable: false,
      })
      expect(refusalOf(good, limits, at)).toBeNull()
      expect(refusalOf(bad, DEFAULT_LIMITS, at)).toBeNull()
      const driver = new Driver()
      driver.connect(connackOf(false, properties))
      const effects = driver.request(bad, { ...good, handle: 2 })
      // [D6] The request uses no packet identifier and delays no other.
      expect(outcomes(effects)).toEqual([`h1 ${code}`])
      expect(wire(effects).length).toBe(1)
      expect(driver.state.session.open.size).toBe(wire(effects)[0] === 'PUBLISH h2' ? 0 : 1)
    })
  }
})

describe('[C28] limits that change with the connection', () => {
  for (const present of [false, true]) {
    test(`in flight and too large for the new server, Session Present ${Number(present)}: it fails alone`, () => {
      const driver = new Driver()
      driver.connect(connackOf(false))
      driver.request(publishOf(1, 1, { bytes: 500 }), publishOf(2))
      driver.lose()
      const effects = driver.connect(connackOf(present, { maximumPacketSize: 100 }))
      expect(outcomes(effects)).toEqual(['h1 PACKET_TOO_LARGE'])
      expect(wire(effects).slice(1)).toEqual([present ? 'DUP PUBLISH 2 h2' : 'PUBLISH 3 h2'])
    })
  }

  test('a PUBREL is small: a flow past PUBREC goes on whatever the limits', () => {
    const driver = new Driver()
    driver.connect(connackOf(false))
    driver.request(publishOf(1, 2, { bytes: 500 }))
    driver.receive(ackOf('pubrec', 1))
    driver.lose()
    const effects = driver.connect(connackOf(true, { maximumPacketSize: 100, maximumQoS: 0 }))
    expect(wire(effects).slice(1)).toEqual(['PUBREL 1'])
    expect(outcomes(effects)).toEqual([])
  })

  test('a SUBSCRIBE without its answer that the new server cannot take fails alone', () => {
    const driver = new Driver()
    driver.connect(connackOf(false))
    driver.request(subscribeOf(1, ['a/+']), publishOf(2))
    driver.lose()
    const effects = driver.connect(connackOf(true, { wildcardSubscriptionAvailable: false }))
    expect(outcomes(effects)).toEqual(['h1 WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED'])
    expect(wire(effects).slice(1)).toEqual(['DUP PUBLISH 2 h2'])
  })
})

describe('[I3] expired', () => {
  test('at its instant and after, never before; 0 is never; only messages expire', () => {
    const message = publishOf(1, 1, { expiresAt: at })
    expect([at - 1, at, at + 1].map((now) => isExpired(message, now))).toEqual([false, true, true])
    expect(isExpired(publishOf(1), Number.MAX_SAFE_INTEGER)).toBe(false)
    expect(isExpired(subscribeOf(1), Number.MAX_SAFE_INTEGER)).toBe(false)
    expect(refusalOf(message, DEFAULT_LIMITS, at)).toMatchObject({
      code: 'MESSAGE_EXPIRED',
      source: 'connection',
    })
  })
})
