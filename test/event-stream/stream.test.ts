/**
 * Goal: typed events go both ways, and every end, refusal and failure is told apart. Method: two
 * ends in memory; what the other end sends is written by hand.
 */
import { describe, expect, expectTypeOf, test } from 'vitest'
import { json, text } from '../../src/client/index.ts'
import {
  type Carrier,
  chunkSigning,
  decodeMessage,
  defineEvents,
  type EventOf,
  encodeMessage,
  header,
  type Message,
  type MessageInput,
  openEventStream,
  type Signer,
} from '../../src/event-stream/index.ts'
import { ConnectionError, ProtocolError, RefusedError, UsageError } from '../../src/index.ts'
import { virtualClock } from '../../src/testing/index.ts'
import { End, event, events, pair, schema, settle, signing, taken } from './world.ts'

const utf8 = (given: string) => new TextEncoder().encode(given)

/** A stream whose other side sent these messages, and has ended unless `isOpen`. */
function received(
  messages: readonly MessageInput[],
  options: Partial<Parameters<typeof openEventStream<typeof events, 'client'>>[1]> = {},
  isOpen = false,
) {
  const end = new End()
  for (const message of messages) end.receive.push(decodeMessage(encodeMessage(message)))
  if (!isOpen) end.receive.end()
  const warnings: string[] = []
  const onWarning = ({ code, message }: { code: string; message: string }) =>
    void warnings.push(`${code}: ${message}`)
  const stream = openEventStream(end, { events, role: 'client', onWarning, ...options })
  return { end, stream, warnings }
}

describe('events', () => {
  test('[V6] go both ways with their types, values and headers', async () => {
    const [a, b] = pair()
    const client = openEventStream(a, { events, role: 'client' })
    const server = openEventStream(b, { events, role: 'server' })
    await client.send.said({ text: 'hello' }, { lang: 'en' })
    await client.send.counted(undefined, { n: header.int(5) })
    await client.send.measured('four')
    await client.send.done()
    await client.end()
    expect(await taken(server)).toEqual({
      events: [
        {
          type: 'said',
          value: { text: 'hello' },
          headers: new Map([['lang', header.string('en')]]),
        },
        { type: 'counted', value: undefined, headers: { n: 5 } },
        { type: 'measured', value: 4, headers: new Map() },
        { type: 'done', value: undefined, headers: new Map() },
      ],
      error: null,
    })
    expect([...a.sent[0]!.headers]).toEqual([
      [':message-type', header.string('event')],
      [':event-type', header.string('said')],
      [':content-type', header.string('application/json')],
      ['lang', header.string('en')],
    ])
    expect([...a.sent[3]!.headers.keys()]).toEqual([':message-type', ':event-type'])
    type Got = EventOf<(typeof events)['events']>
    expectTypeOf<Extract<Got, { type: 'measured' }>['value']>().toEqualTypeOf<number>()
    expectTypeOf<Extract<Got, { type: 'counted' }>['headers']>().toEqualTypeOf<{ n: number }>()
    expectTypeOf(client.send.measured).parameter(0).toEqualTypeOf<string>()
  })

  test('[V6] codecs of the client are codecs of events', async () => {
    const own = defineEvents({ line: { codec: text }, any: { codec: json } })
    const [a, b] = pair()
    const client = openEventStream(a, { events: own, role: 'client' })
    await client.send.line('é')
    await client.send.any([1])
    await client.end()
    const { events: got } = await taken(openEventStream(b, { events: own, role: 'server' }))
    expect(got).toMatchObject([{ value: 'é' }, { value: [1] }])
    expect(a.sent[1]!.headers.get(':content-type')).toEqual(header.string('application/json'))
  })

  test.each([
    ['no JSON', { ...event('said'), payload: utf8('{') }],
    ['not UTF-8', { ...event('said'), payload: Uint8Array.of(0xff) }],
    ['nothing', event('said')],
    ['refused by its schema', event('said', { text: 'secret'.length })],
    ['headers that are refused', event('counted')],
  ])('[V5] [V6] a payload that is %s rejects, without its value', async (_, message) => {
    const { stream, end } = received([event('done'), message, event('done')])
    const { events: got, error } = await taken(stream)
    expect(error).toBeInstanceOf(ProtocolError)
    expect(error.code).toBe('INVALID_PAYLOAD')
    expect(error.message).not.toMatch(/secret|no: /)
    expect([got.length, end.receive.returns, end.closed]).toEqual([1, 1, [error]])
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  })

  test('[V6] what cannot be sent harms nothing else', async () => {
    const [a] = pair()
    const stream = openEventStream(a, { events, role: 'client' })
    const wrong = [
      stream.send.said({ text: 5 } as never),
      stream.send.said({ text: 'x' }, { ':event-type': 'y' }),
      stream.send.counted(undefined, { n: 'five' }),
      stream.send.said({ text: 'x' }, { n: 5 as never }),
      stream.sendRaw(5 as never),
    ]
    for (const one of wrong.slice(0, 3)) await expect(one).rejects.toBeInstanceOf(UsageError)
    expect(a.sent).toEqual([])
  })

  test('an unknown definition and an unknown role are mistakes', () => {
    expect(() => defineEvents({ a: 5 as never })).toThrow(UsageError)
    expect(() => defineEvents({ a: { payload: {} as never } })).toThrow(UsageError)
    expect(() => defineEvents({}, { exceptions: { a: { headers: 5 as never } } })).toThrow(
      UsageError,
    )
    expect(() => openEventStream(new End(), { events, role: 'x' as never })).toThrow(UsageError)
  })
})

describe('what is no event', () => {
  const exception = (type: string, payload: Uint8Array): MessageInput => ({
    headers: { ':message-type': 'exception', ':exception-type': type },
    payload,
  })

  test('[V6] an exception rejects with its name and its payload', async () => {
    const message = exception('Busy', utf8('{"message":"later","after":5}'))
    const { stream, end } = received([event('done'), message, event('done')])
    const { events: got, error } = await taken(stream)
    expect(error).toBeInstanceOf(RefusedError)
    expect(error.code).toBe('Busy')
    expect(error.remote).toEqual({
      code: 'Busy',
      message: 'later',
      data: { message: 'later', after: 5 },
    })
    expect([got.length, end.receive.returns, end.closed]).toEqual([1, 1, [error]])
    await expect(stream.send.done()).rejects.toBe(error)
  })

  test.each([
    ['that is not defined', 'Other', '{"Message":"m"}', { Message: 'm' }, 'm'],
    ['of text', 'Other', 'text', utf8('text'), ''],
    ['without a payload', 'Other', '', undefined, ''],
    ['named as what objects have', 'constructor', '{}', {}, ''],
    ['of null', 'Busy', 'null', null, ''],
  ])('[V6] an exception %s is reported all the same', async (_, type, payload, data, message) => {
    const { error } = await taken(received([exception(type, utf8(payload))]).stream)
    expect(error.remote).toEqual({ code: type, message, data })
  })

  test('[V6] an error rejects with its code and its text, which are cut', async () => {
    const headers = {
      ':message-type': 'error',
      ':error-code': 'c'.repeat(1000),
      ':error-message': 'm'.repeat(10_000),
    }
    const { error } = await taken(received([{ headers }]).stream)
    expect(error).toBeInstanceOf(RefusedError)
    expect([error.code.length, error.remote.message.length]).toEqual([128, 4096])
    expect(error.remote.data).toBeUndefined()
  })

  test.each([
    ['an unknown :message-type', { ':message-type': 'warning' }],
    ['a :message-type that is no text', { ':message-type': true }],
    ['an event without :event-type', { ':message-type': 'event' }],
    ['an exception without :exception-type', { ':message-type': 'exception' }],
    ['an error without :error-code', { ':message-type': 'error', ':error-message': 'x' }],
  ])('[V6] %s is a ProtocolError', async (_, headers) => {
    const { error } = await taken(received([{ headers }]).stream)
    expect(error).toBeInstanceOf(ProtocolError)
    expect(error.code).toBe('MALFORMED_MESSAGE')
  })

  test('[V6] a message without a type is raw, or a ProtocolError', async () => {
    const raw: Message[] = []
    const message = { headers: { a: 'b' }, payload: utf8('raw') }
    const { stream } = received([message, event('done')], { onRaw: (one) => raw.push(one) })
    expect((await taken(stream)).events).toMatchObject([{ type: 'done' }])
    expect(raw).toEqual([decodeMessage(encodeMessage(message))])
    const { error } = await taken(received([message]).stream)
    expect(error).toMatchObject({ code: 'MALFORMED_MESSAGE', clause: ':message-type' })
  })

  test('[V6] an unknown event is skipped, with one warning for each type', async () => {
    const names = ['new', 'new', 'toString', 'done', 'new']
    const { stream, warnings } = received(names.map((name) => event(name)))
    expect((await taken(stream)).events).toMatchObject([{ type: 'done' }])
    expect(warnings.map((line) => /"(\w+)"/.exec(line)?.[1])).toEqual(['new', 'toString'])
  })

  test('[V6] an unknown event is thrown or given to a function, if that is chosen', async () => {
    const thrown = await taken(received([event('new')], { onUnknownEvent: 'throw' }).stream)
    expect(thrown.error).toMatchObject({ code: 'UNKNOWN_EVENT', clause: ':event-type' })
    const given: Message[] = []
    const onUnknownEvent = (message: Message) => void given.push(message)
    await taken(received([event('new'), event('new')], { onUnknownEvent }).stream)
    expect(given.length).toBe(2)
  })
})

describe('ends', () => {
  test('[V4] endsWith tells an end from one that came too early', async () => {
    const options = { endsWith: ['done'] as const }
    expect((await taken(received([event('done')], options).stream)).error).toBeNull()
    for (const messages of [[], [event('done'), event('said', { text: 'x' })]]) {
      const { error } = await taken(received(messages, options).stream)
      expect(error).toBeInstanceOf(ConnectionError)
      expect(error.code).toBe('INCOMPLETE')
    }
  })

  test('[V9] join is true when both sides ended, and waits for both', async () => {
    const [a, b] = pair()
    const client = openEventStream(a, { events, role: 'client' })
    const server = openEventStream(b, { events, role: 'server' })
    let joined: unknown = 'pending'
    const reading = taken(server)
    server.join().then((value) => {
      joined = value
    })
    await client.send.done()
    await client.end()
    await settle()
    expect(joined).toBe('pending')
    await server.end()
    await settle()
    expect([joined, (await reading).events.length]).toEqual([true, 1])
    // The client never iterated: join takes the end.
    expect(await client.join()).toBe(true)
    expect([a.closed, b.closed]).toEqual([[undefined], [undefined]])
  })

  test('[V9] join is false at its time-out, and leaves no timer', async () => {
    const clock = virtualClock()
    const { stream } = received([], { platform: clock }, true)
    const joins = [stream.join({ timeout: 500 }), stream.join({ timeout: 900 })]
    await clock.advance(500)
    expect(await joins[0]).toBe(false)
    expect(clock.pendingTimers).toBe(1)
    stream.kill()
    await expect(joins[1]).rejects.toMatchObject({ code: 'ENDED' })
    expect(clock.pendingTimers).toBe(0)
    await expect(stream.join({ timeout: 0 })).rejects.toBeInstanceOf(UsageError)
  })

  test('[V9] join is false if the iteration was left', async () => {
    const { stream, end } = received([event('done'), event('done')], {}, true)
    const join = stream.join()
    for await (const _ of stream) break
    expect([await join, end.receive.returns]).toEqual([false, 1])
    // What is sent still goes out.
    await stream.send.done()
    await stream.end()
    expect(end.sent.length).toBe(1)
    expect(end.closed.length).toBe(1)
  })

  test('[V9] kill rejects everything that waits, and leaves the source', async () => {
    const { stream, end } = received([], {}, true)
    end.room = new Promise(() => {})
    const reason = new Error('enough')
    const waiting = [
      stream.next(),
      stream.send.done(),
      stream.send.done(),
      stream.end(),
      stream.join(),
    ]
    const outcomes = Promise.allSettled(waiting)
    await settle()
    stream.kill(reason)
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason })
    expect([end.receive.returns, end.closed]).toEqual([1, [reason]])
    expect(await stream.next()).toEqual({ done: true, value: undefined })
    await expect(stream.send.done()).rejects.toBe(reason)
    stream.kill()
    expect(end.closed.length).toBe(1)
  })

  test('[V9] a stream that is disposed of is killed, and a finished one stays finished', async () => {
    const { stream, end } = received([], {}, true)
    const next = stream.next()
    await stream[Symbol.asyncDispose]()
    await expect(next).rejects.toMatchObject({ code: 'ENDED' })
    const done = received([])
    await taken(done.stream)
    await done.stream.end()
    await done.stream[Symbol.asyncDispose]()
    expect([end.closed.length, done.end.closed]).toEqual([1, [undefined]])
    expect(await done.stream.join()).toBe(true)
  })

  test('[V9] return ends a pull that waits, without an error', async () => {
    const { stream, end } = received([], {}, true)
    const next = stream.next()
    await settle()
    await stream.return?.()
    expect(await next).toEqual({ done: true, value: undefined })
    expect(end.receive.returns).toBe(1)
  })

  test('nothing runs before something is awaited', async () => {
    const own = defineEvents({ done: {} }, { initialRequest: {}, initialResponse: {} })
    const end = new End()
    const stream = openEventStream(end, {
      events: defineEvents({ done: {} }, { initialRequest: { codec: text } }),
      ...{ role: 'client', initial: 'hello' },
    })
    expect(own.others).toEqual({ initialRequest: {}, initialResponse: {} })
    await settle()
    expect([end.receive.pulls, end.sent.length]).toEqual([0, 0])
    stream.kill()
    expect(end.receive.returns).toBe(0)
  })

  test('[V5] several pulls at the same time are answered in order, and reject once', async () => {
    const { stream } = received([event('done'), event('said', { text: 'x' }), event('said')])
    const pulls = Array.from({ length: 5 }, () => stream.next())
    expect(await Promise.allSettled(pulls)).toMatchObject([
      { value: { value: { type: 'done' } } },
      { value: { value: { type: 'said' } } },
      { reason: { code: 'INVALID_PAYLOAD' } },
      { value: { done: true } },
      { value: { done: true } },
    ])
  })
})

describe('sending', () => {
  test('[V9] send waits while the carrier is full, and does not hold the next one back', async () => {
    const { stream, end } = received([], {}, true)
    let free = () => {}
    end.room = new Promise((resolve) => {
      free = resolve
    })
    const done: number[] = []
    const sends = [1, 2].map((n) => stream.send.done().then(() => done.push(n)))
    const ended = stream.end().then(() => done.push(3))
    await settle()
    expect([end.sent.length, done]).toEqual([2, []])
    free()
    await Promise.all([...sends, ended])
    expect(done).toEqual([1, 2, 3])
    await expect(stream.send.done()).rejects.toMatchObject({ code: 'ENDED' })
  })

  test('[V9] a carrier that fails ends sending; what it received is still given', async () => {
    const { stream, end } = received([event('done'), event('done')])
    end.send = () => Promise.reject(new Error('pipe'))
    await expect(stream.send.done()).rejects.toThrow('pipe')
    await expect(stream.send.done()).rejects.toThrow('pipe')
    await expect(stream.end()).rejects.toThrow('pipe')
    expect((await taken(stream)).events.length).toBe(2)
    await expect(stream.join()).rejects.toThrow('pipe')
    expect(end.closed.length).toBe(1)
  })

  test('a program that sends without waiting is stopped after 10,000 sends', async () => {
    const { stream, end } = received([], {}, true)
    end.room = new Promise(() => {})
    for (let i = 0; i < 10_000; i++) void stream.send.done()
    await expect(stream.send.done()).rejects.toMatchObject({ code: 'QUEUE_FULL' })
    stream.kill()
  })

  test('[V6] fail sends an exception or an error, and ends', async () => {
    const failures = [
      { type: 'Busy', value: { message: 'later', after: 1 } },
      { code: 'Internal', message: 'sorry' },
    ] as const
    for (const failure of failures) {
      const [a, b] = pair()
      const server = openEventStream(b, { events, role: 'server' })
      await server.send.done()
      await server.fail(failure)
      const { events: got, error } = await taken(openEventStream(a, { events, role: 'client' }))
      expect(got.length).toBe(1)
      expect(error).toBeInstanceOf(RefusedError)
      expect(error.code).toBe('type' in failure ? 'Busy' : 'Internal')
      expect(error.remote.message).toBe('type' in failure ? 'later' : 'sorry')
      await expect(server.send.done()).rejects.toMatchObject({ code: 'ENDED' })
    }
    const { stream, end } = received([], {}, true)
    await expect(stream.fail({ type: 'None' } as never)).rejects.toBeInstanceOf(UsageError)
    await expect(stream.fail({} as never)).rejects.toBeInstanceOf(UsageError)
    expect(end.sent).toEqual([])
  })
})

describe('initial messages', () => {
  const rpc = defineEvents(
    { done: {} },
    {
      initialRequest: { payload: schema<{ id: string }>(() => true) },
      initialResponse: {
        payload: schema<{ ok: boolean }>((v) => (v as { ok?: unknown }).ok === true),
      },
    },
  )
  const client = (end: Carrier) =>
    openEventStream(end, { events: rpc, role: 'client', initial: { id: 'x' } })

  test('[V7] come first both ways, and are read when they are awaited', async () => {
    const [a, b] = pair()
    const asking = client(a)
    const sent = asking.send.done()
    const answering = openEventStream(b, { events: rpc, role: 'server', initial: { ok: true } })
    expect(await answering.initialRequest).toEqual({ id: 'x' })
    await answering.send.done()
    expect(await asking.initialResponse).toEqual({ ok: true })
    await sent
    await Promise.all([asking.end(), answering.end()])
    expect((await taken(asking)).events.length).toBe(1)
    expect((await taken(answering)).events.length).toBe(1)
    const names = (end: End) => end.sent.map(({ headers }) => headers.get(':event-type')?.value)
    expect([names(a), names(b)]).toEqual([
      ['initial-request', 'done'],
      ['initial-response', 'done'],
    ])
  })

  test('[V7] iterating reads the first message too', async () => {
    const end = new End()
    end.receive.push(decodeMessage(encodeMessage(event('initial-response', { ok: true }))))
    end.receive.end()
    const stream = client(end)
    expect((await taken(stream)).events).toEqual([])
    expect(await stream.initialResponse).toEqual({ ok: true })
    expect(end.sent.length).toBe(1)
  })

  test('[V7] one that does not come rejects, and events are given all the same', async () => {
    const end = new End()
    end.receive.push(decodeMessage(encodeMessage(event('done'))))
    end.receive.end()
    const stream = client(end)
    await expect(stream.initialResponse).rejects.toMatchObject({ code: 'INCOMPLETE' })
    expect((await taken(stream)).events).toMatchObject([{ type: 'done' }])
    const empty = new End()
    empty.receive.end()
    await expect(client(empty).initialResponse).rejects.toMatchObject({ code: 'INCOMPLETE' })
  })

  test('[V7] a refusal in its place rejects it, and the iterator', async () => {
    const end = new End()
    const headers = { ':message-type': 'error', ':error-code': 'No', ':error-message': 'no' }
    end.receive.push(decodeMessage(encodeMessage({ headers })))
    const stream = client(end)
    await expect(stream.initialResponse).rejects.toMatchObject({ code: 'No' })
    expect((await taken(stream)).error).toMatchObject({ code: 'No' })
  })

  test('[V7] one that was not expected is skipped', async () => {
    const { stream, warnings } = received([event('initial-response', { any: 1 }), event('done')])
    expect((await taken(stream)).events).toMatchObject([{ type: 'done' }])
    expect(warnings).toEqual([])
    await expect(stream.initialResponse).rejects.toBeInstanceOf(UsageError)
  })

  test('[V7] it is given if and only if it is defined', () => {
    const open = (options: object) => () => openEventStream(new End(), options as never)
    expect(open({ events: rpc, role: 'client' })).toThrow(UsageError)
    expect(open({ events, role: 'client', initial: 5 })).toThrow(UsageError)
  })
})

describe('signatures', () => {
  test('[V8] chain in the order of the sends, also if signing is slow', async () => {
    const [a, b] = pair()
    const own = signing()
    let turns = 40
    const signer: Signer = {
      seed: own.seed,
      // Each later one is faster.
      async sign(request) {
        const mine = (turns -= 10)
        for (let turn = 0; turn < mine; turn++) await Promise.resolve()
        return own.sign(request)
      },
    }
    const rpc = defineEvents({ measured: { codec: text } }, { initialRequest: { codec: text } })
    const stream = openEventStream(a, { events: rpc, role: 'client', initial: 'first', signer })
    const sends = ['1', '2'].map((value) => stream.send.measured(value))
    await Promise.all([...sends, stream.end()])
    expect(a.sent.length).toBe(4)
    expect([...a.sent[0]!.headers.keys()]).toEqual([':date', ':chunk-signature'])
    expect(a.sent[3]!.payload.length).toBe(0)
    const verifying = openEventStream(b, { events: rpc, role: 'server', verifier: signing() })
    expect(await verifying.initialRequest).toBe('first')
    expect((await taken(verifying)).events).toMatchObject([{ value: '1' }, { value: '2' }])
  })

  test('[V8] a signer that fails ends the stream before anything unsigned leaves', async () => {
    let calls = 0
    const signer: Signer = {
      async sign({ payload }) {
        if (++calls === 2) throw new Error('no key')
        return { message: { payload }, signature: payload }
      },
    }
    const { stream, end } = received([], { signer }, true)
    const next = stream.next()
    await stream.send.done()
    const sends = [1, 2].map(() => stream.send.done())
    const outcomes = await Promise.allSettled([...sends, stream.end(), next])
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        reason: { code: 'SIGNING_FAILED', cause: { message: 'no key' } },
      })
    }
    expect([end.sent.length, calls, end.closed.length]).toEqual([1, 2, 1])
  })

  /** The messages that a signer makes of two events and the end. */
  async function signedMessages(): Promise<Message[]> {
    const [a] = pair()
    const stream = openEventStream(a, { events, role: 'client', signer: signing() })
    await Promise.all([stream.send.done(), stream.send.said({ text: 'x' }), stream.end()])
    return a.sent
  }

  const verified = (messages: readonly MessageInput[], verifier = signing()) =>
    taken(received(messages, { verifier }).stream)

  test('[V8] what was changed, left out, repeated or moved is found', async () => {
    const good = await signedMessages()
    expect((await verified(good)).events.length).toBe(2)
    const [one, two, end] = good as [Message, Message, Message]
    const changed = { ...two, payload: encodeMessage(event('said', { text: 'y' })) }
    const attacks: [string, MessageInput[]][] = [
      ['changed', [one, changed, end]],
      ['left out', [two, end]],
      ['repeated', [one, one, two, end]],
      ['moved', [two, one, end]],
      ['unsigned', [event('done')]],
      ['behind the end', [one, two, end, one]],
    ]
    for (const [what, messages] of attacks) {
      const { error } = await verified(messages)
      expect(error, what).toMatchObject({ code: 'BAD_SIGNATURE', clause: 'signature' })
    }
    expect((await verified(good, signing('other'))).error).toMatchObject({ code: 'BAD_SIGNATURE' })
    expect((await verified(good, signing('secret', Uint8Array.of(9)))).error.code).toBe(
      'BAD_SIGNATURE',
    )
    // An end that nobody signed is no end.
    expect((await verified([one, two])).error).toMatchObject({ code: 'INCOMPLETE' })
  })

  test('[V8] a verifier that throws something else ends the stream with it as the cause', async () => {
    const cause = new Error('no key')
    const verifier = chunkSigning({ sign: () => Promise.reject(cause) })
    const { error } = await verified(await signedMessages(), verifier)
    expect(error).toMatchObject({ code: 'BAD_SIGNATURE', cause })
  })
})
