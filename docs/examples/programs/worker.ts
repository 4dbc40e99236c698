/**
 * A worker of a fleet: each job goes to one of all that run, ten at a time, and is acknowledged when
 * it is done. The jobs of a worker that dies are given to the others.
 */
import { type ClientTarget, createClient } from 'it-mqtt/client'

/** Works until the signal is aborted, and finishes what it has begun. */
export async function worker(
  options: ClientTarget,
  work: (job: string) => Promise<void>,
  signal: AbortSignal,
) {
  await using client = createClient(options)
  const jobs = client.subscribe('jobs/#', { share: 'workers' })
  signal.addEventListener('abort', () => void jobs.return())
  await jobs.forEach(
    async ({ payload }) => {
      await work(payload.toString())
    },
    { concurrency: 10 },
  )
}
