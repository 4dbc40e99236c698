/**
 * [S2] What a kill, a lost write or a bad sector leaves. Goal: whatever is cut off or spoilt at the end of a file, the
 * directory opens, holds everything but that end, and goes on. Method: a directory as a killed process leaves it; each file of
 * it cut and spoilt at every offset of its last records, opened, read, written.
 */
import {
  cpSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openSession, type Spool, spool } from '../../src/disk/index.ts'
import { publish } from '../../src/requests/build.ts'
import type { Session } from '../../src/requests/session.ts'
import type { SentRequest } from '../../src/requests/vocabulary.ts'
import { temporaryFolder } from '../support/process.ts'
import { contentOf, longLife } from './story.ts'

const RECORDS = 12
/** Each as large as a few of these: every offset of the last two lies within the last of them. */
const PAYLOAD = 'x'.repeat(40)
const LAST_BYTES = 420

const folder = temporaryFolder()
const original = join(folder.path, 'original')

const textOf = (request: SentRequest) => String((request as { payload?: unknown }).payload)

async function queued(queue: Spool): Promise<string[]> {
  const found: string[] = []
  queue.end()
  for await (const requests of queue)
    found.push(...requests.map((one) => textOf(one as SentRequest)))
  return found
}

beforeAll(async () => {
  const queue = await spool(join(folder.path, 'live'))
  for (let i = 0; i < RECORDS; i++) await queue.push(publish('t', `${i} ${PAYLOAD}`))
  // As a kill leaves it: nothing was closed, every commit is on disk.
  cpSync(join(folder.path, 'live'), original, { recursive: true })
  await queue.close()
})
afterAll(folder.remove)

/** All but whether it is as good as final: where something is missing, it is not. */
const contentText = (session: Session | null) =>
  JSON.stringify({ ...contentOf(session), final: undefined })

const damages: Record<string, (file: string, size: number, back: number) => void> = {
  'cut off': (file, size, back) => truncateSync(file, size - back),
  spoilt: (file, size, back) => {
    const bytes = readFileSync(file)
    bytes[size - back]! ^= 0x5a
    writeFileSync(file, bytes)
  },
  zeroed: (file, size, back) => writeFileSync(file, readFileSync(file).fill(0, size - back)),
}

describe('[S2] a spool whose files end badly', { timeout: 120_000 }, () => {
  test.each(Object.keys(damages))(
    '%s, at every offset: all but the end is there, and it goes on',
    async (how) => {
      const all = Array.from({ length: RECORDS }, (_, i) => `${i} ${PAYLOAD}`)
      const files = readdirSync(join(original, 'data')).filter(
        (name) => name !== 'LOCK' && name !== 'LOG',
      )
      expect(files.some((name) => name.endsWith('.log'))).toBe(true)
      let tried = 0
      for (const name of files) {
        const { size } = statSync(join(original, 'data', name))
        // Of the log, whose end is what is written: every offset. Of the others, a few: they are written rarely.
        const every = name.endsWith('.log') ? 1 : 13
        for (let back = 1; back <= Math.min(size, LAST_BYTES); back += every) {
          const copy = join(folder.path, 'copy')
          rmSync(copy, { recursive: true, force: true })
          cpSync(original, copy, { recursive: true })
          damages[how]!(join(copy, 'data', name), size, back)
          const damaged = `${name}, ${how} ${back} before its end`
          const queue = await spool(copy)
          const found = await queued(queue)
          // Nothing that was not there, in its order, and no more than the end is missing.
          expect(all.slice(0, found.length), damaged).toEqual(found)
          expect(found.length, damaged).toBeGreaterThanOrEqual(RECORDS - 5)
          expect(queue.size, damaged).toBe(found.length)
          await queue.close()
          const again = await spool(copy)
          await again.push(publish('t', 'after'))
          expect(await queued(again), damaged).toEqual([...found, 'after'])
          await again.close()
          tried++
        }
      }
      expect(tried).toBeGreaterThan(LAST_BYTES)
    },
  )
})

describe('[S2] a session whose files end badly', { timeout: 120_000 }, () => {
  const kept = join(folder.path, 'kept')
  const texts: string[] = []
  let last: Session | undefined

  beforeAll(async () => {
    const store = await openSession(join(folder.path, 'live session'))
    await store.load()
    for (const session of await longLife()) {
      await store.commit(session)
      texts.push(contentText(session))
      last = session
    }
    cpSync(join(folder.path, 'live session'), kept, { recursive: true })
    await store.close()
  })

  test.each(Object.keys(damages))(
    '%s: an earlier commit is loaded, and it goes on',
    async (how) => {
      const files = readdirSync(join(kept, 'data')).filter(
        (name) => name !== 'LOCK' && name !== 'LOG',
      )
      for (const name of files) {
        const { size } = statSync(join(kept, 'data', name))
        for (let back = 1; back <= Math.min(size, 2000); back += 7) {
          const copy = join(folder.path, 'copy')
          rmSync(copy, { recursive: true, force: true })
          cpSync(kept, copy, { recursive: true })
          damages[how]!(join(copy, 'data', name), size, back)
          const damaged = `${name}, ${how} ${back} before its end`
          const store = await openSession(copy)
          const found = texts.lastIndexOf(contentText(await store.load()))
          expect(found, damaged).toBeGreaterThan(texts.length - 30)
          await store.commit(last!)
          expect(contentText(await store.load()), damaged).toBe(contentText(last!))
          await store.close()
        }
      }
    },
  )

  test('one commit of many is missing: those behind it are not guessed from, and nothing is as good as final', async () => {
    const copy = join(folder.path, 'hole')
    cpSync(kept, copy, { recursive: true })
    const level = new ClassicLevel(join(copy, 'data'))
    const journals = await level.keys({ gt: 'j', lt: 'k' }).all()
    const missing = journals.length - 20
    await level.del(journals[missing]!)
    await level.close()
    const store = await openSession(copy)
    const found = await store.load()
    await store.close()
    expect(contentText(found)).toBe(texts[missing - 1])
    expect(found?.final).toBe(false)
  })
})
