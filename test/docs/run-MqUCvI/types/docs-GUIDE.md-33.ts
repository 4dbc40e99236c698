import { eventloop, publish } from 'it-mqtt'

async function* modem(): AsyncGenerator<'online' | 'offline'> {
  yield 'online' // retries immediately; 'offline' drops the connection immediately
}

const loop = eventloop(
  {
    url: ['mqtt://127.0.0.1:1', 'mqtt://localhost'],
    connectivityCheck: async () => true, // a request to something that always answers, say
    networkHints: modem(),
    suspendAfterMs: 60_000,
    followRedirects: false,
  },
  [publish('guide/failover', 'x', { qos: 1 })],
)
for await (const packet of loop) console.log(packet.cmd)
const { reconnections } = loop.state.counters
console.log(Object.keys(reconnections))
