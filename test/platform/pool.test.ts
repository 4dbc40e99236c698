/**
 * Goal: what is kept does not keep a pool of the runtime in memory, which has 8 KiB in Node 20 and 22 and 64 KiB in Node 24.
 * Method: the pool of this process is as large as that of Node 24, and every view of memory that can be reached from what is
 * kept or handed out is looked at.
 */
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { allocatePooled, utf8Bytes } from '#bytes'
import { openSession, spool } from '../../src/disk/index.ts'
import { connectPacket } from '../../src/options/connect-packet.ts'
import { resolveOptions } from '../../src/options/resolve.ts'
import { publish } from '../../src/requests/build.ts'
import { prepare } from '../../src/requests/prepare.ts'
import { longLife } from '../disk/story.ts'
import { temporaryFolder } from '../support/process.ts'

/** As much as a view may keep in memory beyond its own size. */
const BEYOND_BYTES_MAX = 8192

/** Bun and Deno have Buffers of their own. */
const hasOtherPool = 'bun' in process.versions || 'deno' in process.versions

const { poolSize } = Buffer
beforeEach(() => {
  Buffer.poolSize = 64 << 10
  // Node makes the pool again, in its new size, once this does not fit into the old one.
  for (let i = 0; i < 64; i++) Buffer.allocUnsafe(1000)
  expect(allocatePooled(10).buffer.byteLength).toBe(64 << 10)
})
afterEach(() => {
  Buffer.poolSize = poolSize
})

/** Every view of memory that can be reached from a value. */
function viewsIn(value: unknown, seen = new Set<object>()): Uint8Array[] {
  if (typeof value !== 'object' || value === null || seen.has(value)) return []
  seen.add(value)
  if (ArrayBuffer.isView(value)) return [value as Uint8Array]
  const children = value instanceof Map ? [...value].flat() : Object.values(value)
  return [...children, ...(value instanceof Set ? value : [])].flatMap((one) => viewsIn(one, seen))
}

/** @returns how many views there are; none may keep too much in memory. */
function checked(value: unknown): number {
  const views = viewsIn(value)
  for (const view of views) {
    expect(view.buffer.byteLength - view.byteLength).toBeLessThanOrEqual(BEYOND_BYTES_MAX)
  }
  return views.length
}

const SIZES = [1, 30, 300, 3000, 9000, 20_000]
const base64 = (size: number) => ({ base64: Buffer.alloc(size, 7).toString('base64') })

describe.skipIf(hasOtherPool)('[R5] the pool of Node', () => {
  test('is not kept by text or Base64 that becomes bytes', () => {
    for (const size of SIZES) expect(checked(utf8Bytes('x'.repeat(size)))).toBe(1)
  })

  test('is not kept by a request that is held', () => {
    for (const size of SIZES) {
      const properties = { correlationData: base64(size), userProperties: { k: 'v'.repeat(size) } }
      const request = { cmd: 'publish', topic: 't', qos: 1, payload: base64(size), properties }
      const { payload, properties: encoded, topic } = prepare(request, 5) as never
      expect(checked([payload, encoded, topic])).toBe(3)
    }
  })

  test('is not kept by the CONNECT packet, which others may be given', () => {
    for (const size of SIZES) {
      const options = {
        url: 'mqtt://host',
        username: 'u',
        password: 'p'.repeat(size),
        will: { topic: 't', payload: 'w'.repeat(size) },
      }
      const { config } = resolveOptions(options)
      const packet = connectPacket({ options, config }, 'id', 5, true)
      expect(checked(packet)).toBe(2)
    }
  })

  test('is not kept by what a spool hands out', async () => {
    const folder = temporaryFolder()
    onTestFinished(() => folder.remove())
    const path = join(folder.path, 'spool')
    const first = await spool(path)
    const text = publish('t', 'x'.repeat(300))
    const properties = { correlationData: Buffer.alloc(30, 7) }
    const requests = SIZES.map((size) => publish('t', Buffer.alloc(size, 7), { properties }))
    await first.push([text, ...requests])
    await first.close()
    const again = await spool(path)
    again.end()
    const { value } = await again[Symbol.asyncIterator]().next()
    expect(value).toHaveLength(1 + SIZES.length)
    expect(checked(value)).toBe(SIZES.length)
    await again.close()
  })

  test('is not kept by a session that was loaded', async () => {
    const folder = temporaryFolder()
    onTestFinished(() => folder.remove())
    const store = await openSession(join(folder.path, 'session'))
    let views = 0
    for (const session of await longLife()) {
      await store.commit(session)
      views += checked((await store.load())!.record())
    }
    await store.close()
    expect(views).toBeGreaterThan(0)
  })
})
