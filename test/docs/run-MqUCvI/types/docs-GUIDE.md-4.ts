import { eventloop, type Outcome, publish, type Request } from 'it-mqtt'
import { pushable } from 'it-pushable'

const requests = pushable<Request>({ objectMode: true })
const waiting = new Map<Request, (outcome: Outcome) => void>()

function send(request: Request): Promise<void> {
  return new Promise((resolve, reject) => {
    waiting.set(request, (outcome) => (outcome.ok ? resolve() : reject(outcome.error)))
    requests.push(request)
  })
}

const loop = eventloop(
  {
    url: 'mqtt://localhost',
    onSettled(request, outcome) {
      waiting.get(request)?.(outcome)
      waiting.delete(request)
    },
  },
  requests,
)

async function main() {
  await send(publish('plant/7/setpoint', '22', { qos: 1 }))
  console.log('delivered')
  await send(publish('plant/+/setpoint', '22')).catch((error) => console.log(String(error)))
  requests.end()
}

const sending = main()
for await (const _ of loop);
await sending
