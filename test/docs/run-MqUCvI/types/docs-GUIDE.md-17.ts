import { eventloop, publish, run, subscribe } from 'it-mqtt'

const options = {
  url: 'mqtt://localhost',
  clientId: 'guide-collector', // the same in each life of the process
  cleanStart: false,
  session: 'adopt',
  sessionExpiryInterval: 7 * 86_400, // the server keeps the session for a week (MQTT 5)
} as const

for await (const packet of eventloop(options, [subscribe('alarms/#', { qos: 1 })])) {
  if (packet.cmd === 'suback') break // the process ends
}

await run('mqtt://localhost', [publish('alarms/fire', 'while you were away', { qos: 1 })])

for await (const packet of eventloop(options, [subscribe('alarms/#', { qos: 1 })])) {
  if (packet.cmd === 'connack') console.log('session present:', packet.sessionPresent)
  if (packet.cmd !== 'publish') continue
  console.log(packet.payload.toString())
  break
}
