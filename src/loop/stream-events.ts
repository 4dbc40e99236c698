/**
 * How do events of the request stream and of the consumer become inputs? Requests are taken, the
 * stream ends, packets are taken and handled.
 */
import type { Input } from '../protocol/contract.ts'
import { isOffline, requestCapacity } from '../protocol/queries.ts'
import { DRAIN_MS } from './controls.ts'
import { rethrown } from './failures.ts'
import type { Parts } from './parts.ts'

/** Adds inputs for everything that the stream and the consumer did since the last step. */
export function collect(loop: Parts): void {
  addRequests(loop, false)
  const { inbox } = loop
  if (!inbox.dirty) return
  const { packets, bytes, yieldedThrough, handledThrough } = inbox
  const at = loop.now()
  // The consumer took these packets before any later change of the connection, so this input goes
  // first.
  const pulled: Input = { type: 'pulled', at, packets, bytes, yieldedThrough, handledThrough }
  loop.addFirst(pulled)
  inbox.reported()
}

/**
 * Adds an input for the requests that were taken.
 * @param hold true if the loop ends, so that the requests are held and not sent.
 */
export function addRequests(loop: Parts, hold: boolean): void {
  const requests = loop.intake.drainFacts()
  if (requests === null) return
  loop.add({ type: 'requests', at: loop.now(), requests, hold })
}

/** Sets how many requests may be taken until the next step. */
export function allowIntake(loop: Parts): void {
  const { flow, connection } = loop.state
  const each = flow.perSecond > 0 || flow.diverting
  const counting = isOffline(loop.state) ? 'offline' : each ? 'each' : 'windowed'
  // A group is encoded before it is known on which connection it leaves, and so has no topic
  // aliases.
  const grouping = connection.limits.topicAliasMaximum === 0
  loop.intake.allow(requestCapacity(loop.state), counting, grouping)
}

/** Takes requests as far as allowed. An attempt of `connect()` has no stream yet. */
export function gather(loop: Parts): void {
  if (loop.life !== 'establishing' && requestCapacity(loop.state) > 0) loop.intake.gather()
}

/**
 * Adds an input because the request stream has ended.
 * @param error the error that the stream threw, or null.
 */
export function requestsEnded(loop: Parts, error: { readonly thrown: unknown } | null): void {
  const at = loop.now()
  loop.push({ type: 'requestsEnded', at })
  if (error === null) return
  // Requests that were taken may still settle. After that the loop ends with the error of the
  // stream.
  const failure = rethrown(loop.causes.keep(error.thrown))
  loop.push({ type: 'disconnect', at, timeoutMs: DRAIN_MS, failure })
}
