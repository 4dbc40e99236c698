/**
 * Goal: the pages can be read in an editor of 100 columns. Method: every line outside of code blocks
 * and tables is measured; the target of a link does not count, because it cannot be broken.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { COLUMNS } from './markdown.ts'
import { root } from './reference.ts'

/** @returns the lines that are too long, with their numbers */
function tooLong(text: string): string[] {
  let inCode = false
  return text.split('\n').flatMap((line, index) => {
    if (line.startsWith('```')) inCode = !inCode
    const prose = !inCode && !line.startsWith('|') && !line.startsWith('```')
    const columns = [...line.replace(/\]\([^)]*\)/g, ']')].length
    return prose && columns > COLUMNS ? [`${index + 1}: ${line}`] : []
  })
}

test('the rule refuses a long line of prose, and nothing else', () => {
  const long = 'x '.repeat(51)
  expect(tooLong(`# Title\n${long}`)).toEqual([`2: ${long}`])
  expect(tooLong(`| ${long} |\n\`\`\`\n${long}\n\`\`\``)).toEqual([])
  expect(tooLong(`${'x '.repeat(45)} [link](${'y'.repeat(60)})`)).toEqual([])
})

describe('no line of prose is longer than 100 columns', () => {
  const markdown = (folder: string) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name))
  test.each([...markdown('.'), ...markdown('docs'), ...markdown('bench')])('%s', (name) => {
    expect(tooLong(readFileSync(join(root, name), 'utf8'))).toEqual([])
  })
})
