/**
 * The database of a browser. Goal: a tab that is killed, a disk that is full and a browser that closes the database lose
 * nothing that was accepted, and each problem has the code that it has on Node. Method: fake-indexeddb, whose transactions fail
 * as the test says: at every commit of a life, before and after it is on the disk.
 */
import { IDBDatabase, IDBObjectStore, indexedDB } from 'fake-indexeddb'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import * as disk from '../../../src/disk/index.ts'
import { StorageError, UsageError } from '../../../src/errors.ts'
import { publish } from '../../../src/requests/build.ts'
import type { Session } from '../../../src/requests/session.ts'
import type { SentRequest } from '../../../src/requests/vocabulary.ts'
import { endTab, storage } from '../../support/indexed-db.ts'
import { contentOf, longLife } from '../story.ts'

const { openSession, spool } = disk
type Spool = disk.Spool

/** What happens to a commit. */
type Fate =
  /** It is stored. */
  | 'stored'
  /** The browser has no room. */
  | 'full'
  /** The tab ends before the commit. */
  | 'killed before'
  /** The tab ends behind the commit, before the page hears of it. */
  | 'killed after'
  /** The browser closes the database. */
  | 'closed'

let fateOf: (commit: number) => Fate = () => 'stored'
let commits = 0
let count = 0
let name = ''

const { transaction } = IDBDatabase.prototype
beforeEach(() => {
  name = `test ${++count}`
  commits = 0
  fateOf = () => 'stored'
  Object.assign(storage, { usage: 0, quota: 1 << 30 })
  vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (
    this: Closable,
    ...args: unknown[]
  ) {
    const opened = transaction.apply(this, args)
    if (args[1] !== 'readwrite') return opened
    fail(this, opened, fateOf(++commits))
    return opened
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  endTab()
})

interface Closable {
  close(): void
}

/** A transaction of fake-indexeddb. */
interface Transaction {
  commit: () => void
  oncomplete: unknown
  onabort: unknown
  /** Ends it with an error of this name. */
  _abort(error: string): void
}

function fail(database: Closable, opened: Transaction, fate: Fate): void {
  const abort = (error: string) => opened._abort(error)
  opened.commit = () => {
    if (fate === 'full') abort('QuotaExceededError')
    if (fate === 'closed') {
      abort('UnknownError')
      database.close()
    }
    if (fate === 'killed before') abort('AbortError')
    if (fate.startsWith('killed')) {
      opened.oncomplete = null
      opened.onabort = null
    }
  }
}

/** @returns the result of a request. */
function answered<T>(request: { onsuccess: unknown; readonly result: T }): Promise<T> {
  return new Promise((resolve) => {
    request.onsuccess = () => resolve(request.result)
  })
}

const textOf = (request: SentRequest) => String((request as { payload?: unknown }).payload)

async function open(options: disk.SpoolOptions = {}): Promise<Spool> {
  const queue = await spool(name, { onWarning: () => {}, ...options })
  onTestFinished(() => void queue.close().catch(() => {}))
  return queue
}

async function handedOut(queue: Spool): Promise<SentRequest[]> {
  const found: SentRequest[] = []
  const iterator = queue[Symbol.asyncIterator]()
  while (found.length < queue.size) {
    found.push(...((await iterator.next()).value as SentRequest[]))
  }
  await iterator.return?.()
  return found
}

/** A life: pushes, and settles every third. @returns what it heard to be accepted and settled. */
async function live(queue: Spool, heard: { accepted: string[]; settled: string[] }) {
  const iterator = queue[Symbol.asyncIterator]()
  for (let i = 0; i < 12; i++) {
    await queue.push(publish('t', String(i), { qos: 1 })).then(
      () => heard.accepted.push(String(i)),
      (error) => expect(error).toBeInstanceOf(StorageError),
    )
    if (i % 3 > 0 || heard.accepted.at(-1) !== String(i)) continue
    const { value } = await iterator.next()
    const [first] = value as SentRequest[]
    queue.settled(first!, { ok: true })!.then(() => heard.settled.push(textOf(first!)))
  }
}

/** The commits of a life without faults. */
async function commitsOfLife(): Promise<number> {
  const queue = await open()
  await live(queue, { accepted: [], settled: [] })
  await queue.close()
  return commits
}

const turns = async (n: number) => {
  for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe('[S2] a spool in a browser', () => {
  test.each(['killed before', 'killed after'] as const)(
    'a tab that is %s any of its commits has everything that was accepted in its next life, in order',
    async (fate) => {
      const all = await commitsOfLife()
      expect(all).toBeGreaterThan(12)
      for (let at = 2; at <= all; at++) {
        fateOf = (commit) => (commit === at ? fate : commit > at ? 'killed before' : 'stored')
        commits = 0
        name = `test ${++count}`
        const heard = { accepted: [] as string[], settled: [] as string[] }
        const queue = await open()
        // Nothing is heard behind the end of the tab, so this life does not end.
        live(queue, heard)
        await turns(400)
        endTab()
        fateOf = () => 'stored'
        const again = await open()
        const found = (await handedOut(again)).map(textOf)
        const left = heard.accepted.filter((text) => !heard.settled.includes(text))
        // One push and one removal may be on the disk that nobody heard of.
        const unheard = found.filter((text) => !left.includes(text))
        const removed = left.filter((text) => !found.includes(text))
        expect(unheard.length, `commit ${at}`).toBeLessThanOrEqual(2)
        expect(removed.length, `commit ${at}`).toBeLessThanOrEqual(fate === 'killed after' ? 1 : 0)
        expect(
          [...found].sort((a, b) => Number(a) - Number(b)),
          `commit ${at}`,
        ).toEqual(found)
        expect(new Set(found).size).toBe(found.length)
        expect(again.lost).toBe(0)
        await again.close()
      }
    },
  )

  test.each(['full', 'closed'] as const)(
    'a commit that fails because the database is %s loses nothing, whichever it is',
    async (fate) => {
      const all = await commitsOfLife()
      for (let at = 2; at < all; at++) {
        fateOf = (commit) => (commit === at ? fate : 'stored')
        commits = 0
        name = `test ${++count}`
        const heard = { accepted: [] as string[], settled: [] as string[] }
        const queue = await open()
        await live(queue, heard)
        await queue.close()
        fateOf = () => 'stored'
        const again = await open()
        const found = (await handedOut(again)).map(textOf)
        expect(found, `commit ${at}`).toEqual(
          heard.accepted.filter((text) => !heard.settled.includes(text)),
        )
        expect(heard.accepted.length).toBeGreaterThanOrEqual(11)
        expect(heard.settled.length).toBeGreaterThanOrEqual(3)
        expect(again.lost).toBe(0)
        await again.close()
      }
    },
  )

  test('full: a push says so before the browser does, and pushes go on once there is room', async () => {
    storage.quota = 8 << 20
    const queue = await open()
    await queue.push(publish('t', 'a'))
    storage.usage = storage.quota
    const large = publish('t', 'x'.repeat(3 << 19))
    const refused = queue.push(large)
    await expect(refused).rejects.toMatchObject({ code: 'DISK_FULL', retryable: true })
    await expect(refused).rejects.toThrow(/disk is full.*make room and try again/)
    // Removals are not refused.
    const [first] = await handedOut(queue)
    await queue.settled(first!, { ok: true })
    expect(queue.size).toBe(0)
    storage.usage = 0
    expect(await queue.push(publish('t', 'b'))).toBe(1)
  })

  test('the browser removes the data: DIRECTORY_GONE, and nothing is stored in a new database', async () => {
    const queue = await open()
    await queue.push(publish('t', 'a'))
    fateOf = (commit) => (commit === commits && commit > 0 ? 'closed' : 'stored')
    await expect(queue.push(publish('t', 'b'))).rejects.toMatchObject({ code: 'WRITE_FAILED' })
    fateOf = () => 'stored'
    await answered(indexedDB.deleteDatabase(`it-mqtt:${name}`))
    const gone = queue.push(publish('t', 'c'))
    await expect(gone).rejects.toMatchObject({ code: 'DIRECTORY_GONE' })
    await expect(gone).rejects.toThrow(/was removed while it was in use/)
    await queue.close()
    const names = (await indexedDB.databases()).map((one: { name: string }) => one.name)
    expect(names).not.toContain(`it-mqtt:${name}`)
  })

  test('a page may remove the data while a spool has it open: the spool lets go', async () => {
    const queue = await open()
    await queue.push(publish('t', 'a'))
    await answered(indexedDB.deleteDatabase(`it-mqtt:${name}`))
    await expect(queue.push(publish('t', 'b'))).rejects.toMatchObject({ code: 'DIRECTORY_GONE' })
  })

  test('a push of which a part cannot be copied stores nothing of it', async () => {
    const queue = await open()
    await queue.push(publish('t', 'a'))
    const { put } = IDBObjectStore.prototype
    let puts = 0
    const spy = vi.spyOn(IDBObjectStore.prototype, 'put')
    spy.mockImplementation(function (this: unknown, ...args: unknown[]) {
      if (++puts > 1) throw new DOMException('out of memory', 'DataCloneError')
      return put.apply(this, args)
    })
    await expect(queue.push(publish('t', 'b'))).rejects.toMatchObject({ code: 'WRITE_FAILED' })
    expect(puts).toBeGreaterThan(1)
    spy.mockRestore()
    await queue.close()
    expect((await handedOut(await open())).map(textOf)).toEqual(['a'])
  })
})

describe('[S2] a session in a browser', () => {
  test.each(['killed before', 'killed after', 'full'] as const)(
    '%s any commit: the one before or that one is loaded, and never a mixture',
    async (fate) => {
      const life = (await longLife()).slice(-40)
      const texts = life.map((session) => JSON.stringify({ ...contentOf(session), final: null }))
      for (let at = 0; at < life.length; at += 3) {
        name = `session ${fate} ${at}`
        const store = await openSession(name)
        await store.load()
        for (const session of life.slice(0, at)) await store.commit(session)
        fateOf = () => fate
        const commit = store.commit(life[at] as Session)
        if (fate === 'full') await expect(commit).rejects.toMatchObject({ code: 'DISK_FULL' })
        else await turns(20)
        fateOf = () => 'stored'
        endTab()
        const again = await openSession(name)
        const found = await again.load()
        const text = found === null ? null : JSON.stringify({ ...contentOf(found), final: null })
        const expected = fate === 'killed after' ? texts[at] : (texts[at - 1] ?? null)
        expect(text, `commit ${at}`).toBe(expected)
        await again.close()
      }
    },
  )
})

describe('one owner', () => {
  test('a second one is told IN_USE, and goes on once the first is closed', async () => {
    const first = await open()
    const second = spool(name)
    await expect(second).rejects.toMatchObject({ code: 'IN_USE', retryable: true })
    await expect(second).rejects.toThrow(/in use by another tab or worker/)
    await first.close()
    expect((await open()).size).toBe(0)
  })

  test('a page that is loaded again waits for the page before', async () => {
    const first = await open()
    await first.push(publish('t', 'a'))
    const second = open()
    await turns(5)
    await first.close()
    expect((await second).size).toBe(1)
  })

  test('a database of another kind is refused, and given up', async () => {
    await (await spool(name)).close()
    await expect(openSession(name)).rejects.toThrow(/holds a spool of format 1, not a session/)
    await (await spool(name)).close()
  })
})

describe('what a browser refuses', () => {
  const without = (property: string, value: unknown) => {
    const descriptor = Object.getOwnPropertyDescriptor(globalThis, property)!
    Object.defineProperty(globalThis, property, { configurable: true, value })
    onTestFinished(() => void Object.defineProperty(globalThis, property, descriptor))
  }

  test('no IndexedDB and no Web Locks are UsageErrors', async () => {
    without('navigator', {})
    await expect(spool(name)).rejects.toMatchObject({ code: 'NO_STORAGE_ENGINE' })
    await expect(spool(name)).rejects.toThrow(/load it over https: or from localhost/)
    await expect(spool('')).rejects.toThrow(UsageError)
  })

  test('no IndexedDB', async () => {
    without('indexedDB', undefined)
    await expect(spool(name)).rejects.toThrow(/this runtime has no IndexedDB/)
    await expect(spool(name)).rejects.toMatchObject({ code: 'NO_STORAGE_ENGINE' })
  })

  test.each([
    ['SecurityError', 'OPEN_FAILED', /private window, blocked site data/],
    ['InvalidStateError', 'OPEN_FAILED', /private window, blocked site data/],
    ['QuotaExceededError', 'DISK_FULL', /cannot be opened: the disk is full/],
    ['UnknownError', 'OPEN_FAILED', /cannot be opened: broken/],
  ])('%s at the opening is %s', async (error, code, message) => {
    const refuse = () => {
      throw new DOMException('broken', error)
    }
    without('indexedDB', { open: refuse })
    await expect(spool(name)).rejects.toMatchObject({ name: 'StorageError', code })
    await expect(spool(name)).rejects.toThrow(message)
  })

  test('a sandboxed frame, which has neither locks nor a database', async () => {
    const request = () => Promise.reject(new DOMException('sandboxed', 'SecurityError'))
    without('navigator', { locks: { request } })
    const code = 'OPEN_FAILED'
    await expect(spool(name)).rejects.toMatchObject({ name: 'StorageError', code })
  })

  const made = (version: number, store: string) =>
    new Promise<void>((resolve) => {
      const request = indexedDB.open(`it-mqtt:${name}`, version)
      request.onupgradeneeded = () => request.result.createObjectStore(store)
      request.onsuccess = () => {
        request.result.close()
        resolve()
      }
    })

  test('a database of a later version, and one of somebody else', async () => {
    await made(2, 'records')
    await expect(spool(name)).rejects.toThrow(/was made by a later version of it-mqtt/)
    name += ' other'
    await made(1, 'mine')
    await expect(spool(name)).rejects.toThrow(/was not made by it-mqtt/)
    await expect(spool(name)).rejects.toThrow(UsageError)
  })

  test('what needs files says so at the call', async () => {
    const noFiles = expect.objectContaining({ name: 'UsageError', code: 'NO_FILES' })
    expect(() => disk.fileRequests('lines')).toThrow(noFiles)
    expect(() => disk.readOnce('lines')).toThrow(noFiles)
    await expect(disk.replaceFile('a', 'b')).rejects.toEqual(noFiles)
    expect(disk.requestOfJson).toBeTypeOf('function')
  })
})

test('a record is stored without the memory that it is a part of, and a range ends at its bound', async () => {
  const queue = await open()
  await queue.push(Array.from({ length: 3000 }, (_, i) => publish('t', `${i} ${'x'.repeat(500)}`)))
  await queue.close()
  const opened = (await answered(indexedDB.open(`it-mqtt:${name}`))) as ReturnType<
    typeof indexedDB.open
  >['result']
  const store = opened.transaction('records').objectStore('records')
  const all = (await answered(store.getAll())) as Uint8Array[]
  opened.close()
  for (const value of all) expect(value.buffer.byteLength).toBe(value.byteLength)
  const again = await open()
  expect((await handedOut(again)).map(textOf)).toEqual(
    Array.from({ length: 3000 }, (_, i) => `${i} ${'x'.repeat(500)}`),
  )
})
