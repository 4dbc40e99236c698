/**
 * What a running step works on: copies of the groups of the state, changed freely until the step returns them.
 *
 * Rules of the room. A draft lives within one call of `step`. The groups are shallow copies, the tables editors; nothing
 * reachable from the state that came in is ever changed. `finish()` gives the new state, after which the draft is gone.
 */

import type { Config } from './config.ts'
import type { Effect, InputType } from './contract.ts'
import { restsOnSession } from './effects.ts'
import { TableEditor } from './packet-table.ts'
import type {
  HeldSubscription,
  OpenRequest,
  ReceivedMessage,
  SessionState,
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

export type Mutable<T> = { -readonly [K in keyof T]: T[K] }

type WireEffect = Extract<
  Effect,
  {
    type:
      | 'connect'
      | 'publish'
      | 'subscribe'
      | 'unsubscribe'
      | 'acknowledge'
      | 'pingreq'
      | 'auth'
      | 'disconnect'
  }
>

export class Draft {
  readonly effects: Effect[] = []
  readonly config: Config
  readonly session: Mutable<SessionState>
  readonly connection: Mutable<ConnectionState>
  keepAlive: Mutable<KeepAliveState>
  readonly reconnect: Mutable<ReconnectState>
  readonly outgoing: Mutable<OutgoingState>
  readonly incoming: Mutable<IncomingState>
  readonly flow: Mutable<FlowState>
  readonly counters: Mutable<State['counters']>
  outage: Mutable<Outage> | null
  readonly open: TableEditor<OpenRequest>
  readonly received: TableEditor<ReceivedMessage>
  readonly pending: TableEditor<PendingAck>
  readonly subscriptions: TableEditor<readonly HeldSubscription[]>

  constructor(state: State) {
    this.config = state.config
    this.session = { ...state.session }
    this.connection = { ...state.connection }
    this.keepAlive = { ...state.keepAlive }
    this.reconnect = { ...state.reconnect }
    this.outgoing = { ...state.outgoing }
    this.incoming = { ...state.incoming }
    this.flow = { ...state.flow }
    this.counters = { ...state.counters }
    const { outage } = state.reconnect
    this.outage = outage === null ? null : { ...outage }
    this.open = new TableEditor(state.session.open)
    this.received = new TableEditor(state.session.received)
    this.pending = new TableEditor(state.incoming.pending)
    this.subscriptions = new TableEditor(state.session.subscriptions)
  }

  /** The input that is running. */
  input: InputType = 'start'

  /** Whether the running input handed anything to the transport. */
  sent = false

  /** An effect that puts a packet on the wire; what waits for a commit, later. */
  send(effect: WireEffect): void {
    if (this.config.store === 'none' || !restsOnSession(effect)) this.sent = true
    this.effects.push(effect)
  }

  finish(): State {
    this.session.open = this.open.finish()
    this.session.received = this.received.finish()
    this.session.subscriptions = this.subscriptions.finish()
    this.incoming.pending = this.pending.finish()
    this.reconnect.outage = this.outage
    return {
      config: this.config,
      session: this.session,
      connection: this.connection,
      keepAlive: this.keepAlive,
      reconnect: this.reconnect,
      outgoing: this.outgoing,
      incoming: this.incoming,
      flow: this.flow,
      counters: this.counters,
    }
  }
}
