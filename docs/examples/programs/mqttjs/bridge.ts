/** As ../bridge.ts, with MQTT.js: one message at a time. */
import { once } from 'node:events'
import mqtt from 'mqtt'

/** Bridges until the signal is aborted. */
export async function bridge(from: string, to: string, signal: AbortSignal) {
  const near = mqtt.connect(from, { clientId: 'bridge', clean: false })
  const far = mqtt.connect(to)
  for (const client of [near, far]) client.on('error', (error) => console.error(error))
  const failed = new Promise<never>((_, reject) => {
    near.handleMessage = ({ topic, payload, qos, retain }, done) =>
      far.publish(topic, payload, { qos, retain }, (error) => (error ? reject(error) : done()))
  })
  try {
    await near.subscribeAsync('plant/#', { qos: 1 })
    await Promise.race([once(signal, 'abort'), failed])
  } finally {
    await near.endAsync()
    await far.endAsync()
  }
}
