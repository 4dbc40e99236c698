/** The orders: a service that is called, calls another one, and announces what happened. */
import { randomUUID } from 'node:crypto'
import { type Bus, declaredError } from 'it-mqtt/bus'
import { type Order, orders, packing, stock } from './apis.ts'

export function register(bus: Bus) {
  const placed = new Map<string, Order>()
  const { packed } = bus.api(packing)
  const listener = packed.listen('packed-orders', { onError: 'retry' }, ({ value: order }) => {
    placed.set(order.id, order)
  })
  const served = bus.serve(orders, {
    async place(wanted, call) {
      const { item, count } = wanted
      try {
        await bus.api(stock).take({ item, count })
      } catch (error) {
        // Of the errors of others the caller gets only those that this API declares as well.
        const declared = declaredError(stock.rpcs.take, error)
        if (declared !== null) call.fail(declared.code, declared.data)
        throw error
      }
      const order = { ...wanted, id: randomUUID(), packed: false }
      placed.set(order.id, order)
      // It is on disk when this resolves, and leaves as soon as the broker can be reached.
      await bus.fire(orders, 'placed', order, { durable: true })
      return order
    },
    list: () => [...placed.values()],
  })
  return [served, listener]
}
