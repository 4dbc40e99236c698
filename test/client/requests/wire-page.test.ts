/**
 * Goal: the bytes in docs/WIRE.md are those that are sent. Method: a client and a responder whose
 * random numbers are known; what they write is recorded.
 */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { memoryPair } from '../../../src/platform/node/memory-pair.ts'
import { surround } from './surroundings.ts'

const whole = readFileSync(new URL('../../../docs/WIRE.md', import.meta.url), 'utf8')
/** The bus has a test of its own. */
const page = whole.slice(0, whole.indexOf('## The bus'))

/** The bytes of the blocks `hex`, whose lines have bytes, two spaces or more, and an explanation. */
const shown = [...page.matchAll(/```hex\n(.*?)```/gs)].map(([, block]) =>
  block!
    .split('\n')
    .map((line) => line.split(/ {2,}/)[0]!.replaceAll(' ', ''))
    .join(''),
)

/** @returns the digits of each PUBLISH in a chunk of whole packets. */
function publishesIn(chunk: Buffer): string[] {
  const found: string[] = []
  for (let at = 0; at < chunk.length; ) {
    const low = chunk[at + 1]!
    const isLong = low > 127
    const length = isLong ? (low & 127) + 128 * chunk[at + 2]! : low
    const end = at + (isLong ? 3 : 2) + length
    // The first four bits of a PUBLISH are 0011.
    if (chunk[at]! >> 4 === 3) found.push(chunk.toString('hex', at, end))
    at = end
  }
  return found
}

test.each([5, 4] as const)('docs/WIRE.md has the bytes of MQTT version %d', async (version) => {
  const s = surround()
  const written: string[] = []
  const recorded = (name: string) => ({
    protocolVersion: version,
    responseTopic: `r/${name}`,
    transport: async () => {
      const [client, inner] = memoryPair()
      const end = s.broker.stream()
      inner.on('data', (chunk: Buffer) => {
        s.clock.touch()
        written.push(...publishesIn(chunk))
        end.write(chunk)
      })
      end.on('data', (chunk: Buffer) => {
        s.clock.touch()
        inner.write(chunk)
      })
      return client
    },
  })
  s.running('server', recorded('s')).respond('a/b', () => 'yes')
  await s.clock.advance(100)
  const client = s.client('client', recorded('c'))
  await s.value(100, client.ready())
  s.clock.random = () => 0x00010203 / 2 ** 32
  await s.value(100, client.request('a/b', 'go', { key: 'k1' }))
  expect(written).toEqual(version === 5 ? shown.slice(0, 2) : shown.slice(2, 4))
})
