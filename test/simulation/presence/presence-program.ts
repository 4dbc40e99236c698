/**
 * What does the program of one process do? It enters, changes and leaves as the events say, and
 * watches, as a user would write it. What a watcher is told goes through `Watch`, which checks that
 * it makes sense. (H1, each member comes, changes and goes, in this order)
 */
import type { Presence, PresenceChange } from '../../../src/presence/index.ts'
import { ClientProcess, type Party, type ProcessHost } from '../client/client-process.ts'
import type { MemberSetup, Mood } from './presence-scenario.ts'
import { SPACES } from './presence-scenario.ts'
import type { ParsedRecord, Told } from './presence-wire.ts'

const SLOW_MS = 700

/** What a program uses of the world. */
export interface ProgramHost extends ProcessHost {
  now(): number
  touch(): void
  say(line: string): void
  /** Opens a space on a client. */
  open(process: MemberProcess, space: string): Presence
  /** @returns whether this data was ever given to a member of this name. */
  knows(process: { readonly client: string; readonly connection: string }, n: number): boolean
  track(process: MemberProcess, what: string, promise: Promise<unknown>): void
}

export class MemberProcess extends ClientProcess {
  readonly name: string
  readonly setup: MemberSetup
  /** The name of its connection object, once it has connected. */
  connection: string | null = null
  /** The newest that it was told of each connection. */
  readonly told = new Map<string, Told>()
  /** Of each connection, the newest record of a member that came before any of its own. */
  readonly toldOfMembers = new Map<string, ParsedRecord>()
  readonly watches = new Set<Watch>()
  /** By space: what it wants to be, by the name of the member. */
  readonly wants = SPACES.map(() => new Map<string, Wish>())
  readonly rooms = new Map<number, Presence>()
  readonly startedAt: number
  /** Since when it runs, connected, and its link is whole, as far as the world knows. */
  calmSince = Number.POSITIVE_INFINITY
  /** Whether an answer of the broker was lost on its connection. */
  hasMissed = false
  /** Whether one of these was the answer to a SUBSCRIBE. */
  hasMissedGrant = false
  mood: Mood = 'steady'
  moodSince = 0
  /** The state of its connection. */
  kind = 'idle'
  readonly #program: ProgramHost
  #isDriven = false

  constructor(party: Party, setup: MemberSetup, life: number, host: ProgramHost) {
    super(party, host)
    this.name = `${party.who}.${life}`
    this.setup = setup
    this.startedAt = host.now()
    this.#program = host
    if (!this.pauses) this.drive()
    void this.#follow()
    for (const space of setup.watches) this.watch(space)
  }

  /** Whether only its loops over `changes()` read, which rest for a moment after each change. */
  get pauses(): boolean {
    return this.setup.pauses && this.setup.watches.length > 0 && !this.#isDriven
  }

  /** From now on it is always read. */
  drive(): void {
    if (this.#isDriven) return
    this.#isDriven = true
    this.client.run().catch(() => {})
  }

  override get hasFailed(): boolean {
    return this.kind === 'closed' || this.kind === 'failed'
  }

  /** To ask for the whole state again and again would cost more than everything else. */
  async #follow(): Promise<void> {
    for await (const { to } of this.client.transitions()) this.kind = to
  }

  room(space: number): Presence {
    let room = this.rooms.get(space)
    if (room === undefined) {
      room = this.#program.open(this, SPACES[space]!)
      this.rooms.set(space, room)
    }
    return room
  }

  watch(space: number): void {
    for (const watch of this.watches) if (watch.space === space) return
    this.watches.add(new Watch(this, space, this.room(space), this.#program))
  }

  unwatch(space: number): void {
    for (const watch of this.watches) if (watch.space === space) watch.leave()
  }

  dispose(space: number): void {
    const room = this.rooms.get(space)
    if (room === undefined) return
    this.rooms.delete(space)
    for (const [client] of this.wants[space]!) this.wants[space]!.set(client, GONE)
    for (const watch of this.watches) if (watch.space === space) watch.isEnding = true
    this.#program.track(this, `close() of ${SPACES[space]}`, room.close())
  }

  /** What it does about a member: itself, or another one on whose behalf it speaks. */
  speak(what: 'enter' | 'update' | 'leave', space: number, client: string, n: number): void {
    const room = this.room(space)
    const options = client === this.party.who ? {} : { client }
    const wants = this.wants[space]!
    const doing =
      what === 'leave' ? room.leave({ n }, options) : room[what]({ n, by: this.name }, options)
    const wish: Wish = { isThere: what !== 'leave', n }
    wants.set(client, wish)
    const told = doing.catch((error) => {
      if (!this.isDead && error?.code !== 'ENDED') throw error
    })
    this.#program.track(this, `${what} of ${client} in ${SPACES[space]}`, told)
  }
}

/** Whether a member should be there, and with which number as its data. */
interface Wish {
  readonly isThere: boolean
  readonly n: number
}

/** How long a loop that pauses reads nothing after a change, in ms. */
const PAUSE_MS = 1
const GONE: Wish = { isThere: false, n: 0 }

/** A loop over `changes()`. */
export class Watch {
  /** The members that it has been told of, by `client/connection`. */
  readonly list = new Map<string, number>()
  /** How sure the last farewell of each member was. */
  readonly farewells = new Map<string, string>()
  readonly space: number
  /** When it began: before, it knew nothing, whatever the client had been told. */
  readonly beganAt: number
  isEnding = false
  isOver = false
  readonly #process: MemberProcess
  readonly #program: ProgramHost
  readonly #changes: AsyncIterator<PresenceChange, undefined>
  /** The newest number of each member, the number of its last farewell, and how often it came. */
  readonly #newest = new Map<string, number>()
  #woken: (() => void) | null = null

  constructor(process: MemberProcess, space: number, room: Presence, program: ProgramHost) {
    this.#process = process
    this.space = space
    this.beganAt = program.now()
    this.#program = program
    this.#changes = room.changes()
    void this.#read()
  }

  leave(): void {
    this.isEnding = true
    this.#process.watches.delete(this)
    this.#process.drive()
    this.#program.track(this.#process, 'return() of changes()', this.#changes.return!())
    this.wake()
  }

  wake(): void {
    this.#woken?.()
    this.#woken = null
  }

  async #read(): Promise<void> {
    const process = this.#process
    try {
      for (;;) {
        const { value, done } = await this.#changes.next()
        this.#program.touch()
        if (process.isDead) return
        if (done) break
        this.#take(value)
        if (process.mood !== 'steady') process.drive()
        if (process.pauses) await process.sleep(PAUSE_MS)
        if (process.mood === 'slow') await process.sleep(SLOW_MS)
        while (process.mood === 'stopped' && !this.isEnding) {
          await new Promise<void>((resolve) => {
            this.#woken = resolve
          })
        }
      }
      if (!this.isEnding && !process.isEnding && !process.hasFailed) {
        this.#program.problem('H1', `changes() of ${process.name} has ended`)
      }
    } catch (error) {
      if (process.isDead || process.isEnding || process.hasFailed) return
      this.#program.problem('H1', `changes() of ${process.name} throws ${error}`)
    } finally {
      this.isOver = true
      process.watches.delete(this)
    }
  }

  #take({ action, member }: PresenceChange): void {
    const { client, connection, data, certainty } = member
    const key = `${client}/${connection}`
    const n = (data as { n?: number } | undefined)?.n ?? 0
    const where = `${this.#process.name} in ${SPACES[this.space]}`
    this.#program.say(`  ${where}: ${action} ${key} ${n} ${certainty}`)
    const problem = (what: string) =>
      this.#program.problem('H1', `${where} sees ${action} of ${key} with ${n}: ${what}`)
    if (!this.#program.knows(member, n)) problem('no such data was ever given')
    const isThere = this.list.has(key)
    const arrives = action === 'enter' || action === 'present'
    if (arrives && isThere) problem('it is there already')
    if (!arrives && !isThere) problem('it is not there')
    const newest = this.#newest.get(key) ?? 0
    if (n < newest) problem(`${newest} came before`)
    if (action === 'update' && n === this.list.get(key)) problem('it has that data already')
    this.#newest.set(key, n)
    if (action === 'leave' || action === 'lost') {
      this.list.delete(key)
      this.farewells.set(key, certainty)
    } else this.list.set(key, n)
  }
}
