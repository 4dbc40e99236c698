/**
 * [S2] Damage is told (P7). Goal: whatever happens to the files of a spool, each request is delivered, or reported as lost; the
 * rest is delivered, and the count is 0 afterwards. Method: a closed spool, and one as a kill leaves it; each file of it
 * removed, cut off and spoilt in turn.
 */
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openSession, type Spool, type SpoolWarning, spool } from '../../src/disk/index.ts'
import { publish } from '../../src/requests/build.ts'
import type { SentRequest } from '../../src/requests/vocabulary.ts'
import { temporaryFolder } from '../support/process.ts'
import { longLife } from './story.ts'

const COUNT = 500
const PUSHED_TOGETHER = 10
const OK = { ok: true } as const
const texts = Array.from({ length: COUNT }, (_, i) => `${i} ${'x'.repeat(60)}`)

const folder = temporaryFolder()
const at = (name: string) => join(folder.path, name)
afterAll(folder.remove)

async function fill(queue: Spool): Promise<void> {
  for (let i = 0; i < COUNT; i += PUSHED_TOGETHER) {
    await queue.push(texts.slice(i, i + PUSHED_TOGETHER).map((text) => publish('t', text)))
  }
}

beforeAll(async () => {
  const queue = await spool(at('live'))
  await fill(queue)
  // As a kill leaves it: nothing was closed, every commit is on disk.
  cpSync(at('live'), at('killed'), { recursive: true })
  await queue.close()
  cpSync(at('live'), at('closed'), { recursive: true })
  // Its requests are in a table, and not in the log.
  await (await spool(at('live'))).close()
  const level = new ClassicLevel(at('live/data'))
  await level.open()
  await level.compactRange('', '~')
  await level.close()
  cpSync(at('live'), at('compacted'), { recursive: true })
}, 60_000)

interface Found {
  readonly delivered: string[]
  readonly warnings: SpoolWarning[]
  readonly lost: number
  readonly size: number
}

/** Delivers everything that is in it. */
async function drain(directory: string): Promise<Found> {
  const warnings: SpoolWarning[] = []
  const queue = await spool(directory, { onWarning: (warning) => warnings.push(warning) })
  const delivered: string[] = []
  queue.end()
  try {
    for await (const requests of queue) {
      for (const request of requests) {
        delivered.push(String((request as SentRequest & { payload: unknown }).payload))
        queue.settled(request, OK)
      }
    }
    return { delivered, warnings, lost: queue.lost, size: queue.size }
  } finally {
    await queue.close()
  }
}

function flip(file: string, offset: number): void {
  const bytes = readFileSync(file)
  bytes[offset]! ^= 0x5a
  writeFileSync(file, bytes)
}

const damages: Record<string, (file: string, size: number, part: number) => void> = {
  removed: (file) => rmSync(file),
  'cut off': (file, size, part) => truncateSync(file, Math.floor(size * part)),
  spoilt: (file, size, part) => flip(file, Math.min(size - 1, Math.floor(size * part))),
  'spoilt in places': (file, size, part) => {
    for (let offset = Math.floor(part * 97); offset < size; offset += 997) flip(file, offset)
  },
}
const parts: Record<string, readonly number[]> = {
  removed: [0],
  'cut off': [0, 0.3, 0.7, 0.99],
  spoilt: [0, 0.05, 0.21, 0.4, 0.63, 0.88, 1],
  'spoilt in places': [0, 0.5],
}

describe('[S2] P7: a spool whose files are damaged', { timeout: 300_000 }, () => {
  test.each(
    ['closed', 'killed', 'compacted'].flatMap((which) =>
      Object.keys(damages).map((how) => [which, how] as const),
    ),
  )(
    'P7: %s, each file %s: nothing is lost in silence, and the rest is delivered',
    async (which, how) => {
      const names = [
        'head',
        'owner.json',
        ...readdirSync(at(`${which}/data`)).map((n) => `data/${n}`),
      ]
      for (const name of names) {
        for (const part of parts[how]!) {
          const copy = at('copy')
          rmSync(copy, { recursive: true, force: true })
          cpSync(at(which), copy, { recursive: true })
          const file = join(copy, name)
          const { size } = statSync(file)
          if (size === 0 && how !== 'removed') continue
          damages[how]!(file, size, part)
          const what = `${which}: ${name} ${how} at ${part}`
          const { delivered, warnings, lost, size: left } = await drain(copy)
          const unique = new Set(delivered)
          expect(texts, what).toEqual(expect.arrayContaining(delivered))
          expect([...unique].sort(), what).toEqual([...delivered].sort())
          expect(lost, what).toBe(COUNT - delivered.length)
          if (/CURRENT|LOCK|LOG|head|owner/.test(name)) expect(lost, what).toBe(0)
          if (lost > 0)
            expect(
              warnings.map(({ code }) => code),
              what,
            ).toContain('REQUESTS_LOST')
          expect(left, what).toBe(0)
          const again = await spool(copy, { onWarning: (warning) => expect(warning).toBeNull() })
          expect([again.size, again.lost], what).toEqual([0, lost])
          await again.clearDamaged()
          expect(again.lost, what).toBe(0)
          await again.push(publish('t', 'after'))
          await again.close()
          expect((await drain(copy)).delivered, what).toEqual(['after'])
        }
      }
    },
  )
})

describe('[S2] P7: a directory that is removed', { timeout: 60_000 }, () => {
  test('P7: its data, between two processes: everything is reported as lost', async () => {
    const copy = at('emptied')
    cpSync(at('closed'), copy, { recursive: true })
    rmSync(join(copy, 'data'), { recursive: true })
    const { delivered, warnings, lost } = await drain(copy)
    expect([delivered, lost]).toEqual([[], COUNT])
    expect(warnings).toEqual([
      { code: 'REQUESTS_LOST', message: expect.stringMatching(/^500 requests were lost/) },
    ])
  })

  test('P7: while it is in use: pushes are rejected, and nothing is made in its place', async () => {
    const warnings: SpoolWarning[] = []
    const queue = await spool(at('removed'), { onWarning: (warning) => warnings.push(warning) })
    await queue.push(publish('t', '1'))
    rmSync(at('removed'), { recursive: true })
    for (const text of ['2', '3']) {
      await expect(queue.push(publish('t', text))).rejects.toMatchObject({
        code: 'DIRECTORY_GONE',
        retryable: false,
      })
    }
    expect(warnings.map(({ code }) => code)).toEqual(['DIRECTORY_GONE'])
    await queue.close()
    expect(existsSync(at('removed'))).toBe(false)
  })

  test('P7: and replaced by another spool while it is in use: the other one is left alone', async () => {
    const queue = await spool(at('replaced'), { onWarning: () => {} })
    await queue.push(publish('t', '1'))
    renameSync(at('replaced'), at('moved'))
    cpSync(at('closed'), at('replaced'), { recursive: true })
    await expect(queue.push(publish('t', '2'))).rejects.toMatchObject({ code: 'DIRECTORY_GONE' })
    await queue.close().catch(() => {})
    expect((await drain(at('replaced'))).delivered).toHaveLength(COUNT)
  })
})

describe('[S2] P7: a session whose last changes are gone', { timeout: 60_000 }, () => {
  test('P7: says so, and is not as good as final', async () => {
    const store = await openSession(at('session'))
    await store.load()
    const [first, ...others] = await longLife()
    await store.commit(first!)
    cpSync(at('session/data'), at('early'), { recursive: true })
    for (const session of others) await store.commit(session)
    await store.close()
    rmSync(at('session/data'), { recursive: true })
    renameSync(at('early'), at('session/data'))
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
    const again = await openSession(at('session'))
    onTestFinished(() => again.close())
    expect((await again.load())?.final).toBe(false)
    expect(await warned).toMatchObject({ code: 'RECORD_DAMAGED' })
  })
})

describe('P3: how far a producer got', { timeout: 60_000 }, () => {
  const producer = (from: number) => ({
    name: 'a file',
    positionAfter: (count: number) => ({ line: from + count }),
  })

  test('P3: is in the same commit as its requests, and null lets it begin again', async () => {
    const queue = await spool(at('positions'))
    await queue.push([publish('t', '1'), publish('t', '2')], producer(0))
    expect(queue.positionOf('a file')).toEqual({ line: 2 })
    // As a kill leaves it.
    cpSync(at('positions'), at('positions killed'), { recursive: true })
    await queue.setPosition('a file', null)
    expect(queue.positionOf('a file')).toBeNull()
    await queue.close()
    const killed = await spool(at('positions killed'))
    expect([killed.size, killed.positionOf('a file')]).toEqual([2, { line: 2 }])
    await killed.close()
  })

  test('P3: counts what was accepted of a push that waits for room', async () => {
    const queue = await spool(at('bounded'), { maxMessages: 2 })
    const pushed = queue.push(
      [1, 2, 3].map((i) => publish('t', String(i))),
      producer(10),
    )
    const iterator = queue[Symbol.asyncIterator]()
    const { value } = await iterator.next()
    expect(queue.positionOf('a file')).toEqual({ line: 12 })
    queue.settled(value![0]!, OK)
    expect(await pushed).toBe(3)
    expect(queue.positionOf('a file')).toEqual({ line: 13 })
    await queue.close()
  })

  test('P3: needs pushes that are on disk', async () => {
    const queue = await spool(at('spilling'), { mode: 'spill' })
    await expect(queue.push([publish('t', '1')], producer(0))).rejects.toThrow(/durable/)
    await queue.close()
  })
})
