/** Event streams over MQTT, each of which reads what it sends. Plain JavaScript, as exchange.js. */
import { createClient, text } from 'it-mqtt/client'
import { defineEvents, openEventStream, overMqtt } from 'it-mqtt/event-stream'

const TEXTS = ['at most once', 'at least once', 'exactly once']
const events = defineEvents({ said: { codec: text } })

/** @returns the values of the events that came back, with the QoS of their messages. */
export async function exchangeEvents(url, protocolVersion) {
  const client = createClient({ url, protocolVersion, reconnect: 'never' })
  // MQTT 3.1.1 has no user properties that could number the messages.
  const order = protocolVersion === 5 ? 'sequence' : 'none'
  const received = []
  for (const [qos, value] of TEXTS.entries()) {
    const topic = `bundles/${Math.random()}`
    const carrier = overMqtt(client, { sendTopic: topic, receiveFilter: topic, qos, order })
    const stream = openEventStream(carrier, { events, role: 'client' })
    const first = stream.next()
    await stream.send.said(value)
    const { value: event } = await first
    received.push(`${qos} ${event.value}`)
    stream.kill()
  }
  await client.close()
  return received.join(', ')
}
