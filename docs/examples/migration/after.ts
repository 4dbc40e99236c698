/** Radiator valves on MQTT, in the manner of mqtt-smarthome, with it-mqtt. */
import { publish } from 'it-mqtt'
import { createClient, json } from 'it-mqtt/client'
import { Valves } from './valves.ts'

const prefix = process.env['MQTT_NAME'] ?? 'heating'
const retained = { qos: 1, retain: true } as const
const valves = new Valves()

const client = createClient({
  url: process.env['MQTT_URL'] ?? 'mqtt://localhost',
  clientId: `${prefix}-${process.pid}`,
  username: process.env['MQTT_USERNAME'],
  password: process.env['MQTT_PASSWORD'],
  reconnect: 'always',
  will: { topic: `${prefix}/connected`, payload: '0', ...retained },
  onConnected: () => [publish(`${prefix}/connected`, '2', retained)],
})

async function report(room: string): Promise<void> {
  if (!valves.rooms.includes(room)) throw new Error(`unknown room: ${room}`)
  const val = await valves.read(room)
  await client.publish(`${prefix}/status/${room}`, { val }, { codec: json, retain: true })
}

const onError = (error: unknown) => console.error((error as Error).message)
const targets = client.subscribe(`${prefix}/set/{room}`)
const questions = client.subscribe(`${prefix}/get/{room}`)
valves.on('turned', (room) => void report(room).catch(onError))
for (const room of valves.rooms) void report(room).catch(onError)

process.once('SIGTERM', () => {
  void targets.return()
  void questions.return()
})

const setting = targets.forEach(
  async ({ params: { room }, payload }) => {
    if (!valves.rooms.includes(room)) throw new Error(`unknown room: ${room}`)
    const target = Number(payload.toString())
    if (Number.isNaN(target)) throw new Error(`not a number: ${payload}`)
    await valves.set(room, target)
  },
  { onError },
)
await questions.forEach(
  async ({ params }) => {
    await report(params.room)
  },
  { onError },
)
await setting
await client.publish(`${prefix}/connected`, '0', retained)
await client.close()
