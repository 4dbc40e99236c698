import mqtt from 'mqtt'

const client = await mqtt.connectAsync('mqtt://localhost', { protocolVersion: 4 })
console.log('connected')
await client.endAsync()
