import mqtt from 'mqtt'

const client = await mqtt.connectAsync('mqtt://localhost', {
  clientId: 'migrating-session',
  clean: false,
})
await client.subscribeAsync('migrating/session', { qos: 1 })
await client.endAsync()
console.log('the server collects messages now')
