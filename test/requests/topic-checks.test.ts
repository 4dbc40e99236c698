/** Goal: users dispatch and check topics with what the package exports, by the rules of the standard. */
import { describe, expect, test } from 'vitest'
import { matches, validateFilter, validateTopic } from '../../src/index.ts'

describe('matches', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['a/b', 'a/b', true],
    ['a/+', 'a/b', true],
    ['a/+', 'a/b/c', false],
    ['a/#', 'a', true],
    ['a/#', 'a/b/c', true],
    ['+/+', '/a', true],
    ['#', 'a/b', true],
    ['$share/g/a/+', 'a/b', true],
    ['$share/g/#', 'a', true],
    ['$share/g/a', 'g/a', false],
  ]
  test.each(cases)('%s and %s: %s', (filter, topic, expected) => {
    expect(matches(filter, topic)).toBe(expected)
  })

  test.each([
    ['#', '$SYS/uptime', false],
    ['+/uptime', '$SYS/uptime', false],
    ['$share/g/#', '$SYS/uptime', false],
    ['$SYS/#', '$SYS/uptime', true],
    ['$share/g/$SYS/#', '$SYS/uptime', true],
  ])('[MQTT-4.7.2-1] %s and %s: %s', (filter, topic, expected) => {
    expect(matches(filter, topic)).toBe(expected)
  })
})

describe('validateTopic and validateFilter', () => {
  test('null for what may be used', () => {
    for (const topic of ['a', '/', '$SYS/x']) expect(validateTopic(topic)).toBeNull()
    for (const filter of ['a', '#', '+/a', '$share/g/a/#'])
      expect(validateFilter(filter)).toBeNull()
  })

  test('a sentence that names the rule for what may not', () => {
    expect(validateTopic('a/+')).toMatch(/^the topic holds a wildcard .*\[MQTT-3.3.2-2\]$/)
    expect(validateFilter('a/#/b')).toMatch(/^the filter has a # .*\[MQTT-4.7.1-1\]$/)
    expect(validateFilter('$share//a')).toMatch(/^the filter has an empty share name.*4.8.2-1/)
    expect(validateFilter('')).toMatch(/^the filter is empty/)
    expect(validateTopic(undefined as unknown as string)).toBe(
      'the topic must be a string, not nothing',
    )
  })

  test('the rules of MQTT 3, which has no shared subscriptions', () => {
    expect(validateFilter('$share//a', 4)).toBeNull()
  })
})
