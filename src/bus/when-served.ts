/**
 * Does the server grant what an API is served with? A server without Shared Subscriptions does not,
 * and a process that nobody can call would seem to work. (B18, a bus ends in order)
 */
import type { Client } from '../client/index.ts'
import type { BusParts } from './bus-parts.ts'
import type { Served } from './bus-types.ts'
import type { RunScope } from './run-scope.ts'
import { settledWithin } from './settled-within.ts'

/** What is not granted by then, or waits for the look at its schema, holds up nothing else. */
const GRANTED_MS = 1000

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

/** Resolves when all is granted, or after a second; what is refused ends the run, also later. */
export async function whenAllServed(
  { client, clock }: BusParts,
  scope: RunScope,
  served: readonly Served[],
  signal: AbortSignal,
): Promise<void> {
  const granted = Promise.all(served.map((one) => whenServed(client, one, signal)))
  scope.start(() => granted.then(() => {}))
  await settledWithin(clock, granted, GRANTED_MS)
}
