/**
 * What is due, and when?
 *
 * The table lists every timer of the reducers: the kinds of connection in which it runs, the
 * instant at which it is due, and what happens then. `nextDeadline` is the earliest of these
 * instants, and `tick` fires what is due, in the order of the table. If a timer changes the kind of
 * the connection, the timers after it fire at the next tick, which follows immediately.
 */
import { close, drop } from './closing.ts'
import { dialNextRound } from './connecting.ts'
import type { AttemptProgress, AttemptStage } from './contract.ts'
import { beginDiverting, divertsAt, probeDueAt } from './divert.ts'
import type { Draft } from './draft.ts'
import { makeFailure } from './facts.ts'
import { reserveDueAt, unreadDueAt } from './flow.ts'
import { headOf } from './incoming.ts'
import { deadAt, pingDueAt, sendPing } from './keepalive.ts'
import { flush } from './outgoing.ts'
import { activeAt, resume } from './pauses.ts'
import { authenticationFailed } from './receiving.ts'
import { silenceOver } from './renewing.ts'
import { connectivity, suspend, suspendsAt } from './retrying.ts'
import { expire, oldestSentAt, timeOut } from './settling.ts'
import type { ConnectionKind, State } from './state.ts'
import { addRenewals, filtersAllowed, splitDueAt, splitTimedOut } from './subscribing.ts'
import { makeRenewals } from './subscriptions.ts'
import { isolationTimedOut } from './suspicion.ts'
import { fallBackToVersion4, redial } from './versions.ts'
import {
  deliveriesEndAt,
  isolationEndsAt,
  proofDueAt,
  transmissionDueAt,
  waitsForThrottle,
} from './window.ts'

interface Timer {
  readonly in: readonly ConnectionKind[]
  /** @returns the instant, or Infinity if the timer does not run. A draft serves as a state. */
  dueAt(state: State): number
  fire(d: Draft, at: number, attempt: AttemptProgress | null): void
  /** Whether it fires at every tick, due or not. */
  readonly always?: true
}

/** After this many ms without a connection, requests are taken ahead (`offlineRequests`). */
const OFFLINE_AFTER_MS = 50

const BETWEEN_ATTEMPTS = ['disconnected', 'suspended'] as const
const LIVE = ['connecting', 'connected', ...BETWEEN_ATTEMPTS] as const

/** The order is the order of firing. */
const TIMERS = {
  /** A transport that does not close is destroyed (E2, an orderly end). */
  close: {
    in: [...BETWEEN_ATTEMPTS, 'closing'],
    dueAt: ({ connection }) => connection.closeBy,
    fire: (d) => {
      d.connection.closeBy = Infinity
      d.effects.push({ type: 'destroy' })
    },
  },
  /** A connectivity check without an answer counts as offline. */
  connectivity: {
    in: BETWEEN_ATTEMPTS,
    dueAt: ({ connection, reconnect }) =>
      connection.engaged ? Infinity : (reconnect.outage?.checking?.by ?? Infinity),
    fire: (d, at) => connectivity(d, false, at),
  },
  retry: {
    in: BETWEEN_ATTEMPTS,
    dueAt: ({ connection }) => (connection.engaged ? Infinity : connection.retryAt),
    fire: dialNextRound,
  },
  suspend: { in: ['disconnected'], dueAt: suspendsAt, fire: suspend },
  connect: {
    in: ['connecting'],
    dueAt: ({ connection }) => connection.connectBy,
    fire: connectTimedOut,
  },
  pause: { in: LIVE, dueAt: ({ flow }) => flow.pausedUntil, fire: resume },
  expire: { in: LIVE, dueAt: ({ session }) => session.waitingExpiresAt, fire: expire },
  /** Requests are taken ahead once an outage lasts. */
  offline: {
    in: ['connecting'],
    dueAt: ({ reconnect, config }) => {
      const { outage } = reconnect
      const begins = outage !== null && !outage.lasts && config.offlineRequests > 0
      return begins ? outage.downSince + OFFLINE_AFTER_MS : Infinity
    },
    fire: (d) => {
      d.reconnect.outage!.lasts = true
    },
  },
  divert: { in: LIVE, dueAt: divertsAt, fire: beginDiverting },
  /**
   * Every tick of a connection sends what may be sent, which ends a caution whose last request was
   * cancelled.
   */
  throttle: {
    in: ['connected'],
    dueAt: (state) =>
      state.flow.perSecond > 0 && waitsForThrottle(state)
        ? transmissionDueAt(state.flow)
        : Infinity,
    fire: flush,
    always: true,
  },
  deliveries: {
    in: ['connected'],
    dueAt: deliveriesEndAt,
    fire: (d, at) => {
      d.isolation!.deliveriesBy = 0
      flush(d, at)
    },
  },
  split: {
    in: ['connected'],
    dueAt: splitDueAt,
    fire: (d, at) => {
      splitTimedOut(d)
      flush(d, at)
    },
  },
  isolation: {
    in: ['connected'],
    dueAt: isolationEndsAt,
    fire: (d, at) => {
      isolationTimedOut(d, at)
      flush(d, at)
    },
  },
  acknowledge: {
    in: ['connected'],
    dueAt: ({ config, flow, outgoing }) =>
      config.ackTimeout === null || flow.paused ? Infinity : outgoing.ackCheckAt + flow.pausedMs,
    fire: acknowledgementsDue,
  },
  authenticate: {
    in: ['connected'],
    dueAt: ({ connection }) => connection.exchange?.until ?? Infinity,
    fire: authenticationTimedOut,
  },
  silence: {
    in: ['connected'],
    dueAt: ({ outgoing }) => outgoing.silence?.until ?? Infinity,
    fire: renewSilent,
  },
  reserve: {
    in: ['connected'],
    dueAt: reserveDueAt,
    fire: (d) => {
      d.flow.reserve = true
    },
  },
  unread: {
    in: ['connected'],
    dueAt: unreadDueAt,
    fire: (d) => {
      d.flow.unreadAsked = true
      d.effects.push({ type: 'unread' })
    },
  },
  warnStalled: {
    in: ['connected'],
    dueAt: ({ flow, config }) =>
      flow.warned || flow.consumerAwaitedSince < 0 || flow.bufferedPackets === 0
        ? Infinity
        : flow.consumerAwaitedSince + config.warnAfterMs,
    fire: warnStalled,
  },
  warnForgotten: { in: ['connected'], dueAt: forgottenAt, fire: warnForgotten },
  dead: {
    in: ['connected'],
    dueAt: ({ keepAlive }) => deadAt(keepAlive),
    fire: keepAliveTimedOut,
  },
  ping: {
    in: ['connected'],
    dueAt: (state) => Math.min(pingDueAt(state.keepAlive), probeDueAt(state), proofDueAt(state)),
    fire: (d, at) => sendPing(d, 0, at),
  },
  /** `disconnect` waits for the requests in flight no longer than its `timeout`. */
  drain: { in: ['idle', ...LIVE], dueAt: ({ connection }) => connection.drainBy, fire: close },
} as const satisfies Record<string, Timer>

/** The timers that run in each kind of connection. */
const RUNNING = {
  idle: runningIn('idle'),
  connecting: runningIn('connecting'),
  connected: runningIn('connected'),
  disconnected: runningIn('disconnected'),
  suspended: runningIn('suspended'),
  closing: runningIn('closing'),
  closed: runningIn('closed'),
  failed: runningIn('failed'),
} as const satisfies Record<ConnectionKind, readonly Timer[]>

function runningIn(kind: ConnectionKind): readonly Timer[] {
  const timers: readonly Timer[] = Object.values(TIMERS)
  return timers.filter((timer) => timer.in.includes(kind))
}

/** @returns when a `tick` is due, or Infinity if time alone changes nothing. */
export function nextDeadline(state: State): number {
  let due = Infinity
  for (const timer of RUNNING[state.connection.kind]) due = Math.min(due, timer.dueAt(state))
  return due
}

export function tick(d: Draft, at: number, attempt: AttemptProgress | null): void {
  const { kind } = d.connection
  // The timers read the tables of the state, not the editors of the draft.
  d.incoming.pending = d.pending.finish()
  for (const timer of RUNNING[kind]) {
    if (!timer.always && at < timer.dueAt(d)) continue
    timer.fire(d, at, attempt)
    if (d.connection.kind !== kind) return
  }
}

// ------------------------------------------------------------------------------------- time limits

/** What an attempt was waiting for when its time was over. */
const STAGES: Readonly<Record<AttemptStage | 'authenticator' | 'connack', string>> = {
  options: 'connectOptions and the authenticator have not answered',
  lookup: 'the name lookup has no result',
  tcp: 'the TCP connection is not open',
  unix: 'the Unix socket is not open',
  tls: 'the TLS handshake has not ended',
  upgrade: 'the WebSocket upgrade has no answer',
  transport: 'the transport is not open',
  authenticator: 'the authenticator has not answered',
  connack: 'the server sent no CONNACK',
}

function connectTimedOut(d: Draft, at: number, attempt: AttemptProgress | null): void {
  const { opened, heard, exchange } = d.connection
  if (opened && !heard && fallBackToVersion4(d, 'silent')) {
    d.connection.connectBy = Infinity
    return redial(d, at)
  }
  const ours = exchange !== null && exchange.turn !== 'theirs'
  const stage = ours ? 'authenticator' : opened ? 'connack' : (attempt?.stage ?? 'transport')
  const to = attempt === null ? '' : ` to ${attempt.where}`
  const message =
    `No connection${to} within ${d.config.connectTimeoutMs} ms (connectTimeout):` +
    ` ${STAGES[stage]}.`
  const phase = opened ? 'handshake' : 'dial'
  const reason = makeFailure(phase, 'connection', 'CONNECT_TIMEOUT', true, message)
  drop(d, at, reason, 'retry', 'none')
  d.effects.push({ type: 'destroy' })
}

function keepAliveTimedOut(d: Draft, at: number): void {
  const seconds = d.keepAlive.intervalMs / 1000
  const message = `Nothing was received within one and a half times the keep alive (${seconds} s).`
  const reason = makeFailure('connected', 'connection', 'KEEP_ALIVE_TIMEOUT', true, message)
  drop(d, at, reason, 'retry', 'none')
  d.effects.push({ type: 'destroy' })
}

function authenticationTimedOut(d: Draft, at: number): void {
  const { connectTimeoutMs } = d.config
  const message = `The authentication did not end within ${connectTimeoutMs} ms (connectTimeout).`
  const reason = makeFailure('connected', 'connection', 'AUTHENTICATION_TIMEOUT', true, message)
  authenticationFailed(d, reason, at)
}

/** Handles `ackTimeout`, and notes when to look again. */
function acknowledgementsDue(d: Draft, at: number): void {
  const { afterMs, then } = d.config.ackTimeout!
  const now = activeAt(d.flow, at)
  const { epoch } = d.connection
  const oldest = oldestSentAt(d.open.finish(), epoch)
  const overdue = oldest + afterMs <= now
  if (overdue && then === 'reconnect') {
    const message = `The server did not acknowledge within ${afterMs} ms (ackTimeout).`
    const reason = makeFailure('connected', 'connection', 'ACK_TIMEOUT', true, message)
    return drop(d, at, reason, 'retry', 'none')
  }
  if (overdue) timeOut(d, now - afterMs)
  const next = overdue ? oldestSentAt(d.open.finish(), epoch) : oldest
  d.outgoing.ackCheckAt = next + afterMs
}

/** Renews the subscriptions of a resumed session that delivers nothing. */
function renewSilent(d: Draft, at: number): void {
  addRenewals(d, makeRenewals(d, silenceOver(d), filtersAllowed(d, true)))
  flush(d, at)
}

// ---------------------------------------------------------------------------------------- warnings

/**
 * Warns a consumer that may be waiting for the outcome of its own request in the loop body. (C24,
 * publishing from inside the receive loop deadlocks)
 */
function warnStalled(d: Draft): void {
  d.flow.warned = true
  const message =
    `${d.flow.bufferedPackets} packets wait for next() since ${d.config.warnAfterMs} ms, and no` +
    ' more are read than the buffer holds. Take packets faster, and await no outcome meanwhile.'
  d.warn('CONSUMER_STALLED', message)
}

/**
 * @returns when the next acknowledgement counts as forgotten, once for each message, or Infinity.
 * (C21)
 */
function forgottenAt({ config, incoming }: State): number {
  if (config.acks !== 'manual' || incoming.warnedFrom === incoming.pendingFrom) return Infinity
  const head = headOf(incoming)
  return head === undefined ? Infinity : head.at + config.warnAfterMs
}

/** Warns a consumer with `acks: 'manual'` that did not acknowledge a message. */
function warnForgotten(d: Draft): void {
  d.incoming.warnedFrom = d.incoming.pendingFrom
  const message =
    `A message was received ${d.config.warnAfterMs} ms ago and is not acknowledged;` +
    ' those behind it cannot be either. Call ack(packet).'
  d.warn('ACKNOWLEDGEMENT_FORGOTTEN', message)
}
