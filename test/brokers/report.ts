/**
 * `npm run brokers`: runs the tests with real brokers and writes docs/BROKERS.md from their results: a
 * table of broker and version × feature. The exit status is 1 if a test failed.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DoctorReport, Finding } from '../../src/doctor/index.ts'
import { wrapped } from '../docs/markdown.ts'
import { KINDS, type Kind } from '../support/brokers.ts'

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[]
      readonly title: string
      readonly status: string
      /** What test/brokers/doctor.test.ts found. */
      readonly meta?: { readonly doctor?: DoctorReport }
    }[]
  }[]
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const output = join(mkdtempSync(join(tmpdir(), 'it-mqtt-brokers-')), 'report.json')
const tests = ['kinds', 'client', 'doctor'].map((name) => `test/brokers/${name}.test.ts`)
const config = ['--config', 'vitest.brokers.config.ts', ...tests]
const { status } = spawnSync(
  'npx',
  ['vitest', 'run', ...config, '--reporter=json', `--outputFile=${output}`],
  { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
)
const { testResults } = JSON.parse(readFileSync(output, 'utf8')) as Report
const results = testResults.flatMap(({ assertionResults }) => assertionResults)

/**
 * The rows of the table, and how the title of a test for that row begins. If the expression has a
 * group, the cell is what it captures.
 */
const FEATURES: readonly (readonly [row: string, begins: RegExp])[] = [
  ['QoS 0', /^QoS 0/],
  ['QoS 1', /^QoS 1/],
  ['QoS 2', /^QoS 2/],
  ['retained messages', /^retained message$/],
  ['will', /^will/],
  ['session resumed', /^session resumed/],
  ['restart of the broker', /restart/],
  ['keep-alive', /^keep-alive/],
  ['shared subscriptions', /shared subscription/],
  ['payload of 900 KB', /^large/],
  ['TLS, verified', /^TLS/],
  ['overlapping filters', /^overlapping filters: (.*)/],
  ['retained messages before a later message', /^retained before a later message: (.*)/],
  ['retained messages for filters with wildcards', /^retained by wildcard: (.*)/],
  ['that nobody has subscribed', /^nobody has subscribed: (.*)/],
]

function versionOf(kind: Kind): string {
  if (kind.package === null) {
    const manifest = readFileSync(join(root, `node_modules/${kind.name}/package.json`), 'utf8')
    return JSON.parse(manifest).version
  }
  const query = ['-W', '-f', '$' + '{Version}', kind.package]
  return spawnSync('dpkg-query', query, { encoding: 'utf8' }).stdout || 'not installed'
}

function cell({ name }: Kind, spoken: string, begins: RegExp): string {
  const found = results.find(({ ancestorTitles, title }) => {
    const [broker, version] = ancestorTitles
    return broker === name && version === spoken && begins.test(plain(title))
  })
  if (found === undefined || found.status === 'skipped') return 'not run'
  if (found.status !== 'passed') return '**failed**'
  const title = plain(found.title)
  const captured = begins.exec(title)?.[1]
  if (captured !== undefined) return captured
  if (title.startsWith('no ')) return 'no'
  const detail = /, (?!verified)(granted as \d|renewed)$|session (kept|lost)/.exec(title)
  if (detail === null) return 'yes'
  return detail[2] ? `session ${detail[2]}` : detail[1]!
}

/** @returns what the doctor found at one broker, or null if it did not run or did not agree. */
function examinationOf({ name }: Kind, spoken: string): DoctorReport | null {
  const found = results.find(
    ({ ancestorTitles: [broker, version], meta }) =>
      broker === name && version === spoken && meta?.doctor !== undefined,
  )
  return found?.status === 'passed' ? found.meta!.doctor! : null
}

/** @returns the answer of the doctor as a cell. */
function answerOf({ answer, why, certainty }: Finding): string {
  if (why === 'it is a question of MQTT 5') return '–'
  if (why !== null) return 'not known'
  return certainty === 'said' && answer !== 'none' ? `${answer} (announced)` : answer
}

/** @returns a row for each question: what the doctor found out at each broker. */
function doctorRows(): readonly string[] {
  const examinations = columns.map(({ kind, spoken }) => examinationOf(kind, spoken))
  const asked = examinations.find((one) => one !== null)?.findings ?? []
  return asked.map(({ id, question }) => {
    const cells = examinations.map((one) => {
      const finding = one?.findings.find((other) => other.id === id)
      return finding === undefined ? 'not run' : answerOf(finding)
    })
    return `| ${question} | ${cells.join(' | ')} |`
  })
}

/** @returns the lines that were proved; one that was not proved says so in front. */
function differencesOf({ name }: Kind): string[] {
  const found = results.filter(
    ({ ancestorTitles: [broker, part] }) => broker === name && part === 'differences',
  )
  return found.map(({ title, status }) => {
    if (status === 'passed') return title
    return `**${status === 'failed' ? 'not so any more' : 'not run'}**: ${title}`
  })
}

const plain = (title: string) => title.replace(/^(\[[^\]]+\] )+/, '')
const columns = KINDS.flatMap((kind) =>
  kind.versions.map((version) => ({ kind, spoken: `MQTT ${version === 5 ? '5' : '3.1.1'}` })),
)
const lines = [
  '# Brokers',
  '',
  'Written by `npm run brokers` from the results of `test/brokers/kinds.test.ts`,',
  '`test/brokers/client.test.ts` and `test/brokers/doctor.test.ts`. Each broker runs on loopback with',
  'a configuration and a directory of its own; the test starts and stops it',
  '(`test/support/brokers.ts`). mosquitto is also tested with wills, limits, expiry, lost and frozen',
  'connections, certificates of every kind and hours of faults (`test/brokers/`).',
  '',
  'The last rows are what the option `profile` may say. *Overlapping filters*: what',
  'comes for a message that two filters of one client match. `copies`: one for each filter, in MQTT 5',
  'with its identifier (`separate`); `one copy` (`one-id`); `one copy for each QoS`: two if one of the',
  'filters has QoS 0 and the other one has not. *Retained messages before a later message*: whether',
  'those of a subscription come before a message that is published after its SUBACK',
  '(`retainedBeforeFence`). *That nobody has subscribed*: whether PUBACK and PUBREC say it with 0x10',
  '(`noMatchingSubscribers`).',
  '',
  'A line of *Differences* is the title of a test that passed: a broker that stops doing what its line',
  'says fails that test (`test/support/differences.ts`).',
  '',
  `| | ${columns.map(({ kind, spoken }) => `${kind.name}, ${spoken}`).join(' | ')} |`,
  `| --- |${' --- |'.repeat(columns.length)}`,
  ...FEATURES.map(
    ([row, begins]) =>
      `| ${row} | ${columns.map(({ kind, spoken }) => cell(kind, spoken, begins)).join(' | ')} |`,
  ),
  '',
  '## What the doctor says',
  '',
  'What `it-mqtt doctor` found out at the same brokers (`test/brokers/doctor.test.ts`, which compares',
  'it with the table above). `–` is a question of MQTT 5. *Not known* is an honest answer: nothing',
  'that was asked for was refused, say, or there are no shared subscriptions.',
  '',
  `| | ${columns.map(({ kind, spoken }) => `${kind.name}, ${spoken}`).join(' | ')} |`,
  `| --- |${' --- |'.repeat(columns.length)}`,
  ...doctorRows(),
  '',
  '## Differences',
  '',
  ...KINDS.flatMap((kind) => [
    `**${kind.name}** ${versionOf(kind)}`,
    '',
    ...differencesOf(kind).map((line) => wrapped(`- ${line}`, '  ')),
    '',
  ]),
]
writeFileSync(join(root, 'docs/BROKERS.md'), `${lines.join('\n').trimEnd()}\n`)
if (status !== 0) process.exitCode = 1
