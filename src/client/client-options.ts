/**
 * What does the user ask of a client, and what does its loop get of it?
 */
import {
  Connected,
  type Control,
  type Eventloop,
  type EventloopOptions,
  eventloop,
  type Outcome,
  type Platform,
  type QoS,
  type Request,
  type Requests,
  systemPlatform,
  UsageError,
} from '../index.ts'
import { checkChoice, checkCount, checkedMs, shown } from './check-options.ts'
import type { ClientOptions, ClientTarget } from './client-types.ts'

/** The options of a client, checked and with their defaults. */
export interface ClientPlan {
  readonly qos: QoS
  readonly maxQueued: number
  readonly maxQueuedBytes: number
  readonly whenFull: 'wait' | 'reject'
  readonly publishTimeout: number | undefined
  readonly dispatch: 'auto' | 'identifier' | 'filter'
  readonly profile: NonNullable<ClientOptions['profile']>
  readonly responseTopic: string | undefined
  readonly requestTimeout: number
  readonly warnAfterMs: number
  readonly receiveMaximum: number
  /** How many messages may be unacknowledged before reading stops. */
  readonly unhandledMax: number
  /** Whether the session may outlive the client. */
  readonly keeps: boolean
  readonly trace: ClientOptions['trace']
}

/** The options that a client decides itself. */
const OWN = ['acks', 'until', 'onSettled', 'packets', 'requests']
const RECEIVE_MAXIMUM = 1024
/** How many messages may wait beyond the Receive Maximum, as in the inbox of a loop. */
const RESERVE = 1024
const WARN_AFTER_MS = 30_000
/** The longest time that a loop may wait before it warns: the client warns in its place. */
const NEVER_WARN_MS = 86_400_000

/** Is told what `onConnected` sends, and the outcome of every request. */
interface BirthsListener {
  sends(births: readonly Request[]): void
  birthSettled(request: Request | Control, outcome: Outcome): void
}

/** What a client is, and how its loop is made. */
interface ClientBlueprint {
  readonly plan: ClientPlan
  readonly platform: Platform
  /** Makes the loop. @param births is told of what `onConnected` sends. */
  loop(requests: Requests, births: BirthsListener): Eventloop
}

/**
 * @returns what the client does, and how its loop is made.
 * @throws UsageError for an option that cannot be used.
 */
export function blueprintOf(target: ClientTarget): ClientBlueprint {
  if (target instanceof Connected) return blueprintOfConnection(target)
  if (typeof target === 'string' || target instanceof URL) return blueprintOf({ url: target })
  if (typeof target !== 'object' || target === null) {
    const what = `an object, a URL, or what connect() resolved with, not ${shown(target)}`
    throw new UsageError(`createClient: options must be ${what}`)
  }
  const [plan, options] = resolveClient(target)
  return {
    plan,
    platform: options.platform ?? systemPlatform,
    loop: (requests, births) => eventloop(withBirths(options, births), requests),
  }
}

/** Outcomes of what `onConnected` sends come to `onSettled` only. */
function withBirths(options: EventloopOptions, births: BirthsListener): EventloopOptions {
  const { onConnected } = options
  if (typeof onConnected !== 'function') return options
  return {
    ...options,
    onConnected: (connack, attempt) => {
      const requests = onConnected(connack, attempt)
      births.sends(requests)
      return requests
    },
    onSettled: (request, outcome) => births.birthSettled(request, outcome),
  }
}

function blueprintOfConnection(connected: Connected): ClientBlueprint {
  const [plan] = resolveClient({})
  return {
    plan: { ...plan, keeps: connected.hasSession },
    platform: systemPlatform,
    loop: (requests) => eventloop(connected, requests, undefined, LOOP),
  }
}

/** The options of the loop that the client decides. */
const LOOP = {
  acks: 'manual',
  until: 'closed',
  packets: 'messages',
  warnAfterMs: NEVER_WARN_MS,
} as const

function resolveClient(given: ClientOptions): [plan: ClientPlan, loop: EventloopOptions] {
  for (const name of OWN) {
    if (!(name in given) || (given as Record<string, unknown>)[name] === undefined) continue
    throw new UsageError(`createClient: ${name} is decided by the client; use eventloop() for it`)
  }
  const {
    qos = 1,
    maxQueued = 10_000,
    maxQueuedBytes = 67_108_864,
    whenFull = 'wait',
    publishTimeout,
    dispatch = 'auto',
    responseTopic,
    requestTimeout = 5000,
    agent,
    trace,
    ...rest
  } = given
  const { receiveMaximum = RECEIVE_MAXIMUM, warnAfterMs = WARN_AFTER_MS, profile = {} } = rest
  const plan: ClientPlan = {
    qos: checkChoice('qos', qos, [0, 1, 2]),
    maxQueued: checkCount('maxQueued', maxQueued, 1, 10_000_000),
    maxQueuedBytes: checkCount('maxQueuedBytes', maxQueuedBytes, 1, Number.MAX_SAFE_INTEGER),
    whenFull: checkChoice('whenFull', whenFull, ['wait', 'reject']),
    publishTimeout: checkedMs('publishTimeout', publishTimeout),
    dispatch: checkChoice('dispatch', dispatch, ['auto', 'identifier', 'filter']),
    profile,
    responseTopic,
    requestTimeout: checkedMs('requestTimeout', requestTimeout)!,
    warnAfterMs,
    receiveMaximum,
    unhandledMax: rest.maxBufferedPackets ?? receiveMaximum + RESERVE,
    keeps: rest.session !== undefined || rest.cleanStart === false,
    trace: checkedTrace(trace),
  }
  const properties = agent === undefined ? rest.properties : withAgent(rest.properties, agent)
  const loop: EventloopOptions = {
    ...rest,
    ...LOOP,
    ...(properties === undefined ? {} : { properties }),
  }
  return [plan, loop]
}

function checkedTrace(trace: unknown): ClientOptions['trace'] {
  if (trace === undefined || typeof trace === 'function') return trace as ClientOptions['trace']
  throw new UsageError(`trace must be a function, not ${shown(trace)}`)
}

function withAgent(properties: EventloopOptions['properties'], agent: string) {
  if (typeof agent !== 'string') {
    throw new UsageError(`agent must be a text, not ${shown(agent)}`)
  }
  return { ...properties, userProperties: { ...properties?.userProperties, agent } }
}
