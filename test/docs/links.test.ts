/**
 * Goal: no link of the documents is dead, neither in the repository nor on the page of the package.
 * Method: the links of every document that is shipped are compared with the list of files that npm
 * packs; a link to a heading is compared with the headings of its page.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path/posix'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const [packed] = JSON.parse(
  execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }),
) as [{ files: { path: string }[] }]
const shipped = packed.files.map(({ path }) => path)
const documents = shipped.filter((path) => path.endsWith('.md'))

function withoutCode(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '')
}

/** @returns the targets of all links that do not lead to another host. */
function linksOf(markdown: string): string[] {
  const links = [...withoutCode(markdown).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!)
  return links.filter((link) => !/^[a-z]+:/.test(link))
}

/** @returns the anchors that a page with these headings has. */
function anchorsOf(markdown: string): Set<string> {
  const headings = markdown.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)
  return new Set(
    [...headings].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

const textOf = (path: string) => readFileSync(join(root, path), 'utf8')

function problemOf(document: string, link: string): string | null {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? document : normalize(join(dirname(document), path))
  const isShipped = shipped.some((file) => file === target || file.startsWith(`${target}/`))
  if (!isShipped) return `${link}: ${target} is not in the package`
  if (anchor === undefined || anchorsOf(textOf(target)).has(anchor)) return null
  return `${link}: ${target} has no such heading`
}

test('README, licences and documents are shipped, the data of the examples is not', () => {
  const names = ['README.md', 'CHANGELOG.md', 'LICENSE', 'docs/GUIDE.md', 'docs/MIGRATING.md']
  expect(shipped).toEqual(expect.arrayContaining(names))
  expect(shipped.filter((path) => /^(docs\/data|test|src)\//.test(path))).toEqual([])
})

describe('what a link may be', () => {
  test.each([
    ['SPEC.md', null],
    ['../README.md', null],
    ['examples/gateway', null],
    ['../src/index.ts', '../src/index.ts: src/index.ts is not in the package'],
    ['#no-heading', '#no-heading: docs/GUIDE.md has no such heading'],
  ])('%s', (link, problem) => expect(problemOf('docs/GUIDE.md', link)).toBe(problem))
  test('a link in code is none', () => {
    expect(linksOf('[a](b.md) `[c](d.md)` [e](https://f)\n```\n[g](h.md)\n```')).toEqual(['b.md'])
  })
})

test.each(documents)('the links of %s lead to files that are shipped', (document) => {
  const problems = linksOf(textOf(document)).map((link) => problemOf(document, link))
  expect(problems.filter((problem) => problem !== null)).toEqual([])
})
