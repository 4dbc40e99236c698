/** MQTT.js at the work of through.ts, with 1,000 publishes outstanding at most. */
import mqtt from 'mqtt'
import { ThroughReport } from './through-report.ts'

const [port, qosText, countText, sizeText, version = '5'] = process.argv.slice(2)
const qos = Number(qosText) as 0 | 1 | 2
const count = Number(countText)
const payload = Buffer.alloc(Number(sizeText), 65)
const WINDOW = 1000
let sent = 0
let settled = 0
const report = new ThroughReport(count)

const client = mqtt.connect({
  host: '127.0.0.1',
  port: Number(port),
  protocolVersion: Number(version) as 4 | 5,
})
const pump = () => {
  while (sent < count && sent - settled < WINDOW) {
    sent++
    client.publish('through', payload, { qos }, () => {
      settled++
      // One for one, as the window of it-mqtt is filled again.
      pump()
    })
  }
}
client.on('connect', () => {
  ;(client.stream as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true)
  client.subscribe('through', { qos }, () => {
    report.begin()
    pump()
  })
})
client.on('message', () => report.message())
