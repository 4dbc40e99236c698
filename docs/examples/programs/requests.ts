/** Requests and responses: a service that squares numbers, and somebody who asks it. */
import { type ClientTarget, createClient, text } from 'it-mqtt/client'

/** Serves until the signal is aborted, at most 16 requests at a time. */
export async function serve(
  options: ClientTarget,
  square: (x: number) => Promise<number>,
  signal: AbortSignal,
) {
  await using client = createClient(options)
  client.respond('square', async ({ value }) => String(await square(Number(value))), {
    codec: text,
  })
  await client.run({ signal })
}

/** Asks for all at once; what has no answer within `timeout` ms is rejected. */
export async function ask(options: ClientTarget, numbers: readonly number[], timeout: number) {
  await using client = createClient(options)
  return await Promise.allSettled(
    numbers.map(async (x) => {
      const { value } = await client.request('square', String(x), { timeout, codec: text })
      return Number(value)
    }),
  )
}
