/**
 * Goal: the promises (docs/SPEC.md), the cases (docs/CASES.md) and the tests say the same. Method:
 * the title of a test begins with the ids that it holds; the list of files below each heading is made
 * from these titles and compared. `npm run docs` writes the lists.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { wrapped } from './docs/markdown.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const PAGES = ['docs/SPEC.md', 'docs/CASES.md']
const ID = /\[([DRKNEISTMQVHB]\d{1,2}|C\d\d)\]/g
/** A section: its heading, with the id and the title, and everything up to the next heading. */
const SECTION = /^### ([A-Z]\d+)\. (.+)\n[\s\S]*?(?=^##|$(?![\s\S]))/gm

const read = (name: string) => readFileSync(join(root, name), 'utf8')
const pages = PAGES.map((name) => ({ name, text: read(name) }))
const sections = pages.flatMap(({ text }) =>
  [...text.matchAll(SECTION)].map(([section, id, title]) => ({ id: id!, title: title!, section })),
)
const described = new Set(sections.map(({ id }) => id))

function typescript(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`)
    .sort()
}

const idsOf = new Map(
  typescript('test')
    .filter((name) => name.endsWith('.test.ts') && name !== 'test/spec.test.ts')
    .map((name) => [name, new Set([...read(name).matchAll(ID)].map(([, id]) => id!))]),
)

/** @returns the files with a test that has the id in its title */
function heldBy(id: string): string[] {
  return [...idsOf].filter(([, ids]) => ids.has(id)).map(([name]) => name)
}

describe.each(pages)('$name', ({ name, text }) => {
  test('names, below each heading, the tests that hold it', async () => {
    const written = text.replace(SECTION, (section, id: string) => {
      const files = heldBy(id).map((file) => `\`${file}\``)
      return section.replace(/^Held by: [\s\S]*?(?=\n\n|\n$)/m, () =>
        wrapped(`Held by: ${files.join(', ') || 'no test'}`),
      )
    })
    await expect(written).toMatchFileSnapshot(join(root, name))
  })
})

/** The promises whose tests are still to be written. One that has a test may stay here for a while. */
const AWAITED: ReadonlySet<string> = new Set<string>()

function _numbered(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${letter}${i + 1}`)
}

test('every promise and every case is held by a test', () => {
  const unheld = [...described].filter((id) => heldBy(id).length === 0)
  expect(unheld.filter((id) => !AWAITED.has(id))).toEqual([])
  expect([...AWAITED].filter((id) => !described.has(id))).toEqual([])
  expect(sections.length).toBe(39 + 14 + 12 + 10 + 8 + 18 + 40)
  expect(described.size).toBe(sections.length)
})

test('every id in the title of a test has a heading', () => {
  const used = new Set([...idsOf.values()].flatMap((ids) => [...ids]))
  expect([...used].filter((id) => !described.has(id))).toEqual([])
})

test('every case follows from promises that have a heading', () => {
  for (const { id, section } of sections.filter(({ id }) => id.startsWith('C'))) {
    const [, promises] = /^Promises: (.+)$/m.exec(section) ?? []
    for (const promise of promises?.split(', ') ?? ['none']) {
      expect(described.has(promise), `${id} names ${promise}`).toBe(true)
    }
  }
})

const ANY = '(?:[DRKNEISTMQVHB]\\d{1,2}|C\\d\\d)'

/** @returns the text of each pair of parentheses in the comments of a file that begins with an id */
function mentionsIn(text: string): string[] {
  const comments = text.match(/\/\*\*[\s\S]*?\*\/|(?:^[ \t]*\/\/ .*\n)+/gm) ?? []
  const pattern = new RegExp(`\\((${ANY}\\b(?:[^()]|\\([^()]*\\))*)\\)`, 'g')
  return comments.flatMap((comment) => {
    const line = comment.replace(/\n\s*(?:\*|\/\/) ?/g, ' ').replace(/\s+/g, ' ')
    return [...line.matchAll(pattern)].map(([, mention]) => mention!)
  })
}

test('every id in a comment of src has a heading, and what follows the id is its heading', () => {
  const titles = new Map(sections.map(({ id, title }) => [id, title.toLowerCase()]))
  const mentions = typescript('src').flatMap((name) =>
    mentionsIn(read(name)).map((text) => ({ name, text })),
  )
  const wrong = mentions.filter(({ text }) =>
    text.split('; ').some((part) => {
      const [id, ...rest] = part.split(', ')
      const follows = rest.join(', ')
      const isList = rest.length > 0 && rest.every((word) => described.has(word))
      if (!described.has(id!) || isList) return !described.has(id!)
      return follows !== '' && follows.toLowerCase() !== titles.get(id!)
    }),
  )
  expect(mentions.length).toBeGreaterThan(20)
  expect(wrong).toEqual([])
})

test('every case that a page names has a heading', () => {
  const names = [
    ...['README.md', 'JOURNAL.md', 'CONTRIBUTING.md'],
    ...readdirSync(join(root, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ]
  const used = names.flatMap((name) => [...read(name).matchAll(/\bC\d\d\b/g)].map(([id]) => id))
  expect(used.length).toBeGreaterThan(40)
  expect([...new Set(used)].filter((id) => !described.has(id))).toEqual([])
})
