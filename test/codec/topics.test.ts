/** Topic Names and Topic Filters, section 4.7 and 4.8.2. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { utf8Length } from '../../src/protocol/sizes.ts'
import {
  hasWildcard,
  isShared,
  matches,
  topicFilterProblem,
  topicNameProblem,
} from '../../src/protocol/topics.ts'

test('[MQTT-4.7.3-1] [MQTT-4.7.3-3] [MQTT-3.3.2-2] [MQTT-1.5.4-1] [MQTT-1.5.4-2] what is a Topic Name', () => {
  for (const good of ['a', '/', 'a/b', ' ', 'é', '😀', '$SYS/x', '\ufeff', 'x'.repeat(65_535)]) {
    expect(topicNameProblem(good), good).toBeNull()
  }
  const bad = ['', 'a/#', '+', 'a\u0000', '\ud800', 'a\udc00b', '\udc00\ud800', 'é'.repeat(32_768)]
  for (const topic of bad) expect(topicNameProblem(topic), topic).toEqual(expect.any(String))
})

test('[MQTT-4.7.1-1] [MQTT-4.7.1-2] wildcards stand for whole levels, # for the last', () => {
  for (const good of ['#', '+', '+/+', '/+', 'a/#', '+/a/#', '/#', '+/', 'sport/+/player1']) {
    for (const version of [3, 4, 5] as const) {
      expect(topicFilterProblem(good, version), good).toBeNull()
    }
  }
  for (const bad of [
    '',
    'a#',
    'a/#/b',
    '#/',
    'a+',
    '+a',
    'a/b+/c',
    '##',
    '++',
    'a\u0000',
    '\ud800',
  ]) {
    expect(topicFilterProblem(bad, 5), bad).toEqual(expect.any(String))
  }
})

test('[MQTT-4.8.2-1] [MQTT-4.8.2-2] a shared filter has a name without wildcards and a filter behind it', () => {
  for (const good of ['$share/g/#', '$share/g/a/+', '$share/g//', '$shared/x', '$share2']) {
    expect(topicFilterProblem(good, 5), good).toBeNull()
  }
  for (const bad of [
    '$share',
    '$share/',
    '$share/g',
    '$share/g/',
    '$share//a',
    '$share/+/a',
    '$share/g#/a',
  ]) {
    expect(topicFilterProblem(bad, 5), bad).toEqual(expect.any(String))
  }
  expect(topicFilterProblem('$share/g', 4)).toBeNull()
  expect(isShared('$share/g/a')).toBe(true)
  expect(isShared('$SHARE/g/a')).toBe(false)
  expect(hasWildcard('a/+')).toBe(true)
})

test('[MQTT-4.7.2-1] [MQTT-4.7.3-4] the examples of the standard match as it says', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
    ['sport/#', 'sport', true],
    ['sport/#', 'sports', false],
    ['#', 'a/b', true],
    ['sport/tennis/+', 'sport/tennis/player1', true],
    ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['#', '$SYS/x', false],
    ['+/x', '$SYS/x', false],
    ['$SYS/#', '$SYS/x', true],
    ['$SYS/+', '$SYS/x', true],
    ['a', 'A', false],
    ['a/b', 'a', false],
    ['a', 'a/b', false],
    ['$share/g/a/+', 'a/b', true],
    ['$share/g/#', '$SYS/x', false],
  ]
  for (const [filter, topic, expected] of cases) {
    expect(matches(filter, topic), `${filter} ~ ${topic}`).toBe(expected)
  }
})

test('matches agrees with a slow and obvious matcher', () => {
  const slow = (filter: string, topic: string): boolean => {
    if (/^[+#]/.test(filter) && topic.startsWith('$')) return false
    const names = topic.split('/')
    const levels = filter.split('/')
    for (const [i, level] of levels.entries()) {
      if (level === '#') return true
      if (i >= names.length || (level !== '+' && level !== names[i])) return false
    }
    return levels.length === names.length
  }
  const level = fc.constantFrom('', 'a', 'b', 'ab', '$')
  const topics = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'))
  const filters = fc
    .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
    .map(([levels, open]) => [...levels, ...(open || levels.length === 0 ? ['#'] : [])].join('/'))
  fc.assert(
    fc.property(filters, topics, (filter, topic) => {
      fc.pre(filter !== '' && topic !== '')
      expect(topicFilterProblem(filter, 4)).toBeNull()
      expect(matches(filter, topic)).toBe(slow(filter, topic))
    }),
    { numRuns: 2000 },
  )
})

test('utf8Length is the length of the encoding, -1 where there is none', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(utf8Length(text)).toBe(Buffer.byteLength(text))
    }),
  )
  expect(utf8Length('\ud83d')).toBe(-1)
  expect(utf8Length('\udc00a')).toBe(-1)
})
