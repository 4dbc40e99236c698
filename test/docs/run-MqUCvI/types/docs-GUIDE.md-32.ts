import { subscribe } from 'node:diagnostics_channel'
import { eventloop, publish } from 'it-mqtt'

subscribe('it-mqtt:packet', (message) => {
  const { direction, packet } = message as { direction: string; packet: { cmd: string } }
  console.log(direction, packet.cmd)
})
const loop = eventloop({ url: 'mqtt://localhost', protocolVersion: 4 }, [
  publish('guide/traced', 'x', { qos: 1 }),
])
for await (const _ of loop);
console.log(loop.state.counters.acknowledged)
