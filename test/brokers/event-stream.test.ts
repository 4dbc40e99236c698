/**
 * Goal: event streams keep their order at real brokers, through relays that lose links. Method: one
 * side sends numbers, the other one reads them, and both links are cut again and again; the
 * sessions are kept.
 */
import { expect, test } from 'vitest'
import { text } from '../../src/client/index.ts'
import { defineEvents, openEventStream, overMqtt } from '../../src/event-stream/index.ts'
import { withEachBroker } from '../support/each-broker.ts'
import { RealClients, soon } from '../support/real-clients.ts'

const TEST_MS = 30_000
const COUNT = 200
/** After so many messages one of the two links is cut. */
const CUT_EVERY = 25
const events = defineEvents({ reading: { codec: text } })

withEachBroker(TEST_MS, (spoken) => {
  test('[V10] an event stream comes once and in order', async (context) => {
    const clients = new RealClients(spoken, context)
    const topic = `${clients.base}/frames`
    const [near, far] = [await clients.relayed(), await clients.relayed()]
    const [sender, reader] = [near, far].map(({ url }) => clients.client(clients.keeping({ url })))
    // MQTT 3.1.1 has no user properties for the numbers; QoS 1 may then repeat messages.
    const order = spoken.version === 5 ? 'sequence' : 'none'
    const receiving = openEventStream(overMqtt(reader!, { receiveFilter: topic, order }), {
      ...{ events, role: 'client' },
    })
    const numbers: string[] = []
    const reading = (async () => {
      for await (const { value } of receiving) {
        if (value !== numbers.at(-1)) numbers.push(value)
        if (value === String(COUNT - 1) && order === 'none') break
      }
    })()
    // This SUBSCRIBE follows that of the stream. (RabbitMQ answers a PINGREQ before either.)
    const fence = reader!.subscribe(`${clients.base}/fence`)
    await soon(fence.granted, 'the second SUBACK')
    await fence.return?.()
    const sending = openEventStream(overMqtt(sender!, { sendTopic: topic, order }), {
      ...{ events, role: 'server' },
    })
    for (let n = 0; n < COUNT; n++) {
      if (order === 'sequence' && n % CUT_EVERY === CUT_EVERY - 1) {
        const { relay } = n % (2 * CUT_EVERY) < CUT_EVERY ? near : far
        relay.cut()
      }
      await soon(sending.send.reading(String(n)), `the outcome of message ${n}`)
    }
    await soon(sending.end(), 'the end is sent')
    await soon(reading, () => `the end; ${numbers.length} came`)
    expect(numbers).toEqual(Array.from({ length: COUNT }, (_, n) => String(n)))
  })
})
