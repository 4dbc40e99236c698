/** Makes requests, `atOnce` of them open at a time, and prints their rate and the median of their times. */
export async function reportRequests(
  count: number,
  atOnce: number,
  ask: () => Promise<void>,
): Promise<never> {
  const times: number[] = []
  let begun = 0
  const one = async (total: number) => {
    while (begun < total) {
      begun++
      const at = performance.now()
      await ask()
      times.push(performance.now() - at)
    }
  }
  const all = (total: number) => Promise.all(Array.from({ length: atOnce }, () => one(total)))
  await all(Math.round(count / 5))
  times.length = 0
  const cpu = process.cpuUsage()
  const began = performance.now()
  const before = begun
  await all(before + count)
  const { user, system } = process.cpuUsage(cpu)
  times.sort((a, b) => a - b)
  const rate = Math.round((count / (performance.now() - began)) * 1000)
  const p50 = Math.round(times[Math.floor(times.length / 2)]! * 1000)
  console.log(JSON.stringify({ rate, p50, cpuMicros: Math.round((user + system) / count) }))
  process.exit(0)
}
