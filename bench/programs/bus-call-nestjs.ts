/**
 * The work of bus-call.ts by a microservice of NestJS, which validates the payload with zod; answers
 * are not validated, and are at QoS 0 whatever is said. bus-call-nestjs PORT COUNT AT_ONCE QOS
 */
import { MessagePattern } from '@nestjs/microservices'
import { firstValueFrom } from 'rxjs'
import { MESSAGE } from './bus-apis.ts'
import { nestClient, nestRecord, nestService } from './nest-nodes.ts'
import { reportRequests } from './request-report.ts'

const [portText, count, atOnce, qosText] = process.argv.slice(2)
const port = Number(portText)
const qos = Number(qosText) as 0 | 1
await nestService(port, qos, MessagePattern('bench/ask'), (value) => value)
const client = await nestClient(port)
await reportRequests(Number(count), Number(atOnce), async () => {
  const asked = client.send<typeof MESSAGE>('bench/ask', nestRecord(MESSAGE, qos))
  const { text } = await firstValueFrom(asked)
  if (text !== MESSAGE.text) throw new Error('the answer is another one')
})
