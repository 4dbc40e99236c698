/**
 * Drives the pure `step` one input at a time. Every state, input and effect is frozen deeply, and a
 * witness checks every step, so that each test of a reducer also tests the invariants.
 */
import { expect } from 'vitest'
import type { Config } from '../../src/protocol/config.ts'
import type { Effect, Input, Step, TransitionEffect } from '../../src/protocol/contract.ts'
import { step } from '../../src/protocol/engine.ts'
import type {
  AckPacket,
  Failure,
  Properties,
  PublishFacts,
  QoS,
  ReasonPacket,
  ReceivedConnack,
  ReceivedPublish,
  ServerPacket,
  SubscribeFacts,
  SubscriptionAckPacket,
  SubscriptionFacts,
  UnsubscribeFacts,
} from '../../src/protocol/facts.ts'
import { initialSession, initialState } from '../../src/protocol/initial.ts'
import { isWaiting } from '../../src/protocol/lifecycle.ts'
import { hex } from '../../src/protocol/reason-codes.ts'
import type { SessionState } from '../../src/protocol/session-state.ts'
import type { State } from '../../src/protocol/state.ts'
import { nextDeadline } from '../../src/protocol/timers.ts'
import { Witness } from './witness.ts'

/** An input without its instant, which the driver adds. */
export type Untimed = Input extends infer I ? (I extends Input ? Omit<I, 'at'> : never) : never

// ---------------------------------------------------------------------------------------- freezing

const known = new WeakSet<object>()

/** Freezes everything that can be reached, except bytes, which cannot be frozen. */
export function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  if (known.has(value)) return value
  known.add(value)
  Object.freeze(value)
  for (const key of Object.keys(value)) frozen((value as Record<string, unknown>)[key])
  return value
}

// ------------------------------------------------------------------------------------------ values

export function serversOf(over: Partial<Config['servers']> = {}): Config['servers'] {
  return {
    hosts: 1,
    checksConnectivity: false,
    followRedirects: false,
    renewsCredentials: false,
    suspendAfterMs: 120_000,
    suspendedRetryMs: 30_000,
    ...over,
  }
}

export function configOf(over: Partial<Config> = {}): Config {
  return {
    protocolVersion: 5,
    versionMayFall: false,
    cleanStart: false,
    store: false,
    resumes: true,
    adopt: true,
    generatedClientId: false,
    renewSubscriptions: 'unsure',
    filtersPerSubscribe: null,
    knownLimits: { maximumPacketSize: 268_435_460, sharedSubscriptionAvailable: true },
    sessionExpiryInterval: 86_400,
    keepAlive: 60,
    connectTimeoutMs: 10_000,
    reconnect: { when: 'always', minMs: 100, maxMs: 30_000, stableMs: 30_000 },
    offlineRequests: 0,
    maxInflight: 1000,
    maxInflightQos2: 20,
    receiveMaximum: 1024,
    maxBufferedPackets: 2048,
    maxBufferedBytes: 16 * 1024 * 1024,
    maximumPacketSize: 268_435_455,
    tolerance: 'field',
    topicAliasMaximum: 0,
    acks: 'pull',
    packets: 'all',
    gatherReads: true,
    onSessionLost: 'republish',
    ackTimeout: null,
    quarantineAfter: 3,
    until: 'closed',
    hasBirths: false,
    disconnectReason: 0,
    authenticationMethod: null,
    authenticator: 'none',
    requestProblemInformation: true,
    servers: serversOf(),
    divert: null,
    warnAfterMs: 30_000,
    ...over,
  }
}

export function publishOf(handle: number, qos: QoS = 1, over: Partial<PublishFacts> = {}) {
  const facts: PublishFacts = {
    kind: 'publish',
    handle,
    qos,
    retain: false,
    bytes: 20,
    expiresAt: 0,
    count: 1,
    ...over,
  }
  return facts
}

export function subscribeOf(
  handle: number,
  filters: readonly (string | SubscriptionFacts)[] = ['a'],
  properties?: Properties,
): SubscribeFacts {
  const subscriptions = filters.map((one) =>
    typeof one === 'string' ? { topic: one, qos: 1 as const } : one,
  )
  return { kind: 'subscribe', handle, bytes: 30, subscriptions, properties }
}

export function unsubscribeOf(handle: number, filters: readonly string[] = ['a']) {
  const facts: UnsubscribeFacts = {
    kind: 'unsubscribe',
    handle,
    bytes: 30,
    unsubscriptions: filters,
    properties: undefined,
  }
  return facts
}

export function connackOf(
  sessionPresent = false,
  properties: Properties = {},
  reasonCode = 0,
): ReceivedConnack {
  return { cmd: 'connack', sessionPresent, reasonCode, properties }
}

/** @returns a CONNACK of MQTT 3. */
export function plainConnack(sessionPresent = false, returnCode = 0): ReceivedConnack {
  return { cmd: 'connack', sessionPresent, returnCode }
}

export function ackOf(cmd: AckPacket['cmd'], messageId: number, reasonCode = 0): AckPacket {
  return { cmd, messageId, reasonCode }
}

export function subackOf(messageId: number, ...granted: number[]): SubscriptionAckPacket {
  return { cmd: 'suback', messageId, granted }
}

export function unsubackOf(messageId: number, ...granted: number[]): SubscriptionAckPacket {
  return { cmd: 'unsuback', messageId, granted }
}

export const PINGRESP: ServerPacket = { cmd: 'pingresp' }

export function byeOf(reasonCode: number, properties?: Properties): ReasonPacket {
  return properties === undefined
    ? { cmd: 'disconnect', reasonCode }
    : { cmd: 'disconnect', reasonCode, properties }
}

export function messageOf(
  qos: QoS,
  messageId = 0,
  over: Partial<ReceivedPublish> = {},
): ReceivedPublish {
  return {
    cmd: 'publish',
    topic: 't',
    payload: new Uint8Array([1, 2, 3]),
    qos,
    dup: false,
    retain: false,
    ...(qos > 0 ? { messageId } : {}),
    ...over,
  }
}

export function failureOf(over: Partial<Failure> = {}): Failure {
  return {
    phase: 'connected',
    source: 'connection',
    code: 'ECONNRESET',
    retryable: true,
    message: 'reset',
    ...over,
  }
}

// ------------------------------------------------------------------------------------------ driver

/** With more ticks at one instant than this the loop would spin. */
const TICKS_AT_ONCE_MAX = 3

export class Driver {
  state: State
  at = 1_000_000
  readonly inputs: Input[] = []
  readonly effects: Effect[] = []
  readonly transitions: TransitionEffect[] = []
  readonly #witness: Witness

  constructor(over: Partial<Config> = {}, session?: SessionState) {
    const config = configOf(over)
    const state = initialState(config, session ?? initialSession('c'))
    // Requests of the restored session count as taken.
    const taken = state.session.owed + state.session.waiting.length
    this.state = frozen({ ...state, counters: { ...state.counters, taken } })
    this.#witness = new Witness(this.state)
  }

  get kind() {
    return this.state.connection.kind
  }

  /** Steps one input at the current instant. */
  feed(untimed: Untimed): readonly Effect[] {
    const input = frozen({ ...untimed, at: this.at } as Input)
    const before = this.state
    const result: Step = frozen(step(before, input))
    this.#witness.judge(before, input, result)
    this.state = result.state
    this.inputs.push(input)
    this.effects.push(...result.effects)
    // The tests read the kind from the state. Transitions have a test of their own.
    this.transitions.push(...only(result.effects, 'transition'))
    return result.effects.filter(({ type }) => type !== 'transition')
  }

  receive(...packets: readonly ServerPacket[]): readonly Effect[] {
    return this.feed({ type: 'received', packets })
  }

  request(...requests: readonly (PublishFacts | SubscribeFacts | UnsubscribeFacts)[]) {
    return this.feed({ type: 'requests', requests, hold: false })
  }

  /** Opens the transport, on which CONNECT is sent. */
  open(): readonly Effect[] {
    const effects: Effect[] = []
    if (this.kind === 'idle') effects.push(...this.feed({ type: 'start' }))
    if (isWaiting(this.kind)) {
      if (this.state.connection.engaged) effects.push(...this.lose())
      if (isWaiting(this.kind)) {
        this.at = Math.max(this.at, this.state.connection.retryAt)
        effects.push(...this.feed({ type: 'tick' }))
      }
    }
    effects.push(...this.feed({ type: 'opened', attempt: null }))
    return effects
  }

  /** Makes a connection from any state. */
  connect(
    connack: ReceivedConnack = connackOf(this.state.connection.epoch > 0),
  ): readonly Effect[] {
    const effects = [...this.open(), ...this.receive(connack)]
    expect(this.kind).toBe('connected')
    return effects
  }

  lose(over: Partial<Omit<Extract<Input, { type: 'lost' }>, 'type' | 'at'>> = {}) {
    const failure = failureOf()
    return this.feed({
      type: 'lost',
      random: 0.5,
      failure,
      byPeer: false,
      retryable: null,
      ...over,
    })
  }

  tick(): readonly Effect[] {
    return this.feed({ type: 'tick' })
  }

  /**
   * Lets time pass as the loop does, with a tick at each deadline. Throws if a deadline does not
   * move.
   */
  advance(ms: number): readonly Effect[] {
    const until = this.at + ms
    const effects: Effect[] = []
    let repeated = 0
    for (let due = nextDeadline(this.state); due <= until; due = nextDeadline(this.state)) {
      repeated = due > this.at ? 0 : repeated + 1
      if (repeated > TICKS_AT_ONCE_MAX) throw new Error(`the deadline ${due} does not move`)
      this.at = Math.max(this.at, due)
      effects.push(...this.tick())
    }
    this.at = until
    return effects
  }

  /** Lets time pass without a tick, as when the machine sleeps. */
  sleep(ms: number): void {
    this.at += ms
  }
}

// -------------------------------------------------------------------------------- effects in words

/** @returns the packets that are sent, as short texts: `DUP PUBLISH 3 h7`. */
export function wire(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => {
    switch (effect.type) {
      case 'connect':
        return [`CONNECT ${effect.protocolVersion}${effect.cleanStart ? ' clean' : ''}`]
      case 'publish': {
        const id = effect.qos === 0 ? '' : ` ${effect.messageId}`
        return [`${effect.dup ? 'DUP ' : ''}PUBLISH${id} h${effect.handle}`]
      }
      case 'subscribe': {
        const topics = effect.facts.subscriptions.map(({ topic }) => topic).join(' ')
        return [`SUBSCRIBE ${effect.messageId} ${topics}`]
      }
      case 'unsubscribe':
        return [`UNSUBSCRIBE ${effect.messageId} ${effect.facts.unsubscriptions.join(' ')}`]
      case 'acknowledge': {
        const code = effect.reasonCode === 0 ? '' : ` ${hex(effect.reasonCode)}`
        return [`${effect.cmd.toUpperCase()} ${effect.messageId}${code}`]
      }
      case 'pingreq':
        return ['PINGREQ']
      case 'disconnect':
        return [`DISCONNECT ${hex(effect.reasonCode)}`]
      default:
        return []
    }
  })
}

/** @returns the outcomes as texts: `h3 ok`, `h4 QUARANTINED`. */
export function outcomes(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) =>
    effect.type === 'settle' && effect.outcome
      ? [`h${effect.handle} ${effect.failure?.code ?? 'ok'}`]
      : [],
  )
}

/** @returns the packets that were yielded. */
export function yielded(effects: readonly Effect[]): ServerPacket[] {
  return effects.flatMap((effect) => (effect.type === 'yield' ? [effect.packet] : []))
}

export function only<T extends Effect['type']>(
  effects: readonly Effect[],
  type: T,
): Extract<Effect, { type: T }>[] {
  return effects.filter((effect): effect is Extract<Effect, { type: T }> => effect.type === type)
}

export function types(effects: readonly Effect[]): Effect['type'][] {
  return effects.map(({ type }) => type)
}
