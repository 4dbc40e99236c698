/**
 * What the parts of the shop say to each other. Services and the page import this file: it is plain
 * data, and the types on both sides come from its schemas.
 */
import { defineApi } from 'it-mqtt/bus'
import * as z from 'zod'

export const ITEMS = ['tea', 'cup', 'teapot'] as const

const item = z.enum(ITEMS)
const count = z.int().min(1).max(10)
const order = z.object({ id: z.string(), item, count, email: z.email(), packed: z.boolean() })
/** An error that an API declares has a code and data, and the caller gets both with their types. */
const errors = { SOLD_OUT: z.object({ left: z.int() }) }

export type Order = z.infer<typeof order>

export const orders = defineApi({
  name: 'orders',
  version: '1.0.0',
  rpcs: {
    place: { input: order.pick({ item: true, count: true, email: true }), output: order, errors },
    // What may run twice is called again by itself if the connection is lost meanwhile.
    list: { output: z.array(order), idempotent: true },
  },
  events: { placed: { payload: order } },
})

export const stock = defineApi({
  name: 'stock',
  version: '1.0.0',
  rpcs: { take: { input: z.object({ item, count }), errors } },
})

export const packing = defineApi({
  name: 'packing',
  version: '1.0.0',
  events: { packed: { payload: order } },
})

export const mail = defineApi({
  name: 'mail',
  version: '1.0.0',
  events: { sent: { payload: z.object({ email: z.email(), text: z.string() }) } },
})

export const reports = defineApi({
  name: 'reports',
  version: '1.0.0',
  events: { sales: { payload: z.object({ placed: z.int(), packed: z.int() }) } },
})
