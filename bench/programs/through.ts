/** it-mqtt through a broker: publish COUNT messages and receive them, over one connection. through PORT QOS COUNT SIZE [4|5] */
import { eventloop, type QoS, type Request, subscribe } from '../../src/index.ts'
import { ThroughReport } from './through-report.ts'

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

const report = new ThroughReport(count)
const protocolVersion = Number(version) as 4 | 5
const options = { url, protocolVersion, until: 'closed', maxInflight: 1000 } as const
for await (const packet of eventloop(options, requests())) {
  if (packet.cmd === 'suback') {
    report.begin()
    begin()
  }
  if (packet.cmd === 'publish') report.message()
}
