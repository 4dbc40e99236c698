/**
 * Goal: an option that has no effect is refused, and no option that has one. Method: each option
 * with each transport and each version, against a table of what is expected.
 */
import { describe, expect, test } from 'vitest'
import { connect, eventloop, UsageError } from '../../src/index.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import { startLoop } from '../support/loop.ts'

const SERVERS = {
  mqtt: { url: 'mqtt://h' },
  tcp: { url: 'tcp://h' },
  mqtts: { url: 'mqtts://h' },
  tls: { url: 'tls://h' },
  ws: { url: 'ws://h' },
  wss: { url: 'wss://h' },
  unix: { url: 'unix:/run/mqtt' },
  custom: { url: 'mqtt://h', transport: () => Promise.reject(new Error('none')) },
  bare: { transport: () => Promise.reject(new Error('none')) },
} as const satisfies Record<string, EventloopOptions>

type Server = keyof typeof SERVERS
const ALL = Object.keys(SERVERS) as Server[]

/** The options that depend on the transport, and the transports with which they have an effect. */
const BY_TRANSPORT: readonly (readonly [EventloopOptions, readonly Server[], RegExp])[] = [
  [{ headers: { a: 'b' } }, ['ws', 'wss', 'custom', 'bare'], /headers has no effect .*ws: or wss:/],
  [
    { tls: { ca: undefined, servername: 's' } },
    ['mqtts', 'tls', 'wss', 'custom', 'bare'],
    /mqtts:/,
  ],
  [{ tls: { rejectUnauthorized: false } }, ['mqtts', 'tls', 'wss', 'custom', 'bare'], /tls /],
  [{ family: 4 }, ALL.filter((one) => one !== 'unix'), /family has no effect with unix:/],
  [{ localAddress: '127.0.0.1' }, ALL.filter((one) => one !== 'unix'), /localAddress .*unix:/],
  [{ lookup: () => {} }, ALL.filter((one) => one !== 'unix'), /lookup .*unix:/],
  [{ followRedirects: true }, ALL.filter((one) => one !== 'bare'), /followRedirects .*url/],
]

describe.each(BY_TRANSPORT)('[T1] %j', (options, fits, says) => {
  test.each(ALL)('with %s', async (server) => {
    const all = { ...SERVERS[server], ...options }
    if (fits.includes(server)) return expect(() => eventloop(all)).not.toThrow()
    expect(() => eventloop(all)).toThrow(UsageError)
    expect(() => eventloop(all)).toThrow(says)
    await expect(connect(all)).rejects.toThrow(UsageError)
  })

  test('in a list it needs one server with which it has an effect', () => {
    const urls = ALL.flatMap((one) => ('transport' in SERVERS[one] ? [] : [SERVERS[one].url]))
    expect(() => eventloop({ url: urls, ...options })).not.toThrow()
  })

  test('connectOptions may name another server, so each attempt is judged', async () => {
    const wrong = ALL.find((one) => !fits.includes(one) && !('transport' in SERVERS[one]))
    if (wrong === undefined) return
    const { url } = SERVERS[wrong] as { url: string }
    expect(() => eventloop({ url, connectOptions: () => undefined, ...options })).not.toThrow()
    for (const given of [{ url }, { username: 'u' }, {}, undefined]) {
      let asked = 0
      const connectOptions = () => {
        asked++
        return given
      }
      const started = startLoop({
        connectOptions,
        ...options,
        transport: undefined,
        url,
        reconnect: 'always',
      })
      await started.clock.advance(60_000)
      expect(started.error).toBeInstanceOf(UsageError)
      expect((started.error as Error).message).toMatch(says)
      expect(asked).toBe(1)
    }
  })
})

const BY_VERSION: readonly EventloopOptions[] = [
  { sessionExpiryInterval: 5 },
  { receiveMaximum: 5 },
  { topicAliasMaximum: 5 },
  { disconnectReason: 4 },
  { followRedirects: true },
  { properties: { requestResponseInformation: true } },
]

describe.each(BY_VERSION)('[T7] %j', (options) => {
  const [name] = Object.keys(options) as [string]
  test.each([5, 4, 3] as const)('with protocolVersion %i', (protocolVersion) => {
    const loop = () => eventloop({ url: 'mqtt://h', protocolVersion, ...options })
    if (protocolVersion === 5) return expect(loop).not.toThrow()
    expect(loop).toThrow(UsageError)
    expect(loop).toThrow(name)
    expect(loop).toThrow(/MQTT 5/)
  })

  test('without a version, which may fall', () => {
    expect(() => eventloop({ url: 'mqtt://h', ...options })).not.toThrow()
  })
})

test('values that ask for nothing are accepted everywhere', () => {
  const nothing: EventloopOptions = {
    ...{ tls: {}, headers: {}, followRedirects: false, disconnectReason: 0, family: undefined },
    ...{ protocolVersion: 4, sessionExpiryInterval: 0, topicAliasMaximum: 0 },
  }
  for (const server of ALL)
    expect(() => eventloop({ ...SERVERS[server], ...nothing })).not.toThrow()
})

test('[T4] connectivityCheck needs a list of servers', () => {
  const connectivityCheck = () => true
  expect(() => eventloop({ url: ['mqtt://a', 'mqtt://b'], connectivityCheck })).not.toThrow()
  expect(() => eventloop({ url: 'mqtt://a', connectivityCheck })).toThrow(
    /connectivityCheck has no effect with one server; .*two servers/,
  )
})

test('[T6] an attempt whose version fell is not judged by it', async () => {
  const options = { sessionExpiryInterval: 600, connectOptions: () => ({ username: 'u' }) } as const
  const started = startLoop({ ...options, until: 'closed' })
  started.server.onConnection = (one) => {
    one.autoConnack = started.server.connections.length === 1 ? { reasonCode: 0x84 } : true
  }
  await started.clock.advance(100)
  expect(started.loop.state.connection).toMatchObject({ kind: 'connected', protocolVersion: 4 })
  await started.loop.return()
})

test('[T1] headers of the upgrade itself belong to the WebSocket', () => {
  for (const name of ['Connection', 'upgrade', 'Sec-WebSocket-Protocol', 'sec-websocket-key']) {
    const headers = { [name]: 'x' }
    expect(() => eventloop({ ...SERVERS.wss, headers })).toThrow(UsageError)
    expect(() => eventloop({ ...SERVERS.wss, headers })).toThrow(name)
    expect(() => eventloop({ ...SERVERS.custom, headers })).not.toThrow()
  }
  expect(() => eventloop({ ...SERVERS.ws, headers: { Host: 'a', Origin: 'b' } })).not.toThrow()
})

describe('the parts of a URL', () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ['mqtt://h/path', /path \(\/path\) has no effect with mqtt:.*topic/],
    ['tcp://h/a', /path/],
    ['mqtts://h/a', /path/],
    ['tls://h/a/b', /path/],
    ['mqtt://h?clientId=secret', /query has no effect with mqtt:.*did you mean clientId\?/],
    ['mqtt://h/?keepalive=5&clean=true', /did you mean keepAlive\?.*did you mean cleanStart\?/],
    ['mqtt://h#a', /fragment/],
    ['ws://h/mqtt#a', /fragment/],
    ['wss://h#a', /fragment/],
    ['unix:/run/mqtt?a=b', /query/],
    ['unix:/run/mqtt#a', /fragment/],
    ['unix://run/mqtt', /host \(run\) has no effect with unix:; write unix:\/mqtt/],
    ['mqtt://h:0', /port 0/],
    ['unix:/run/100%', /path has a "%" that is no escape; write %25/],
    ['unix:/run/%00', /U\+0000/],
  ]
  test.each(refused)('%s: is refused', (url, says) => {
    expect(() => eventloop(url)).toThrow(UsageError)
    expect(() => eventloop(url)).toThrow(says)
    expect(() => eventloop(url)).not.toThrow(/secret/)
    expect(() => eventloop({ url: ['mqtt://a', url] })).toThrow(/url\[1\]/)
  })

  test.each([
    'mqtt://h/',
    'mqtts://h:1/',
    'ws://h/mqtt?token=1',
    'wss://h',
    'unix:/run/a',
    'unix:///a',
  ])('%s: is accepted', (url) => expect(() => eventloop(url)).not.toThrow())

  test('with a transport of the user they are his', () => {
    expect(() => eventloop({ ...SERVERS.custom, url: 'mqtt://h/path?a=b#c' })).not.toThrow()
  })
})

describe('options of the socket', () => {
  const refused: readonly (readonly [EventloopOptions, RegExp])[] = [
    [{ family: 5 as never }, /family must be 4 or 6, not 5/],
    [{ family: '4' as never }, /family must be 4 or 6/],
    [{ localAddress: 'eth0' }, /localAddress must be an address.*"eth0"/],
    [{ localAddress: '1.2.3.4.5' }, /localAddress/],
    [{ localAddress: '::1', family: 4 }, /localAddress must be an address of IPv4/],
    [{ lookup: 'dns' as never }, /lookup must be a function/],
    [{ url: 'mqtt://127.0.0.1', family: 6 }, /family is of IPv6, but the host .*IPv4/],
    [{ url: 'mqtt://[::1]', localAddress: '127.0.0.1' }, /localAddress is of IPv4/],
    [{ url: 'ws://h', headers: { 'a b': 'c' } }, /headers: "a b"/],
    [{ url: 'ws://h', headers: { a: 'secret\r\nb' } }, /headers\.a has a character/],
  ]
  test.each(refused)('[T1] %j: is refused', (options, says) => {
    expect(() => eventloop({ url: 'mqtt://h', ...options })).toThrow(UsageError)
    expect(() => eventloop({ url: 'mqtt://h', ...options })).toThrow(says)
    expect(() => eventloop({ url: 'mqtt://h', ...options })).not.toThrow(/secret/)
  })

  test('[T1] what fits is accepted', () => {
    for (const localAddress of ['127.0.0.1', '::1', 'fe80::1%eth0']) {
      expect(() => eventloop({ url: 'mqtt://h', localAddress })).not.toThrow()
    }
  })
})
