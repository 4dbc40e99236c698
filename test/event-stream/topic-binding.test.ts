/**
 * Goal: topics are what Smithy's MQTT bindings say. Method: the examples of the specification
 * (smithy.io, MQTT Protocol Bindings, version 2.0), each as it stands there.
 */
import { describe, expect, expectTypeOf, test } from 'vitest'
import { topic } from '../../src/client/index.ts'
import { bindTopic, checkTopics } from '../../src/event-stream/index.ts'
import { UsageError } from '../../src/index.ts'

describe('labels', () => {
  test('the examples: two labels, one label, a subscription', () => {
    const example = bindTopic(topic('{first}/{second}'))
    expect(example.fill({ first: 'a', second: 'b' })).toBe('a/b')
    expectTypeOf(example.fill).parameter(0).toHaveProperty('second')
    expect(bindTopic(topic('foo/{bar}')).fill({ bar: 'x' })).toBe('foo/x')
    const events = bindTopic(topic('events/{id}'))
    expect(events.filter).toBe('events/+')
    expect({ ...events.match('events/7') }).toEqual({ id: '7' })
    expect(events.match('other/7')).toBeNull()
  })

  test.each([
    ['text', 'a/b/c', 'a%2Fb%2Fc'],
    ['text that is kept as it is', 'a b%é', 'a b%é'],
    ['a number', 5, '5'],
    ['a negative fraction', -1.5, '-1.5'],
    ['a long', 2n ** 60n, '1152921504606846976'],
    ['true', true, 'true'],
    ['false', false, 'false'],
    ['a timestamp', new Date(482_196_050_520), '1985-04-12T23:20:50.52Z'],
    ['a timestamp without a fraction', new Date(0), '1970-01-01T00:00:00Z'],
    ['a timestamp in the tens', new Date(600_000), '1970-01-01T00:10:00Z'],
  ])('%s is written as the bindings say', (_, value, text) => {
    expect(bindTopic(topic('a/{b}')).fill({ b: value })).toBe(`a/${text}`)
  })

  test('%2F is read as a slash', () => {
    const { match, fill } = bindTopic(topic('a/{b}/{c}'))
    expect({ ...match(fill({ b: 'x/y', c: '/' })) }).toEqual({ b: 'x/y', c: '/' })
  })

  test.each([
    ['a plus', { b: 'x+y' }],
    ['a hash', { b: '#' }],
    ['U+0000', { b: '\0' }],
    ['an empty text', { b: '' }],
    ['nothing', {}],
    ['another label', { b: 'x', c: 'y' }],
    ['NaN', { b: Number.NaN }],
    ['an invalid Date', { b: new Date(Number.NaN) }],
    ['an object', { b: {} }],
  ])('%s is no label', (_, labels) => {
    const fill = () => bindTopic(topic('a/{b}')).fill(labels as never)
    expect(fill).toThrow(expect.objectContaining({ code: 'TOPIC_PARAMS' }))
  })

  test.each(['foo/baz-{bar}', 'a/{b', 'a/{}', '{a}/{a}'])('%s is no template', (template) => {
    expect(() => topic(template)).toThrow(UsageError)
  })

  test.each(['a/+', 'a/#', 'a/{rest+}', '$share/g/a/{b}'])(
    '%s is no topic of a model',
    (template) => {
      expect(() => bindTopic(topic(template))).toThrow(UsageError)
    },
  )
})

describe('conflicts', () => {
  // The table of the specification.
  test.each([
    ['a/{x}', 'a/{y}', true],
    ['{x}/{y}', '{y}/{x}', true],
    ['a/{b}/c/{d}', 'a/{d}/c/{b}', true],
    ['a/b/c', 'A/B/C', false],
    ['{x}/{y}', '{x}/{y}/{z}', false],
    ['a/{x}', 'b/{x}', false],
    ['a/b/c', 'a/b/notC', false],
    ['a/b/c', 'a/b/c/d', false],
    // Not in the table: a label and a fixed level are not the same.
    ['a/{x}', 'a/b', false],
    ['a/b', 'a/b', true],
  ])('%s and %s: %s', (a, b, conflict) => {
    const check = (shape: string) =>
      checkTopics([
        { topic: a, shape: 'A' },
        { topic: topic(b), shape },
      ])
    const conflicting = expect.objectContaining({ code: 'TOPIC_CONFLICT' })
    if (conflict) expect(() => check('B')).toThrow(conflicting)
    else check('B')
    // The same shape may use the same topic.
    check('A')
  })
})
