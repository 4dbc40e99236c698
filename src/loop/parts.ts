/**
 * Which fields and methods of a loop may the functions of this room use? `loop.ts` implements these
 * interfaces; the other files of the room import only them.
 */

import type { Attempt } from '../connection/attempt.ts'
import type {
  AuthenticationListener,
  ConnectionAuthenticator,
} from '../connection/authenticator.ts'
import type { Dialer, DialListener } from '../connection/dial.ts'
import type { Link, LinkListener } from '../connection/link.ts'
import type { Network, NetworkListener } from '../connection/network.ts'
import type { WarningCode } from '../errors.ts'
import type { EventloopOptions } from '../options/options.ts'
import type { Resolved } from '../options/resolve.ts'
import type { Platform } from '../platform/machine.ts'
import type { Config } from '../protocol/config.ts'
import type { Effect, Input } from '../protocol/contract.ts'
import type { State } from '../protocol/state.ts'
import type { Intake } from '../requests/intake.ts'
import type { Ledger } from '../requests/ledger.ts'
import type { PreparedControl } from '../requests/prepare-control.ts'
import type {
  Outcome,
  ReconnectOptions,
  Request,
  SubscribeRequest,
} from '../requests/vocabulary.ts'
import type { CommitGate } from './commit-gate.ts'
import type { Diverter, DiverterListener } from './diverter.ts'
import type { Causes } from './failures.ts'
import type { Inbox } from './inbox.ts'
import type { Life } from './life.ts'
import type { Pings } from './pings.ts'
import type { Recorder } from './recorder.ts'
import type { Transitions } from './transitions.ts'

/** Code of this package that drives a loop and is given each outcome, as `run()` is. */
export interface Driver {
  readonly until: Config['until']
  readonly acks: Config['acks']
  settled(request: Request, outcome: Outcome): void
}

/** An error in a box, so that `undefined` can be thrown too. */
export interface Thrown {
  readonly reason: unknown
}

/** The methods by which events become inputs of the reducers. */
interface Inputs {
  /** Milliseconds on the loop's clock. */
  now(): number
  /** Adds an input to the next step, and causes no step. */
  add(input: Input): void
  /** Adds an input before those that were added already. */
  addFirst(input: Input): void
  /** Adds an input that is stepped when the current burst of events is over. */
  push(input: Input): void
  /** Causes a step when the current burst of events is over. */
  gathered(): void
  /** Adds an input that is stepped immediately, or after the current turn. */
  run(input: Input): void
  /** Ends the loop with an error of the user's. */
  fail(error: unknown): void
  /** Reports a warning. */
  warn(code: WarningCode, message: string, deviation?: string, cause?: unknown): void
}

/**
 * Data that is needed when a loop begins or ends. It is apart from `LoopRecord` because most loops
 * need none of it in between.
 */
export interface Ends {
  /** The effects of the CONNACK that `connect()` resolved with, until a loop takes over. */
  kept: readonly Effect[] | null
  /** Settles the promise of `connect()`; its argument is null after a good CONNACK. */
  established: ((error: Thrown | null) => void) | null
  /** The error that an ended loop has not thrown yet. */
  error: Thrown | null
  /** Called when the loop is over. */
  awaiting: (() => void)[]
  /** The listener on the user's signal. */
  onAbort: (() => void) | null
  /** The `onConnected` of the loop that took the connection of `connect()` over. */
  onConnected: EventloopOptions['onConnected']
}

type Listeners = LinkListener &
  DialListener &
  NetworkListener &
  AuthenticationListener &
  DiverterListener

export type Parts = Inputs & Listeners & LoopRecord

interface LoopRecord {
  // --- kept until the loop ends

  readonly resolved: Resolved
  readonly platform: Platform
  readonly causes: Causes
  readonly ledger: Ledger
  readonly inbox: Inbox
  readonly intake: Intake
  /** Null if the session is kept in no store. */
  readonly gate: CommitGate | null
  /** Null if nothing is recorded. */
  readonly recorder: Recorder | null
  /** The state after the last step. The next step may change it; `snapshot()` gives one to keep. */
  readonly state: State
  life: Life
  ends: Ends | null
  /** The user's own decision on failures. */
  retryable: ReconnectOptions['retryable'] | null
  network: Network | null
  diverter: Diverter | null
  watchers: Transitions | null

  // --- kept until the connection ends

  /** Null if no transport is being opened. */
  dialer: Dialer | null
  link: Link | null
  /** The attempt that led to this connection; null if it was made without `connectOptions`. */
  attempt: Attempt | null
  authentication: ConnectionAuthenticator | null
  pings: Pings | null
  /** SUBSCRIBE requests of the engine's own, by packet identifier. */
  renewals: Map<number, SubscribeRequest> | null
  /** Sequence numbers of acknowledgements that the reducers have not stepped yet. */
  acking: Set<number> | null

  // --- methods

  /** Steps the reducers; nothing else does. The caller performs the effects. */
  advance(inputs: readonly Input[]): readonly Effect[]
  /** @returns the state after the last step, which no later step changes. */
  snapshot(): State
  /** Changes the state between steps, before anything was sent. */
  replaceState(state: State): void
  /**
   * @returns the inputs that were added and not stepped. The loop forgets them, so the caller has
   *   to step them.
   */
  takeInputs(): Input[]
  turn(): void
  /** `inTurn`: the request stream gave the control. */
  control(prepared: PreparedControl, inTurn: boolean): void
  /** Stops everything; `error` is what `next()` rejects with. */
  end(error: Thrown | null): void
  /** Runs `action` while no turn can begin. */
  withoutTurns(action: () => void): void
  stopTimer(): void
}

/** @returns the `Ends` of a loop, which are made when they are first needed. */
export function endsOf(loop: Pick<Parts, 'ends'>): Ends {
  loop.ends ??= {
    kept: null,
    established: null,
    error: null,
    awaiting: [],
    onAbort: null,
    onConnected: undefined,
  }
  return loop.ends
}
