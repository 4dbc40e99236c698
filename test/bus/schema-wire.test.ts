/**
 * Goal: docs/WIRE.md has the bytes of a schema document, so that others can write and read one.
 * Method: the bytes of a PUBLISH are recorded; its hash is computed from the page's rule alone.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createBus, defineApi, loadSchema } from '../../src/bus/index.ts'
import { memoryPair } from '../../src/platform/node/memory-pair.ts'
import { createBroker, virtualClock } from '../../src/testing/index.ts'

const page = readFileSync(new URL('../../docs/WIRE.md', import.meta.url), 'utf8')

/** The bytes of the block `hex`, whose lines have bytes, two spaces or more, and an explanation. */
const shown = /```hex\n(.*?)```/s
  .exec(page.slice(page.indexOf('### Schema documents')))![1]!
  .split('\n')
  .map((line) => line.split(/ {2,}/)[0]!.replaceAll(' ', ''))
  .join('')

const lamp = defineApi({
  name: 'lamp',
  version: '1.0.0',
  events: { on: { payload: z.boolean() } },
})

test('[B12] docs/WIRE.md has the bytes of a schema document', async () => {
  const clock = virtualClock()
  const broker = createBroker({ clock })
  const written: string[] = []
  const bus = createBus({
    ...{ service: 'web', process: 'p1', control: false, schema: { lifetime: 'lease' } },
    client: {
      ...{ platform: clock, keepAlive: 0 },
      transport: async () => {
        const [client, inner] = memoryPair()
        const end = broker.open()
        inner.on('data', (chunk: Buffer) => {
          written.push(chunk.toString('hex'))
          end.write(chunk, () => {})
        })
        end.on('data', (chunk) => inner.write(chunk))
        return client
      },
    },
  })
  bus.serve(lamp, {})
  bus.run().catch(() => {})
  await clock.advance(2000)
  const payload = broker.retained.get('bus/lamp/v1/schema/web')!.payload
  const closing = bus.close()
  await clock.advance(5000)
  await closing
  broker.close()
  expect(written.find((bytes) => bytes.includes(Buffer.from('hash').toString('hex')))).toBe(shown)

  const text = Buffer.from(payload).toString()
  const { hash } = loadSchema(payload)
  const rest = text.replace(`"hash":"${hash}",`, '')
  expect(createHash('sha256').update(rest).digest('hex')).toBe(hash)
})
