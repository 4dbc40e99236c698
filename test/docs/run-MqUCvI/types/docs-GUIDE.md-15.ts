import { eventloop, type IncomingPublish, publish, subscribe } from 'it-mqtt'

const loop = eventloop(
  {
    url: 'mqtt://localhost',
    clientId: 'guide-stale',
    cleanStart: false,
    session: 'adopt',
    acks: 'manual',
  },
  [subscribe('invoices', { qos: 1 }), publish('invoices', 'invoice 4711', { qos: 1 })],
)
const handled = new Set<string>()
let first: IncomingPublish | undefined

for await (const packet of loop) {
  if (packet.cmd !== 'publish') continue
  const invoice = packet.payload.toString()
  if (handled.has(invoice)) {
    console.log(invoice, 'again, not handled twice')
    console.log(loop.ack(packet))
    break
  }
  handled.add(invoice)
  console.log(invoice)
  first ??= packet
  loop.reconnect() // the link breaks before the acknowledgement
  for await (const { to } of loop.transitions()) if (to === 'connected') break
  console.log(loop.ack(first))
}
