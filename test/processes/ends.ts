/**
 * A program that ends a loop in the way that its argument names, and prints what is left when it
 * exits.
 */
import { connect, eventloop, publish, type Request, run, subscribe } from '../../src/index.ts'

const [kind = '', url = ''] = process.argv.slice(2)
process.on('exit', () => {
  const left = process
    .getActiveResourcesInfo()
    .filter((name) => !/PipeWrap|TTY|FSReq|CloseReq/.test(name))
  console.log(`left: ${left.join(', ')}`)
})

const requests: Request[] = [subscribe('x', { qos: 1 }), publish('a', 'b', { qos: 1 })]
const abort = new AbortController()

async function consume(loop: AsyncIterable<unknown>, each: () => void = () => {}): Promise<void> {
  for await (const _packet of loop) each()
}

const ends: Record<string, () => Promise<unknown>> = {
  done: () => consume(eventloop({ url, until: 'settled' }, requests)),
  break: async () => {
    for await (const _packet of eventloop(url, requests)) break
  },
  throw: () =>
    consume(eventloop(url, requests), () => {
      throw new Error('mine')
    }),
  abort: () => consume(eventloop({ url, signal: abort.signal }, requests), () => abort.abort()),
  disconnect: () => {
    const loop = eventloop(url, requests)
    return consume(loop, () => loop.disconnect())
  },
  shutdown: () => {
    const loop = eventloop(url, requests)
    return consume(loop, () => loop.shutdown())
  },
  refused: () => consume(eventloop('mqtt://127.0.0.1:1', requests)),
  return: async () => {
    const loop = eventloop(url, requests)
    await loop.next()
    await loop.return()
  },
  pending: async () => {
    const loop = eventloop({ url, until: 'closed' }, [])
    await loop.next()
    const waiting = loop.next()
    await loop.return()
    await waiting
  },
  connect: async () => {
    await (await connect(url))[Symbol.asyncDispose]()
  },
  run: () => run(url, requests),
  unreachable: async () => {
    const loop = eventloop({ url: 'mqtt://127.0.0.1:1', reconnect: 'always' }, requests)
    const waiting = loop.next()
    setTimeout(() => loop.shutdown(), 50)
    await waiting
  },
  'never started': async () => eventloop(url, requests),
}

await ends[kind]!().catch((error: unknown) => console.log(String(error)))
