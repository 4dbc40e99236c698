/**
 * Which states does a loop have, and which events lead from one to the next? A loop has many
 * connections, one after the other; their states have a table of their own, in
 * `protocol/lifecycle.ts`.
 *
 * - `unbegun`: no packet was asked for.
 * - `establishing`: `connect()` makes its one attempt.
 * - `established`: `connect()` has resolved. Inputs gather, and none is stepped until a loop takes
 *   the connection over.
 * - `live`: the loop runs.
 * - `leaving`: the consumer has left. The streams are closed, and the connection is about to be.
 * - `storing`: everything has stopped, and the session store is being closed.
 * - `over`: nothing is left.
 */
import { BugError } from '../errors.ts'

export type Life =
  | 'unbegun'
  | 'establishing'
  | 'established'
  | 'live'
  | 'leaving'
  | 'storing'
  | 'over'

/**
 * - `next`: a packet was asked for.
 * - `establish`: `connect()` was called.
 * - `accepted`: a good CONNACK came while establishing.
 * - `leave`: the consumer left, or the user's signal was aborted.
 * - `ended`: the reducers, or a defect, ended the loop.
 * - `stored`: the session store is closed, or there is none.
 */
export type LifeEvent = 'next' | 'establish' | 'accepted' | 'leave' | 'ended' | 'stored'

/**
 * The next state for each state and event. Null means that the event cannot happen in the state.
 */
export const LIFE = {
  unbegun: {
    next: 'live',
    establish: 'establishing',
    accepted: null,
    leave: 'storing',
    ended: null,
    stored: null,
  },
  establishing: {
    next: null,
    establish: null,
    accepted: 'established',
    leave: 'leaving',
    ended: 'storing',
    stored: null,
  },
  established: {
    next: 'live',
    establish: null,
    accepted: null,
    leave: 'leaving',
    ended: 'storing',
    stored: null,
  },
  live: {
    next: 'live',
    establish: null,
    accepted: null,
    leave: 'leaving',
    ended: 'storing',
    stored: null,
  },
  leaving: {
    next: 'leaving',
    establish: null,
    accepted: null,
    leave: 'leaving',
    ended: 'storing',
    stored: null,
  },
  storing: {
    next: 'storing',
    establish: null,
    accepted: null,
    leave: 'storing',
    ended: 'storing',
    stored: 'over',
  },
  over: {
    next: 'over',
    establish: null,
    accepted: null,
    leave: 'over',
    ended: 'over',
    stored: null,
  },
} as const satisfies Record<Life, Record<LifeEvent, Life | null>>

/**
 * @returns the state that follows.
 * @throws BugError if the event cannot happen in this state.
 */
export function lifeAfter(life: Life, event: LifeEvent): Life {
  const next = LIFE[life][event]
  if (next === null) throw new BugError(`"${event}" happened to a loop that is ${life}`)
  return next
}

/** Whether the loop makes turns: it steps inputs and performs effects. */
export function isRunning(life: Life): boolean {
  return life === 'live' || life === 'leaving' || life === 'establishing'
}

/** Whether the loop has begun and has not stopped, so that there is something to end. */
export function isAlive(life: Life): boolean {
  return isRunning(life) || life === 'established'
}

/** Whether the loop has stopped, though its session store may still be closing. */
export function hasStopped(life: Life): boolean {
  return life === 'storing' || life === 'over'
}
