// A service of Moleculer, as a program: service-moleculer.mjs PORT NODE
import { fileURLToPath } from 'node:url'
import { ServiceBroker } from 'moleculer'

export function node(port, nodeID) {
  const options = { host: '127.0.0.1', port: Number(port) }
  return new ServiceBroker({ nodeID, logger: false, transporter: { type: 'MQTT', options } })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port, nodeID] = process.argv.slice(2)
  const broker = node(port, nodeID)
  broker.createService({
    name: 'bench',
    actions: { ask: { params: { text: 'string' }, handler: ({ params }) => params.text } },
  })
  await broker.start()
}
