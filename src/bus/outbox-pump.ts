/**
 * How do events leave the outbox? In order, a few at a time; each is removed when the server has it
 * or refuses it for good. (B9, only who serves an API fires its events)
 */
import type { MqttError, Outcome, PublishRequest, Request } from '../index.ts'
import type { BusParts } from './bus-parts.ts'
import { keepsEnvelope } from './event-envelope.ts'
import type { EventOutbox } from './fire-types.ts'

/** How many events may be without an outcome. */
const OPEN_MAX = 1000

/** Sends what is in the outbox until the signal is aborted. @throws what the outbox throws. */
export async function pumpOutbox(
  bus: BusParts,
  outbox: EventOutbox,
  signal: AbortSignal,
): Promise<void> {
  const iterator = outbox[Symbol.asyncIterator]()
  const open = new Set<Promise<void>>()
  // Each event has a signal of its own: Node warns of more than ten listeners to one.
  const controllers = new Set<AbortController>()
  let failure: { readonly error: unknown } | null = null
  let isStopped = false
  let stop = () => {}
  const stopped = new Promise<'stopped'>((resolve) => {
    stop = () => {
      isStopped = true
      for (const controller of controllers) controller.abort()
      resolve('stopped')
    }
  })
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const send = async (request: Request) => {
    const controller = new AbortController()
    controllers.add(controller)
    try {
      const outcome = await outcomeOf(bus, request, controller.signal)
      if (outcome === null) return
      if (!outcome.ok) {
        const { message } = outcome.error as Error
        bus.warn('EVENT_FAILED', `fire: an event of the outbox was refused: ${message}`)
      }
      await outbox.settled(request, outcome)
    } catch (error) {
      failure ??= { error }
      stop()
    } finally {
      controllers.delete(controller)
    }
  }
  let isWaiting = false
  try {
    while (!isStopped) {
      isWaiting = true
      const batch = await Promise.race([iterator.next(), stopped])
      if (batch === 'stopped') break
      isWaiting = false
      if (batch.done) break
      for (const request of batch.value) {
        if (isStopped) break
        const sending = send(request).finally(() => open.delete(sending))
        open.add(sending)
        if (open.size >= OPEN_MAX) await Promise.race(open)
      }
    }
  } finally {
    signal.removeEventListener('abort', stop)
    await Promise.all(open)
    const returned = Promise.resolve(iterator.return?.())
    // A generator that waits for an event ends only when one comes.
    if (isWaiting) returned.catch(() => {})
    else await returned
  }
  if (failure !== null) throw (failure as { readonly error: unknown }).error
}

/** Sends an event. @returns null if the next life has to send it. */
async function outcomeOf(
  bus: BusParts,
  request: Request,
  signal: AbortSignal,
): Promise<Outcome | null> {
  try {
    const { topic, payload = '', qos, properties } = request as PublishRequest
    const isKept = await keepsEnvelope(bus, { signal })
    const options = { qos: qos ?? 1, signal, ...(isKept ? { properties } : {}) }
    await bus.client.publish(topic, payload as Uint8Array, options)
    return { ok: true }
  } catch (error) {
    return isRefused(error) ? { ok: false, error: error as MqttError } : null
  }
}

/** @returns whether the same event is refused again. */
function isRefused(error: unknown): boolean {
  const { name, retryable } = error as { readonly name?: unknown; readonly retryable?: unknown }
  return (name === 'RefusedError' || name === 'UsageError') && retryable !== true
}
