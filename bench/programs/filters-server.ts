/**
 * The other end of client-filters.ts: answers SUBSCRIBEs, and a PUBLISH to `spread/FILTERS/COUNT`
 * with COUNT messages on the topics `plant/{i}/temp` in a mixed order, each with the identifier of
 * its subscription. filters-server PORT
 */
import { createServer, type Socket } from 'node:net'
import mqtt, { type Packet } from 'mqtt-packet'

const encode = (packet: Packet) => mqtt.generate(packet, { protocolVersion: 5 })
/** A step through all filters that is prime to their number. */
const STEP = 7919
const AT_ONCE = 500

function spread(socket: Socket, ids: ReadonlyMap<string, number>, filters: number, count: number) {
  let sent = 0
  const packets = Array.from({ length: filters }, (_, i) => {
    const topic = `plant/${i}/temp`
    const properties = { subscriptionIdentifier: ids.get(topic) ?? ids.get('plant/+/temp')! }
    const message = { cmd: 'publish', topic, payload: Buffer.alloc(64, 65), qos: 0 } as const
    return encode({ ...message, dup: false, retain: false, properties })
  })
  const more = () => {
    while (sent < count) {
      const some = Math.min(AT_ONCE, count - sent)
      const piece = Array.from({ length: some }, (_, i) => packets[((sent + i) * STEP) % filters]!)
      sent += some
      if (!socket.write(Buffer.concat(piece))) return void socket.once('drain', more)
    }
  }
  more()
}

createServer((socket) => {
  const ids = new Map<string, number>()
  const parser = mqtt.parser({ protocolVersion: 5 })
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => parser.parse(chunk))
  parser.on('packet', (packet) => {
    if (packet.cmd === 'connect') {
      const properties = { receiveMaximum: 65_535 }
      socket.write(encode({ cmd: 'connack', reasonCode: 0, sessionPresent: false, properties }))
    } else if (packet.cmd === 'subscribe') {
      for (const { topic } of packet.subscriptions) {
        ids.set(topic, packet.properties?.subscriptionIdentifier ?? 0)
      }
      const granted = packet.subscriptions.map(() => 0)
      socket.write(encode({ cmd: 'suback', messageId: packet.messageId!, granted }))
    } else if (packet.cmd === 'publish') {
      const [, filters, count] = packet.topic.split('/').map(Number)
      spread(socket, ids, filters!, count!)
    } else if (packet.cmd === 'pingreq') socket.write(encode({ cmd: 'pingresp' }))
  })
}).listen(Number(process.argv[2]), '127.0.0.1')
