import { connect, eventloop } from 'it-mqtt'

const connected = await connect('mqtt://localhost')
console.log('connected')
const loop = eventloop(connected)
for await (const packet of loop) console.log(packet.cmd)
