/** Builders, and the door: what passes and what each refusal says. */
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import { publish, subscribe, unsubscribe } from '../../src/requests/build.ts'
import { prepare } from '../../src/requests/prepare.ts'
import { prepareControl } from '../../src/requests/prepare-control.ts'

describe('builders make plain data', () => {
  test('publish', () => {
    expect(publish('a')).toEqual({ cmd: 'publish', topic: 'a' })
    expect(publish('a', 'x', { qos: 1, retain: true, key: 7 })).toEqual({
      ...{ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, retain: true, key: 7 },
    })
    expect(publish('a', 'x', { properties: { contentType: 'c' } }).properties).toEqual({
      contentType: 'c',
    })
  })

  test('subscribe: one filter or many, with options for all or each', () => {
    expect(subscribe('a')).toEqual({ cmd: 'subscribe', subscriptions: [{ topic: 'a', qos: 0 }] })
    expect(subscribe(['a', { topic: 'b', qos: 2, rh: 1 }], { qos: 1, nl: true, key: 'k' })).toEqual(
      {
        cmd: 'subscribe',
        key: 'k',
        subscriptions: [
          { topic: 'a', qos: 1, nl: true },
          { topic: 'b', qos: 2, nl: true, rh: 1 },
        ],
      },
    )
  })

  test('unsubscribe', () => {
    expect(unsubscribe('a')).toEqual({ cmd: 'unsubscribe', unsubscriptions: ['a'] })
    expect(unsubscribe(['a', 'b'], { key: 1 })).toEqual({
      cmd: 'unsubscribe',
      unsubscriptions: ['a', 'b'],
      key: 1,
    })
  })

  test('what they build passes the door', () => {
    for (const request of [
      publish('a', 'x', { qos: 2 }),
      subscribe(['a/#', '$share/g/b']),
      unsubscribe('a/+'),
    ]) {
      expect(prepare(request, 5)).toMatchObject({ request })
    }
  })
})

describe('the door refuses, and says field, value and rule', () => {
  const p = (fields: object) => ({ cmd: 'publish', topic: 'a', ...fields })
  const s = (fields: object) => ({
    cmd: 'subscribe',
    subscriptions: [{ topic: 'a', qos: 0, ...fields }],
  })
  const refusals: readonly (readonly [string, unknown, RegExp, (3 | 4 | 5)?])[] = [
    ['nothing', undefined, /request must be an object.*nothing/],
    ['a string', 'publish', /request must be an object.*"publish"/],
    [
      'an unknown cmd',
      { cmd: 'publsh' },
      /cmd must be one of publish, subscribe, .*ping.*"publsh"/,
    ],
    ['a cmd of Object.prototype', { cmd: 'constructor' }, /cmd must be one of/],
    ['no cmd', { topic: 'a' }, /cmd must be one of.*nothing/],
    ['no topic', { cmd: 'publish' }, /publish.topic must be a string, not nothing/],
    ['an empty topic', p({ topic: '' }), /publish.topic is empty.*MQTT-4.7.3-1/],
    ['a wildcard in a topic', p({ topic: 'a/#' }), /wildcard.*MQTT-3.3.2-2.*"a\/#"/],
    ['U+0000 in a topic', p({ topic: 'a\u0000' }), /U\+0000.*MQTT-1.5.4-2/],
    ['a lone surrogate in a topic', p({ topic: '\ud800' }), /lone surrogate.*MQTT-1.5.4-1/],
    ['a topic too long', p({ topic: 'é'.repeat(32_768) }), /65536 bytes.*65535/],
    ['a number as payload', p({ payload: 21.5 }), /publish.payload must be a string.*21.5/],
    ['null as payload', p({ payload: null }), /publish.payload must be.*null/],
    ['an object as payload', p({ payload: { t: 1 } }), /publish.payload must be.*object/],
    ['an array as payload', p({ payload: [1] }), /publish.payload must be.*Array/],
    ['bad base64', p({ payload: { base64: 'a b=' } }), /publish.payload must be.*base64/],
    ['unpadded base64', p({ payload: { base64: 'abc' } }), /padded/],
    ['base64 and more', p({ payload: { base64: 'QQ==', x: 1 } }), /publish.payload/],
    ['QoS 3', p({ qos: 3 }), /publish.qos must be 0, 1 or 2, not 3/],
    ['QoS as text', p({ qos: '1' }), /publish.qos must be 0, 1 or 2, not "1"/],
    ['null as QoS', p({ qos: null }), /publish.qos/],
    ['retain as a number', p({ retain: 1 }), /publish.retain must be true or false, not 1/],
    ['messageId', p({ messageId: 1 }), /messageId, which the engine assigns/],
    ['dup', p({ dup: false }), /dup, which the engine assigns/],
    ['an unknown field', p({ quality: 1 }), /no field "quality"; allowed: cmd, topic, payload/],
    ['properties as an array', p({ properties: [] }), /publish.properties must be an object/],
    [
      'null as properties',
      p({ properties: null }),
      /publish.properties must be an object, not null/,
    ],
    [
      'an unknown property',
      p({ properties: { expiry: 1 } }),
      /no "expiry"; allowed: payloadFormatIndicator/,
    ],
    [
      'a property of another packet',
      p({ properties: { receiveMaximum: 1 } }),
      /no "receiveMaximum"/,
    ],
    ['a topic alias', p({ properties: { topicAlias: 1 } }), /topicAlias is not for requests/],
    [
      'a subscription identifier',
      p({ properties: { subscriptionIdentifier: 1 } }),
      /not for requests.*MQTT-3.3.4-6/,
    ],
    [
      'a negative expiry',
      p({ properties: { messageExpiryInterval: -1 } }),
      /messageExpiryInterval.*0 to 4294967295.*-1/,
    ],
    ['a fractional expiry', p({ properties: { messageExpiryInterval: 1.5 } }), /whole number/],
    ['a format as a number', p({ properties: { payloadFormatIndicator: 1 } }), /true or false/],
    [
      'a content type that is none',
      p({ properties: { contentType: 1 } }),
      /contentType must be a string/,
    ],
    [
      'a response topic with a wildcard',
      p({ properties: { responseTopic: 'a/+' } }),
      /responseTopic.*wildcard/,
    ],
    [
      'correlation data as a number',
      p({ properties: { correlationData: 1 } }),
      /correlationData must be/,
    ],
    [
      'correlation data too long',
      p({ properties: { correlationData: Buffer.alloc(65_536) } }),
      /65536 bytes/,
    ],
    [
      'a user property as a number',
      p({ properties: { userProperties: { k: 1 } } }),
      /userProperties\["k"\] must be/,
    ],
    [
      'user properties as pairs',
      p({ properties: { userProperties: [['k', 'v']] } }),
      /userProperties must be/,
    ],
    ['properties in 3.1.1', p({ properties: {} }), /publish.properties needs MQTT 5/, 4],
    ['a key that is none', p({ key: {} }), /publish.key must be a string or a finite number/],
    ['NaN as key', p({ key: Number.NaN }), /publish.key/],
    ['a signal that is none', p({ signal: {} }), /publish.signal must be an AbortSignal/],
    ['no subscriptions', { cmd: 'subscribe' }, /subscriptions must be an array, not nothing/],
    ['empty subscriptions', { cmd: 'subscribe', subscriptions: [] }, /is empty.*MQTT-3.8.3-2/],
    [
      'a filter as text',
      { cmd: 'subscribe', subscriptions: ['a'] },
      /subscriptions\[0\] must be an object/,
    ],
    ['a bad filter', s({ topic: 'a#' }), /subscriptions\[0\].topic.*MQTT-4.7.1-1.*"a#"/],
    ['a bad share', s({ topic: '$share/g' }), /share name/],
    ['no QoS', s({ qos: undefined }), /subscriptions\[0\].qos must be 0, 1 or 2, not nothing/],
    [
      'an unknown option',
      s({ retain: true }),
      /no field "retain"; allowed: topic, qos, nl, rap, rh/,
    ],
    ['nl as a number', s({ nl: 1 }), /nl must be true or false/],
    ['rh 3', s({ rh: 3 }), /rh must be 0, 1 or 2, not 3/],
    ['nl on a shared subscription', s({ topic: '$share/g/a', nl: true }), /MQTT-3.8.3-4/],
    ['nl in 3.1.1', s({ nl: true }), /nl needs MQTT 5/, 4],
    ['rap in 3.1', s({ rap: true }), /rap needs MQTT 5/, 3],
    ['rh in 3.1.1', s({ rh: 1 }), /rh needs MQTT 5/, 4],
    [
      'identifier 0',
      { ...s({}), properties: { subscriptionIdentifier: 0 } },
      /1 to 268435455, not 0/,
    ],
    ['empty unsubscriptions', { cmd: 'unsubscribe', unsubscriptions: [] }, /MQTT-3.10.3-2/],
    [
      'a number to unsubscribe',
      { cmd: 'unsubscribe', unsubscriptions: [1] },
      /unsubscriptions\[0\] must be a string/,
    ],
    [
      'a negative pause',
      { cmd: 'pause', ms: -1 },
      /pause.ms must be milliseconds, 0 or more, not -1/,
    ],
    [
      'throttle 0',
      { cmd: 'throttle', perSecond: 0 },
      /perSecond must be a number above 0, or null/,
    ],
    ['throttle without a rate', { cmd: 'throttle' }, /perSecond.*nothing/],
    ['an endless time-out', { cmd: 'disconnect', timeout: Infinity }, /disconnect.timeout/],
    ['a field of another control', { cmd: 'resume', ms: 1 }, /no field "ms"/],
    [
      'a policy that is none',
      { cmd: 'reconnect', reconnect: 'sometimes' },
      /after-first-success.*"sometimes"/,
    ],
    ...(
      [
        ['minMs', 3_600_001, /reconnect\.minMs must be a number from 0 to 3600000, not 3600001/],
        ['maxMs', 86_400_001, /reconnect\.maxMs must be a number from 0 to 86400000/],
        ['stableMs', -1, /reconnect\.stableMs must be a number from 0 to 86400000, not -1/],
        ['when', 'sometimes', /reconnect\.when must be one of "always".*"sometimes"/],
        ['retryable', true, /reconnect\.retryable must be a function/],
      ] as const
    ).map(
      ([field, value, says]) =>
        [
          `a policy that the option would refuse: ${field}`,
          { cmd: 'reconnect', reconnect: { [field]: value } },
          says,
        ] as const,
    ),
    ['a policy with unknown fields', { cmd: 'reconnect', reconnect: { min: 1 } }, /no field "min"/],
  ]
  for (const [name, request, message, version = 5] of refusals) {
    test(name, () => {
      const attempt = () => prepare(request, version)
      expect(attempt).toThrow(UsageError)
      expect(attempt).toThrow(message)
    })
  }

  test('a request in the stream of controls', () => {
    expect(() => prepareControl(publish('a'))).toThrow(UsageError)
  })
})

describe('the door lets pass', () => {
  test('payloads: none, text, bytes of any kind and realm, base64', () => {
    const foreign = runInNewContext('new Uint8Array([104, 105])') as Uint8Array
    const hi = ['hi', Buffer.from('hi'), Uint8Array.of(104, 105), { base64: 'aGk=' }, foreign]
    for (const payload of hi) {
      const prepared = prepare({ cmd: 'publish', topic: 'a', payload }, 4)
      expect(prepared).toMatchObject({ payloadBytes: 2, qos: 0, retain: false, bytes: 8 })
      const { payload: ready } = prepared as { payload: string | Uint8Array }
      expect(Buffer.from(ready as string).toString()).toBe('hi')
    }
    for (const payload of [undefined, '', { base64: '' }, new Uint8Array()]) {
      expect(prepare({ cmd: 'publish', topic: 'a', payload }, 5)).toMatchObject({
        payloadBytes: 0,
        bytes: 6,
      })
    }
    const prepared = prepare({ cmd: 'publish', topic: 'é', payload: 'é😀' }, 5)
    expect(prepared).toMatchObject({ payloadBytes: 6, bytes: 13 })
    // A payload is no text of MQTT: a lone surrogate is sent as U+FFFD, which has three bytes.
    const lone = prepare({ cmd: 'publish', topic: 'a', payload: '\ud800' }, 5)
    expect(lone).toMatchObject({ payloadBytes: 3, bytes: 9 })
  })

  test('objects that are frozen, without a prototype, or instances; none is changed', () => {
    class Reading {
      readonly cmd = 'publish'
      readonly topic = 'a'
      readonly payload = 'x'
      get description(): string {
        return 'not a field'
      }
    }
    const bare = Object.assign(Object.create(null), { cmd: 'publish', topic: 'a', payload: 'x' })
    for (const request of [new Reading(), bare, Object.freeze(publish('a', 'x'))]) {
      const before = JSON.stringify(request)
      const prepared = prepare(request, 5)
      expect(prepared).toMatchObject({ kind: 'publish', payload: 'x' })
      expect((prepared as { request: unknown }).request).toBe(request)
      expect(JSON.stringify(request)).toBe(before)
    }
    const sub = Object.freeze({
      cmd: 'subscribe',
      subscriptions: Object.freeze([Object.freeze({ topic: 'a', qos: 1 })]),
    })
    expect(prepare(sub, 4)).toMatchObject({ subscriptions: [{ topic: 'a', qos: 1 }] })
  })

  test('properties: encoded once, the expiry apart from the rest', () => {
    const properties = { messageExpiryInterval: 60, contentType: 'c', userProperties: undefined }
    const prepared = prepare(publish('a', 'x', { qos: 1, properties: properties as object }), 5)
    expect(prepared).toMatchObject({ expirySeconds: 60, expiryGiven: true, bytes: 18 })
    expect(Buffer.from((prepared as { properties: Uint8Array }).properties).toString('hex')).toBe(
      '03000163',
    )
    const none = prepare(publish('a', 'x', { properties: {} }), 5)
    expect(none).toMatchObject({ properties: null, expirySeconds: 0, expiryGiven: false })
    const zero = prepare(publish('a', 'x', { properties: { messageExpiryInterval: 0 } }), 5)
    expect(zero).toMatchObject({ properties: null, expirySeconds: 0, expiryGiven: true })
  })

  test('false and 0 for what MQTT 3 does not know', () => {
    const request = subscribe('a', { qos: 1, nl: false, rap: false, rh: 0 })
    expect(prepare(request, 4)).toMatchObject({ subscriptions: [{ topic: 'a', qos: 1 }] })
  })

  test('what is kept of a SUBSCRIBE does not change with the caller’s object', () => {
    const userProperties: Record<string, string> = { k: 'v' }
    const request = subscribe('a', { properties: { subscriptionIdentifier: 5, userProperties } })
    const prepared = prepare(request, 5)
    userProperties.k = 'changed'
    expect(prepared).toMatchObject({
      bytes: 18,
      properties: { subscriptionIdentifier: 5, userProperties: { k: 'v' } },
    })
  })

  test('every control', () => {
    const controls = [
      { cmd: 'pause' },
      { cmd: 'pause', ms: 0 },
      { cmd: 'resume' },
      { cmd: 'throttle', perSecond: null },
      { cmd: 'throttle', perSecond: 0.5 },
      { cmd: 'reconnect' },
      { cmd: 'reconnect', reconnect: 'never' },
      { cmd: 'reconnect', reconnect: { when: 'always', minMs: 1, retryable: () => true } },
      { cmd: 'disconnect', timeout: 0 },
      { cmd: 'shutdown', key: 'from a file' },
      { cmd: 'ping' },
    ]
    for (const control of controls) {
      expect(prepare(control, 3)).toMatchObject({ kind: 'control', control })
    }
  })

  test('a policy with its defaults, which the loop takes as it is', () => {
    expect(prepare({ cmd: 'reconnect' }, 5)).toMatchObject({ policy: null })
    expect(prepare({ cmd: 'reconnect', reconnect: { minMs: 7 } }, 5)).toMatchObject({
      policy: { when: 'after-first-success', minMs: 7, maxMs: 30_000, stableMs: 30_000 },
    })
  })

  test('more topics than the cache holds, again and again', () => {
    for (let i = 0; i < 10_000; i++) {
      const prepared = prepare({ cmd: 'publish', topic: `t/${i % 5000}` }, 5) as {
        topic: Uint8Array
      }
      expect(Buffer.from(prepared.topic.subarray(2)).toString()).toBe(`t/${i % 5000}`)
    }
  })
})
