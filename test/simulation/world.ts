/**
 * Runs a scenario: the whole client, process after process, between a simulated network and broker
 * under a virtual clock; and checks every promise as soon as it can be checked. A problem has the
 * id of the promise that was broken.
 */

import type { IConnackPacket, IPublishPacket, Packet } from 'mqtt-packet'
import type * as Engine from '../../src/index.ts'
import type { Eventloop, EventloopOptions, Incoming, Outcome, Request } from '../../src/index.ts'
import type { IncomingPublish } from '../../src/requests/vocabulary.ts'
import { peek, VirtualClock } from '../support/clock.ts'
import { randomOf } from '../support/random.ts'
import { Broker, isRenewed, numberOf, payloadOf } from './broker.ts'
import { type Connection, Network } from './network.ts'
import { REFUSED_FILTER, SHARED_FILTER } from './quirks.ts'
import { Backlog, type Item, isOwed, SimulatedRequests } from './requests.ts'
import {
  type Departure,
  GOOD_MOOD,
  type Happening,
  type PlannedRequest,
  type Poison,
  type Scenario,
  type Victim,
} from './scenario.ts'
import { Memory, Witness } from './witness.ts'

/** The code under test: the engine, or a copy of it with a fault. */
export type Subject = Pick<
  typeof Engine,
  'eventloop' | 'publish' | 'subscribe' | 'unsubscribe' | 'encodeSession' | 'decodeSession'
>

const RESERVE_AFTER_MS = 1000
const CONNECT_TIMEOUT_MS = 3000
/** How long everything may take to become right once all faults are over, in ms. */
const RECOVERY_MS = 300_000
const STEP_MS = 200
/** The longest wait of a suspended loop, in ms. */
const SUSPENDED_MS_MAX = 45_000
const STORED_MS_MAX = 20
const QUALITY = { latencyMs: 1, bytesPerMs: Number.POSITIVE_INFINITY, bufferBytes: 65_536 }

interface Yielded {
  readonly life: Life
  readonly deliveryId: number
}

/** A process: what it does to its clock, disk and sockets ends when it is killed. */
class Life {
  dead = false
  /** Its last changes may be missing from its session. */
  forgot = false
  /** The consumer takes nothing more. */
  left = false
  /** The loop was asked to close its streams. */
  closed = false
  /** Its loop has ended. */
  over = false
  error: unknown
  loop!: Eventloop

  /** Nothing that the user does now makes a difference to the streams. */
  get ending(): boolean {
    const { kind } = this.loop.state.connection
    return kind === 'closed' || kind === 'failed'
  }

  readonly abort = new AbortController()
  readonly timers = new Set<unknown>()
  readonly yielded = new Set<number>()
  /** How many `next()` are outstanding. */
  pulling = 0
  /** What was yielded while the consumer has not asked for more since. */
  inHand: number[] = []
  toAck: Incoming[] = []
}

/** What survives a kill on a simulated disk. */
class Disk {
  text: string | null = null
  full = false
}

export class World {
  readonly problems: string[] = []
  readonly clock = new VirtualClock()
  readonly #scenario: Scenario
  readonly #subject: Subject
  readonly #random: () => number
  readonly #broker: Broker
  readonly #network: Network
  readonly #backlog = new Backlog()
  readonly #disk = new Disk()
  #requests: SimulatedRequests
  #memory = new Memory()
  #life: Life | null = null
  #session: Engine.Session | null = null
  #saved: string | null = null
  #witness: Witness | null = null
  #connection: Connection | null = null
  #jumpedAt = Number.NEGATIVE_INFINITY
  #lostAt = Number.NEGATIVE_INFINITY
  #promptly = true
  /** The last time that the consumer's buffer was seen within its bound. */
  #roomyAt = 0
  #pulledAt = 0
  /** Whether the consumer took nothing for so long that the loop may be using its reserve. */
  #reserve = false
  #consumer: 'steady' | 'slow' | 'stopped' = 'steady'
  #wakeConsumer: (() => void)[] = []
  #offered: { readonly number: number; readonly qos: number; readonly at: Life | null }[] = []
  #yields = new Map<number, Yielded>()
  #handled = new Set<number>()
  #handledLate = new Set<number>()
  #firstYields: [number, number, number] = [0, 0, 0]
  #settledThrows = false
  /** An outcome may be reported again: `settled` is idempotent. */
  #repeats = false
  /** How often the client forgot part of its session: then exactly once becomes at least once. */
  #amnesia = 0
  #quiet = false
  /** How often a connection was lost while this alone was open. */
  readonly #lostAlone = new Map<string, number>()

  readonly #trace: ((line: string) => void) | null

  /** Is called with a line for every event and packet if `trace` is on. */
  constructor(scenario: Scenario, subject: Subject, trace: ((line: string) => void) | null = null) {
    this.#trace = trace
    const { seed, setup } = scenario
    this.#scenario = scenario
    this.#subject = subject
    this.#random = randomOf(seed ^ 0x5bd1e995)
    this.clock.random = randomOf(seed ^ 0x27d4eb2f)
    this.#broker = new Broker(this.clock, randomOf(seed ^ 0x165667b1), setup.quirks)
    this.#network = new Network(this.clock, this.#broker.accept)
    this.#network.quality = setup.quality
    this.#requests = this.#newRequests()
  }

  /** Problems in the order in which they were seen; the run stops at the first. */
  async run(): Promise<readonly string[]> {
    const planned = { cmd: 'subscribe', qos: 2, bytes: 0, expirySeconds: 0 } as const
    this.#plan(planned, 'down/#')
    if (this.#scenario.setup.quirks.includes('forgetsShares')) this.#plan(planned, SHARED_FILTER)
    for (const { after, what } of this.#scenario.events) {
      await this.#pass(after)
      if (this.problems.length > 0) return this.problems
      await this.#happen(what)
      await this.clock.settle()
      this.#check()
    }
    await this.#recover()
    if (this.problems.length === 0) this.#checkEnd()
    if (this.problems.length === 0) await this.#close()
    return this.problems
  }

  // ------------------------------------------------------------------------------------------------------------ passing

  async #pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP_MS) {
      await this.clock.advance(Math.min(left, STEP_MS))
      this.#check()
      if (this.problems.length > 0) return
      this.#revive()
    }
    this.#revive()
  }

  async #happen(what: Happening): Promise<void> {
    const { loop } = this.#life!
    const connection = this.#connection
    this.#say(`# ${JSON.stringify(what)}`)
    switch (what.do) {
      case 'requests':
        for (const request of what.requests) this.#plan(request)
        return
      case 'stall':
        return this.#backlog.stall(what.on)
      case 'offer':
        for (let i = 0; i < what.count; i++) this.#offer(what.qos, what.bytes)
        return
      case 'cancel':
        return this.#cancel()
      case 'consumer':
        this.#consumer = what.mood
        return this.#wake()
      case 'leave':
        return this.#leave(what.how)
      case 'save':
        if (this.#scenario.setup.memory === 'copy') {
          this.#saved = this.#subject.encodeSession(loop.session)
        }
        return
      case 'pause':
        return loop.pause(what.ms)
      case 'resume':
        return loop.resume()
      case 'throttle':
        return loop.throttle(what.perSecond)
      case 'reconnect':
        this.#promptly = true
        return loop.reconnect()
      case 'ping':
        loop.ping().catch(() => {})
        return
      case 'jump':
        this.#jumpedAt = this.clock.now() + what.ms
        return this.clock.jump(what.ms)
      case 'end':
        return connection?.end(what.how)
      case 'breakAfter':
        return connection?.breakAfter(what.direction, what.bytes)
      case 'swallow':
        return connection?.swallow(what.direction)
      case 'dialling':
        this.#network.dialling = what.dialling
        return
      case 'link':
        this.#network.quality = what.quality
        return
      case 'restart':
        return this.#broker.restart(what.keep)
      case 'mood':
        this.#broker.mood = what.mood
        return
      case 'poison':
        return this.#poison(what.what, what.poison)
      case 'disk full':
        this.#disk.full = true
        return
    }
  }

  #poison(what: Victim, poison: Poison): void {
    if (this.#scenario.setup.quarantineAfter === 0) return
    const { items } = this.#backlog
    if (what === 'filter') {
      this.#broker.poison.set(`other/${items.length % 4}`, poison)
      return
    }
    if (what === 'renewal') {
      const filter = `renewed/${items.length}`
      this.#broker.poison.set(filter, poison)
      return this.#plan({ cmd: 'subscribe', qos: 1, bytes: 0, expirySeconds: 0 }, filter)
    }
    const victim = items.find(
      ({ outcome, request }) => outcome === null && request.cmd === 'publish' && request.qos,
    )
    if (victim !== undefined) this.#broker.poison.set(victim.number, poison)
  }

  /** @returns how many things are left on which the broker closes. */
  #badLeft(): number {
    const { poison } = this.#broker
    const filters = [...poison.keys()].filter((key) => typeof key === 'string')
    const isBad = ({ number, request }: Item) =>
      poison.has(number) || filtersOf(request).some((filter) => poison.has(filter))
    return filters.length + this.#backlog.items.filter((item) => isOwed(item) && isBad(item)).length
  }

  // ----------------------------------------------------------------------------------------------------------- requests

  #plan(planned: PlannedRequest, filter?: string): void {
    const number = this.#backlog.items.length + 1
    const request = this.#request(planned, number, filter)
    const cancel = new AbortController()
    const numbered = { ...request, key: number, signal: cancel.signal } as Request
    this.#backlog.add({ number, request: numbered, outcome: null, cancel })
  }

  #request(planned: PlannedRequest, number: number, filter = `other/${number % 4}`): Request {
    const { publish, subscribe, unsubscribe } = this.#subject
    const { qos, bytes, expirySeconds } = planned
    switch (planned.cmd) {
      case 'publish': {
        const properties = { messageExpiryInterval: expirySeconds }
        const options = expirySeconds > 0 ? { qos, properties } : { qos }
        return publish(`up/${qos}`, payloadOf(number, bytes), options)
      }
      case 'bad':
        return publish('up/#', '', { qos })
      case 'subscribe':
        return subscribe(filter, { qos })
      case 'unsubscribe':
        return unsubscribe(filter)
      case 'pause':
        return { cmd: 'pause', ms: bytes }
      case 'throttle':
        return { cmd: 'throttle', perSecond: bytes % 2 === 0 ? null : 10 + bytes }
      case 'ping':
        return { cmd: 'ping' }
    }
  }

  /** Makes a stream that gives again what has no outcome. */
  #newRequests(): SimulatedRequests {
    this.#repeats = this.#life !== null
    return new SimulatedRequests(this.#backlog, this.#scenario.setup.batch, (request, outcome) =>
      this.#settled(request, outcome),
    )
  }

  #cancel(): void {
    const open = this.#backlog.items.filter(
      ({ outcome, request }) => outcome === null && request.cmd === 'publish',
    )
    // The latest are most likely under way.
    open.at(-1 - Math.floor(this.#random() * 8))?.cancel?.abort(new Error('cancelled'))
  }

  #settled(request: Request, outcome: Outcome): void {
    const number = Number((request as { key?: number }).key)
    const item = this.#backlog.items[number - 1]
    if (item === undefined) return
    this.#say(
      `  ${request.cmd} ${number} ${outcome.ok ? 'is settled' : `failed: ${outcome.error}`}`,
    )
    if (item.outcome !== null && !this.#repeats) {
      this.#problem('D2', `${number} has a second outcome`)
    }
    item.outcome ??= outcome
    if (outcome.ok) this.#checkSuccess(item.number, request)
    else this.#checkFailure(item.number, request, outcome.error)
  }

  #checkSuccess(number: number, request: Request): void {
    const { quirks } = this.#scenario.setup
    if (request.cmd === 'subscribe' && quirks.includes('refusesWith8f')) {
      if (filtersOf(request).includes(REFUSED_FILTER)) this.#problem('D6', `${number} was refused`)
    }
    if (request.cmd !== 'publish' || !request.qos) return
    if (this.#broker.deliveries.some((delivery) => delivery.number === number)) return
    this.#problem('D1', `${number} is settled and never arrived`)
  }

  #checkFailure(number: number, request: Request, error: unknown): void {
    if (!('cmd' in request) || request.cmd === 'ping') return
    const { code = '', message = '' } = (error ?? {}) as { code?: string; message?: string }
    const item = this.#backlog.items[number - 1]!
    const { setup } = this.#scenario
    if (code === 'QUARANTINED' && this.#mayBeQuarantined(number, request)) return
    // The process that knew its reason ended before it was reported.
    if (code === 'FAILED_EARLIER') return
    if (message === 'cancelled' && item.cancel?.signal.aborted) return
    if (request.cmd === 'publish') {
      if (!request.qos || request.topic === 'up/#') return
      if (request.properties?.messageExpiryInterval) return
      if (setup.protocolVersion === 5 && REFUSALS.has(code)) return
      if (code === 'SESSION_LOST' && setup.onSessionLost === 'fail') return
    } else if (REFUSALS.has(code)) return
    this.#problem('D1', `${number} failed: ${code} ${message}`)
  }

  /** Only what was alone when the connection was lost, that often, may be given up. */
  #mayBeQuarantined(number: number, request: Request): boolean {
    const { quarantineAfter } = this.#scenario.setup
    const name = request.cmd === 'publish' ? `${number}` : filtersOf(request).join(' ')
    // The outcome may be reported before the transport has closed.
    const witness = this.#witness
    const now = witness?.closedAt === Number.POSITIVE_INFINITY && witness.alone() === name ? 1 : 0
    const times = (this.#lostAlone.get(name) ?? 0) + now
    return quarantineAfter > 0 && times >= quarantineAfter
  }

  // -------------------------------------------------------------------------------------------------------------- lives

  /** Starts a client after another one ended. */
  #revive(): void {
    if (this.#life !== null && !this.#life.over) return
    const before = this.#life
    if (before !== null) this.#bury(before)
    const life = new Life()
    this.#life = life
    this.#say('# a life begins')
    this.#promptly = true
    life.loop = this.#subject.eventloop(this.#options(life), this.#requests)
    for (let i = 0; i < this.#scenario.setup.pulls; i++) this.#consume(life)
  }

  #bury(life: Life): void {
    if (life.dead) return
    const { loop } = life
    const { memory } = this.#scenario.setup
    if (life.timers.size > 0) this.#problem('N4', `${life.timers.size} timers after the end`)
    if (life.pulling > 0) this.#problem('N4', 'a next() is never answered')
    const { counters } = loop.state
    const held = loop.session.held.length
    if (counters.held !== held) this.#problem('D2', `${counters.held} held, ${held} in the session`)
    if (memory !== 'store') {
      const text = this.#subject.encodeSession(loop.session)
      const same = this.#random() < 0.5
      this.#session = same ? loop.session : this.#subject.decodeSession(text)
    }
    this.#checkStream(life.closed)
    if (life.forgot) this.#forgetUncommitted(life)
    else if (this.#requests.returned > 0 || this.#requests.failed)
      this.#requests = this.#newRequests()
  }

  /** What was taken and not committed is given again. */
  #forgetUncommitted(life: Life): void {
    life.forgot = true
    this.#repeats = true
    this.#requests = this.#newRequests()
    this.#memory.vague = true
    this.#memory.released.clear()
  }

  #checkStream(closed: boolean): void {
    const { returned, failed, iterated, askedLate } = this.#requests
    const stored = this.#scenario.setup.memory === 'store'
    if (stored ? returned > 1 : iterated && !failed && returned !== (closed ? 1 : 0)) {
      this.#problem('N5', `the stream's return() was called ${returned} times`)
    }
    if (askedLate) this.#problem('N5', 'the stream was asked after its return()')
  }

  #kill(life: Life): void {
    life.dead = true
    life.over = true
    this.#requests.orphaned = true
    this.#connection?.client.destroy()
    const { memory } = this.#scenario.setup
    this.#session = null
    this.#forgetUncommitted(life)
    if (memory === 'store') return
    this.#broker.memory = ++this.#amnesia
    this.#yields.clear()
    this.#handled.clear()
    this.#memory = new Memory()
    this.#memory.vague = memory === 'copy'
    if (memory === 'copy' && this.#saved !== null) {
      this.#session = this.#subject.decodeSession(this.#saved)
    }
  }

  #options(life: Life): EventloopOptions {
    const { setup } = this.#scenario
    const session = this.#sessionOption(life)
    const births = { onConnected: () => [this.#subject.publish('birth', 'here', { qos: 1 })] }
    const { receiveMaximum, topicAliasMaximum } = setup
    const then = 'reconnect' as const
    return {
      clientId: 'simulated',
      ...session,
      protocolVersion: setup.protocolVersion,
      keepAlive: setup.keepAlive,
      maxInflight: setup.maxInflight,
      maxBufferedPackets: setup.maxBufferedPackets,
      ...(setup.protocolVersion === 5 ? { receiveMaximum, topicAliasMaximum } : {}),
      acks: setup.acks,
      onSessionLost: setup.onSessionLost,
      quarantineAfter: setup.quarantineAfter,
      ...(setup.ackTimeoutMs > 0 ? { ackTimeout: { afterMs: setup.ackTimeoutMs, then } } : {}),
      ...(setup.births ? births : {}),
      connectTimeout: CONNECT_TIMEOUT_MS,
      reconnect: { when: 'always', ...setup.reconnect },
      until: 'closed',
      signal: life.abort.signal,
      onWarning: () => {},
      onSettled: () => {
        if (!this.#settledThrows || life.dead) return
        this.#settledThrows = false
        throw new Error('the listener of outcomes threw')
      },
      platform: {
        now: () => this.clock.now(),
        random: () => this.clock.random(),
        setTimer: (callback, ms) => {
          const timer = this.clock.setTimer(() => {
            life.timers.delete(timer)
            if (!life.dead) callback()
          }, ms)
          life.timers.add(timer)
          return timer
        },
        clearTimer: (timer) => {
          life.timers.delete(timer)
          this.clock.clearTimer(timer)
        },
      },
      transport: (_, signal) => this.#dial(life, signal),
    }
  }

  #sessionOption(life: Life): EventloopOptions {
    const { memory, cleanStart } = this.#scenario.setup
    if (memory === 'store') return { session: this.#store(life) }
    const session = this.#session
    this.#session = null
    if (session !== null) return { session }
    // After a kill the client knows nothing: the broker's session would belong to another client.
    return cleanStart || this.#amnesia > 0 ? { cleanStart: true } : { cleanStart, session: 'adopt' }
  }

  #store(life: Life): Engine.SessionStore {
    const disk = this.#disk
    let busy = 0
    const alone = async (what: string) => {
      if (busy > 0 && !life.dead)
        this.#problem('S1', `the store is asked to ${what} while it is busy`)
      busy++
      await new Promise<void>((resolve) => {
        this.clock.setTimer(resolve, this.#random() * STORED_MS_MAX)
      })
      busy--
    }
    return {
      load: async () => {
        await alone('load')
        return disk.text === null ? null : this.#subject.decodeSession(disk.text)
      },
      commit: async (session) => {
        if (life.dead) return
        const text = this.#subject.encodeSession(session)
        await alone('commit')
        if (life.dead && this.#random() < 0.5) return
        if (disk.full) {
          disk.full = false
          life.forgot = true
          throw new Error('no space is left')
        }
        disk.text = text
      },
      close: () => alone('close'),
    }
  }

  async #dial(life: Life, signal: AbortSignal) {
    if (life.dead) return new Promise<never>(() => {})
    const { setup } = this.#scenario
    const waited = this.clock.now() - this.#lostAt
    if (!this.#promptly && waited < setup.reconnect.minMs - 1) {
      this.#problem('N1', `dialled ${waited} ms after a loss`)
    }
    this.#promptly = false
    const witness = new Witness({
      clock: this.clock,
      setup,
      memory: () => this.#memory,
      handled: (number) => this.#handled.has(number) || this.#handledLate.has(number),
      jumpedAt: () => this.#jumpedAt,
      unreadable: () => this.#broker.poison.size > 0,
      lost: () => {
        if (life.dead) return
        const alone = witness.alone()
        if (alone !== null) this.#lostAlone.set(alone, (this.#lostAlone.get(alone) ?? 0) + 1)
        this.#lostAt = this.clock.now()
        this.#promptly ||= this.#lostAt - witness.connackAt >= setup.reconnect.stableMs
      },
      trace: (arrow, packet) => this.#say(`${arrow} ${words(packet)}`),
      problem: (id, what) => {
        if (!life.dead) this.#problem(id, what)
      },
    })
    try {
      const client = await this.#network.dial(witness, signal)
      if (life.dead) {
        client.destroy()
        return new Promise<never>(() => {})
      }
      witness.client = client
      this.#witness = witness
      this.#connection = this.#network.latest
      return client
    } catch (error) {
      if (!life.dead) this.#lostAt = this.clock.now()
      throw error
    }
  }

  async #leave(how: Departure): Promise<void> {
    const life = this.#life!
    const { loop } = life
    switch (how) {
      case 'kill':
        return this.#kill(life)
      case 'abort':
        life.closed ||= !life.ending
        life.abort.abort(new Error('aborted'))
        return
      case 'disconnect':
        return loop.disconnect(1000)
      case 'shutdown':
        return loop.shutdown()
      case 'settled throws':
        this.#settledThrows = true
        return
      case 'requests throw':
        return this.#requests.fail(new Error('the stream threw'))
      default: {
        life.left = true
        life.closed ||= !life.ending
        const left = how === 'throw' ? loop.throw(new Error('thrown')) : loop.return()
        left.then(
          () => this.#ended(life, undefined),
          (error: unknown) => this.#ended(life, error),
        )
      }
    }
  }

  #ended(life: Life, error: unknown): void {
    this.clock.touch()
    if (!life.over) this.#say(`# the life ends: ${error ?? 'done'}`)
    life.over = true
    life.error ??= error
    const { code, message } = (error ?? {}) as { code?: string; message?: string }
    if (error === undefined || life.dead || ENDINGS.has(message ?? '')) return
    if (code === 'COMMIT_FAILED') return
    this.#problem('N2', `the loop ended with ${code ?? ''} ${message}`)
  }

  // ----------------------------------------------------------------------------------------------------------- consumer

  async #consume(life: Life): Promise<void> {
    const { acks, memory } = this.#scenario.setup
    for (;;) {
      await this.#ready()
      if (life.dead || life.left) return
      if (acks === 'pull' && !life.closed) {
        // The last commit of a store may be under way: what is handled now may be kept or not.
        const marks = memory === 'store' && life.ending ? this.#handledLate : this.#handled
        for (const number of life.inHand) marks.add(number)
        life.inHand = []
      }
      life.pulling++
      this.#noteStall()
      this.#pulledAt = this.clock.now()
      try {
        const { done, value } = await life.loop.next()
        life.pulling--
        this.clock.touch()
        if (done) return this.#ended(life, undefined)
        if (value.cmd === 'publish' && !life.dead) this.#yielded(life, value)
        if (value.cmd === 'publish' && acks === 'manual' && value.qos > 0)
          this.#ackLater(life, value)
      } catch (error) {
        life.pulling--
        return this.#ended(life, error)
      }
    }
  }

  async #ready(): Promise<void> {
    if (this.#consumer === 'slow') {
      await new Promise<void>((resolve) => this.clock.setTimer(resolve, this.#random() * 300))
    }
    while (this.#consumer === 'stopped') {
      await new Promise<void>((resolve) => this.#wakeConsumer.push(resolve))
    }
  }

  #wake(): void {
    const waiting = this.#wakeConsumer
    this.#wakeConsumer = []
    for (const wake of waiting) wake()
  }

  #ackLater(life: Life, packet: Incoming): void {
    const ack = () => {
      if (life.dead || life.over) return
      const told = life.loop.ack(packet as IncomingPublish)
      if (told === 'queued') this.#handled.add(numberOf(packet as Engine.IncomingPublish))
    }
    this.clock.setTimer(ack, this.#random() < 0.5 ? 0 : this.#random() * 500)
  }

  #yielded(life: Life, packet: Engine.IncomingPublish): void {
    const number = numberOf(packet)
    const { qos, topic, payload, deliveryId = '', redelivered } = packet
    this.#say(`  ${topic} ${number} yielded ${deliveryId}${redelivered ? ' again' : ''}`)
    const offered = this.#offered[number - 1]
    if (offered?.qos !== qos || topic !== `down/${qos}`) {
      return this.#problem('R1', `${topic} ${number} was never offered`)
    }
    if (payload.subarray(payload.indexOf(0x3b) + 1).some((byte) => byte !== 0x2e)) {
      this.#problem('I1', `message ${number} is damaged`)
    }
    life.inHand.push(number)
    const before = this.#yields.get(number)
    if (before === undefined && qos > 0) {
      if (number < this.#firstYields[qos] && this.#amnesia === 0) {
        this.#problem('D3', `message ${number} is yielded after ${this.#firstYields[qos]}`)
      }
      this.#firstYields[qos] = Math.max(this.#firstYields[qos], number)
    }
    if (before !== undefined && qos === 0) this.#problem('R2', `${number} at QoS 0 came twice`)
    if (before !== undefined && qos === 2) this.#checkRepeat(life, before, packet, number)
    this.#yields.set(number, { life, deliveryId: packet.deliveryId ?? 0 })
  }

  #checkRepeat(life: Life, before: Yielded, packet: Engine.IncomingPublish, number: number): void {
    if (before.life === life) return this.#problem('R2', `message ${number} is yielded twice`)
    if (this.#broker.acknowledged.has(number)) {
      this.#problem('R2', `message ${number} is yielded again after its PUBREC`)
    }
    // A session that is kept in part may have lost the mark, but never the number.
    if (before.life.forgot) this.#handled.delete(number)
    if (this.#handled.has(number)) {
      this.#problem('R2', `message ${number} is yielded again after it was handled`)
    }
    if (packet.redelivered !== true || packet.deliveryId !== before.deliveryId) {
      this.#problem('R2', `message ${number} comes again as if it were new`)
    }
  }

  #offer(qos: 0 | 1 | 2, bytes: number): void {
    const number = this.#offered.length + 1
    if (!this.#broker.offer({ number, qos, bytes })) return
    this.#offered.push({ number, qos, at: this.#life })
  }

  // -------------------------------------------------------------------------------------------------------------- judging

  #check(): void {
    this.#witness?.check()
    for (const problem of this.#broker.problems) this.#problem('broker', problem)
    const life = this.#life
    if (life === null || life.dead) return
    const { counters, connection } = life.loop.state
    const { taken, settled, held, inFlight, bufferedPackets } = counters
    if (taken !== settled + held) this.#problem('D2', `${taken} taken, ${settled} + ${held}`)
    const { setup } = this.#scenario
    const window = Math.min(setup.maxInflight, connection.limits?.receiveMaximum ?? 65_535)
    if (inFlight > window) this.#problem('D4', `${inFlight} in flight, ${window} allowed`)
    // A lost connection leaves what its last chunk held, and the CONNACK of the next one is read in
    // any case.
    this.#noteStall()
    if (bufferedPackets < setup.maxBufferedPackets / 2) this.#reserve = false
    if (bufferedPackets <= setup.maxBufferedPackets) this.#roomyAt = this.clock.now()
    else if (!this.#reserve && this.#lostAt < this.#roomyAt && !this.#connackSince(this.#roomyAt)) {
      this.#problem('R3', `${bufferedPackets} buffered, ${setup.maxBufferedPackets} allowed`)
    }
    const { minMs, maxMs } = setup.reconnect
    const wait = (connection.retryAt ?? 0) - this.clock.now()
    // Jumps of the clock may make an outage long enough for the loop to be suspended (T3).
    const suspended = connection.kind === 'suspended'
    if (wait > (suspended ? SUSPENDED_MS_MAX : Math.max(1000, minMs + maxMs)))
      this.#problem('N1', `the next attempt is ${wait} ms away`)
    const asking = connection.kind === 'connecting' ? this.clock.now() - this.#dialledAt : 0
    if (asking > CONNECT_TIMEOUT_MS + 10 && this.#jumpedAt < this.#dialledAt) {
      this.#problem('T2', `connecting for ${asking} ms`)
    }
  }

  /**
   * An answer that the consumer may be waiting for is read, if it takes nothing for a second, and
   * from then on until half of the buffer is free. That is asked before it takes something, too:
   * while the clock jumps, nothing is checked.
   */
  #noteStall(): void {
    if (this.clock.now() - this.#pulledAt >= RESERVE_AFTER_MS) this.#reserve = true
  }

  #connackSince(at: number): boolean {
    const connackAt = this.#witness?.connackAt ?? Number.POSITIVE_INFINITY
    return connackAt >= at && connackAt < Number.POSITIVE_INFINITY
  }

  get #dialledAt(): number {
    return this.#network.dials.at(-1) ?? this.clock.now()
  }

  /** From now on there are no faults: everything that was promised must happen. */
  async #recover(): Promise<void> {
    if (this.problems.length > 0) return
    this.#quiet = true
    this.#network.dialling = 'accept'
    this.#network.quality = QUALITY
    this.#broker.mood = GOOD_MOOD
    this.#settledThrows = false
    this.#disk.full = false
    this.#consumer = 'steady'
    this.#wake()
    this.#backlog.stall(false)
    this.#revive()
    this.#connection?.end('reset')
    // A lost session brings the renewals on which the broker closes.
    if ([...this.#broker.poison.keys()].some((key) => isRenewed(`${key}`))) this.#broker.forget()
    const dialled = this.#network.dials.length
    const bad = this.#badLeft()
    // The loops that are ending now, and the reset, may cost a few connections more.
    const most = 5 + bad * (this.#scenario.setup.quarantineAfter + 4)
    for (let ms = 0; ms < RECOVERY_MS; ms += STEP_MS) {
      await this.#pass(STEP_MS)
      if (this.problems.length > 0) return
      const { loop } = this.#life!
      loop.resume()
      loop.throttle(null)
      const dials = this.#network.dials.length - dialled
      if (dials > most) return this.#problem('D6', `${dials} connections for ${bad} bad things`)
      if (this.#isRight()) return
    }
    const open = this.#backlog.items.filter(isOwed)
    const numbers = open.map(({ number, request }) => `${request.cmd} ${number}`).join(', ')
    const { connection, counters } = this.#life!.loop.state
    const state = `${connection.kind}, ${JSON.stringify(counters)}`
    if (!this.#keepsSubscriptions()) {
      const { subscriptions } = this.#life!.loop.state
      return this.#problem('D5', `the broker has not all of ${JSON.stringify(subscriptions)}`)
    }
    this.#problem('D1', `no outcome: ${numbers || 'none'}; owed: ${!this.#broker.quits}; ${state}`)
  }

  #isRight(): boolean {
    const { connection, counters } = this.#life!.loop.state
    if (connection.kind !== 'connected' || !this.#broker.quits) return false
    if (!this.#keepsSubscriptions()) return false
    return this.#backlog.unsettled === 0 && counters.held === 0 && counters.bufferedPackets === 0
  }

  /**
   * @returns whether the broker has the subscriptions that the client believes to have. In MQTT
   *   3.1.1 nobody can tell a session that is gone from one to which nothing is published; there
   *   only shared subscriptions are renewed without a doubt.
   */
  #keepsSubscriptions(): boolean {
    const { protocolVersion } = this.#scenario.setup
    if (this.#amnesia > 0) return true
    return this.#life!.loop.state.subscriptions.every(({ topic, status }) => {
      const isTold = protocolVersion === 5 || topic === SHARED_FILTER
      return !isTold || status !== 'granted' || this.#broker.has(topic)
    })
  }

  #checkEnd(): void {
    this.#checkDeliveries()
    const { acks } = this.#scenario.setup
    for (const { number, qos, at } of this.#offered) {
      if (qos === 0 || this.#broker.forgotten.has(number) || this.#amnesia > 0) continue
      if (acks === 'receipt' && at !== this.#life) continue
      if (!this.#yields.has(number)) this.#problem('R1', `message ${number} was never yielded`)
    }
  }

  #checkDeliveries(): void {
    const seen = new Set<string>()
    const first: [number, number, number] = [0, 0, 0]
    const known = new Set<number>()
    for (const { number, qos, sessionNumber, memory, once: exactly } of this.#broker.deliveries) {
      if (Number.isNaN(number)) continue
      const once = `${number} ${sessionNumber} ${memory}`
      if (exactly && seen.has(once)) this.#problem('D1', `${number} at QoS 2 arrived twice`)
      seen.add(once)
      if (known.has(number) || this.#broker.refused.has(number)) continue
      known.add(number)
      if (number < first[qos]!) this.#problem('D3', `${number} arrived after ${first[qos]}`)
      first[qos as 0 | 1 | 2] = number
    }
  }

  async #close(): Promise<void> {
    const life = this.#life!
    life.left = true
    const closing = life.loop.return()
    await this.clock.advance(1500)
    if ((await peek(this.clock, closing)) === 'pending') {
      return this.#problem('E2', 'return() takes more than a second')
    }
    await this.clock.advance(1500)
    if (life.timers.size > 0) this.#problem('N4', `${life.timers.size} timers after the end`)
    if (life.pulling > 0) this.#problem('N4', 'a next() is never answered')
    if (this.#connection?.over === false) this.#problem('N4', 'the connection is not closed')
    this.#checkStream(true)
  }

  #say(what: string): void {
    this.#trace?.(`${this.clock.elapsed.toFixed(0).padStart(7)} ms ${what}`)
  }

  #problem(id: string, what: string): void {
    const at = this.clock.elapsed.toFixed(0)
    this.problems.push(`[${id}] at ${at} ms${this.#quiet ? ', recovering' : ''}: ${what}`)
  }
}

const ENDINGS: ReadonlySet<string> = new Set([
  'thrown',
  'aborted',
  'the stream threw',
  'the listener of outcomes threw',
])

/** What a broker may refuse, or the client on its behalf. */
const REFUSALS: ReadonlySet<string> = new Set([
  'NEGATIVE_ACKNOWLEDGEMENT',
  'QOS_NOT_SUPPORTED',
  'PACKET_TOO_LARGE',
])

function filtersOf(request: Request): string[] {
  if (request.cmd === 'subscribe') return request.subscriptions.map(({ topic }) => topic)
  return request.cmd === 'unsubscribe' ? [...request.unsubscriptions] : []
}

function words(packet: Packet): string {
  const { cmd, messageId = '', qos = '', dup } = packet as Packet & Partial<IPublishPacket>
  const number = packet.cmd === 'publish' ? ` ${packet.topic} ${numberOf(packet)}` : ''
  const { sessionPresent, reasonCode = '' } = packet as Partial<IConnackPacket>
  const flags = `${dup ? ' dup' : ''}${sessionPresent ? ' present' : ''}`
  return `${cmd} ${messageId} QoS ${qos}${number}${flags} ${reasonCode}`
}

export async function simulate(
  scenario: Scenario,
  subject: Subject,
  trace: ((line: string) => void) | null = null,
): Promise<readonly string[]> {
  return new World(scenario, subject, trace).run()
}
