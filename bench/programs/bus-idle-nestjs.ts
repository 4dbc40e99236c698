/** The work of bus-idle.ts by a microservice of NestJS. bus-idle-nestjs PORT SECONDS */
import { MessagePattern } from '@nestjs/microservices'
import { reportIdle } from './bus-idle-report.ts'
import { nestService } from './nest-nodes.ts'

const [port, seconds] = process.argv.slice(2)
await reportIdle(Number(seconds), async () => {
  await nestService(Number(port), 0, MessagePattern('bench/ask'), (value) => value)
  return true
})
