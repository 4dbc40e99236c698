import { eventloop, subscribe, unsubscribe } from 'it-mqtt'

const requests = [subscribe('migrating/#', { qos: 1 }), unsubscribe('migrating/#')]
for await (const packet of eventloop('mqtt://localhost', requests)) {
  if (packet.cmd === 'suback' && packet.request.cmd === 'subscribe') {
    console.log(packet.request.subscriptions[0]?.topic, packet.granted[0])
  }
}
