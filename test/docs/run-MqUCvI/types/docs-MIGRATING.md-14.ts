import mqtt from 'mqtt'

const client = await mqtt.connectAsync('mqtt://localhost')
client.handleMessage = (packet, done) => {
  setTimeout(() => {
    console.log('handled', packet.payload.toString())
    done()
    void client.endAsync()
  }, 50)
}
await client.subscribeAsync('migrating/slow', { qos: 1 })
await client.publishAsync('migrating/slow', '1', { qos: 1 })
