/**
 * A program that prints how long the import of the installed package takes, in ms, and how much
 * memory the process has after 1,000 round trips at QoS 1, in bytes.
 */
const [url = ''] = process.argv.slice(2)
const ROUND_TRIPS = 1000

const startedAt = performance.now()
const { eventloop, publish } = await import('it-mqtt')
const importMs = performance.now() - startedAt

async function* requests() {
  for (let sent = 0; sent < ROUND_TRIPS; sent++) yield publish('runtimes/start', 'x', { qos: 1 })
}
for await (const _packet of eventloop({ url, until: 'settled' }, requests()));
console.log(JSON.stringify({ importMs, bytes: process.memoryUsage().rss }))

export {}
