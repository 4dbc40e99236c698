/** MQTT.js at the work of connect.ts. */
import mqtt from 'mqtt'
import { measureConnecting } from './connecting.ts'

const [port, count, atOnce, version = '5'] = process.argv.slice(2)
await measureConnecting(Number(count), Number(atOnce), async (i) => {
  const client = mqtt.connect({
    host: '127.0.0.1',
    port: Number(port),
    clientId: `connect-${i}`,
    protocolVersion: Number(version) as 4 | 5,
    keepalive: 60,
  })
  await new Promise<void>((resolve) => client.once('connect', () => resolve()))
  return client
})
