/**
 * Many connections with one message a second each: what bench/scale/many.ts and many-mqttjs.ts
 * share. It prints one line of JSON: CPU time in percent of one core, resident memory, and how
 * many messages a second were acknowledged.
 */

/** Connections opened together: fewer than a listening socket lets wait. */
const TOGETHER = 100
/** What is not counted, because the compiler is still at work. */
const WARM_UP_SECONDS = 5
const MEASURED_SECONDS = 20
/** How often it looks which messages are due, so that they spread evenly over the second. */
const TICK_MS = 2
/** How long acknowledgements may take after the last message. */
const PATIENCE_MS = 5000

/** Opens a connection. @returns a function that publishes one message over it at QoS 1. */
type Open = (index: number, acknowledged: () => void) => Promise<() => void>

/** Opens `size` connections, sends over each of them once a second, and prints the figures. */
export async function measureFleet(size: number, open: Open): Promise<void> {
  const total = (WARM_UP_SECONDS + MEASURED_SECONDS) * size
  let acknowledgedCount = 0
  const acknowledged = () => {
    acknowledgedCount++
  }
  const senders = await openAll(size, (i) => open(i, acknowledged))
  await sendUntil(senders, 0, WARM_UP_SECONDS * size)
  const cpu = process.cpuUsage()
  const began = performance.now()
  const acknowledgedBefore = acknowledgedCount
  await sendUntil(senders, WARM_UP_SECONDS * size, total)
  const seconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const rssMB = Math.round(process.memoryUsage.rss() / 1e6)
  const acknowledgedWithin = acknowledgedCount - acknowledgedBefore
  const rate = Math.round(acknowledgedWithin / seconds)
  // A machine that is too slow for the rate has a lower percentage; this one stays comparable.
  const cpuMicros = (user + system) / acknowledgedWithin
  const patientUntil = performance.now() + PATIENCE_MS
  while (acknowledgedCount < total && performance.now() < patientUntil) await later()
  if (acknowledgedCount !== total) throw new Error(`${acknowledgedCount} of ${total} acknowledged`)
  const cpuPercent = (user + system) / 1e4 / seconds
  console.log(JSON.stringify({ cpuPercent, cpuMicros, rssMB, rate }))
  process.exit(0)
}

async function openAll<T>(size: number, open: (index: number) => Promise<T>): Promise<T[]> {
  const opened: T[] = []
  for (let at = 0; at < size; at += TOGETHER) {
    const some = Math.min(TOGETHER, size - at)
    opened.push(...(await Promise.all(Array.from({ length: some }, (_, i) => open(at + i)))))
  }
  return opened
}

/** Sends the messages from one number to another as they are due, from connection to connection. */
async function sendUntil(
  senders: readonly (() => void)[],
  from: number,
  to: number,
): Promise<void> {
  const began = performance.now()
  for (let sent = from; sent < to; ) {
    const due = from + ((performance.now() - began) / 1000) * senders.length
    while (sent < to && sent <= due) senders[sent++ % senders.length]!()
    await later()
  }
}

function later(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, TICK_MS))
}
