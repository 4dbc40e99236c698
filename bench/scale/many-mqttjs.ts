/** MQTT.js at the work of many.ts. */
import mqtt from 'mqtt'
import { measureFleet } from './fleet.ts'

const [port, size] = process.argv.slice(2)
const payload = Buffer.alloc(64, 65)

await measureFleet(Number(size), async (i, acknowledged) => {
  const client = mqtt.connect({
    host: '127.0.0.1',
    port: Number(port),
    clientId: `many-${i}`,
    protocolVersion: 5,
    keepalive: 60,
  })
  await new Promise<void>((resolve) => client.once('connect', () => resolve()))
  ;(client.stream as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true)
  const settled = (error?: Error | null) => {
    if (error) throw error
    acknowledged()
  }
  return () => void client.publish('sensors/room/1/temp', payload, { qos: 1 }, settled)
})
