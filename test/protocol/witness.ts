/**
 * Checks each step by what a server and a consumer would have seen, and by what the state claims.
 * It keeps its own records, made from the effects alone, so that a reducer's mistake about its own
 * state does not mislead it.
 */
import type {
  Effect,
  Input,
  PublishEffect,
  SettleEffect,
  Step,
  YieldEffect,
} from '../../src/protocol/contract.ts'
import { entries } from '../../src/protocol/packet-table.ts'
import { packetCapacity, requestCapacity } from '../../src/protocol/queries.ts'
import type { OpenRequest } from '../../src/protocol/session-state.ts'
import type { State } from '../../src/protocol/state.ts'
import { nextDeadline } from '../../src/protocol/timers.ts'

function demand(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`broken: ${message}`)
}

const ON_WIRE = new Set<Effect['type']>([
  'publish',
  'subscribe',
  'unsubscribe',
  'acknowledge',
  'pingreq',
  'auth',
  'disconnect',
])
/** The packets that may be sent before the CONNACK. [MQTT-3.1.2-30] */
const BEFORE_CONNACK = new Set<Effect['type']>(['auth', 'disconnect'])

export class Witness {
  /** The request of each open packet identifier, as a server that keeps the session sees it. */
  readonly #ids = new Map<number, number>()
  /** The QoS 1 and 2 publishes of this connection without their last answer (D4). */
  readonly #inFlight = new Set<number>()
  /** The QoS 0 publishes that were sent and not confirmed, oldest first. */
  #unconfirmed: number[] = []
  readonly #requests = new Map<number, 'owed' | 'settled'>()
  /** The number of messages without an outcome under each handle: one, or the rest of a group. */
  readonly #left = new Map<number, number>()
  readonly #births = new Set<number>()
  /** The last request that was sent for the first time, by QoS. */
  readonly #latestFirst = [0, 0, 0]
  readonly #everSent = new Set<number>()
  /** The order of first sendings, in which requests must be sent again. */
  readonly #places = new Map<number, number>()
  #nextPlace = 1
  #latestAgain = 0
  #wire: 'none' | 'dialled' | 'asked' | 'agreed' | 'gone' = 'none'
  #handledThrough = 0
  /** The sequences and packet identifiers of QoS 1 messages of this connection without a PUBACK. */
  #messages: { readonly messageId: number; readonly sequence: number }[] = []
  #latestSequence = 0
  #late = false
  /** Whether the CONNECT had another client identifier than the session. */
  #foreign = false
  #finished = false
  #taken = 0
  #settled = 0

  constructor(state: State) {
    const { session, counters } = state
    this.#taken = counters.taken
    this.#settled = counters.settled
    for (const [id, { facts, settled }] of entries(session.open)) {
      this.#ids.set(id, facts.handle)
      this.#requests.set(facts.handle, settled ? 'settled' : 'owed')
      this.#everSent.add(facts.handle)
    }
    for (const { facts } of session.waiting) this.#requests.set(facts.handle, 'owed')
  }

  judge(before: State, input: Input, { state, effects }: Step): void {
    this.#note(before, input)
    // A publish may still be diverted when the loop ends. Then it is settled last.
    this.#late = input.type === 'diverted'
    this.#foreign = before.reconnect.outage?.foreign ?? false
    for (const effect of effects) this.#judgeEffect(effect, state)
    this.#judgeState(state)
    if (
      this.#finished &&
      effects.length === 0 &&
      before.connection.kind === state.connection.kind
    ) {
      const over = before.connection.kind === 'closed' || before.connection.kind === 'failed'
      const remembered = ['pulled', 'requests', 'diverted'].includes(input.type)
      if (over && !remembered) demand(same(before, state), 'a loop that is over has changed')
    }
  }

  // ---------------------------------------------------------------------------------------- inputs

  #note(before: State, input: Input): void {
    const { kind } = before.connection
    const over = kind === 'closed' || kind === 'failed'
    if (over && input.type !== 'requests') return
    if (input.type === 'requests' || input.type === 'births') {
      for (const facts of input.requests) {
        const { handle } = facts
        const count = facts.kind === 'publish' ? facts.count : 1
        this.#owe(handle, count)
        this.#taken += count
        if (input.type === 'births') this.#births.add(handle)
      }
    }
    if (input.type === 'apart' && this.#requests.delete(input.handle)) {
      demand(
        input.requests.length === this.#left.get(input.handle),
        'the test lost part of a group',
      )
      for (const { handle } of input.requests) this.#owe(handle, 1)
    }
    if (input.type === 'refused') {
      this.#taken += input.count
      this.#settled += input.count
    }
    if (input.type === 'pulled') {
      this.#handledThrough = Math.max(this.#handledThrough, input.handledThrough)
    }
    if (input.type === 'lost') this.#wire = 'gone'
    if (input.type === 'ack') this.#handledThrough = Infinity
  }

  #owe(handle: number, count: number): void {
    demand(!this.#requests.has(handle), `the test gave handle ${handle} twice`)
    this.#requests.set(handle, 'owed')
    this.#left.set(handle, count)
  }

  // --------------------------------------------------------------------------------------- effects

  #judgeEffect(effect: Effect, after: State): void {
    const late = this.#late && effect.type === 'settle'
    demand(!this.#finished || late, `${effect.type} after the end`)
    if (ON_WIRE.has(effect.type)) this.#judgeWire(effect)
    switch (effect.type) {
      case 'dial':
        demand(this.#wire === 'none' || this.#wire === 'gone', 'dialled with a transport open')
        this.#wire = 'dialled'
        return
      case 'connect':
        demand(this.#wire === 'dialled', `CONNECT, the wire is ${this.#wire} [MQTT-3.1.0-1]`)
        this.#wire = 'asked'
        return
      case 'disconnect':
      case 'close':
      case 'destroy':
        this.#wire = 'gone'
        return
      case 'publish':
        return this.#judgePublish(effect, after)
      case 'subscribe':
      case 'unsubscribe':
        return this.#judgeId(effect.messageId, effect.facts.handle)
      case 'acknowledge':
        if (effect.cmd === 'puback') this.#judgePuback(effect.messageId, after)
        return
      case 'yield':
        return this.#judgeYield(effect)
      case 'settle':
        return this.#judgeSettle(effect)
      case 'confirm':
        demand(effect.count <= this.#unconfirmed.length, 'confirmed what was not handed over')
        for (const handle of this.#unconfirmed.splice(0, effect.count)) this.#settle(handle, true)
        return
      case 'finished':
        this.#finished = true
        return
      default:
        return
    }
  }

  #judgeWire(effect: Effect): void {
    demand(this.#wire !== 'gone', `${effect.type} after the goodbye [MQTT-3.14.4-1]`)
    const early = this.#wire !== 'agreed' && !BEFORE_CONNACK.has(effect.type)
    demand(!early, `${effect.type} before CONNACK`)
  }

  #judgePublish({ handle, qos, messageId, dup }: PublishEffect, after: State): void {
    demand(this.#requests.get(handle) !== undefined, `h${handle} is sent after its release`)
    if (!this.#everSent.has(handle) && !this.#births.has(handle)) {
      demand(handle > this.#latestFirst[qos]!, `[D3] h${handle} overtaken at QoS ${qos}`)
      this.#latestFirst[qos] = handle
    }
    this.#everSent.add(handle)
    if (qos === 0) {
      demand(messageId === 0 && !dup, 'QoS 0 with an identifier or DUP [MQTT-3.3.1-2]')
      const messages = this.#left.get(handle)!
      for (let i = 0; i < messages; i++) this.#unconfirmed.push(handle)
      return
    }
    const again = this.#ids.get(messageId) === handle
    demand(dup === again, `[D3] [C09] DUP ${dup} on h${handle}, sent before: ${again}`)
    if (again) {
      const place = this.#places.get(handle)!
      demand(place > this.#latestAgain, `[D3] h${handle} sent again out of order [MQTT-4.6.0-1]`)
      this.#latestAgain = place
    } else this.#places.set(handle, this.#nextPlace++)
    this.#judgeId(messageId, handle)
    this.#inFlight.add(messageId)
    const { limits } = after.connection
    // A later packet of the step can change the limits only by ending the connection.
    const window = Math.min(limits.receiveMaximum, after.config.maxInflight)
    demand(this.#inFlight.size <= window, `[D4] ${this.#inFlight.size} in flight of ${window}`)
  }

  #judgeId(messageId: number, handle: number): void {
    demand(messageId >= 1 && messageId <= 65_535, `identifier ${messageId} [MQTT-2.2.1-3]`)
    const holder = this.#ids.get(messageId)
    demand(
      holder === undefined || holder === handle,
      `[D4] [C14] identifier ${messageId} of h${holder} given to h${handle}`,
    )
    this.#ids.set(messageId, handle)
  }

  #judgePuback(messageId: number, after: State): void {
    if (after.config.acks === 'receipt') return
    const [oldest] = this.#messages
    demand(oldest?.messageId === messageId, `[R1] PUBACK ${messageId} out of order [MQTT-4.6.0-2]`)
    this.#messages.shift()
    demand(oldest.sequence <= this.#handledThrough, `[R1] PUBACK ${messageId} is not earned`)
  }

  #judgeYield({ packet, sequence }: YieldEffect): void {
    if (sequence > 0) {
      demand(sequence > this.#latestSequence, 'a sequence is used twice')
      this.#latestSequence = sequence
    }
    switch (packet.cmd) {
      case 'connack':
        demand(this.#wire === 'asked', 'a CONNACK without CONNECT')
        this.#wire = 'agreed'
        this.#inFlight.clear()
        this.#latestAgain = 0
        this.#messages = []
        if (!packet.sessionPresent || this.#foreign) this.#ids.clear()
        return
      case 'publish':
        if (packet.qos === 1) this.#messages.push({ messageId: packet.messageId!, sequence })
        return
      case 'pubrec':
        if (packet.reasonCode < 0x80) return
        this.#free(packet.messageId)
        return
      case 'puback':
      case 'pubcomp':
      case 'suback':
      case 'unsuback':
        this.#free(packet.messageId)
        return
      default:
        return
    }
  }

  #free(messageId: number): void {
    this.#ids.delete(messageId)
    this.#inFlight.delete(messageId)
  }

  #judgeSettle({ handle, outcome, release }: SettleEffect): void {
    if (outcome) this.#settle(handle, release)
    else demand(this.#requests.get(handle) === 'settled', `h${handle} released without outcome`)
    if (!release) return
    this.#requests.delete(handle)
    for (const [id, holder] of this.#ids) if (holder === handle) this.#free(id)
  }

  #settle(handle: number, release: boolean): void {
    demand(this.#requests.get(handle) === 'owed', `[D2] h${handle} settled without being owed`)
    this.#settled++
    const left = (this.#left.get(handle) ?? 1) - 1
    this.#left.set(handle, left)
    if (left > 0) return
    if (release) this.#requests.delete(handle)
    else this.#requests.set(handle, 'settled')
  }

  // ----------------------------------------------------------------------------------------- state

  #judgeState(state: State): void {
    const { session, outgoing, incoming, flow, connection, keepAlive, counters, config } = state
    const waiting = session.waiting.slice(session.waitingAt)
    const open = [...entries(session.open)]
    const owed = open.filter(([, request]) => !request.settled).length
    demand(session.owed === owed, `owed ${session.owed}, open and unsettled ${owed}`)
    const messages = waiting.map(({ facts }) => (facts.kind === 'publish' ? facts.count : 1))
    const unconfirmed = outgoing.unconfirmed + flow.diverted
    const held = owed + messages.reduce((sum, count) => sum + count, 0) + unconfirmed
    demand(counters.taken === counters.settled + held, '[D2] taken is not settled + held')
    demand(counters.taken === this.#taken, `${this.#taken} were taken, not ${counters.taken}`)
    demand(counters.settled === this.#settled, `${this.#settled} outcomes, not ${counters.settled}`)
    demand(outgoing.unconfirmed >= 0, 'fewer than no publish unconfirmed')
    demand(flow.bufferedPackets >= 0 && flow.bufferedBytes >= 0, 'less than nothing buffered')
    this.#judgeHandles(
      open,
      waiting.map(({ facts }) => facts.handle),
    )
    if (connection.kind === 'connected') this.#judgeQuota(state, open)
    demand(incoming.unacknowledged >= 0, 'fewer than no message unacknowledged')
    if (connection.protocolVersion === 5) {
      const quota = config.receiveMaximum + incoming.repeats
      const within = config.tolerance === 'field' || incoming.unacknowledged <= quota
      demand(within, `[C30] ${incoming.unacknowledged} unacknowledged of ${config.receiveMaximum}`)
      const paused = connection.kind !== 'connected' || keepAlive.readingPaused || flow.reserve
      demand(incoming.pending.size <= quota || paused, '[R3] more than Receive Maximum is read')
    }
    for (const [name, view] of Object.entries({ nextDeadline, requestCapacity, packetCapacity })) {
      demand(!Number.isNaN(view(state)) && view(state) >= 0, `${name} is ${view(state)}`)
    }
  }

  #judgeHandles(open: readonly [number, OpenRequest][], waiting: readonly number[]): void {
    const handles = [...open.map(([, { facts }]) => facts.handle), ...waiting]
    const named = handles.filter((handle) => handle !== 0)
    demand(new Set(named).size === named.length, 'one request is held twice')
    for (const handle of named) demand(this.#requests.has(handle), `h${handle} held after its end`)
  }

  #judgeQuota({ outgoing, connection, config }: State, open: readonly [number, OpenRequest][]) {
    const sent = open.filter(([, request]) => request.epoch === connection.epoch)
    const publishes = sent.filter(([, { facts }]) => facts.kind === 'publish').length
    const { inFlight, subscribing } = outgoing
    demand(inFlight === publishes, `[D4] [C19] in flight ${inFlight}, open here ${publishes}`)
    demand(inFlight === this.#inFlight.size, `[D4] in flight ${inFlight}: ${this.#inFlight.size}`)
    const window = Math.min(connection.limits.receiveMaximum, config.maxInflight)
    demand(inFlight <= window, `[D4] ${inFlight} in flight of ${window}`)
    const exact = sent.filter(([, { facts }]) => facts.kind === 'publish' && facts.qos === 2).length
    demand(outgoing.inFlightQos2 === exact, `[D4] ${outgoing.inFlightQos2} of ${exact} at QoS 2`)
    demand(subscribing === sent.length - publishes, `subscribing is ${subscribing}`)
  }
}

function same(a: State, b: State): boolean {
  return Object.keys(a).every((key) => {
    const name = key as keyof State
    return JSON.stringify(a[name]) === JSON.stringify(b[name])
  })
}
