/**
 * A web service with Express and MQTT that ends well.
 *
 *   tsx main.ts                  with a broker of its own
 *   tsx main.ts mqtt://broker    with any broker
 *
 * Its first line is the address. SIGTERM: it takes no more requests, answers those that it has, and
 * then the client ends. If the client ends by itself, the service ends with status 1.
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createClient } from 'it-mqtt/client'
import { brokerOf } from '../plant/broker.ts'
import { options, Temperatures } from '../plant/plant.ts'
import { plantApp } from './app.ts'

const broker = await brokerOf(process.argv[2])
const client = createClient({ ...options, url: broker.url })
const temperatures = new Temperatures()
const following = temperatures.follow(client)

const server = plantApp(client, temperatures).listen(0, '127.0.0.1')
await once(server, 'listening')
console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)

try {
  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT'), following])
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  // Idle connections close at once; the answers of the others are awaited.
  await new Promise((resolve) => server.close(resolve))
  await client.close()
  broker.close()
}
