/**
 * SUBSCRIPTIONS subscriptions, each message for one of them, through identifiers or by topic; with
 * fewer than TOPICS, one to all topics. Prints the CPU time for each message. client-filters PORT
 * SUBSCRIPTIONS TOPICS MESSAGES identifier|filter
 */
import { createClient } from '../../src/client/index.ts'

const [port, countText, topicsText, messagesText, dispatch] = process.argv.slice(2)
const count = Number(countText)
const topics = Number(topicsText)
const messages = Number(messagesText)
const client = createClient({
  url: `mqtt://127.0.0.1:${port}`,
  qos: 0,
  dispatch: dispatch as 'identifier' | 'filter',
})
let counted = 0
let started = process.cpuUsage()
let finish = () => {}
const finished = new Promise<void>((resolve) => {
  finish = resolve
})
const subscriptions = Array.from({ length: count }, (_, i) =>
  client.subscribe(`plant/${count < topics ? '+' : i}/temp`, { overflow: { max: 1_000_000 } }),
)
await Promise.all(subscriptions.map(({ granted }) => granted))
const warm = Math.round(messages / 4)
for (const subscription of subscriptions) {
  void subscription.forEach(() => {
    counted++
    if (counted === warm) started = process.cpuUsage()
    if (counted === warm + messages) finish()
  })
}
await client.publish(`spread/${topics}/${warm + messages}`, '')
await finished
const { user, system } = process.cpuUsage(started)
console.log(JSON.stringify({ cpuMicros: Number(((user + system) / messages).toFixed(3)) }))
process.exit(0)
