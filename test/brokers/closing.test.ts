/**
 * Goal: a message on which a real broker closes the connection is given up, and everything behind
 * it is delivered. Method: each broker is sent one message that it does not take, among 200 that it
 * takes; the connections that this costs are counted (D6).
 */
import { afterEach, describe, expect, test } from 'vitest'
import { type EventloopOptions, eventloop, publish, type QoS } from '../../src/index.ts'
import { type Broker, isInstalled, KINDS } from '../support/brokers.ts'
import { Authority } from '../support/certificates.ts'
import { Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { temporaryFolder } from '../support/process.ts'

const REQUIRED = process.env['IT_MQTT_REQUIRE_BROKERS'] === '1'
const MESSAGES = 200
const QUARANTINE_AFTER = 3
const LIMIT_BYTES = 2000

interface Refused {
  readonly payload: string | Buffer
  readonly qos: QoS
  /** The index of the message among the others. */
  readonly at: number
}

/** @returns the codes of the outcomes that are not ok, and how many connections were lost. */
async function deliver(url: string, qos: 1 | 2, refused: Refused, over: EventloopOptions = {}) {
  const requests = Array.from({ length: MESSAGES }, (_, n) => publish('small', `${n}`, { qos }))
  const bad = publish('refused', refused.payload, { qos: refused.qos })
  requests.splice(refused.at, 0, bad)
  const codes: string[] = []
  let settled = 0
  const loop = eventloop(
    {
      url,
      protocolVersion: 4,
      until: 'settled',
      reconnect: { when: 'always', minMs: 10, maxMs: 50 },
      quarantineAfter: QUARANTINE_AFTER,
      onSettled: (request, outcome) => {
        settled++
        if (outcome.ok || request.cmd !== 'publish') return
        codes.push(`${request.topic}: ${(outcome.error as { code: string }).code}`)
      },
      onWarning: () => {},
      ...over,
    },
    requests,
  )
  for await (const _ of loop) {
    // Outcomes come by `onSettled`.
  }
  const lost = Object.values(loop.state.counters.reconnections).reduce((a, b) => a + b, 0)
  return { settled, codes, lost }
}

const GIVEN_UP = { settled: MESSAGES + 1, codes: ['refused: QUARANTINED'] }
const sessions = [
  ['a clean session', {}],
  ['a kept session', { clientId: 'closing', cleanStart: false, session: 'adopt' }],
] as const

describe('[D6] mosquitto with max_packet_size, MQTT 3.1.1', () => {
  let broker: Mosquitto
  afterEach(async () => broker?.[Symbol.asyncDispose]())

  for (const qos of [1, 2] as const) {
    for (const at of [0, 100, 200]) {
      test.for(sessions)(
        `QoS ${qos}, a large message at ${at} of ${MESSAGES}, %s: it alone is given up`,
        async ([_, session], context) => {
          // Up to 20 messages at QoS 2 may be in flight to version 2.0.11.
          requireMosquitto(context)
          broker = await Mosquitto.start([`max_packet_size ${LIMIT_BYTES}`])
          const payload = Buffer.alloc(100_000)
          const options = { maxInflight: 20, ...session }
          const delivered = await deliver(broker.url, qos, { payload, qos, at }, options)
          expect(delivered).toMatchObject(GIVEN_UP)
          // Two more, because other messages are settled before the broker resets.
          expect(delivered.lost).toBeLessThanOrEqual(QUARANTINE_AFTER + 4)
        },
      )
    }
  }
})

describe('[D6] NATS, MQTT 3.1.1', () => {
  const kind = KINDS.find(({ name }) => name === 'NATS')!
  const folder = temporaryFolder()
  let broker: Broker
  afterEach(async () => {
    await broker?.stop()
    folder.remove()
  })

  test.skipIf(!REQUIRED && !isInstalled(kind))(
    `a publish at QoS 2 with ${MESSAGES} messages at QoS 1 behind it is given up alone`,
    async () => {
      const authority = await Authority.create(folder.path, 'authority')
      const certificate = await authority.issue({ names: 'DNS:localhost,IP:127.0.0.1' })
      broker = await kind.start(folder.path, certificate)
      const delivered = await deliver(broker.url, 1, { payload: 'x', qos: 2, at: 0 })
      expect(delivered).toMatchObject(GIVEN_UP)
      expect(delivered.lost).toBeLessThanOrEqual(QUARANTINE_AFTER + 2)
    },
  )
})
