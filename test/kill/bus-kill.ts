/**
 * Kills the processes of services with SIGKILL at random instants, many times, and checks that no
 * event is lost, that none is handled again which a store knows, and that every call has a result.
 * (B1, B6, B7, B9)
 *
 * Two processes serve an API and fire durable events, a fleet listens with a store for each
 * process, and two processes call. Each is killed and begins again, all at the same time.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Mosquitto } from '../support/mosquitto.ts'
import { bundle, start, until } from '../support/process.ts'
import { randomOf } from '../support/random.ts'

/** The compiled program lies here, so that it finds the packages that it needs. */
const CACHE = fileURLToPath(new URL('../../node_modules/.cache', import.meta.url))
const HANG_MS = 120_000
/** The most lines that a process writes before it is killed, and how long that may take, in ms. */
const LINES_MAX = 50
const WORK_MS_MAX = 5000
/** How late a call may have its result: it has a time-out of 2 s, and the machine may be slow. */
const RESULT_MS = 12_000

export interface BusKillPlan {
  readonly kills: number
  readonly seed: number
  readonly say: (text: string) => void
}

export interface BusKillFigures {
  kills: number
  /** Events that the outbox accepted, and how many of them were handled. */
  fired: number
  handled: number
  /** Handlers of events that began again, because their end was not stored yet. */
  begunAgain: number
  calls: number
  /** The results of calls, by code. */
  readonly results: Record<string, number>
  /** Calls of killed processes. */
  abandoned: number
  /** Calls that two processes have executed. */
  executedTwice: number
  readonly problems: string[]
}

type Role = 'shop' | 'mail' | 'call'

class Drill {
  readonly figures: BusKillFigures = {
    ...{ kills: 0, fired: 0, handled: 0, begunAgain: 0, calls: 0, results: {} },
    ...{ abandoned: 0, executedTwice: 0, problems: [] },
  }
  readonly #plan: BusKillPlan
  readonly #random: () => number
  readonly #fired = new Set<string>()
  /** Events that are stored as handled, by listener process. */
  readonly #stored = new Map<string, Set<string>>()
  readonly #begun = new Set<string>()
  /** When each call was made that has no result yet. */
  readonly #open = new Map<string, number>()
  /** Which lives of which processes have executed a call. */
  readonly #executed = new Map<string, Set<string>>()
  readonly #outboxes = new Map<string, number>()
  readonly #command: (role: Role, name: string, life: string) => readonly string[]
  #isOver = false

  constructor(plan: BusKillPlan, url: string, program: string, folder: string) {
    this.#plan = plan
    this.#random = randomOf(plan.seed)
    this.#command = (role, name, life) => [program, role, url, join(folder, role), name, life]
  }

  async run(seats: readonly (readonly [Role, string])[]): Promise<void> {
    // Events count from the time at which every process of the listener has its session.
    for (const [role, name] of seats) {
      if (role !== 'mail') continue
      const first = this.#start(role, name, 'first')
      await until(first.isReady, () => `${name} is ready: ${first.errors()}`, HANG_MS)
      first.process.kill('SIGKILL')
      await first.ended
    }
    const ends = seats.map(([role, name]) => this.#seat(role, name))
    const last = await Promise.all(ends)
    await until(
      () => last.every((one) => one.isReady()) && this.#isDone(),
      () => this.#left(),
      HANG_MS,
    )
    for (const one of last) one.process.kill('SIGTERM')
    for (const { ended, errors, name } of last) {
      const code = await ended
      if (code !== 0) this.#problem(`${name} ends with ${code}: ${errors()}`)
    }
    this.figures.fired = this.#fired.size
    const lost = [...this.#fired].filter((event) => !this.#isStored(event))
    this.figures.handled = this.#fired.size - lost.length
    if (lost.length > 0) this.#problem(`${lost.length} events are lost: ${lost.slice(0, 5)}`)
    if (this.#open.size > 0) this.#problem(`${this.#open.size} calls have no result`)
  }

  /** One process after the other; the last one may work until all is done. */
  async #seat(role: Role, name: string) {
    for (let life = 0; !this.#isOver; life++) {
      const child = this.#start(role, name, String(life))
      // Some are killed while they open what their predecessor left.
      if (this.#random() < 0.85) {
        await until(
          () => child.isReady(),
          () => `${role} ${name} is ready: ${child.errors()}`,
          HANG_MS,
        )
      }
      const lines = Math.floor(this.#random() * LINES_MAX)
      const killAt = performance.now() + this.#random() * WORK_MS_MAX
      while (child.lines() < lines && performance.now() < killAt) await sleep(5)
      if (child.process.exitCode !== null) {
        this.#problem(`${role} ${name} ended by itself: ${child.errors()}`)
      }
      child.process.kill('SIGKILL')
      await child.ended
      for (const call of this.#open.keys()) {
        if (!call.startsWith(`${name}.${life}.`)) continue
        this.#checkCall(call)
        this.#open.delete(call)
        this.figures.abandoned++
      }
      this.figures.kills++
      if (this.figures.kills >= this.#plan.kills) this.#isOver = true
      if (this.figures.kills % 100 === 0) this.#plan.say(`${this.figures.kills} kills`)
    }
    return this.#start(role, name, 'end')
  }

  #start(role: Role, name: string, life: string) {
    const child = start(process.execPath, this.#command(role, name, life))
    let rest = ''
    let errors = ''
    let isReady = false
    let count = 0
    child.stdout!.on('data', (chunk) => {
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop()!
      count += lines.length
      for (const line of lines) {
        if (line === 'ready') isReady = true
        else this.#hear(`${role}/${name}`, life, line)
      }
    })
    child.stderr!.on('data', (chunk) => {
      errors += chunk
    })
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    return {
      ...{ process: child, ended, name: `${role} ${name}` },
      errors: () => errors,
      isReady: () => isReady,
      lines: () => count,
    }
  }

  #hear(who: string, life: string, line: string): void {
    const [what, id = '', result = ''] = line.split(' ')
    const { figures } = this
    switch (what) {
      case '+':
        this.#fired.add(id)
        return
      case 'o':
        this.#outboxes.set(who, life === 'end' ? Number(id) : 1)
        return
      case 'b':
        if (this.#stored.get(who)?.has(id)) this.#problem(`${who} handles ${id} again`)
        if (this.#begun.has(id)) figures.begunAgain++
        this.#begun.add(id)
        return
      case 'd':
        this.#stored.set(who, (this.#stored.get(who) ?? new Set()).add(id))
        return
      case '?':
        figures.calls++
        this.#open.set(id, performance.now())
        return
      case '!':
        figures.results[result] = (figures.results[result] ?? 0) + 1
        if (result === 'wrong') this.#problem(`call ${id} has the result ${line}`)
        this.#checkCall(id)
        this.#open.delete(id)
        return
      case 'x': {
        const lives = this.#executed.get(id) ?? new Set()
        this.#executed.set(id, lives)
        if (lives.has(`${who} ${life}`)) this.#problem(`${who} executes call ${id} again`)
        lives.add(`${who} ${life}`)
        if (lives.size === 2) figures.executedTwice++
        return
      }
      default:
        this.#problem(`${who} says "${line}"`)
    }
  }

  #checkCall(id: string): void {
    const tookMs = performance.now() - (this.#open.get(id) ?? Number.NaN)
    if (tookMs > RESULT_MS) this.#problem(`call ${id} is open for ${tookMs.toFixed(0)} ms`)
  }

  #isStored(event: string): boolean {
    return [...this.#stored.values()].some((events) => events.has(event))
  }

  #isDone(): boolean {
    return this.#left() === ''
  }

  /** @returns what is not done. */
  #left(): string {
    const waiting = [...this.#outboxes].filter(([, count]) => count > 0)
    const lost = [...this.#fired].filter((event) => !this.#isStored(event))
    return [
      ...(waiting.length > 0 ? [`outboxes have events: ${waiting}`] : []),
      ...(lost.length > 0 ? [`${lost.length} events are not handled, ${lost.slice(0, 5)}`] : []),
      ...(this.#open.size > 0 ? [`${this.#open.size} calls have no result`] : []),
    ].join('; ')
  }

  #problem(what: string): void {
    this.figures.problems.push(what)
  }
}

const SEATS = Object.entries({
  shop: ['s0', 's1'],
  mail: ['m0', 'm1', 'm2'],
  call: ['c0', 'c1'],
}).flatMap(([role, names]) => names.map((name) => [role as Role, name] as const))

/** Runs the drill before a mosquitto. */
export async function killServices(plan: BusKillPlan): Promise<BusKillFigures> {
  mkdirSync(CACHE, { recursive: true })
  const folder = mkdtempSync(join(CACHE, 'bus-'))
  const broker = await Mosquitto.start(['max_queued_messages 0', 'max_inflight_messages 1000'])
  try {
    for (const role of ['shop', 'mail', 'call']) mkdirSync(join(folder, role))
    const program = await bundle(new URL('./bus-program.ts', import.meta.url), folder)
    const drill = new Drill(plan, broker.url, program, folder)
    await drill.run(SEATS)
    return drill.figures
  } finally {
    await broker[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  }
}
