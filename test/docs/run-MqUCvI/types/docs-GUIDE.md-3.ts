import { eventloop, publish, type Request, subscribe, unsubscribe } from 'it-mqtt'
import { pushable } from 'it-pushable'

const requests = pushable<Request>({ objectMode: true })
requests.push(subscribe('news/#', { qos: 1 }))

for await (const packet of eventloop('mqtt://localhost', requests)) {
  if (packet.cmd === 'suback') {
    console.log('subscribed at QoS', packet.granted[0])
    requests.push(publish('news/today', 'sunny', { qos: 1 }))
  }
  if (packet.cmd === 'publish') {
    console.log(packet.topic, packet.payload.toString())
    requests.push(unsubscribe('news/#'))
  }
  if (packet.cmd === 'unsuback') {
    console.log('unsubscribed')
    requests.end()
  }
}
console.log('done')
