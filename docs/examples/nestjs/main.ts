/**
 * A web service with NestJS and MQTT that ends well on SIGTERM, and with status 1 if the client has
 * failed.
 *
 *   tsx main.ts                  with a broker of its own
 *   tsx main.ts mqtt://broker    with any broker
 *
 * Its first line is the address.
 */
import { NestFactory } from '@nestjs/core'
import { brokerOf } from '../plant/broker.ts'
import { options } from '../plant/plant.ts'
import { MqttErrors, plantModule } from './app.ts'
import { MqttFailure } from './mqtt.module.ts'

const broker = await brokerOf(process.argv[2])
const app = await NestFactory.create(plantModule({ ...options, url: broker.url }), {
  logger: ['error', 'warn', 'fatal'],
})
app.useGlobalFilters(new MqttErrors())
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end())
void app.get(MqttFailure).error.then((error) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
  return end()
})
await app.listen(0, '127.0.0.1')
console.log(await app.getUrl())

async function end(): Promise<void> {
  await app.close()
  broker.close()
}
