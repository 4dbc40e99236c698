/**
 * Goal: what real brokers send against the standard costs no connection and no message. Method:
 * each broker does by itself, or is brought by a raw client to do, what docs/BROKERS.md says of it;
 * connections, outcomes and messages are counted. (I1, malformed input gets the answer of the
 * standard; D4, the window is never exceeded; R3, a slow consumer is normal)
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Eventloop,
  type EventloopOptions,
  eventloop,
  type Outcome,
  publish,
  type Request,
  run,
  subscribe,
} from '../../src/index.ts'
import { type Broker, isInstalled, KINDS } from '../support/brokers.ts'
import { Authority } from '../support/certificates.ts'
import { Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { temporaryFolder, until } from '../support/process.ts'
import { RawClient } from '../support/raw-client.ts'

const REQUIRED = process.env['IT_MQTT_REQUIRE_BROKERS'] === '1'

interface Reader {
  readonly loop: Eventloop
  /** `topic: payload` of each message. */
  readonly messages: string[]
  readonly outcomes: Outcome[]
  /** The codes of the warnings. */
  readonly warnings: string[]
  connections: number
}

/** Starts a loop that reads until the test is over. */
function read(options: EventloopOptions, requests: readonly Request[], msEach = 0): Reader {
  const loop = eventloop(
    {
      until: 'closed',
      reconnect: { when: 'always', minMs: 10, maxMs: 100 },
      onSettled: (_, outcome) => reader.outcomes.push(outcome),
      onWarning: ({ code }) => reader.warnings.push(code),
      ...options,
    },
    requests,
  )
  const reader: Reader = { loop, messages: [], outcomes: [], warnings: [], connections: 0 }
  const reading = async () => {
    for await (const packet of loop) {
      if (packet.cmd === 'connack') reader.connections++
      if (packet.cmd !== 'publish') continue
      reader.messages.push(`${packet.topic}: ${packet.payload.toString()}`)
      if (msEach > 0) await sleep(msEach)
    }
  }
  reading().catch(() => {})
  return reader
}

const settled = ({ outcomes }: Reader, count: number) =>
  until(() => outcomes.length >= count, `${count} outcomes`)

/** Runs tests with one broker of this kind. */
function withBroker(name: string, tests: (url: () => string) => void): void {
  const kind = KINDS.find((one) => one.name === name)!
  const folder = temporaryFolder()
  let broker: Broker
  describe.skipIf(!REQUIRED && !isInstalled(kind))(name, () => {
    beforeAll(async () => {
      const authority = await Authority.create(folder.path, 'authority')
      const certificate = await authority.issue({ names: 'DNS:localhost,IP:127.0.0.1' })
      broker = await kind.start(folder.path, certificate)
    }, 200_000)
    afterAll(async () => {
      await broker?.stop()
      folder.remove()
    }, 100_000)
    tests(() => broker.url)
  })
  if (!REQUIRED && !isInstalled(kind)) console.log(`not run: ${name} is not installed`)
}

/** Publishes at QoS 1 to a topic of these bytes. */
async function publishTo(url: string, topic: readonly number[], retain: boolean): Promise<void> {
  const client = RawClient.open(url, 4, `raw${Math.random()}`)
  await client.got('connack')
  const body = [0, topic.length, ...topic, 0, 1, 0x78]
  client.send(Buffer.from([retain ? 0x33 : 0x32, body.length, ...body]))
  await client.got('puback')
  client.cut()
}

withBroker('RabbitMQ', (url) => {
  test('[I1] [D1] publishes at QoS 2 settle on one connection, each with the PUBACK that came', async () => {
    const count = 200
    const reader = read({ url: url(), protocolVersion: 4 }, [subscribe('twice', { qos: 1 })])
    await settled(reader, 1)
    const requests = Array.from({ length: count }, (_, i) => publish('twice', `${i}`, { qos: 2 }))
    const sender = read({ url: url(), protocolVersion: 4 }, requests)
    await settled(sender, count)
    await until(() => reader.messages.length >= count, 'all of them arrive')
    expect(sender.connections).toBe(1)
    expect(sender.outcomes.map((outcome) => outcome.ok && outcome.packet?.cmd)).toEqual(
      requests.map(() => 'puback'),
    )
    expect(reader.messages).toEqual(requests.map((_, i) => `twice: ${i}`))
    expect(sender.warnings).toEqual(['SERVER_DEVIATION'])
    await Promise.all([sender.loop.return(), reader.loop.return()])
  })

  test('[I1] messages of which the topic has wildcards are delivered', async () => {
    const reader = read({ url: url(), protocolVersion: 4 }, [subscribe('wild/#', { qos: 1 })])
    await settled(reader, 1)
    for (const topic of ['wild/+/x', 'wild/#']) {
      await publishTo(url(), [...Buffer.from(topic)], false)
    }
    await run({ url: url() }, [publish('wild/last', 'x', { qos: 1 })])
    await until(() => reader.messages.length >= 3, 'three messages')
    expect(reader.messages).toEqual(['wild/+/x: x', 'wild/#: x', 'wild/last: x'])
    expect(reader.connections).toBe(1)
    await reader.loop.return()
  })
})

withBroker('NATS', (url) => {
  for (const retain of [false, true]) {
    const what = retain ? 'retained messages' : 'messages'
    test(`[I1] [D6] ${what} of which the topic is no text are acknowledged and passed over`, async () => {
      const folder = `unreadable-${retain}`
      const request = subscribe(`${folder}/#`, { qos: 1 })
      const options = { url: url(), protocolVersion: 4 } as const
      const early = retain ? null : read(options, [request])
      if (early !== null) await settled(early, 1)
      for (const end of [0, 0xff]) {
        await publishTo(url(), [...Buffer.from(`${folder}/`), end], retain)
      }
      const reader = early ?? read(options, [request])
      await settled(reader, 1)
      await run(options, [publish(`${folder}/last`, 'x', { qos: 1 })])
      await until(() => reader.messages.length >= 1, 'the last message')
      expect(reader.messages).toEqual([`${folder}/last: x`])
      expect(reader.connections).toBe(1)
      expect(reader.warnings).toEqual(['SERVER_DEVIATION'])
      await reader.loop.return()
    })
  }
})

withBroker('ejabberd', (url) => {
  test('[I1] a filter that is refused with 0x8F in MQTT 3.1.1 is refused, and nothing else is', async () => {
    const deep = '1/2/3/4/5/6/7/8/9/10'
    const reader = read({ url: url(), protocolVersion: 4 }, [
      subscribe(deep, { qos: 1 }),
      subscribe([deep, 'good'], { qos: 1 }),
      publish('good', 'x', { qos: 1 }),
    ])
    await settled(reader, 3)
    await until(() => reader.messages.length >= 1, 'the message')
    expect(reader.messages).toEqual(['good: x'])
    expect(reader.outcomes[0]).toMatchObject({ ok: false, error: { reasonCode: 0x8f } })
    expect(reader.connections).toBe(1)
    const states = reader.loop.state.subscriptions.map(({ topic, status }) => [topic, status])
    expect(Object.fromEntries(states)).toEqual({ [deep]: 'refused', good: 'granted' })
    await reader.loop.return()
  })
})

test('[D1] [D4] mosquitto, which loses what is beyond 20 at QoS 2: MQTT 3.1.1 loses nothing with the defaults', async (context) => {
  requireMosquitto(context)
  await using broker = await Mosquitto.start()
  const reader = read({ url: broker.url, protocolVersion: 5 }, [subscribe('exact', { qos: 2 })], 0)
  await settled(reader, 1)
  const numbers = Array.from({ length: 1000 }, (_, i) => String(i))
  const requests = numbers.map((number) => publish('exact', number, { qos: 2 }))
  const sent = await run({ url: broker.url, protocolVersion: 4 }, requests)
  expect(sent).toMatchObject({ settled: 1000, failed: [] })
  await until(() => reader.messages.length >= 1000, 'all messages')
  expect(reader.messages).toEqual(numbers.map((number) => `exact: ${number}`))
  await reader.loop.return()
})

describe('mosquitto, a consumer that takes 1 ms for each message', () => {
  for (const protocolVersion of [5, 4] as const) {
    for (const receiveMaximum of [1, 5, 10, undefined]) {
      for (const qos of [1, 2] as const) {
        const limit = receiveMaximum ?? 'the default'
        const title = `MQTT ${protocolVersion}, QoS ${qos}, Receive Maximum ${limit}`
        test(`[R3] [D4] ${title}: one connection, and nothing is lost`, async (context) => {
          requireMosquitto(context)
          // The default is 1,024, and only what is beyond it shows anything.
          const count = receiveMaximum === undefined ? 2500 : 400
          await using broker = await Mosquitto.start(['max_queued_messages 10000'])
          const reader = read(
            {
              url: broker.url,
              protocolVersion,
              ...(protocolVersion === 5 ? { receiveMaximum } : {}),
            },
            [subscribe('slow', { qos })],
            1,
          )
          await settled(reader, 1)
          const numbers = Array.from({ length: count }, (_, i) => String(i))
          const requests = numbers.map((number) => publish('slow', number, { qos }))
          const sent = await run({ url: broker.url, protocolVersion: 5 }, requests)
          expect(sent).toMatchObject({ settled: count, failed: [] })
          await until(() => reader.messages.length >= count || reader.connections > 1, title)
          expect(reader.connections).toBe(1)
          expect(reader.loop.state.counters.reconnections).toEqual({})
          expect(reader.messages).toEqual(numbers.map((number) => `slow: ${number}`))
          await reader.loop.return()
        })
      }
    }
  }
})
