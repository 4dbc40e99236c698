/** MQTT.js at the work of idle.ts. */
import mqtt from 'mqtt'
import { measureIdle } from './heap.ts'

const [port, count, version = '5'] = process.argv.slice(2)
await measureIdle(Number(count), async (i) => {
  const client = mqtt.connect({
    host: '127.0.0.1',
    port: Number(port),
    clientId: `idle-${i}`,
    protocolVersion: Number(version) as 4 | 5,
    keepalive: 60,
  })
  await new Promise<void>((resolve) => client.once('connect', () => resolve()))
  return client
})
