/**
 * Every statement that a client can visibly keep or break has a test with its number, or a reason
 * why it has none yet.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { idsOf, LATER, rows, versionOf } from './statements.ts'

const folder = fileURLToPath(new URL('..', import.meta.url))
const held = new Set(
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && !name.startsWith('brokers'))
    .flatMap((name) => {
      // In a table of tests the number is a cell, and stands in the title when it runs.
      const text = readFileSync(join(folder, name), 'utf8').replace(/\['(MQTT-[\d.-]+)'/g, '[$1]')
      return [...idsOf(text)].map((id) => `${versionOf(name)} ${id}`)
    }),
)

test('the list of statements is complete', () => {
  const count = (version: string) =>
    rows.filter((row) => row.version === version && row.client_testable).length
  expect([count('5.0'), count('3.1.1')]).toEqual([189, 112])
})

test('each statement has a test, or a reason', () => {
  const missing = rows
    .filter(({ client_testable: testable }) => testable)
    .map(({ id, version }) => `${version} ${id}`)
    .filter((key) => !held.has(key))
  expect(missing.sort()).toEqual([...LATER.keys()].sort())
})
