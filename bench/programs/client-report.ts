/** How many publishes are awaited together. */
export const AT_ONCE = 1000
export const TOPIC = 'sensors/room/1/temp'

/** Prints the rate of a run, or fails if a message is missing. */
export function reportWork(started: bigint, counted: number, count: number): never {
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  const { user, system } = process.cpuUsage()
  if (counted !== count) {
    console.error(`counted ${counted} of ${count}`)
    process.exit(1)
  }
  const cpuMicros = Number(((user + system) / count).toFixed(2))
  console.log(JSON.stringify({ rate: Math.round(count / seconds), cpuMicros }))
  process.exit(0)
}
