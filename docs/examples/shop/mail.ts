/** The mail: a service that listens to the events of two others. */
import type { Bus } from 'it-mqtt/bus'
import { mail, orders, packing } from './apis.ts'

export function register(bus: Bus) {
  const served = bus.serve(mail, {})
  const listener = bus.listen(
    'letters',
    [bus.api(orders).placed, bus.api(packing).packed],
    // Four letters are sent at a time, and those of one order one after the other.
    { onError: 'retry', concurrency: 4, orderBy: ({ value: order }) => order.id },
    async ({ value: { email, item, packed } }) => {
      const text = packed ? `Your ${item} is on its way.` : `Thank you for ordering ${item}.`
      // This is where a mail server gets it. If that throws, it is tried again.
      await bus.fire(mail, 'sent', { email, text })
    },
  )
  return [served, listener]
}
