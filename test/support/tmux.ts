/**
 * A real terminal: tmux on a socket of its own, with a shell in it. It is gone when the test is
 * over.
 */
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { onTestFinished, type TestContext } from 'vitest'

/** Skips the test if tmux is missing; fails it where brokers are required, which tmux is too. */
export function requireTmux(context: TestContext): void {
  if (spawnSync('tmux', ['-V']).error === undefined) return
  if (process.env['IT_MQTT_REQUIRE_BROKERS'] === '1')
    throw new Error('tmux is required and not installed')
  console.log(`not run, tmux is not installed: ${context.task.name}`)
  context.skip('tmux is not installed: not run')
}

export class Tmux {
  readonly #socket = `it-mqtt-${randomUUID()}`

  /** Starts a shell with these variables. */
  constructor(columns: number, rows: number, env: Readonly<Record<string, string>> = {}) {
    const size = ['-x', String(columns), '-y', String(rows)]
    const variables = Object.entries({ PS1: '$ ', LC_ALL: 'C.UTF-8', ...env })
    const words = variables.map(([name, value]) => `${name}=${value}`)
    onTestFinished(() => void spawnSync('tmux', ['-L', this.#socket, 'kill-server']))
    const shell = ['env', ...words, 'bash', '--norc', '--noprofile', '-i']
    this.#run('-u', '-f', '/dev/null', 'new-session', '-d', ...size, ...shell)
  }

  /** Presses keys, as tmux names them; other words are typed. */
  keys(...names: readonly string[]): void {
    this.#run('send-keys', ...names)
  }

  type(text: string): void {
    this.#run('send-keys', '-l', text)
  }

  resize(columns: number, rows: number): void {
    this.#run('resize-window', '-x', String(columns), '-y', String(rows))
  }

  /** @returns the lines of the screen, without blanks at their ends. */
  lines(): string[] {
    return this.#run('capture-pane', '-p').replace(/\n$/, '').split('\n')
  }

  /** @returns a value of tmux: `alternate_on`, `cursor_flag`, `pane_pid`. */
  value(name: string): string {
    return this.#run('display-message', '-p', `#{${name}}`).trim()
  }

  /** Waits until the screen is as expected; the time limit is only for a test that hangs. */
  async shows(what: string | RegExp | ((screen: string) => boolean)): Promise<string> {
    const isShown = (screen: string) => {
      if (typeof what === 'function') return what(screen)
      return typeof what === 'string' ? screen.includes(what) : what.test(screen)
    }
    const by = Date.now() + 45_000
    for (;;) {
      const screen = this.lines().join('\n')
      if (isShown(screen)) return screen
      if (Date.now() > by) throw new Error(`${String(what)} is not shown:\n${screen}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  #run(...words: readonly string[]): string {
    const { status, stdout, stderr } = spawnSync('tmux', ['-L', this.#socket, ...words], {
      encoding: 'utf8',
    })
    if (status !== 0) throw new Error(`tmux ${words.join(' ')}: ${stderr}`)
    return stdout
  }
}
