/**
 * What does a person see while a bench runs? On a terminal one line that changes every second,
 * elsewhere one line for every second, on standard error.
 */
export class LiveLine {
  readonly #isShown: boolean
  #isOpen = false

  constructor(isShown: boolean) {
    this.#isShown = isShown
  }

  show(text: string): void {
    if (!this.#isShown) return
    if (!process.stderr.isTTY) {
      process.stderr.write(`${text}\n`)
      return
    }
    this.#isOpen = true
    const columns = process.stderr.columns ?? 80
    process.stderr.write(`\r\u001b[K${text.slice(0, columns - 1)}`)
  }

  /** Removes the line, so that other text can be written. */
  clear(): void {
    if (this.#isOpen) process.stderr.write('\r\u001b[K')
    this.#isOpen = false
  }
}
