/**
 * Kills the processes of services with SIGKILL at random instants, many times, and checks that no
 * event is lost, that none is handled again which a store knows, and that every call has a result
 * that is true. (B1, B4, B6, B7, B9)
 *
 * Four processes serve an API and fire durable events, and three listen with a store for each. Each
 * is killed after at most a few seconds and begins again. Two processes call all the time; they are
 * killed seldom, so that most calls meet a caller that lives, and mostly a service is left.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Mosquitto } from '../support/mosquitto.ts'
import { bundle, start, until } from '../support/process.ts'
import { randomOf } from '../support/random.ts'
import { CallEvidence, type CalledRpc, type CallFigures, machineMs } from './call-evidence.ts'

/** The compiled program lies here, so that it finds the packages that it needs. */
const CACHE = fileURLToPath(new URL('../../node_modules/.cache', import.meta.url))
const HANG_MS = 120_000
/** The most lines that a process writes before it is killed, and how long that may take, in ms. */
const LINES_MAX = 80
const WORK_MS_MAX = 2000
/** How long a caller lives. */
const CALLER_MS_MIN = 10_000
const CALLER_MS_MAX = 30_000
/** How many are killed while they open what their predecessors left. */
const EARLY_SHARE = 0.15
/** How many are killed even if no other process of their service is ready. */
const LAST_SHARE = 0.1
/** The most lines of problems that are reported. */
const PROBLEMS_MAX = 20

export interface BusKillPlan {
  readonly kills: number
  readonly seed: number
  readonly say: (text: string) => void
}

export interface BusKillFigures {
  kills: number
  /** Kills of callers, which are in `kills`. */
  killsOfCallers: number
  /** Events that the outbox accepted, and how many of them were handled. */
  fired: number
  handled: number
  /** Handlers of events that began again, because their end was not stored yet. */
  begunAgain: number
  calls: CallFigures
  problems: string[]
}

type Role = 'shop' | 'mail' | 'call'

const SEATS: Readonly<Record<Role, readonly string[]>> = {
  shop: ['s0', 's1', 's2', 's3'],
  mail: ['m0', 'm1', 'm2'],
  call: ['c0', 'c1'],
}

type Child = ReturnType<Drill['start']>

class Drill {
  readonly calls = new CallEvidence()
  readonly #plan: BusKillPlan
  readonly #random: () => number
  readonly #fired = new Set<string>()
  /** Events that are stored as handled, by listener process. */
  readonly #stored = new Map<string, Set<string>>()
  readonly #begun = new Set<string>()
  readonly #outboxes = new Map<string, number>()
  /** Processes that serve and have subscribed. */
  readonly #serving = new Set<Child>()
  readonly #command: (role: Role, name: string, life: string) => readonly string[]
  readonly #folder: string
  readonly #problems: string[] = []
  #kills = 0
  #killsOfCallers = 0
  #begunAgain = 0

  constructor(plan: BusKillPlan, url: string, program: string, folder: string) {
    this.#plan = plan
    this.#folder = folder
    this.#random = randomOf(plan.seed)
    this.#command = (role, name, life) => [program, role, url, join(folder, role), name, life]
  }

  get #isOver(): boolean {
    return this.#kills >= this.#plan.kills
  }

  async run(): Promise<BusKillFigures> {
    // Events count from the time at which every process of the listener has its session.
    for (const name of SEATS.mail) {
      const first = this.start('mail', name, 'first')
      await this.#isReady(first)
      await this.#kill(first)
    }
    const callers = SEATS.call.map((name) => this.#callerSeat(name))
    const workers = (['shop', 'mail'] as const).flatMap((role) =>
      SEATS[role].map((name) => this.#workerSeat(role, name)),
    )
    await Promise.all(callers)
    const last = await Promise.all(workers)
    for (const one of last) await this.#isReady(one)
    await until(
      () => this.#left() === '',
      () => this.#left(),
      HANG_MS,
    )
    for (const one of last) await this.#end(one)
    this.#readJournals()
    const lost = [...this.#fired].filter((event) => !this.#isStored(event))
    if (lost.length > 0) this.#problem(`${lost.length} events are lost: ${lost.slice(0, 5)}`)
    const problems = [...this.#problems, ...this.calls.problems()]
    const more = problems.length - PROBLEMS_MAX
    return {
      ...{ kills: this.#kills, killsOfCallers: this.#killsOfCallers },
      ...{ fired: this.#fired.size, handled: this.#fired.size - lost.length },
      ...{ begunAgain: this.#begunAgain, calls: this.calls.figures() },
      problems: [
        ...problems.slice(0, PROBLEMS_MAX),
        ...(more > 0 ? [`and ${more} problems more`] : []),
      ],
    }
  }

  // ------------------------------------------------------------------------------------------ seats

  /** One process after the other; the last one may work until all is done. */
  async #workerSeat(role: 'shop' | 'mail', name: string): Promise<Child> {
    for (let life = 0; !this.#isOver; life++) {
      const child = this.start(role, name, String(life))
      if (this.#random() >= EARLY_SHARE) await this.#isReady(child)
      const lines = Math.floor(this.#random() * LINES_MAX)
      const killAt = machineMs() + this.#random() * WORK_MS_MAX
      const mayBeLast = role !== 'shop' || this.#random() < LAST_SHARE
      while (!this.#isOver && child.lines() < lines && machineMs() < killAt) await sleep(5)
      // Most calls are to meet a service.
      while (!this.#isOver && !mayBeLast && this.#isLastReady(child)) await sleep(5)
      await this.#kill(child)
    }
    return this.start(role, name, 'end')
  }

  #isLastReady(child: Child): boolean {
    return this.#serving.has(child) && this.#serving.size === 1
  }

  async #callerSeat(name: string): Promise<void> {
    for (let life = 0; ; life++) {
      const child = this.start('call', name, String(life))
      const lifeMs = CALLER_MS_MIN + this.#random() * (CALLER_MS_MAX - CALLER_MS_MIN)
      const killAt = machineMs() + lifeMs
      while (!this.#isOver && machineMs() < killAt) await sleep(20)
      if (this.#isOver) {
        // It makes no more calls, and ends when the last one has its result.
        await this.#isReady(child)
        return this.#end(child)
      }
      await this.#kill(child)
      this.#killsOfCallers++
      this.calls.callerKilled(`${name}.${life}.`, machineMs())
    }
  }

  async #isReady({ isReady, errors, who, life }: Child): Promise<void> {
    await until(isReady, () => `${who} ${life} is ready: ${errors()}`, HANG_MS)
  }

  async #kill(child: Child): Promise<void> {
    const { process, ended, errors, who, life } = child
    if (process.exitCode !== null) this.#problem(`${who} ends by itself: ${errors()}`)
    this.#serving.delete(child)
    this.calls.killed(life, machineMs())
    process.kill('SIGKILL')
    await ended
    if (life.endsWith('.first')) return
    this.#kills++
    if (this.#kills % 100 === 0) this.#plan.say(`${this.#kills} kills`)
  }

  async #end({ process, ended, errors, who }: Child): Promise<void> {
    process.kill('SIGTERM')
    const code = await ended
    if (code !== 0) this.#problem(`${who} ends with ${code}: ${errors()}`)
  }

  /** Starts a life of a process, which has the name `${name}.${life}`. */
  start(role: Role, name: string, number: string) {
    const process = start(globalThis.process.execPath, this.#command(role, name, number))
    let rest = ''
    let errors = ''
    let isReady = false
    let count = 0
    const ended = new Promise<number | null>((resolve) => process.once('close', resolve))
    const child = {
      ...{ process, ended, who: `${role}/${name}`, life: `${name}.${number}` },
      errors: () => errors,
      isReady: () => isReady,
      lines: () => count,
    }
    process.stdout!.on('data', (chunk) => {
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop()!
      count += lines.length
      for (const line of lines) {
        if (line.startsWith('ready ')) {
          isReady = true
          if (role === 'shop') this.#isServing(child, Number(line.slice(6)))
        } else this.#hear(child.who, number, line)
      }
    })
    process.stderr!.on('data', (chunk) => {
      errors += chunk
    })
    return child
  }

  #isServing(child: Child, at: number): void {
    this.calls.ready(child.life, at)
    // What a killed process has written may be read after its death.
    if (!child.process.killed) this.#serving.add(child)
  }

  // --------------------------------------------------------------------------------------- evidence

  #hear(who: string, life: string, line: string): void {
    const [what, id = '', ...rest] = line.split(' ')
    switch (what) {
      case '+':
        this.#fired.add(id)
        return
      case 'o':
        this.#outboxes.set(who, life === 'end' ? Number(id) : 1)
        return
      case 'b':
        if (this.#stored.get(who)?.has(id)) this.#problem(`${who} handles ${id} again`)
        if (this.#begun.has(id)) this.#begunAgain++
        this.#begun.add(id)
        return
      case 'd':
        this.#stored.set(who, (this.#stored.get(who) ?? new Set()).add(id))
        return
      case '?':
        this.calls.called(id, rest[0] as CalledRpc, Number(rest[1]))
        return
      case '!':
        this.calls.settled(id, rest[0]!, Number(rest[1]))
        return
      default:
        this.#problem(`${who} says "${line}"`)
    }
  }

  /** What services have executed stands in files, whatever they said before they were killed. */
  #readJournals(): void {
    for (const name of SEATS.shop) {
      const journal = readFileSync(join(this.#folder, 'shop', `${name}.journal`), 'utf8')
      for (const line of journal.split('\n').filter((one) => one !== '')) {
        const [life = '', call = '', at] = line.split(' ')
        this.calls.executed(call, life, Number(at))
      }
    }
  }

  #isStored(event: string): boolean {
    return [...this.#stored.values()].some((events) => events.has(event))
  }

  /** @returns what is not done. */
  #left(): string {
    const waiting = [...this.#outboxes].filter(([, count]) => count > 0)
    const lost = [...this.#fired].filter((event) => !this.#isStored(event))
    return [
      ...(waiting.length > 0 ? [`outboxes have events: ${waiting}`] : []),
      ...(lost.length > 0 ? [`${lost.length} events are not handled, ${lost.slice(0, 5)}`] : []),
    ].join('; ')
  }

  #problem(what: string): void {
    this.#problems.push(what)
  }
}

/** Runs the drill before a mosquitto. */
export async function killServices(plan: BusKillPlan): Promise<BusKillFigures> {
  mkdirSync(CACHE, { recursive: true })
  const folder = mkdtempSync(join(CACHE, 'bus-'))
  const broker = await Mosquitto.start(['max_queued_messages 0', 'max_inflight_messages 1000'])
  try {
    for (const role of Object.keys(SEATS)) mkdirSync(join(folder, role))
    const program = await bundle(new URL('./bus-program.ts', import.meta.url), folder)
    return await new Drill(plan, broker.url, program, folder).run()
  } finally {
    await broker[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  }
}
