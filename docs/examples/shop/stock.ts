/** The stock: a service that is called. What it has is in memory, where a real one has a database. */
import type { Bus } from 'it-mqtt/bus'
import { stock } from './apis.ts'

export function register(bus: Bus) {
  const left = { tea: 100, cup: 20, teapot: 3 }
  const served = bus.serve(stock, {
    take({ item, count }, call) {
      if (left[item] < count) call.fail('SOLD_OUT', { left: left[item] })
      left[item] -= count
    },
  })
  return [served]
}
