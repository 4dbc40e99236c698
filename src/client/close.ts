/**
 * How does a client end in order? It takes nothing more, lets what is open be settled and what is
 * in hand be handled, and disconnects. (M14, closing twice is closing once; Q11, the end of the
 * client ends its requests)
 */
import type { ClientCore } from './client-core.ts'
import type { Closed } from './client-interface.ts'

const CLOSE_MS = 10_000
/**
 * How long a `for await` may take to come back for the next message, in ms. It may be its body that
 * waits for the end of the client.
 */
const BODY_MS = 1000

export async function closeClient(core: ClientCore, timeout = CLOSE_MS): Promise<Closed> {
  core.closing = true
  const subscriptions = [...core.reception.subscriptions]
  for (const subscription of subscriptions) subscription.close()
  const endDemand = core.publishing.open > 0 ? core.demand() : () => {}
  const handlers = subscriptions.map((one) => one.when(() => one.running === 0))
  // A `for await` comes back when it has handled what it was given.
  const bodies = subscriptions.map((one) => one.when(() => !one.iterated || one.inHand === 0))
  await Promise.all([
    within(
      core,
      timeout,
      Promise.all([...handlers, core.publishing.allSettled(), ...core.closers()]),
    ),
    within(core, Math.min(timeout, BODY_MS), Promise.all(bodies)),
  ])
  endDemand()
  const unsettled = core.publishing.open
  await core.end()
  return { settled: core.publishing.settled, unsettled, session: core.loop.session }
}

/** Resolves when `done` does, at the end of the client, or after `ms` ms. */
async function within(core: ClientCore, ms: number, done: Promise<unknown>): Promise<void> {
  await Promise.race([done, core.sleep(ms)])
}
