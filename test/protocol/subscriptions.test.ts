/** Goal: granted subscriptions are kept and renewed. (D5, E1, C13, C40) */
import fc from 'fast-check'
import mqtt, { type ISubscribePacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { Draft } from '../../src/protocol/draft.ts'
import type { Properties, SubscribeFacts } from '../../src/protocol/facts.ts'
import type { HeldSubscription } from '../../src/protocol/session-state.ts'
import {
  makeRenewals,
  restoreSubscriptions,
  subscriptionsOf,
} from '../../src/protocol/subscriptions.ts'
import {
  connackOf,
  Driver,
  failureOf,
  only,
  outcomes,
  plainConnack,
  subackOf,
  subscribeOf,
  unsubackOf,
  unsubscribeOf,
  wire,
} from './support.ts'

function connected(version: 4 | 5 = 5): Driver {
  const driver = new Driver({ protocolVersion: version })
  driver.connect(version === 5 ? connackOf(false) : plainConnack(false))
  return driver
}

const held = (driver: Driver) =>
  subscriptionsOf(driver.state.session.subscriptions).map(
    ({ subscription, granted }) => `${subscription.topic} ${granted}`,
  )

describe('what is held', () => {
  test('what was granted, at the QoS granted; what was refused is not', () => {
    const driver = connected()
    driver.request(subscribeOf(1, ['a', 'b', 'c']))
    const effects = driver.receive(subackOf(1, 2, 0x87, 0))
    expect(held(driver)).toEqual(['a 2', 'c 0'])
    expect(outcomes(effects)).toEqual(['h1 NEGATIVE_ACKNOWLEDGEMENT'])
    expect(driver.state.session.subscriptionCount).toBe(2)
  })

  test('[MQTT-3.8.4-3] the same filter again replaces, and counts once', () => {
    const driver = connected()
    for (const [id, qos] of [
      [1, 0],
      [2, 2],
    ] as const) {
      driver.request(subscribeOf(id, [{ topic: 'a', qos }]))
      driver.receive(subackOf(id, qos))
    }
    expect(held(driver)).toEqual(['a 2'])
    expect(driver.state.session.subscriptionCount).toBe(1)
  })

  test('a refused second SUBSCRIBE leaves the first as it was', () => {
    const driver = connected()
    driver.request(subscribeOf(1), subscribeOf(2))
    driver.receive(subackOf(1, 1), subackOf(2, 0x97))
    expect(held(driver)).toEqual(['a 1'])
  })

  test('UNSUBACK removes what it grants; in 3.1.1 all of it', () => {
    for (const version of [4, 5] as const) {
      const driver = connected(version)
      driver.request(subscribeOf(1, ['a', 'b']))
      driver.receive(subackOf(1, 1, 1))
      driver.request(unsubscribeOf(2, ['a', 'b']))
      driver.receive(version === 4 ? unsubackOf(2) : unsubackOf(2, 0, 0x83))
      expect(held(driver)).toEqual(version === 4 ? [] : ['b 1'])
    }
  })

  test('any history of SUBSCRIBE and UNSUBSCRIBE beside a Map, filters whose hashes meet included', () => {
    // Of 70,000 filters in 65,536 buckets some share one.
    const filters = fc.oneof(
      fc.nat(6).map(String),
      fc.nat(70_000).map((n) => `f/${n}`),
    )
    const steps = fc.array(fc.tuple(filters, fc.boolean(), fc.constantFrom(0, 1, 2, 0x80)), {
      maxLength: 60,
    })
    fc.assert(
      fc.property(steps, (list) => {
        const driver = connected()
        const model = new Map<string, number>()
        list.forEach(([filter, adds, code], i) => {
          const id = i + 1
          driver.request(adds ? subscribeOf(id, [filter]) : unsubscribeOf(id, [filter]))
          driver.receive(adds ? subackOf(id, code) : unsubackOf(id, code & 0x80))
          if (code >= 0x80) return
          model.delete(filter)
          if (adds) model.set(filter, code)
        })
        expect(held(driver)).toEqual([...model].map(([filter, qos]) => `${filter} ${qos}`))
        expect(driver.state.session.subscriptionCount).toBe(model.size)
      }),
      { numRuns: 100 },
    )
  })
})

describe('[D5] [C13] renewal', () => {
  test('Session Present 0: exactly what is held, options and properties included', () => {
    const driver = connected()
    const first = { topic: 'a', qos: 2, nl: true, rap: true, rh: 2 } as const
    const second = { topic: 'b', qos: 0 } as const
    driver.request(subscribeOf(1, [first], { subscriptionIdentifier: 7 }), subscribeOf(2, [second]))
    driver.receive(subackOf(1, 1), subackOf(2, 0))
    driver.lose()
    const effects = only(driver.connect(connackOf(false)), 'subscribe')
    expect(
      effects.map(({ facts }) => [facts.handle, facts.subscriptions, facts.properties]),
    ).toEqual([
      [0, [first], { subscriptionIdentifier: 7 }],
      [0, [second], undefined],
    ])
    // A renewal has no outcome. The other subscriptions stay as they were granted.
    const answers = driver.receive(...effects.map(({ messageId }) => subackOf(messageId, 0)))
    expect(outcomes(answers)).toEqual([])
    expect(only(answers, 'yield').length).toBe(2)
    expect(held(driver)).toEqual(['a 1', 'b 0'])
  })

  test('what the server refuses to renew is warned about and removed', () => {
    const driver = connected()
    driver.request(subscribeOf(1, ['a', 'b']))
    driver.receive(subackOf(1, 1, 1))
    driver.lose()
    driver.connect(connackOf(false))
    const [warning] = only(driver.receive(subackOf(2, 0x87, 1)), 'warn')
    expect(warning?.code).toBe('RENEWAL_REFUSED')
    expect(warning?.message).toContain('"a"')
    expect(held(driver)).toEqual(['b 1'])
  })

  test('a renewal that is cut is not answered: the next lost session asks again, once', () => {
    const driver = connected()
    driver.request(subscribeOf(1))
    driver.receive(subackOf(1, 1))
    for (let i = 0; i < 3; i++) {
      driver.lose({ failure: failureOf({ code: 'ETIMEDOUT' }) })
      const sent = wire(driver.connect(connackOf(false))).slice(1)
      expect(sent).toEqual([expect.stringMatching(/^SUBSCRIBE \d+ a$/)])
    }
    // With Session Present 1 it is sent again, because it was not answered.
    driver.lose({ failure: failureOf({ code: 'ETIMEDOUT' }) })
    expect(wire(driver.connect(connackOf(true))).slice(1).length).toBe(1)
  })

  test('every filter once, in the order it came, in packets within the limit wherever a filter fits', () => {
    const filters = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }), {
      maxLength: 40,
    })
    const properties = fc.constantFrom(
      undefined,
      { subscriptionIdentifier: 1 },
      { userProperties: { a: 'é' } },
    )
    const limits = fc.integer({ min: 20, max: 400 })
    fc.assert(
      fc.property(
        filters,
        fc.array(properties, { minLength: 40, maxLength: 40 }),
        limits,
        (topics, props, limit) => {
          const saved = topics.map(
            (topic, order): HeldSubscription => ({
              subscription: { topic, qos: 1 },
              properties: props[order],
              order,
              granted: 1,
            }),
          )
          const d = draftOf(saved, limit)
          const packets = makeRenewals(d, saved, Infinity)
          const sent = packets.flatMap(({ subscriptions }) => subscriptions)
          const tooLarge = saved.filter((one) => sizeOf([one.subscription], one.properties) > limit)
          const dropped = d.effects.map((effect) => effect.type === 'warn' && effect.code)
          expect(dropped).toEqual(tooLarge.map(() => 'RENEWAL_REFUSED'))
          const kept = saved.filter((one) => !tooLarge.includes(one))
          expect(new Set(sent)).toEqual(new Set(kept.map(({ subscription }) => subscription)))
          expect(sent).toHaveLength(kept.length)
          expect(d.session.subscriptionCount).toBe(kept.length)
          for (const packet of packets) checkPacket(packet, limit, saved)
        },
      ),
    )
  })

  function draftOf(saved: readonly HeldSubscription[], maximumPacketSize: number): Draft {
    const { state } = connected()
    const session = {
      ...state.session,
      subscriptions: restoreSubscriptions(saved),
      subscriptionCount: saved.length,
    }
    const limits = { ...state.connection.limits, maximumPacketSize }
    return new Draft({ ...state, session, connection: { ...state.connection, limits } })
  }

  /** @returns the size that another encoder computes. */
  function sizeOf(
    subscriptions: SubscribeFacts['subscriptions'],
    properties: Properties | undefined,
  ): number {
    const packet = { cmd: 'subscribe', messageId: 1, subscriptions, properties } as ISubscribePacket
    return mqtt.generate(packet, { protocolVersion: 5 }).length
  }

  function checkPacket(packet: SubscribeFacts, limit: number, saved: readonly HeldSubscription[]) {
    expect(packet.bytes).toBe(sizeOf(packet.subscriptions, packet.properties))
    expect(packet.bytes).toBeLessThanOrEqual(limit)
    const orders = packet.subscriptions.map((one) => saved.find((s) => s.subscription === one)!)
    for (let i = 1; i < orders.length; i++)
      expect(orders[i]!.order).toBeGreaterThan(orders[i - 1]!.order)
    for (const { properties } of orders) expect(properties).toEqual(packet.properties)
  }

  test('a hundred thousand: no packet is a giant', () => {
    const saved = Array.from(
      { length: 100_000 },
      (_, order): HeldSubscription => ({
        subscription: { topic: `plant/${order}/+/temperature`, qos: 1 },
        properties: undefined,
        order,
        granted: 1,
      }),
    )
    const packets = makeRenewals(draftOf(saved, 268_435_455), saved, Infinity)
    expect(packets.reduce((sum, { subscriptions }) => sum + subscriptions.length, 0)).toBe(100_000)
    for (const { bytes } of packets) expect(bytes).toBeLessThanOrEqual(65_536)
  })
})

test('[MQTT-3.2.2-15] a filter that the server cannot take at all is warned about and not sent', () => {
  const driver = connected()
  driver.request(subscribeOf(1, ['a'.repeat(100), 'b']))
  driver.receive(subackOf(1, 1, 1))
  driver.lose()
  const effects = driver.connect(connackOf(false, { maximumPacketSize: 60 }))
  expect(wire(effects).slice(1)).toEqual(['SUBSCRIBE 2 b'])
  expect(only(effects, 'warn').map(({ code }) => code)).toEqual(['RENEWAL_REFUSED'])
  expect(held(driver)).toEqual(['b 1'])
})

test('[MQTT-3.2.2-15] a renewal without its answer is checked again by the next CONNACK', () => {
  const driver = connected()
  driver.request(subscribeOf(1, ['a/#', 'b']))
  driver.receive(subackOf(1, 1, 1))
  driver.lose()
  expect(wire(driver.connect(connackOf(false))).slice(1)).toEqual(['SUBSCRIBE 2 a/# b'])
  driver.lose()
  const effects = driver.connect(connackOf(true, { wildcardSubscriptionAvailable: false }))
  expect(wire(effects).slice(1)).toEqual(['SUBSCRIBE 3 b'])
  expect(only(effects, 'warn').map(({ code }) => code)).toEqual(['RENEWAL_REFUSED'])
  expect(held(driver)).toEqual(['b 1'])
})

describe('[E1] adopted sessions', () => {
  test('a session that was adopted has subscriptions that nobody here knows; without it they are gone', () => {
    const driver = new Driver({ resumes: false })
    driver.connect(connackOf(true))
    expect(driver.state.session.adopted).toBe(true)
    driver.lose()
    driver.connect(connackOf(true))
    expect(driver.state.session.adopted).toBe(true)
    driver.lose()
    driver.connect(connackOf(false))
    expect(driver.state.session.adopted).toBe(false)
  })
})
