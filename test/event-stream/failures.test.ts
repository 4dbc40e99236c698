/**
 * Goal: what fails ends a stream of events with its reason, harms nothing else and is told to
 * everybody who waits. Method: ends in memory that fail when a test wants it.
 */
import { PassThrough, Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { text } from '../../src/client/index.ts'
import {
  decodeMessage,
  decodeStream,
  defineEvents,
  encodeMessage,
  type MessageInput,
  openEventStream,
  overBytes,
} from '../../src/event-stream/index.ts'
import { ConnectionError, UsageError } from '../../src/index.ts'
import { virtualClock } from '../../src/testing/index.ts'
import { frame } from './support.ts'
import { End, event, events, schema, settle, signing, taken } from './world.ts'

const push = (end: End, message: MessageInput) =>
  end.receive.push(decodeMessage(encodeMessage(message)))

describe('initial messages', () => {
  test.each(['throws', 'rejects'])('[V7] [V9] if the first send %s, all fails', async (how) => {
    const rpc = defineEvents({ done: {} }, { initialRequest: { codec: text }, initialResponse: {} })
    const error = new Error('no room')
    const end = new End()
    end.send = () => {
      if (how === 'throws') throw error
      return Promise.reject(error)
    }
    const stream = openEventStream(end, { events: rpc, role: 'client', initial: 'hello' })
    const waiting = [stream.next(), stream.initialResponse, stream.join()]
    const outcomes = Promise.allSettled(waiting)
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: error })
    expect([end.closed, end.receive.returns]).toEqual([[error], 1])
  })
})

describe('join before the iteration', () => {
  test('[V9] takes nothing from an iteration that begins later', async () => {
    const end = new End()
    const stream = openEventStream(end, { events, role: 'client' })
    const join = stream.join()
    await settle()
    expect(end.receive.pulls).toBe(1)
    const reading = taken(stream)
    for (const value of ['a', 'bb']) push(end, event('measured', value))
    end.receive.end()
    expect((await reading).events).toMatchObject([{ value: 1 }, { value: 2 }])
    await stream.end()
    expect(await join).toBe(true)
  })

  test('[V5] [V9] takes no error from the iteration', async () => {
    for (const isLate of [true, false]) {
      const end = new End()
      const stream = openEventStream(end, { events, role: 'client' })
      const join = Promise.allSettled([stream.join()])
      await settle()
      const early = isLate ? null : taken(stream)
      push(end, event('said'))
      await settle()
      const { error } = await (early ?? taken(stream))
      expect(error).toMatchObject({ code: 'INVALID_PAYLOAD' })
      expect(await join).toMatchObject([{ reason: error }])
      expect(await stream.next()).toEqual({ done: true, value: undefined })
    }
  })
})

describe('messages that cannot be encoded', () => {
  const wrong: readonly [string, MessageInput][] = [
    ['no message', 5 as never],
    ['a header that is a number', { headers: { n: 5 as never } }],
    ['headers that are too long', { headers: { a: 'x'.repeat(32_768) } }],
    ['a payload that is text', { payload: 'x' as never }],
    ['a payload that is too long', { payload: new Uint8Array(25_165_825) }],
  ]

  test.each(wrong)('[V8] [V9] %s harms nothing else, signed or not', async (_, message) => {
    for (const signer of [undefined, signing()]) {
      const end = new End()
      const stream = openEventStream(end, { events, role: 'client', signer })
      const bad = stream.sendRaw(message)
      const good = stream.send.done()
      await expect(bad).rejects.toBeInstanceOf(UsageError)
      await good
      await stream.end()
      expect(end.sent.length).toBe(signer === undefined ? 1 : 2)
    }
  })

  test('[V9] neither does a header of an event that cannot be written', async () => {
    const end = new End()
    const stream = openEventStream(end, { events, role: 'client' })
    await expect(stream.send.done(undefined, { n: 5 } as never)).rejects.toThrow(UsageError)
    await stream.send.done()
    await stream.end()
    expect(end.sent.length).toBe(1)
  })
})

describe('sources', () => {
  test('[V4] chunks without bytes are no sign of life', async () => {
    const clock = virtualClock()
    const end = new End()
    const chunks = end.receive as unknown as { push(chunk: Uint8Array): void }
    const source = end.receive as unknown as AsyncIterable<Uint8Array>
    const stream = decodeStream(source, { idleTimeout: 1000, platform: clock })
    const next = Promise.allSettled([stream.next()])
    const half = frame()
    chunks.push(half.subarray(0, 5))
    await clock.advance(600)
    // Some bytes are a sign.
    chunks.push(half.subarray(5, 10))
    for (let turn = 0; turn < 9; turn++) {
      await clock.advance(100)
      chunks.push(new Uint8Array(0))
    }
    expect(end.receive.returns).toBe(0)
    await clock.advance(100)
    expect(await next).toMatchObject([{ reason: { code: 'STALLED' } }])
    expect([end.receive.returns, clock.pendingTimers]).toEqual([1, 0])
  })

  test.each(['stalls', 'is left', 'is killed'])(
    '[V9] a stream of the web that %s while it is read is cancelled',
    async (how) => {
      const clock = virtualClock()
      let cancels = 0
      const readable = new ReadableStream<Uint8Array>({ cancel: () => void cancels++ })
      const carrier = overBytes({ readable }, { idleTimeout: 1000, platform: clock })
      const stream = openEventStream(carrier, { events, role: 'client' })
      const next = Promise.allSettled([stream.next()])
      await settle()
      if (how === 'stalls') await clock.advance(1000)
      else if (how === 'is left') await stream.return?.()
      else stream.kill()
      await next
      await settle()
      expect([cancels, clock.pendingTimers]).toEqual([1, 0])
    },
  )

  test.each(['stalls', 'is left'])(
    '[V9] a stream of Node that %s while it is read is destroyed',
    async (how) => {
      const clock = virtualClock()
      const readable = new Readable({ read() {} })
      const stream = decodeStream(readable, { idleTimeout: 1000, platform: clock })
      const next = Promise.allSettled([stream.next()])
      await settle()
      if (how === 'stalls') await clock.advance(1000)
      else await stream.return?.()
      await next
      await new Promise((resolve) => setImmediate(resolve))
      expect([readable.destroyed, clock.pendingTimers]).toEqual([true, 0])
    },
  )

  test('[V9] the way back of a stream of both ways stays open when its reading is left', async () => {
    const both = new PassThrough()
    const carrier = overBytes({ readable: both, writable: both })
    const stream = openEventStream(carrier, { events, role: 'client' })
    const next = stream.next()
    await settle()
    await stream.return?.()
    await next
    await stream.send.done()
    expect(both.destroyed).toBe(false)
    stream.kill()
  })
})

describe('errors quote no values', () => {
  const SECRET = 'hunter2'

  test.each<[string, unknown]>([
    ['a header of an unknown type', { headers: { a: { type: 'text', value: SECRET } } }],
    ['a header of another type', { headers: { a: { type: 'int', value: SECRET } } }],
    ['a header that is a number', { headers: { a: 424_242 } }],
    ['headers that are text', { headers: SECRET }],
    ['a payload that is text', { payload: SECRET }],
    ['a message that is text', SECRET],
  ])('[V1] [V9] %s', (_, message) => {
    const encode = () => encodeMessage(message as MessageInput)
    expect(encode).toThrow(UsageError)
    expect(encode).not.toThrow(new RegExp(`${SECRET}|424242`))
  })

  test.each(['json', 'codec'])('[V6] a payload that cannot be decoded: %s', async (how) => {
    const codec = {
      encode: () => '',
      decode: (payload: Uint8Array): never => {
        throw new Error(new TextDecoder().decode(payload))
      },
    }
    const own = defineEvents({ said: how === 'json' ? { payload: schema(() => true) } : { codec } })
    const end = new End()
    push(end, { ...event('said'), payload: new TextEncoder().encode(SECRET) })
    const { error } = await taken(openEventStream(end, { events: own, role: 'client' }))
    expect(error).toMatchObject({ code: 'INVALID_PAYLOAD' })
    expect(error.message).toContain('7 bytes')
    expect(error.cause).toBeUndefined()
    expect(String(error)).not.toContain(SECRET)
  })
})

test.each(['constructor', '__proto__', 'toString'])(
  '[V6] the exception %s is not defined, unless it is',
  async (type) => {
    const end = new End()
    const stream = openEventStream(end, { events, role: 'server' })
    const failed = stream.fail({ type, value: {} } as never)
    await expect(failed).rejects.toBeInstanceOf(UsageError)
    await expect(failed).rejects.toThrow('is not defined')
    await stream.send.done()
    expect(end.sent.length).toBe(1)
  },
)

test('[V4] an unknown event behind the last one fails no client', async () => {
  for (const known of ['done', 'said']) {
    const end = new End()
    const options = { events, role: 'client', endsWith: ['done'], onWarning() {} } as const
    push(end, event(known, known === 'said' ? { text: 'x' } : undefined))
    push(end, event('added later'.repeat(100)))
    end.receive.end()
    const { error } = await taken(openEventStream(end, options))
    if (known === 'done') expect(error).toBeNull()
    else expect(error).toMatchObject({ code: 'INCOMPLETE' })
    expect(String(error)).not.toContain('added')
  }
})

test('[V6] the keys of a payload that does not fit are cut in messages', async () => {
  const key = 'k'.repeat(5000)
  const issues = [{ message: 'no', path: [key] }, { message: 'no' }]
  const payload = { '~standard': { version: 1, vendor: 'test', validate: () => ({ issues }) } }
  const end = new End()
  push(end, event('said', {}))
  const own = defineEvents({ said: { payload: payload as never } })
  const { error } = await taken(openEventStream(end, { events: own, role: 'client' }))
  expect(error.code).toBe('INVALID_PAYLOAD')
  expect(error.message).toContain(`${'k'.repeat(80)}, (top)`)
  expect(error.message).not.toContain('k'.repeat(81))
})

test('[V9] a stream of Node that was destroyed before keeps no listeners', async () => {
  const writable = new PassThrough()
  writable.destroy()
  await new Promise((resolve) => setImmediate(resolve))
  const stream = openEventStream(overBytes({ writable }), { events, role: 'client' })
  const error = await stream.send.done().catch((reason) => reason)
  expect(error).toBeInstanceOf(ConnectionError)
  expect(error.code).toBe('CONNECTION_CLOSED')
  expect(['error', 'close'].map((name) => writable.listenerCount(name))).toEqual([0, 0])
})

test.each(['throws', 'rejects'])('[V9] a carrier whose close %s harms nobody', async (how) => {
  const close = () => {
    if (how === 'throws') throw new Error('closed badly')
    return Promise.reject(new Error('closed badly'))
  }
  const killed = Object.assign(new End(), { close })
  const stream = openEventStream(killed, { events, role: 'client' })
  const join = Promise.allSettled([stream.join()])
  await settle()
  const reason = new Error('enough')
  expect(() => stream.kill(reason)).not.toThrow()
  expect(await join).toMatchObject([{ reason }])
  const ended = Object.assign(new End(), { close })
  ended.receive.end()
  const clean = openEventStream(ended, { events, role: 'client' })
  await clean.end()
  expect(await clean.join()).toBe(true)
})
