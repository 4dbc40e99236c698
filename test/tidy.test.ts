/**
 * Goal: src/ stays as CONTRIBUTING.md and docs/ARCHITECTURE.md describe it. Method: TypeScript's
 * parser reads all files, and each rule of test/support/tidy/rules.ts is compared with its
 * allowlist. Each rule is also tried on what it must refuse.
 */
import { describe, expect, test } from 'vitest'
import { ALLOWED } from './support/tidy/allowlist.ts'
import { unmirrored } from './support/tidy/folders.ts'
import {
  exportsForTests,
  repeatedFileNames,
  repeatedNames,
  unreadExports,
} from './support/tidy/names.ts'
import {
  ARROWS,
  cycles,
  importsOracle,
  LAYERS,
  transportKnows,
  wrongArrows,
  wrongRooms,
} from './support/tidy/rooms.ts'
import { RULES, type RuleName, readRepository } from './support/tidy/rules.ts'
import { longFiles, longFunctions, wideLines } from './support/tidy/sizes.ts'
import { parse, type Source } from './support/tidy/sources.ts'
import { compare, format, type Violation } from './support/tidy/violation.ts'
import { escapes, impureWords, nodeWords, topLevelAwaits } from './support/tidy/words.ts'

const repository = readRepository()

describe('src', () => {
  test.each(Object.keys(RULES) as RuleName[])('%s', (name) => {
    const lines = compare(name, RULES[name](repository), ALLOWED[name])
    expect(lines, `\n${lines.join('\n')}\n`).toEqual([])
  })
})

/** @returns the keys of what a rule finds in files that are given as path and text. */
function keysOf(
  rule: (sources: readonly Source[]) => readonly Violation[],
  files: Readonly<Record<string, string>>,
): readonly string[] {
  return rule(sourcesOf(files)).map(({ key }) => key)
}

function sourcesOf(files: Readonly<Record<string, string>>): readonly Source[] {
  return Object.entries(files).map(([path, text]) => parse(path, text))
}

describe('the rules about rooms bite', () => {
  const row = (room: string): string =>
    `| \`src/${room}\` | Why? | ${ARROWS[room]!.map((name) => `\`${name}\``).join(' ')} |`
  const problems = (entries: readonly string[], page: string): readonly string[] =>
    wrongRooms(entries, page).map(({ problem }) => problem)

  test('rooms and their table say the same, both ways', () => {
    expect(problems(['codec', 'errors.ts'], `${row('codec')}\n${row('errors.ts')}`)).toEqual([])
    expect(problems(['codec'], '')).toEqual(['src/codec is not in the table'])
    expect(problems([], row('codec'))).toEqual(['src/codec does not exist'])
    expect(problems(['attic'], '| `src/attic/` | Why? | |')).toEqual(['src/attic has no arrows'])
    expect(problems(['codec'], row('codec').replace('Why?', 'Bytes.'))).toEqual([
      'src/codec has no question',
    ])
    expect(problems(['codec'], row('codec').replace('protocol', 'loop'))).toEqual([
      'src/codec may import something else',
    ])
  })

  test('a thirteenth entry is one too many', () => {
    const entries = Array.from({ length: 13 }, (_, index) => `room-${index}`)
    expect(problems(entries, '')).toContain('src/ has 13 rooms of the engine')
    expect(problems(entries.slice(1), '').join()).not.toContain('rooms of')
    expect(problems([...entries.slice(1), ...LAYERS], '').join()).not.toContain('rooms of')
  })

  test('a layer imports public entries only, and is counted apart from the engine', () => {
    expect(problems(LAYERS, '').join()).not.toContain('layers')
    expect(problems([...LAYERS, 'client'], '')).toContain('src/ has 7 layers')
    const arrows = ARROWS
    // `testing` is the other end of the wire, and uses the codec.
    for (const layer of LAYERS.filter((name) => name !== 'testing')) {
      // The codec of event streams imports nothing else, so that it stands alone.
      const own = layer === 'event-stream' ? ['errors.ts'] : []
      for (const target of arrows[layer]!.filter((name) => !own.includes(name))) {
        expect(target).toMatch(/(?:^|\/)index\.ts$/)
      }
    }
  })

  test.each([
    ["import { a } from '../loop/a.ts'"],
    ["import type { A } from '../loop/a.ts'"],
    ["export { a } from '../loop/a.ts'"],
    ["export * from '../loop/a.ts'"],
    ["type A = import('../loop/a.ts').A"],
    ["const a = await import('../loop/a.ts')"],
    ["import '../loop/a.ts'"],
  ])('codec does not import loop: %s', (text) => {
    expect(keysOf(wrongArrows, { 'src/codec/x.ts': text })).toEqual([
      'src/codec/x.ts imports src/loop/a.ts',
    ])
  })

  test('each room imports those below it, and the command line the public entries only', () => {
    const wrong = (path: string, from: string): readonly string[] =>
      keysOf(wrongArrows, { [path]: `import { a } from '${from}'` })
    expect(wrong('src/codec/x.ts', '../protocol/a.ts')).toEqual([])
    expect(wrong('src/codec/x.ts', './a.ts')).toEqual([])
    expect(wrong('src/protocol/x.ts', '../platform/a.ts')).toHaveLength(1)
    expect(wrong('src/disk/file/x.ts', '../../requests/a.ts')).toEqual([])
    expect(wrong('src/disk/file/x.ts', '../../options/a.ts')).toHaveLength(1)
    expect(wrong('src/cli/x.ts', '../index.ts')).toEqual([])
    expect(wrong('src/cli/x.ts', '../disk/index.ts')).toEqual([])
    expect(wrong('src/cli/x.ts', '../disk/spool/a.ts')).toHaveLength(1)
    expect(wrong('src/client/x.ts', '../index.ts')).toEqual([])
    expect(wrong('src/client/x.ts', '../loop/a.ts')).toHaveLength(1)
    expect(wrong('src/event-stream/x.ts', '../client/index.ts')).toEqual([])
    expect(wrong('src/event-stream/x.ts', '../client/topic.ts')).toHaveLength(1)
    expect(wrong('src/presence/x.ts', '../client/index.ts')).toEqual([])
    expect(wrong('src/presence/x.ts', '../client/topic.ts')).toHaveLength(1)
    expect(wrong('src/bus/x.ts', '../loop/a.ts')).toHaveLength(1)
    expect(wrong('src/bus/x.ts', './testing/a.ts')).toHaveLength(1)
    expect(wrong('src/bus/x.ts', '../testing/index.ts')).toHaveLength(1)
    expect(wrong('src/bus/testing/x.ts', './a.ts')).toEqual([])
    expect(wrong('src/bus/testing/x.ts', '../index.ts')).toEqual([])
    expect(wrong('src/bus/testing/x.ts', '../../testing/index.ts')).toEqual([])
    expect(wrong('src/bus/testing/x.ts', '../bus.ts')).toHaveLength(1)
    expect(wrong('src/attic/x.ts', '../errors.ts')).toHaveLength(1)
  })

  test('a cycle is found, through types too', () => {
    const files = {
      'src/loop/a.ts': "import { b } from './b.ts'",
      'src/loop/b.ts': "import type { C } from './c.ts'",
      'src/loop/c.ts': "import { a } from './a.ts'",
      'src/loop/d.ts': "import { a } from './a.ts'",
    }
    expect(keysOf(cycles, files)).toEqual(['src/loop/a.ts', 'src/loop/b.ts', 'src/loop/c.ts'])
    expect(cycles(sourcesOf(files))[0]!.problem).toContain(
      'src/loop/a.ts → src/loop/b.ts → src/loop/c.ts → src/loop/a.ts',
    )
  })

  test('a transport imports nothing of MQTT, and nobody mqtt-packet', () => {
    const path = 'src/connection/transport/x.ts'
    const wrong = (from: string): readonly string[] =>
      keysOf(transportKnows, { [path]: `import type { A } from '${from}'` })
    expect(wrong('../../platform/a.ts')).toEqual([])
    expect(wrong('./a.ts')).toEqual([])
    expect(wrong('../../options/a.ts')).toHaveLength(1)
    expect(wrong('../link.ts')).toHaveLength(1)
    const oracle = { 'src/codec/x.ts': "import type { Packet } from 'mqtt-packet'" }
    expect(keysOf(importsOracle, oracle)).toEqual(['src/codec/x.ts'])
  })
})

describe('the rules about sizes bite', () => {
  test('401 lines are too many for a file, 71 for a function', () => {
    const path = 'src/loop/x.ts'
    expect(keysOf(longFiles, { [path]: '\n'.repeat(399).concat('a\n') })).toEqual([])
    expect(keysOf(longFiles, { [path]: '\n'.repeat(400).concat('a\n') })).toEqual([path])
    const body = (lines: number): string => `{${'\n'.repeat(lines - 1)}}`
    expect(keysOf(longFunctions, { [path]: `function f() ${body(70)}` })).toEqual([])
    for (const [name, text] of [
      ['f', `function f() ${body(71)}`],
      ['f', `/** Doc. */\nconst f = () => ${body(71)}`],
      ['f', `class A { f() ${body(71)} }`],
      ['f', `const a = { f: function () ${body(71)} }`],
      ['#f', `class A { #f() ${body(71)} }`],
      ['f', `class A { get f() ${body(71)} }`],
      ['constructor', `class A { constructor() ${body(71)} }`],
      ['a function', `run(() => ${body(71)})`],
    ] as const) {
      expect(keysOf(longFunctions, { [path]: text }), text).toEqual([`${path} ${name}`])
    }
  })

  test('101 columns are too many, for comments and messages too', () => {
    const wide = (text: string): readonly string[] => keysOf(wideLines, { 'src/loop/x.ts': text })
    expect(wide(`// ${'word '.repeat(19)}ab`)).toEqual([])
    expect(wide(`// ${'word '.repeat(19)}abc`)).toHaveLength(1)
    expect(wide(`const a = '${'word '.repeat(20)}'`)).toHaveLength(1)
    expect(wide(`// ${'é'.repeat(50)} ${'😀'.repeat(40)}`)).toEqual([])
    expect(wide(`// https://example.com/${'x'.repeat(90)}`)).toEqual([])
  })
})

describe('the rules about words bite', () => {
  test.each([
    ['node:fs', "import { readFileSync } from 'node:fs'"],
    ['node:net', "import type { Socket } from 'node:net'"],
    ['Buffer', 'const a = Buffer.from(b)'],
    ['Buffer', 'let a: Buffer'],
    ['NodeJS', 'let a: NodeJS.Timeout'],
    ['process', 'process.nextTick(f)'],
    ['process', 'globalThis.process'],
    ['setTimeout', 'setTimeout(f, 1)'],
    ['performance', 'performance.now()'],
    ['require', "require('a')"],
    ['Buffer', 'const { Buffer: bytes = Buffer } = a'],
  ])("%s is one of Node's words: %s", (word, text) => {
    expect(keysOf(nodeWords, { 'src/loop/x.ts': text })).toEqual([`src/loop/x.ts ${word}`])
    for (const path of ['platform/node/x.ts', 'disk/file/x.ts', 'cli/x.ts'])
      expect(keysOf(nodeWords, { [`src/${path}`]: text })).toEqual([])
  })

  test.each([
    ['// Buffer'],
    ["const a = 'process'"],
    ['a.process()'],
    ['interface A { setTimeout(): void }'],
    ['function f(process: number) { return process }'],
    ["import { Buffer } from '#bytes'\nBuffer.from(a)"],
    ['new AbortController()'],
    ['new URL(a)'],
    ['Promise.resolve()'],
  ])('not every word is one: %s', (text) => {
    expect(keysOf(nodeWords, { 'src/loop/x.ts': text })).toEqual([])
  })

  test.each([
    ['Date', 'Date.now()'],
    ['Math.random', 'Math.random()'],
    ['Promise', 'let a: Promise<void>'],
    ['async', 'async function f() {}'],
    ['async', 'await x'],
    ['Buffer', 'Buffer.from(x)'],
    ['AbortSignal', 'let a: AbortSignal'],
    ['URL', 'new URL(a)'],
    ['setTimeout', 'setTimeout(f, 1)'],
    ['p-retry', "import retry from 'p-retry'"],
    ['node:util', "import type { A } from 'node:util'"],
  ])('%s does not belong into a reducer: %s', (word, text) => {
    const path = 'src/protocol/x.ts'
    expect(keysOf(impureWords, { [path]: text })).toEqual([`${path} ${word}`])
    expect(keysOf(impureWords, { 'src/loop/x.ts': text })).toEqual([])
    expect(keysOf(impureWords, { [path]: `// ${text}` })).toEqual([])
  })

  test('no module awaits while it loads', () => {
    const waits = (text: string): boolean => keysOf(topLevelAwaits, { 'src/x.ts': text }).length > 0
    expect(waits('await f()')).toBe(true)
    expect(waits('const a = await f()')).toBe(true)
    expect(waits('if (a) for await (const b of c) {}')).toBe(true)
    expect(waits('await using a = f()')).toBe(true)
    expect(waits('async function f() { await g() }')).toBe(false)
    expect(waits('const f = async () => await g()')).toBe(false)
    expect(waits('class A { async f() { for await (const b of c) {} } }')).toBe(false)
  })

  test('no default exports, no marks, no escapes from the types', () => {
    const found = (text: string): number => keysOf(escapes, { 'src/x.ts': text }).length
    for (const text of [
      'export default 1',
      'export default function f() {}',
      'let a: any',
      'f(a as any)',
      'let a: readonly any[]',
      `// @ts-${'ignore'}`,
      `// ${'TO'}${'DO'}: later`,
    ]) {
      expect(found(text), text).toBe(1)
    }
    for (const text of ['switch (a) { default: f() }', "const any = 'any'", 'export { a }']) {
      expect(found(text), text).toBe(0)
    }
  })
})

describe('the rules about names bite', () => {
  const files = {
    'src/loop/a.ts': [
      'export const read = 1',
      'export function unread() {}',
      'export interface ForTests {}',
      'const inside = 2',
      'export { inside, inside as renamed }',
    ].join('\n'),
    'src/loop/b.ts': "import { read, renamed as x } from './a.ts'",
    'src/index.ts': 'export const open = 1',
  }
  const reader = (text: string): readonly Source[] => [parse('test/loop/a.test.ts', text)]

  test('each export has a reader', () => {
    const unread = (text: string): readonly string[] =>
      unreadExports(sourcesOf(files), reader(text)).map(({ key }) => key)
    const all = ['src/loop/a.ts unread', 'src/loop/a.ts ForTests', 'src/loop/a.ts inside']
    expect(unread('')).toEqual(all)
    expect(unread("import type { ForTests } from '../../src/loop/a.ts'")).toEqual(
      all.filter((key) => !key.endsWith('ForTests')),
    )
    expect(unread("import * as a from '../../src/loop/a.ts'")).toEqual([])
  })

  test('what only tests read is known as such', () => {
    const text = "import { type ForTests, read } from '../../src/loop/a.ts'"
    const found = exportsForTests(sourcesOf(files), reader(text))
    expect(found.map(({ key }) => key)).toEqual(['src/loop/a.ts ForTests'])
  })

  test('no file name stands twice, index.ts aside', () => {
    const names = {
      'src/disk/index.ts': '',
      'src/index.ts': '',
      'src/loop/a.ts': '',
      'src/codec/a.ts': '',
    }
    expect(keysOf(repeatedFileNames, names)).toEqual(['src/loop/a.ts', 'src/codec/a.ts'])
  })

  test('no name is declared at the top level of two files', () => {
    for (const text of ['const x = 1', 'function x() {}', 'export class x {}', 'type x = 1']) {
      const names = { 'src/a.ts': text, 'src/b.ts': 'export const [x, y] = z' }
      expect(keysOf(repeatedNames, names), text).toEqual(['src/a.ts x', 'src/b.ts x'])
    }
    const apart = { 'src/a.ts': 'function f() { const x = 1 }', 'src/b.ts': 'const x = 1' }
    expect(keysOf(repeatedNames, apart)).toEqual([])
    const overloads = { 'src/a.ts': 'function f(): void\nfunction f(a?: 1): void {}' }
    expect(keysOf(repeatedNames, overloads)).toEqual([])
  })

  test('test/ mirrors src/', () => {
    const found = (folders: readonly string[], tests: readonly string[]): readonly string[] =>
      unmirrored(['loop'], folders, tests).map(({ key }) => key)
    expect(found(['loop', 'promises'], ['test/loop/a.test.ts'])).toEqual([])
    expect(found(['loop'], ['test/loop/support.ts'])).toEqual(['src/loop'])
    expect(found(['loop', 'attic'], ['test/loop/a.test.ts'])).toEqual(['test/attic'])
  })
})

describe('the allowlist may only shrink', () => {
  const violation: Violation = {
    key: 'src/a.ts',
    path: 'src/a.ts',
    line: 3,
    problem: 'the file is long',
    remedy: 'Split it',
  }

  test('a violation is shown with its place and what to do', () => {
    expect(format(violation)).toBe('src/a.ts:3: the file is long. Split it.')
    expect(compare('short', [violation], [])).toEqual([format(violation)])
  })

  test('an entry that is needed is silent, and one that is not has to go', () => {
    expect(compare('short', [violation], ['src/a.ts'])).toEqual([])
    expect(compare('short', [], ['src/a.ts'])[0]).toMatch(/Remove the entry/)
  })
})
