/**
 * Goal: docs/SPEC.md and the tests say the same. Method: each promise's "Held by" names files, in which its id stands in a
 * title; each id in a title stands in the document.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const spec = readFileSync(join(root, 'docs/SPEC.md'), 'utf8')
const own = 'test/spec.test.ts'

const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => `test/${name}`)
  .filter((name) => name !== own)
const texts = new Map(files.map((name) => [name, readFileSync(join(root, name), 'utf8')]))

/** Ids of promises that stand in a title of a test or of a group of tests. */
function idsOf(text: string): Set<string> {
  return new Set([...text.matchAll(/\[([DRKNEI]\d|C\d\d)\]/g)].map(([, id]) => id!))
}

const promises = [...spec.matchAll(/^\*\*([A-Z]\d)\.\*\* [\s\S]*?^Held by: (.*)$/gm)].map(
  ([, id, held]) => ({ id: id!, held: [...held!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!) }),
)
const notes = [...spec.matchAll(/^\| (C\d\d) \| (.*) \|$/gm)].map(([, id, held]) => ({
  id: id!,
  held: [...held!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!),
}))

describe('docs/SPEC.md', () => {
  test('lists the 27 promises and the 40 field notes', () => {
    expect(promises.map(({ id }) => id)).toEqual([
      ...[
        'D1',
        'D2',
        'D3',
        'D4',
        'D5',
        'D6',
        'D7',
        'R1',
        'R2',
        'R3',
        'R4',
        'R5',
        'R6',
        'K1',
        'K2',
        'K3',
      ],
      ...['N1', 'N2', 'N3', 'N4', 'N5', 'E1', 'E2', 'E3', 'I1', 'I2', 'I3'],
    ])
    expect(notes).toHaveLength(40)
  })

  test.each(promises)('$id is held by the tests that it names', ({ id, held }) => {
    expect(held).not.toEqual([])
    for (const name of held) expect(idsOf(texts.get(name) ?? ''), name).toContain(id)
  })

  test.each(notes)(
    '$id is held by the tests that it names, where it names some',
    ({ id, held }) => {
      for (const name of held) expect(idsOf(texts.get(name) ?? ''), name).toContain(id)
    },
  )

  test.each(files)('every id in the titles of %s is in the document', (name) => {
    const known = new Map([...promises, ...notes].map(({ id, held }) => [id, held]))
    for (const id of idsOf(texts.get(name) ?? '')) expect(known.get(id), id).toContain(name)
  })
})
