import { eventloop, publish } from 'it-mqtt'

const options = { url: 'ws://localhost:9001/mqtt', headers: { 'x-tenant': 'plant-7' } }
const loop = eventloop(options, [publish('guide/websocket', 'x', { qos: 1 })])
for await (const packet of loop) console.log(packet.cmd)
