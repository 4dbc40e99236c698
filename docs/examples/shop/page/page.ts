/** The page: it places orders by a call, and shows what happens by events. */
import { browserHints } from 'it-mqtt'
import { createBus, declaredError } from 'it-mqtt/bus'
import { ITEMS, mail, type Order, orders, packing, reports } from '../apis.ts'

const url = new URL('/mqtt', location.href.replace(/^http/, 'ws'))
const bus = createBus({
  service: 'page',
  // Each page is a process of its own, which is gone when the page is.
  process: crypto.randomUUID(),
  client: { url, reconnect: 'always', networkHints: browserHints() },
})

const element = <E extends HTMLElement>(id: string) => document.getElementById(id) as E
const form = element<HTMLFormElement>('form')
const answer = element('answer')
const rows = new Map<string, HTMLElement>()

function show({ id, item, count, email, packed }: Order): void {
  const row = rows.get(id) ?? document.createElement('li')
  // What was packed stays so: the answer of list() may be newer than the events behind it.
  if (row.className === 'packed') return
  row.className = packed ? 'packed' : 'placed'
  row.textContent = `${count} × ${item} for ${email}`
  if (!rows.has(id)) element('orders').prepend(row)
  rows.set(id, row)
}

async function place(event: Event): Promise<void> {
  event.preventDefault()
  const data = new FormData(form)
  const [item, email] = ['item', 'email'].map((name) => String(data.get(name)))
  const wanted = { item: item as Order['item'], email: email!, count: Number(data.get('count')) }
  try {
    const { id } = await bus.api(orders).place(wanted)
    answer.textContent = `Thank you! Your order is ${id}.`
  } catch (error) {
    const declared = declaredError(orders.rpcs.place, error)
    // Others are faults of the input, of the connection or of the service, and say so themselves.
    answer.textContent =
      declared === null ? (error as Error).message : `Only ${declared.data.left} are left.`
  }
}

async function follow(): Promise<void> {
  const placed = bus.api(orders).placed
  const { packed } = bus.api(packing)
  const ports = [placed, packed, bus.api(mail).sent, bus.api(reports).sales] as const
  // Every page gets all events, and what it misses in a minute without a connection.
  const events = bus.listen('live', ports, { share: false, sessionExpiryInterval: 60 })
  // First it listens, and then it asks what there is: so nothing is lost in between.
  await events.granted
  for (const order of await bus.api(orders).list()) show(order)
  for await (const { value } of events) {
    if ('item' in value) show(value)
    else if ('text' in value) element('letters').prepend(`to ${value.email}: ${value.text}\n`)
    else element('sales').textContent = `${value.packed} of ${value.placed} orders are packed`
  }
}

for (const item of ITEMS) element<HTMLSelectElement>('items').add(new Option(item))
form.addEventListener('submit', place)
follow().catch((error: Error) => {
  answer.textContent = error.message
})
