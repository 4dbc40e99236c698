/**
 * Goal: event streams go over streams of Node, both ways and mirrored, over streams of the web and
 * over functions; a cut, a stall and an end are told apart. Method: real `node:http2` on the
 * loopback, streams in memory, and a virtual clock.
 */
import { once } from 'node:events'
import { connect, createServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import {
  decodeMessage,
  decodeStream,
  encodeMessage,
  openEventStream,
  overBytes,
} from '../../src/event-stream/index.ts'
import { ConnectionError, UsageError } from '../../src/index.ts'
import { virtualClock } from '../../src/testing/index.ts'
import { frame, joined, outcomeOf } from './support.ts'
import { event, events, settle, taken } from './world.ts'

async function http2(serve: (stream: ServerHttp2Stream) => unknown) {
  const server = createServer()
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200 })
    serve(stream)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  return {
    session,
    async close() {
      session.close()
      server.close()
      await once(server, 'close')
    },
  }
}

describe('over node:http2', () => {
  test('[V9] events go both ways at the same time, mirrored, and both sides end', async () => {
    let served!: (end: Promise<boolean>) => void
    const serverEnd = new Promise<boolean>((resolve) => {
      served = resolve
    })
    const { session, close } = await http2(async (readable) => {
      const carrier = overBytes({ readable, writable: readable })
      const server = openEventStream(carrier, { events, role: 'server' })
      for await (const one of server) {
        if (one.type === 'said') await server.send.said({ text: one.value.text.toUpperCase() })
      }
      await server.end()
      served(server.join())
    })
    const stream = session.request({ ':method': 'POST', ':path': '/' })
    const carrier = overBytes({ readable: stream, writable: stream })
    const client = openEventStream(carrier, { events, role: 'client' })
    const reading = taken(client)
    // More than the windows of HTTP/2 hold.
    const long = 'x'.repeat(20_000)
    for (let i = 0; i < 20; i++) await client.send.said({ text: long })
    await client.end()
    const { events: got, error } = await reading
    expect([error, got.length]).toEqual([null, 20])
    expect(got.at(-1)).toMatchObject({ value: { text: long.toUpperCase() } })
    expect([await client.join(), await serverEnd]).toEqual([true, true])
    expect(stream.listenerCount('drain')).toBe(0)
    await close()
  })

  test('[V4] a stream that is reset in the middle of a message is no end', async () => {
    const { session, close } = await http2((stream) => {
      stream.on('error', () => {})
      stream.write(
        joined([encodeMessage(event('done')), frame({ payload: new Uint8Array(99) }).slice(0, 50)]),
      )
      stream.once('data', () => stream.close(2))
    })
    const readable = session.request({ ':method': 'POST', ':path': '/' })
    readable.on('error', () => {})
    const carrier = overBytes({ readable, writable: readable })
    const client = openEventStream(carrier, { events, role: 'client' })
    expect((await client.next()).value).toMatchObject({ type: 'done' })
    await client.send.done()
    await expect(client.next()).rejects.toThrow()
    await close()
  })
})

describe('over streams in memory', () => {
  test('[V9] a full stream of Node makes send wait', async () => {
    // One message is on its way through, one waits, and the third one is too many.
    const writable = new PassThrough({ highWaterMark: 100 })
    const stream = openEventStream(overBytes({ writable }), { events, role: 'client' })
    await stream.send.done()
    await stream.send.done()
    let isSent = false
    const third = stream.send.done().then(() => {
      isSent = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(isSent).toBe(false)
    writable.resume()
    await third
    await stream.end()
    expect(await stream.join()).toBe(true)
  })

  test('[V9] a stream of Node that is destroyed rejects what waits, and ends no process', async () => {
    const writable = new PassThrough({ highWaterMark: 10 })
    const stream = openEventStream(overBytes({ writable }), { events, role: 'client' })
    const send = stream.send.done()
    await settle()
    writable.destroy(new Error('gone'))
    await expect(send).rejects.toThrow(/gone|destroyed/)
    await new Promise((resolve) => setImmediate(resolve))
    await expect(stream.send.done()).rejects.toThrow()
    expect(writable.listenerCount('error')).toBe(0)
  })

  test('[V9] kill destroys both ways', async () => {
    const both = new PassThrough()
    const carrier = overBytes({ readable: both, writable: both })
    const stream = openEventStream(carrier, { events, role: 'client' })
    const next = stream.next()
    await stream.send.done()
    expect((await next).value).toMatchObject({ type: 'done' })
    stream.kill()
    expect(both.destroyed).toBe(true)
  })

  test('[V3] [V9] streams of the web, and one that cannot be iterated', async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const sending = openEventStream(overBytes({ writable }), { events, role: 'client' })
    // Not every browser can iterate a stream.
    const reader = { getReader: () => readable.getReader() }
    const receiving = openEventStream(overBytes({ readable: reader }), { events, role: 'server' })
    const reading = taken(receiving)
    for (const value of ['a', 'b']) await sending.send.said({ text: value })
    await sending.end()
    expect((await reading).events).toMatchObject([
      { value: { text: 'a' } },
      { value: { text: 'b' } },
    ])
    const left = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(frame()),
      cancel: () => void cancels++,
    })
    let cancels = 0
    for await (const _ of decodeStream(left)) break
    await settle()
    expect(cancels).toBe(1)
  })

  test('[V9] a stream of the web that is full makes send wait, and kill aborts it', async () => {
    let reason: unknown
    const writable = new WritableStream<Uint8Array>(
      { write: () => new Promise(() => {}), abort: (given) => void (reason = given) },
      { highWaterMark: 2 },
    )
    const stream = openEventStream(overBytes({ writable }), { events, role: 'client' })
    await stream.send.done()
    const second = stream.send.done()
    await settle()
    stream.kill('enough')
    await expect(second).rejects.toBe('enough')
    await settle()
    expect(writable.locked).toBe(true)
    expect([undefined, 'enough']).toContain(reason)
  })

  test('a function takes bytes, and one way may be missing', async () => {
    const sent: Uint8Array[] = []
    const carrier = overBytes({ writable: (bytes) => void sent.push(bytes) })
    const stream = openEventStream(carrier, { events, role: 'client' })
    await stream.send.done()
    await stream.end()
    expect(decodeMessage(sent[0]!).headers.get(':event-type')?.value).toBe('done')
    expect(await stream.join()).toBe(true)
    const mute = openEventStream(overBytes({ readable: [] }), { events, role: 'client' })
    await expect(mute.send.done()).rejects.toBeInstanceOf(UsageError)
    expect(() => overBytes({ writable: 5 as never })).toThrow(UsageError)
  })
})

describe('ends of bytes', () => {
  test('[V4] each cut within a message rejects with how many bytes of how many came', async () => {
    const good = frame({ payload: new Uint8Array(5) })
    const two = joined([good, good])
    for (let end = 0; end <= two.length; end++) {
      const { messages, error } = await outcomeOf([two.slice(0, end)])
      expect(messages.length).toBe(Math.floor(end / good.length))
      const part = end % good.length
      if (part === 0) expect(error).toBeNull()
      else {
        expect(error).toBeInstanceOf(ConnectionError)
        expect(error.code).toBe('TRUNCATED')
        const all = part < 12 ? 'an unknown number' : good.length
        expect(error.message).toContain(`${part} bytes of ${all} came`)
      }
    }
  })

  test('[V4] a source that stalls is no end: it rejects, and is left', async () => {
    const clock = virtualClock()
    let left = 0
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<IteratorResult<Uint8Array>>(() => {}),
        return: async () => ({ done: true as const, value: void left++ }),
      }),
    }
    const stream = decodeStream(source, { idleTimeout: 1000, platform: clock })
    await clock.advance(5000)
    const next = stream.next()
    next.catch(() => {})
    await clock.advance(999)
    expect([left, clock.pendingTimers]).toEqual([0, 1])
    await clock.advance(1)
    await expect(next).rejects.toMatchObject({ code: 'STALLED', retryable: true })
    expect([left, clock.pendingTimers]).toEqual([1, 0])
    expect(await stream.next()).toEqual({ done: true, value: undefined })
    expect(() => decodeStream(source, { idleTimeout: 0 })).toThrow(UsageError)
  })

  test('[V4] what comes in time leaves no timer, and neither does return', async () => {
    const clock = virtualClock()
    const source = async function* () {
      yield frame()
      await new Promise(() => {})
    }
    const stream = decodeStream(source(), { idleTimeout: 1000, platform: clock })
    await stream.next()
    expect(clock.pendingTimers).toBe(0)
    const next = stream.next()
    await settle()
    expect(clock.pendingTimers).toBe(1)
    await stream.return?.()
    expect(await next).toEqual({ done: true, value: undefined })
    await settle()
    expect(clock.pendingTimers).toBe(0)
  })

  test('[V5] what the source throws is passed on, after the messages before it', async () => {
    const cause = new Error('reset')
    const source = async function* () {
      yield frame()
      throw cause
    }
    expect(await outcomeOf(source())).toMatchObject({ messages: [{}], error: cause })
  })
})
