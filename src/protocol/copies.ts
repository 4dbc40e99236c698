/**
 * How are the groups of the state copied?
 *
 * Each by a literal that names all its fields: such an object holds them itself. What a spread
 * makes has room for four of them and an array for the others, which takes a third more of memory
 * for each connection that does nothing.
 */
import type { SessionState } from './session-state.ts'
import type {
  ConnectionState,
  Counters,
  FlowState,
  IncomingState,
  KeepAliveState,
  OutgoingState,
  ReconnectState,
} from './state.ts'

export type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export function copySession(from: SessionState): Mutable<SessionState> {
  return {
    clientId: from.clientId,
    protocolVersion: from.protocolVersion,
    open: from.open,
    owed: from.owed,
    waiting: from.waiting,
    waitingAt: from.waitingAt,
    waitingExpiresAt: from.waitingExpiresAt,
    nextMessageId: from.nextMessageId,
    nextOrder: from.nextOrder,
    cautious: from.cautious,
    received: from.received,
    nextDeliveryId: from.nextDeliveryId,
    subscriptions: from.subscriptions,
    subscriptionCount: from.subscriptionCount,
    filtersGranted: from.filtersGranted,
    adopted: from.adopted,
    doubtfulIds: from.doubtfulIds,
  }
}

export function copyConnection(from: ConnectionState): Mutable<ConnectionState> {
  return {
    kind: from.kind,
    reason: from.reason,
    epoch: from.epoch,
    engaged: from.engaged,
    opened: from.opened,
    protocolVersion: from.protocolVersion,
    heard: from.heard,
    connectBy: from.connectBy,
    connackAt: from.connackAt,
    retryAt: from.retryAt,
    closeBy: from.closeBy,
    afterClose: from.afterClose,
    drainBy: from.drainBy,
    drainThrough: from.drainThrough,
    connack: from.connack,
    limits: from.limits,
    birthsPending: from.birthsPending,
    pings: from.pings,
    pingAnswered: from.pingAnswered,
    deviations: from.deviations,
    exchange: from.exchange,
    endsWith: from.endsWith,
  }
}

export function copyKeepAlive(from: KeepAliveState): Mutable<KeepAliveState> {
  return {
    intervalMs: from.intervalMs,
    sentAt: from.sentAt,
    receivedAt: from.receivedAt,
    pinging: from.pinging,
    pingedAt: from.pingedAt,
    pingTakenAt: from.pingTakenAt,
    readingPaused: from.readingPaused,
    standsSince: from.standsSince,
    movedAt: from.movedAt,
    writing: from.writing,
  }
}

export function copyReconnect(from: ReconnectState): Mutable<ReconnectState> {
  return {
    policy: from.policy,
    attempt: from.attempt,
    dials: from.dials,
    everConnected: from.everConnected,
    version: from.version,
    versionMayFall: from.versionMayFall,
    quickCloses: from.quickCloses,
    host: from.host,
    redirects: from.redirects,
    moved: from.moved,
    filtersMax: from.filtersMax,
    keptBy: from.keptBy,
    outage: from.outage,
  }
}

export function copyOutgoing(from: OutgoingState): Mutable<OutgoingState> {
  return {
    inFlight: from.inFlight,
    inFlightQos2: from.inFlightQos2,
    resend: from.resend,
    resendAt: from.resendAt,
    subscribing: from.subscribing,
    releasing: from.releasing,
    renewals: from.renewals,
    splits: from.splits,
    silence: from.silence,
    unconfirmed: from.unconfirmed,
    confirmed: from.confirmed,
    apart: from.apart,
    ackCheckAt: from.ackCheckAt,
    refused: from.refused,
  }
}

export function copyIncoming(from: IncomingState): Mutable<IncomingState> {
  return {
    pending: from.pending,
    pendingFrom: from.pendingFrom,
    nextSequence: from.nextSequence,
    epochFrom: from.epochFrom,
    yieldedThrough: from.yieldedThrough,
    unhandledEarlier: from.unhandledEarlier,
    warnedFrom: from.warnedFrom,
    acknowledgedTopic: from.acknowledgedTopic,
    acknowledgedId: from.acknowledgedId,
    unacknowledged: from.unacknowledged,
    repeats: from.repeats,
    adoptedInFlight: from.adoptedInFlight,
    aliases: from.aliases,
  }
}

export function copyFlow(from: FlowState): Mutable<FlowState> {
  return {
    bufferedPackets: from.bufferedPackets,
    bufferedBytes: from.bufferedBytes,
    paused: from.paused,
    pausedUntil: from.pausedUntil,
    perSecond: from.perSecond,
    nextTransmissionAt: from.nextTransmissionAt,
    congested: from.congested,
    requestsEnded: from.requestsEnded,
    consumerAwaitedSince: from.consumerAwaitedSince,
    warned: from.warned,
    reserve: from.reserve,
    pulledAt: from.pulledAt,
    unreadAsked: from.unreadAsked,
    pausedMs: from.pausedMs,
    pausedSince: from.pausedSince,
    diverting: from.diverting,
    diverted: from.diverted,
  }
}

export function copyCounters(from: Counters): Mutable<Counters> {
  return {
    taken: from.taken,
    settled: from.settled,
    sent: from.sent,
    received: from.received,
    acknowledged: from.acknowledged,
    reconnections: from.reconnections,
    deviations: from.deviations,
    roundTripMs: from.roundTripMs,
  }
}
