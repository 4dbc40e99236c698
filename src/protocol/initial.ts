/**
 * What is the state before anything has happened?
 */

import type { Config } from './config.ts'
import { NO_ITEMS } from './facts.ts'
import { DEFAULT_LIMITS } from './handshake.ts'
import { keepAliveStart } from './keepalive.ts'
import { emptyTable } from './packet-table.ts'
import type { ProgressState } from './progress-state.ts'
import { NOBODY } from './renewing.ts'
import type { SessionState } from './session-state.ts'
import type { FlowState, IncomingState, OutgoingState, State } from './state.ts'

/** More filters than any packet has room for. */
const FILTERS_MAX = 65_535

/** @returns a session that has never met a server. */
export function initialSession(clientId: string): SessionState {
  return {
    clientId,
    protocolVersion: 0,
    open: emptyTable(),
    owed: 0,
    waiting: NO_ITEMS,
    waitingAt: 0,
    waitingExpiresAt: Infinity,
    nextMessageId: 1,
    nextOrder: 1,
    cautious: false,
    received: emptyTable(),
    nextDeliveryId: 1,
    subscriptions: emptyTable(),
    subscriptionCount: 0,
    filtersGranted: 1,
    adopted: false,
    doubtfulIds: 0,
  }
}

// All loops begin with the same objects for these groups. A step replaces them.

export const OUTGOING: OutgoingState = {
  inFlight: 0,
  inFlightQos2: 0,
  resend: NO_ITEMS,
  resendAt: 0,
  subscribing: 0,
  releasing: 0,
  renewals: null,
  splits: NO_ITEMS,
  silence: null,
  unconfirmed: 0,
  confirmed: 0,
  apart: 0,
  ackCheckAt: Infinity,
  refused: NO_ITEMS,
}

export const INCOMING: IncomingState = {
  pending: emptyTable(),
  pendingFrom: 1,
  nextSequence: 1,
  epochFrom: 1,
  yieldedThrough: 0,
  unhandledEarlier: 0,
  warnedFrom: 0,
  acknowledgedTopic: '',
  acknowledgedId: 0,
  unacknowledged: 0,
  repeats: 0,
  adoptedInFlight: false,
  aliases: NO_ITEMS,
}

const FLOW: FlowState = {
  bufferedPackets: 0,
  bufferedBytes: 0,
  paused: false,
  pausedUntil: Infinity,
  perSecond: 0,
  nextTransmissionAt: 0,
  congested: false,
  requestsEnded: false,
  consumerAwaitedSince: -1,
  warned: false,
  reserve: false,
  pulledAt: 0,
  unreadAsked: false,
  pausedMs: 0,
  pausedSince: 0,
  diverting: false,
  diverted: 0,
}

const PROGRESS: ProgressState = {
  losses: 0,
  locked: 0,
  cause: '',
  connected: false,
  first: null,
  made: 0,
  repeats: 0,
  unprovable: false,
  accused: NO_ITEMS,
}

export const COUNTERS: State['counters'] = {
  taken: 0,
  settled: 0,
  sent: 0,
  received: 0,
  acknowledged: 0,
  reconnections: {},
  deviations: {},
  roundTripMs: -1,
}

/**
 * @returns the state of a loop before its first `next()`, with a new session or one that was saved.
 */
export function initialState(config: Config, session: SessionState): State {
  return {
    config,
    session,
    connection: {
      kind: 'idle',
      reason: null,
      epoch: 0,
      engaged: false,
      opened: false,
      protocolVersion: config.protocolVersion,
      heard: false,
      connectBy: Infinity,
      connackAt: -1,
      retryAt: Infinity,
      closeBy: Infinity,
      afterClose: null,
      drainBy: Infinity,
      drainThrough: 0,
      connack: null,
      limits: DEFAULT_LIMITS,
      birthsPending: false,
      pings: NO_ITEMS,
      pingAnswered: false,
      deviations: NO_ITEMS,
      exchange: null,
      endsWith: null,
    },
    keepAlive: keepAliveStart(0, 0),
    reconnect: {
      policy: config.reconnect,
      attempt: 0,
      dials: 0,
      everConnected: false,
      version: config.protocolVersion,
      versionMayFall: config.versionMayFall,
      quickCloses: 0,
      host: 0,
      redirects: 0,
      moved: null,
      filtersMax: FILTERS_MAX,
      keptBy: NOBODY,
      outage: null,
    },
    outgoing: OUTGOING,
    incoming: INCOMING,
    progress: PROGRESS,
    isolation: null,
    flow: FLOW,
    counters: COUNTERS,
  }
}
