/**
 * Goal: docs/SPEC.md and the tests say the same, both ways. Method: after each promise stand the files in whose titles its id
 * is; that list is made here and compared. `npx vitest run test/spec.test.ts -u` writes it anew.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const spec = readFileSync(join(root, 'docs/SPEC.md'), 'utf8')
const ID = /\[([DRKNEIST]\d|C\d\d)\]/g
const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts') && name !== 'spec.test.ts')
  .sort()
const idsOf = new Map(
  files.map((name) => {
    const text = readFileSync(join(root, 'test', name), 'utf8')
    return [`test/${name}`, new Set([...text.matchAll(ID)].map(([, id]) => id!))]
  }),
)

/** The files that hold a promise. */
function heldBy(id: string): string {
  const names = [...idsOf].filter(([, ids]) => ids.has(id)).map(([name]) => `\`${name}\``)
  return names.join(', ') || 'later'
}

const described = new Set(
  [...spec.matchAll(/^(?:\*\*([A-Z]\d)\.\*\*|\| (C\d\d) \|)/gm)].map(([, id, note]) => id ?? note),
)

test('docs/SPEC.md names, for each promise and each field note, the tests that hold it', async () => {
  const written = spec
    .replace(
      /^(\*\*([A-Z]\d)\.\*\* [\s\S]*?^Held by: ).*$/gm,
      (_, text, id) => `${text}${heldBy(id)}`,
    )
    .replace(/^\| (C\d\d) \| .* \|$/gm, (_, id) => `| ${id} | ${heldBy(id)} |`)
  await expect(written).toMatchFileSnapshot(join(root, 'docs/SPEC.md'))
})

test('every promise of the document is held by a test', () => {
  expect([...described].filter((id) => heldBy(id!) === 'later')).toEqual([])
  expect(described.size).toBe(39 + 40)
})

test('every id in the title of a test stands in the document', () => {
  const used = new Set([...idsOf.values()].flatMap((ids) => [...ids]))
  expect([...used].filter((id) => !described.has(id))).toEqual([])
})
