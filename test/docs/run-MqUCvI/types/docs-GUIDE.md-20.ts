import { readFileSync } from 'node:fs'
import { eventloop, MqttError, publish, run } from 'it-mqtt'

const requests = [publish('plant/7', 'x', { qos: 1 })]

await run('mqtts://localhost', requests).catch((error: unknown) => {
  if (error instanceof MqttError) console.log(error.code)
})

const loop = eventloop(
  {
    url: 'mqtts://localhost',
    tls: {
      ca: readFileSync('ca.pem'),
      cert: readFileSync('client.pem'),
      key: readFileSync('client.key'),
    },
  },
  requests,
)
for await (const packet of loop) console.log(packet.cmd)
