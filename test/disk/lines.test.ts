import fc from 'fast-check'
import { expect, test } from 'vitest'
import { linesOf } from '../../src/disk/file/lines.ts'
import type { Line } from '../../src/disk/file/parse-line.ts'

async function* cut(bytes: Buffer, at: readonly number[]) {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  let from = 0
  for (const to of [...places, bytes.length]) {
    yield bytes.subarray(from, to)
    from = to
  }
}

async function collect(bytes: Buffer, at: readonly number[], from = { offset: 0, line: 1 }) {
  const lines: Line[] = []
  for await (const some of linesOf(cut(bytes, at), from, 'file')) lines.push(...some)
  return lines
}

const anyText = fc.stringMatching(/^[ab\r\n]{0,60}$/)

test('lines are the same however the bytes are cut', async () => {
  const cuts = fc.array(fc.nat(), { maxLength: 8 })
  const property = fc.asyncProperty(anyText, cuts, async (text, at) => {
    const expected = text.split('\n').map((line) => line.replace(/\r$/, ''))
    if (text.endsWith('\n') || text === '') expected.pop()
    const lines = await collect(Buffer.from(text), at)
    expect(lines.map(({ bytes }) => bytes.toString())).toEqual(expected)
    expect(lines.map(({ number }) => number)).toEqual(expected.map((_, i) => i + 1))
  })
  await fc.assert(property)
})

test('reading from where a line ended gives the lines behind it', async () => {
  const property = fc.asyncProperty(anyText, fc.nat(), async (text, pick) => {
    const bytes = Buffer.from(text)
    const lines = await collect(bytes, [])
    const last = lines[pick % (lines.length || 1)]
    if (last === undefined) return
    const from = { offset: last.end, line: last.number + 1 }
    expect(await collect(bytes.subarray(last.end), [], from)).toEqual(lines.slice(last.number))
  })
  await fc.assert(property)
})
