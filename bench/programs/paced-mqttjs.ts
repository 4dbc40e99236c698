/** MQTT.js at the work of paced.ts. */
import mqtt from 'mqtt'
import { Pacer, paceOf } from './pacing.ts'

const [port, qosText, ...rest] = process.argv.slice(2)
const qos = Number(qosText) as 0 | 1 | 2
const pacer = new Pacer(paceOf(...rest))
const client = mqtt.connect({ host: '127.0.0.1', port: Number(port), protocolVersion: 5 })
client.on('connect', () => {
  ;(client.stream as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true)
  client.subscribe('paced', { qos }, () => {
    pacer.start((payload) => client.publish('paced', payload, { qos }))
  })
})
client.on('message', (_, payload) => pacer.heard(payload))
