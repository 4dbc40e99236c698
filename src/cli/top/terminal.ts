/**
 * How is a terminal taken over and given back? The alternate screen, the cursor and the mode of the
 * keyboard are restored whatever ends the process, short of SIGKILL, and while it is stopped.
 */
import { emitKeypressEvents, type Interface } from 'node:readline'
import { createLogUpdate } from 'log-update'
import type { KeyPress } from './screen-state.ts'

interface TerminalEvents {
  key(key: KeyPress): void
  /** The size has changed, or the terminal was given back and taken again. */
  resized(): void
  /** The terminal has gone. */
  ended(): void
}

/** Alternate screen, no cursor, no line wraps by the terminal, empty screen. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J\x1b[H'
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l'
const CLEAR = '\x1b[2J\x1b[H'
/** How long a key may take that a terminal sends as several characters, in ms. */
const ESCAPE_MS = 50
/** After this time a request to stop has been ignored: there is no shell to continue from. */
const STOP_MS = 200
const DEFAULT_COLUMNS = 80
const DEFAULT_ROWS = 24

export class Terminal {
  readonly #events: TerminalEvents
  readonly #draw = createLogUpdate(process.stdout, { showCursor: true })
  readonly #listeners: readonly (readonly [
    NodeJS.EventEmitter,
    string,
    (...args: never[]) => void,
  ])[]
  #isEntered = false

  constructor(events: TerminalEvents) {
    this.#events = events
    const leave = () => this.leave()
    const { stdin, stdout } = process
    this.#listeners = [
      [process, 'exit', leave],
      [process, 'uncaughtExceptionMonitor', leave],
      [process, 'SIGTSTP', () => this.stop()],
      [process, 'SIGCONT', () => this.#continue()],
      [stdout, 'resize', () => this.redraw()],
      [stdin, 'keypress', (_: string, key: KeyPress) => events.key(key)],
      [stdin, 'end', () => events.ended()],
      [stdin, 'error', () => events.ended()],
    ]
  }

  get columns(): number {
    return process.stdout.columns || DEFAULT_COLUMNS
  }

  /** The lines of a screen. The library that draws needs one for the cursor. */
  get height(): number {
    return Math.max(1, (process.stdout.rows || DEFAULT_ROWS) - 1)
  }

  open(): void {
    const { stdin } = process
    if (stdin.isTTY) {
      const options: unknown = { escapeCodeTimeout: ESCAPE_MS }
      emitKeypressEvents(stdin, options as Interface)
    }
    for (const [emitter, name, listener] of this.#listeners) {
      if (emitter === stdin && !stdin.isTTY) continue
      emitter.on(name, listener as (...args: unknown[]) => void)
    }
    this.#enter()
  }

  close(): void {
    this.leave()
    for (const [emitter, name, listener] of this.#listeners) {
      emitter.off(name, listener as (...args: unknown[]) => void)
    }
  }

  draw(lines: readonly string[]): void {
    if (this.#isEntered) this.#draw(lines.join('\n'))
  }

  /** Forgets what stands on the screen, so that the next `draw` draws everything. */
  redraw(): void {
    if (!this.#isEntered) return
    this.#draw.done()
    process.stdout.write(CLEAR)
    this.#events.resized()
  }

  /** Stops the process as Ctrl-Z does, until SIGCONT. */
  stop(): void {
    if (!this.#isEntered) return
    this.leave()
    const listeners = process.listeners('SIGTSTP')
    // Without a listener the signal does what it does to every process.
    process.removeAllListeners('SIGTSTP')
    setTimeout(() => {
      for (const listener of listeners) process.on('SIGTSTP', listener)
      this.#continue()
    }, STOP_MS)
    process.kill(process.pid, 'SIGTSTP')
  }

  leave(): void {
    if (!this.#isEntered) return
    this.#isEntered = false
    const { stdin, stdout } = process
    if (stdin.isTTY) {
      stdin.setRawMode(false)
      stdin.pause()
    }
    stdout.write(LEAVE)
  }

  #enter(): void {
    const { stdin, stdout } = process
    this.#isEntered = true
    if (stdin.isTTY) {
      stdin.setRawMode(true)
      stdin.resume()
    }
    stdout.write(ENTER)
    this.#draw.done()
  }

  /** A shell has used the terminal meanwhile, in the case of SIGSTOP without a word to us. */
  #continue(): void {
    if (process.listenerCount('SIGTSTP') === 0) return
    this.leave()
    this.#enter()
    this.#events.resized()
  }
}
