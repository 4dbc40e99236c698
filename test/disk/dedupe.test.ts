/**
 * Goal: a name that is done is known in every later life, and memory and disk are bounded. Method:
 * a directory that is closed and opened again, many calls at once, names of every kind.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { openDedupe, spool } from '../../src/disk/index.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'it-mqtt-dedupe-'))
  const made = directory
  onTestFinished(() => rmSync(made, { recursive: true }))
})

test('[B7] what is done is seen, now and after it was opened again', async () => {
  const first = await openDedupe(directory)
  expect(await first.seen('a')).toBe(false)
  await first.done('a')
  await first.done('a')
  expect(await first.seen('a')).toBe(true)
  await first.close()
  const second = await openDedupe(directory)
  expect([await second.seen('a'), await second.seen('b')]).toEqual([true, false])
  await second.close()
})

test('[B7] beginnings are counted over lives, and are not done', async () => {
  for (let life = 1; life <= 3; life++) {
    await using dedupe = await openDedupe(directory)
    expect(await dedupe.begin('a')).toBe(life)
    expect(await dedupe.seen('a')).toBe(false)
  }
  await using last = await openDedupe(directory)
  await last.done('a')
  expect([await last.begin('a'), await last.seen('a')]).toEqual([4, true])
})

test('calls at once are as calls one after the other', async () => {
  await using dedupe = await openDedupe(directory)
  const counts = await Promise.all(Array.from({ length: 20 }, () => dedupe.begin('a')))
  expect(counts.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  await Promise.all(Array.from({ length: 200 }, (_, i) => dedupe.done(`id ${i}`)))
  const seen = await Promise.all(Array.from({ length: 200 }, (_, i) => dedupe.seen(`id ${i}`)))
  expect(seen.every(Boolean)).toBe(true)
})

test('the oldest names are forgotten beyond the bound, in later lives too', async () => {
  const open = () => openDedupe(directory, { maxIds: 3 })
  for (const ids of [['a', 'b', 'c', 'd'], ['e']]) {
    await using dedupe = await open()
    for (const id of ids) await dedupe.done(id)
  }
  await using dedupe = await open()
  const seen = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((id) => dedupe.seen(id)))
  expect(seen).toEqual([false, false, true, true, true])
})

test('any text is a name of its own', async () => {
  await using dedupe = await openDedupe(directory)
  const ids = fc.uniqueArray(fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }), {
    minLength: 2,
    maxLength: 20,
  })
  const done = new Set<string>()
  await fc.assert(
    fc.asyncProperty(ids, async ([first, ...rest]) => {
      await dedupe.done(first!)
      done.add(first!)
      for (const id of rest) expect(await dedupe.seen(id)).toBe(done.has(id))
    }),
    { numRuns: 30 },
  )
})

test.each([[''], [undefined], [4711], ['x'.repeat(3000)]])('%j is no name', async (id) => {
  await using dedupe = await openDedupe(directory)
  await expect(dedupe.seen(id as never)).rejects.toMatchObject({ name: 'UsageError' })
  await expect(dedupe.done(id as never)).rejects.toMatchObject({ name: 'UsageError' })
})

test('a directory of another kind, one in use and one that was closed are refused', async () => {
  await expect(openDedupe(directory, { maxIds: 0 })).rejects.toThrow('maxIds')
  const dedupe = await openDedupe(directory)
  await expect(openDedupe(directory)).rejects.toMatchObject({ code: 'IN_USE' })
  await dedupe.close()
  await expect(dedupe.done('a')).rejects.toMatchObject({ code: 'CLOSED' })
  await expect(spool(directory)).rejects.toThrow('holds a dedupe')
})
