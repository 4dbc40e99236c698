/**
 * A bridge: what is published at one broker is published at the other, in order. A message is
 * acknowledged when the other broker has it, so that none is lost, whichever of the three dies.
 */
import { type ClientOptions, createClient } from 'it-mqtt/client'

/** Bridges until the signal is aborted. */
export async function bridge(from: ClientOptions, to: ClientOptions, signal: AbortSignal) {
  await using near = createClient({ clientId: 'bridge', cleanStart: false, ...from })
  await using far = createClient(to)
  const messages = near.subscribe('plant/#')
  signal.addEventListener('abort', () => void messages.return())
  await messages.forEach(
    async ({ topic, payload, qos, retain }) => {
      await far.publish(topic, payload, { qos, retain })
    },
    { concurrency: 100 },
  )
}
