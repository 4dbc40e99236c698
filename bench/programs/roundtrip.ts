/** it-mqtt: publish, wait for the echo, again. roundtrip PORT COUNT SIZE [4|5] */
import { eventloop, publish, type Request } from '../../src/index.ts'
import { reportTimes, WARM_UP } from './times.ts'

const [port, countText, sizeText, version = '5'] = process.argv.slice(2)
const total = Number(countText) + WARM_UP
const payload = Buffer.alloc(Number(sizeText), 65)
const times: number[] = []
let sentAt = 0
let wake = () => {}

async function* requests(): AsyncGenerator<Request> {
  for (let i = 0; i < total; i++) {
    const answered = new Promise<void>((resolve) => {
      wake = resolve
    })
    sentAt = performance.now()
    yield publish('echo/x', payload)
    await answered
  }
}

const url = `mqtt://127.0.0.1:${port}`
const loop = eventloop({ url, protocolVersion: Number(version) as 4 | 5 }, requests())
for await (const packet of loop) {
  if (packet.cmd !== 'publish') continue
  times.push(performance.now() - sentAt)
  wake()
}
reportTimes(times, total)
