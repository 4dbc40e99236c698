import { residentMBMax } from './memory.ts'

/**
 * Counts messages, and prints their rate, the CPU time of this process and the most of its resident
 * memory when all have come.
 */
export class ThroughReport {
  readonly #count: number
  #got = 0
  #began = 0
  #cpu = process.cpuUsage()

  constructor(count: number) {
    this.#count = count
  }

  begin(): void {
    this.#began = performance.now()
    this.#cpu = process.cpuUsage()
  }

  message(): void {
    if (++this.#got < this.#count) return
    const { user, system } = process.cpuUsage(this.#cpu)
    const rate = Math.round((this.#count / (performance.now() - this.#began)) * 1000)
    const cpuMicros = Number(((user + system) / this.#count).toFixed(1))
    console.log(JSON.stringify({ rate, cpuMicros, rssMBMax: residentMBMax() }))
    process.exit(0)
  }
}
