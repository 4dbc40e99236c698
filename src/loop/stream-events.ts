/**
 * What the request stream and the consumer do: requests are taken, the stream ends, packets are
 * taken and handled. Each becomes an input.
 */
import type { Input } from '../protocol/contract.ts'
import { requestCapacity } from '../protocol/queries.ts'
import { DRAIN_MS } from './controls.ts'
import { rethrown } from './failures.ts'
import type { Parts } from './parts.ts'

/** Adds, as inputs, what stream and consumer did since the last step. */
export function collect(loop: Parts): void {
  addRequests(loop, false)
  const { inbox } = loop
  if (!inbox.dirty) return
  const { packets, bytes, yieldedThrough, handledThrough } = inbox
  const at = loop.now()
  // The consumer took these before whatever happened to the connection since.
  const pulled: Input = { type: 'pulled', at, packets, bytes, yieldedThrough, handledThrough }
  loop.addFirst(pulled)
  inbox.reported()
}

/**
 * Adds the requests that were taken. `hold`: the loop ends, so they are remembered and not sent.
 */
export function addRequests(loop: Parts, hold: boolean): void {
  const requests = loop.intake.drainFacts()
  if (requests === null) return
  loop.add({ type: 'requests', at: loop.now(), requests, hold })
}

/** Says how many requests may be taken until the next step. */
export function allowIntake(loop: Parts): void {
  const { flow, connection } = loop.state
  const counting = flow.perSecond > 0 || flow.diverting
  // A group is encoded before it is known on which connection it leaves, and so has no topic
  // aliases.
  const grouping = connection.limits.topicAliasMaximum === 0
  loop.intake.allow(requestCapacity(loop.state), counting, grouping)
}

/** The request stream has ended; `error`: with what it threw, or null. */
export function requestsEnded(loop: Parts, error: { readonly thrown: unknown } | null): void {
  const at = loop.now()
  loop.push({ type: 'requestsEnded', at })
  if (error === null) return
  // Requests that were taken may still settle; then the loop ends with what the stream threw.
  const failure = rethrown(loop.causes.keep(error.thrown))
  loop.push({ type: 'disconnect', at, timeoutMs: DRAIN_MS, failure })
}
