/**
 * What a caller can get wrong. Goal: each mistake is a UsageError that says which field, what was given and what is allowed,
 * before anything is sent. Method: tables; for requests, the mistake stands between two good ones, which it must not touch.
 */
import { PassThrough } from 'node:stream'
import type { IConnackPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import {
  ConnectionError,
  connect,
  eventloop,
  publish,
  RefusedError,
  type Request,
  run,
  type SentRequest,
  subscribe,
  UsageError,
  unsubscribe,
} from '../../src/index.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import { resolveOptions } from '../../src/options/resolve.ts'
import type { Config } from '../../src/protocol/config.ts'
import type { IncomingPublish } from '../../src/requests/vocabulary.ts'
import { VirtualClock } from '../support/clock.ts'
import { collect, type Settled, startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

const url = 'mqtt://localhost'

/** What TypeScript would not let a caller write. */
function untyped<T>(value: unknown): T {
  return value as T
}

function usageError(attempt: () => unknown): UsageError {
  try {
    attempt()
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    expect(error).toMatchObject({ name: 'UsageError', retryable: false })
    return error as UsageError
  }
  throw new Error('nothing was thrown')
}

// ---------------------------------------------------------------------------------------------------------------- options

interface NumberOption {
  readonly name: string
  readonly min: number
  readonly max: number
  readonly fallback: number | undefined
  readonly whole: boolean
  put(value: unknown): object
  get(config: Config): number | undefined
}

function plain(
  name: keyof Config & keyof EventloopOptions,
  min: number,
  max: number,
  fallback: number,
): NumberOption {
  return {
    ...{ name, min, max, fallback, whole: true },
    put: (value) => ({ [name]: value }),
    get: (config) => config[name] as number,
  }
}

const numbers: readonly NumberOption[] = [
  plain('keepAlive', 0, 65_535, 60),
  plain('sessionExpiryInterval', 0, 4_294_967_295, 300),
  plain('maxInflight', 1, 65_000, 1000),
  plain('receiveMaximum', 1, 65_535, 1024),
  plain('maxBufferedPackets', 1, 1_000_000, 2048),
  plain('maxBufferedBytes', 1, Number.MAX_SAFE_INTEGER, 16_777_216),
  plain('maximumPacketSize', 1, 268_435_455, 268_435_455),
  plain('topicAliasMaximum', 0, 65_535, 0),
  plain('quarantineAfter', 0, 1000, 3),
  { ...plain('warnAfterMs' as 'keepAlive', 1, 86_400_000, 30_000), whole: false },
  {
    ...{ name: 'connectTimeout', min: 1, max: 3_600_000, fallback: 30_000, whole: false },
    put: (connectTimeout) => ({ connectTimeout }),
    get: (config) => config.connectTimeoutMs,
  },
  {
    ...{ name: 'ackTimeout.afterMs', min: 1, max: 86_400_000, fallback: undefined, whole: false },
    put: (afterMs) => ({
      ackTimeout: afterMs === undefined ? undefined : { afterMs, then: 'fail' },
    }),
    get: (config) => config.ackTimeout?.afterMs,
  },
  {
    ...{ name: 'reconnect.minMs', min: 0, max: 3_600_000, fallback: 100, whole: false },
    put: (minMs) => ({ reconnect: { minMs } }),
    get: (config) => config.reconnect.minMs,
  },
  {
    ...{ name: 'reconnect.maxMs', min: 0, max: 86_400_000, fallback: 30_000, whole: false },
    put: (maxMs) => ({ reconnect: { maxMs } }),
    get: (config) => config.reconnect.maxMs,
  },
  {
    ...{ name: 'reconnect.stableMs', min: 0, max: 86_400_000, fallback: 30_000, whole: false },
    put: (stableMs) => ({ reconnect: { stableMs } }),
    get: (config) => config.reconnect.stableMs,
  },
]

describe('numbers among the options', () => {
  for (const { name, min, max, fallback, whole, put, get } of numbers) {
    const config = (value: unknown) =>
      resolveOptions(untyped<EventloopOptions>({ url, ...put(value) })).config

    test(`${name}: ${min} to ${max}, default ${fallback}`, () => {
      expect(get(config(undefined))).toBe(fallback)
      expect(get(config(min))).toBe(min)
      expect(get(config(max))).toBe(max)
      for (const value of [min - 1, max + 1, -1, Number.NaN, Infinity, -Infinity, '7', null, [7]]) {
        const { message } = usageError(() => eventloop(untyped({ url, ...put(value) })))
        expect(message).toContain(name)
        expect(message).toContain(`${min} to ${max}`)
        if (typeof value !== 'object') expect(message).toContain(String(value))
      }
      if (!whole) return
      const { message } = usageError(() => eventloop(untyped({ url, ...put(min + 0.5) })))
      expect(message).toContain(`${name} must be a whole number from ${min} to ${max}`)
      expect(message).toContain(String(min + 0.5))
    })
  }

  test('defaults that depend on others', () => {
    expect(resolveOptions({ url, cleanStart: false }).config.sessionExpiryInterval).toBe(86_400)
    expect(resolveOptions({ url, receiveMaximum: 10 }).config.maxBufferedPackets).toBe(1034)
    const { clientId } = resolveOptions(url)
    expect(clientId).toMatch(/^[0-9a-zA-Z-]+$/)
    expect(clientId.length).toBeLessThanOrEqual(23)
    expect(resolveOptions(url).clientId).not.toBe(clientId)
  })
})

describe('choices among the options', () => {
  const choices: readonly {
    readonly name: string
    readonly allowed: readonly (string | number)[]
    readonly fallback: unknown
    put(value: unknown): object
    get(config: Config): unknown
  }[] = [
    {
      ...{ name: 'protocolVersion', allowed: [5, 4, 3], fallback: 5 },
      put: (protocolVersion) => ({ protocolVersion }),
      get: (config) => config.protocolVersion,
    },
    {
      ...{ name: 'acks', allowed: ['pull', 'receipt', 'manual'], fallback: 'pull' },
      put: (acks) => ({ acks }),
      get: (config) => config.acks,
    },
    {
      ...{ name: 'onSessionLost', allowed: ['republish', 'fail'], fallback: 'republish' },
      put: (onSessionLost) => ({ onSessionLost }),
      get: (config) => config.onSessionLost,
    },
    {
      ...{ name: 'until', allowed: ['idle', 'settled', 'closed'], fallback: 'idle' },
      put: (until) => ({ until }),
      get: (config) => config.until,
    },
    {
      ...{ name: 'disconnectReason', allowed: [0, 4], fallback: 0 },
      put: (disconnectReason) => ({ disconnectReason }),
      get: (config) => config.disconnectReason,
    },
    {
      name: 'reconnect',
      allowed: ['always', 'after-first-success', 'never'],
      fallback: 'after-first-success',
      put: (reconnect) => ({ reconnect }),
      get: (config) => config.reconnect.when,
    },
    {
      name: 'reconnect',
      allowed: ['always', 'after-first-success', 'never'],
      fallback: 'after-first-success',
      put: (when) => ({ reconnect: { when } }),
      get: (config) => config.reconnect.when,
    },
    {
      ...{ name: 'ackTimeout.then', allowed: ['reconnect', 'fail'], fallback: 'reconnect' },
      put: (then) => ({ ackTimeout: { afterMs: 1000, then } }),
      get: (config) => config.ackTimeout?.then,
    },
  ]
  for (const { name, allowed, fallback, put, get } of choices) {
    test(`${JSON.stringify(put('…'))}: ${allowed.join(', ')}`, () => {
      const config = (value: unknown) =>
        resolveOptions(untyped<EventloopOptions>({ url, ...put(value) })).config
      expect(get(config(undefined))).toBe(fallback)
      for (const value of allowed) expect(get(config(value))).toBe(value)
      for (const value of ['other', 6, null, true, String(allowed[0]).toUpperCase()]) {
        if (allowed.includes(value as string)) continue
        const { message } = usageError(() => eventloop(untyped({ url, ...put(value) })))
        expect(message).toContain(name)
        expect(message).toContain(typeof value === 'string' ? `"${value}"` : String(value))
        for (const one of allowed) expect(message).toContain(JSON.stringify(one))
      }
    })
  }
})

describe('options that are refused, and what the error says', () => {
  const u = { url }
  const long = 'x'.repeat(65_536)
  const refusals: readonly (readonly [string, unknown, ...RegExp[]])[] = [
    ['a number', 5, /options/, /URL/, /not 5/],
    ['null', null, /options/, /null/],
    ['nothing', undefined, /options/, /nothing/],
    ['an array', [url], /options/, /Array/],
    ['no URL', {}, /url/, /mqtt:\/\//, /nothing/],
    ['an empty URL', { url: '' }, /url/, /""/],
    ['a URL that is none', 'localhost', /url/, /mqtt:\/\//, /"localhost"/],
    ['a number as URL', { url: 1883 }, /url/, /1883/],
    [
      'an unknown scheme',
      'http://localhost',
      /url/,
      /mqtt: tcp: mqtts: tls: ws: wss: unix:/,
      /"http:"/,
    ],
    ['an unknown scheme in a URL object', new URL('ftp://h'), /url/, /mqtt:/, /"ftp:"/],
    ['a host where the scheme should be', 'localhost:1883', /url/, /mqtt:/, /"localhost:"/],
    ['a URL without a host', 'mqtt://', /url/, /host/, /"mqtt:\/\/"/],
    ['a Unix socket without a path', 'unix:', /url/, /path/, /"unix:"/],
    ['a port beyond the last', 'mqtt://h:65536', /url/, /65536/],
    ['a % that is no escape', 'mqtt://a%zz@h', /url/, /%/],
    ['an option that is none', { ...u, clientID: 'a' }, /clientID/, /clientId/],
    ['a client id that is none', { ...u, clientId: 7 }, /clientId/, /string/, /7/],
    ['null as client id', { ...u, clientId: null }, /clientId/, /string/, /null/],
    ['null as user name', { ...u, username: null }, /username/, /string/, /null/],
    ['null as password', { ...u, password: null }, /password/, /string or bytes/],
    ['a client id too long', { ...u, clientId: long }, /clientId/, /65,535/],
    ['U+0000 in a client id', { ...u, clientId: 'a\0' }, /clientId/, /U\+0000/],
    ['a lone surrogate in a client id', { ...u, clientId: '\ud800' }, /clientId/, /UTF-8/],
    ['a user name that is none', { ...u, username: 5 }, /username/, /string/, /5/],
    ['a user name too long', { ...u, username: long }, /username/, /65,?535/, /65,?536/],
    ['U+0000 in a user name', { ...u, username: 'a\0' }, /username/, /U\+0000/],
    ['a lone surrogate in a user name', { ...u, username: 'a\udfff' }, /username/, /surrogate/],
    ['a password that is none', { ...u, password: 5 }, /password/, /string or bytes/, /number/],
    ['a password too long', { ...u, password: Buffer.alloc(65_536) }, /password/, /65,?535/],
    [
      'a password without a user name in 3.1.1',
      { ...u, protocolVersion: 4, password: 'x' },
      ...[/password/, /user name/, /MQTT-3.1.2-22/],
    ],
    ['cleanStart as a number', { ...u, cleanStart: 1 }, /cleanStart/, /true or false/, /1/],
    ['a session that is none', { ...u, session: {} }, /session/, /"adopt"/],
    ['another word than adopt', { ...u, session: 'adopted' }, /session/, /"adopt"/, /"adopted"/],
    ['properties in 3.1.1', { ...u, protocolVersion: 4, properties: {} }, /properties/, /MQTT 5/],
    ['an unknown property', { ...u, properties: { foo: 5 } }, /properties/, /"foo"/, /allowed/],
    ...['sessionExpiryInterval', 'receiveMaximum', 'maximumPacketSize', 'topicAliasMaximum'].map(
      (name): [string, object, ...RegExp[]] => [
        `a property that is an option of its own: ${name}`,
        { ...u, properties: { [name]: 100 } },
        ...[new RegExp(`properties.${name}`), /as the option/],
      ],
    ),
    ['properties that are none', { ...u, properties: 5 }, /properties/, /object/, /5/],
    ['properties as an array', { ...u, properties: [] }, /properties/, /object/, /Array/],
    [
      'an authentication method that is none',
      { ...u, properties: { authenticationMethod: 5 } },
      ...[/properties.authenticationMethod/, /string/, /5/],
    ],
    [
      'a user property that is none',
      { ...u, properties: { userProperties: { a: 5 } } },
      ...[/userProperties\["a"\]/, /string/, /5/],
    ],
    ['a will that is none', { ...u, will: 'x' }, /will/, /topic/, /"x"/],
    ['null as will', { ...u, will: null }, /will/, /null/],
    ['a will without a topic', { ...u, will: {} }, /will.topic/, /string/, /nothing/],
    ['a wildcard in the topic of a will', { ...u, will: { topic: 'a/+' } }, /will.topic/, /a\/\+/],
    ['U+0000 in the topic of a will', { ...u, will: { topic: '\0' } }, /will.topic/, /U\+0000/],
    ['an empty topic of a will', { ...u, will: { topic: '' } }, /will.topic/, /empty/],
    ['QoS 3 for a will', { ...u, will: { topic: 'a', qos: 3 } }, /will.qos/, /0, 1 or 2/, /3/],
    ['retain as a number', { ...u, will: { topic: 'a', retain: 1 } }, /will.retain/, /true or/],
    ['a number as will', { ...u, will: { topic: 'a', payload: 5 } }, /will.payload/, /bytes/, /5/],
    ['a will too long', { ...u, will: { topic: 'a', payload: long } }, /will.payload/, /65536/],
    [
      'base64 that is none in a will',
      { ...u, will: { topic: 'a', payload: { base64: 'a b!' } } },
      ...[/will.payload/, /base64/],
    ],
    ['an unknown field in a will', { ...u, will: { topic: 'a', qs: 1 } }, /will/, /"?qs"?/],
    [
      'a bad property of a will',
      { ...u, will: { topic: 'a', properties: { willDelayInterval: -1 } } },
      ...[/will.properties.willDelayInterval/, /0 to 4294967295/, /-1/],
    ],
    [
      'properties of a will in 3.1.1',
      { ...u, protocolVersion: 4, will: { topic: 'a', properties: { contentType: 'c' } } },
      ...[/will.properties/, /MQTT 5/],
    ],
    ['an ackTimeout that is none', { ...u, ackTimeout: 5000 }, /ackTimeout/, /afterMs/, /5000/],
    ['an ackTimeout without a time', { ...u, ackTimeout: {} }, /ackTimeout.afterMs/, /nothing/],
    ['a policy with an unknown field', { ...u, reconnect: { min: 1 } }, /reconnect/, /"?min"?/],
    ['a policy as an array', { ...u, reconnect: [] }, /reconnect/, /Array/],
    [
      'a judge that is none',
      { ...u, reconnect: { retryable: true } },
      ...[/reconnect.retryable/, /function/, /true/],
    ],
    ['onSettled that is none', { ...u, onSettled: 5 }, /onSettled/, /function/, /5/],
    ['onWarning that is none', { ...u, onWarning: {} }, /onWarning/, /function/, /object/],
    ['null as onConnected', { ...u, onConnected: null }, /onConnected/, /function/, /null/],
    ['a signal that is none', { ...u, signal: {} }, /signal/, /AbortSignal/, /object/],
    ['tls that is none', { ...u, tls: true }, /tls/, /object/, /true/],
    ['a transport that is none', { transport: 'tcp' }, /transport/, /function/, /"tcp"/],
  ]
  for (const [name, options, ...says] of refusals) {
    test(name, async () => {
      const { message } = usageError(() => eventloop(untyped(options)))
      for (const words of says) expect(message).toMatch(words)
      await expect(connect(untyped(options))).rejects.toThrow(UsageError)
      await expect(run(untyped(options), [])).rejects.toThrow(UsageError)
    })
  }

  for (const bad of [
    'http://user:s3cret@host',
    'mqtt://user:s3cret@host:99999',
    'mqtt://user:pass@s3cret@host:99999',
    'mqtt://user:pass/s3cret@host:99999',
  ]) {
    test(`no error shows the password of ${bad}`, () => {
      const { message } = usageError(() => eventloop(bad))
      expect(message).toMatch(/^url/)
      expect(message).not.toContain('s3cret')
    })
  }

  for (const good of [
    ...['mqtt://h', 'tcp://h:1', 'mqtts://h', 'tls://[::1]:8884', 'unix:/run/mqtt.sock'],
    ...['mqtt://u:p%40@h', new URL('mqtt://h')],
  ]) {
    test(`${good} is allowed, and nothing runs before the first next()`, () => {
      expect(eventloop(good).state.connection.kind).toBe('idle')
    })
  }
})

// --------------------------------------------------------------------------------------------------------------- requests

const p = (fields: object) => ({ cmd: 'publish', topic: 'a', qos: 1, ...fields })
const s = (topic: unknown) => ({ cmd: 'subscribe', subscriptions: [{ topic, qos: 0 }] })
const badRequests: readonly (readonly [string, unknown, ...RegExp[]])[] = [
  ['null', null, /object with cmd/, /null/],
  ['nothing', undefined, /object with cmd/, /nothing/],
  ['a number', 21.5, /object with cmd/, /21.5/],
  ['a boolean', true, /object with cmd/, /true/],
  ['no cmd', { topic: 'a', payload: 'x' }, /cmd/, /publish, subscribe, unsubscribe/, /nothing/],
  ['a packet that is no request', { cmd: 'puback', messageId: 1 }, /cmd/, /"puback"/],
  ['an unknown control', { cmd: 'stop' }, /cmd/, /pause/, /shutdown/, /"stop"/],
  ['a word of Object.prototype', { cmd: 'toString' }, /cmd/, /"toString"/],
  ['an unknown field', p({ quality: 1 }), /"quality"/, /allowed: .*qos/],
  ['a packet identifier of one’s own', p({ messageId: 1 }), /messageId/, /engine assigns/],
  ['no topic', { cmd: 'publish', qos: 1 }, /publish.topic/, /string/, /nothing/],
  ['an empty topic', p({ topic: '' }), /publish.topic/, /empty/],
  ['+ in a topic', p({ topic: 'a/+/b' }), /publish.topic/, /wildcard/, /"a\/\+\/b"/],
  ['# in a topic', p({ topic: '#' }), /publish.topic/, /wildcard/, /"#"/],
  ['a topic over 65,535 bytes', p({ topic: 'é'.repeat(32_768) }), /topic/, /65536/, /65535/],
  ['a lone surrogate in a topic', p({ topic: 'a\ud83d' }), /publish.topic/, /surrogate/],
  ['U+0000 in a topic', p({ topic: 'a\0b' }), /publish.topic/, /U\+0000/],
  ['a number as payload', p({ payload: 21.5 }), /publish.payload/, /Uint8Array/, /21.5/],
  ['an object as payload', p({ payload: { t: 1 } }), /publish.payload/, /string/, /object/],
  ['an array as payload', p({ payload: [1, 2] }), /publish.payload/, /Array/],
  ['null as payload', p({ payload: null }), /publish.payload/, /null/],
  ['base64 that is none', p({ payload: { base64: '!' } }), /publish.payload/, /base64/],
  ['QoS 3', p({ qos: 3 }), /publish.qos/, /0, 1 or 2/, /3/],
  ['QoS as text', p({ qos: '1' }), /publish.qos/, /"1"/],
  ['retain as text', p({ retain: 'no' }), /publish.retain/, /true or false/, /"no"/],
  ['a key that is none', p({ key: {} }), /publish.key/, /string or a finite number/, /object/],
  ['a signal that is none', p({ signal: 5 }), /publish.signal/, /AbortSignal/, /5/],
  ['no filter', { cmd: 'subscribe', subscriptions: [] }, /subscriptions/, /empty/],
  ['filters that are no array', { cmd: 'subscribe', subscriptions: 'a' }, /array/, /"a"/],
  ['an empty filter', s(''), /subscriptions\[0\].topic/, /empty/],
  ['a filter that is a number', s(5), /subscriptions\[0\].topic/, /string/, /5/],
  ['# within a level', s('a#'), /subscriptions\[0\].topic/, /#/, /"a#"/],
  ['# before the end', s('a/#/b'), /subscriptions\[0\].topic/, /"a\/#\/b"/],
  ['+ within a level', s('a/b+'), /subscriptions\[0\].topic/, /\+/, /"a\/b\+"/],
  ['a filter over 65,535 bytes', s('x'.repeat(65_536)), /topic/, /65536/, /65535/],
  ['a lone surrogate in a filter', s('\udc00'), /subscriptions\[0\].topic/, /surrogate/],
  ['U+0000 in a filter', s('\0'), /subscriptions\[0\].topic/, /U\+0000/],
  ['nothing to unsubscribe', { cmd: 'unsubscribe', unsubscriptions: [] }, /empty/],
  ['a bad filter to unsubscribe', { cmd: 'unsubscribe', unsubscriptions: ['a#'] }, /\[0\]/, /"a#"/],
  ['pause for less than nothing', { cmd: 'pause', ms: -1 }, /pause.ms/, /0 or more/, /-1/],
  ['throttle to 0', { cmd: 'throttle', perSecond: 0 }, /perSecond/, /above 0/, /0/],
  ['an endless drain', { cmd: 'disconnect', timeout: Infinity }, /disconnect.timeout/, /Infinity/],
  ['a field of another control', { cmd: 'resume', ms: 1 }, /"ms"/, /allowed/],
]

function outcomeOf({ outcomes }: { outcomes: readonly Settled[] }, request: unknown): unknown {
  const found = outcomes.filter((one) => Object.is(one.request, request))
  expect(found).toHaveLength(1)
  const { outcome } = found[0]!
  return outcome.ok ? 'ok' : outcome.error
}

describe('[D6] a request that is wrong is refused before it takes an id, and touches no other', () => {
  for (const [name, bad, ...says] of badRequests) {
    test(name, async () => {
      const before = publish('good', 'before', { qos: 1 })
      const after = publish('good', 'after', { qos: 2 })
      const started = startLoop({}, untyped([before, bad, after]))
      await started.done
      expect(started.error).toBeUndefined()
      expect(outcomeOf(started, before)).toBe('ok')
      expect(outcomeOf(started, after)).toBe('ok')
      const error = outcomeOf(started, bad)
      expect(error).toBeInstanceOf(UsageError)
      for (const words of says) expect((error as Error).message).toMatch(words)
      const sent = started.server.current.of('publish')
      expect(sent.map(({ messageId, payload }) => [messageId, String(payload)])).toEqual([
        [1, 'before'],
        [2, 'after'],
      ])
      expect(started.server.current.of('subscribe')).toEqual([])
      expect(started.loop.state.counters).toMatchObject({ taken: 3, settled: 3, held: 0 })
    })
  }

  test('a request with properties on 3.1.1', async () => {
    const requests = [
      publish('a', 'x', { qos: 1, properties: { contentType: 'text/plain' } }),
      subscribe('a', { properties: { subscriptionIdentifier: 1 } }),
      subscribe('a', { nl: true }),
      unsubscribe('a', { properties: { userProperties: { a: 'b' } } }),
    ]
    const started = startLoop({ protocolVersion: 4 }, requests)
    await started.done
    for (const request of requests) {
      expect(outcomeOf(started, request)).toBeInstanceOf(UsageError)
      expect(String(outcomeOf(started, request))).toMatch(/needs MQTT 5/)
    }
    expect(started.server.packets.map(({ cmd }) => cmd)).toEqual(['connect', 'disconnect'])
  })

  test('one that nobody listens for ends the loop with its error', async () => {
    const started = startLoop({}, [publish('a/#', 'x', { qos: 1 })], undefined, { silent: true })
    await started.done
    expect(started.error).toBeInstanceOf(UsageError)
    expect(String(started.error)).toMatch(/publish.topic.*wildcard/)
  })

  test('in the stream of controls it ends the loop', async () => {
    for (const bad of [{ cmd: 'stop' }, publish('a'), 'pause', null]) {
      const started = startLoop({ until: 'closed' }, [], untyped([bad]))
      await started.clock.advance(2000)
      expect(started.error, JSON.stringify(bad)).toBeInstanceOf(UsageError)
    }
  })

  test('from onConnected it is the outcome of that request', async () => {
    const bad = publish('a/#')
    const good = publish('birth', '', { qos: 1 })
    const started = startLoop({ onConnected: () => [bad, good] })
    await started.done
    expect(outcomeOf(started, bad)).toBeInstanceOf(UsageError)
    expect(outcomeOf(started, good)).toBe('ok')
  })
})

describe('what is no stream of requests', () => {
  const bytes = new PassThrough()
  const streams: readonly (readonly [string, unknown, RegExp])[] = [
    ['a string', 'publish', /not a string/],
    ['a Buffer', Buffer.from('{}'), /not bytes/],
    ['a Uint8Array', new Uint8Array(3), /not bytes/],
    ['an ArrayBuffer', new ArrayBuffer(3), /not bytes/],
    ['a stream of bytes', bytes, /stream of bytes/],
    ['a number', 5, /not 5/],
    ['null', null, /not null/],
    ['a request', publish('a'), /not an object/],
    ['a generator that was not called', async function* none() {}, /not a function/],
  ]
  for (const [name, stream, says] of streams) {
    test(`${name} as requests, as controls and in run()`, async () => {
      const { message } = usageError(() => eventloop(url, untyped(stream)))
      expect(message).toMatch(/iterable of requests/)
      expect(message).toMatch(says)
      usageError(() => eventloop(url, [], untyped(stream)))
      await expect(run(url, untyped(stream))).rejects.toThrow(UsageError)
    })
  }

  for (const [name, item] of [
    ['text', '{"cmd":"publish","topic":"a"}'],
    ['bytes', Buffer.from('{}')],
    ['text in a batch', ['{}']],
  ] as const) {
    test(`a stream that gives ${name} ends the loop`, async () => {
      const started = startLoop({}, untyped([item]))
      await started.clock.advance(2000)
      expect(started.error).toBeInstanceOf(UsageError)
      expect(String(started.error)).toMatch(/requests: the stream gives (text|bytes)/)
    })
  }
})

// --------------------------------------------------------------------------------------------------------------- methods

describe('methods refuse what makes no sense', () => {
  test('pause, throttle, reconnect, disconnect', async () => {
    const { loop, clock, done } = startLoop({ until: 'closed' })
    await clock.settle()
    const attempts: readonly (readonly [() => unknown, RegExp])[] = [
      [() => loop.pause(-1), /pause.ms.*-1/],
      [() => loop.pause(Number.NaN), /pause.ms.*NaN/],
      [() => loop.pause(untyped('1')), /pause.ms.*"1"/],
      [() => loop.throttle(0), /perSecond.*0/],
      [() => loop.throttle(Infinity), /perSecond.*Infinity/],
      [() => loop.throttle(untyped(undefined)), /perSecond.*nothing/],
      [() => loop.reconnect(untyped({ min: 1 })), /no field "min"/],
      [() => loop.reconnect(untyped('sometimes')), /"sometimes"/],
      [() => loop.reconnect({ minMs: 5_000_000 }), /reconnect.minMs.*5000000/],
      [() => loop.disconnect(-1), /disconnect.timeout.*-1/],
    ]
    for (const [attempt, says] of attempts) expect(usageError(attempt).message).toMatch(says)
    expect(loop.state.connection.kind).toBe('connected')
    loop.shutdown()
    await done
  })

  test('ack: what is no packet, no reason code, or none of a PUBACK', async () => {
    const options: EventloopOptions = { acks: 'manual', until: 'closed' }
    const started = startLoop(options, [], undefined, { manual: true })
    const { loop, server } = started
    await collect(started, 1)
    server.current.send({
      ...{ cmd: 'publish', topic: 'a', payload: '', qos: 1, messageId: 1 },
      ...{ dup: false, retain: false },
    })
    const [packet] = await collect(started, 1)
    for (const other of [null, undefined, 'packet']) usageError(() => loop.ack(untyped(other)))
    const suback = { cmd: 'suback', messageId: 1, granted: [0] }
    expect(usageError(() => loop.ack(untyped(suback))).message).toMatch(/must be a PUBLISH.*suback/)
    for (const code of [-1, 256, 1.5, Number.NaN, '0']) {
      expect(usageError(() => loop.ack(packet as IncomingPublish, untyped(code))).message).toMatch(
        /reason code/,
      )
    }
    for (const code of [0x05, 0x82, 0x92]) {
      expect(usageError(() => loop.ack(packet as IncomingPublish, code)).message).toMatch(
        /reason code/,
      )
    }
    await started.clock.settle()
    expect(server.current.of('puback')).toEqual([])
    expect(loop.ack(packet as IncomingPublish, 0x87)).toBe('queued')
    await started.clock.settle()
    expect(server.current.of('puback')).toMatchObject([{ messageId: 1, reasonCode: 0x87 }])
    await loop.return()
  })

  test('ack with a reason code in 3.1.1, which has none', async () => {
    const options: EventloopOptions = { acks: 'manual', until: 'closed', protocolVersion: 4 }
    const started = startLoop(options, [], undefined, { manual: true })
    await collect(started, 1)
    started.server.current.send({
      ...{ cmd: 'publish', topic: 'a', payload: '', qos: 1, messageId: 1 },
      ...{ dup: false, retain: false },
    })
    const [packet] = await collect(started, 1)
    expect(usageError(() => started.loop.ack(packet as IncomingPublish, 0x80)).message).toMatch(
      /MQTT 5/,
    )
    await started.clock.settle()
    expect(started.server.current.of('puback')).toEqual([])
    await started.loop.return()
  })

  test('run: timeout, signal, onPacket', async () => {
    const bad: readonly (readonly [object, RegExp])[] = [
      [{ timeout: 0 }, /timeout.*above 0.*0/],
      [{ timeout: -1 }, /timeout.*-1/],
      [{ timeout: Number.NaN }, /timeout.*NaN/],
      [{ timeout: '1' }, /timeout.*"1"/],
      [{ signal: {} }, /signal.*AbortSignal/],
      [{ onPacket: 5 }, /onPacket.*function.*5/],
    ]
    for (const [options, says] of bad) {
      const attempt = run(url, [], options as object)
      await expect(attempt).rejects.toThrow(UsageError)
      await expect(attempt).rejects.toThrow(says)
    }
  })

  test('ping without a connection rejects, and ends nothing', async () => {
    const { loop } = startLoop({}, [], undefined, { manual: true })
    await expect(loop.ping()).rejects.toThrow(ConnectionError)
  })
})

// -------------------------------------------------------------------------------------------------------------------- C40

type ConnackProperties = NonNullable<IConnackPacket['properties']>

/** One loop whose server says this in its CONNACK; it ends when the requests are settled. */
async function under(
  properties: ConnackProperties,
  requests: readonly Request[],
  options: EventloopOptions = {},
) {
  const clock = new VirtualClock()
  const server = new ScriptedServer(clock, { autoConnack: { properties } })
  const started = startLoop({ until: 'settled', ...options }, requests, undefined, { server })
  await started.done
  expect(started.error).toBeUndefined()
  return started
}

describe('[C40] each CONNACK property changes what the engine does next', () => {
  const rows: readonly {
    readonly name: string
    readonly says: ConnackProperties
    readonly refused: SentRequest
    readonly reasonCode: number
    readonly taken: SentRequest
  }[] = [
    {
      ...{ name: 'Maximum QoS 0', says: { maximumQoS: 0 }, reasonCode: 0x9b },
      refused: publish('a', 'x', { qos: 1 }),
      taken: publish('a', 'x'),
    },
    {
      ...{ name: 'Maximum QoS 1', says: { maximumQoS: 1 }, reasonCode: 0x9b },
      refused: publish('a', 'x', { qos: 2 }),
      taken: publish('a', 'x', { qos: 1 }),
    },
    {
      ...{ name: 'Retain Available', says: { retainAvailable: false }, reasonCode: 0x9a },
      refused: publish('a', 'x', { qos: 1, retain: true }),
      taken: publish('a', 'x', { qos: 2 }),
    },
    {
      name: 'Wildcard Subscription Available',
      ...{ says: { wildcardSubscriptionAvailable: false }, reasonCode: 0xa2 },
      refused: subscribe(['a', 'b/#']),
      taken: subscribe('a'),
    },
    {
      name: 'Shared Subscription Available',
      ...{ says: { sharedSubscriptionAvailable: false }, reasonCode: 0x9e },
      refused: subscribe('$share/g/a'),
      taken: subscribe('share/g/#'),
    },
    {
      name: 'Subscription Identifier Available',
      ...{ says: { subscriptionIdentifiersAvailable: false }, reasonCode: 0xa1 },
      refused: subscribe('a', { properties: { subscriptionIdentifier: 1 } }),
      taken: subscribe('a'),
    },
    {
      name: 'Maximum Packet Size, to the byte',
      ...{ says: { maximumPacketSize: 40 }, reasonCode: 0x95 },
      refused: publish('a', 'x'.repeat(33), { qos: 1 }),
      taken: publish('a', 'x'.repeat(32), { qos: 1 }),
    },
  ]
  for (const { name, says, refused, reasonCode, taken } of rows) {
    test(name, async () => {
      const started = await under(says, [refused, taken])
      const error = outcomeOf(started, refused)
      expect(error).toBeInstanceOf(RefusedError)
      expect(error).toMatchObject({ reasonCode })
      expect(outcomeOf(started, taken)).toBe('ok')
      const sent = started.server.current.packets.filter(
        ({ cmd }) => cmd === 'publish' || cmd === 'subscribe',
      )
      // The refused request left no trace, not even a packet identifier.
      expect(sent[0]).toMatchObject({ cmd: taken.cmd })
      expect(sent.find(({ messageId }) => messageId !== undefined)?.messageId ?? 1).toBe(1)
      const allowed = await under({}, [refused])
      expect(outcomeOf(allowed, refused)).toBe('ok')
    })
  }

  test('Receive Maximum', async () => {
    for (const [receiveMaximum, sent] of [
      [1, 1],
      [3, 3],
      [undefined, 5],
    ] as const) {
      const clock = new VirtualClock()
      const properties = receiveMaximum === undefined ? {} : { receiveMaximum }
      const server = new ScriptedServer(clock, { autoConnack: { properties }, autoAck: false })
      const requests = Array.from({ length: 5 }, () => publish('a', 'x', { qos: 1 }))
      const { loop } = startLoop({}, requests, undefined, { server })
      await clock.settle()
      expect(server.current.of('publish')).toHaveLength(sent)
      await loop.return()
    }
  })

  test('Topic Alias Maximum: none is sent beyond it', async () => {
    for (const topicAliasMaximum of [undefined, 2]) {
      const requests = Array.from({ length: 12 }, (_, i) => publish(`t/${i % 4}`, 'x', { qos: 1 }))
      const properties = topicAliasMaximum === undefined ? {} : { topicAliasMaximum }
      const { server } = await under(properties, requests)
      const topics = new Map<number, string>()
      const resolved = server.current.of('publish').map(({ topic, properties }) => {
        const alias = properties?.topicAlias
        if (alias === undefined) return topic
        expect(alias).toBeLessThanOrEqual(topicAliasMaximum ?? 0)
        if (topic !== '') topics.set(alias, topic)
        return topics.get(alias)
      })
      expect(resolved).toEqual(requests.map(({ topic }) => topic))
    }
  })

  test('Server Keep Alive: it wins, 0 included', async () => {
    for (const [serverKeepAlive, pings] of [
      [5, 12],
      [0, 0],
      [undefined, 6],
    ] as const) {
      const clock = new VirtualClock()
      const properties = serverKeepAlive === undefined ? {} : { serverKeepAlive }
      const server = new ScriptedServer(clock, { autoConnack: { properties } })
      const { loop } = startLoop({ keepAlive: 10, until: 'closed' }, [], undefined, { server })
      await clock.advance(60_000)
      expect(server.connections).toHaveLength(1)
      expect(server.current.of('pingreq')).toHaveLength(pings)
      expect(loop.state.connection.keepAlive).toBe(serverKeepAlive ?? 10)
      await loop.return()
    }
  })

  test('Assigned Client Identifier: the next CONNECT, the state and the session carry it', async () => {
    const clock = new VirtualClock()
    const server = new ScriptedServer(clock, {
      autoConnack: { properties: { assignedClientIdentifier: 'given' } },
    })
    const { loop } = startLoop({ clientId: '', until: 'closed' }, [], undefined, { server })
    await clock.settle()
    server.current.reset()
    await clock.advance(60_000)
    expect(server.connections.map((one) => one.of('connect')[0]?.clientId)).toEqual(['', 'given'])
    expect(loop.state.clientId).toBe('given')
    expect(loop.session.clientId).toBe('given')
    await loop.return()
  })

  test('Session Expiry Interval: what the server keeps, the last DISCONNECT of a clean start forgets', async () => {
    for (const [says, cleanStart, last] of [
      [undefined, true, 0],
      [100, true, 0],
      [0, true, undefined],
      [undefined, false, undefined],
      [100, false, undefined],
    ] as const) {
      const properties = says === undefined ? {} : { sessionExpiryInterval: says }
      const { server } = await under(properties, [], { cleanStart })
      const [bye] = server.current.of('disconnect')
      expect(bye?.properties?.sessionExpiryInterval, `${says} ${cleanStart}`).toBe(last)
    }
  })

  test('Server Reference and Reason String: the error passes both on, and nobody goes there unasked', async () => {
    for (const reasonCode of [0x9c, 0x9d]) {
      const clock = new VirtualClock()
      const properties = { serverReference: 'other.example:1883', reasonString: 'moved house' }
      const server = new ScriptedServer(clock, { autoConnack: { reasonCode, properties } })
      const started = startLoop({}, [], undefined, { server })
      await started.done
      expect(started.error).toBeInstanceOf(RefusedError)
      expect(started.error).toMatchObject({ reasonCode })
      expect(String(started.error)).toContain('other.example:1883')
      expect(String(started.error)).toContain('moved house')
      for (const { endpoint } of server.dials) {
        expect(endpoint.url.href).not.toContain('other.example')
      }
    }
  })

  test('a refusal in SUBACK, whole or in part, is the outcome of the SUBSCRIBE', async () => {
    for (const [granted, reasonCode] of [
      [[0, 1], null],
      [[2, 0x87], 0x87],
      [[0x80, 0x8f], 0x80],
    ] as const) {
      const clock = new VirtualClock()
      const server = new ScriptedServer(clock, { autoAck: false })
      const request = subscribe(['a', 'b'], { qos: 2 })
      const started = startLoop({ until: 'settled' }, [request], undefined, { server })
      const { messageId } = await server.connection(1).then((c) => c.expectPacket('subscribe'))
      server.current.send({ cmd: 'suback', messageId: messageId!, granted: [...granted] })
      await started.done
      const outcome = outcomeOf(started, request)
      if (reasonCode === null) expect(outcome).toBe('ok')
      else expect(outcome).toMatchObject({ name: 'RefusedError', reasonCode })
    }
  })
})
