import { eventloop, publish } from 'it-mqtt'

const loop = eventloop(
  {
    url: 'mqtt://localhost',
    protocolVersion: 4,
    username: 'device-7',
    async connectOptions(attempt, lastClose, signal) {
      console.log('attempt', attempt, lastClose?.code ?? 'first')
      return { password: `token of ${signal.aborted ? 'nobody' : 'today'}` }
    },
  },
  [publish('guide/token', 'x', { qos: 1 })],
)
for await (const packet of loop) console.log(packet.cmd)
