import mqtt from 'mqtt'

const client = mqtt.connect('mqtt://localhost')
client.on('connect', () => {
  console.log('connected')
  client.subscribe('migrating/events', { qos: 1 }, () => {
    client.publish('migrating/events', 'hello', { qos: 1 })
  })
})
client.on('message', (topic, payload) => {
  console.log(topic, payload.toString())
  client.end()
})
client.on('error', (error) => console.error(error))
