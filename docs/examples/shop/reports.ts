/** A scheduler: it reports every second. */
import type { Bus } from 'it-mqtt/bus'
import { orders, reports } from './apis.ts'

export function register(bus: Bus) {
  bus.every(
    { seconds: 1 },
    async () => {
      const all = await bus.api(orders).list()
      const packed = all.filter((order) => order.packed).length
      await bus.fire(reports, 'sales', { placed: all.length, packed })
    },
    // Of several processes one reports. If it fails, the next one is a second later.
    { exclusive: 'sales', onError: 'skip' },
  )
  return [bus.serve(reports, {})]
}
