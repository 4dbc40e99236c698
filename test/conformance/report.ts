/**
 * `npm run conformance`: runs all tests and writes docs/CONFORMANCE.md from their results: a row for
 * every normative statement, with its tests. The exit status is 1 if a test failed or is missing.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { wrapped } from '../docs/markdown.ts'
import { idsOf, LATER, rows, type Statement, versionOf } from './statements.ts'

interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

interface Ran {
  readonly file: string
  readonly status: string
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const output = join(mkdtempSync(join(tmpdir(), 'it-mqtt-conformance-')), 'report.json')
const { status } = spawnSync(
  'npx',
  ['vitest', 'run', '--reporter=json', `--outputFile=${output}`],
  {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  },
)
const report = JSON.parse(readFileSync(output, 'utf8')) as Report

const ran = new Map<string, Ran[]>()
for (const { name, assertionResults } of report.testResults) {
  const file = relative(root, name)
  for (const { fullName, status: result } of assertionResults) {
    for (const id of idsOf(fullName)) {
      const key = `${versionOf(file)} ${id}`
      ran.set(key, [...(ran.get(key) ?? []), { file, status: result }])
    }
  }
}

function line({ id, version, client_testable: testable, summary }: Statement): string {
  const tests = ran.get(`${version} ${id}`) ?? []
  if (testable && tests.length === 0 && !LATER.has(`${version} ${id}`)) process.exitCode = 1
  const files = [...new Set(tests.map(({ file }) => file.replace(/^test\//, '')))]
  const passed = tests.filter(({ status: one }) => one === 'passed').length
  const failed = tests.length - passed
  const later = LATER.get(`${version} ${id}`)
  const reason = testable ? (later ?? 'missing') : 'not testable from a client'
  const result =
    tests.length === 0 ? reason : failed > 0 ? `**${failed} failed**` : `${passed} passed`
  return `| ${id} | ${summary.replaceAll('|', '\\|')} | ${files.join('<br>')} | ${result} |`
}

const table = (version: string) => [
  `## MQTT ${version}`,
  '',
  '| id | statement | tests | result |',
  '| --- | --- | --- | --- |',
  ...rows.filter((row) => row.version === version).map(line),
  '',
]
const testable = rows.filter((row) => row.client_testable)
const held = testable.filter(({ id, version }) => ran.has(`${version} ${id}`))
writeFileSync(
  join(root, 'docs/CONFORMANCE.md'),
  [
    '# Conformance',
    '',
    wrapped(
      'Written by `npm run conformance` from a run of all tests. The statements are those of the two' +
        ' standards, worded as in `test/data/conformance/normative.jsonl`. The title of a test contains' +
        ' the numbers of the statements that it checks.',
    ),
    '',
    `${held.length} of ${testable.length} statements that can be tested from a client have a test. The others say why they have none.`,
    '',
    ...table('5.0'),
    ...table('3.1.1'),
  ].join('\n'),
)
if (status !== 0) process.exitCode = 1
