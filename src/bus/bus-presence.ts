/**
 * How do others see that a process of a service is there? By it-mqtt/presence: each service is a
 * space, and each of its processes a member. (B21, a process can be present)
 */
import { type Client, type ClientOptions, createClient } from '../client/index.ts'
import type { Platform } from '../index.ts'
import { type Presence, presence, withPresence } from '../presence/index.ts'

/** @returns a client whose loss is noticed, and who is there of its service. */
export function presentClient(
  options: ClientOptions,
  prefix: string,
  service: string,
): { readonly client: Client; readonly processes: Presence } {
  const client = createClient(withPresence(options, { prefix: `${prefix}/_presence`, grace: 0 }))
  return { client, processes: presence(client, service) }
}

interface PresentProcess {
  readonly processes: Presence | null
  readonly process: string
  readonly clock: Platform
}

/** Enters, unless the signal is aborted before. `close()` of the client leaves. @throws as enter */
export async function enterService(
  { processes, process, clock }: PresentProcess,
  signal: AbortSignal,
): Promise<void> {
  if (processes === null || processes.state.entered > 0) return
  const since = new Date(clock.wallNow?.() ?? Date.now()).toISOString()
  let stop = () => {}
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', stop)
  })
  // Without a connection it would wait for one.
  await Promise.race([processes.enter({ since }, { client: process }), stopped])
  signal.removeEventListener('abort', stop)
}
