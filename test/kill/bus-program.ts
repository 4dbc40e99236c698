/**
 * The program of the drill of the bus: one process of a service, until it is killed or is told to
 * end by SIGTERM.
 *
 *   program shop URL FOLDER PROCESS LIFE   serves an API and fires durable events: `+ EVENT`; its
 *                                          journal has a line for each call that it executes,
 *                                          `LIFE CALL TIME`
 *   program mail URL FOLDER PROCESS LIFE   listens with a store: `b EVENT` as a handler begins,
 *                                          `d EVENT` when the store has it
 *   program call URL FOLDER PROCESS LIFE   calls: `? CALL RPC TIME` and `! CALL RESULT TIME`
 *
 * With the life `end` nothing new is fired. `ready TIME` says that it works. A line is written
 * immediately, so that it is there even if the process is killed next.
 */
import { fdatasyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { type BusOptions, createBus, defineApi, type EventDedupe } from '../../src/bus/index.ts'
import { openDedupe, spool } from '../../src/disk/index.ts'
import { CALL_MS, machineMs } from './call-evidence.ts'

const [role, url = '', folder = '', name = '', life = ''] = process.argv.slice(2)
/** How often something is fired or called. */
const EVERY_MS = 30
/** More than this does not wait on the disk, so that all is delivered in the end. */
const QUEUED_MAX = 200

const shop = defineApi({
  ...{ name: 'shop', version: '1.0.0' },
  rpcs: {
    once: { input: z.string(), output: z.string() },
    again: { input: z.string(), output: z.string(), idempotent: true },
  },
  events: { sold: { payload: z.string() } },
})

function print(text: string): void {
  writeSync(1, `${text}\n`)
}

const isLast = life === 'end'
const options: BusOptions = {
  ...{ service: role!, process: name },
  client: { url, keepAlive: 30, reconnect: { when: 'always', minMs: 10, maxMs: 200 } },
}
const ending = new AbortController()
process.once('SIGTERM', () => ending.abort())
const isEnding = () => ending.signal.aborted

async function serve(): Promise<void> {
  const outbox = await spool(join(folder, name), { maxMessages: QUEUED_MAX })
  const bus = createBus({ ...options, outbox })
  const journal = openSync(join(folder, `${name}.journal`), 'a')
  const answer = async (call: string) => {
    writeSync(journal, `${name}.${life} ${call} ${machineMs()}\n`)
    fdatasyncSync(journal)
    await sleep(Math.random() * 10)
    return call
  }
  const served = bus.serve(shop, { once: answer, again: answer })
  const running = bus.run({ signal: ending.signal })
  await served.granted
  print(`ready ${machineMs()}`)
  for (let i = 0; !isLast && !isEnding(); i++) {
    const event = `${name}.${life}.${i}`
    await bus.fire(shop, 'sold', event, { id: event, durable: true })
    print(`+ ${event}`)
    await sleep(Math.random() * EVERY_MS * 2)
  }
  while (!isEnding()) {
    print(`o ${outbox.size}`)
    await sleep(100)
  }
  await running
  await bus.close()
  await outbox.close()
}

async function listen(): Promise<void> {
  const disk = await openDedupe(join(folder, name))
  const stored = (id: string) => print(`d ${id.slice(id.indexOf('/') + 1)}`)
  const store: EventDedupe = {
    seen: async (id) => {
      const isSeen = await disk.seen(id)
      // A process that was killed before it could say so has stored it.
      if (isSeen) stored(id)
      return isSeen
    },
    done: async (id) => {
      await disk.done(id)
      stored(id)
    },
  }
  const bus = createBus(options)
  const handle = async (event: { readonly value: string }) => {
    print(`b ${event.value}`)
    await sleep(Math.random() * 5)
  }
  const listening = { concurrency: 4, dedupe: { store } }
  const listener = bus.api(shop).sold.listen('welcome', listening, handle)
  const running = bus.run({ signal: ending.signal })
  await listener.granted
  print(`ready ${machineMs()}`)
  await running
  await bus.close()
  await disk.close()
}

async function call(): Promise<void> {
  const bus = createBus({ ...options, timeout: CALL_MS })
  const api = bus.api(shop)
  const running = bus.run({ signal: ending.signal })
  const open = new Set<Promise<void>>()
  print(`ready ${machineMs()}`)
  for (let i = 0; !isEnding(); i++) {
    const number = `${name}.${life}.${i}`
    const rpc = i % 2 === 0 ? 'once' : 'again'
    print(`? ${number} ${rpc} ${machineMs()}`)
    const settled = (how: string) => print(`! ${number} ${how} ${machineMs()}`)
    const result = api[rpc](number).then(
      (value) => settled(value === number ? 'ok' : 'WRONG'),
      (error: { readonly code?: string }) => settled(error.code ?? 'NO_CODE'),
    )
    open.add(result)
    void result.then(() => open.delete(result))
    await sleep(Math.random() * EVERY_MS * 2)
  }
  // A call needs no run().
  await Promise.all(open)
  await running
  await bus.close()
}

if (role === 'shop') await serve()
else if (role === 'mail') await listen()
else await call()
