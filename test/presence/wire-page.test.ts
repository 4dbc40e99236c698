/** Goal: the bytes of presence in docs/WIRE.md are those that are sent. Method: they are recorded. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { ByteStream, OpenTransport } from '../../src/index.ts'
import { presence } from '../../src/presence/index.ts'
import { PresenceWorld } from './presence-world.ts'

const page = readFileSync(new URL('../../docs/WIRE.md', import.meta.url), 'utf8')
const [, chapter = ''] = page.split(/\n## (?=Presence\n)|\n## The bus\n/)

/** The bytes of the blocks `hex`, whose lines have bytes, two spaces or more, and an explanation. */
const shown = [...chapter.matchAll(/```hex\n(.*?)```/gs)].map(([, block]) =>
  block!
    .split('\n')
    .map((line) => line.split(/ {2,}/)[0]!.replaceAll(' ', ''))
    .join(''),
)

test('[H1] docs/WIRE.md has the bytes of a member, of its connection and of its will', async () => {
  const world = new PresenceWorld()
  const written: string[] = []
  const transport: OpenTransport = async (endpoint, signal) => {
    const stream = (await world.broker.transport(endpoint, signal)) as ByteStream
    const write = stream.write.bind(stream)
    stream.write = (bytes, done) => {
      written.push(Buffer.from(bytes).toString('hex'))
      return write(bytes, done)
    }
    return stream
  }
  world.clock.random = () => 0.5
  const client = world.running(world.present({ clientId: 'ada', transport }))
  await world.value(presence(client, 'room/42').enter({ name: 'Ada' }))
  if (process.env['SHOW_BYTES']) console.log(written)
  const all = written.join('')
  for (const bytes of shown) expect(all).toContain(bytes)
  expect(shown).toHaveLength(3)
})
