import { ConnectionError, connect, eventloop, publish } from 'it-mqtt'

try {
  await connect('mqtt://localhost:1')
} catch (error) {
  if (error instanceof ConnectionError) console.log(error.code, 'retryable:', error.retryable)
}

const connected = await connect('mqtt://localhost')
for await (const packet of eventloop(connected, [publish('a', 'b', { qos: 1 })])) {
  console.log(packet.cmd)
}
