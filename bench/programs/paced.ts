/** it-mqtt: round trips at an offered rate. paced PORT QOS RATE SECONDS SIZE */
import { pushable } from 'it-pushable'
import { eventloop, publish, type QoS, type Request, subscribe } from '../../src/index.ts'
import { Pacer, paceOf } from './pacing.ts'

const [port, qosText, ...rest] = process.argv.slice(2)
const qos = Number(qosText) as QoS
const pacer = new Pacer(paceOf(...rest))
const requests = pushable<Request>({ objectMode: true })
requests.push(subscribe('paced', { qos }))
for await (const packet of eventloop(`mqtt://127.0.0.1:${port}`, requests)) {
  if (packet.cmd === 'suback') {
    pacer.start((payload) => requests.push(publish('paced', payload, { qos })))
  }
  if (packet.cmd === 'publish') pacer.heard(packet.payload)
}
