import { pushable } from 'it-pushable'
import { eventloop, publish, type Request, subscribe } from 'it-mqtt'

const requests = pushable<Request>({ objectMode: true })
requests.push(subscribe('jobs/#', { qos: 1 }))

const loop = eventloop({ url: 'mqtt://localhost', acks: 'manual' }, requests)
for await (const packet of loop) {
  if (packet.cmd === 'suback') requests.push(publish('jobs/1', 'first', { qos: 1 }))
  if (packet.cmd === 'publish') {
    console.log('working on', packet.topic)
    console.log(loop.ack(packet))
    break
  }
}
