/**
 * A worker of a fleet: each job goes to one of all that run, ten at a time, and is acknowledged when
 * it is done. What a worker had when it died it gets again when it is started again with the same
 * `clientId`. (Some servers give it to the others, mosquitto drops it when the session ends: so the
 * session is kept.)
 */
import { type ClientOptions, createClient } from 'it-mqtt/client'

/** Works until the signal is aborted, and finishes what it has begun. */
export async function worker(
  options: ClientOptions,
  work: (job: string) => Promise<void>,
  signal: AbortSignal,
) {
  // With the Receive Maximum a worker has at most 20 jobs; the others get the rest.
  await using client = createClient({ cleanStart: false, receiveMaximum: 20, ...options })
  const jobs = client.subscribe('jobs/#', { share: 'workers' })
  signal.addEventListener('abort', () => void jobs.return())
  await jobs.forEach(
    async ({ payload }) => {
      await work(payload.toString())
    },
    { concurrency: 10 },
  )
}
