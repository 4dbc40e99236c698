/**
 * Goal: event streams keep their order at real brokers, through a relay that loses links. Method:
 * one side sends numbers, the other one reads them; sessions are kept.
 */
import { expect, test } from 'vitest'
import { text } from '../../src/client/index.ts'
import { defineEvents, openEventStream, overMqtt } from '../../src/event-stream/index.ts'
import { withEachBroker } from '../support/each-broker.ts'
import { RealClients } from '../support/real-clients.ts'

const TEST_MS = 30_000
const COUNT = 200
const events = defineEvents({ reading: { codec: text } })

withEachBroker(TEST_MS, (spoken) => {
  // The numbers are user properties of MQTT 5.
  if (spoken.version !== 5) return

  test('[V10] each message comes once and in order', async (context) => {
    const clients = new RealClients(spoken, context)
    const topic = `${clients.base}/frames`
    const reader = clients.client()
    const receiving = openEventStream(overMqtt(reader, { receiveFilter: topic }), {
      ...{ events, role: 'client' },
    })
    const numbers: string[] = []
    const reading = (async () => {
      for await (const { value } of receiving) numbers.push(value)
    })()
    // The subscription was asked for before, on a connection of its own.
    await reader.ready()
    await reader.ping()
    const sending = openEventStream(overMqtt(clients.client(), { sendTopic: topic }), {
      ...{ events, role: 'server' },
    })
    for (let n = 0; n < COUNT; n++) await sending.send.reading(String(n))
    await sending.end()
    await reading
    expect(numbers).toEqual(Array.from({ length: COUNT }, (_, n) => String(n)))
  })
})
