/**
 * What have those in common who wait for an answer, and what do they use of the desk? Types only.
 */
import type { Core, OutcomeListener } from '../core.ts'
import type { GivenAnswer } from './answers.ts'
import type { Deadlines, Timed } from './deadlines.ts'
import type { RequestCounts } from './request-counts.ts'
import type { Ask, AskedPayload } from './request-plan.ts'

/** One who waits for answers: of one request, or of many. */
export interface AnswerWaiter extends OutcomeListener, Timed {
  readonly ask: Ask
  readonly payload: AskedPayload
  /** The Correlation Data of the last attempt, one character for each byte; empty before it. */
  correlation: string
  /** Attempts are numbered as they are sent. */
  order: number
  /** The name of the operation, if it is not that of the first correlation. */
  key: string
  attempt: number
  /** How many connections had been lost when it was sent. */
  losses: number
  acknowledged: boolean
  /** Cancels the publish, where the engine does not let it expire; else null. */
  controller: AbortController | null
  answered(answer: GivenAnswer): void
  reject(error: unknown): void
  /** The connection is there again. */
  reconnected(): void
  /** Its signal was aborted: it is a listener of the signal, which costs no closure. */
  handleEvent(): void
  /** When nobody waits for the answer any more; the request expires then. */
  readonly expiresAt: number
  /** When it was begun, or its turn came. */
  readonly startedAt: number
  readonly isSettled: boolean
  /** Whether it waits for one answer only. */
  readonly isSingle: boolean
  /** The key of the operation: by default the digits of its first correlation. */
  readonly operation: string
}

/** One who waits for its turn in a lane. */
export interface LaneMember {
  takeTurn(): void
}

/** What those who wait use of the desk. */
export interface RequestHost {
  readonly core: Core
  readonly deadlines: Deadlines
  readonly counts: RequestCounts
  /** How many connections were lost so far. */
  readonly losses: number
  /** Somebody begins (1) or ends (-1) to await an answer. */
  wants(by: 1 | -1): void
  /** A request begins to wait. @returns whether it may be sent. */
  opened(waiter: AnswerWaiter): boolean
  closed(waiter: AnswerWaiter): void
  /** Nobody waits for the answer of the last attempt any more, or for the grant before it. */
  forget(waiter: AnswerWaiter): void
  /** Counts and reports how a request ended. */
  report(waiter: AnswerWaiter, code: string | null, via: 'mqtt' | 'fallback'): void
  /** Sends an attempt as soon as its answer can come. */
  send(waiter: AnswerWaiter): void
  /** Grants the responder of a stream so many parts in all; 0 cancels the stream. */
  credit(control: string | null | undefined, correlation: string, parts: number): void
  /** @returns whether it is its turn now. */
  joinLane(lane: string, member: LaneMember): boolean
  leaveLane(lane: string, member: LaneMember): void
}
