/** What a service that nobody calls costs. */
import { setTimeout } from 'node:timers/promises'
import { heapUsed } from './heap.ts'

/** Opens a service and prints the heap that it holds, and its CPU time in an idle stretch. */
export async function reportIdle(seconds: number, open: () => Promise<unknown>): Promise<never> {
  const before = heapUsed()
  const held = await open()
  const heapKB = Math.round((heapUsed() - before) / 1000)
  // What connecting left to do is not counted.
  await setTimeout(1000)
  const cpu = process.cpuUsage()
  await setTimeout(seconds * 1000)
  const { user, system } = process.cpuUsage(cpu)
  if (held === undefined) throw new Error('nothing was opened')
  const cpuPerMinute = Math.round(((user + system) / 1000) * (60 / seconds))
  const rssMB = process.memoryUsage.rss() / 1e6
  console.log(JSON.stringify({ heapKB, cpuPerMinute, rssMB }))
  process.exit(0)
}
