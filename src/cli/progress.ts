/**
 * What does a person see on standard error while `pipe` works? A bar on a terminal; elsewhere a
 * line from time to time, if it has changed; and messages.
 */
import { isTerminal, say, showStatus } from './screen.ts'
import { onStatusAsked } from './signals.ts'

interface ProgressView {
  /** How many bytes of the total are done. */
  readonly value: number
  readonly text: string
}

/** How often a line that has changed is written if standard error is not a terminal. */
const LINE_EVERY_MS = 5_000
/** How often the bar is drawn. */
const DRAW_EVERY_MS = 100

const BAR_WIDTH = 24

export class Progress {
  readonly #timer: NodeJS.Timeout
  /** The line that was written or drawn last. */
  #shown = ''

  /** @param total In bytes, or null if it is not known. */
  constructor(total: number | null, view: () => ProgressView) {
    const line = () => {
      const { value, text } = view()
      return total === null ? text : `${percent(value, total)} %, ${text}`
    }
    const drawn = () => (total === null ? line() : `${bar(view().value, total)} ${line()}`)
    onStatusAsked(() => say(line()))
    this.#timer = isTerminal
      ? setInterval(() => this.#change(drawn(), showStatus), DRAW_EVERY_MS)
      : setInterval(() => this.#change(line(), say), LINE_EVERY_MS)
    this.#timer.unref()
  }

  /** Writes a line that stays above the bar. */
  say(text: string): void {
    say(text)
  }

  stop(): void {
    clearInterval(this.#timer)
    showStatus(null)
  }

  #change(text: string, show: (text: string) => void): void {
    if (text === this.#shown) return
    this.#shown = text
    show(text)
  }
}

function bar(value: number, total: number): string {
  const filled = Math.round((BAR_WIDTH * Math.min(percent(value, total), 100)) / 100)
  return '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled)
}

function percent(value: number, total: number): number {
  return total === 0 ? 100 : Math.floor((100 * value) / total)
}
