/** The floor of idle.ts: sockets over which a CONNACK came. */
import { once } from 'node:events'
import { connect } from 'node:net'
import mqtt from 'mqtt-packet'
import { measureIdle } from './heap.ts'

const [port, count] = process.argv.slice(2)
await measureIdle(Number(count), async (i) => {
  const socket = connect(Number(port), '127.0.0.1')
  const clientId = `idle-${i}`
  socket.write(mqtt.generate({ cmd: 'connect', clientId, protocolVersion: 5, keepalive: 60 }))
  await once(socket, 'data')
  socket.on('data', () => {})
  return socket
})
