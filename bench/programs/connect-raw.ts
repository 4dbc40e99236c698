/** The floor of connect.ts: sockets over which a CONNACK came. */
import { once } from 'node:events'
import { connect } from 'node:net'
import mqtt from 'mqtt-packet'
import { measureConnecting } from './connecting.ts'

const [port, count, atOnce] = process.argv.slice(2)
await measureConnecting(Number(count), Number(atOnce), async (i) => {
  const socket = connect(Number(port), '127.0.0.1')
  const clientId = `connect-${i}`
  socket.write(mqtt.generate({ cmd: 'connect', clientId, protocolVersion: 5, keepalive: 60 }))
  await once(socket, 'data')
  socket.on('data', () => {})
  return socket
})
