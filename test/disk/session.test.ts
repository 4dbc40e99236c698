/**
 * A session on disk. Goal: what is loaded is what was committed last, whatever happened in between, and small commits stay
 * small. Method: every session that a simulated world ever saves, committed one after the other and read back now and then;
 * and loops whose process ends.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { openSession } from '../../src/disk/index.ts'
import * as engine from '../../src/index.ts'
import type { Session, SessionStore } from '../../src/requests/session.ts'
import { hasNodeFlavour } from '../support/flavour.ts'
import { temporaryFolder } from '../support/process.ts'
import { contentOf, storyOf } from './story.ts'

let folder: ReturnType<typeof temporaryFolder>
let path: string
beforeEach(() => {
  folder = temporaryFolder()
  path = join(folder.path, 'session')
})
afterEach(() => folder.remove())

async function open(directory = path): Promise<SessionStore> {
  const store = await openSession(directory)
  onTestFinished(() => store.close())
  return store
}

describe('[S1] openSession', () => {
  test('loads what was committed last, in every instant of many worlds', async () => {
    const store = await open()
    let commits = 0
    let held = 0
    let received = 0
    for (let seed = 1; seed <= 25; seed++) {
      await store.load()
      for (const session of await storyOf(seed)) {
        if (session === 'load') await store.load()
        else {
          await store.commit(session)
          const record = session.record()
          held += record.held.length
          received += record.received.length
          if (++commits % 5 > 0) continue
          expect(contentOf(await store.load()), `seed ${seed}`).toEqual(contentOf(session))
        }
      }
    }
    // With the turns of a browser, more changes share a commit.
    const least = hasNodeFlavour ? 1000 : 500
    expect(commits).toBeGreaterThan(least)
    expect(held).toBeGreaterThan(least)
    expect(received).toBeGreaterThan(least / 20)
  })

  test('is there after the directory was closed and opened; nothing is there at first', async () => {
    const first = await open()
    expect(await first.load()).toBeNull()
    const story = (await storyOf(3)).filter((one) => one !== 'load')
    const last = story.at(-1) as Session
    await first.commit(last)
    await first.close()
    const again = await open()
    expect(contentOf(await again.load())).toEqual(contentOf(last))
  })

  test('a store that a loop closed is opened again by the next one', async () => {
    const store = await open()
    await store.close()
    expect(await store.load()).toBeNull()
  })

  test.runIf(hasNodeFlavour)(
    '[S2] a directory in use says by whom, and one of something else is refused',
    async () => {
      await open()
      await expect(openSession(path)).rejects.toMatchObject({
        code: 'IN_USE',
        name: 'StorageError',
      })
      await expect(openSession(path)).rejects.toThrow(`by process ${process.pid}`)
      const { spool } = await import('../../src/disk/index.ts')
      await expect(spool(path)).rejects.toThrow(/in use/)
      await (await spool(`${path}-spool`)).close()
      await expect(openSession(`${path}-spool`)).rejects.toThrow(/holds a spool/)
    },
  )

  test.runIf(hasNodeFlavour)('[S2] its files do not grow for ever', async () => {
    const store = await open()
    const sessions = (await storyOf(3)).filter((one) => one !== 'load') as Session[]
    const data = join(path, 'data')
    const size = () => readdirSync(data).reduce((sum, n) => sum + statSync(join(data, n)).size, 0)
    let written = 0
    for (let round = 0; written < 80e6; round++) {
      const session = sessions[round % sessions.length]!
      await store.commit(session)
      written += engine.encodeSession(session).length
    }
    expect(size()).toBeLessThan(50e6)
    expect(contentOf(await store.load())).not.toBeNull()
  })
})
