import mqtt from 'mqtt'

const client = await mqtt.connectAsync('mqtt://localhost')
const granted = await client.subscribeAsync('migrating/#', { qos: 1 })
console.log(granted[0]?.topic, granted[0]?.qos)
await client.unsubscribeAsync('migrating/#')
await client.endAsync()
