/**
 * docs/RUNTIMES.md, from the results of the last run of each runtime.
 */
import { wrapped } from '../docs/markdown.ts'
import { RUNTIMES } from '../support/runtimes.ts'
import { EXCEPTIONS, type Exception } from './exceptions.ts'

/** What a run found in one runtime. */
export interface Result {
  readonly name: string
  /** The runtime with its version. */
  readonly title: string
  readonly broker: string
  readonly cells: Readonly<Record<string, string>>
}

const INTRODUCTION = [
  'Written by `npm run runtimes -- --write`. The rows from the main example on run the packed package,',
  'installed into an empty folder; the row *tests* runs vitest from the sources, all of `npm test` in',
  'Node, the tests of the engine, the client and the disk in Bun and Deno. CI runs each column.',
].join(' ')

const PERMISSIONS = `## Permissions

\`node --permission\` and \`deno run\` without \`--allow-all\` forbid what no flag allows. An error with
the code \`PACKAGE_FORBIDDEN\` says which package could not be loaded, what was forbidden and which
flag allows it.

| | \`node --permission\` | \`deno run\` |
| --- | --- | --- |
| \`mqtt:\`, \`mqtts:\` | \`--allow-fs-read\` of the program and its packages | \`--allow-net\` |
| \`unix:\` | the same | \`--allow-net\`, and \`--allow-read\` and \`--allow-write\` of the socket |
| \`ws:\`, \`wss:\` | the same | \`--allow-net --allow-env\` |
| \`it-mqtt/disk\` | \`--allow-addons\`, \`--allow-fs-read=*\`, \`--allow-fs-write\` of the folder | \`--allow-env --allow-ffi --allow-sys\`, \`--allow-read\` and \`--allow-write\` |
`

const DIFFERENCES = [
  'Bun cannot remove the arguments of a process from the list of processes. There the command line',
  'refuses a password in its arguments; [SECURITY.md](SECURITY.md) has the other ways.',
].join(' ')

/** @returns a section for what bundlers made for one place. */
function bundled({ title, broker, cells }: Result): string[] {
  return [
    `## Bundled: ${title}`,
    '',
    wrapped(`Written by \`npm run bundlers\`, with the packed package. The broker is ${broker}.`),
    '',
    ...['| | |', '| --- | --- |'],
    ...Object.entries(cells).map(([row, cell]) => `| ${row} | ${cell} |`),
    '',
  ]
}

/** @returns a line for each reason, with the tests that fail for it. */
function byReason(name: string, list: readonly Exception[]): string[] {
  const { title: runtime } = RUNTIMES.find((one) => one.name === name)!
  return [...new Set(list.map(({ reason }) => reason))].map((reason) => {
    const tests = list
      .filter((one) => one.reason === reason)
      .map(({ file, title }) => `"${title}" (${file})`)
    return wrapped(`- **${runtime}**: ${reason} ${tests.join(', ')}`, '  ')
  })
}

/**
 * @param results one for each column, in the order of the columns.
 * @param bundles what `npm run bundlers` found.
 */
export function pageOf(results: readonly Result[], bundles: readonly Result[]): string {
  const rows = [...new Set(results.flatMap(({ cells }) => Object.keys(cells)))]
  const brokers = [...new Set(results.map(({ broker }) => broker))].join(', ')
  const known = Object.entries(EXCEPTIONS).filter(([, list]) => list.length > 0)
  return `${[
    '# Runtimes',
    '',
    wrapped(`${INTRODUCTION} The broker is ${brokers}.`),
    '',
    `| | ${results.map(({ title }) => title).join(' | ')} |`,
    `| --- |${' --- |'.repeat(results.length)}`,
    ...rows.map(
      (row) => `| ${row} | ${results.map(({ cells }) => cells[row] ?? 'not run').join(' | ')} |`,
    ),
    '',
    ...(known.length === 0 ? [] : ['## Tests that fail, and why', '']),
    ...known.flatMap(([name, list]) => [...byReason(name, list), '']),
    ...bundles.flatMap(bundled),
    PERMISSIONS,
    '## Differences',
    '',
    wrapped(DIFFERENCES),
  ].join('\n')}\n`
}
