/** Goal: two web streams behave as a Duplex of Node does, in what a connection uses of one. */

import { Duplex } from 'node:stream'
import { ReadableStream, TransformStream, WritableStream } from 'node:stream/web'
import { describe, expect, test } from 'vitest'
import { WebByteStream } from '../../../src/connection/transport/web-streams.ts'
import type { Endpoint, WebStreams } from '../../../src/platform/byte-stream.ts'
import { publish, subscribe } from '../../../src/requests/build.ts'
import { VirtualClock } from '../../support/clock.ts'
import { startLoop } from '../../support/loop.ts'
import { ScriptedServer } from '../../support/server.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

/** A readable that the test feeds, a writable that the test holds up, and every event as it comes. */
function opened({ held = false }: { held?: boolean } = {}) {
  const events: string[] = []
  const written: string[] = []
  const seen = { pulls: 0, cancelled: undefined as unknown, aborted: undefined as unknown }
  let source!: ReadableStreamDefaultController<unknown>
  let sink!: WritableStreamDefaultController
  let release = () => {}
  const stream = new WebByteStream({
    readable: new ReadableStream<unknown>(
      {
        start: (controller) => {
          source = controller as never
        },
        pull: () => {
          seen.pulls++
        },
        cancel: (reason) => {
          seen.cancelled = reason ?? 'no reason'
        },
      },
      { highWaterMark: 0 },
    ),
    writable: new WritableStream<Uint8Array>({
      start: (controller) => {
        sink = controller as never
      },
      write: (chunk) => {
        written.push(new TextDecoder().decode(chunk))
        if (!held) return
        return new Promise<void>((resolve) => {
          release = resolve
        })
      },
      close: () => {
        written.push('closed')
      },
      abort: (reason) => {
        seen.aborted = reason ?? 'no reason'
      },
    }),
  })
  stream.on('error', (error) => events.push(`error ${error.message}`))
  stream.on('end', () => events.push('end'))
  stream.on('close', () => events.push('close'))
  stream.once('finish', () => events.push('finish'))
  const listen = () => {
    stream.on('data', function (this: unknown, chunk) {
      expect(this).toBe(stream)
      events.push(new TextDecoder().decode(chunk))
    })
  }
  return { stream, events, written, seen, source, sink, listen, release: () => release() }
}

describe('reading', () => {
  test('nothing is read before somebody listens, and no chunk comes before the listener went on', async () => {
    const { source, events, seen, listen } = opened()
    await settle()
    expect(seen.pulls).toBe(0)
    source.enqueue(bytes('a'))
    listen()
    expect(events).toEqual([])
    await settle()
    expect(events).toEqual(['a'])
  })

  test('back-pressure: while it is paused nothing more is pulled, and what had come waits', async () => {
    const { stream, source, events, seen, listen } = opened()
    listen()
    await settle()
    expect(seen.pulls).toBe(1)
    stream.pause()
    source.enqueue(bytes('a'))
    await settle()
    expect([events, seen.pulls]).toEqual([[], 1])
    stream.resume()
    await settle()
    expect([events, seen.pulls]).toEqual([['a'], 2])
  })

  test('a stream that was paused first does not flow when somebody listens', async () => {
    const { stream, source, events, listen } = opened()
    stream.pause()
    listen()
    source.enqueue(bytes('a'))
    await settle()
    expect(events).toEqual([])
    stream.resume()
    await settle()
    expect(events).toEqual(['a'])
  })

  test('a pause in a listener holds the next chunk; a pause and a resume together lose nothing', async () => {
    const { stream, source, events, listen } = opened()
    listen()
    stream.on('data', () => stream.pause())
    for (const text of ['a', 'b', 'c']) source.enqueue(bytes(text))
    await settle()
    expect(events).toEqual(['a'])
    stream.resume()
    stream.pause()
    stream.resume()
    await settle()
    expect(events).toEqual(['a', 'b'])
  })

  test('the end comes once, after the last chunk, and not while it is paused', async () => {
    const { stream, source, events, listen } = opened()
    stream.pause()
    listen()
    source.enqueue(bytes('a'))
    source.close()
    await settle()
    expect(events).toEqual([])
    stream.resume()
    await settle()
    stream.resume()
    await settle()
    expect(events).toEqual(['a', 'end'])
  })

  test('a chunk that is no Uint8Array is an error that says so', async () => {
    const { source, events, listen } = opened()
    listen()
    source.enqueue('text')
    await settle()
    expect(events).toEqual([
      'error transport: readable must give a Uint8Array, not "text"',
      'close',
    ])
  })
})

describe('writing', () => {
  test('a write is done when the sink has taken it, in order', async () => {
    const { stream, written, release } = opened({ held: true })
    const done: string[] = []
    stream.write(bytes('a'), (error) => done.push(`a ${error}`))
    stream.write(bytes('b'), (error) => done.push(`b ${error}`))
    await settle()
    expect([written, done]).toEqual([['a'], []])
    release()
    await settle()
    expect([written, done]).toEqual([['a', 'b'], ['a undefined']])
  })

  test('it finishes when everything is written, and closes when both sides have ended', async () => {
    const { stream, source, events, written, seen, listen } = opened()
    listen()
    stream.write(bytes('a'), () => {})
    stream.end()
    stream.end()
    await settle()
    expect([written, events]).toEqual([['a', 'closed'], ['finish']])
    source.close()
    await settle()
    expect(events).toEqual(['finish', 'end', 'close'])
    expect(seen).toMatchObject({ cancelled: undefined, aborted: undefined })
    expect(stream.destroyed).toBe(true)
  })
})

describe('errors', () => {
  test('an error of the readable ends both sides, also while it is paused', async () => {
    const { stream, source, events, seen, listen } = opened()
    stream.pause()
    listen()
    source.error(new Error('cut'))
    await settle()
    expect(events).toEqual(['error cut', 'close'])
    expect(seen.aborted).toEqual(new Error('cut'))
  })

  test('an error of the writable ends both sides without a write, and fails the next one', async () => {
    const { stream, sink, events, seen, listen } = opened()
    listen()
    sink.error(new Error('cut'))
    await settle()
    expect(events).toEqual(['error cut', 'close'])
    expect(seen.cancelled).toEqual(new Error('cut'))
    const failed = await new Promise((resolve) => stream.write(bytes('a'), resolve))
    expect(failed).toEqual(new Error('cut'))
    stream.end()
    await settle()
    expect(events).toEqual(['error cut', 'close'])
  })

  test('an abort without a reason fails what is written with an error all the same', async () => {
    const { stream, sink, events, listen } = opened()
    listen()
    sink.error(undefined)
    const failed = await new Promise((resolve) => stream.write(bytes('a'), resolve))
    expect(failed).toBeInstanceOf(Error)
    await settle()
    expect(events).toEqual(['error the transport was aborted: no reason was given', 'close'])
  })
})

describe('destroy', () => {
  test('it aborts both sides and closes once, without an error', async () => {
    const { stream, source, events, seen, listen } = opened()
    listen()
    source.enqueue(bytes('a'))
    stream.destroy()
    stream.destroy(new Error('too late'))
    expect([stream.destroyed, events]).toEqual([true, []])
    await settle()
    expect(events).toEqual(['close'])
    expect(seen).toMatchObject({ cancelled: 'no reason', aborted: 'no reason' })
  })

  test('it does not wait for a write that stands still', async () => {
    const { stream, events } = opened({ held: true })
    let failed: unknown
    stream.write(bytes('a'), (error) => {
      failed = error
    })
    await settle()
    stream.destroy(new Error('enough'))
    await settle()
    expect(events).toEqual(['error enough', 'close'])
    expect(failed).toBeUndefined()
  })

  test('with an identity transform in between every byte comes back', async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const stream = new WebByteStream({ readable, writable })
    const got: string[] = []
    stream.on('data', (chunk) => got.push(new TextDecoder().decode(chunk)))
    const closed = new Promise<void>((resolve) => stream.on('close', resolve))
    for (const text of ['a', 'b', 'c']) stream.write(bytes(text), () => {})
    stream.end()
    await closed
    expect(got.join('')).toBe('abc')
  })
})

describe('a loop', () => {
  test('[T1] [D1] publishes and receives over two web streams, and comes back when they break', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const opened: WebStreams[] = []
    const transport = async (endpoint: Endpoint, signal: AbortSignal) => {
      const duplex = (await server.transport(endpoint, signal)) as Duplex
      const streams = Duplex.toWeb(duplex)
      opened.push(streams)
      return streams
    }
    const requests = [subscribe('a', { qos: 1 }), publish('b', 'x', { qos: 1 })]
    const options = { transport, until: 'closed', reconnect: 'always' } as const
    const { loop, outcomes, received, done } = startLoop(options, requests, undefined, { server })
    await server.clock.advance(1000)
    expect(outcomes.map(({ outcome }) => outcome.ok)).toEqual([true, true])
    server.connections[0]!.send({
      cmd: 'publish',
      topic: 'a',
      payload: 'hello',
      qos: 1,
      messageId: 7,
    } as never)
    await server.clock.advance(1000)
    expect(received.some((packet) => packet.cmd === 'publish')).toBe(true)
    server.connections[0]!.reset()
    await server.clock.advance(5000)
    expect(opened).toHaveLength(2)
    expect(loop.state.connection.kind).toBe('connected')
    loop.shutdown()
    await server.clock.advance(2000)
    await done
    expect(loop.state.connection.kind).toBe('closed')
  })
})
