/** MQTT.js at the work of through.ts, with 1,000 publishes outstanding at most. */
import mqtt from 'mqtt'

const [port, qosText, countText, sizeText, version = '5'] = process.argv.slice(2)
const qos = Number(qosText) as 0 | 1 | 2
const count = Number(countText)
const payload = Buffer.alloc(Number(sizeText), 65)
const WINDOW = 1000
let sent = 0
let settled = 0
let got = 0
let began = 0

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
      if (sent - settled <= WINDOW / 2) pump()
    })
  }
}
client.on('connect', () => {
  ;(client.stream as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true)
  client.subscribe('through', { qos }, () => {
    began = performance.now()
    pump()
  })
})
client.on('message', () => {
  if (++got < count) return
  console.log(JSON.stringify({ rate: Math.round((count / (performance.now() - began)) * 1000) }))
  process.exit(0)
})
