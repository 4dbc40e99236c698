/**
 * Goal: somebody who looks on knows what each message of a bus is, and takes nothing else for one.
 * Method: tables of topics and properties, and the filters compared with the topics.
 */
import { describe, expect, test } from 'vitest'
import { inspectFilters, inspectMessage } from '../../src/bus/index.ts'
import { matches, type UserProperties } from '../../src/index.ts'

const payload = Buffer.from('{}')
const claims = { id: null, version: null, by: null, firedAt: null }
const letter = { kind: 'dead', service: 'mail', listener: 'welcome', event: 'moved', ...claims }

const messageAt = (topic: string, userProperties: UserProperties = {}, bytes = payload) => ({
  ...{ topic, payload: bytes, properties: { userProperties } },
})

const KNOWN = [
  ['bus/auth/v1/event/moved', { kind: 'event', api: 'auth', major: 1, event: 'moved', key: null }],
  ['bus/a/b/v0/event/moved/k%2F1', { api: 'a/b', major: 0, event: 'moved', key: 'k/1' }],
  ['bus/event/v1/event/event/event', { api: 'event', event: 'event', key: 'event' }],
  ['bus/auth/v12/schema/web', { kind: 'schema', api: 'auth', major: 12, service: 'web' }],
  ['bus/_dead/mail/welcome/auth/moved', { ...letter, api: 'auth', code: null, redriven: 0 }],
  ['bus/_dead/mail/welcome/a/b/moved', { ...letter, api: 'a/b' }],
] as const

describe('what a message of a bus is', () => {
  test.each(KNOWN)('[B19] %s is known, and one filter has it', (topic, expected) => {
    const inspected = inspectMessage(messageAt(topic))!
    expect(inspected).toMatchObject(expected)
    for (const api of [undefined, inspected.api]) {
      const filters = inspectFilters({ api, kinds: [inspected.kind] })
      expect(filters.some((filter) => matches(filter, topic))).toBe(true)
    }
    const others = inspectFilters({ api: 'other' })
    expect(others.some((filter) => matches(filter, topic))).toBe(false)
  })

  test.each([
    ...['bus/auth/v1/rpc/moved', 'bus/auth/v1/event', 'bus/auth/v1/event/a/b/c', 'bus', ''],
    ...['bus/auth/event/moved', 'bus/v1/event/moved', 'bus/_control/v1/event/moved'],
    ...['bus/au th/v1/event/moved', 'bus/auth/v1/event/mo ved', 'bus/auth/v1/schema/web/x'],
    ...['bus/auth/v1/schema/\u202e', 'bus/auth/v99999999999/event/moved', 'buses/auth/v1/event/m'],
    ...['bus/_dead/mail/welcome/moved', 'bus/_dead/mail', 'bus/_dead/mail/w/_x/moved'],
    ...['bus/_redrive/mail/welcome/auth/moved', 'bus/auth/v1/event//', 'bus//v1/event/moved'],
  ])('[B19] %j is none', (topic) => {
    expect(inspectMessage(messageAt(topic))).toBeNull()
  })

  test('what others say is a claim: cut, and null where it cannot be true', () => {
    const said = {
      ...{ 'itm-key': ['e1', 'e2'], 'itm-by': 'web/one', 'itm-at': '2026-01-02T03:04:05.000Z' },
      ...{ 'itm-version': '1.2.0', 'itm-code': 'NO', 'itm-message': 'x'.repeat(9999) },
      ...{ 'itm-redrive': '2' },
    }
    const topic = 'p/q/_dead/mail/welcome/auth/moved'
    expect(inspectMessage(messageAt(topic, said), 'p/q')).toEqual({
      ...{ ...letter, api: 'auth', id: 'e1', by: 'web/one', version: '1.2.0' },
      ...{ firedAt: Date.parse(said['itm-at']), code: 'NO', message: 'x'.repeat(4096) },
      redriven: 2,
    })
    const lies = { 'itm-at': 'never', 'itm-version': 'zzz', 'itm-redrive': '-1' }
    expect(inspectMessage(messageAt(topic, lies), 'p/q')).toMatchObject({ ...claims, redriven: 0 })
  })

  test('an empty message that says nothing of itself takes a dead letter away', () => {
    const topic = 'bus/_dead/mail/welcome/auth/moved'
    const empty = Buffer.alloc(0)
    expect(inspectMessage(messageAt(topic, {}, empty))).toBeNull()
    const said = { 'itm-topic': 'bus/auth/v1/event/moved' }
    expect(inspectMessage(messageAt(topic, said, empty))).toMatchObject(letter)
  })

  test('what cannot be used is refused', () => {
    const unusable = [{ api: '#' }, { prefix: '+' }, { other: 1 }, null, { kinds: ['a'] }]
    for (const options of [...unusable, { kinds: 'event' }, { api: 7 }]) {
      expect(() => inspectFilters(options as never)).toThrow(
        expect.objectContaining({ name: 'UsageError' }),
      )
    }
  })
})
