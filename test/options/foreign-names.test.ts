/**
 * Goal: a name that is no option is answered with the one that was meant. Method: a table of names
 * of other clients and of misspelled ones.
 */
import { describe, expect, test } from 'vitest'
import { eventloop, publish, UsageError } from '../../src/index.ts'
import { hintFor, tlsFieldProblem } from '../../src/options/foreign-names.ts'
import { nearest } from '../../src/requests/check.ts'
import { startLoop } from '../support/loop.ts'

const meant: readonly (readonly [string, RegExp])[] = [
  ['clean', /did you mean cleanStart\?/],
  ['cleanSession', /did you mean cleanStart\?/],
  ['cleanstart', /did you mean cleanStart\?/],
  ['keepalive', /did you mean keepAlive\?/],
  ['keep_alive', /did you mean keepAlive\?/],
  ['clientID', /did you mean clientId\?/],
  ['client_id', /did you mean clientId\?/],
  ['userName', /did you mean username\?/],
  ['usernmae', /did you mean username\?/],
  ['passwd', /did you mean password\?/],
  ['reconect', /did you mean reconnect\?/],
  ['connectTimeoutMs', /did you mean connectTimeout\?/],
  ['reconnectPeriod', /reconnect: \{ minMs, maxMs \}/],
  ['rejectUnauthorized', /tls: \{ rejectUnauthorized \}/],
  ['ca', /tls: \{ ca \}/],
  ['cert', /tls: \{ cert \}/],
  ['key', /tls: \{ key \}/],
  ['servername', /tls: \{ servername \}/],
  ['ALPNProtocols', /tls: \{ ALPNProtocols \}/],
  ['host', /part of the URL/],
  ['hostname', /part of the URL/],
  ['port', /part of the URL/],
  ['protocol', /part of the URL/],
  ['servers', /part of the URL/],
  ['protocolId', /did you mean protocolVersion\?/],
  ['resubscribe', /did you mean renewSubscriptions\?/],
  ['incomingStore', /did you mean session\?/],
  ['wsOptions', /headers and tls/],
  ['transformWsUrl', /connectOptions/],
  ['customHandleAcks', /acks: 'manual'/],
  ['queueQoSZero', /leave it out/],
  ['autoUseTopicAlias', /leave it out/],
  ['subscribeBatchSize', /filtersPerSubscribe/],
]

describe('a name that is no option', () => {
  test.each(meant)('%s', (name, says) => {
    const options = { url: 'mqtt://h', [name]: 'secret' }
    expect(() => eventloop(options)).toThrow(UsageError)
    expect(() => eventloop(options)).toThrow(`"${name}"`)
    expect(() => eventloop(options)).toThrow(says)
    expect(() => eventloop(options)).not.toThrow(/secret/)
  })

  test.each(['foo', 'toString', 'x', '__proto', 'quality'])(
    '%s: the options are listed',
    (name) => {
      expect(() => eventloop({ url: 'mqtt://h', [name]: 1 })).toThrow(/allowed: .*clientId/)
    },
  )

  test('in what connectOptions returns', async () => {
    const returned = [
      [{ ca: 'x' }, /connectOptions has no field "ca"; did you mean tls: \{ ca \}\?/],
      [{ keepAlive: 5 }, /connectOptions has no field "keepAlive"; it is an option of the loop/],
      [{ foo: 5 }, /allowed: .*family/],
    ] as const
    for (const [given, says] of returned) {
      const started = startLoop({ connectOptions: () => given as never, reconnect: 'always' })
      await started.clock.advance(60_000)
      expect(started.error).toBeInstanceOf(UsageError)
      expect((started.error as Error).message).toMatch(says)
    }
  })

  test('of tls', () => {
    expect(tlsFieldProblem('rejectUnauthorised', false)).toContain('rejectUnauthorized')
    expect(tlsFieldProblem('serverName', true)).toContain('servername')
    expect(tlsFieldProblem('minVersion', false)).toBeNull()
    expect(tlsFieldProblem('somethingOfALaterNode', false)).toBeNull()
    const tls = { rejectUnauthorised: false } as object
    expect(() => eventloop({ url: 'mqtts://h', tls })).toThrow(/did you mean rejectUnauthorized\?/)
  })

  test.each([
    ['host', /tls\.host: give it as the option url/],
    ['port', /tls\.port: give it as the option url/],
    ['socket', /tls\.socket: give it as the option transport/],
    ['timeout', /tls\.timeout: give it as the option connectTimeout/],
    ['lookup', /tls\.lookup: give it as the option lookup/],
    ['caFile', /did you mean ca\?/],
    ['certificate', /did you mean cert\?/],
    ['privateKey', /did you mean key\?/],
    ['insecure', /did you mean rejectUnauthorized\?/],
  ])('[T1] of tls, where the name says something else than `url` or nothing: %s', (name, says) => {
    const tls = { [name]: 'x' } as object
    expect(() => eventloop({ url: 'mqtts://h', tls })).toThrow(UsageError)
    expect(() => eventloop({ url: 'mqtts://h', tls })).toThrow(says)
    const transport = () => new Promise<never>(() => {})
    expect(() => eventloop({ url: 'mqtts://h', tls, transport })).not.toThrow()
  })

  test('[T1] of ackTimeout, and of a clock without its methods', () => {
    const ackTimeout = { afterMs: 5, than: 'fail' } as const
    expect(() => eventloop({ url: 'mqtt://h', ackTimeout })).toThrow(/"than"; did you mean then\?/)
    for (const platform of [null, {}, { now: Date.now }]) {
      const options = { url: 'mqtt://h', platform: platform as never }
      expect(() => eventloop(options)).toThrow(/^platform must be an object with the methods now/)
    }
  })

  test('of a request', async () => {
    const bad = { ...publish('a'), retian: true }
    const started = startLoop({}, [bad])
    await started.done
    const [settled] = started.outcomes
    expect(settled!.outcome).toMatchObject({ ok: false })
    const { error } = settled!.outcome as { error: Error }
    expect(error.message).toMatch(/"retian"; did you mean retain\?/)
  })
})

test('the nearest name is at most two edits away, and fewer for short names', () => {
  const names = ['url', 'acks', 'reconnect']
  expect(nearest('URL', names)).toBe('url')
  expect(nearest('ulr', names)).toBe('url')
  expect(nearest('ack', names)).toBe('acks')
  expect(nearest('aks', names)).toBe('acks')
  expect(nearest('reconnetc', names)).toBe('reconnect')
  expect(nearest('re-connects', names)).toBe('reconnect')
  expect(nearest('disconnect', names)).toBeNull()
  expect(nearest('u', names)).toBeNull()
  expect(nearest('', names)).toBeNull()
  expect(hintFor('nothing like an option')).toBeNull()
})
