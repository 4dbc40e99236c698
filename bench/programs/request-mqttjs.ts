/**
 * The work of client-request.ts, written by hand on MQTT.js, with time-outs. As there, requester and
 * responder are two clients of one process.
 */
import { randomBytes } from 'node:crypto'
import mqtt from 'mqtt'
import { reportRequests } from './request-report.ts'

const [port, count, atOnce] = process.argv.slice(2)
const options = { host: '127.0.0.1', port: Number(port), protocolVersion: 5 } as const
// MQTT.js writes the client identifier that it makes into the options, so that two clients with the
// same object would take the session from each other.
const server = await mqtt.connectAsync({ ...options })
server.on('message', (_topic, payload, { properties }) => {
  const { responseTopic, correlationData } = properties ?? {}
  if (responseTopic === undefined || correlationData === undefined) return
  server.publish(responseTopic, payload, { properties: { correlationData } })
})
await server.subscribeAsync('bench/ask')

const client = await mqtt.connectAsync({ ...options })
for (const { stream } of [server, client]) {
  ;(stream as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true)
}
const responseTopic = `bench/answers/${randomBytes(8).toString('hex')}`
const waiting = new Map<string, (payload: Buffer) => void>()
client.on('message', (_topic, payload, { properties }) => {
  const key = properties?.correlationData?.toString('hex') ?? ''
  const resolve = waiting.get(key)
  waiting.delete(key)
  resolve?.(payload)
})
await client.subscribeAsync(responseTopic)

function request(topic: string, payload: Buffer, timeout = 5000): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const correlationData = randomBytes(16)
    const key = correlationData.toString('hex')
    const timer = setTimeout(() => {
      waiting.delete(key)
      reject(new Error(`no answer within ${timeout} ms`))
    }, timeout)
    waiting.set(key, (answer) => {
      clearTimeout(timer)
      resolve(answer)
    })
    const properties = { responseTopic, correlationData, messageExpiryInterval: 5 }
    client.publish(topic, payload, { qos: 0, properties }, (error) => {
      if (error) reject(error)
    })
  })
}

const payload = Buffer.alloc(64, 65)
await reportRequests(Number(count), Number(atOnce), async () => {
  await request('bench/ask', payload)
})
