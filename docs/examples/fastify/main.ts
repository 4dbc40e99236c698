/**
 * A web service with Fastify and MQTT that ends well on SIGTERM.
 *
 *   tsx main.ts                  with a broker of its own
 *   tsx main.ts mqtt://broker    with any broker
 *
 * Its first line is the address.
 */
import { brokerOf } from '../plant/broker.ts'
import { options } from '../plant/plant.ts'
import { plantApp } from './app.ts'

const broker = await brokerOf(process.argv[2])
const app = plantApp({ ...options, url: broker.url })
app.addHook('onClose', async () => broker.close())
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void app.close())
console.log(await app.listen({ port: 0, host: '127.0.0.1' }))
