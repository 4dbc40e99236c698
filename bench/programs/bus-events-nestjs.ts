/**
 * The work of bus-events.ts by a microservice of NestJS and a client of it: an event is validated by
 * the microservice, and acknowledged whatever its handler does. bus-events-nestjs PORT COUNT QOS
 */
import { EventPattern } from '@nestjs/microservices'
import { lastValueFrom } from 'rxjs'
import { MESSAGE } from './bus-apis.ts'
import { EventsReport } from './bus-events-report.ts'
import { nestClient, nestRecord, nestService } from './nest-nodes.ts'

const [portText, count, qosText] = process.argv.slice(2)
const port = Number(portText)
const qos = Number(qosText) as 0 | 1
const report = new EventsReport(Number(count))
await nestService(port, qos, EventPattern('bench/happened'), () => report.handled())
const client = await nestClient(port)
await report.measure(() =>
  lastValueFrom(client.emit('bench/happened', nestRecord(MESSAGE, qos)), {
    defaultValue: undefined,
  }),
)
