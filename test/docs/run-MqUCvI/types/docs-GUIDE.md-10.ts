import { randomUUID } from 'node:crypto'
import { eventloop, publish, type Request, subscribe } from 'it-mqtt'
import { pushable } from 'it-pushable'

/** Answers every request with its square. */
async function serve() {
  const requests = pushable<Request>({ objectMode: true })
  requests.push(subscribe('square', { qos: 1 }))
  for await (const packet of eventloop('mqtt://localhost', requests)) {
    if (packet.cmd === 'suback') void ask()
    if (packet.cmd !== 'publish') continue
    const { responseTopic, correlationData } = packet.properties ?? {}
    if (responseTopic === undefined || correlationData === undefined) continue
    const result = String(Number(packet.payload.toString()) ** 2)
    requests.push(publish(responseTopic, result, { qos: 1, properties: { correlationData } }))
  }
}

const requests = pushable<Request>({ objectMode: true })
const waiting = new Map<string, (answer: string) => void>()
const inbox = `answers/${randomUUID()}`

function call(topic: string, payload: string, timeoutMs: number): Promise<string> {
  const id = randomUUID()
  return new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${topic} did not answer`)), timeoutMs)
    waiting.set(id, (answer) => {
      clearTimeout(timer)
      resolve(answer)
    })
    const properties = { responseTopic: inbox, correlationData: Buffer.from(id) }
    requests.push(publish(topic, payload, { qos: 1, properties }))
  }).finally(() => waiting.delete(id))
}

async function ask() {
  requests.push(subscribe(inbox, { qos: 1 }))
  void (async () => {
    for await (const packet of eventloop('mqtt://localhost', requests)) {
      if (packet.cmd !== 'publish') continue
      const id = String(packet.properties?.correlationData)
      waiting.get(id)?.(packet.payload.toString())
    }
  })()
  console.log(await Promise.all([call('square', '3', 5000), call('square', '12', 5000)]))
  process.exit()
}

await serve()
