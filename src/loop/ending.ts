/**
 * How does a loop end? The consumer leaves, the user's signal is aborted, the reducers finish, or a
 * defect is found. In each case no timer, socket, listener or promise is left (N4, nothing is left
 * after the end).
 */
import { abortReason, ignoreAbort } from '../platform/abort-listeners.ts'
import type { Input } from '../protocol/contract.ts'
import type { Failure } from '../protocol/facts.ts'
import type { Unheard } from '../requests/unheard.ts'
import type { Incoming } from '../requests/vocabulary.ts'
import { closedError } from './failures.ts'
import { hasStopped, isAlive, lifeAfter } from './life.ts'
import { failOutstanding } from './link-events.ts'
import { heldCount, isFinished } from './loop-state.ts'
import { endsOf, type Parts, type Thrown } from './parts.ts'
import { reportTransition, settleLate } from './perform.ts'
import { addRequests } from './stream-events.ts'

const CLOSE_UNBEGUN: Input = { type: 'shutdown', at: 0, failure: null }

/**
 * Closes the streams: packets that nobody took, and requests that the streams handed out, are dealt
 * with for the last time.
 */
export function leave(loop: Parts): void {
  const { life } = loop
  if (life === 'leaving' || hasStopped(life)) return
  loop.life = lifeAfter(life, 'leave')
  if (life === 'unbegun') closeUnbegun(loop)
  if (life === 'established') {
    endsOf(loop).kept = null
    loop.link?.handTo(loop)
  }
  addRequests(loop, false)
  loop.intake.close()
  addRequests(loop, true)
  loop.inbox.clear()
}

/** Leaves because the consumer did, and waits for the end. */
export async function leaveAndWait(loop: Parts): Promise<void> {
  leave(loop)
  if (loop.ends !== null) loop.ends.error = null
  loop.run({ type: 'shutdown', at: loop.now(), failure: null })
  await untilOver(loop)
}

/**
 * Ends a loop that was never asked for a packet. It has no connection, but it may have a session
 * store and users of `transitions()`.
 */
function closeUnbegun(loop: Parts): void {
  for (const effect of loop.advance([CLOSE_UNBEGUN])) {
    if (effect.type === 'transition') reportTransition(loop, effect)
  }
  loop.watchers?.end()
  closeStore(loop, null)
}

export function abort(loop: Parts): void {
  leave(loop)
  const { signal } = loop.resolved.options
  loop.fail(signal && abortReason(signal))
}

/** Stops everything. */
export function end(loop: Parts, error: Thrown | null): void {
  if (!isAlive(loop.life)) return
  const hasLeft = loop.life === 'leaving'
  loop.life = lifeAfter(loop.life, 'ended')
  if (!isFinished(loop)) markFailed(loop)
  holdTaken(loop)
  const { signal } = loop.resolved.options
  const onAbort = loop.ends?.onAbort ?? null
  if (onAbort !== null && signal !== undefined) ignoreAbort(signal, onAbort)
  loop.stopTimer()
  failOutstanding(loop, closedError)
  loop.network?.stop()
  abandonDiverted(loop)
  loop.watchers?.end()
  loop.dialer?.stop()
  loop.link?.handTo(null)
  loop.link?.destroy()
  loop.link = null
  loop.ledger.close()
  if (!hasLeft)
    loop.intake.release(error === null && heldCount(loop.state, loop.intake.pending) === 0)
  loop.inbox.serve()
  if (error !== null && !signal?.aborted) reportRecording(loop)
  closeStore(loop, error)
}

/** A defect ended the loop past the reducers. */
function markFailed(loop: Parts): void {
  const { connection } = loop.state
  const base = { phase: 'connected', source: 'bug', code: 'BUG', retryable: false } as const
  const reason: Failure = { ...base, message: 'A defect of it-mqtt ended the loop.' }
  loop.replaceState({ ...loop.state, connection: { ...connection, kind: 'failed', reason } })
  const moved = { from: connection.kind, to: 'failed', reason, at: loop.now() } as const
  const retryAt = Number.POSITIVE_INFINITY
  reportTransition(loop, { type: 'transition', ...moved, retryAt, sessionPresent: null })
}

/** Requests that were taken and have not become part of the state are held. */
function holdTaken(loop: Parts): void {
  addRequests(loop, true)
  const taken = loop
    .takeInputs()
    .flatMap((input) => (input.type === 'requests' ? [{ ...input, hold: true }] : []))
  if (taken.length > 0) loop.advance(taken)
}

/**
 * A publish that is diverted is not held, because it may have arrived already. It is settled with
 * an error that says so, unless its stream gives it again after a restart.
 */
function abandonDiverted(loop: Parts): void {
  const handles = loop.diverter?.end() ?? []
  const message =
    'The loop ended while divert.to had this publish; whether it arrived is not known.'
  const base = { phase: 'request', source: 'connection', retryable: true } as const
  const failure: Failure = { ...base, code: 'DIVERT_ABORTED', message }
  for (const handle of handles) {
    if (loop.ledger.get(handle)?.settling?.replays) continue
    settleLate(loop, loop.advance([{ type: 'diverted', at: loop.now(), handle, failure }]))
  }
}

/**
 * Calls the recorder's `onFault`. An error that it throws is dropped, because the loop reports the
 * error with which it ends.
 */
function reportRecording({ recorder }: Parts): void {
  try {
    recorder?.fault()
  } catch {
    // The loop ends with an error of its own, which is the one that is reported.
  }
}

/** Closes the session store, if there is one, and then reports the end. */
function closeStore(loop: Parts, error: Thrown | null): void {
  const finish = () => finished(loop, error)
  if (loop.gate === null) finish()
  else loop.gate.close().then(finish, finish)
}

function finished(loop: Parts, error: Thrown | null): void {
  loop.life = lifeAfter(loop.life, 'stored')
  const { ends } = loop
  const established = ends?.established ?? null
  if (established !== null) {
    ends!.established = null
    established(error ?? { reason: closedError() })
  } else {
    // A refusal that the consumer did not look at may have come up meanwhile.
    const last = error ?? ends?.error ?? null
    const reported = loop.inbox.end(last)
    if (last !== null) endsOf(loop).error = reported ? null : last
  }
  const awaiting = ends?.awaiting ?? []
  if (ends !== null) ends.awaiting = []
  for (const resolve of awaiting) resolve()
}

/**
 * Ends the loop with the error of a refusal that only the consumer was given, if it asks for the
 * next packet without having looked at the code. (D6, one bad request never stalls the others)
 */
export function endIfUnheard(loop: Parts, unheard: Unheard): void {
  const error = unheard.ask()
  if (error === null) return
  // The connection may be lost already, so that the loop ends in order before it can fail.
  endsOf(loop).error ??= error
  if (!hasStopped(loop.life)) loop.fail(error.reason)
}

/** @returns what `next()` gives after the end: once the error of the loop, if there is one. */
export function resultAfterEnd({ ends }: Parts): Promise<IteratorResult<Incoming, undefined>> {
  const error = ends?.error ?? null
  if (error === null) return Promise.resolve({ done: true, value: undefined })
  ends!.error = null
  return Promise.reject(error.reason)
}

/** @returns a promise that resolves when nothing is left of the loop. */
async function untilOver(loop: Parts): Promise<void> {
  if (loop.life === 'over') return
  await new Promise<void>((resolve) => {
    endsOf(loop).awaiting.push(resolve)
  })
}
