/** Connections opened at once: fewer than a listening socket lets wait. */
const AT_ONCE = 100

/** Opens `count` connections and prints what each one holds of the heap, in bytes, and how long all of them took, in ms. */
export async function measureIdle(
  count: number,
  open: (index: number) => Promise<unknown>,
): Promise<void> {
  const held: unknown[] = []
  // The first one brings code and caches with it, which are not its own.
  held.push(await open(0))
  const before = heapUsed()
  const began = performance.now()
  for (let at = 1; at <= count; at += AT_ONCE) {
    const some = Math.min(AT_ONCE, count + 1 - at)
    held.push(...(await Promise.all(Array.from({ length: some }, (_, i) => open(at + i)))))
  }
  const ms = Math.round(performance.now() - began)
  const heapPerConnection = Math.round((heapUsed() - before) / count)
  const rssMB = Math.round(process.memoryUsage().rss / 1e6)
  if (held.length !== count + 1) throw new Error(`opened ${held.length} of ${count + 1}`)
  console.log(JSON.stringify({ heapPerConnection, ms, rssMB }))
  process.exit(0)
}

/** @returns the heap in use after a collection, in bytes. */
export function heapUsed(): number {
  const { gc } = globalThis
  if (gc === undefined) throw new Error('run with --expose-gc')
  gc()
  gc()
  return process.memoryUsage().heapUsed
}
