/** it-mqtt through a broker: publish COUNT messages and receive them, over one connection. through PORT QOS COUNT SIZE [4|5] */
import { eventloop, type QoS, type Request, subscribe } from '../../src/index.ts'

const [port, qosText, countText, sizeText, version = '5'] = process.argv.slice(2)
const qos = Number(qosText) as QoS
const count = Number(countText)
const payload = Buffer.alloc(Number(sizeText), 65)
const url = `mqtt://127.0.0.1:${port}`
let begin = () => {}
const subscribed = new Promise<void>((resolve) => {
  begin = resolve
})

async function* requests(): AsyncGenerator<Request> {
  yield subscribe('through', { qos })
  await subscribed
  for (let i = 0; i < count; i++) yield { cmd: 'publish', topic: 'through', payload, qos }
}

let got = 0
let began = 0
const protocolVersion = Number(version) as 4 | 5
for await (const packet of eventloop({ url, protocolVersion, until: 'closed' }, requests())) {
  if (packet.cmd === 'suback') {
    began = performance.now()
    begin()
  }
  if (packet.cmd === 'publish' && ++got === count) break
}
console.log(JSON.stringify({ rate: Math.round((count / (performance.now() - began)) * 1000) }))
process.exit(0)
