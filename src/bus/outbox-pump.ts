/**
 * How do events leave the outbox? In order, a few at a time; each is removed when the server has it
 * or refuses it for good. (B9, only who serves an API fires its events)
 */
import type { PublishRequest, Request } from '../index.ts'
import { type BusParts, hasProperties } from './bus-parts.ts'
import type { EventOutbox } from './bus-types.ts'

/** How many events may be without an outcome. */
const OPEN_MAX = 1000

/** Sends what is in the outbox until the signal is aborted. @throws what the outbox throws. */
export async function pumpOutbox(
  { client, warn }: BusParts,
  outbox: EventOutbox,
  signal: AbortSignal,
): Promise<void> {
  const iterator = outbox[Symbol.asyncIterator]()
  const open = new Set<Promise<void>>()
  const aborted = new Promise<'aborted'>((resolve) => {
    signal.addEventListener('abort', () => resolve('aborted'), { once: true })
    if (signal.aborted) resolve('aborted')
  })
  const send = async (request: Request) => {
    try {
      const { topic, payload = '', qos, properties } = request as PublishRequest
      const isKept = await hasProperties(client, { signal })
      const options = { qos: qos ?? 1, signal, ...(isKept ? { properties } : {}) }
      await client.publish(topic, payload as Uint8Array, options)
    } catch (error) {
      // Without an outcome it stays in the outbox, and the next life sends it.
      if (!isRefused(error)) return
      warn('EVENT_FAILED', `fire: an event of the outbox was refused: ${(error as Error).message}`)
      await outbox.settled(request, { ok: false, error })
      return
    }
    await outbox.settled(request, { ok: true })
  }
  try {
    while (!signal.aborted) {
      const batch = await Promise.race([iterator.next(), aborted])
      if (batch === 'aborted' || batch.done) break
      for (const request of batch.value) {
        const sending = send(request).finally(() => open.delete(sending))
        open.add(sending)
        if (open.size >= OPEN_MAX) await Promise.race(open)
      }
    }
  } finally {
    await Promise.allSettled(open)
    await iterator.return?.()
  }
}

/** @returns whether the same event is refused again. */
function isRefused(error: unknown): boolean {
  const { name, retryable } = error as { readonly name?: unknown; readonly retryable?: unknown }
  return (name === 'RefusedError' || name === 'UsageError') && retryable !== true
}
