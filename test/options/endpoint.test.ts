/**
 * Goal: a URL names the host that people mean, and messages name the endpoint without its secrets.
 * Method: tables of URLs.
 */
import { describe, expect, test } from 'vitest'
import { ConnectionError, eventloop, UsageError } from '../../src/index.ts'
import { endpointOf, redirected, whereOf } from '../../src/options/endpoint.ts'

test.each([
  ['mqtt://user:secret@host:1884/path', 'mqtt://host:1884'],
  ['mqtt://host', 'mqtt://host:1883'],
  ['mqtts://user@host', 'mqtts://host:8883'],
  ['wss://host/mqtt?token=secret', 'wss://host:443'],
  ['unix:/run/mqtt.sock', 'unix:///run/mqtt.sock'],
])('%s is named without user name, password and query', (url, expected) => {
  const where = whereOf({ url })
  expect(where).toContain(expected.replace(/:\d+$/, ''))
  expect(where).not.toContain('secret')
})

describe('the host of a URL', () => {
  const named: readonly (readonly [url: string, host: string, port: number, where?: string])[] = [
    ['mqtt://h', 'h', 1883],
    ['tcp://h', 'h', 1883],
    ['mqtts://h', 'h', 8883],
    ['tls://h', 'h', 8883],
    ['ws://h', 'h', 80],
    ['wss://h/mqtt', 'h', 443],
    ['mqtt://h:7', 'h', 7],
    ['mqtt://münchen.example', 'xn--mnchen-3ya.example', 1883],
    ['mqtts://u:p@MÜNCHEN.example:1', 'xn--mnchen-3ya.example', 1],
    ['wss://münchen.example', 'xn--mnchen-3ya.example', 443],
    ['mqtt://m%C3%BCnchen.example', 'xn--mnchen-3ya.example', 1883],
    ['mqtt://日本。example', 'xn--wgv71a.example', 1883],
    ['mqtt://ho%73t.example', 'host.example', 1883],
    ['mqtt://%31%32%37.0.0.1', '127.0.0.1', 1883],
    ['mqtt://host.example.', 'host.example.', 1883],
    ['mqtt://under_score', 'under_score', 1883],
    ['mqtt://broker.1', 'broker.1', 1883],
    ['mqtt://127.0.0.1', '127.0.0.1', 1883],
    ['mqtt://[::1]', '::1', 1883, 'mqtt://[::1]'],
    ['mqtt://[fe80::1%25eth0]:7', 'fe80::1%eth0', 7, 'mqtt://[fe80::1%eth0]:7'],
    ['mqtt://[fe80::1%eth0]', 'fe80::1%eth0', 1883],
    ['mqtts://u:p@[fe80::1%25en%2D1]', 'fe80::1%en-1', 8883],
    ['ws://[fe80::1%2]/mqtt', 'fe80::1%2', 80],
    ['mqtt://[fe80::1%25]', 'fe80::1%25', 1883],
    ['mqtt://[FE80::1%ETH0]', 'fe80::1%ETH0', 1883],
  ]
  for (const [url, host, port, where] of named) {
    test(`${url} is ${host}`, () => {
      const endpoint = endpointOf({ url }, 5)
      expect([endpoint.host, endpoint.port]).toEqual([host, port])
      expect(endpoint.url.hostname).toMatch(/^[\w.-]+$|^\[[\da-f:.]+\]$/)
      if (where !== undefined) expect(whereOf({ url })).toBe(where)
      const loop = eventloop(url)
      expect(loop.state.connection.endpoint).toContain(host.split('%')[0])
    })
  }

  test.each([
    'mqtt://[fe80::1%25]eth0',
    'mqtt://[fe80::1%25et h0]',
    'mqtt://[fe80::1%25a%2Fb]',
    'mqtt://[fe80::1%25%zz]',
    'mqtt://ho%2Fst',
    'mqtt://ho%20st',
    'mqtt://ho%00st',
    'mqtt://xn--a',
    'mqtt://%zz',
  ])('%s names none', (url) => {
    if (url === 'mqtt://xn--a') return expect(endpointOf({ url }, 5).host).toBe('xn--a')
    expect(() => eventloop(url)).toThrow(UsageError)
  })

  test('a list and a URL object are read in the same way', () => {
    const url = new URL('mqtt://münchen.example')
    expect(eventloop({ url }).state.connection.endpoint).toBe('mqtt://xn--mnchen-3ya.example')
    expect(() => eventloop({ url: ['mqtt://a', 'mqtt://[fe80::1%eth0]'] })).not.toThrow()
  })
})

describe('a Server Reference', () => {
  const from = new URL('mqtts://one')
  test.each([
    ['other', 'mqtts://other', 'other'],
    ['other:1884', 'mqtts://other:1884', 'other'],
    ['münchen.example:1', 'mqtts://münchen.example:1', 'xn--mnchen-3ya.example'],
    ['[::1]:1884', 'mqtts://[::1]:1884', '::1'],
    ['[fe80::1%eth0]', 'mqtts://[fe80::1%eth0]', 'fe80::1%eth0'],
    ['mqtt://other', 'mqtts://other', 'other'],
    ['a b', 'mqtts://a', 'a'],
  ])('%s is %s', (reference, url, host) => {
    expect(redirected(from, reference)).toBe(url)
    expect(endpointOf({ url }, 5).host).toBe(host)
  })

  test.each(['', 'other:99999', '[:]', 'user:pass@other', 'other/path', 'a?b', '256.1.1.1:70000'])(
    '"%s" names no host',
    (reference) => {
      expect(() => redirected(from, reference)).toThrow(ConnectionError)
    },
  )
})

test('[T1] [MQTT-6.0.0-3] the WebSocket sub-protocol is that of the version', () => {
  const subprotocols = ([5, 4, 3] as const).map((version) => {
    return endpointOf({ url: 'ws://h' }, version).subprotocol
  })
  expect(subprotocols).toEqual(['mqtt', 'mqtt', 'mqttv3.1'])
  expect(endpointOf({ url: 'ws://h' }, 5).lenient).toBe(true)
  expect(endpointOf({ url: 'ws://h', tolerance: 'strict' }, 5).lenient).toBe(false)
})
