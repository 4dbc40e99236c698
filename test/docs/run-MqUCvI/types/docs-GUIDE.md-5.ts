import { eventloop, MqttError, publish, subscribe } from 'it-mqtt'

const loop = eventloop(
  {
    url: 'mqtt://localhost',
    onWarning: ({ code, message }) => console.error(code, message),
    onSettled(request, outcome) {
      if (outcome.ok) return
      const { error } = outcome
      console.log(request.cmd, 'failed:', error instanceof MqttError ? error.code : error)
    },
  },
  [
    subscribe('plant/#', { qos: 1 }),
    publish('not/a/+/topic', 'x'),
    publish('plant/7', 'this one arrives', { qos: 1 }),
  ],
)
for await (const packet of loop) {
  if (packet.cmd !== 'publish') continue
  console.log(packet.payload.toString())
  break
}
