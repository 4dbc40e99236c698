/**
 * Goal: what the compiler knows of a client's methods is what they do. Method: `expectTypeOf` and
 * `@ts-expect-error`, which `npm run check` compiles, on values that a client really gave.
 */
import { describe, expect, expectTypeOf, test } from 'vitest'
import { utf8Bytes } from '#bytes'
import {
  type Client,
  type ClientOptions,
  type ClientPublishOptions,
  type ClientSubscribeOptions,
  type ClientSubscriptionState,
  createClient,
  type IncomingRequest,
  json,
  type ManyOptions,
  type Message,
  type NextOptions,
  type Overflow,
  type ParamsOf,
  type ParamsOfEach,
  type PublishedOne,
  type RequestOptions,
  type RequestsOptions,
  type RespondOptions,
  type Response,
  type StandardSchema,
  type Subscription,
  type SubscriptionTransition,
  type TopicPublishOptions,
  text,
  topic,
  type ValueOfEach,
} from '../../src/client/index.ts'
import { collect, World } from './world.ts'

/** A schema that makes a date of a text. */
const dates: StandardSchema<string, Date> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => {
      const at = typeof value === 'string' ? new Date(value) : new Date(Number.NaN)
      return Number.isNaN(at.getTime()) ? { issues: [{ message: 'no date' }] } : { value: at }
    },
  },
}
interface Reading {
  readonly celsius: number
}
const readings: StandardSchema<Reading> = {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value: value as Reading }) },
}
const temperature = topic('plant/{line}/temp', { schema: readings })
const started = topic('plant/{line}/started/{by}', { schema: dates })
const label = topic('label/{name}', { codec: text })
const plain = topic('plain')

/** A client of a broker in memory. */
function clientOf(world: World): Client {
  return world.running(world.client())
}

describe('subscriptions', () => {
  test('the parameters of a filter that is given as text are named in the type', async () => {
    const world = new World()
    const client = clientOf(world)
    const messages = client.subscribe('plant/{line}/temp')
    expectTypeOf(messages).toEqualTypeOf<Subscription<ParamsOf<'plant/{line}/temp'>, Uint8Array>>()
    await world.value(client.publish('plant/7/temp', 'x'))
    const message = await world.value(messages.first())
    expectTypeOf(message.params.line).toEqualTypeOf<string>()
    expect(message.params.line).toBe('7')
    // @ts-expect-error There is no parameter `lime`.
    expect(message.params.lime).toBeUndefined()
  })

  test('a value has the type of the output of the schema', async () => {
    const world = new World()
    const client = clientOf(world)
    const messages = client.subscribe(started)
    expectTypeOf(messages).toEqualTypeOf<
      Subscription<ParamsOf<'plant/{line}/started/{by}'>, Date>
    >()
    const at = new Date(0).toISOString()
    const params = { line: 1, by: 'a' }
    await world.value(client.publish(started, at, { params }))
    const { value } = await world.value(messages.first())
    expectTypeOf(value).toEqualTypeOf<Date>()
    expect(value).toEqual(new Date(0))
  })

  test('codec and schema in the options give the type of the value', async () => {
    const client = new World().client()
    expectTypeOf(client.subscribe('a', { codec: text })).toEqualTypeOf<
      Subscription<ParamsOf<'a'>, string>
    >()
    expectTypeOf(client.subscribe('a', { codec: json })).toEqualTypeOf<
      Subscription<ParamsOf<'a'>, unknown>
    >()
    expectTypeOf(client.subscribe('a', { schema: readings, acks: 'receipt' })).toEqualTypeOf<
      Subscription<ParamsOf<'a'>, Reading>
    >()
    expectTypeOf(client.subscribe('a', { codec: json, schema: dates })).toEqualTypeOf<
      Subscription<ParamsOf<'a'>, Date>
    >()
  })

  test('messages, handlers and results have the types of the subscription', () => {
    const messages = new World().client().subscribe(temperature)
    type Given = Message<ParamsOf<'plant/{line}/temp'>, Reading>
    expectTypeOf(messages.first).returns.resolves.toEqualTypeOf<Given>()
    expectTypeOf(messages.next).returns.resolves.toEqualTypeOf<IteratorResult<Given, undefined>>()
    expectTypeOf(messages.forEach).parameter(0).parameter(0).toEqualTypeOf<Given>()
    expectTypeOf<Given['subscription']>().toEqualTypeOf<typeof messages>()
  })

  test('a filter that is known only when the program runs has parameters of any name', () => {
    const filter: string = `plant/${process.pid}`
    const messages = new World().client().subscribe(filter)
    expectTypeOf(messages).toEqualTypeOf<Subscription>()
  })
})

describe('several filters', () => {
  test('parameters and values are unions, and each message is decoded by its topic', async () => {
    const world = new World()
    const client = clientOf(world)
    const messages = client.subscribe([temperature, started, label, 'raw/{id}'])
    const { messages: seen } = collect(messages as unknown as Subscription)
    await world.value(client.publish(temperature, { celsius: 21 }, { params: { line: 1 } }))
    await world.value(
      client.publish(started, new Date(5).toISOString(), { params: { line: 2, by: 'x' } }),
    )
    await world.value(client.publish(label, 'new', { params: { name: 'n' } }))
    await world.value(client.publish('raw/9', 'bytes'))
    expect(seen.map(({ value }) => value)).toEqual([
      { celsius: 21 },
      new Date(5),
      'new',
      utf8Bytes('bytes'),
    ])
    expect(seen.map(({ params }) => ({ ...params }))).toEqual([
      { line: '1' },
      { line: '2', by: 'x' },
      { name: 'n' },
      { id: '9' },
    ])

    type One = Awaited<ReturnType<typeof messages.first>>
    expectTypeOf<One['value']>().toEqualTypeOf<Reading | Date | string | Uint8Array>()
    const narrow = ({ params }: One): string => {
      if (params.by !== undefined) {
        expectTypeOf(params.line).toEqualTypeOf<string>()
        return params.by
      }
      if (params.id !== undefined) return params.id
      return params.line ?? params.name
    }
    expect(seen.map((one) => narrow(one as unknown as One))).toEqual(['1', 'x', 'n', '9'])
    // @ts-expect-error No member of the array has the parameter `lime`.
    expect((seen[0] as unknown as One).params.lime).toBeUndefined()
  })

  test('a message that two of them match has the value of the first', async () => {
    const world = new World()
    const client = clientOf(world)
    const { messages } = collect(
      client.subscribe([label, topic('label/+', { codec: json })]) as unknown as Subscription,
    )
    await world.value(client.publish('label/a', '"x"'))
    expect(messages.map(({ value }) => value)).toEqual(['"x"'])
  })

  test('a payload that its own topic cannot decode is passed over with onInvalid skip', async () => {
    const world = new World()
    const client = clientOf(world)
    const messages = client.subscribe([temperature, started], { onInvalid: 'skip' })
    const { messages: seen } = collect(messages as unknown as Subscription)
    await world.value(client.publish('plant/1/started/x', '"never"'))
    await world.value(client.publish('plant/1/temp', '{"celsius":1}'))
    expect(seen.map(({ value }) => value)).toEqual([{ celsius: 1 }])
    expect(messages.state.invalid).toBe(1)
  })

  test('a codec in the options decodes all', async () => {
    const world = new World()
    const client = clientOf(world)
    const messages = client.subscribe(['a/{x}', 'b/{y}'], { codec: text })
    expectTypeOf(messages).toEqualTypeOf<Subscription<ParamsOfEach<'a/{x}' | 'b/{y}'>, string>>()
    await world.value(client.publish('b/1', 'hello'))
    const { value, params } = await world.value(messages.first())
    expect(value).toBe('hello')
    expect(params.y).toBe('1')
  })

  test('their QoS is the largest of the topics', async () => {
    const world = new World()
    const client = clientOf(world)
    const some = [topic('a', { qos: 0 }), topic('b', { qos: 2 })] as const
    expect(await world.value(client.subscribe(some).granted)).toEqual([2, 2])
    expect(await world.value(client.subscribe([topic('c', { qos: 0 })]).granted)).toEqual([0])
    const one = client.subscribe([topic('d', { qos: 0 }), 'e'])
    expect(await world.value(one.granted)).toEqual([1, 1])
  })

  test('texts that are not known when the program is compiled have parameters of any name', () => {
    const filters: string[] = ['a', 'b/{c}']
    expectTypeOf(new World().client().subscribe(filters)).toEqualTypeOf<Subscription>()
    expectTypeOf<ValueOfEach<'a' | typeof label>>().toEqualTypeOf<string | Uint8Array>()
  })
})

describe('publishes', () => {
  test('a typed topic asks for the input of its schema, and for its parameters', async () => {
    const world = new World()
    const client = clientOf(world)
    const params = { line: 1 }
    await world.value(client.publish(temperature, { celsius: 20 }, { params }))
    await world.value(client.publish(label, 'x', { params: { name: 'a' }, retain: true }))
    await world.value(client.publish(plain, new Uint8Array(2)))
    await world.value(client.publish('anything', { a: 1 }, { codec: json }))
    const wrong: Promise<unknown>[] = [
      // @ts-expect-error A schema takes a text here, and makes a date of it.
      client.publish(started, new Date(0), { params: { line: 1, by: 'x' } }),
      // @ts-expect-error The value is a text.
      client.publish(label, 5, { params: { name: 'x' } }),
      // @ts-expect-error `name` is missing.
      client.publish(label, 'x', {}),
      // @ts-expect-error Parameters are needed.
      client.publish(label, 'x'),
      // @ts-expect-error There is no `names`.
      client.publish(label, 'x', { params: { name: 'x', names: 'y' } }),
      // @ts-expect-error A topic has its codec.
      client.publish(plain, {}),
      // @ts-expect-error An object needs a codec.
      client.publish('anything', { a: 1 }),
    ]
    const errors = await world.errors(wrong)
    expect(errors.map(({ code }) => code)).toEqual([
      'INVALID_PAYLOAD',
      'INVALID_PAYLOAD',
      'TOPIC_PARAMS',
      'TOPIC_PARAMS',
      'TOPIC_PARAMS',
      'INVALID_PAYLOAD',
      'USAGE',
    ])
    // @ts-expect-error `celsius` is a number; the schema of this test accepts what the type forbids.
    await world.value(client.publish(temperature, { celsius: 'x' }, { params }))
  })

  test('the outcome of publishAll narrows by ok', () => {
    type One = PublishedOne<{ topic: string }>
    const read = ({ outcome }: One) => {
      if (outcome.ok) {
        expectTypeOf(outcome.value.noMatchingSubscribers).toEqualTypeOf<boolean>()
        // @ts-expect-error There is no error then.
        return outcome.error
      }
      expectTypeOf(outcome.error).toEqualTypeOf<unknown>()
      return outcome.error
    }
    expect(read({ request: { topic: 'a' }, outcome: { ok: false, error: 7 } })).toBe(7)
  })
})

describe('requests', () => {
  test('a response has the type of the schema or the codec', async () => {
    const world = new World()
    const client = clientOf(world)
    client.respond('clock', () => '"1970-01-01T00:00:00.000Z"')
    const bare = await world.value(client.request('clock', 'now'))
    expectTypeOf(bare).toEqualTypeOf<Response<Uint8Array>>()
    const asText = await world.value(client.request('clock', '', { codec: text }))
    expectTypeOf(asText.value).toEqualTypeOf<string>()
    expectTypeOf(client.requestMany('clock', '', { schema: dates, max: 1 })).toEqualTypeOf<
      AsyncIterableIterator<Response<Date>, undefined>
    >()
    const date = await world.value(client.request('clock', '', { codec: json, schema: dates }))
    expectTypeOf(date.value).toEqualTypeOf<Date>()
    expect(date.value).toEqual(new Date(0))
  })

  test('a request to a topic takes the input of its schema, which validates it', async () => {
    const world = new World()
    const client = clientOf(world)
    client.respond(started, (request) => {
      expectTypeOf(request.value).toEqualTypeOf<Date>()
      expectTypeOf(request.params).toEqualTypeOf<ParamsOf<'plant/{line}/started/{by}'>>()
      return `${request.params.by} ${request.value.getTime()}`
    })
    const params = { line: 1, by: 'me' }
    const at = new Date(3).toISOString()
    const answer = await world.value(client.request(started, at, { params, codec: json }))
    expect(answer.value).toBe('me 3')
    // @ts-expect-error The schema takes a text.
    const refused = client.request(started, new Date(0), { params })
    expect((await world.error(refused)).code).toBe('INVALID_PAYLOAD')
    const never = client.request(started, 'no date at all', { params })
    expect((await world.error(never)).code).toBe('INVALID_PAYLOAD')
  })

  test('a topic without parameters needs no options, one with parameters does', async () => {
    const world = new World()
    const client = clientOf(world)
    client.respond(plain, () => 'done')
    const { value } = await world.value(client.request(plain, 'x'))
    expectTypeOf(value).toEqualTypeOf<Uint8Array>()
    expect(Buffer.from(value).toString()).toBe('done')
    // @ts-expect-error Parameters are needed.
    const missing = client.request(label, 'x')
    expect((await world.error(missing)).code).toBe('TOPIC_PARAMS')
  })

  test('requests that are iterated, and handlers, have the types of the topic', () => {
    const client = new World().client()
    type Given = IncomingRequest<ParamsOf<'plant/{line}/started/{by}'>, Date>
    expectTypeOf(client.requests(started).next).returns.resolves.toEqualTypeOf<
      IteratorResult<Given, undefined>
    >()
    const responder = client.respond('room/{id}', ({ params }) => params.id, {
      onError: (_, { params }) => ({ code: params.id }),
    })
    client.respond('room/{id}', ({ value }) => expectTypeOf(value).toEqualTypeOf<string>(), {
      codec: text,
      onError: (_, { value }) => ({ code: value }),
    })
    client.respond('room/{id}', ({ value }) => expectTypeOf(value).toEqualTypeOf<Date>(), {
      codec: json,
      schema: dates,
    })
    expectTypeOf(client.requests('a', { codec: json, schema: readings }).next)
      .returns.resolves.extract<{ done?: false }>()
      .toHaveProperty('value')
      .toEqualTypeOf<IncomingRequest<ParamsOf<'a'>, Reading>>()
    // @ts-expect-error There is no parameter `room`.
    client.respond('room/{id}', ({ params }) => params.room)
    expectTypeOf(responder.stats.received).toEqualTypeOf<number>()
  })
})

describe('unions', () => {
  test('options take only what they know', async () => {
    const client = new World().client()
    expectTypeOf<ClientSubscribeOptions['onLeave']>().toEqualTypeOf<
      'keep' | 'release' | undefined
    >()
    expectTypeOf<Overflow['then']>().toEqualTypeOf<
      'dropOldest' | 'dropNewest' | 'wait' | undefined
    >()
    // @ts-expect-error onLeave is keep or release.
    expect(() => client.subscribe('a', { onLeave: 'drop' })).toThrow('onLeave')
    // @ts-expect-error overflow.then has three words.
    expect(() => client.subscribe('a', { overflow: { then: 'block' } })).toThrow('overflow.then')
    // @ts-expect-error Options are known by name.
    expect(() => client.subscribe('a', { ack: 'manual' })).toThrow('ack')
    // @ts-expect-error So are those of a client.
    expect(() => createClient({ url: 'mqtt://x', publishTimeOut: 5 })).toThrow('publishTimeOut')
    // @ts-expect-error These are the client's own.
    expect(() => createClient({ url: 'mqtt://x', acks: 'manual' })).toThrow('acks')
  })

  test('a switch over a status is complete, and the compiler knows it', () => {
    const say = (status: ClientSubscriptionState['status']): string => {
      switch (status) {
        case 'requested':
        case 'renewing':
          return 'soon'
        case 'granted':
          return 'now'
        case 'refused':
        case 'ended':
          return 'never'
      }
    }
    expect(say('granted')).toBe('now')
    expectTypeOf<SubscriptionTransition['status']>().toEqualTypeOf<
      'granted' | 'renewing' | 'resumed' | 'refused'
    >()
  })
})

/** The names of the options that may be left out, and may not be given as undefined. */
type RefusesUndefined<Options> = Options extends unknown
  ? {
      [Name in keyof Options]-?: object extends Pick<Options, Name>
        ? { [One in Name]: undefined } extends Pick<Options, Name>
          ? never
          : Name
        : never
    }[keyof Options]
  : never

describe('an option that is undefined is an option that was left out', () => {
  test('with exactOptionalPropertyTypes too', () => {
    // The check itself finds what it looks for.
    expectTypeOf<
      RefusesUndefined<{ strict?: 1; lax?: 1 | undefined; needed: 1 }>
    >().toEqualTypeOf<'strict'>()
    expectTypeOf<RefusesUndefined<ClientOptions>>().toEqualTypeOf<never>()
    expectTypeOf<RefusesUndefined<ClientPublishOptions>>().toEqualTypeOf<never>()
    expectTypeOf<RefusesUndefined<TopicPublishOptions<{ a: string }>>>().toEqualTypeOf<never>()
    expectTypeOf<RefusesUndefined<ClientSubscribeOptions>>().toEqualTypeOf<never>()
    expectTypeOf<RefusesUndefined<Overflow>>().toEqualTypeOf<never>()
    expectTypeOf<RefusesUndefined<NextOptions>>().toEqualTypeOf<never>()
    expectTypeOf<RefusesUndefined<RequestOptions>>().toEqualTypeOf<never>()
    expectTypeOf<RefusesUndefined<ManyOptions>>().toEqualTypeOf<never>()
    expectTypeOf<RefusesUndefined<RequestsOptions>>().toEqualTypeOf<never>()
    expectTypeOf<RefusesUndefined<RespondOptions>>().toEqualTypeOf<never>()
  })

  test('when the program runs too', async () => {
    const world = new World()
    const client = world.running(
      world.client({
        qos: undefined,
        maxQueued: undefined,
        maxQueuedBytes: undefined,
        whenFull: undefined,
        publishTimeout: undefined,
        dispatch: undefined,
        profile: undefined,
        responseTopic: undefined,
        requestTimeout: undefined,
        agent: undefined,
        trace: undefined,
      }),
    )
    const wait: NextOptions = { signal: undefined, timeout: undefined }
    await world.value(client.ready(wait))
    const options: ClientSubscribeOptions<Uint8Array> = {
      qos: undefined,
      acks: undefined,
      overflow: { max: undefined, then: undefined },
      onLeave: undefined,
      connection: undefined,
      share: undefined,
      retained: undefined,
      noLocal: undefined,
      codec: undefined,
      schema: undefined,
      onInvalid: undefined,
      signal: undefined,
    }
    const messages = client.subscribe('a', options)
    expect(await world.value(messages.granted)).toEqual([1])
    const publish: ClientPublishOptions = {
      qos: undefined,
      retain: undefined,
      properties: undefined,
      key: undefined,
      signal: undefined,
      timeout: undefined,
      codec: undefined,
    }
    await world.value(client.publish('a', 'x', publish))
    const message = await world.value(messages.next(wait))
    expect(message.value?.qos).toBe(1)
    client.respond('echo', ({ payload }) => payload, {
      qos: undefined,
      share: undefined,
      responseQos: undefined,
      timeout: undefined,
      dedupe: undefined,
      allowResponseTopics: undefined,
      codec: undefined,
      schema: undefined,
      concurrency: undefined,
      maxPending: undefined,
      onError: undefined,
    })
    const request: RequestOptions = {
      timeout: undefined,
      signal: undefined,
      qos: undefined,
      key: undefined,
      codec: undefined,
      schema: undefined,
      properties: undefined,
      retry: undefined,
      lane: undefined,
      ackTimeout: undefined,
      responseTimeout: undefined,
      fallback: undefined,
      afterMs: undefined,
      responses: undefined,
      correlate: undefined,
    }
    const { status } = await world.value(client.request('echo', 'x', request))
    expect(status).toBe(200)
  })
})
