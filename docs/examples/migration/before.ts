/** Radiator valves on MQTT, in the manner of mqtt-smarthome, with MQTT.js. */
import mqtt from 'mqtt'
import { Valves } from './valves.ts'

const prefix = process.env['MQTT_NAME'] ?? 'heating'
const retained = { qos: 1, retain: true } as const
const valves = new Valves()

const client = mqtt.connect(process.env['MQTT_URL'] ?? 'mqtt://localhost', {
  clientId: `${prefix}-${process.pid}`,
  ...(process.env['MQTT_USERNAME'] && { username: process.env['MQTT_USERNAME'] }),
  ...(process.env['MQTT_PASSWORD'] && { password: process.env['MQTT_PASSWORD'] }),
  will: { topic: `${prefix}/connected`, payload: Buffer.from('0'), ...retained },
})

client.on('connect', () => {
  console.log('connected')
  client.publish(`${prefix}/connected`, '2', retained)
  client.subscribe([`${prefix}/set/+`, `${prefix}/get/+`], { qos: 1 }, (error) => {
    if (error) console.error('cannot subscribe:', error.message)
  })
  for (const room of valves.rooms) void report(room)
})

client.on('reconnect', () => console.log('connecting again'))
client.on('error', (error) => console.error(error.message))

client.on('message', async (topic, payload) => {
  const [action, room] = topic.slice(prefix.length + 1).split('/')
  if (room === undefined || !valves.rooms.includes(room)) {
    console.error('unknown room:', room)
    return
  }
  try {
    if (action === 'get') {
      await report(room)
    } else {
      const target = Number(payload.toString())
      if (Number.isNaN(target)) throw new Error(`not a number: ${payload}`)
      await valves.set(room, target)
    }
  } catch (error) {
    console.error((error as Error).message)
  }
})

async function report(room: string): Promise<void> {
  try {
    const val = await valves.read(room)
    await client.publishAsync(`${prefix}/status/${room}`, JSON.stringify({ val }), retained)
  } catch (error) {
    console.error(`cannot report ${room}:`, (error as Error).message)
  }
}

valves.on('turned', (room) => void report(room))

process.once('SIGTERM', () => {
  client.publish(`${prefix}/connected`, '0', retained, () => {
    client.end(false, {}, () => process.exit(0))
  })
})
