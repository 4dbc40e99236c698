/**
 * Goal: the trie finds what the engine's `matches()` finds, at a cost that does not depend on the
 * number of filters. Method: small alphabets, so that filters and topics meet; and enumeration of all
 * short topics for the question whether two filters overlap.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FilterTrie, filtersOverlap } from '../../src/client/filter-trie.ts'
import { matches, validateFilter, validateTopic } from '../../src/index.ts'

const LEVELS = ['', 'a', 'b', '$s', '$share', '__proto__', 'constructor', '😀']
const topics = fc
  .array(fc.constantFrom(...LEVELS), { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'))
  .filter((topic) => validateTopic(topic) === null)
const filters = fc
  .record({
    share: fc.constantFrom('', '', '', '$share/g/', '$share/h/'),
    levels: fc.array(fc.constantFrom('+', '+', ...LEVELS), { minLength: 1, maxLength: 4 }),
    end: fc.constantFrom('', '', '/#', '#'),
  })
  .map(({ share, levels, end }) => share + (end === '#' ? '#' : levels.join('/') + end))
  .filter((filter) => validateFilter(filter) === null)

function trieOf(all: readonly string[]): FilterTrie<string> {
  const trie = new FilterTrie<string>()
  for (const filter of all) trie.add(filter, filter)
  return trie
}

describe('match', () => {
  test('[M6] finds each filter that matches() finds, once, also after some were deleted', () => {
    const some = fc.array(filters, { maxLength: 30 })
    fc.assert(
      fc.property(some, some, fc.array(topics, { maxLength: 10 }), (kept, deleted, names) => {
        const trie = trieOf([...kept, ...deleted])
        for (const filter of deleted) if (!kept.includes(filter)) trie.delete(filter, filter)
        const found: string[] = ['left over from an earlier call']
        for (const name of names) {
          const expected = [...new Set(kept)].filter((filter) => matches(filter, name))
          expect(trie.match(name, found).toSorted(), name).toEqual(expected.sort())
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test.each([
    ['a/#', 'a', true],
    ['a/#', 'a/', true],
    ['a/+', 'a', false],
    ['a/+', 'a/', true],
    ['/+', '/', true],
    ['+/+', '/', true],
    ['#', '$SYS', false],
    ['+/a', '$SYS/a', false],
    ['$SYS/#', '$SYS', true],
    ['a/+', 'a/$b', true],
    ['$share/g/#', '$SYS', false],
    ['$share/g/a/#', 'a', true],
    ['a/b', 'a/bc', false],
    ['a/bc', 'a/b', false],
  ])('%s and %s: %s', (filter, topic, expected) => {
    expect(trieOf([filter]).match(topic, [])).toEqual(expected ? [filter] : [])
  })

  test('an item under two filters is found for each, and under one filter only once', () => {
    const trie = new FilterTrie<number>()
    expect(trie.add('a/+', 1)).toBe(true)
    expect(trie.add('a/+', 1)).toBe(false)
    trie.add('$share/g/a/+', 1)
    trie.add('a/+', 2)
    expect(trie.match('a/b', []).sort()).toEqual([1, 1, 2])
    expect(trie.size).toBe(3)
    expect(trie.delete('a/+', 1)).toBe(true)
    expect(trie.delete('a/+', 1)).toBe(false)
    expect(trie.delete('a/b', 1)).toBe(false)
    expect(trie.match('a/b', []).sort()).toEqual([1, 2])
  })

  test('a message looks at as many nodes among 10,000 filters as with one', () => {
    const looks = (trie: FilterTrie<string>): number => {
      const before = trie.visited
      expect(trie.match('plant/7/temp', [])).toEqual(['plant/7/temp'])
      return trie.visited - before
    }
    const many = trieOf(Array.from({ length: 10_000 }, (_, i) => `plant/${i}/temp`))
    expect(looks(many)).toBe(looks(trieOf(['plant/7/temp'])))
  })

  test('a filter and a topic of 65,535 bytes do not overflow the stack', () => {
    const deep = '/'.repeat(65_535)
    const open = `${'+/'.repeat(32_767)}+`
    const trie = trieOf([deep, open, `${deep.slice(2)}/#`])
    expect(trie.match(deep, []).toSorted()).toEqual([`${deep.slice(2)}/#`, deep].sort())
    expect(trie.match('/'.repeat(32_767), [])).toEqual([open])
    expect(trie.overlapping(deep)).toHaveLength(1)
    expect(trie.delete(deep, deep)).toBe(true)
    expect(filtersOverlap(open, '/'.repeat(32_767))).toBe(true)
  })
})

describe('delete', () => {
  test('frees every node, in any order', () => {
    const order = fc
      .array(filters, { maxLength: 20 })
      .chain((all) =>
        fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
      )
    fc.assert(
      fc.property(order, ([all, shuffled]) => {
        const trie = trieOf(all)
        expect(trie.size).toBe(new Set(all).size)
        for (const filter of new Set(shuffled)) expect(trie.delete(filter, filter)).toBe(true)
        expect([trie.size, trie.nodes]).toEqual([0, 1])
        for (const filter of all) trie.add(filter, filter)
        const nodes = trie.nodes
        expect(nodes).toBe(trieOf([...shuffled, ...all]).nodes)
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('overlap', () => {
  /** All topics of up to five levels in which the filters of the tests can differ. */
  const ALL = ((): readonly string[] => {
    let names = ['', 'a', 'b', '$s']
    const all = [...names]
    for (let i = 1; i < 5; i++) {
      names = names.flatMap((name) => ['', 'a', 'b', '$s'].map((level) => `${name}/${level}`))
      all.push(...names)
    }
    return all.filter((name) => name !== '')
  })()
  const small = fc
    .tuple(
      fc.constantFrom('', '', '$share/g/'),
      fc.array(fc.constantFrom('', 'a', 'b', '$s', '+', '+'), { minLength: 1, maxLength: 3 }),
      fc.constantFrom('', '/#', '#'),
    )
    .map(([share, levels, end]) => share + (end === '#' ? '#' : levels.join('/') + end))
    .filter((filter) => validateFilter(filter) === null)

  test('[M6] two filters overlap if there is a topic that both match', () => {
    fc.assert(
      fc.property(small, small, (a, b) => {
        const expected = ALL.some((name) => matches(a, name) && matches(b, name))
        expect([filtersOverlap(a, b), filtersOverlap(b, a)]).toEqual([expected, expected])
        expect(trieOf([a]).overlapping(b)).toEqual(expected && a !== b ? [a] : [])
      }),
      { numRuns: 4_000, examples: [['/#', '+']] },
    )
  })

  test('[M6] the trie names the filters that overlap, and not the filter itself', () => {
    fc.assert(
      fc.property(fc.array(filters, { maxLength: 30 }), filters, (all, filter) => {
        const expected = [...new Set(all)].filter(
          (other) => other !== filter && filtersOverlap(other, filter),
        )
        expect(trieOf(all).overlapping(filter).toSorted()).toEqual(expected.sort())
      }),
      { numRuns: 2_000 },
    )
  })
})
