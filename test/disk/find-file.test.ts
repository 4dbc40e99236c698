/**
 * Goal: a rotated file is found although a rotation goes on during the search. Method: the list of a
 * folder is out of date as soon as it was read, because the files are renamed just then.
 */
import { renameSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { findFile } from '../../src/disk/file/find-file.ts'
import { proofIn } from '../../src/disk/file/position.ts'
import { temporaryFolder } from '../support/process.ts'

/** What happens after each of the next lists of a folder. */
const afterLists: (() => void)[] = []

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>()
  const readdir = async (...args: Parameters<typeof real.readdir>) => {
    const names = await real.readdir(...args)
    afterLists.shift()?.()
    return names
  }
  return { ...real, readdir }
})

describe('[S1] the search for a file that was rotated', () => {
  // A folder is listed for its folders, and for its files.
  test.each([1, 2, 3, 4])('the copy is renamed after list %i', async (list) => {
    const { path: folder, remove } = temporaryFolder()
    onTestFinished(remove)
    const path = join(folder, 'app.log')
    const lines = Buffer.from('one\ntwo\nthree\n')
    writeFileSync(`${path}.1`, lines)
    writeFileSync(path, lines)
    const { ino } = statSync(path)
    truncateSync(path)
    afterLists.length = 0
    for (let i = 1; i < list; i++) afterLists.push(() => {})
    afterLists.push(() => renameSync(`${path}.1`, `${path}.2`))
    const remembered = { inode: ino, proof: proofIn(lines, lines.length) }
    const found = await findFile(path, remembered, ino)
    expect(found?.isCopy).toBe(true)
    await found?.file.handle.close()
  })

  test('without a copy it ends, even if the folder changes all the time', async () => {
    const { path: folder, remove } = temporaryFolder()
    onTestFinished(remove)
    const path = join(folder, 'app.log')
    writeFileSync(path, '')
    afterLists.length = 0
    let count = 0
    const change = () => {
      writeFileSync(join(folder, `other-${count++}`), '')
      afterLists.push(change)
    }
    afterLists.push(change)
    const lines = Buffer.from('one\n')
    const remembered = { inode: 1, proof: proofIn(lines, lines.length) }
    expect(await findFile(path, remembered)).toBeNull()
    expect(count).toBeGreaterThan(2)
  })
})
