/**
 * What does a running step work on?
 *
 * A draft holds shallow copies of the groups of the state, and editors of its tables, which the
 * reducers change freely. Nothing that can be reached from the state that it began with is ever
 * changed. The state that `finish()` returns is changed by the next step of the same draft; who
 * keeps it makes no such step.
 */

import type { WarningCode } from '../errors.ts'
import type { Config } from './config.ts'
import type { Effect, InputType } from './contract.ts'
import {
  copyConnection,
  copyCounters,
  copyFlow,
  copyIncoming,
  copyKeepAlive,
  copyOutgoing,
  copyReconnect,
  copySession,
  type Mutable,
} from './copies.ts'
import { dependsOnCommit, type PacketEffect } from './effects.ts'
import type { Failure, PacketName, ServerPacket } from './facts.ts'
import { TableEditor } from './packet-table.ts'
import type { IsolationState, ProgressState } from './progress-state.ts'
import type {
  HeldSubscription,
  OpenRequest,
  ReceivedMessage,
  SessionState,
  WaitingRequest,
} from './session-state.ts'
import type {
  ConnectionState,
  FlowState,
  IncomingState,
  KeepAliveState,
  Outage,
  OutgoingState,
  PendingAck,
  ReconnectState,
  State,
} from './state.ts'

export type { Mutable }

/** How much a packet without a payload counts against `maxBufferedBytes`. */
const PACKET_BYTES = 64

export class Draft {
  effects: Effect[] = []
  readonly config: Config
  readonly session: Mutable<SessionState>
  readonly connection: Mutable<ConnectionState>
  keepAlive: Mutable<KeepAliveState>
  readonly reconnect: Mutable<Omit<ReconnectState, 'outage'>> & { outage: Mutable<Outage> | null }
  readonly outgoing: Mutable<OutgoingState>
  readonly incoming: Mutable<IncomingState>
  /** Replaced as a whole when a connection is lost. */
  progress: ProgressState
  isolation: Mutable<IsolationState> | null
  readonly flow: Mutable<FlowState>
  readonly counters: Mutable<State['counters']>
  readonly open: TableEditor<OpenRequest>
  readonly received: TableEditor<ReceivedMessage>
  readonly pending: TableEditor<PendingAck>
  readonly subscriptions: TableEditor<readonly HeldSubscription[]>

  constructor(state: State) {
    this.config = state.config
    this.session = copySession(state.session)
    this.connection = copyConnection(state.connection)
    this.keepAlive = copyKeepAlive(state.keepAlive)
    this.reconnect = copyReconnect(state.reconnect)
    const { outage } = state.reconnect
    if (outage !== null) this.reconnect.outage = { ...outage }
    this.outgoing = copyOutgoing(state.outgoing)
    this.incoming = copyIncoming(state.incoming)
    this.progress = state.progress
    this.isolation = state.isolation === null ? null : { ...state.isolation }
    this.flow = copyFlow(state.flow)
    this.counters = copyCounters(state.counters)
    this.open = new TableEditor(state.session.open)
    this.received = new TableEditor(state.session.received)
    this.pending = new TableEditor(state.incoming.pending)
    this.subscriptions = new TableEditor(state.session.subscriptions)
  }

  /** Begins another step, from the state that `finish()` returned last. */
  begin(): void {
    this.effects = []
    this.reading = null
    this.sent = false
  }

  /** The input that is being handled. */
  input: InputType = 'start'

  /** The packet from the server that is being handled, or could not be read; null if none is. */
  reading: PacketName | null = null

  /** The list of waiting requests that this draft made, or null if it made none. */
  grownWaiting: WaitingRequest[] | null = null

  /** Whether that input handed any byte to the transport. */
  sent = false

  /**
   * Sends a packet. If it depends on a commit, the input `released` reports later that it was sent.
   */
  send(effect: PacketEffect): void {
    if (!this.config.store || !dependsOnCommit(effect)) this.sent = true
    this.effects.push(effect)
  }

  /**
   * Gives the consumer a packet that is not a message, if it wants all packets or nobody else is
   * told (`alone`). `handle` is the request that it answers, or 0. In the reserve, which is bounded
   * in bytes only, the request counts too, because the packet keeps it in memory.
   */
  yield(packet: ServerPacket, handle = 0, requestBytes = 0, alone = false): void {
    if (this.config.packets === 'messages' && !alone) return
    const bytes = PACKET_BYTES + (this.flow.reserve ? requestBytes : 0)
    this.yieldMessage(packet, bytes, handle, 0, 0, false)
  }

  yieldMessage(
    packet: ServerPacket,
    bytes: number,
    handle: number,
    sequence: number,
    deliveryId: number,
    redelivered: boolean,
  ): void {
    this.flow.bufferedPackets++
    this.flow.bufferedBytes += bytes
    this.effects.push({ type: 'yield', packet, handle, sequence, deliveryId, redelivered, bytes })
  }

  /** Gives a request its outcome. With `release` its handle is free again. */
  settle(
    handle: number,
    failure: Failure | null,
    packet: ServerPacket | null,
    release: boolean,
  ): void {
    this.counters.settled++
    this.effects.push({ type: 'settle', handle, failure, packet, outcome: true, release })
  }

  /** Frees the handle of a request that has its outcome. */
  release(handle: number): void {
    this.effects.push({
      type: 'settle',
      handle,
      failure: null,
      packet: null,
      outcome: false,
      release: true,
    })
  }

  warn(code: WarningCode, message: string): void {
    this.effects.push({ type: 'warn', code, message })
  }

  finish(): State {
    this.session.open = this.open.finish()
    this.session.received = this.received.finish()
    this.session.subscriptions = this.subscriptions.finish()
    this.incoming.pending = this.pending.finish()
    return {
      config: this.config,
      session: this.session,
      connection: this.connection,
      keepAlive: this.keepAlive,
      reconnect: this.reconnect,
      outgoing: this.outgoing,
      incoming: this.incoming,
      progress: this.progress,
      isolation: this.isolation,
      flow: this.flow,
      counters: this.counters,
    }
  }
}
