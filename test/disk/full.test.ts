/**
 * [S2] A disk that is full. Goal: pushes are rejected with an error that says so, nothing else breaks, and all goes on when there
 * is room again. Method: a small tmpfs, if this process may mount one; else it says plainly that it did not run.
 */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { fileRequests, openSession, type Spool, spool } from '../../src/disk/index.ts'
import { openDatabase } from '../../src/disk/node/database.ts'
import { StorageError } from '../../src/errors.ts'
import { publish } from '../../src/requests/build.ts'
import type { SentRequest } from '../../src/requests/vocabulary.ts'
import { temporaryFolder } from '../support/process.ts'
import { longLife } from './story.ts'

const SIZE = 8 << 20
const PAYLOAD = Buffer.alloc(50_000, 65)

const folder = temporaryFolder()
const disk = join(folder.path, 'disk')
const canMount = (() => {
  mkdirSync(disk)
  return mount() && umount()
})()
if (!canMount) console.log('not run: a full disk; this process may not mount a tmpfs')

function mount(): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', disk]).status === 0
}

function umount(): boolean {
  return spawnSync('umount', ['-l', disk]).status === 0
}

afterAll(() => folder.remove())
beforeEach(() => void (canMount && mount()))
afterEach(() => {
  if (canMount) umount()
})

/** Somebody else's file, or the one that is named, takes all that is left. */
function fill(name = 'filler'): string {
  const file = join(disk, name)
  try {
    // LevelDB may write and remove at the same time: what statfs says is not so a moment later.
    for (;;) appendFileSync(file, Buffer.alloc(4096))
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' })
  }
  return file
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

async function open(options: Parameters<typeof spool>[1] = {}): Promise<Spool> {
  const queue = await spool(join(disk, 'spool'), { onWarning: () => {}, ...options })
  onTestFinished(async () => queue.close().catch(() => {}))
  return queue
}

/** Pushes until it is full; how many were accepted. */
async function pushUntilFull(queue: Spool): Promise<{ accepted: number; error: unknown }> {
  for (let accepted = 0; ; accepted++) {
    try {
      await queue.push(publish(`n/${accepted}`, PAYLOAD, { qos: 1 }))
    } catch (error) {
      return { accepted, error }
    }
  }
}

/** Until as many are left. */
async function drain(queue: Spool, left = 0): Promise<SentRequest[]> {
  const found: SentRequest[] = []
  const iterator = queue[Symbol.asyncIterator]()
  while (queue.size > left) {
    const { value } = await iterator.next()
    const requests = (value ?? []) as SentRequest[]
    found.push(...requests)
    await Promise.all(requests.map((request) => queue.settled(request, { ok: true })))
  }
  await iterator.return?.()
  return found
}

describe.skipIf(!canMount)('[S2] a full disk', () => {
  test('rejects pushes and says what to do; what was accepted is delivered and makes room again, many times', async () => {
    const queue = await open()
    for (let round = 0; round < 5; round++) {
      const { accepted, error } = await pushUntilFull(queue)
      expect(error).toBeInstanceOf(StorageError)
      expect(error).toMatchObject({ code: 'DISK_FULL', retryable: true })
      expect((error as Error).message).toMatch(/disk .*is full.*make room and try again/i)
      expect(accepted).toBeGreaterThan(30)
      expect(queue.size).toBe(accepted)
      const found = await drain(queue)
      expect(found.map((request) => (request as { topic: string }).topic)).toEqual(
        Array.from({ length: accepted }, (_, i) => `n/${i}`),
      )
    }
  })

  test('leaves as much room as it holds, to sort that', async () => {
    await pushUntilFull(await open())
    const data = join(disk, 'spool/data')
    const held = () => {
      const tables = readdirSync(data).filter((name) => name.endsWith('.ldb'))
      return tables.reduce((sum, name) => sum + sizeOf(join(data, name)), 0)
    }
    const free = () => {
      const { bavail, bsize } = statfsSync(disk)
      return bavail * bsize
    }
    // What it sorts at this moment is there twice.
    await expect.poll(() => free() / held(), { timeout: 10_000 }).toBeGreaterThan(0.9)
  })

  test.each(['open', 'opened again'])(
    'by what a sorting that found no room left behind: %s, it is removed, and what was accepted is delivered',
    async (way) => {
      let queue = await open()
      const { accepted } = await pushUntilFull(queue)
      if (way === 'opened again') await queue.close()
      // LevelDB knows of no such tables: so are those of a sorting that it gave up.
      const left = [fill('spool/data/999998.ldb')]
      if (way === 'opened again') queue = await open()
      const first = await drain(queue, accepted - 1)
      // Full, it sorts to make room, in vain.
      const more = await pushUntilFull(queue)
      // Its diary is thrown away when it is opened: no room may come from there.
      for (const diary of ['LOG', 'LOG.old']) writeFileSync(join(disk, 'spool/data', diary), '')
      left.push(fill('spool/data/999999.ldb'))
      const found = [...first, ...(await drain(queue))]
      expect(found).toHaveLength(accepted + more.accepted)
      expect(left.filter((table) => existsSync(table))).toEqual([])
      expect((await pushUntilFull(queue)).accepted).toBeGreaterThan(accepted / 2)
    },
  )

  test('what is read while a commit opens the folder anew is read then', async () => {
    const database = await openDatabase(join(disk, 'database'), 'spool')
    onTestFinished(() => database.close())
    const value = randomBytes(20_000)
    const keys = Array.from({ length: 40 }, (_, i) => `r${i + 10}`)
    await database.commit(keys.map((key) => ({ type: 'put', key, value })))
    const filler = fill()
    await expect(
      database.commit([{ type: 'put', key: 'r99', value: randomBytes(500_000) }]),
    ).rejects.toMatchObject({ code: 'DISK_FULL' })
    rmSync(filler)
    const all = { gte: 'r', lt: 's' }
    const read = () => Array.from({ length: 20 }, () => database.range(all))
    const before = read()
    const committed = database.commit([{ type: 'put', key: 's', value }])
    const found = await Promise.all([...before, ...read()])
    await committed
    for (const entries of found) expect(entries.map(([key]) => key)).toEqual(keys)
  })

  test('filled by somebody else: nothing that was accepted is lost, and pushes go on when there is room', async () => {
    const warnings: string[] = []
    const queue = await open({ onWarning: ({ code }) => warnings.push(code) })
    for (let i = 0; i < 10; i++) await queue.push(publish(`n/${i}`, PAYLOAD, { qos: 1 }))
    const filler = fill()
    await expect(queue.push(publish('t', PAYLOAD))).rejects.toMatchObject({ code: 'DISK_FULL' })
    const iterator = queue[Symbol.asyncIterator]()
    const { value } = await iterator.next()
    const requests = value as SentRequest[]
    expect(requests).toHaveLength(10)
    // An outcome cannot be stored: the loop goes on, and it is stored later.
    const removed = requests.map((request) => queue.settled(request, { ok: true }))
    rmSync(filler)
    await Promise.all(removed)
    expect(queue.size).toBe(0)
    await iterator.return?.()
    expect(await queue.push(publish('after', PAYLOAD))).toBe(1)
    await queue.close()
    const again = await open()
    expect((await drain(again)).map((request) => (request as { topic: string }).topic)).toEqual([
      'after',
    ])
  })

  test('a session that cannot be kept is a StorageError, and the one before it is still there', async () => {
    const sessions = await longLife()
    const store = await openSession(join(disk, 'session'))
    onTestFinished(() => store.close())
    await store.load()
    await store.commit(sessions[0]!)
    const filler = fill()
    const failed = (async () => {
      for (const session of [...sessions, ...sessions]) await store.commit(session)
    })()
    await expect(failed).rejects.toBeInstanceOf(StorageError)
    await expect(failed).rejects.toMatchObject({ code: 'DISK_FULL' })
    await store.close()
    rmSync(filler)
    expect(await store.load()).not.toBeNull()
  })

  test('a checkpoint that cannot be kept is a StorageError; the last one stands', async () => {
    const lines = join(folder.path, 'lines')
    writeFileSync(lines, `${JSON.stringify(publish('t', 'x'))}\n`.repeat(10))
    const file = fileRequests(lines, { checkpoint: join(disk, 'checkpoint') })
    onTestFinished(() => file.close())
    const found: SentRequest[] = []
    for await (const requests of file) found.push(...(requests as SentRequest[]))
    fill()
    const settled = Promise.all(found.map((request) => file.settled(request, { ok: true })))
    await expect(settled).rejects.toThrow(/The checkpoint could not be kept: ENOSPC/)
  })
})
