/**
 * Ends many real members at random, by SIGKILL, by SIGSTOP or by cutting their link, and looks at
 * what watchers see of it: within the bound of H2 who is gone is gone from every list, who is there
 * is in it, and in the end no ghost is left. (H2, H3, H4)
 *
 * One watcher has a good link; the link of another one is cut now and then; a third one comes
 * again and again, and each time knows nothing.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Client, createClient } from '../../src/client/index.ts'
import { type Presence, presence, withPresence } from '../../src/presence/index.ts'
import { bundle, start, until } from '../support/process.ts'
import { randomOf } from '../support/random.ts'
import { Relay } from '../support/relay.ts'

const CACHE = fileURLToPath(new URL('../../node_modules/.cache', import.meta.url))
const SPACE = 'kill/1'
const TTL_S = 8
const GRACE_S = 1
const KEEP_ALIVE_S = 2
/** How often mosquitto looks for clients that are silent, in ms. */
const SERVER_LOOKS_MS = 5000
/** The bound of H2 where the server publishes wills as the standard says, in ms. */
const BOUND_MS = Math.min(KEEP_ALIVE_S * 1500 + GRACE_S * 1000 + SERVER_LOOKS_MS, TTL_S * 1000)
/** What a busy machine may add, in ms. */
const SLACK_MS = 3000
/** How long a member that has come back may take to be seen by all. */
const BACK_MS = TTL_S * 1000 + SLACK_MS
const LOOK_MS = 200
/** How long a process takes to start where many start together. */
const START_MS = 120_000
/** How many processes start together. */
const STARTING_MAX = 8
/** How often the third watcher comes again. */
const VISIT_MS = 5000

export interface PresencePlan {
  readonly url: string
  readonly version: 4 | 5
  readonly processes: number
  /** How long processes are ended, in s. */
  readonly seconds: number
  readonly seed: number
  readonly say: (text: string) => void
}

export interface PresenceFigures {
  kills: number
  stops: number
  cuts: number
  /** How many times a watcher saw that one who was gone is gone. */
  seen: number
  /** The median and the longest time from the fault to that, in ms. */
  medianMs: number
  longestMs: number
  /** How many watchers there were, and how many members in the end. */
  watchers: number
  members: number
  /** From the last fault until every list was right, in ms. */
  rightAfterMs: number
  readonly problems: string[]
}

/** What is known of a name: each process has its own. */
interface Truth {
  /** Since when it has been there and undisturbed, or null. */
  there: number | null
  /** Since when it has been dead, stopped or cut off, or null. */
  gone: number | null
  /** Watchers that have seen it go since then. */
  readonly seenBy: Set<Watcher>
}

class Watcher {
  readonly list = new Set<string>()
  readonly beganAt = performance.now()
  /** Since when its link has been whole. */
  wholeSince = performance.now()
  readonly name: string
  readonly room: Presence
  readonly #client: Client
  readonly #drill: Drill
  isOver = false

  constructor(drill: Drill, name: string, url: string, version: 4 | 5) {
    this.name = name
    this.#drill = drill
    this.#client = createClient(
      withPresence({
        ...{ url, protocolVersion: version, clientId: name, keepAlive: KEEP_ALIVE_S },
        ...{ connectTimeout: 2000, reconnect: { when: 'always', minMs: 20, maxMs: 500 } },
        onWarning: () => {},
      }),
    )
    this.room = presence(this.#client, SPACE)
    void this.#read()
  }

  async #read(): Promise<void> {
    try {
      for await (const { action, member } of this.room.changes()) {
        const { client } = member
        if (action === 'lost' || action === 'leave') {
          this.list.delete(client)
          this.#drill.seenGone(this, client)
        } else this.list.add(client)
      }
    } catch (error) {
      if (!this.isOver) this.#drill.problem(`${this.name}: ${error}`)
    }
  }

  async close(): Promise<void> {
    this.isOver = true
    await this.#client.close({ timeout: 1000 })
  }
}

/** A place for one process after the other, with a link of its own. */
interface Place {
  readonly number: number
  readonly relay: Relay
  life: number
  child: ChildProcess | null
  truth: Truth
  /** What its process says of itself if it cannot enter. */
  errors: string
  /** A fault is under way. */
  isBusy: boolean
}

class Drill {
  readonly figures: PresenceFigures = {
    ...{ kills: 0, stops: 0, cuts: 0, seen: 0, medianMs: 0, longestMs: 0 },
    ...{ watchers: 0, members: 0, rightAfterMs: 0, problems: [] },
  }
  readonly #plan: PresencePlan
  readonly #random: () => number
  readonly #truths = new Map<string, Truth>()
  readonly #places: Place[] = []
  readonly #watchers = new Set<Watcher>()
  readonly #endings: (() => Promise<void> | void)[] = []
  readonly #gaps: number[] = []
  readonly #told = new Set<string>()
  readonly #program: string

  constructor(plan: PresencePlan, program: string) {
    this.#plan = plan
    this.#program = program
    this.#random = randomOf(plan.seed)
  }

  async run(): Promise<PresenceFigures> {
    const { figures } = this
    const { processes, seconds, say, url } = this.#plan
    try {
      const direct = this.#watcher('direct', url)
      const [relay, cutUrl] = await this.#relayed()
      const cut = this.#watcher('cut', cutUrl)
      await this.#startAll(processes)
      say(`${processes} processes have entered`)
      const looking = setInterval(() => this.#look(), LOOK_MS)
      this.#endings.push(() => clearInterval(looking))
      await this.#harass(seconds * 1000, { relay, cut })
      const stoppedAt = performance.now()
      const right = () => [...this.#watchers].every((watcher) => this.#isRight(watcher))
      await until(right, () => `lists are right: ${this.#wrong(direct, cut)}`, 2 * BACK_MS)
      figures.rightAfterMs = performance.now() - stoppedAt
      // Nothing changes any more, also for one who comes now.
      const late = this.#watcher('late', url)
      await sleep(BACK_MS)
      for (const watcher of [direct, cut, late]) {
        if (!this.#isRight(watcher)) this.problem(`in the end: ${this.#wrong(watcher)}`)
      }
      figures.members = late.list.size
    } catch (error) {
      this.problem(String(error))
    } finally {
      for (const end of this.#endings.reverse()) await end()
    }
    const sorted = this.#gaps.sort((a, b) => a - b)
    figures.seen = sorted.length
    figures.medianMs = Math.round(sorted[sorted.length >> 1] ?? 0)
    figures.longestMs = Math.round(sorted.at(-1) ?? 0)
    figures.rightAfterMs = Math.round(figures.rightAfterMs)
    return figures
  }

  /** Each problem once. */
  problem(what: string): void {
    const [key] = what.split(' (')
    if (this.#told.has(key!)) return
    this.#told.add(key!)
    this.figures.problems.push(what)
  }

  /** A watcher says that somebody is gone. */
  seenGone(watcher: Watcher, name: string): void {
    const truth = this.#truths.get(name)
    if (truth === undefined || truth.gone === null || truth.seenBy.has(watcher)) return
    truth.seenBy.add(watcher)
    if (watcher.beganAt < truth.gone && watcher.wholeSince < truth.gone) {
      this.#gaps.push(performance.now() - truth.gone)
    }
  }

  // ------------------------------------------------------------------------------------- who is there

  #watcher(name: string, url: string): Watcher {
    const count = ++this.figures.watchers
    const watcher = new Watcher(this, `watcher-${name}-${count}`, url, this.#plan.version)
    this.#watchers.add(watcher)
    this.#endings.push(() => this.#dismiss(watcher))
    return watcher
  }

  async #dismiss(watcher: Watcher): Promise<void> {
    if (this.#watchers.delete(watcher)) await watcher.close()
  }

  async #relayed(): Promise<[relay: Relay, url: string]> {
    const url = new URL(this.#plan.url)
    const onTestFinished = (done: () => void) => void this.#endings.push(done)
    const relay = await Relay.open({ onTestFinished }, Number(url.port))
    url.port = String(relay.port)
    return [relay, url.href]
  }

  async #startAll(count: number): Promise<void> {
    for (let number = 0; number < count; number++) {
      const [relay] = await this.#relayed()
      const truth: Truth = { there: null, gone: null, seenBy: new Set() }
      this.#places.push({ number, relay, life: 0, child: null, truth, errors: '', isBusy: false })
    }
    this.#endings.push(() => {
      for (const { child } of this.#places) child?.kill('SIGKILL')
    })
    const waiting = [...this.#places]
    const starter = async () => {
      for (let place = waiting.shift(); place !== undefined; place = waiting.shift()) {
        this.#begin(place)
        const { truth, number } = place
        const what = () => `process ${number} has entered: ${place.errors}`
        await until(() => truth.there !== null, what, START_MS)
      }
    }
    await Promise.all(Array.from({ length: STARTING_MAX }, starter))
  }

  #begin(place: Place): void {
    const name = `p${place.number}.${++place.life}`
    const truth: Truth = { there: null, gone: null, seenBy: new Set() }
    this.#truths.set(name, truth)
    place.truth = truth
    const url = new URL(this.#plan.url)
    url.port = String(place.relay.port)
    const numbers = [TTL_S, GRACE_S, KEEP_ALIVE_S].map(String)
    const args = [this.#program, url.href, String(this.#plan.version), name, SPACE, ...numbers]
    const child = start(process.execPath, args)
    place.child = child
    child.stdout!.on('data', () => {
      truth.there ??= performance.now()
    })
    place.errors = ''
    child.stderr!.on('data', (chunk) => (place.errors += chunk))
    child.once('close', (code) => {
      if (code !== null) this.problem(`${name} ended with ${code}: ${place.errors}`)
    })
  }

  // ------------------------------------------------------------------------------------- the faults

  async #harass(ms: number, { relay, cut }: { relay: Relay; cut: Watcher }): Promise<void> {
    const { processes } = this.#plan
    const endAt = performance.now() + ms
    let visitAt = 0
    let cutAt = performance.now() + VISIT_MS
    let visitor: Watcher | null = null
    const open: Promise<void>[] = []
    while (performance.now() < endAt) {
      const place = this.#places[Math.floor(this.#random() * processes)]!
      if (!place.isBusy && place.truth.there !== null) open.push(this.#trouble(place))
      if (performance.now() > visitAt) {
        if (visitor !== null) await this.#dismiss(visitor)
        visitor = this.#watcher('visitor', this.#plan.url)
        visitAt = performance.now() + VISIT_MS
      }
      if (performance.now() > cutAt) {
        cut.wholeSince = performance.now()
        relay.cut()
        cutAt = performance.now() + VISIT_MS * 2 * this.#random()
      }
      // Each process meets one or two faults.
      await sleep((this.#random() * 2 * ms) / (processes * 1.5))
    }
    if (visitor !== null) await this.#dismiss(visitor)
    await Promise.all(open)
  }

  /** Ends a process, or parts it from the server, for a while or for good. */
  async #trouble(place: Place): Promise<void> {
    const { figures } = this
    const { child, relay, truth } = place
    place.isBusy = true
    truth.there = null
    truth.gone = performance.now()
    truth.seenBy.clear()
    const awayMs = this.#random() * 2 * TTL_S * 1000
    const how = this.#random()
    if (how < 0.4) {
      figures.kills++
      child!.kill('SIGKILL')
      await sleep(awayMs)
      // A quarter never comes back.
      if (this.#random() < 0.25) return
      this.#begin(place)
      await until(() => place.truth.there !== null, 'a process has entered again', START_MS)
    } else if (how < 0.7) {
      figures.stops++
      child!.kill('SIGSTOP')
      await sleep(awayMs)
      this.#isBack(truth)
      child!.kill('SIGCONT')
    } else {
      figures.cuts++
      relay.set('noLink')
      await sleep(awayMs)
      this.#isBack(truth)
      relay.cut()
    }
    place.isBusy = false
  }

  #isBack(truth: Truth): void {
    truth.gone = null
    truth.there = performance.now()
  }

  // ------------------------------------------------------------------------------------- the lists

  /** Looks at each list: a watcher may be late, but no later than the bound. */
  #look(): void {
    const now = performance.now()
    for (const watcher of this.#watchers) {
      const { list, name: who, beganAt, wholeSince } = watcher
      if (now < wholeSince + SLACK_MS) continue
      for (const name of list) {
        const { gone } = this.#truths.get(name)!
        if (gone === null) continue
        // Who came later knows nothing of signs before, where records never expire.
        const boundMs = beganAt < gone ? BOUND_MS : 2 * TTL_S * 1000
        const lateMs = now - Math.max(gone, Math.min(beganAt, now)) - boundMs - SLACK_MS
        if (lateMs > 0)
          this.problem(
            `${who} still sees ${name} (${lateMs.toFixed(0)} ms late, ${watcher.room.state.status})`,
          )
      }
      if (now < Math.max(beganAt, wholeSince) + BACK_MS) continue
      for (const [name, { there }] of this.#truths) {
        if (there === null || now < there + BACK_MS || list.has(name)) continue
        this.problem(`${who} does not see ${name} (${(now - there).toFixed(0)} ms)`)
      }
    }
  }

  #isRight(watcher: Watcher): boolean {
    return this.#wrong(watcher) === ''
  }

  /** @returns what is wrong with lists. */
  #wrong(...watchers: readonly Watcher[]): string {
    return watchers
      .flatMap(({ name: who, list, room }) => {
        const there = [...this.#truths].flatMap(([name, one]) => (one.there === null ? [] : name))
        const ghosts = [...list].filter((name) => !there.includes(name))
        const missing = there.filter((name) => !list.has(name))
        return [
          ...(ghosts.length > 0
            ? [`${who} (${room.state.status}) sees ${ghosts.length} ghosts, ${ghosts.slice(0, 5)}`]
            : []),
          ...(missing.length > 0
            ? [`${who} (${room.state.status}) misses ${missing.length}, ${missing.slice(0, 5)}`]
            : []),
        ]
      })
      .join('; ')
  }
}

/** Runs the drill against one server. */
export async function killMembers(plan: PresencePlan): Promise<PresenceFigures> {
  mkdirSync(CACHE, { recursive: true })
  const folder = mkdtempSync(join(CACHE, 'presence-'))
  try {
    const program = await bundle(new URL('./member-program.ts', import.meta.url), folder)
    return await new Drill(plan, program).run()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
