/** Connections that are opened before it counts. */
const WARM_UP = 200

/** Opens connections and prints how long `count` of them took and their CPU time, in ms. */
export async function measureConnecting(
  count: number,
  atOnce: number,
  open: (index: number) => Promise<unknown>,
): Promise<void> {
  const held: unknown[] = []
  const openAll = async (from: number, to: number) => {
    for (let at = from; at < to; at += atOnce) {
      const some = Math.min(atOnce, to - at)
      held.push(...(await Promise.all(Array.from({ length: some }, (_, i) => open(at + i)))))
    }
  }
  await openAll(0, WARM_UP)
  const cpu = process.cpuUsage()
  const began = performance.now()
  await openAll(WARM_UP, WARM_UP + count)
  const ms = Math.round(performance.now() - began)
  const { user, system } = process.cpuUsage(cpu)
  if (held.length !== count + WARM_UP) throw new Error(`opened ${held.length} of ${count}`)
  console.log(JSON.stringify({ ms, cpuMs: Math.round((user + system) / 1000) }))
  process.exit(0)
}
