/**
 * Goal: messages are acknowledged in order, yielded once, counted and resolved. (R1, R2, R6, C20,
 * C21, C29, C30)
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Config } from '../../src/protocol/config.ts'
import type { QoS } from '../../src/protocol/facts.ts'
import { nextDeadline } from '../../src/protocol/timers.ts'
import { startLoop } from '../support/loop.ts'
import {
  ackOf,
  connackOf,
  Driver,
  messageOf,
  only,
  plainConnack,
  types,
  wire,
  yielded,
} from './support.ts'

function connected(over: Partial<Config> = {}, present = false): Driver {
  const driver = new Driver(over)
  driver.connect(over.protocolVersion === 4 ? plainConnack(present) : connackOf(present))
  return driver
}

/** The same with a server that must keep every rule. */
function strict(over: Partial<Config> = {}, present = false): Driver {
  return connected({ ...over, tolerance: 'strict' }, present)
}

/**
 * The consumer asks for the next packet, after it was given and has handled messages up to these
 * sequences.
 */
function pull(driver: Driver, yieldedThrough: number, handledThrough = yieldedThrough) {
  return driver.feed({ type: 'pulled', packets: 0, bytes: 0, yieldedThrough, handledThrough })
}

function ack(driver: Driver, sequence: number, messageId: number, reasonCode = 0) {
  return driver.feed({ type: 'ack', sequence, messageId, reasonCode })
}

describe('[R1] when a message is acknowledged', () => {
  const table: Record<
    Config['acks'],
    Record<1 | 2, [arrived: string[], pulled: string[], acked: string[]]>
  > = {
    none: { 1: [[], [], ['PUBACK 9']], 2: [[], [], ['PUBREC 9']] },
    pull: { 1: [[], ['PUBACK 9'], []], 2: [[], ['PUBREC 9'], []] },
    receipt: { 1: [['PUBACK 9'], [], []], 2: [['PUBREC 9'], [], []] },
    manual: { 1: [[], [], ['PUBACK 9']], 2: [[], [], ['PUBREC 9']] },
  }
  for (const [acks, byQoS] of Object.entries(table) as [
    Config['acks'],
    (typeof table)[Config['acks']],
  ][]) {
    for (const qos of [1, 2] as const) {
      const [onArrival, onPull, onAck] = byQoS[qos]
      test(`${acks}, QoS ${qos}: ${onArrival[0] ? 'as it arrives' : onPull[0] ? 'when it was handled' : 'by ack()'}`, () => {
        const driver = connected({ acks })
        const effects = driver.receive(messageOf(qos, 9))
        expect(wire(effects)).toEqual(onArrival)
        expect(yielded(effects).length).toBe(1)
        // A message that was yielded is not handled yet.
        expect(wire(pull(driver, 1, 0))).toEqual([])
        expect(wire(pull(driver, 1, acks === 'pull' ? 1 : 0))).toEqual(onPull)
        expect(wire(ack(driver, 1, 9))).toEqual(onAck)
        expect(wire(ack(driver, 1, 9))).toEqual([])
        expect(driver.state.incoming.unacknowledged).toBe(qos === 1 ? 0 : 1)
      })
    }
  }

  test('pull: what was pulled and not handled stays unacknowledged when the loop ends', () => {
    const driver = connected()
    driver.receive(messageOf(1, 1), messageOf(2, 2), messageOf(1, 3))
    expect(wire(pull(driver, 2, 1))).toEqual(['PUBACK 1'])
    expect(wire(driver.feed({ type: 'shutdown', failure: null }))).toEqual(['DISCONNECT 0x00'])
  })

  test('pull: ack() before the next pull is allowed, out of the order too, and leaves in the order received', () => {
    const driver = connected()
    driver.receive(messageOf(1, 1), messageOf(1, 2))
    expect(wire(ack(driver, 2, 2))).toEqual([])
    expect(wire(ack(driver, 1, 1))).toEqual(['PUBACK 1', 'PUBACK 2'])
  })

  test('[C21] [MQTT-4.6.0-2] [MQTT-4.6.0-3] any permutation of ack() leaves in the order received, once', () => {
    const scripts = fc
      .array(fc.constantFrom<QoS>(1, 2), { minLength: 1, maxLength: 12 })
      .chain((qos) => fc.tuple(fc.constant(qos), fc.shuffledSubarray(qos.map((_, i) => i))))
    fc.assert(
      fc.property(scripts, fc.boolean(), ([list, order], twice) => {
        const driver = connected({ acks: 'manual' })
        driver.receive(...list.map((qos, i) => messageOf(qos, i + 1)))
        const sent = order.flatMap((i) => [
          ...wire(ack(driver, i + 1, i + 1)),
          ...(twice ? wire(ack(driver, i + 1, i + 1)) : []),
        ])
        const earned = new Set(order)
        let head = 0
        while (earned.has(head)) head++
        const words = list.map((qos, i) => `${qos === 1 ? 'PUBACK' : 'PUBREC'} ${i + 1}`)
        expect(sent).toEqual(words.slice(0, head))
      }),
    )
  })

  test('a negative code frees the message immediately', () => {
    const driver = connected({ acks: 'manual', receiveMaximum: 2 })
    driver.receive(messageOf(1, 1), messageOf(2, 2))
    expect(wire(ack(driver, 1, 1, 0x83))).toEqual(['PUBACK 1 0x83'])
    expect(wire(ack(driver, 2, 2, 0x97))).toEqual(['PUBREC 2 0x97'])
    expect(driver.state.incoming.unacknowledged).toBe(0)
    expect(driver.state.session.received.size).toBe(0)
    // After a refusal the packet identifier is free for a new QoS 2 message. [MQTT-4.3.3-9]
    expect(yielded(driver.receive(messageOf(2, 2))).length).toBe(1)
  })

  test('[C20] an ack() for an older connection neither counts nor blocks; the redelivery has its own', () => {
    const driver = connected({ acks: 'manual' })
    driver.receive(messageOf(1, 1), messageOf(1, 2))
    pull(driver, 2, 0)
    driver.lose()
    driver.connect(connackOf(true))
    driver.receive(messageOf(1, 1, { dup: true }), messageOf(1, 2, { dup: true }))
    expect(wire(ack(driver, 1, 1))).toEqual([])
    expect(wire(ack(driver, 2, 2))).toEqual([])
    expect(wire(ack(driver, 3, 1))).toEqual(['PUBACK 1'])
    expect(wire(ack(driver, 4, 2))).toEqual(['PUBACK 2'])
  })

  test('[C21] a forgotten acknowledgement is warned about once for each message, at its age and not before', () => {
    const driver = connected({ acks: 'manual', warnAfterMs: 5000, keepAlive: 0 })
    driver.receive(messageOf(1, 1))
    driver.advance(1000)
    driver.receive(messageOf(1, 2))
    expect(types(driver.advance(3999))).toEqual([])
    expect(only(driver.advance(1), 'warn').map(({ code }) => code)).toEqual([
      'ACKNOWLEDGEMENT_FORGOTTEN',
    ])
    expect(types(driver.advance(60_000))).toEqual([])
    ack(driver, 1, 1)
    expect(only(driver.advance(0), 'warn').length).toBe(1)
    expect(types(driver.advance(60_000))).toEqual([])
    expect(nextDeadline(driver.state)).toBe(Infinity)
  })
})

describe('[R2] exactly once', () => {
  test('[MQTT-4.3.3-10] a repeat on one connection: acknowledged again once it may be, delivered once', () => {
    const driver = connected()
    driver.receive(messageOf(2, 5))
    expect(yielded(driver.receive(messageOf(2, 5, { dup: true })))).toEqual([])
    expect(wire(driver.effects)).not.toContain('PUBREC 5')
    expect(wire(pull(driver, 1))).toEqual(['PUBREC 5'])
    const again = driver.receive(messageOf(2, 5, { dup: true }))
    expect([wire(again), yielded(again)]).toEqual([['PUBREC 5'], []])
    expect(wire(driver.receive(ackOf('pubrel', 5)))).toEqual(['PUBCOMP 5'])
    expect(yielded(driver.receive(messageOf(2, 5))).length).toBe(1)
  })

  type Stage = 'not taken' | 'in hand' | 'handled' | 'released'
  const expectations: Record<
    Stage,
    Record<'present' | 'gone', { again: boolean; acks: string[] }>
  > = {
    'not taken': { present: { again: true, acks: [] }, gone: { again: true, acks: [] } },
    'in hand': { present: { again: false, acks: [] }, gone: { again: true, acks: [] } },
    handled: { present: { again: false, acks: ['PUBREC 5'] }, gone: { again: true, acks: [] } },
    released: { present: { again: true, acks: [] }, gone: { again: true, acks: [] } },
  }
  for (const [stage, byPresence] of Object.entries(expectations)) {
    for (const [presence, { again, acks }] of Object.entries(byPresence)) {
      test(`${stage}, session ${presence}: the redelivery is ${again ? 'yielded' : 'not yielded'}`, () => {
        const driver = connected()
        driver.receive(messageOf(2, 5))
        if (stage !== 'not taken') pull(driver, 1, 0)
        if (stage === 'handled' || stage === 'released') pull(driver, 1, 1)
        if (stage === 'released') driver.receive(ackOf('pubrel', 5))
        driver.lose()
        driver.connect(connackOf(presence === 'present'))
        const effects = driver.receive(messageOf(2, 5, { dup: true }))
        expect(yielded(effects).length).toBe(again ? 1 : 0)
        expect(wire(effects)).toEqual(acks)
        const [offer] = only(effects, 'yield')
        if (stage === 'not taken' && presence === 'present') {
          expect(offer).toMatchObject({ deliveryId: 1, redelivered: false })
        }
        if (stage === 'released' || presence === 'gone') expect(offer?.deliveryId).toBe(2)
      })
    }
  }

  test('unhandled while it is redelivered: handling it acknowledges the redelivery', () => {
    for (const acks of ['pull', 'manual'] as const) {
      const driver = connected({ acks })
      driver.receive(messageOf(2, 5))
      pull(driver, 1, 0)
      driver.lose()
      driver.connect(connackOf(true))
      driver.receive(messageOf(2, 5, { dup: true }))
      const effects = acks === 'pull' ? pull(driver, 1) : ack(driver, 1, 5)
      expect(wire(effects)).toEqual(['PUBREC 5'])
      expect(driver.state.incoming.unhandledEarlier).toBe(0)
    }
  })

  test('handled before it is redelivered: acknowledged as it comes', () => {
    for (const acks of ['pull', 'manual'] as const) {
      const driver = connected({ acks })
      driver.receive(messageOf(2, 5))
      pull(driver, 1, 0)
      driver.lose()
      expect(wire(acks === 'pull' ? pull(driver, 1) : ack(driver, 1, 5))).toEqual([])
      driver.connect(connackOf(true))
      const effects = driver.receive(messageOf(2, 5, { dup: true }))
      expect([wire(effects), yielded(effects)]).toEqual([['PUBREC 5'], []])
    }
  })

  test('[R2] a QoS 2 message and the end of its connection in one chunk: yielded once', async () => {
    for (const behind of [
      { cmd: 'disconnect', reasonCode: 0x8b } as const,
      new Uint8Array([0xff, 0]),
    ]) {
      const started = startLoop(
        { cleanStart: false, session: 'adopt', until: 'closed', reconnect: 'always' },
        [],
      )
      const { clock, server, loop, received } = started
      await clock.settle()
      server.autoConnack = { sessionPresent: true }
      const message = {
        cmd: 'publish',
        topic: 't',
        payload: 'x',
        messageId: 7,
        retain: false,
      } as const
      server.current.send({ ...message, qos: 2, dup: false }, behind)
      await clock.advance(60_000)
      server.current.send({ ...message, qos: 2, dup: true })
      await clock.settle()
      expect(received.filter(({ cmd }) => cmd === 'publish').length).toBe(1)
      await server.current.expectPacket('pubcomp')
      await loop.return()
    }
  })

  test('PUBREL: known and acknowledged 0, unknown 0x92 [MQTT-4.3.3-11], before PUBREC a violation', () => {
    const driver = strict()
    const unknown = driver.receive(ackOf('pubrel', 77))
    expect(wire(unknown)).toEqual(['PUBCOMP 77 0x92'])
    expect(yielded(unknown).length).toBe(1)
    driver.receive(messageOf(2, 5))
    expect(wire(driver.receive(ackOf('pubrel', 5)))).toEqual(['DISCONNECT 0x82'])
    expect(driver.kind).toBe('disconnected')
  })

  test('an identifier that a QoS 2 message has cannot be a QoS 1 message’s [MQTT-2.2.1-4]', () => {
    const driver = strict()
    driver.receive(messageOf(2, 5))
    expect(wire(driver.receive(messageOf(1, 5)))).toEqual(['DISCONNECT 0x82'])
  })
})

describe('[R6] a drop before the consumer took it', () => {
  for (const present of [false, true]) {
    test(`Session Present ${Number(present)}: withheld, then ${present ? 'dropped in favour of the redelivery' : 'yielded; its ack is stale'}`, () => {
      const driver = connected()
      driver.receive(messageOf(1, 1), messageOf(2, 2))
      expect(types(driver.lose())).toContain('holdBack')
      const effects = driver.connect(connackOf(present))
      expect(only(effects, 'releaseHeldBack')).toEqual([
        { type: 'releaseHeldBack', drop: present, before: 3 },
      ])
      // This comes before the CONNACK is yielded, so that the released messages come first.
      const kinds = types(effects)
      expect(kinds.indexOf('releaseHeldBack')).toBeLessThan(kinds.indexOf('yield'))
      expect(wire(pull(driver, 2))).toEqual([])
      const again = driver.receive(messageOf(1, 1, { dup: true }), messageOf(2, 2, { dup: true }))
      expect(yielded(again).length).toBe(2)
    })
  }
})

describe('[C30] our own Receive Maximum', () => {
  for (const acks of ['pull', 'manual'] as const) {
    for (const qos of [1, 2] as const) {
      test(`${acks}, QoS ${qos}: one beyond it is DISCONNECT 0x93 [MQTT-3.3.4-9], and is not yielded`, () => {
        const driver = strict({ acks, receiveMaximum: 3 })
        const good = driver.receive(messageOf(qos, 1), messageOf(qos, 2), messageOf(qos, 3))
        expect(yielded(good).length).toBe(3)
        expect(wire(driver.receive(messageOf(0)))).toEqual([])
        const bad = driver.receive(messageOf(qos, 4))
        expect([wire(bad), yielded(bad)]).toEqual([['DISCONNECT 0x93'], []])
      })
    }
  }

  test('a QoS 2 message counts until PUBCOMP; what is handled and released makes room', () => {
    const driver = strict({ receiveMaximum: 1 })
    for (let id = 1; id < 50; id++) {
      driver.receive(messageOf(2, id))
      pull(driver, id)
      driver.receive(ackOf('pubrel', id))
    }
    expect(driver.kind).toBe('connected')
    driver.receive(messageOf(2, 50))
    pull(driver, 50)
    expect(wire(driver.receive(messageOf(1, 51)))).toEqual(['DISCONNECT 0x93'])
  })

  test('receipt at QoS 2: bounded by what the server does not release', () => {
    const driver = strict({ acks: 'receipt', receiveMaximum: 2 })
    driver.receive(messageOf(1, 9), messageOf(1, 9), messageOf(2, 1), messageOf(2, 2))
    expect(driver.kind).toBe('connected')
    expect(wire(driver.receive(messageOf(2, 3)))).toEqual(['DISCONNECT 0x93'])
  })

  test('what comes again in a session that was resumed does not count, what is new does', () => {
    const driver = strict({ receiveMaximum: 2 }, true)
    const repeats = [1, 2, 3, 4, 5].map((id) => ({ ...messageOf(2, id), dup: true }))
    expect(yielded(driver.receive(...repeats)).length).toBe(5)
    expect(wire(driver.receive(messageOf(2, 6), messageOf(2, 7)))).toEqual([])
    expect(wire(driver.receive(messageOf(2, 8)))).toEqual(['DISCONNECT 0x93'])
  })

  test('DUP in a session that is new excuses nothing', () => {
    const driver = strict({ receiveMaximum: 2 })
    const repeats = [1, 2, 3].map((id) => ({ ...messageOf(1, id), dup: true }))
    expect(wire(driver.receive(...repeats))).toEqual(['DISCONNECT 0x93'])
  })

  test('3.1.1 has no such promise, and a bound still', () => {
    const driver = strict({ protocolVersion: 4, receiveMaximum: 2 })
    driver.receive(...[1, 2, 3, 4, 5].map((id) => messageOf(1, id)))
    expect(driver.kind).toBe('connected')
  })
})

describe('[C29] topic aliases', () => {
  const aliased = (topic: string, topicAlias: number, qos: QoS = 0) =>
    messageOf(qos, 3, { topic, properties: { topicAlias } })

  test('resolved at every QoS, redefined at will', () => {
    const driver = connected({ topicAliasMaximum: 2, acks: 'receipt' })
    driver.receive(aliased('a', 1), aliased('b', 2))
    for (const qos of [0, 1, 2] as const) {
      expect(yielded(driver.receive(aliased('', 1, qos)))).toMatchObject([{ topic: 'a' }])
      if (qos === 2) driver.receive(ackOf('pubrel', 3))
    }
    expect(yielded(driver.receive(aliased('c', 1), aliased('', 1), aliased('', 2)))).toMatchObject([
      { topic: 'c' },
      { topic: 'c' },
      { topic: 'b' },
    ])
  })

  const bad: [string, ReturnType<typeof aliased>, string][] = [
    ['0', aliased('a', 0), 'DISCONNECT 0x94'],
    ['beyond the maximum', aliased('a', 3), 'DISCONNECT 0x94'],
    ['never given a topic', aliased('', 1), 'DISCONNECT 0x82'],
    ['no topic and no alias', messageOf(0, 0, { topic: '' }), 'DISCONNECT 0x82'],
  ]
  for (const [name, packet, answer] of bad) {
    test(`${name}: ${answer}, nothing is yielded`, () => {
      const driver = strict({ topicAliasMaximum: 2 })
      const effects = driver.receive(packet)
      expect([wire(effects), yielded(effects)]).toEqual([[answer], []])
    })
  }

  test('[MQTT-3.3.2-7] they end with the connection', () => {
    const driver = connected({ topicAliasMaximum: 2 })
    driver.receive(aliased('a', 1))
    driver.lose()
    driver.connect(connackOf(true))
    expect(wire(driver.receive(aliased('', 1)))).toEqual(['DISCONNECT 0x82'])
  })
})

describe('what is buffered', () => {
  test('[C03] QoS 0 messages of one chunk are all yielded, in order', () => {
    const driver = connected()
    const list = Array.from({ length: 500 }, (_, i) => messageOf(0, 0, { topic: `t/${i}` }))
    expect(yielded(driver.receive(...list))).toEqual(list)
  })

  test('weighs payload, topic and properties, nested and binary ones too', () => {
    const weigh = (over: Parameters<typeof messageOf>[2]) => {
      const [effect] = only(connected().receive(messageOf(0, 0, over)), 'yield')
      return effect!.bytes
    }
    const base = weigh({})
    expect(weigh({ payload: new Uint8Array(1003) })).toBe(base + 1000)
    expect(weigh({ topic: 't'.repeat(101) })).toBe(base + 100)
    const text = { contentType: 'x'.repeat(1000) }
    const bytes = { correlationData: new Uint8Array(1000) }
    const pairs = { userProperties: { a: ['x'.repeat(500), 'y'.repeat(500)] } }
    for (const properties of [text, bytes, pairs]) {
      expect(weigh({ properties })).toBeGreaterThan(base + 1000)
    }
  })
})
