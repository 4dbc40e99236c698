/**
 * Runs a scenario of the processes of two services, which call each other and listen to events. They
 * are killed, closed and cut off, their handlers fail, the broker restarts. What `it-mqtt/bus`
 * promises is checked as soon as it can be checked; at the end nothing may be owed to anybody.
 */
import type { Bus, BusOptions } from '../../../src/bus/index.ts'
import { createBroker, type PacketRecord, type TestBroker } from '../../../src/testing/index.ts'
import { VirtualClock } from '../../support/clock.ts'
import { randomOf } from '../../support/random.ts'
import { BrokerStream } from '../client/client-link.ts'
import { type Connection, Network } from '../network.ts'
import { CallLedger } from './bus-calls.ts'
import { EventLedger, type Name } from './bus-events.ts'
import { KeptIds } from './bus-keeping.ts'
import { Life, type LifeHost, Seat } from './bus-process.ts'
import { Program, type ProgramHost, SHOPS } from './bus-program.ts'
import { ReportLedger } from './bus-reported.ts'
import {
  type BusScenario,
  type EventOrder,
  type Happening,
  type ReleaseName,
  RPCS,
  type Setup,
} from './bus-scenario.ts'
import { LEASE_MS, SCHEMA_TOPIC, SchemaLedger } from './bus-schemas.ts'
import { TaskLedger } from './bus-tasks.ts'

/** The code under test. */
export interface BusSubject {
  createBus(options: BusOptions): Bus
}

const STEP_MS = 100
/** How late something may be: latencies and slow disks are in it. */
const SLACK_MS = 2000
/** How long everything may take to become right once all faults are over. */
const RECOVERY_MS = 900_000
/** How long a program that has failed is away. */
const BACKOFF_MS = 1000
const CLOSE_MS = 10_000
/** How long a process that is gone may seem present. */
const PRESENCE_MS = 400_000
const QUALITY = { latencyMs: 1, bytesPerMs: Number.POSITIVE_INFINITY, bufferBytes: 65_536 }
const ANSWERS: ReadonlySet<string> = new Set(['puback', 'suback'])
const CALM_ORDER: EventOrder = { event: 'sold', slowMs: 0, fails: 0, early: false, key: '' }

type Publish = Extract<PacketRecord['packet'], { cmd: 'publish' }>

export class ServicesWorld implements ProgramHost, LifeHost {
  readonly problems: string[] = []
  readonly clock = new VirtualClock()
  readonly random: () => number
  readonly events: EventLedger
  readonly calls: CallLedger
  readonly tasks: TaskLedger
  readonly reports: ReportLedger
  readonly setup: Setup
  readonly #schemas: SchemaLedger
  readonly #scenario: BusScenario
  readonly #subject: BusSubject
  readonly #broker: TestBroker
  readonly #seats: readonly Seat[]
  readonly #programs = new Map<Life, Program>()
  /** The life to which each connection of the broker belongs, by its number. */
  readonly #owners: { readonly life: Life | null; readonly connection: Connection | null }[] = [
    { life: null, connection: null },
  ]
  readonly #pending = new Map<Promise<unknown>, { readonly life: Life; readonly what: string }>()
  readonly #trace: ((line: string) => void) | null
  #phase = ''

  constructor(
    scenario: BusScenario,
    subject: BusSubject,
    trace: ((line: string) => void) | null = null,
  ) {
    const { seed, setup } = scenario
    this.#scenario = scenario
    this.setup = setup
    this.#subject = subject
    this.#trace = trace
    this.random = randomOf(seed ^ 0x5bd1e995)
    this.clock.random = randomOf(seed ^ 0x27d4eb2f)
    const { sharedRedistribution, noMatchingSubscribers } = setup
    this.#broker = createBroker({ clock: this.clock, sharedRedistribution, noMatchingSubscribers })
    this.#seats = setup.services.flatMap((service) =>
      Array.from({ length: service.processes }, (_, i) => {
        const seat: Seat = new Seat(
          `p${i}`,
          service,
          this.#network(() => seat),
        )
        return seat
      }),
    )
    const names = setup.services.flatMap(({ service, listeners }) =>
      listeners.map((listener): Name => {
        const owner = `${service}.${listener.name}`
        return { owner, service, setup: listener, ids: new KeptIds() }
      }),
    )
    const problem = (id: string, what: string) => this.problem(id, what)
    const idsOf = ({ ids, setup: { name } }: Name) => [
      ids,
      ...this.#seats.map((seat) => seat.idsOf(name)),
    ]
    const hasIds = setup.protocolVersion === 5
    this.events = new EventLedger(names, this.#broker, hasIds, idsOf, problem)
    const now = () => this.now()
    this.calls = new CallLedger(now, problem)
    this.tasks = new TaskLedger(now, problem)
    this.reports = new ReportLedger((listener) =>
      names.some(({ owner, setup: { how } }) => owner === listener && how === 'handler'),
    )
    this.#schemas = new SchemaLedger(this.#broker, now, setup.schema === 'lease', problem)
    this.#broker.watch(
      () => true,
      (record) => this.#passed(record),
    )
  }

  get protocolVersion(): 4 | 5 {
    return this.setup.protocolVersion
  }

  /** @returns the problems in the order in which they were seen; the run stops at the first. */
  async run(): Promise<readonly string[]> {
    if (!this.setup.isWatched) return this.#run()
    this.reports.begin()
    try {
      return await this.#run()
    } finally {
      this.reports.end()
    }
  }

  async #run(): Promise<readonly string[]> {
    this.#revive()
    for (const { after, what } of this.#scenario.events) {
      await this.#pass(after)
      if (this.problems.length > 0) return this.problems
      this.say(`# ${JSON.stringify(what)}`)
      this.#happen(what)
      await this.clock.settle()
    }
    for (const part of [this.#recover, this.#prove, this.#end]) {
      if (this.problems.length === 0) await part.call(this)
    }
    return this.problems
  }

  // ---------------------------------------------------------------------------------- what is used

  createBus(options: BusOptions): Bus {
    return this.#subject.createBus(options)
  }

  now(): number {
    return this.clock.now()
  }

  touch(): void {
    this.clock.touch()
  }

  say(line: string): void {
    this.#trace?.(`${this.clock.elapsed.toFixed(0).padStart(7)} ms ${line}`)
  }

  problem(id: string, what: string): void {
    this.problems.push(`[${id}] at ${this.clock.elapsed.toFixed(0)} ms${this.#phase}: ${what}`)
  }

  warned(life: Life, code: string, message: string): void {
    this.say(`  ${life.name} warns ${code}: ${message}`)
    if (code === 'SCHEMA_REPLACED') this.#schemas.warned(life)
    if (code === 'SCHEMA_INCOMPLETE') this.#schemas.incomplete(life)
    if (code !== 'HANDLER_FAILED') return
    this.calls.failed(/[(]([\da-f]+)[)]/.exec(message)?.[1] ?? '')
  }

  track(life: Life, what: string, promise: Promise<unknown>): void {
    this.#pending.set(promise, { life, what })
    void promise.finally(() => {
      this.clock.touch()
      this.#pending.delete(promise)
    })
  }

  /** A release that breaks others is taken back; what has replaced it is kept. */
  refused(life: Life): void {
    this.#schemas.refused(life)
    this.#release(life.seat, this.#schemas.release ?? 'first')
  }

  failed(life: Life): void {
    if (life.isEnding || life.isOver) return
    this.say(`# the program of ${life.name} fails`)
    void this.#close(life, BACKOFF_MS, CLOSE_MS)
  }

  // --------------------------------------------------------------------------------------- passing

  async #pass(ms: number): Promise<void> {
    for (let left = ms; left > 0 && this.problems.length === 0; left -= STEP_MS) {
      await this.clock.advance(Math.min(left, STEP_MS))
      const [late] = this.calls.overdue(SLACK_MS)
      if (late !== undefined) this.problem('B1', `call ${late.n} of ${late.rpc} has no result`)
      for (const { life } of this.#seats) if (life !== null) this.tasks.check(life)
      this.#revive()
    }
  }

  #network(seat: () => Seat): Network {
    return new Network(this.clock, (connection) => {
      const stream = new BrokerStream(connection)
      const { life } = seat()
      life?.connections.push(connection)
      this.#owners.push({ life, connection })
      this.#broker.accept(stream)
      return stream
    })
  }

  /** Begins a process where none runs and its time has come. */
  #revive(): void {
    for (const seat of this.#seats) {
      if (seat.life?.isOver === false || this.now() < seat.restartAt) continue
      if (seat.outbox.isHeld) continue
      seat.life = new Life(seat, this)
      this.say(`# ${seat.life.name} begins`)
      this.#programs.set(seat.life, new Program(seat.life, this))
    }
  }

  #happen(what: Happening): void {
    switch (what.do) {
      case 'forge':
        return this.#schemas.forged(what.name)
      case 'restart':
        for (const { life } of this.#seats) this.#disturb(life)
        if (!what.keep) {
          this.events.forgotten()
          this.#schemas.lost()
        }
        return this.#broker.restart({ keepSessions: what.keep })
      case 'packets twice': {
        const isRepeatable = ({ packet, direction }: PacketRecord) =>
          direction === 'toClient' &&
          (packet.cmd === 'puback' || (packet.cmd === 'publish' && packet.qos === 1))
        this.#broker.faults.duplicate(isRepeatable, { times: what.times })
        return
      }
      case 'packets lost':
        this.#broker.faults.drop(
          ({ packet, direction }) => direction === 'toClient' && ANSWERS.has(packet.cmd),
          { times: what.times },
        )
        return
      default: {
        const seat = this.#seats[what.who % this.#seats.length]!
        const { life } = seat
        if (what.do === 'release') this.#release(seat, what.name)
        else if (what.do === 'dialling') seat.network.dialling = what.dialling
        else if (what.do === 'latency') seat.network.quality = { ...QUALITY, latencyMs: what.ms }
        else if (life !== null && !life.isOver && !life.isEnding) this.#happenTo(seat, life, what)
        else if (life !== null && !life.isOver && what.do === 'kill') this.#kill(life, what.awayMs)
      }
    }
  }

  #happenTo(seat: Seat, life: Life, what: Happening): void {
    const program = this.#programs.get(life)!
    switch (what.do) {
      case 'cut':
      case 'breakAfter':
      case 'swallow': {
        const open = life.openConnections
        const connection = open[what.which % Math.max(1, open.length)]
        this.#disturb(life)
        if (what.do === 'cut') connection?.end(what.how)
        else if (what.do === 'swallow') connection?.swallow(what.direction)
        else connection?.breakAfter(what.direction, what.bytes)
        return
      }
      case 'kill':
        return this.#kill(life, what.awayMs)
      case 'close':
        void this.#close(life, what.awayMs, what.timeout)
        return
      case 'store fails':
        life.storeFails = true
        return
      case 'fire': {
        const { count, durable, event, slowMs, fails, early, key } = what
        if (!seat.setup.serves) return
        for (let i = 0; i < count; i++) {
          program.fire({ event, slowMs, fails, early, key }, durable)
        }
        return
      }
      case 'call':
        for (let i = 0; i < what.count; i++) program.call(what.rpc, what.slowMs, what.timeout)
        return
      default:
        throw new Error(`${what.do} is not for a process`)
    }
  }

  get #servers(): readonly Seat[] {
    return this.#seats.filter(({ setup }) => setup.serves)
  }

  /** All processes of the service become the release whose schema lies there. */
  #agree(): void {
    const name = this.#schemas.release ?? this.#seats[0]!.release
    for (const seat of this.#servers) this.#release(seat, name)
  }

  /** The next life of a process is that of a release; one that runs ends for it. */
  #release(seat: Seat, name: ReleaseName): void {
    seat.release = name
    const { life } = seat
    if (life === null || life.isOver || life.isEnding || life.release === name) return
    void this.#close(life, BACKOFF_MS, CLOSE_MS)
  }

  #disturb(life: Life | null): void {
    if (life !== null) life.disturbedAt = Number.POSITIVE_INFINITY
  }

  #kill(life: Life, awayMs: number): void {
    this.say(`# ${life.name} is killed`)
    life.kill()
    life.seat.restartAt = this.now() + awayMs
    for (const [promise, { life: its }] of this.#pending) {
      if (its === life) this.#pending.delete(promise)
    }
  }

  /** The program of a process ends in order. (B18) */
  async #close(life: Life, awayMs: number, timeout: number): Promise<void> {
    life.isEnding = true
    life.closeMs = timeout
    const { seat } = life
    const startedAt = this.now()
    const isCalm = startedAt > life.disturbedAt + SLACK_MS
    const open = this.#owners.flatMap(({ life: its, connection }, number) =>
      its === life && connection?.over === false ? [number] : [],
    )
    try {
      await this.#programs.get(life)!.close(timeout)
    } catch (error) {
      if (!life.isDead) this.problem('B18', `close() of ${life.name} fails: ${error}`)
    }
    if (life.isDead) return
    this.clock.touch()
    const tookMs = this.now() - startedAt
    const what = `close() of ${life.name}, ${timeout} ms,`
    if (tookMs > 2 * timeout + SLACK_MS) this.problem('B18', `${what} takes ${tookMs} ms`)
    // One whose call is too late for an answer does not count as running.
    const running = [...life.handlers].filter(({ deadline }) => deadline > this.now())
    if (running.length > 0 && tookMs < timeout) {
      this.problem('B18', `${what} leaves ${running.length} handlers after ${tookMs} ms`)
    }
    if (life.timers > 0) this.problem('B18', `${what} leaves ${life.timers} timers`)
    const left = life.openConnections.filter(({ client }) => !client.writableEnded)
    if (left.length > 0) this.problem('B18', `${what} leaves ${left.length} connections`)
    life.isOver = true
    seat.restartAt = this.now() + awayMs
    this.say(`# ${life.name} has ended`)
    const isWhole = isCalm && life.disturbedAt < startedAt && !life.hasForgotten
    // Of what ends with the time-out, a store may not have remembered all.
    if (isWhole && tookMs < timeout) this.#checkAcknowledged(life, open)
    // A write to the outbox may still be under way.
    this.clock.setTimer(() => {
      if (life.isRunning) this.problem('B18', `${what} leaves run()`)
      for (const { life: its, what: pending } of this.#pending.values()) {
        if (its === life) this.problem('B18', `${what} leaves ${pending}`)
      }
    }, 1000)
  }

  /** What was handled is acknowledged at the end, if the link is whole. (B18) */
  #checkAcknowledged(life: Life, connections: readonly number[]): void {
    const { latencyMs } = life.seat.network.quality
    this.clock.setTimer(
      () => {
        const left = connections.flatMap((number) => this.events.unacknowledged(life, number))
        if (left.length === 0) return
        this.problem('B18', `${life.name} has handled ${left}, and not acknowledged it`)
      },
      2 * latencyMs + 5,
    )
  }

  // -------------------------------------------------------------------------------------- judging

  #passed(record: PacketRecord): void {
    const { direction, packet, connection, clientId, fault } = record
    if (this.#trace !== null) this.say(wordsOf(record))
    const life = this.#owners[connection]?.life ?? null
    if (life === null) return
    if (packet.cmd === 'connack' && fault === null) {
      life.disturbedAt = this.now()
      const { life: now } = life.seat
      if (now !== null && now !== life) now.isHaunted = true
    }
    if (direction === 'toClient') {
      const n = packet.cmd === 'publish' ? eventIn(packet) : null
      if (n !== null) this.events.delivered(clientId, connection, packet as Publish, n)
      return
    }
    if (packet.cmd === 'puback') {
      const { reasonCode = 0 } = packet
      if (reasonCode >= 0x80) this.problem('B8', `${clientId} refuses a message: ${reasonCode}`)
      this.events.acknowledged(life, connection, packet.messageId!)
    }
    if (packet.cmd === 'publish') this.#published(life, packet)
    if (packet.cmd === 'subscribe' && packet.subscriptions.some(isForCalls)) {
      this.#schemas.serves(life, this.setup.onBreaking)
    }
  }

  #published(life: Life, packet: Publish): void {
    if (packet.topic === SCHEMA_TOPIC) {
      const text = Buffer.from(packet.payload as Uint8Array).toString()
      return this.#schemas.published(life, text, packet.dup === true)
    }
    const levels = packet.topic.split('/')
    if (levels[1] === '_dead') {
      return this.events.buried(`${levels[2]}.${levels[3]}`, numberIn(packet)!)
    }
    const n = eventIn(packet)
    if (n !== null) return this.events.arrived(n)
    if (levels[3] !== 'rpc') return
    this.calls.arrived(
      numberIn(packet)!,
      correlationIn(packet),
      !this.#isServed(levels[1]!, levels[2]!, levels[4]!),
    )
  }

  isSubscribed(clientId: string): boolean {
    const { subscriptions = {} } = this.#broker.sessions.get(clientId) ?? {}
    return Object.keys(subscriptions).length > 0
  }

  #isServed(api: string, major: string, rpc: string): boolean {
    const filters = ['+', rpc].map((level) => `$share/shop/bus/${api}/${major}/rpc/${level}`)
    return [...this.#broker.sessions.values()].some(({ subscriptions }) =>
      filters.some((filter) => subscriptions[filter] !== undefined),
    )
  }

  // -------------------------------------------------------------------------------------- the end

  /** From now on there are no faults: everything that was promised must happen. */
  async #recover(): Promise<void> {
    this.#phase = ', recovering'
    this.say('# recovering')
    this.#broker.faults.clear()
    for (const seat of this.#seats) {
      seat.network.dialling = 'accept'
      seat.network.quality = QUALITY
      if (Number.isFinite(seat.restartAt)) seat.restartAt = Math.min(seat.restartAt, this.now())
      for (const connection of seat.life?.openConnections ?? []) connection.end('reset')
      if (seat.life !== null) seat.life.storeFails = false
      this.#disturb(seat.life)
    }
    this.#agree()
    await this.#pass(SLACK_MS)
    for (let ms = 0; ms < RECOVERY_MS && this.problems.length === 0; ms += 5 * STEP_MS) {
      if (this.#wrong() === null) return
      if (new Set(this.#servers.map(({ release }) => release)).size > 1) this.#agree()
      await this.#pass(5 * STEP_MS)
    }
    const wrong = this.#wrong()
    if (wrong !== null && this.problems.length === 0) this.problem(...wrong)
  }

  /** @returns what is not as it should be, or null. */
  #wrong(): readonly [id: string, what: string] | null {
    const owed = this.events.owed()
    if (owed.length > 0) return ['B6', `owed is ${owed.slice(0, 10).join('; ')}`]
    for (const seat of this.#seats) {
      if (seat.outbox.length > 0) {
        return ['B9', `${seat.outbox.length} events are left in the outbox of ${seat.who}`]
      }
      if (seat.life?.isOver !== false || seat.life.isEnding) return ['B18', `${seat.who} is away`]
    }
    for (const { life, what } of this.#pending.values()) {
      return ['B1', `${what} of ${life.name} is pending`]
    }
    for (const { clientId, queued, inflight } of this.#broker.sessions.values()) {
      const left = queued + inflight
      if (left > 0 && !clientId.startsWith('bus._dead.'))
        return ['B7', `${left} messages are left in the session of ${clientId}`]
    }
    // With `onBreaking: 'refuse'` this takes longer than the beginning of a process.
    if (!this.#isServed('shop', 'v1', 'plain')) return ['B13', 'nobody serves the API']
    const schema = this.#schemas.wrong(this.#seats[0]!.release)
    if (schema !== null) return ['B12', schema]
    const lost = this.events.all.filter(({ isFired, arrivals }) => isFired && arrivals === 0)
    if (lost.length > 0) return ['B9', `event ${lost[0]!.n} was fired, and is lost`]
    return null
  }

  /** Everything works: each rpc has its result, and an event reaches every listener. */
  async #prove(): Promise<void> {
    this.#phase = ', proving'
    this.say('# proving')
    const { calls } = this
    const caller = this.#programs.get(this.#seats.at(-1)!.life!)!
    const from = calls.all.length
    for (const rpc of RPCS) caller.call(rpc, 0, 5000)
    const first = this.#programs.get(this.#seats[0]!.life!)!
    for (const durable of [false, true]) first.fire(CALM_ORDER, durable)
    await this.#pass(3000)
    const isLate = calls.all.slice(from).filter(({ isSettled, rpc }) => {
      const mayWait = rpc === 'absent' || rpc === 'later' || rpc === 'major'
      return !isSettled && !mayWait
    })
    for (const { n, rpc } of isLate) this.problem('B1', `call ${n} of ${rpc} is not answered`)
    for (const called of calls.all.slice(from)) this.#checkCalm(called)
    if (this.setup.schema === 'lease') await this.#pass(LEASE_MS)
    // Of what the broker has forgotten, listeners may have something in hand.
    for (let ms = 0; ms < RECOVERY_MS && this.#wrong() !== null; ms += 5000) await this.#pass(5000)
    const wrong = this.#wrong()
    if (wrong !== null && this.problems.length === 0) this.problem(...wrong)
    await this.#discover()
  }

  /** Everybody who runs is found, with what it has. (B15, B20) */
  async #discover(): Promise<void> {
    const lives = this.#seats.map(({ life }) => life!)
    let found: readonly string[] = []
    const asking = this.#programs.get(lives.at(-1)!)!.discover()
    asking.then(
      (names) => {
        found = names
      },
      () => {},
    )
    await this.#pass(3000)
    const isCalm = lives.every(
      (life) => life.seat.life === life && !life.isEnding && !life.isFailing,
    )
    if (!isCalm) return
    const expected = lives.map(({ seat: { who, setup }, release }) => {
      const apis = setup.serves ? [SHOPS[release].version] : []
      return [who, ...apis, ...setup.listeners.map(({ name }) => name)].join(' ')
    })
    if (found.join(', ') !== expected.sort().join(', ')) {
      this.problem('B20', `found is ${found.join(', ')}, and there is ${expected.join(', ')}`)
    }
    const untold = lives.find((life) => life.seat.setup.serves && !this.#schemas.isTold(life))
    if (untold !== undefined) this.problem('B15', `${untold.name} says nothing of a missing schema`)
    const wrong = this.setup.isWatched ? this.reports.wrong : null
    if (wrong !== null) this.problem('B19', wrong)
    if (this.setup.presence) for (const life of lives) await this.#checkPresent(life)
  }

  /** The processes of a service are present, those that are gone are not. (B21) */
  async #checkPresent(life: Life): Promise<void> {
    const { setup } = life.seat
    const expected = Array.from({ length: setup.processes }, (_, i) => `p${i}`).join(' ')
    let present = 'unknown'
    for (let ms = 0; ms < PRESENCE_MS && present !== expected; ms += 1000) {
      const asking = this.#programs.get(life)!.present()
      asking.then(
        (names) => {
          present = names.join(' ')
        },
        () => {},
      )
      await this.#pass(1000)
      if (life.isEnding || life.isFailing) return
    }
    if (present !== expected) this.problem('B21', `${life.name} sees ${present}, not ${expected}`)
  }

  /** Without faults it is certain what becomes of a call. (B2, B3, B4, B5) */
  #checkCalm({ n, rpc, outcome, life }: CallLedger['all'][number]): void {
    // What the broker has forgotten may still be in the hands of a listener, and end its program.
    if (outcome === 'ENDED' && life.isEnding) return
    const { setup } = this.#scenario
    const { answerUnknown } = setup.services[0]!
    const isSaid = setup.protocolVersion === 5 && setup.noMatchingSubscribers
    const unheard = isSaid ? 'NO_RESPONDERS' : ''
    const right = {
      ...{ plain: 'ok', again: 'ok', refuse: 'LOCKED', fail: 'RESPONDER_FAILED' },
      ...{ later: answerUnknown ? 'UNKNOWN' : unheard, absent: unheard, major: unheard },
      ...{ unfit: 'INVALID_INPUT', strict: 'BAD_REQUEST' },
      ...{ wrong: 'RESPONDER_FAILED', odd: 'INVALID_RESPONSE' },
    }[rpc]
    if (outcome !== right) {
      const ids = { plain: 'B1', again: 'B1', refuse: 'B3', fail: 'B3', later: 'B4', absent: 'B4' }
      const id = { ...ids, major: 'B5' }[rpc as keyof typeof ids] ?? 'B2'
      this.problem(id, `call ${n} of ${rpc} ends with "${outcome}" in place of "${right}"`)
    }
  }

  /** All end in order, and leave nothing. (B18) */
  async #end(): Promise<void> {
    this.#phase = ', ending'
    for (const { life } of this.#seats) void this.#close(life!, Number.POSITIVE_INFINITY, 2000)
    await this.clock.advance(8000)
    for (const { life } of this.#seats) {
      if (!life!.isOver) this.problem('B18', `${life!.name} has not ended`)
    }
    for (const { clientId, message } of this.#broker.violations) {
      this.problem('broker', `${clientId} breaks a rule: ${message}`)
    }
    this.#broker.close()
    await this.clock.advance(5000)
    const { pendingTimers } = this.clock
    if (pendingTimers > 0) this.problem('B18', `${pendingTimers} timers left`)
  }
}

/** @returns whether a subscription is that of who serves the API. */
function isForCalls({ topic }: { readonly topic: string }): boolean {
  return topic.includes('/shop/v1/rpc/')
}

/** @returns the number that an event or a call has in its payload. */
function numberIn({ payload }: Publish): number | null {
  const text = Buffer.from(payload as Uint8Array).toString()
  return Number(/"n":(\d+)/.exec(text.replaceAll('\\', ''))?.[1] ?? Number.NaN)
}

/** @returns what names an attempt of a call. */
function correlationIn({ payload, properties }: Publish): string {
  const { correlationData } = properties ?? {}
  if (correlationData !== undefined) return Buffer.from(correlationData).toString('hex')
  return String((JSON.parse(Buffer.from(payload as Uint8Array).toString()) as { id?: unknown }).id)
}

/** @returns the number of an event, or null if it is something else. */
function eventIn(packet: Publish): number | null {
  return /^bus[/]shop[/]v1[/]event[/]/.test(packet.topic) ? numberIn(packet) : null
}

function wordsOf({ clientId, connection, direction, packet, fault }: PacketRecord): string {
  const arrow = direction === 'toBroker' ? '→' : '←'
  const { cmd, messageId = '' } = packet
  const { dup = false } = packet as { dup?: boolean }
  const flags = `${dup ? ' dup' : ''}${fault ? ` ${fault}` : ''}`
  const what = `${arrow} ${clientId} ${connection} ${cmd} ${messageId}`
  if (packet.cmd !== 'publish') return `${what}${flags}`
  return `${what} ${packet.topic} ${Buffer.from(packet.payload as Uint8Array)}${flags}`
}

export async function simulateBus(
  scenario: BusScenario,
  subject: BusSubject,
  trace: ((line: string) => void) | null = null,
): Promise<readonly string[]> {
  return new ServicesWorld(scenario, subject, trace).run()
}
