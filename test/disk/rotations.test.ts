/**
 * Goal: no line is lost, torn or sent twice in any kind of rotation, while the file is followed and
 * while no process reads it; where lines may be missing, a warning says so. Method: the rotations of
 * rotations.ts, some of them made by logrotate itself. The table in docs/GUIDE.md is written from
 * the results by `npm run docs`.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { hasLogrotate, inWords, ROTATIONS, type Rotation, rotated } from './rotations.ts'

const guide = join(fileURLToPath(new URL('../..', import.meta.url)), 'docs/GUIDE.md')
const BEGIN = '| rotation | while it is followed | while no process reads |\n| --- | --- | --- |\n'
const MODES = ['running', 'down'] as const

const rows = new Map<string, string>()

describe.each(ROTATIONS)('[S1] follow: $title', (rotation: Rotation) => {
  test.for(MODES)('%s', async (mode, context) => {
    if (rotation.needsLogrotate && !hasLogrotate) {
      context.skip('logrotate is not installed: not run')
    }
    const result = await rotated(rotation, mode)
    rows.set(`${rotation.title} ${mode}`, inWords(result))
    const isTold = rotation.warns === 'always' || rotation.warns === mode
    expect({ ...result, lost: isTold ? 0 : result.lost }).toEqual({
      ...{ lost: 0, torn: 0, twice: 0 },
      warnings: isTold ? [expect.stringMatching(/app\.log/)] : [],
    })
  })
})

test('the table of docs/GUIDE.md is made of these results', async (context) => {
  if (!hasLogrotate) context.skip('logrotate is not installed: not run')
  const lines = ROTATIONS.map(({ title }) => {
    return `| ${[title, ...MODES.map((mode) => rows.get(`${title} ${mode}`))].join(' | ')} |\n`
  })
  const page = readFileSync(guide, 'utf8')
  const start = page.indexOf(BEGIN)
  expect(start, 'docs/GUIDE.md has the table').toBeGreaterThan(0)
  const end = page.indexOf('\n\n', start) + 1
  const made = page.slice(0, start) + BEGIN + lines.join('') + page.slice(end)
  await expect(made).toMatchFileSnapshot(guide)
})
