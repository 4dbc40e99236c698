/**
 * An edge gateway: it samples the machine that it runs on, keeps every sample on disk until the
 * broker has it, and goes on where it stopped after a lost link, a restart or a power cut.
 *
 *   tsx gateway.ts mqtt://broker /var/lib/gateway           until Ctrl-C
 *   tsx gateway.ts mqtt://broker /var/lib/gateway --drain   only delivers what is left
 *
 * Each line of its standard output is the name of a sample that is safe on disk.
 */
import { readFile } from 'node:fs/promises'
import { freemem, hostname, loadavg, totalmem, uptime } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Eventloop, eventloop, publish } from 'it-mqtt'
import { type Spool, spool } from 'it-mqtt/disk'

/** A week of samples, one a second. Beyond that the oldest are dropped. */
const SAMPLES_MAX = 7 * 24 * 3600

const gateway = hostname()
const topic = `gateway/${gateway}`

/**
 * @returns how long processes waited for the CPU, in percent of the last ten seconds, or null if
 *   the kernel does not say.
 */
async function cpuPressure(): Promise<number | null> {
  const text = await readFile('/proc/pressure/cpu', 'utf8').catch(() => '')
  const found = /avg10=([\d.]+)/.exec(text)
  return found === null ? null : Number(found[1])
}

async function sample(name: string) {
  return {
    name,
    at: new Date().toISOString(),
    load: loadavg()[0],
    freeMemory: freemem() / totalmem(),
    cpuPressure: await cpuPressure(),
    uptime: uptime(),
  }
}

/** Takes samples at a steady pace, whatever the link does. */
async function takeSamples(queue: Spool, everyMs: number, signal: AbortSignal): Promise<void> {
  // Names are unique across restarts.
  const startedAt = Date.now()
  for (let number = 0; !signal.aborted; number++) {
    const taken = await sample(`${startedAt}:${number}`)
    await queue.push(publish(`${topic}/sample`, JSON.stringify(taken), { qos: 1 }))
    console.log(taken.name)
    await sleep(everyMs, undefined, { signal }).catch(() => {})
  }
}

function connect(url: string, queue: Spool): Eventloop {
  const online = publish(`${topic}/online`, 'true', { qos: 1, retain: true })
  return eventloop(
    {
      url,
      clientId: `gateway-${gateway}`,
      keepAlive: 30,
      // At boot the network may not be there yet: retry the first connection too.
      reconnect: { when: 'always', minMs: 100, maxMs: 30_000 },
      will: { topic: online.topic, payload: 'false', qos: 1, retain: true },
      onConnected: () => [online],
      onWarning: ({ message }) => console.error(message),
    },
    queue,
  )
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    every: { type: 'string', default: '1000' },
    drain: { type: 'boolean', default: false },
  },
})
const [url = 'mqtt://localhost', directory = './gateway-data'] = positionals

await using queue = await spool(directory, {
  maxMessages: SAMPLES_MAX,
  overflow: 'dropOldest',
  onWarning: ({ message }) => console.error(message),
})
const loop = connect(url, queue)
const ending = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    ending.abort()
    loop.disconnect(2000)
  })
}
const sampling = values.drain
  ? queue.end()
  : takeSamples(queue, Number(values.every), ending.signal)
for await (const _ of loop) {
  // This gateway receives nothing; outcomes go to the spool.
}
await sampling
