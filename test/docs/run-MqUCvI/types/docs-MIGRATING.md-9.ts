import mqtt from 'mqtt'

const client = mqtt.connect('mqtt://localhost:1', { reconnectPeriod: 1000 })
client.on('error', (error) => {
  console.log('code' in error ? error.code : error)
  client.end() // otherwise it tries for ever
})
