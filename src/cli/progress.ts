/**
 * What does a person see on standard error while `pipe` works? A bar on a terminal; elsewhere a
 * line from time to time, if it has changed; and messages.
 */
import { MultiBar } from 'cli-progress'
import { isTerminal, say } from './screen.ts'
import { onStatusAsked } from './signals.ts'

interface ProgressView {
  /** How many bytes of the total are done. */
  readonly value: number
  readonly text: string
}

/** How often a line that has changed is written if standard error is not a terminal. */
const LINE_EVERY_MS = 5_000

export class Progress {
  #bars: MultiBar | null = null
  #timer: NodeJS.Timeout | undefined

  /** @param total In bytes, or null if it is not known. */
  constructor(total: number | null, view: () => ProgressView) {
    const line = () => {
      const { value, text } = view()
      return total === null ? text : `${percent(value, total)} %, ${text}`
    }
    onStatusAsked(() => this.say(line()))
    if (!isTerminal) {
      let said = ''
      this.#timer = setInterval(() => {
        const now = line()
        if (now !== said) this.say(now)
        said = now
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

  /** Writes a line above the bar, if there is one; the line is not overwritten. */
  say(text: string): void {
    if (this.#bars === null) say(text)
    else this.#bars.log(`it-mqtt: ${text}\n`)
  }

  stop(): void {
    clearInterval(this.#timer)
    // Draws the lines that were written since the last redraw.
    this.#bars?.update()
    this.#bars?.stop()
    this.#bars = null
  }
}

function percent(value: number, total: number): number {
  return total === 0 ? 100 : Math.floor((100 * value) / total)
}
