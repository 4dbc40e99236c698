/**
 * Does the server grant what an API is served with? A server without Shared Subscriptions does not,
 * and a process that nobody can call would seem to work. (B18, a bus ends in order)
 */
import type { Client } from '../client/index.ts'
import type { Served } from './bus-types.ts'

/**
 * Resolves when the filters are granted or the signal is aborted.
 * @throws what the server answers if it does not grant them.
 */
export async function whenServed(
  client: Client,
  served: Served,
  signal: AbortSignal,
): Promise<void> {
  let stop = () => {}
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
    signal.addEventListener('abort', stop)
  })
  try {
    // Without a connection nothing is granted, and to ask for it would be demand beyond the run.
    await client.ready({ signal })
    await Promise.race([served.granted, stopped])
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
