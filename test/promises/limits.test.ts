/** What the server said in its CONNACK, and what we do about it: limits, and aliases for topics. */
import fc from 'fast-check'
import type { IConnackPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { RefusedError } from '../../src/errors.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import type { QoS } from '../../src/protocol/facts.ts'
import { publish, subscribe } from '../../src/requests/build.ts'
import { encodeSession } from '../../src/requests/session-text.ts'
import type { Request } from '../../src/requests/vocabulary.ts'
import { VirtualClock } from '../support/clock.ts'
import { startLoop } from '../support/loop.ts'
import { ScriptedServer, type Sent, type ServerOptions } from '../support/server.ts'

const STILL: EventloopOptions = { reconnect: 'always', until: 'closed', keepAlive: 0 }

type Properties = NonNullable<IConnackPacket['properties']>

function stage(properties: Properties, options: ServerOptions = {}) {
  const autoConnack = { properties }
  return { server: new ScriptedServer(new VirtualClock(), { autoConnack, ...options }) }
}

describe('CONNACK limits', () => {
  const refusals: [string, Properties, Request, reasonCode: number][] = [
    ['Maximum QoS', { maximumQoS: 0 }, publish('a', '', { qos: 1 }), 0x9b],
    ['Maximum QoS 1', { maximumQoS: 1 }, publish('a', '', { qos: 2 }), 0x9b],
    ['Retain Available', { retainAvailable: false }, publish('a', '', { retain: true }), 0x9a],
    [
      'Wildcard Subscription Available',
      { wildcardSubscriptionAvailable: false },
      subscribe('a/#'),
      0xa2,
    ],
    [
      'Shared Subscription Available',
      { sharedSubscriptionAvailable: false },
      subscribe('$share/g/a'),
      0x9e,
    ],
    [
      'Subscription Identifiers Available',
      { subscriptionIdentifiersAvailable: false },
      subscribe('a', { properties: { subscriptionIdentifier: 7 } }),
      0xa1,
    ],
    ['Maximum Packet Size', { maximumPacketSize: 50 }, publish('a', 'x'.repeat(60)), 0x95],
  ]
  test.each(refusals)(
    '[T7] [C40] %s: what breaks it is refused here, with the matching reason code, and the others go on',
    async (_, properties, request, reasonCode) => {
      const s = stage(properties as Properties)
      const requests = [request, publish('b', 'good')]
      const started = startLoop(STILL, requests, undefined, s)
      await s.server.clock.advance(0)
      const [refused, good] = started.outcomes
      expect(refused!.outcome).toMatchObject({ ok: false, error: { reasonCode } })
      expect((refused!.outcome as { error: unknown }).error).toBeInstanceOf(RefusedError)
      expect(good!.outcome.ok).toBe(true)
      const sent = s.server.current.packets.map(({ cmd }) => cmd)
      expect(sent).toEqual(['connect', 'publish'])
      await started.loop.return()
    },
  )

  test('[T7] [C40] Receive Maximum, Server Keep Alive and Session Expiry Interval are obeyed and shown', async () => {
    const agreed = { receiveMaximum: 2, serverKeepAlive: 7, sessionExpiryInterval: 99 }
    const s = stage(agreed, { autoAck: false })
    const requests = [1, 2, 3].map((n) => publish('a', `${n}`, { qos: 1 }))
    const started = startLoop({ ...STILL, keepAlive: 60 }, requests, undefined, s)
    await s.server.clock.advance(0)
    expect(s.server.current.of('publish').length).toBe(2)
    const { keepAlive, limits } = started.loop.state.connection
    expect([keepAlive, limits]).toMatchObject([7, { receiveMaximum: 2, sessionExpiryInterval: 99 }])
    await s.server.clock.advance(7000)
    expect(s.server.current.of('pingreq').length).toBe(1)
    await started.loop.return()
  })

  test('[T7] [C40] Server Keep Alive 0: no PINGREQ ever', async () => {
    const s = stage({ serverKeepAlive: 0 })
    const started = startLoop({ ...STILL, keepAlive: 5 }, [], undefined, s)
    await s.server.clock.advance(3_600_000)
    expect(s.server.current.of('pingreq')).toEqual([])
    await started.loop.return()
  })
})

/** What a server makes of it: topics by alias, as long as the connection lasts. */
function understood(packets: readonly Sent[]): [topic: string, payload: string][] {
  const topics = new Map<number, string>()
  return packets.flatMap((packet) => {
    if (packet.cmd === 'connect') topics.clear()
    if (packet.cmd !== 'publish') return []
    const alias = packet.properties?.topicAlias
    if (alias !== undefined && packet.topic !== '') topics.set(alias, packet.topic)
    const topic = packet.topic === '' ? topics.get(alias!)! : packet.topic
    return [[topic, String(packet.payload)]]
  })
}

describe('topic aliases', () => {
  const TOPIC = 'plant/7/hall/2/machine/temperature'

  test('[T7] a topic has an alias from its second message on, where the server allows it', async () => {
    for (const qos of [0, 1, 2] as const) {
      const s = stage({ topicAliasMaximum: 5 })
      const requests = [1, 2, 3].map((n) => publish(TOPIC, `${n}`, { qos }))
      const started = startLoop(STILL, requests, undefined, s)
      await s.server.clock.advance(0)
      const sent = s.server.current.of('publish')
      expect(sent.map(({ topic, properties }) => [topic, properties?.topicAlias])).toEqual([
        [TOPIC, 1],
        ['', 1],
        ['', 1],
      ])
      await started.loop.return()
    }
  })

  test('[T7] never where it does not, and never above its maximum', async () => {
    for (const maximum of [0, 1, 3]) {
      const s = stage(maximum === 0 ? {} : { topicAliasMaximum: maximum })
      const requests = Array.from({ length: 60 }, (_, i) =>
        publish(`topic/number/${i % 7}`, `${i}`, { qos: (i % 3) as QoS }),
      )
      const started = startLoop(STILL, requests, undefined, s)
      await s.server.clock.advance(0)
      const aliases = s.server.current.of('publish').map((p) => p.properties?.topicAlias ?? 0)
      expect(Math.max(...aliases)).toBe(maximum)
      expect(s.server.current.error).toBeUndefined()
      await started.loop.return()
    }
  })

  test('[T7] [C29] a connection begins without any, retransmissions included, and a session never holds one', async () => {
    const s = stage({ topicAliasMaximum: 5 }, { autoAck: false })
    const requests = [1, 2, 3].map((n) => publish(TOPIC, `${n}`, { qos: 1 }))
    const started = startLoop({ ...STILL, cleanStart: false }, requests, undefined, s)
    await s.server.clock.advance(0)
    expect(encodeSession(started.loop.session)).not.toContain('topicAlias')
    s.server.autoConnack = { sessionPresent: true, properties: { topicAliasMaximum: 5 } }
    s.server.current.reset()
    await s.server.clock.advance(1000)
    const again = s.server.current.of('publish')
    expect(again.map(({ topic, dup }) => [topic, dup])).toEqual([
      [TOPIC, true],
      ['', true],
      ['', true],
    ])
    await started.loop.return()
  })

  test('[T7] more topics than aliases, in turn, cost nothing; what rests gives its alias up', async () => {
    const s = stage({ topicAliasMaximum: 2 })
    const turns = Array.from({ length: 400 }, (_, i) => publish(`topic/${i % 10}/value`, `${i}`))
    const later = Array.from({ length: 200 }, (_, i) => publish('topic/new/value', `${i}`))
    const started = startLoop(STILL, [...turns, ...later], undefined, s)
    await s.server.clock.advance(0)
    const sent = s.server.current.of('publish')
    const given = sent.slice(0, 400).filter((p) => p.topic !== '' && p.properties?.topicAlias)
    expect(given.length).toBeLessThan(200)
    expect(sent.slice(-150).every(({ topic }) => topic === '')).toBe(true)
    await started.loop.return()
  })

  test('[T7] a packet that an alias would make too large goes without', async () => {
    const s = stage({ topicAliasMaximum: 5, maximumPacketSize: 60 })
    const bytes = (n: number) => publish('a/topic/of/some/length', 'x'.repeat(n), { qos: 1 })
    const started = startLoop(STILL, [bytes(30), bytes(10), bytes(30)], undefined, s)
    await s.server.clock.advance(0)
    expect(started.outcomes.map(({ outcome }) => outcome.ok)).toEqual([true, true, true])
    expect(s.server.current.of('publish').map((p) => p.properties?.topicAlias)).toEqual([
      undefined,
      1,
      undefined,
    ])
    await started.loop.return()
  })

  test('[T7] [C29] whatever is published, cut off and allowed: the server understands what was meant, in order', async () => {
    const message = fc.record({
      topic: fc.integer({ min: 0, max: 6 }).map((n) => `topic/${n}/${'x'.repeat(n)}`),
      qos: fc.constantFrom<QoS[]>(0, 1, 2),
      cut: fc.integer({ min: 0, max: 12 }).map((n) => n === 0),
    })
    const lives = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 4, maxLength: 4 })
    const property = fc.asyncProperty(
      fc.array(message, { minLength: 1, maxLength: 60 }),
      lives,
      async (messages, maxima) => {
        const s = stage({ topicAliasMaximum: maxima[0]! })
        s.server.onConnection = (connection) => {
          const maximum = maxima[s.server.connections.length % maxima.length]!
          const sessionPresent = s.server.connections.length > 1
          connection.autoConnack = { sessionPresent, properties: { topicAliasMaximum: maximum } }
        }
        async function* requests(): AsyncGenerator<Request> {
          for (const [i, { topic, qos, cut }] of messages.entries()) {
            yield publish(topic, `${i}`, { qos })
            if (!cut) continue
            await new Promise((resolve) => setImmediate(resolve))
            s.server.current.reset()
          }
        }
        const options = { ...STILL, until: 'settled', cleanStart: false } as const
        const started = startLoop(options, requests(), undefined, s)
        await s.server.clock.advance(200_000)
        expect(started.ended).toBe(true)
        const seen = understood(s.server.packets)
        for (const [topic, payload] of seen) expect(topic).toBe(messages[Number(payload)]!.topic)
        const arrived = new Set(seen.map(([, payload]) => Number(payload)))
        messages.forEach(({ qos }, i) => {
          if (qos > 0) expect(arrived.has(i)).toBe(true)
        })
      },
    )
    await fc.assert(property, { numRuns: 60 })
  })
})
