import { eventloop, MqttError } from 'it-mqtt'

try {
  for await (const packet of eventloop('mqtt://localhost:1')) console.log(packet.cmd)
} catch (error) {
  if (error instanceof MqttError) console.log(error.code)
}
