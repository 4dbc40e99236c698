/** The loop: publish through a broker to a subscription of its own, one at a time. request-loop PORT COUNT */
import { eventloop, publish, type Request, subscribe } from '../../src/index.ts'
import { reportRequests } from './request-report.ts'

const [port, count] = process.argv.slice(2)
const payload = Buffer.alloc(64, 65)
let wake = () => {}
let give: (request: Request) => void = () => {}

async function* requests(): AsyncGenerator<Request> {
  yield subscribe('bench/echo')
  for (;;) {
    yield await new Promise<Request>((resolve) => {
      give = resolve
    })
  }
}

const loop = eventloop(`mqtt://127.0.0.1:${port}`, requests())
const granted = new Promise<void>((resolve) => {
  void (async () => {
    for await (const packet of loop) {
      if (packet.cmd === 'suback') resolve()
      if (packet.cmd === 'publish') wake()
    }
  })()
})
await granted
await reportRequests(Number(count), 1, () => {
  const echo = new Promise<void>((resolve) => {
    wake = resolve
  })
  give(publish('bench/echo', payload))
  return echo
})
