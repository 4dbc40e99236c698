/**
 * Goal: a checkpoint has one owner and is never torn. Method: real files, links and lock files of
 * processes that live, are gone, or cannot be seen.
 */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type FileRequests, fileRequests } from '../../src/disk/index.ts'
import { ownerNow } from '../../src/disk/node/owner.ts'
import { writeInPlace } from '../../src/disk/node/write-in-place.ts'
import { publish } from '../../src/requests/build.ts'
import { temporaryFolder } from '../support/process.ts'

let folder: ReturnType<typeof temporaryFolder>
let file: string
let checkpoint: string
beforeEach(() => {
  folder = temporaryFolder()
  file = join(folder.path, 'lines')
  checkpoint = join(folder.path, 'checkpoint')
  writeFileSync(file, '1\n2\n3\n')
})
afterEach(() => folder.remove())

function opened(path = checkpoint): FileRequests {
  const parse = (line: string) => publish('t', line, { qos: 1 })
  const lines = fileRequests(file, { checkpoint: path, parse })
  onTestFinished(() => lines.close())
  return lines
}

/** Reads all lines and settles them. @returns their payloads. */
async function deliver(lines: FileRequests): Promise<unknown[]> {
  const found: unknown[] = []
  for await (const requests of lines) {
    for (const request of requests) {
      found.push((request as { payload?: unknown }).payload)
      await lines.settled(request, { ok: true })
    }
  }
  return found
}

describe('[S1] a checkpoint has one owner', () => {
  test('a second stream is refused and told who has it; after close() it goes on', async () => {
    const first = opened()
    await first.open()
    const second = opened()
    await expect(second.open()).rejects.toMatchObject({ code: 'IN_USE' })
    await expect(second.open()).rejects.toThrow(`in use by process ${process.pid} (boot id`)
    expect(await deliver(first)).toEqual(['1', '2', '3'])
    await first.close()
    expect(existsSync(`${checkpoint}.lock`)).toBe(false)
    expect(await deliver(second)).toEqual([])
  })

  test.each<[string, (owner: object) => object, boolean]>([
    ['a process that is gone', (owner) => ({ ...owner, pid: goneProcess() }), false],
    ['an earlier boot', (owner) => ({ ...owner, bootId: 'earlier' }), false],
    ['another process with the same id', (owner) => ({ ...owner, startedAt: '1' }), false],
    ['a process in another container', (owner) => ({ ...owner, pidNamespace: 'pid:[1]' }), true],
    ['this process', (owner) => owner, true],
  ])('the lock of %s', async (_, owned, isHeld) => {
    writeFileSync(`${checkpoint}.lock`, JSON.stringify(owned(await ownerNow())))
    const lines = opened()
    if (isHeld) await expect(lines.open()).rejects.toMatchObject({ code: 'IN_USE' })
    else expect(await deliver(lines)).toEqual(['1', '2', '3'])
  })

  test.each(['', '{"pid":'])(
    'a lock that is not whole (%j) is held while it is fresh',
    async (text) => {
      writeFileSync(`${checkpoint}.lock`, text)
      await expect(opened().open()).rejects.toMatchObject({ code: 'IN_USE' })
      const old = Date.now() / 1000 - 60
      utimesSync(`${checkpoint}.lock`, old, old)
      expect(await deliver(opened())).toEqual(['1', '2', '3'])
    },
  )

  test('the lock of another container that is not renewed is taken over', async () => {
    const owner = { ...(await ownerNow()), pidNamespace: 'pid:[1]' }
    writeFileSync(`${checkpoint}.lock`, JSON.stringify(owner))
    const old = Date.now() / 1000 - 60
    utimesSync(`${checkpoint}.lock`, old, old)
    expect(await deliver(opened())).toEqual(['1', '2', '3'])
  })

  test('what a killed process left beside it is removed', async () => {
    writeFileSync(`${checkpoint}.0123456789ab.tmp`, 'half')
    writeFileSync(`${checkpoint}.notes.tmp`, 'mine')
    const lines = opened()
    await deliver(lines)
    await lines.close()
    expect(readdirSync(folder.path).sort()).toEqual(['checkpoint', 'checkpoint.notes.tmp', 'lines'])
  })
})

describe('[S1] a checkpoint in any place', () => {
  test('a symbolic link stays, and its target has the position', async () => {
    const target = join(folder.path, 'target')
    symlinkSync('target', checkpoint)
    const lines = opened()
    await deliver(lines)
    await lines.close()
    expect(lstatSync(checkpoint).isSymbolicLink()).toBe(true)
    expect(JSON.parse(readFileSync(target, 'utf8'))).toMatchObject({ offset: 6 })
    expect(await deliver(opened())).toEqual([])
  })

  test('two paths to one file have one lock', async () => {
    symlinkSync('target', checkpoint)
    await opened().open()
    await expect(opened(join(folder.path, 'target')).open()).rejects.toMatchObject({
      code: 'IN_USE',
    })
  })

  test('an empty file was made to be mounted: it is no position yet', async () => {
    writeFileSync(checkpoint, '')
    expect(await deliver(opened())).toEqual(['1', '2', '3'])
  })

  test('a mount point is written in place', async (context) => {
    writeFileSync(checkpoint, '')
    const source = join(folder.path, 'source')
    writeFileSync(source, '')
    if (spawnSync('mount', ['--bind', source, checkpoint]).status !== 0) {
      context.skip('this user cannot mount: not run')
    }
    try {
      const lines = opened()
      expect(await deliver(lines)).toEqual(['1', '2', '3'])
      await lines.close()
      expect(readFileSync(source, 'utf8')).toContain('"offset":6')
      const again = opened()
      expect(await deliver(again)).toEqual([])
      await again.close()
    } finally {
      spawnSync('umount', [checkpoint])
    }
  })

  test('written in place and cut anywhere, one of the last two records is whole', async () => {
    const lengths = fc.array(fc.nat(60), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(lengths, async (sizes) => {
        const path = join(folder.path, 'in-place')
        writeFileSync(path, '')
        for (const [written, size] of sizes.entries()) {
          const before = readFileSync(path)
          const record = `${JSON.stringify({ written, text: 'x'.repeat(size) })}\n`
          await writeInPlace(path, record)
          const after = readFileSync(path)
          expect(after.toString()).toContain(record)
          // A crash has written the first bytes of the record, over the old ones or behind them.
          const at = after.length > record.length ? after.length - record.length : 0
          for (let cut = 0; cut < record.length; cut++) {
            const torn = Buffer.from(before)
            const part = Buffer.from(record.slice(0, cut))
            if (at === 0) part.copy(torn, 0)
            const text = at === 0 ? torn.toString() : `${before.toString()}${part.toString()}`
            if (written > 0) expect(newestIn(text)).toBeGreaterThanOrEqual(written - 1)
          }
        }
      }),
      { numRuns: 30 },
    )
  })
})

function newestIn(text: string): number {
  const numbers = text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line).written as number]
    } catch {
      return []
    }
  })
  return Math.max(-1, ...numbers)
}

/** @returns the id of a process that has ended. */
function goneProcess(): number {
  return spawnSync('true').pid
}
