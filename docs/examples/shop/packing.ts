/**
 * A worker: each order is packed by one of its processes, and waits in their session at the broker
 * while none runs. Start as many as you need, each with a name of its own.
 */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bus } from 'it-mqtt/bus'
import { openDedupe } from 'it-mqtt/disk'
import { orders, packing } from './apis.ts'

/** How long the work takes, in ms. */
const WORK_MS = 300

export async function register(bus: Bus, folder = join(tmpdir(), 'it-mqtt-shop')) {
  // Orders that were packed, also before a restart. An order that comes again is not packed again.
  const store = await openDedupe(join(folder, bus.process))
  bus.hook({
    async stop(_context, next) {
      await next()
      await store.close()
    },
  })
  const served = bus.serve(packing, {})
  const listener = bus.api(orders).placed.listen(
    'pack',
    // What fails three times, in all lives of the process, is put aside for people.
    { dedupe: { store }, concurrency: 2, onError: 'deadLetter', maxRedeliveries: 3 },
    async ({ value: order }) => {
      await sleep(WORK_MS)
      // If the process ends before the store knows, the same event is fired once more. Its id is
      // the same too, so that listeners recognize it.
      await bus.fire(packing, 'packed', { ...order, packed: true }, { id: `packed-${order.id}` })
    },
  )
  return [served, listener]
}
