/**
 * Events that one side fires, AT_ONCE together, and the other handles: prints how many a second were
 * both fired and handled, and the CPU time of each. Fails if one is missing or came twice.
 */
import { AT_ONCE } from './bus-apis.ts'

const PATIENCE_MS = 60_000

export class EventsReport {
  readonly #count: number
  readonly #warmUp: number
  #handled = 0
  #wake = () => {}

  constructor(count: number) {
    this.#count = count
    this.#warmUp = Math.max(AT_ONCE, Math.round(count / 5))
  }

  /** Counts an event that was handled. */
  handled(): void {
    this.#handled++
    this.#wake()
  }

  /** Fires all and prints the figures. */
  async measure(fire: () => Promise<unknown>): Promise<never> {
    await this.#all(fire, this.#warmUp)
    const cpu = process.cpuUsage()
    const began = performance.now()
    await this.#all(fire, this.#count)
    const seconds = (performance.now() - began) / 1000
    const { user, system } = process.cpuUsage(cpu)
    const cpuMicros = Number(((user + system) / this.#count).toFixed(1))
    console.log(JSON.stringify({ rate: Math.round(this.#count / seconds), cpuMicros }))
    process.exit(0)
  }

  async #all(fire: () => Promise<unknown>, count: number): Promise<void> {
    const due = this.#handled + count
    for (let at = 0; at < count; at += AT_ONCE) {
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - at) }, fire))
    }
    const timer = setTimeout(() => {
      throw new Error(`handled ${this.#handled} of ${due}`)
    }, PATIENCE_MS)
    await new Promise<void>((resolve) => {
      this.#wake = () => {
        if (this.#handled >= due) resolve()
      }
      this.#wake()
    })
    clearTimeout(timer)
    if (this.#handled !== due) throw new Error(`handled ${this.#handled} of ${due}`)
  }
}
