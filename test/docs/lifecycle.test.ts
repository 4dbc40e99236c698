/**
 * Goal: docs/LIFECYCLE.md shows the table that the engine obeys. Method: the diagram and the table are
 * made here and compared; `npm run docs` writes them.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { LIFE, type LifeEvent } from '../../src/loop/life.ts'
import { LIFECYCLE } from '../../src/protocol/lifecycle.ts'

const file = join(fileURLToPath(new URL('../..', import.meta.url)), 'docs/LIFECYCLE.md')

const rows = Object.entries(LIFECYCLE)

/** @returns a diagram in which all inputs that lead from one kind to another share an arrow */
function diagram(): string {
  const labels = new Map<string, string[]>()
  for (const [from, row] of rows) {
    for (const [input, kinds] of Object.entries(row)) {
      for (const to of kinds) {
        const arrow = `${from} --> ${to}`
        labels.set(arrow, [...(labels.get(arrow) ?? []), input])
      }
    }
  }
  const arrows = [...labels].map(([arrow, inputs]) => `  ${arrow}: ${inputs.join(', ')}`)
  const ends = ['closed', 'failed'].map((kind) => `  ${kind} --> [*]`)
  return ['```mermaid', 'stateDiagram-v2', '  [*] --> idle', ...arrows, ...ends, '```'].join('\n')
}

function table(): string {
  const kinds = rows.filter(([, row]) => Object.values(row).some((cell) => cell.length > 0))
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const names = kinds.map(([kind]) => kind)
  const inputs = Object.keys(LIFECYCLE.idle) as (keyof typeof LIFECYCLE.idle)[]
  return [
    line(['input', ...names]),
    line(['---', ...names.map(() => '---')]),
    ...inputs.map((input) =>
      line([`\`${input}\``, ...kinds.map(([, row]) => row[input].join(', '))]),
    ),
  ].join('\n')
}

/** The life of a loop; a dash stands for what cannot happen. */
function life(): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const events = Object.keys(LIFE.unbegun) as LifeEvent[]
  return [
    line(['the loop is', ...events.map((event) => `\`${event}\``)]),
    line(['---', ...events.map(() => '---')]),
    ...Object.entries(LIFE).map(([state, row]) =>
      line([`\`${state}\``, ...events.map((event) => row[event] ?? '-')]),
    ),
  ].join('\n')
}

test('[T3] docs/LIFECYCLE.md is made from the table that the engine obeys', async () => {
  const drawings = { diagram: diagram(), table: table(), life: life() }
  const text = Object.entries(drawings).reduce(
    (whole, [name, drawing]) =>
      whole.replace(
        new RegExp(`<!-- ${name} -->[\\s\\S]*<!-- /${name} -->`),
        `<!-- ${name} -->\n${drawing}\n<!-- /${name} -->`,
      ),
    readFileSync(file, 'utf8'),
  )
  await expect(text).toMatchFileSnapshot(file)
})

test('[T3] the table is total: each kind of connection × each input', () => {
  const [first] = rows
  const inputs = Object.keys(first![1])
  expect(inputs.length).toBe(33)
  for (const [, row] of rows) expect(Object.keys(row)).toEqual(inputs)
})
