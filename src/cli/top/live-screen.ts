/**
 * How does the screen of `top` live? Messages are counted as they come; the screen is drawn a few
 * times a second, and only if something has changed. Keys are answered immediately.
 */
import { counted, oneLine, printable } from '../fail.ts'
import { connectionText } from './connection-text.ts'
import { frameLines, pageRows, withinText } from './frame.ts'
import { matching, rowsOf } from './rows.ts'
import { INITIAL, type KeyPress, pressed, type ScreenEffect, settled } from './screen-state.ts'
import { Terminal } from './terminal.ts'
import type { TopicNode } from './traffic.ts'
import { type TopFlags, type Viewer, Watch } from './watch-topics.ts'

/** The shortest time between two drawings that no key asked for, in ms. */
const DRAW_MS = 200
/** Rates and ages change although no message comes, so it is drawn at least this often, in ms. */
const IDLE_DRAW_MS = 1_000
/** Drawing may take at most this part of the time, however many rows there are. */
const DRAWING_PART = 1 / 5

/** @returns the exit status. */
export async function showTopics(filters: readonly string[], flags: TopFlags): Promise<number> {
  const screen = new LiveScreen(filters, flags)
  try {
    return await screen.run()
  } finally {
    screen.close()
  }
}

class LiveScreen implements Viewer {
  readonly #watch: Watch
  readonly #terminal: Terminal
  readonly #hasColor = !process.env['NO_COLOR']
  #state = INITIAL
  #rows: readonly TopicNode[] = []
  #hasNews = true
  #drawnAt = 0
  #connection = ''
  #lagMs = 0
  #timer: NodeJS.Timeout | undefined
  #dueAt = 0
  #removed = 0

  constructor(filters: readonly string[], flags: TopFlags) {
    this.#watch = new Watch(filters, flags, this)
    this.#terminal = new Terminal({
      key: (key) => this.#press(key),
      resized: () => this.#draw(),
      ended: () => this.#watch.end(),
    })
  }

  async run(): Promise<number> {
    this.#terminal.open()
    this.#tick()
    const status = await this.#watch.run()
    this.close()
    this.#watch.conclude()
    return status
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#terminal.close()
  }

  counted(): void {
    this.#hasNews = true
  }

  removed(topic: string, error: unknown): void {
    const { note } = this.#state
    if (error !== undefined) this.#note(`${topic} was not removed: ${printable(error)}`)
    else if (!note.includes('was not removed')) {
      this.#removed++
      this.#note(`removed: ${counted(this.#removed, 'retained message')}`)
    }
  }

  warned(message: string): void {
    this.#note(oneLine(message))
  }

  #note(note: string): void {
    this.#state = { ...this.#state, note }
    this.#hasNews = true
  }

  #press(key: KeyPress): void {
    const { traffic } = this.#watch
    const { state, effects } = pressed(this.#state, key, {
      rows: this.#rows,
      page: pageRows(this.#terminal.height),
      isTopic: (node) => node.stats.own !== null,
      retainedBelow: (node) => this.#retainedBelow(node),
    })
    this.#state = state
    for (const effect of effects) this.#perform(effect)
    if (!traffic.isFrozen || effects.length > 0) this.#hasNews = true
    this.#draw()
  }

  /** Topics that the filter hides are left alone. */
  #retainedBelow(node: TopicNode): readonly string[] {
    const { traffic } = this.#watch
    const shown = matching(traffic, this.#state.filter)
    const found = traffic.retainedBelow(node)
    return found.filter((one) => shown === null || shown.has(one)).map(({ path }) => path)
  }

  #perform(effect: ScreenEffect): void {
    const { traffic } = this.#watch
    switch (effect.type) {
      case 'quit':
        return this.#watch.end()
      case 'interrupt':
        process.kill(process.pid, 'SIGINT')
        return
      case 'suspend':
        return this.#terminal.stop()
      case 'redraw':
        return this.#terminal.redraw()
      case 'freeze':
        return traffic.freeze(performance.now())
      case 'thaw':
        return traffic.thaw()
      case 'clear':
        this.#removed = 0
        this.#note(`removing ${counted(effect.topics.length, 'retained message')} …`)
        this.#watch.remove(effect.topics)
    }
  }

  #tick(): void {
    const now = performance.now()
    this.#lagMs = this.#dueAt === 0 ? 0 : Math.max(now - this.#dueAt, this.#lagMs / 2)
    const connection = connectionText(this.#watch.loop.state, now)
    const isDue = now - this.#drawnAt >= IDLE_DRAW_MS && !this.#watch.traffic.isFrozen
    if (this.#hasNews || isDue || connection !== this.#connection) this.#draw()
    const tookMs = performance.now() - now
    const delayMs = Math.max(DRAW_MS, tookMs / DRAWING_PART)
    this.#dueAt = performance.now() + delayMs
    this.#timer = setTimeout(() => this.#tick(), delayMs)
  }

  #draw(): void {
    const { traffic, loop } = this.#watch
    const now = performance.now()
    const { columns, height } = this.#terminal
    this.#rows = rowsOf(traffic, this.#state, now)
    this.#state = settled(this.#state, this.#rows, pageRows(height))
    const { connection, counters } = loop.state
    this.#connection = connectionText(loop.state, now)
    const status = {
      server: connection.endpoint,
      connection: this.#connection,
      isConnected: connection.kind === 'connected',
      lagMs: this.#lagMs,
      waiting: counters.bufferedPackets,
    }
    const epoch = Date.now() - now
    const frame = {
      ...{ traffic, state: this.#state, rows: this.#rows, status, now, epoch },
      ...{ columns, height, hasColor: this.#hasColor },
    }
    this.#state = withinText(frame)
    this.#terminal.draw(frameLines({ ...frame, state: this.#state }))
    this.#hasNews = false
    this.#drawnAt = now
  }
}
