/**
 * Goal: the order of rotated files is known from their names. Method: tables of folders as logrotate,
 * and programs that switch a link, leave them.
 */
import { describe, expect, test } from 'vitest'
import { rotatedSince, targetsBetween } from '../../src/disk/file/rotated-names.ts'

/** Files in a folder, the one that was written last at the end. */
const folder = (...names: string[]) => names.map((name, i) => ({ name, modifiedAt: i }))

describe('rotatedSince: the rotated files that are younger than the one that was read', () => {
  test.each<[string, string[], string | null, string[], RegExp | null]>([
    [
      'numbers',
      ['a.log.3', 'a.log.2', 'a.log.1', 'a.log'],
      'a.log.3',
      ['a.log.2', 'a.log.1'],
      null,
    ],
    ['the youngest one', ['a.log.2', 'a.log.1', 'a.log'], 'a.log.1', [], null],
    ['two digits', ['a.log.10', 'a.log.9'], 'a.log.10', ['a.log.9'], /a\.log\.8 is missing/],
    ['a hole', ['a.log.3', 'a.log.1'], 'a.log.3', ['a.log.1'], /a\.log\.2 is missing/],
    [
      'packed and not',
      ['a.log.3.gz', 'a.log.2.gz', 'a.log.1'],
      'a.log.3.gz',
      ['a.log.2.gz', 'a.log.1'],
      null,
    ],
    ['while it is packed', ['a.log.2', 'a.log.1.gz', 'a.log.1'], 'a.log.2', ['a.log.1'], null],
    [
      'dates',
      ['a.log-20261129', 'a.log-20261127.gz', 'a.log-20261128'],
      'a.log-20261127.gz',
      ['a.log-20261128', 'a.log-20261129'],
      null,
    ],
    ['the ending moved', ['a.2.log', 'a.1.log', 'a-b.log'], 'a.2.log', ['a.1.log'], null],
    [
      'a date before the ending',
      ['a-2026112801.log', 'a-2026112802.log', 'a.log'],
      'a-2026112801.log',
      ['a-2026112802.log'],
      null,
    ],
    ['files of others', ['a.log.1', 'b.log.2', 'a.log.old', 'a.logger'], 'a.log.1', [], null],
    ['another name', ['a.log.1', 'a.log.old'], 'a.log.old', [], null],
    ['no name any more', ['a.log.2.gz', 'a.log.1'], null, [], null],
  ])('%s', (_, names, read, expected, gap) => {
    const siblings = folder(...names)
    const modifiedAt = siblings.find(({ name }) => name === read)?.modifiedAt ?? names.length
    const found = rotatedSince(siblings, 'a.log', read, modifiedAt)
    expect(found.names).toEqual(expected)
    if (gap === null) expect(found.gap).toBeNull()
    else expect(found.gap).toMatch(gap)
  })

  test('a file without a name any more: those that were written after it', () => {
    const siblings = folder('a.log.3.gz', 'a.log.2.gz', 'a.log.1')
    expect(rotatedSince(siblings, 'a.log', null, 1).names).toEqual(['a.log.1'])
  })
})

describe('targetsBetween: what a link pointed to meanwhile', () => {
  test.each<[string, string[], string, string, string[], RegExp | null]>([
    ['numbers', ['log.1', 'log.2', 'log.3', 'log.old'], 'log.1', 'log.3', ['log.2'], null],
    ['from 9 to 11', ['log.9', 'log.10', 'log.11'], 'log.9', 'log.11', ['log.10'], null],
    ['letters', ['a.log', 'b.log', 'c.log', 'abc.log'], 'a.log', 'c.log', ['b.log'], null],
    [
      'dates, one packed',
      ['a-20261127.log', 'a-20261128.log.gz', 'a-20261129.log', 'b-20261128.log'],
      'a-20261127.log',
      'a-20261129.log',
      ['a-20261128.log.gz'],
      null,
    ],
    ['neighbours', ['log.1', 'log.2'], 'log.1', 'log.2', [], null],
    ['back again', ['log.1', 'log.2'], 'log.2', 'log.1', [], /do not say/],
    ['words', ['blue.log', 'error.log', 'green.log'], 'blue.log', 'green.log', [], /do not say/],
  ])('%s', (_, names, from, to, expected, gap) => {
    const found = targetsBetween(names, from, to)
    expect(found.names).toEqual(expected)
    if (gap === null) expect(found.gap).toBeNull()
    else expect(found.gap).toMatch(gap)
  })
})
