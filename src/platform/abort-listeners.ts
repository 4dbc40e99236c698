/**
 * Who wants to know when a signal is aborted? The package has one listener on each signal of the
 * user, however many requests and loops use it, because Node warns of a leak at the eleventh.
 *
 * The listener is removed with the last callback (N4, nothing is left after the end).
 */

type Callback = () => void

/** What waits for one signal. */
interface Waiting {
  /** In the order in which they were added. */
  readonly callbacks: Set<Callback>
  /** The listener on the signal. */
  readonly listener: Callback
}

const waitingFor = new WeakMap<AbortSignal, Waiting>()

/**
 * Calls `callback` once if the signal is aborted. The callback must not throw. A function that
 * waits for a signal already is not added again.
 */
export function listenForAbort(signal: AbortSignal, callback: Callback): void {
  const waiting = waitingFor.get(signal) ?? waitOn(signal)
  waiting.callbacks.add(callback)
}

/** What was made for aborted signals that have no reason, so that it stays the same. */
const made = new WeakMap<AbortSignal, Error>()

/** @returns the reason of an aborted signal, which a few runtimes do not give. */
export function abortReason(signal: AbortSignal): unknown {
  if (signal.reason !== undefined) return signal.reason
  const known = made.get(signal)
  if (known !== undefined) return known
  const error = Object.assign(new Error('This operation was aborted'), { name: 'AbortError' })
  made.set(signal, error)
  return error
}

/** @throws the reason of the signal if it is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortReason(signal)
}

/** Takes a callback back. It is no error if the signal was aborted before. */
export function ignoreAbort(signal: AbortSignal, callback: Callback): void {
  const waiting = waitingFor.get(signal)
  if (waiting === undefined) return
  waiting.callbacks.delete(callback)
  if (waiting.callbacks.size > 0) return
  waitingFor.delete(signal)
  signal.removeEventListener('abort', waiting.listener)
}

function waitOn(signal: AbortSignal): Waiting {
  const callbacks = new Set<Callback>()
  const listener = () => {
    // A callback that an earlier one takes back is not called.
    for (const callback of callbacks) callback()
    waitingFor.delete(signal)
  }
  const waiting = { callbacks, listener }
  waitingFor.set(signal, waiting)
  signal.addEventListener('abort', listener, { once: true })
  return waiting
}
