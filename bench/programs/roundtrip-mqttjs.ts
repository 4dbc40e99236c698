/** MQTT.js at the work of roundtrip.ts. */
import mqtt from 'mqtt'
import { reportTimes, WARM_UP } from './times.ts'

const [port, countText, sizeText, version = '5'] = process.argv.slice(2)
const total = Number(countText) + WARM_UP
const payload = Buffer.alloc(Number(sizeText), 65)
const times: number[] = []
let sentAt = 0

const client = mqtt.connect({
  host: '127.0.0.1',
  port: Number(port),
  protocolVersion: Number(version) as 4 | 5,
})
const send = () => {
  sentAt = performance.now()
  client.publish('echo/x', payload)
}
client.on('connect', () => {
  ;(client.stream as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true)
  send()
})
client.on('message', () => {
  times.push(performance.now() - sentAt)
  if (times.length === total) reportTimes(times, total)
  else send()
})
