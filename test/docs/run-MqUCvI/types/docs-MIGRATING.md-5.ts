import mqtt from 'mqtt'

const client = await mqtt.connectAsync('mqtt://localhost')
client.publish('migrating/publish', 'with a callback', { qos: 1 }, (error) => {
  console.log(error ?? 'delivered')
})
await client.publishAsync('migrating/publish', 'with a promise', { qos: 1 })
console.log('delivered')
await client.endAsync()
