import { eventloop, publish } from 'it-mqtt'

const requests = [
  { cmd: 'throttle', perSecond: 1000 } as const,
  publish('guide/slow', '1', { qos: 1 }),
  publish('guide/slow', '2', { qos: 1 }),
]
const loop = eventloop('mqtt://localhost', requests)
for await (const packet of loop) {
  if (packet.cmd === 'connack') loop.pause(50)
  console.log(packet.cmd, loop.state.paused ? 'paused' : 'running')
}
