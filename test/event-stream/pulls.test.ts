/**
 * Goal: pulls of decoded messages that overlap are answered in their order, whatever the source
 * does while it is asked. Method: a queue of chunks, several pulls, and each way in which a source
 * can end; and a source that pulls and leaves the stream while it gives a chunk.
 */
import { describe, expect, test } from 'vitest'
import { decodeStream, encodeMessage } from '../../src/event-stream/index.ts'
import { joined } from './support.ts'
import { event, Queue, settle } from './world.ts'

const END = { done: true, value: undefined }
const bytesOf = (type: string) => encodeMessage(event(type))

/** @returns the types of the messages, and what else became of the pulls. */
async function outcomesOf(pulls: readonly Promise<IteratorResult<unknown, undefined>>[]) {
  const outcomes = await Promise.allSettled(pulls)
  return outcomes.map((one) => {
    if (one.status === 'rejected') return one.reason
    const message = one.value.value as { headers: Map<string, { value: unknown }> } | undefined
    return one.value.done === true ? one.value : message?.headers.get(':event-type')?.value
  })
}

describe('pulls that overlap', () => {
  test('[V3] are answered in their order, from whole chunks and from single bytes', async () => {
    for (const size of [1, 7, 1000]) {
      const queue = new Queue<Uint8Array>()
      const stream = decodeStream(queue)
      const pulls = Array.from({ length: 4 }, () => stream.next())
      const bytes = joined(['a', 'b', 'c'].map(bytesOf))
      for (let at = 0; at < bytes.length; at += size) queue.push(bytes.subarray(at, at + size))
      queue.end()
      expect(await outcomesOf(pulls)).toEqual(['a', 'b', 'c', END])
    }
  })

  test('[V4] [V5] one is rejected, and those behind it are at the end', async () => {
    const queue = new Queue<Uint8Array>()
    const stream = decodeStream(queue)
    const pulls = Array.from({ length: 3 }, () => stream.next())
    queue.push(joined([bytesOf('a'), bytesOf('b').subarray(0, 5)]))
    queue.end()
    expect(await outcomesOf([...pulls, stream.next()])).toEqual([
      'a',
      expect.objectContaining({ code: 'TRUNCATED' }),
      END,
      END,
    ])
  })

  test('[V5] a source may throw nothing at all', async () => {
    const source = {
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(undefined) }),
    }
    const stream = decodeStream(source as AsyncIterable<Uint8Array>)
    expect(await outcomesOf([stream.next(), stream.next()])).toEqual([undefined, END])
  })

  test('[V9] all are at the end if the stream is left, and the source is asked once', async () => {
    const queue = new Queue<Uint8Array>()
    const stream = decodeStream(queue)
    const pulls = Array.from({ length: 3 }, () => stream.next())
    await settle()
    await stream.return?.()
    queue.push(bytesOf('a'))
    expect(await outcomesOf(pulls)).toEqual([END, END, END])
    expect([queue.pulls, queue.returns]).toEqual([1, 1])
  })
})

test('[V3] [V5] a source may pull and leave the stream while it gives a chunk', async () => {
  const bytes = joined(['a', 'b', 'c'].map(bytesOf))
  const inner: Promise<IteratorResult<unknown, undefined>>[] = []
  let given = 0
  function* source() {
    for (const byte of bytes) {
      given++
      if (given === 3) inner.push(stream.next())
      if (given === bytes.length - 2) void stream.return?.()
      yield Uint8Array.of(byte)
    }
  }
  const stream = decodeStream(source())
  const first = stream.next()
  expect(await outcomesOf([first, ...inner, stream.next(), stream.next()])).toEqual([
    'a',
    'b',
    END,
    END,
  ])
  expect(given).toBe(bytes.length - 2)
})
