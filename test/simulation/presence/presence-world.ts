/**
 * Runs a scenario of several processes that enter spaces and watch them. They are killed, suspended
 * and cut off; the broker restarts, and does with wills and expiry what brokers do. What
 * `it-mqtt/presence` promises is checked as soon as it can be checked, and at the end every watcher
 * must know the truth.
 */
import type { Client, ClientOptions } from '../../../src/client/index.ts'
import type { Presence } from '../../../src/presence/index.ts'
import { createBroker, type PacketRecord, type TestBroker } from '../../../src/testing/index.ts'
import { VirtualClock } from '../../support/clock.ts'
import { randomOf } from '../../support/random.ts'
import { BrokerStream } from '../client/client-link.ts'
import { type ClientSubject, Party } from '../client/client-process.ts'
import { Network } from '../network.ts'
import { MemberProcess, type ProgramHost, type Watch } from './presence-program.ts'
import {
  FOR_GOOD_MS,
  type Happening,
  type MemberSetup,
  type PresenceScenario,
  SPACES,
  type Tampering,
} from './presence-scenario.ts'
import { connectionOf, type Known, memberOf, PREFIX, parsed, Wire } from './presence-wire.ts'

/** The code under test. */
export interface PresenceSubject extends Omit<ClientSubject, 'createClient'> {
  createClient(options: ClientOptions, setup: MemberSetup): Client
  open(client: Client, space: string, setup: MemberSetup): Presence
}

const STEP_MS = 200
/** How late a watcher may be told: latencies, fences and slow readers are in it. */
const SLACK_MS = 3000
/** How long everything may take to become right once all faults are over: 2 x ttl, and late wills. */
const RECOVERY_MS = 70_000
/** From then on for so long nothing happens, so nobody may be told of anything. */
const QUIET_MS = 25_000
const LATE_WILL_MS_MAX = 16_000
const TTL_MS_MAX = 20_000
/** How long a client may take to dial again, in ms, once it is let. */
const REDIALLED_MS = 20_000
/** On behalf of whom somebody speaks at the end: names that no event has. */
const GONE_NAME = 8
const STAYING_NAME = 9
const PARTY = {
  ...{ receiveMaximum: 100, maxInflight: 1000, maxQueued: 10_000, ackTimeoutMs: 0 },
} as const
const QUALITY = { latencyMs: 1, bytesPerMs: Number.POSITIVE_INFINITY, bufferBytes: 65_536 }
const ANSWERS: ReadonlySet<string> = new Set(['puback', 'pubrec', 'pubcomp', 'suback'])

interface Seat {
  readonly party: Party
  readonly setup: MemberSetup
  lives: number
  process: MemberProcess | null
}

export class PresenceWorld implements ProgramHost {
  readonly problems: string[] = []
  readonly clock = new VirtualClock()
  readonly random: () => number
  readonly subject: ClientSubject
  readonly #scenario: PresenceScenario
  readonly #presence: PresenceSubject
  readonly #broker: TestBroker
  readonly #wire: Wire
  readonly #seats: Seat[]
  /** The process to which each connection of the broker belongs, by its number. */
  readonly #owners: (MemberProcess | null)[] = [null]
  /** The numbers that were given to each member, by process and name. */
  readonly #given = new Map<MemberProcess, Map<string, Set<number>>>()
  readonly #pending = new Map<Promise<unknown>, { process: MemberProcess; what: string }>()
  readonly #trace: ((line: string) => void) | null
  /** The payloads of wills, by connection of the broker. */
  readonly #wills: { who: string; topic: string; payload: Uint8Array }[] = []
  #numbers = 0
  #changes = 0
  #phase = ''

  constructor(
    scenario: PresenceScenario,
    subject: PresenceSubject,
    trace: ((line: string) => void) | null = null,
  ) {
    const { seed, setup } = scenario
    this.#scenario = scenario
    this.#presence = subject
    this.#trace = trace
    this.random = randomOf(seed ^ 0x5bd1e995)
    this.clock.random = randomOf(seed ^ 0x27d4eb2f)
    this.subject = {
      ...subject,
      createClient: (options) => {
        const seat = this.#seats.find(({ party }) => party.who === options.clientId)!
        const { isForgotten = false } = seat.setup
        const expiry = isForgotten ? { sessionExpiryInterval: 0 } : {}
        return subject.createClient({ ...options, ...expiry }, seat.setup)
      },
    }
    this.#broker = createBroker({ clock: this.clock, ...setup.habits })
    this.#seats = setup.members.map((member, i) => this.#seat(`m${i}`, member))
    this.#wire = new Wire(
      () => this.now(),
      (id, what) => this.problem(id, what),
    )
    this.#broker.watch(
      () => true,
      (record) => this.#passed(record),
    )
  }

  get protocolVersion(): 4 | 5 {
    return this.#scenario.setup.protocolVersion
  }

  /** @returns the problems in the order in which they were seen; the run stops at the first. */
  async run(): Promise<readonly string[]> {
    this.#revive()
    for (const { after, what } of this.#scenario.events) {
      await this.#pass(after)
      if (this.problems.length > 0) return this.problems
      this.say(`# ${JSON.stringify(what)}`)
      this.#happen(what)
      await this.clock.settle()
    }
    const parts = [this.#recover, this.#beQuiet, this.#comeLate, this.#missFarewell, this.#end]
    for (const part of parts) if (this.problems.length === 0) await part.call(this)
    return this.problems
  }

  // ---------------------------------------------------------------------------------- what is used

  now(): number {
    return this.clock.now()
  }

  touch(): void {
    this.#changes++
    this.clock.touch()
  }

  say(line: string): void {
    this.#trace?.(`${this.clock.elapsed.toFixed(0).padStart(7)} ms ${line}`)
  }

  problem(id: string, what: string): void {
    this.problems.push(`[${id}] at ${this.clock.elapsed.toFixed(0)} ms${this.#phase}: ${what}`)
  }

  open(process: MemberProcess, space: string): Presence {
    return this.#presence.open(process.client, space, process.setup)
  }

  knows({ client, connection }: { client: string; connection: string }, n: number): boolean {
    const process = this.#wire.known.get(connection)?.process
    return process !== undefined && this.#given.get(process)?.get(client)?.has(n) === true
  }

  track(process: MemberProcess, what: string, promise: Promise<unknown>): void {
    this.#pending.set(promise, { process, what })
    const settled = (error?: unknown) => {
      this.clock.touch()
      this.#pending.delete(promise)
      if (error !== undefined && !process.isDead && !process.isEnding && !process.hasFailed) {
        this.problem('H4', `${what} of ${process.name} is rejected: ${error}`)
      }
    }
    promise.then(() => settled(), settled)
  }

  // --------------------------------------------------------------------------------------- passing

  async #pass(ms: number): Promise<void> {
    const step = this.#phase === '' ? STEP_MS : 2 * STEP_MS
    for (let left = ms; left > 0 && this.problems.length === 0; left -= step) {
      await this.clock.advance(Math.min(left, step))
      this.#check()
      this.#revive()
    }
  }

  #seat(who: string, setup: MemberSetup): Seat {
    const { memory, keepAlive } = setup
    const seat: Seat = {
      party: new Party(
        who,
        { ...PARTY, memory, keepAlive },
        this.#network(() => seat),
      ),
      ...{ setup, lives: 0, process: null },
    }
    return seat
  }

  #network(seat: () => Seat): Network {
    return new Network(this.clock, (connection) => {
      const stream = new BrokerStream(connection)
      this.#owners.push(seat().process)
      this.#broker.accept(stream)
      return stream
    })
  }

  /** Begins a process where none runs and its time has come. */
  #revive(): void {
    for (const seat of this.#seats) {
      const { process, party, setup } = seat
      if (process !== null && !process.isOver) {
        // Of a client that fails, a program is told by what it awaits; then it closes it.
        if (process.hasFailed && !process.isEnding) void this.#close(seat, 100)
        continue
      }
      if (this.now() < party.restartAt) continue
      for (const known of this.#wire.known.values()) {
        // The session goes on, and so the will of the process before is not sent; and what that
        // process has left in its session is sent now.
        if (known.process === process && setup.memory !== 'none') known.isWillSure = false
      }
      seat.lives++
      this.say(`# ${party.who} begins`)
      seat.process = new MemberProcess(party, setup, seat.lives, this)
      party.process = seat.process
    }
  }

  #happen(what: Happening): void {
    switch (what.do) {
      case 'restart':
        this.#unsure()
        return this.#broker.restart({ keepSessions: what.keep })
      case 'packets twice': {
        const isRepeatable = ({ packet, direction }: PacketRecord) =>
          direction === 'toClient' &&
          (packet.cmd === 'puback' || (packet.cmd === 'publish' && packet.qos === 1))
        this.#broker.faults.duplicate(isRepeatable, { times: what.times })
        return
      }
      case 'packets lost':
        this.#broker.faults.drop(({ packet }) => ANSWERS.has(packet.cmd), { times: what.times })
        return
      default: {
        const seat = this.#seats[what.who % this.#seats.length]!
        const { process } = seat
        if (what.do === 'dialling') seat.party.network.dialling = what.dialling
        else if (what.do === 'latency') {
          seat.party.network.quality = { ...QUALITY, latencyMs: what.ms }
        } else if (process !== null && !process.isOver && !process.isEnding) {
          this.#happenTo(seat, process, what)
        }
      }
    }
  }

  #happenTo(seat: Seat, process: MemberProcess, what: Happening): void {
    const { latest } = seat.party.network
    switch (what.do) {
      case 'cut':
      case 'breakAfter':
      case 'swallow':
        process.calmSince = Number.POSITIVE_INFINITY
        if (what.do === 'cut') latest?.end(what.how)
        else if (what.do === 'swallow') latest?.swallow(what.direction)
        else latest?.breakAfter(what.direction, what.bytes)
        return
      case 'kill':
        seat.party.restartAt = this.now() + what.awayMs
        return this.#kill(process)
      case 'close':
        void this.#close(seat, what.awayMs)
        return
      case 'suspend':
        process.calmSince = Number.POSITIVE_INFINITY
        process.suspend()
        this.clock.setTimer(() => process.resume(), what.ms)
        return
      case 'tamper':
        return this.#tamper(process, what.how)
      default:
        // A suspended process does nothing.
        if (!process.isSuspended && !process.hasFailed) this.#act(process, what)
    }
  }

  #act(process: MemberProcess, what: Happening): void {
    switch (what.do) {
      case 'enter':
      case 'update':
      case 'leave': {
        const client = what.other === 0 ? process.party.who : `other${what.other}`
        const n = ++this.#numbers
        const given = this.#given.get(process) ?? new Map<string, Set<number>>()
        this.#given.set(process, given.set(client, (given.get(client) ?? new Set()).add(n)))
        return process.speak(what.do, what.space, client, n)
      }
      case 'watch':
        return process.watch(what.space)
      case 'unwatch':
        return process.unwatch(what.space)
      case 'dispose':
        return process.dispose(what.space)
      case 'mood':
        process.mood = what.mood
        for (const watch of process.watches) watch.wake()
        process.moodSince = this.now()
        return
      case 'get':
        return this.#get(process, what.space)
      default:
        throw new Error(`${what.do} is not for a program`)
    }
  }

  #get(process: MemberProcess, space: number): void {
    const got = process
      .room(space)
      .get()
      .then(
        (members) => {
          for (const { client, connection, data } of members) {
            const { n } = data as { n: number }
            if (this.knows({ client, connection }, n)) continue
            this.problem('H1', `${process.name} gets ${client}/${connection} with ${n}`)
          }
        },
        (error) => {
          if (process.isDead || process.isEnding || process.hasFailed) return
          if (error?.code === 'ENDED') return
          // To a link that has gone silent, `get()` does not wait for its end: it says so after 5 s.
          const isSilent = process.calmSince === Number.POSITIVE_INFINITY || process.hasMissed
          if (error?.code === 'TIMEOUT' && isSilent) return
          if (error?.code !== 'NOT_SYNCED' || !Array.isArray(error.members)) throw error
        },
      )
    this.track(process, `get() in ${SPACES[space]}`, got)
  }

  #kill(process: MemberProcess): void {
    this.#ended(process)
    process.kill()
    for (const [promise, { process: its }] of this.#pending) {
      if (its === process) this.#pending.delete(promise)
    }
  }

  async #close(seat: Seat, awayMs: number): Promise<void> {
    const process = seat.process!
    process.isEnding = true
    seat.party.restartAt = Number.POSITIVE_INFINITY
    try {
      await process.client.close({ timeout: 2000 })
    } catch (error) {
      if (!process.isDead && !process.hasFailed) this.problem('H6', `close() fails: ${error}`)
    }
    if (process.isDead) return
    this.#ended(process)
    process.ended()
    if (process.timers > 0) this.problem('H6', `${process.timers} timers after close()`)
    seat.party.restartAt = this.now() + awayMs
    this.say(`# ${process.name} has ended`)
  }

  #ended(process: MemberProcess): void {
    const known = this.#wire.known.get(process.connection ?? '')
    if (known !== undefined) known.endedAt = Math.min(known.endedAt, this.now())
  }

  /** Of wills that were due or may have been, nothing is certain any more. */
  #unsure(): void {
    for (const known of this.#wire.known.values()) known.isWillSure = false
    for (const { process } of this.#seats) {
      if (process !== null) process.calmSince = Number.POSITIVE_INFINITY
    }
  }

  #tamper(process: MemberProcess, how: Tampering): void {
    const connection = process.connection ?? '0'.repeat(24)
    const retain = { retain: true, qos: 1 } as const
    const topic = `${PREFIX}/c/${connection}`
    const wills = this.#wills.filter(({ who }) => who === process.party.who)
    const garbage = ['', '{', '[]', '{"v":2}', '{"v":1,"epoch":1e300,"seq":1,"state":"up","ttl":1}']
    const text = garbage[Math.floor(this.random() * garbage.length)]!
    switch (how) {
      case 'clear the connection':
        this.#broker.publish(topic, '', retain)
        return
      case 'clear a member':
        for (const name of this.#broker.retained.keys()) {
          if (memberOf(name) !== connection) continue
          this.#broker.publish(name, '', retain)
          return
        }
        return
      case 'the will of now':
      case 'a will of before': {
        const will = wills.at(how === 'the will of now' ? -1 : 0)
        if (will !== undefined) this.#broker.publish(will.topic, will.payload, retain)
        return
      }
      case 'garbage for the connection':
        this.#broker.publish(topic, text, retain)
        return
      case 'garbage elsewhere':
        for (const name of ['s/room%2F1/x/y', 's/b/x', 'c/zzz', `s/b/x/${'f'.repeat(24)}`, 'x']) {
          this.#broker.publish(`${PREFIX}/${name}`, text, retain)
        }
    }
  }

  // -------------------------------------------------------------------------------------- judging

  #passed(record: PacketRecord): void {
    const { direction, packet, connection, fault } = record
    if (this.#trace !== null) this.say(wordsOf(record))
    const process = this.#owners[connection] ?? null
    if (process === null) return
    if (direction === 'toBroker') {
      if (packet.cmd === 'connect') {
        this.#wire.connected(process, record)
        const { will } = packet as { will?: { topic: string; payload: Uint8Array } }
        if (will !== undefined) this.#wills.push({ who: process.party.who, ...will })
      }
      if (packet.cmd === 'publish') this.#wire.sent(process, record)
      if (packet.cmd === 'puback') this.#wire.acknowledged(record)
      return
    }
    if (packet.cmd === 'publish') this.#wire.told(process, record)
    if (fault === 'drop') process.hasMissed = true
    if (fault === 'drop' && packet.cmd === 'suback') process.hasMissedGrant = true
    if (packet.cmd === 'connack' && fault === null) {
      process.calmSince = this.now()
      process.hasMissed = false
      process.hasMissedGrant = false
    }
  }

  #check(): void {
    const now = this.now()
    for (const { process } of this.#seats) {
      if (process === null || process.isOver || process.isEnding) continue
      if (process.kind !== 'connected' || process.isSuspended) {
        process.calmSince = Number.POSITIVE_INFINITY
      }
      const since = Math.max(process.calmSince, process.moodSince)
      if (process.mood !== 'steady' || !(now - since > SLACK_MS)) continue
      for (const watch of process.watches) {
        if (watch.isEnding) continue
        for (const key of watch.list.keys()) this.#checkMember(process, watch, key)
      }
    }
  }

  /** Somebody is told to be there: may it be believed still? (H2) */
  #checkMember(process: MemberProcess, watch: Watch, key: string): void {
    const now = this.now()
    const connection = key.split('/').at(-1)!
    if (connection === process.connection) return
    const told = process.told.get(connection)
    const what = `${process.name} still sees ${key} in ${SPACES[watch.space]}`
    if (told !== undefined) {
      if (told.state !== 'up' && now > told.at + SLACK_MS) {
        this.problem('H2', `${what}, of which it was told "${told.state}" at ${this.#at(told.at)}`)
      }
      const heldFrom = Math.max(told.signAt, watch.beganAt)
      // Without an answer to its SUBSCRIBE a sync lasts for two minutes, and no lease ends in it.
      if (process.hasMissedGrant) return
      if (told.state === 'up' && now > heldFrom + told.ttl * 1000 + SLACK_MS) {
        this.problem('H2', `${what}, the last sign of which came at ${this.#at(told.signAt)}`)
      }
    }
    const known = this.#wire.known.get(connection)
    if (known === undefined || (watch.beganAt > known.endedAt && this.#isDisguised(connection))) {
      return
    }
    if (now > this.#willDueAt(known) + SLACK_MS) {
      this.problem('H2', `${what}, which ended at ${this.#at(known.endedAt)}`)
    }
  }

  /**
   * Somebody wrote a will of before over the last record of a connection. To who comes later it may
   * be about to say `up` again, until the lease ends that is assumed then.
   */
  #isDisguised(connection: string): boolean {
    const record = textOf(this.#broker.retained.get(`${PREFIX}/c/${connection}`)?.payload)
    const members = [...this.#broker.retained].filter(([topic]) => memberOf(topic) === connection)
    return members.some(([, { payload }]) => {
      const member = textOf(payload)
      return record !== undefined && member !== undefined && member.epoch > record.epoch
    })
  }

  /** When the will of a connection was published at the latest, if the broker is a right one. */
  #willDueAt({ process, endedAt, isWillSure }: Known): number {
    const { willPublished, willLateMs, willOnTakeover } = this.#scenario.setup.habits
    const isRight = willPublished === true && willLateMs === 0 && willOnTakeover === true
    if (!isRight || !isWillSure) return Number.POSITIVE_INFINITY
    return endedAt + process.setup.keepAlive * 1500 + process.setup.grace * 1000
  }

  #at(instant: number): string {
    return `${(instant - this.clock.startedAt).toFixed(0)} ms`
  }

  // -------------------------------------------------------------------------------------- the end

  /** From now on there are no faults: everything that was promised must happen. */
  async #recover(): Promise<void> {
    this.#phase = ', recovering'
    this.say('# recovering')
    this.#broker.faults.clear()
    for (const seat of this.#seats) {
      const { party, process } = seat
      party.network.dialling = 'accept'
      party.network.quality = QUALITY
      if (party.restartAt < this.now() + FOR_GOOD_MS / 2) party.restartAt = this.now()
      if (process === null || process.isOver) continue
      process.resume()
      process.mood = 'steady'
      process.moodSince = this.now()
      for (const watch of process.watches) watch.wake()
      process.calmSince = Number.POSITIVE_INFINITY
      party.network.latest?.end('reset')
    }
    await this.#pass(LATE_WILL_MS_MAX)
    for (let ms = 0; ms < RECOVERY_MS && this.problems.length === 0; ms += STEP_MS) {
      if (this.#wrong() === null) return
      await this.#pass(STEP_MS)
    }
    if (this.problems.length > 0) return
    const [id, what] = this.#wrong() ?? ['', '']
    if (id !== '') this.problem(id, what)
  }

  get #running(): readonly MemberProcess[] {
    return this.#seats.flatMap(({ process }) =>
      process === null || process.isOver ? [] : [process],
    )
  }

  /** @returns what is not as it should be, or null. */
  #wrong(): readonly [id: string, what: string] | null {
    for (const process of this.#running) {
      const { kind } = process
      if (kind !== 'connected') return ['H4', `${process.name} is ${kind}`]
    }
    for (const { process, what } of this.#pending.values()) {
      return ['H4', `${what} of ${process.name} is pending`]
    }
    for (const process of this.#running) {
      for (const watch of process.watches) {
        const wrong = this.#compare(process, watch)
        if (wrong !== null) return wrong
      }
    }
    return this.#wrongAtBroker()
  }

  /** Who should be in a space, with its number. */
  #truth(space: number): Map<string, number> {
    const truth = new Map<string, number>()
    for (const process of this.#running) {
      for (const [client, { isThere, n }] of process.wants[space]!) {
        if (isThere) truth.set(`${client}/${process.connection}`, n)
      }
    }
    return truth
  }

  #compare(process: MemberProcess, { list, space }: Watch): readonly [string, string] | null {
    const truth = this.#truth(space)
    const where = `${process.name} in ${SPACES[space]}`
    for (const [key, n] of list) {
      const right = truth.get(key)
      if (right === undefined) return ['H2', `${where} sees a ghost: ${key} with ${n}`]
      if (right !== n) return ['H3', `${where} sees ${key} with ${n} in place of ${right}`]
    }
    for (const [key, n] of truth) {
      if (!list.has(key)) return ['H3', `${where} does not see ${key} with ${n}`]
    }
    return null
  }

  /** What is retained must be right, too: somebody may come who has seen nothing. (H3, H4) */
  #wrongAtBroker(): readonly [string, string] | null {
    const { retained } = this.#broker
    for (const process of this.#running) {
      const members = process.wants.flatMap((wants, space) =>
        [...wants].flatMap(([client, wish]) => (wish.isThere ? [{ client, space, ...wish }] : [])),
      )
      if (members.length === 0) continue
      const { connection } = process
      const { epoch } = this.#wire.known.get(connection!)!
      const up = textOf(retained.get(`${PREFIX}/c/${connection}`)?.payload)
      if (up?.state !== 'up' || up.epoch !== epoch) {
        return ['H3', `${process.name}, of epoch ${epoch}, is retained as ${JSON.stringify(up)}`]
      }
      for (const { client, space, n } of members) {
        const level = SPACES[space]!.replaceAll('/', '%2F')
        const one = textOf(retained.get(`${PREFIX}/s/${level}/${client}/${connection}`)?.payload)
        if (one?.epoch === epoch && one.data?.n === n) continue
        const what = `${client} of ${process.name}, with ${n} in epoch ${epoch}`
        return ['H4', `${what}, is retained as ${JSON.stringify(one)}`]
      }
    }
    return null
  }

  /** Nothing happens, so nobody is told of anything, and little is sent. (H8) */
  async #beQuiet(): Promise<void> {
    this.#phase = ', in quiet time'
    this.say('# quiet')
    const before = this.#changes
    const counts = [...this.#wire.known].map(([name, known]) => ({ name, known, ...known }))
    await this.#pass(QUIET_MS)
    if (this.#changes > before) this.problem('H3', `${this.#changes - before} changes were told`)
    for (const { name, known, records, process } of counts) {
      const { ttl, recordTtl } = process.setup
      const entered = process.wants.reduce((sum, wants) => sum + wants.size, 0)
      const renewals = recordTtl === 0 ? 0 : entered * Math.ceil(QUIET_MS / (recordTtl * 250))
      const signs = Math.ceil(QUIET_MS / (ttl * 500)) + 1
      const sent = known.records - records
      if (sent > signs + renewals && !process.setup.janitor) {
        this.problem('H8', `${sent} records of ${name} in ${QUIET_MS} ms, expected ${signs}`)
      }
    }
    const wrong = this.#wrong()
    if (wrong !== null && this.problems.length === 0) this.problem(...wrong)
  }

  /** Somebody who comes now and has seen nothing knows the truth within 2 x ttl. */
  async #comeLate(): Promise<void> {
    this.#phase = ', seen by one who came late'
    const rest = {
      memory: 'none',
      isForgotten: this.protocolVersion === 5,
      watches: [0, 1],
    } as const
    const setup = { ...this.#scenario.setup.members[0]!, ...rest }
    const seat = this.#seat('late', setup)
    this.#seats.push(seat)
    this.#revive()
    await this.#pass(SLACK_MS)
    const { process } = seat
    for (const watch of process!.watches) {
      const wrong = this.#compare(process!, watch)
      const [id] = wrong ?? ['']
      // Only a server that keeps records for ever shows those who went long ago.
      const { retainedExpires } = this.#scenario.setup.habits
      const forgets = this.protocolVersion === 5 && retainedExpires === true
      const isDisguised = [...watch.list.keys()].some((key) =>
        this.#isDisguised(key.split('/').at(-1)!),
      )
      if (wrong !== null && id !== 'H2') return this.problem(...wrong)
      if (wrong !== null && forgets && !isDisguised) return this.problem(...wrong)
    }
    await this.#pass(TTL_MS_MAX)
    const wrong = this.#wrong()
    if (wrong !== null) this.problem(...wrong)
  }

  /**
   * A member leaves while a watcher is away whose session ends, and its connection stays: only the
   * end of the next sync can tell that it has gone. (H5)
   */
  async #missFarewell(): Promise<void> {
    const watcher = this.#seats.find(({ party }) => party.who === 'late')?.process
    const speaker = this.#running.find((process) => process !== watcher)
    const watch = [...(watcher?.watches ?? [])].find(({ space }) => space === 0)
    if (!watcher || !speaker || !watch) return
    this.#phase = ', after a farewell that was missed'
    const about = { who: 0, space: 0 } as const
    const [gone, staying] = [GONE_NAME, STAYING_NAME].map((n) => `other${n}/${speaker.connection}`)
    this.#act(speaker, { do: 'enter', ...about, other: GONE_NAME })
    this.#act(speaker, { do: 'enter', ...about, other: STAYING_NAME })
    await this.#pass(SLACK_MS)
    const problem = (what: string) => this.problem('H5', `${watcher.name} ${what}`)
    for (const key of [gone!, staying!]) if (!watch.list.has(key)) problem(`does not see ${key}`)
    const { network } = watcher.party
    network.dialling = 'refuse'
    watcher.calmSince = Number.POSITIVE_INFINITY
    network.latest?.end('reset')
    await this.#pass(STEP_MS)
    this.#act(speaker, { do: 'leave', ...about, other: GONE_NAME })
    await this.#pass(SLACK_MS)
    if (!watch.list.has(gone!)) problem(`sees without a connection that ${gone} has left`)
    network.dialling = 'accept'
    for (let ms = 0; ms < REDIALLED_MS && watcher.kind !== 'connected'; ms += STEP_MS) {
      await this.#pass(STEP_MS)
    }
    await this.#pass(SLACK_MS)
    const certainty = watch.farewells.get(gone!)
    if (watch.list.has(gone!)) problem(`still sees ${gone} after its sync`)
    else if (certainty !== 'quiet' && certainty !== 'ordered') {
      problem(`was told that ${gone} has left with the certainty ${certainty}`)
    }
    if (!watch.list.has(staying!)) problem(`does not see ${staying} after its sync`)
  }

  /** All end in order, and leave nothing that says they are there. (H6) */
  async #end(): Promise<void> {
    this.#phase = ', ending'
    const ending = this.#seats.filter(({ process }) => process !== null && !process.isOver)
    const connections = new Set(ending.map(({ process }) => process!.connection))
    for (const seat of ending) void this.#close(seat, Number.POSITIVE_INFINITY)
    await this.clock.advance(12_000)
    for (const [topic, { payload }] of this.#broker.retained) {
      const text = Buffer.from(payload).toString()
      const isTheirs = connections.has(connectionOf(topic) ?? memberOf(topic))
      // A will, or what a stranger has written, may be left: neither says that it is there.
      const isUp = memberOf(topic) !== null || parsed(payload)?.state === 'up'
      if (!isTheirs || !isUp) continue
      this.problem('H6', `after the end of its process ${topic} says ${text}`)
    }
    for (const { process, what } of this.#pending.values()) {
      this.problem('H6', `${what} of ${process.name} is pending`)
    }
    for (const { process } of ending) {
      if (!process!.isOver) this.problem('H6', `${process!.name} has not ended`)
    }
    for (const { clientId, message } of this.#broker.violations) {
      this.problem('broker', `${clientId} breaks a rule: ${message}`)
    }
    this.#broker.close()
    await this.clock.advance(5000)
    if (this.clock.pendingTimers > 0) this.problem('H6', `${this.clock.pendingTimers} timers left`)
  }
}

interface Text {
  readonly epoch: number
  readonly state?: string
  readonly data?: { readonly n?: number }
}

function textOf(payload: Uint8Array | undefined): Text | undefined {
  if (payload === undefined) return undefined
  try {
    return JSON.parse(Buffer.from(payload).toString()) as Text
  } catch {
    return undefined
  }
}

function wordsOf({ clientId, connection, direction, packet, fault }: PacketRecord): string {
  const arrow = direction === 'toBroker' ? '→' : '←'
  const { cmd, messageId = '' } = packet
  const { dup = false, retain = false } = packet as { dup?: boolean; retain?: boolean }
  const flags = `${dup ? ' dup' : ''}${retain ? ' retain' : ''}${fault ? ` ${fault}` : ''}`
  const what = `${arrow} ${clientId} ${connection} ${cmd} ${messageId}`
  if (packet.cmd !== 'publish') return `${what}${flags}`
  return `${what} ${packet.topic} ${Buffer.from(packet.payload as Uint8Array)}${flags}`
}

export async function simulatePresence(
  scenario: PresenceScenario,
  subject: PresenceSubject,
  trace: ((line: string) => void) | null = null,
): Promise<readonly string[]> {
  return new PresenceWorld(scenario, subject, trace).run()
}
