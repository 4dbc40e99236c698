import { connect } from 'node:net'
import { eventloop, publish } from 'it-mqtt'

const loop = eventloop(
  {
    url: 'mqtt://localhost',
    async transport({ url }, signal) {
      const socket = connect({ host: url.hostname, port: Number(url.port), signal })
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
      return socket
    },
  },
  [publish('guide/transport', 'x', { qos: 1 })],
)
for await (const packet of loop) console.log(packet.cmd)
