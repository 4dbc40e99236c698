/**
 * What a person sees on stderr while work goes on: a bar on a terminal, a line now and then elsewhere, and messages.
 */
import { MultiBar } from 'cli-progress'
import { say } from './fail.ts'

export interface ProgressView {
  /** Bytes, of the total. */
  readonly value: number
  readonly text: string
}

/** How often something that is no terminal is told, in ms. */
const LINE_EVERY_MS = 5_000

export class Progress {
  #bars: MultiBar | null = null
  #timer: NodeJS.Timeout | undefined

  /** `total`: bytes; null where nobody knows. */
  constructor(total: number | null, view: () => ProgressView) {
    if (!process.stderr.isTTY) {
      this.#timer = setInterval(() => {
        const { value, text } = view()
        this.say(total === null ? text : `${percent(value, total)} %, ${text}`)
      }, LINE_EVERY_MS).unref()
      return
    }
    const format = total === null ? '{text}' : '{bar} {percentage} % {text}'
    const bars = new MultiBar({ format, clearOnComplete: true, linewrap: true, barsize: 24 })
    const bar = bars.create(total ?? 0, 0, { text: '' })
    bars.on('update-pre', () => {
      const { value, text } = view()
      bar.update(value, { text })
    })
    this.#bars = bars
  }

  /** One line that stays. */
  say(text: string): void {
    if (this.#bars === null) say(text)
    else this.#bars.log(`it-mqtt: ${text}\n`)
  }

  stop(): void {
    clearInterval(this.#timer)
    // What was said since the last redraw.
    this.#bars?.update()
    this.#bars?.stop()
    this.#bars = null
  }
}

function percent(value: number, total: number): number {
  return total === 0 ? 100 : Math.floor((100 * value) / total)
}
