import { Aedes } from 'aedes'
import { eventloop, memoryPair, publish } from 'it-mqtt'

const broker = await Aedes.createBroker()
broker.authorizePublish = (_client, { topic, payload }, done) => {
  console.log('the broker got', topic, payload.toString())
  done(null)
}

function transport() {
  const [client, server] = memoryPair()
  broker.handle(server)
  return client
}

const loop = eventloop({ url: 'mqtt://in-memory', transport }, [publish('a', '1', { qos: 1 })])
for await (const packet of loop) console.log(packet.cmd)
broker.close()
