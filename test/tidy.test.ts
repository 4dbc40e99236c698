/**
 * Goal: the rules of the house that a reader relies on. Method: reads src as text; each rule is tried on what it must refuse.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: readFileSync(join(root, 'src', name), 'utf8') }))

/** Without comments and strings, in which every word is allowed. */
function code(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/\/\/.*$/gm, '')
    .replace(/`(?:\\.|\$\{[^}]*\}|[^`\\])*`|'(?:\\.|[^'\\\n])*'/g, "''")
}

const IMPURE =
  /\b(?:Date|Promise|async|await|setTimeout|setInterval|queueMicrotask|Buffer|process)\b|Math\.random/

function importsOf(text: string): { from: string; typeOnly: boolean }[] {
  return [...text.matchAll(/^(?:import|export)\s+(type\s+)?[^;'"]*?from '([^']+)'/gm)].map(
    ([, type, from]) => ({ from: from!, typeOnly: type !== undefined }),
  )
}

describe('the rules bite', () => {
  test('impure words', () => {
    for (const line of [
      'Date.now()',
      'await x',
      'Math.random()',
      'new Promise(f)',
      'Buffer.from(x)',
    ]) {
      expect(code(line)).toMatch(IMPURE)
    }
    expect(code("// Date\nconst a = 'await'")).not.toMatch(IMPURE)
  })
  test('imports', () => {
    expect(importsOf("import type { A } from './a.ts'\nimport { b } from 'b'")).toEqual([
      { from: './a.ts', typeOnly: true },
      { from: 'b', typeOnly: false },
    ])
  })
})

describe('src', () => {
  const protocol = sources.filter(({ name }) => name.startsWith('protocol/'))

  test.each(protocol)('$name decides, and neither waits nor asks a clock', ({ text }) => {
    expect(code(text).match(IMPURE)).toBeNull()
  })

  test.each(protocol)('$name imports errors and its own room only', ({ text }) => {
    for (const { from } of importsOf(text))
      expect(from).toMatch(/^\.\/[a-z-]+\.ts$|^\.\.\/errors\.ts$/)
  })

  test.each(sources)(
    '$name: no default exports, no marks, no escapes from the types, 100 columns',
    ({ text }) => {
      expect(code(text)).not.toMatch(/export default|: any\b|\bas any\b|@ts-/)
      expect(text).not.toMatch(/\b(?:TODO|FIXME|XXX|HACK)\b/)
      const wide = text.split('\n').filter((line) => line.length > 100 && !/['`]|\/\^/.test(line))
      expect(wide.filter((line) => !/^\s*(?:\*|\/\/|\/\*)/.test(line))).toEqual([])
    },
  )

  test('mqtt-packet is a vocabulary: types only', () => {
    for (const { name, text } of sources) {
      for (const { from, typeOnly } of importsOf(text)) {
        if (from === 'mqtt-packet') expect(typeOnly, name).toBe(true)
      }
    }
  })

  test('the transport has never heard of MQTT', () => {
    for (const { name, text } of sources.filter(({ name }) => name.startsWith('transport/'))) {
      for (const { from } of importsOf(text))
        expect(from, name).not.toMatch(/protocol|codec|packets/)
    }
  })

  test('imports have no cycles at run time', () => {
    const graph = new Map(
      sources.map(({ name, text }) => [
        name,
        importsOf(text)
          .filter(({ from, typeOnly }) => from.startsWith('.') && !typeOnly)
          .map(({ from }) => join(name, '..', from)),
      ]),
    )
    const done = new Set<string>()
    const visit = (name: string, path: readonly string[]): void => {
      expect(path, [...path, name].join(' → ')).not.toContain(name)
      if (done.has(name)) return
      for (const next of graph.get(name) ?? []) visit(next, [...path, name])
      done.add(name)
    }
    for (const name of graph.keys()) visit(name, [])
  })
})
