/**
 * Runs a scenario of two clients: one publishes, subscribes and asks, the other one answers. Both
 * are killed, and begin again with what is on their disks; the network and the broker fail as the
 * events say. What `it-mqtt/client` promises is checked as soon as it can be checked.
 */
import type { SentRequest } from '../../../src/index.ts'
import { createBroker, type PacketRecord, type TestBroker } from '../../../src/testing/index.ts'
import { VirtualClock } from '../../support/clock.ts'
import { randomOf } from '../../support/random.ts'
import { Network } from '../network.ts'
import { Answerer } from './client-answerer.ts'
import { Asker, type ProgramHost } from './client-asker.ts'
import { BrokerStream } from './client-link.ts'
import { Messages, numberIn, payloadOf } from './client-messages.ts'
import { ClientProcess, type ClientSubject, Party, type ProcessHost } from './client-process.ts'
import { Operations } from './client-requests.ts'
import type { Asking, ClientScenario, Happening, Who } from './client-scenario.ts'

const STEP_MS = 200
/** How long everything may take to become right once all faults are over, in ms. */
const RECOVERY_MS = 120_000
/** How long a client may take to end beyond what it was given, in ms. */
const END_MS = 5000
/** Timers count whole milliseconds. */
const LATE_MS = 1
/** How long what is proven at the end may take, in ms. */
const PROOF_MS = 5000

interface Tracked {
  readonly process: ClientProcess
  readonly what: string
  readonly dueAt: number
  /** Whether it goes on as long as its client does. */
  readonly lasts: boolean
}

const LASTING = /^(done|run\(\)|a request$|next\(\)|forEach\(\))/
const PLAIN_ASKING: Asking = {
  ...{ form: 'one', to: 'call', qos: 1, timeout: PROOF_MS, retry: 'never', handlerMs: 0 },
  ...{ doing: 'value', parts: 0, max: 1, lane: 0, fallback: false, keyOf: 0 },
}

export class ClientWorld implements ProcessHost, ProgramHost {
  readonly problems: string[] = []
  readonly clock = new VirtualClock()
  readonly random: () => number
  readonly subject: ClientSubject
  readonly messages: Messages
  readonly operations: Operations
  readonly #scenario: ClientScenario
  readonly #broker: TestBroker
  readonly #parties: Readonly<Record<Who, Party>>
  /** The process to which each connection of the broker belongs, by its number. */
  readonly #owners: (ClientProcess | null)[] = [null]
  readonly #pending = new Map<Promise<unknown>, Tracked>()
  readonly #trace: ((line: string) => void) | null
  /** Publishes of which a session was said to have them. */
  readonly #held = new Set<number>()
  #asker: Asker | null = null
  #isQuiet = false

  constructor(
    scenario: ClientScenario,
    subject: ClientSubject,
    trace: ((line: string) => void) | null = null,
  ) {
    const { seed, setup } = scenario
    this.#scenario = scenario
    this.subject = subject
    this.#trace = trace
    this.random = randomOf(seed ^ 0x5bd1e995)
    this.clock.random = randomOf(seed ^ 0x27d4eb2f)
    const { overlap, maxInflight } = setup
    this.#broker = createBroker({ clock: this.clock, overlap, maxInflight })
    const party = (who: Who) => new Party(who, setup[who], this.#network(who))
    this.#parties = { asker: party('asker'), answerer: party('answerer') }
    const report = (id: string, what: string) => this.problem(id, what)
    this.messages = new Messages(setup, this.#broker, report)
    this.operations = new Operations(setup, this.#broker, () => this.now(), report)
    this.#broker.watch(
      () => true,
      (record) => this.#passed(record),
    )
  }

  get protocolVersion(): 4 | 5 {
    return this.#scenario.setup.protocolVersion
  }

  get bodyMs(): number {
    return this.#scenario.setup.bodyMs
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
      this.#check()
    }
    if (this.problems.length === 0) await this.#recover()
    if (this.problems.length === 0) await this.#prove()
    if (this.problems.length === 0) await this.#end()
    return this.problems
  }

  // ---------------------------------------------------------------------------------- what is used

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
    const at = this.clock.elapsed.toFixed(0)
    this.problems.push(`[${id}] at ${at} ms${this.#isQuiet ? ', recovering' : ''}: ${what}`)
  }

  track<T>(
    process: ClientProcess,
    what: string,
    promise: Promise<T>,
    dueAt = Number.POSITIVE_INFINITY,
  ): Promise<T> {
    this.#pending.set(promise, { process, what, dueAt, lasts: LASTING.test(what) })
    const settled = () => {
      this.touch()
      this.#pending.delete(promise)
      const lateMs = this.now() - dueAt
      if (lateMs >= LATE_MS && process.isAlive)
        this.problem('M2', `${what} settles ${lateMs} ms late`)
    }
    promise.then(settled, settled)
    return promise
  }

  // --------------------------------------------------------------------------------------- passing

  async #pass(ms: number): Promise<void> {
    for (let left = ms; left > 0 && this.problems.length === 0; left -= STEP_MS) {
      await this.clock.advance(Math.min(left, STEP_MS))
      this.#check()
      this.#revive()
    }
  }

  /** Begins a process where none runs and its time has come. */
  #revive(): void {
    for (const party of Object.values(this.#parties)) {
      const { process, who } = party
      if (process !== null && !process.isOver) {
        // Of a client that fails, a program is told by what it awaits; then it closes it.
        if (process.hasFailed && !process.isEnding) void this.#close(process, 1000, 100)
        continue
      }
      if (this.now() < party.restartAt) continue
      this.say(`# ${who} begins`)
      party.process = null
      const begun = new ClientProcess(party, this)
      party.process = begun
      if (who === 'asker') {
        this.messages.lives++
        for (const slot of this.messages.slots) slot.follower = null
        const mood = this.#asker?.mood ?? 'steady'
        this.#asker = new Asker(begun, this)
        this.#asker.mood = this.#isQuiet ? 'steady' : mood
      } else {
        const { concurrency, responseQos } = this.#scenario.setup
        new Answerer(begun, this, concurrency, responseQos)
      }
    }
  }

  #happen(what: Happening): void {
    switch (what.do) {
      case 'cut':
        return this.#networkOf(what.who).latest?.end(what.how)
      case 'breakAfter':
        return this.#networkOf(what.who).latest?.breakAfter(what.direction, what.bytes)
      case 'swallow':
        return this.#networkOf(what.who).latest?.swallow(what.direction)
      case 'dialling':
        this.#networkOf(what.who).dialling = what.dialling
        return
      case 'latency':
        this.#networkOf(what.who).quality = { ...QUALITY, latencyMs: what.ms }
        return
      case 'restart':
        if (!what.keep) this.messages.sessionLost()
        return this.#broker.restart({ keepSessions: what.keep })
      case 'acks':
        return this.#losesAcks(what)
      case 'packets twice': {
        const isRepeatable = ({ packet, direction }: PacketRecord) =>
          direction === 'toClient' && (ANSWERS.has(packet.cmd) || isExactlyOnce(packet))
        this.#broker.faults.duplicate(isRepeatable, { times: what.times })
        return
      }
      case 'disk full':
        this.#parties[what.who].isDiskFull = true
        return
      case 'kill':
      case 'close':
      case 'abort':
      case 'ping':
        return this.#doTo(what)
      default:
        return this.#doAsAsker(what)
    }
  }

  #doTo(what: Extract<Happening, { do: 'kill' | 'close' | 'abort' | 'ping' }>): void {
    const party = this.#parties[what.who]
    const { process } = party
    if (process === null || process.isOver || process.isEnding) return
    if (what.do === 'ping') {
      this.track(process, 'ping()', process.client.ping()).catch(() => {})
      return
    }
    party.restartAt = this.now() + what.awayMs
    if (what.do === 'kill') {
      process.kill()
      if (what.who === 'asker' && party.setup.memory !== 'store') this.#held.clear()
      for (const [promise, { process: its }] of this.#pending) {
        if (its === process) this.#pending.delete(promise)
      }
    } else if (what.do === 'close') void this.#close(process, what.timeout, what.awayMs)
    else process.abort.abort(new Error('aborted'))
  }

  #doAsAsker(what: Happening): void {
    if (what.do === 'offer') {
      for (let i = 0; i < what.count; i++) this.#offer(what.topic, what.qos, what.bytes)
      return
    }
    const asker = this.#asker!
    if (what.do === 'mood') {
      asker.mood = what.mood
      return asker.wake()
    }
    if (asker.process.isOver || asker.process.isEnding || asker.process.hasFailed) return
    switch (what.do) {
      case 'publish':
        for (let i = 0; i < what.count; i++) asker.publish(what)
        return
      case 'ask':
        for (let i = 0; i < what.count; i++) {
          asker.ask(i === 0 || what.asking.keyOf === 2 ? what.asking : { ...what.asking })
        }
        return
      case 'visit':
        void asker.visit(what.slot, what.take, what.how)
        return
      case 'leave': {
        const { follower } = this.messages.slots[what.slot % this.messages.slots.length]!
        if (follower !== null) void asker.leave(follower, what.how)
        return
      }
      case 'enter':
        return asker.enter(this.messages.slots[what.slot % this.messages.slots.length]!)
      default:
        throw new Error(`${what.do} is not for the asker`)
    }
  }

  #offer(topic: string, qos: 0 | 1 | 2, bytes: number): void {
    const sent = this.messages.add(topic, qos, 'offer')
    this.messages.routed(sent)
    this.#broker.publish(topic, payloadOf(sent.number, bytes), { qos })
  }

  #losesAcks({ fault, ms, times }: Extract<Happening, { do: 'acks' }>): void {
    const { faults } = this.#broker
    const isAnswer = ({ packet }: PacketRecord) => ANSWERS.has(packet.cmd)
    if (fault === 'drop') faults.drop(isAnswer, { times })
    else faults.delay(isAnswer, ms, { times })
  }

  // -------------------------------------------------------------------------------------- the end

  /** Ends a client in order. */
  async #close(process: ClientProcess, timeout: number, awayMs: number): Promise<void> {
    const { party, client } = process
    process.isEnding = true
    const due = this.now() + timeout + END_MS
    const first = this.track(process, 'close()', client.close({ timeout }), due)
    const second = this.track(process, 'close() again', client.close({ timeout: 1 }), due)
    const late = client.publish('nobody/1', '').then(
      () => this.problem('M14', 'a publish after close() was taken'),
      (error) => {
        if (error?.code !== 'ENDED') this.problem('M14', `a publish after close(): ${error}`)
      },
    )
    let closed: Awaited<typeof first> | null = null
    try {
      closed = await first
      if ((await second) !== closed) this.problem('M14', 'the second close() is another one')
      await late
    } catch (error) {
      if (process.isAlive && !process.hasFailed) this.problem('M14', `close() failed: ${error}`)
    }
    if (process.isDead) return
    party.restartAt = this.now() + awayMs
    // What was rejected is reported a moment later.
    await process.sleep(0)
    if (process.isDead) return
    this.#checkHeld(process, client.session.held)
    process.ended()
    if (process.timers > 0) this.problem('M1', `${process.timers} timers after close()`)
    this.say(`# ${party.who} has ended`)
    // A handler that runs is waited for.
    if (this.#asker?.process === process) this.#asker.wake()
    await process.sleep(this.bodyMs + LATE_MS)
    this.#checkSettled(process)
  }

  /** What the errors said of the session must be true. (M2) */
  #checkHeld(
    { unsettled, party, hasForgotten }: ClientProcess,
    held: readonly SentRequest[],
  ): void {
    const numbers = new Set(
      held.map((one) => ('payload' in one ? numberIn(Buffer.from(one.payload as string)) : 0)),
    )
    for (const [number, isHeld] of unsettled) {
      if (isHeld !== numbers.has(number)) {
        this.problem('M2', `publish ${number} is said to be held: ${isHeld}, which is not true`)
      }
      const sent = this.messages.sent[number - 1]!
      if (!isHeld && sent.arrivals > 0) {
        this.problem('M2', `publish ${number} is said never to have left, and arrived`)
      }
      const isKept = party.setup.memory !== 'none' && !hasForgotten
      if (isHeld && isKept) this.#held.add(number)
    }
  }

  #checkSettled(process: ClientProcess): void {
    for (const { process: its, what } of this.#pending.values()) {
      if (its === process) this.problem('M2', `${what} is pending after the end of its client`)
    }
  }

  // -------------------------------------------------------------------------------------- judging

  #passed(record: PacketRecord): void {
    const { clientId, direction, packet, fault, connection } = record
    const arrow = direction === 'toBroker' ? '→' : '←'
    if (this.#trace !== null) this.say(`${arrow} ${wordsOf(record)}`)
    if (packet.cmd === 'connack' && direction === 'toClient') {
      const { sessionPresent } = packet as { sessionPresent?: boolean }
      if (clientId === 'asker' && sessionPresent !== true) this.messages.sessionLost()
      return
    }
    if (direction === 'toBroker') {
      if (packet.cmd === 'publish') return this.#came(record)
      const isLate = fault === 'drop' || fault === 'delay'
      if (packet.cmd === 'pubrel' && clientId === 'asker' && !isLate) this.messages.released(record)
      if (packet.cmd !== 'puback' && packet.cmd !== 'pubrec') return
      if (this.#owners[connection]?.isDead !== false) return
      if (clientId === 'asker') this.messages.acknowledged(record)
      else this.operations.acknowledged(record)
      return
    }
    if (packet.cmd === 'publish') {
      if (clientId === 'asker') this.messages.delivered(record)
      else this.operations.delivered(record)
    } else if (clientId === 'answerer' && fault !== 'drop' && fault !== 'delay') {
      if (packet.cmd === 'puback' || packet.cmd === 'pubcomp') this.operations.answerSettled(record)
    }
  }

  /** A publish came to the broker. */
  #came(record: PacketRecord): void {
    const { topic } = record.packet as { topic: string }
    if (record.clientId === 'answerer') {
      if (topic.startsWith('clients/asker/')) this.operations.answered(record)
      else this.problem('Q10', `the answerer publishes to ${topic}`)
    } else if (topic.startsWith('call/') || topic.startsWith('pull/')) {
      this.operations.arrived(record)
    } else this.messages.arrived(record)
  }

  #check(): void {
    const now = this.now()
    for (const { process, what, dueAt } of this.#pending.values()) {
      if (now >= dueAt + LATE_MS && process.isAlive)
        this.problem('M2', `${what} is pending, due at ${dueAt}`)
    }
  }

  /** From now on there are no faults: everything that was promised must happen. */
  async #recover(): Promise<void> {
    this.#isQuiet = true
    this.say('# recovering')
    this.#broker.faults.clear()
    for (const party of Object.values(this.#parties)) {
      party.network.dialling = 'accept'
      party.network.quality = QUALITY
      party.isDiskFull = false
      party.restartAt = Math.min(party.restartAt, this.now())
      party.network.latest?.end('reset')
    }
    for (let ms = 0; ms < RECOVERY_MS && this.problems.length === 0; ms += STEP_MS) {
      this.#revive()
      const asker = this.#asker!
      asker.mood = 'steady'
      asker.wake()
      if (!asker.process.isOver && !asker.process.isEnding && !asker.process.hasFailed) {
        asker.endVisits()
        for (const slot of this.messages.slots) asker.enter(slot)
        for (const filter of this.messages.unread()) asker.drain(filter)
      }
      await this.#pass(STEP_MS)
      if (this.#isRight()) return
    }
    if (this.problems.length > 0) return
    const owed = this.messages.owed()
    const left = [...this.#pending.values()].filter(({ lasts }) => !lasts)
    if (owed.length > 0) this.problem('M5', `owed is ${owed.join('; ')}`)
    else if (left.length > 0) this.problem('M2', `pending is ${left.map(({ what }) => what)}`)
    else if (this.#heldLost().length > 0) {
      this.problem('M2', `said to be held and lost: ${this.#heldLost()}`)
    } else this.problem('M4', `not at rest: ${JSON.stringify([...this.#broker.sessions.values()])}`)
  }

  #isRight(): boolean {
    for (const { process } of Object.values(this.#parties)) {
      if (process === null || process.isOver || process.isEnding) return false
      if (process.client.state.connection.kind !== 'connected') return false
    }
    for (const { lasts } of this.#pending.values()) if (!lasts) return false
    if (this.messages.owed().length > 0 || this.#heldLost().length > 0) return false
    for (const { queued, inflight } of this.#broker.sessions.values()) {
      if (queued + inflight > 0) return false
    }
    return true
  }

  /** @returns publishes that a session was said to have, and that never arrived. */
  #heldLost(): readonly number[] {
    return [...this.#held].filter((number) => this.messages.sent[number - 1]!.arrivals === 0)
  }

  /** A publish and a request are answered, also while nobody takes the messages. (M4) */
  async #prove(): Promise<void> {
    const asker = this.#asker!
    asker.mood = 'stopped'
    for (const { setup } of this.messages.slots) {
      for (let i = 0; i < 3; i++) this.#offer(topicOf(setup.filters[0]!), 1, 9)
    }
    await this.#pass(50)
    if (this.problems.length > 0) return
    asker.publish({
      ...{ do: 'publish', qos: 1, topic: 'd', count: 1, bytes: 9, timeout: 0, cancelMs: 0 },
    })
    asker.ask(PLAIN_ASKING)
    const { length } = this.operations.all
    const isOpen = () => [...this.#pending.values()].some(({ lasts }) => !lasts)
    for (let ms = 0; ms <= PROOF_MS && isOpen(); ms += STEP_MS) await this.#pass(STEP_MS)
    const left = [...this.#pending.values()].filter(({ lasts }) => !lasts)
    if (left.length > 0) this.problem('M4', `pending is ${left.map(({ what }) => what)}`)
    if (!Number.isFinite(this.operations.all[length - 1]!.settledAt)) {
      this.problem('M4', 'a request is not settled')
    }
    asker.mood = 'steady'
    asker.wake()
    for (let ms = 0; ms < RECOVERY_MS && this.messages.owed().length > 0; ms += STEP_MS) {
      await this.#pass(STEP_MS)
    }
    const owed = this.messages.owed()
    if (owed.length > 0) this.problem('M5', `owed is ${owed.join('; ')}`)
    this.messages.checkGaps()
  }

  /** Nothing is left of either client. */
  async #end(): Promise<void> {
    const parties = Object.values(this.#parties)
    for (const { process } of parties) {
      const { publishes, requests } = process!.client.state
      const open = publishes.open + publishes.bytes + publishes.waiting + requests.open
      if (open > 0) this.problem('M2', `${JSON.stringify(publishes)}, ${requests.open} requests`)
      void this.#close(process!, 2000, Number.POSITIVE_INFINITY)
    }
    await this.clock.advance(10_000)
    this.#check()
    for (const { what } of this.#pending.values()) this.problem('M2', `${what} is pending`)
    for (const { process, who } of parties) {
      if (process?.isOver !== true) this.problem('M14', `${who} has not ended`)
    }
    for (const { clientId, message } of this.#broker.violations) {
      this.problem('broker', `${clientId} breaks a rule: ${message}`)
    }
    this.#broker.close()
    await this.clock.advance(5000)
    if (this.clock.pendingTimers > 0) this.problem('M1', `${this.clock.pendingTimers} timers left`)
  }

  // ------------------------------------------------------------------------------------ the network

  #network(who: Who): Network {
    return new Network(this.clock, (connection) => {
      const stream = new BrokerStream(connection)
      this.#owners.push(this.#parties[who].process)
      this.#broker.accept(stream)
      return stream
    })
  }

  #networkOf(who: Who): Network {
    return this.#parties[who].network
  }
}

const QUALITY = { latencyMs: 1, bytesPerMs: Number.POSITIVE_INFINITY, bufferBytes: 65_536 }
/** Packets whose loss, delay or repetition a client must live with. */
const ANSWERS: ReadonlySet<string> = new Set(['puback', 'pubrec', 'pubcomp', 'pubrel'])

function isExactlyOnce(packet: PacketRecord['packet']): boolean {
  return packet.cmd === 'publish' && packet.qos === 2
}

/** @returns a topic that a filter matches. */
function topicOf(filter: string): string {
  return filter.replace(/^\+/, 'a').replace(/[+#]/g, '1')
}

function wordsOf({ clientId, connection, packet, fault }: PacketRecord): string {
  const { cmd, messageId = '' } = packet
  const { dup = false, sessionPresent = false } = packet as {
    dup?: boolean
    sessionPresent?: boolean
  }
  const { reasonCode = '' } = packet as { reasonCode?: number }
  const flags = `${dup ? ' dup' : ''}${sessionPresent ? ' present' : ''}${fault ? ` ${fault}` : ''}`
  const what = `${clientId} ${connection} ${cmd} ${messageId}`
  if (packet.cmd !== 'publish') return `${what} ${reasonCode}${flags}`
  const text = new TextDecoder().decode(packet.payload as Uint8Array).slice(0, 40)
  return `${what} QoS ${packet.qos} ${packet.topic} ${text}${flags}`
}

export async function simulateClient(
  scenario: ClientScenario,
  subject: ClientSubject,
  trace: ((line: string) => void) | null = null,
): Promise<readonly string[]> {
  return new ClientWorld(scenario, subject, trace).run()
}
