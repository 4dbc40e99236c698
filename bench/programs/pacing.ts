/**
 * Round trips at an offered rate, without coordinated omission: each message has an instant at which
 * it is due, and its latency counts from there, however late it was sent.
 */
import { build } from 'hdr-histogram-js'

/** What is not counted, because the compiler is still at work. */
const WARM_UP_SECONDS = 3
/** How long an echo may take after the last message was sent. */
const PATIENCE_MS = 5000

export interface Pace {
  readonly perSecond: number
  readonly seconds: number
  readonly size: number
}

/** @returns the pace that the words of the command line give. */
export function paceOf(perSecond = '1000', seconds = '15', size = '64'): Pace {
  return { perSecond: Number(perSecond), seconds: Number(seconds), size: Number(size) }
}

/** Sends, hears and prints the percentiles in µs. */
export class Pacer {
  readonly #pace: Pace
  readonly #histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000 })
  readonly #total: number
  readonly #firstCounted: number
  #began = 0
  #sent = 0
  #heard = 0

  constructor(pace: Pace) {
    this.#pace = pace
    this.#firstCounted = WARM_UP_SECONDS * pace.perSecond
    this.#total = this.#firstCounted + pace.seconds * pace.perSecond
  }

  /** Sends each message as soon as it is due. It polls, because a timer of Node is 1 ms late. */
  start(send: (payload: Buffer) => void): void {
    this.#began = performance.now()
    const poll = () => {
      const due = ((performance.now() - this.#began) / 1000) * this.#pace.perSecond
      while (this.#sent < this.#total && this.#sent <= due) {
        const payload = Buffer.alloc(this.#pace.size, 65)
        payload.writeUInt32BE(this.#sent++)
        send(payload)
      }
      if (this.#sent < this.#total) setImmediate(poll)
      else setTimeout(() => this.#report(), PATIENCE_MS)
    }
    poll()
  }

  /** Takes an echo. */
  heard(payload: Uint8Array): void {
    const index = Buffer.from(payload.buffer, payload.byteOffset, 4).readUInt32BE()
    this.#heard++
    if (index < this.#firstCounted) return
    const due = this.#began + (index / this.#pace.perSecond) * 1000
    this.#histogram.recordValue(Math.max(1, Math.round((performance.now() - due) * 1000)))
    if (this.#heard === this.#total) this.#report()
  }

  #report(): void {
    if (this.#heard !== this.#total) throw new Error(`heard ${this.#heard} of ${this.#total}`)
    const at = (percentile: number) => this.#histogram.getValueAtPercentile(percentile)
    const figures = { p50: at(50), p99: at(99), 'p99.9': at(99.9), max: this.#histogram.maxValue }
    console.log(JSON.stringify(figures))
    process.exit(0)
  }
}
