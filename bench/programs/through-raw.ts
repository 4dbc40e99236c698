/** The floor of through.ts, with 1,000 publishes outstanding at most. */
import { RawClient } from './raw.ts'
import { ThroughReport } from './through-report.ts'

const [port, qosText, countText, sizeText] = process.argv.slice(2)
const qos = Number(qosText) as 0 | 1 | 2
const count = Number(countText)
const payload = Buffer.alloc(Number(sizeText), 65)
const WINDOW = 1000
const report = new ThroughReport(count)
let sent = 0

const send = (room: number) => {
  const some = Math.min(room, count - sent)
  if (some <= 0) return
  sent += some
  client.publish(new Array(some).fill(payload))
}
const client = new RawClient(Number(port), 'through', qos, () => {
  report.begin()
  send(WINDOW)
})
client.onSettled = () => send(1)
client.onMessage = () => {
  report.message()
  // At QoS 0 nothing but the message itself says that it arrived.
  if (qos === 0) send(1)
}
