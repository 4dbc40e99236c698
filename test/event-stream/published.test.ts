/**
 * Goal: the codec reads and writes the format as the published vectors say. Method: each vector,
 * good or bad, beside its description.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  decodeMessage,
  encodeMessage,
  encodeMessageParts,
  type HeaderValue,
  header,
} from '../../src/event-stream/index.ts'
import { joined } from './support.ts'

const DATA = new URL('../data/vectors/event-stream/', import.meta.url)
const bytesOf = (path: string) => new Uint8Array(readFileSync(new URL(path, DATA)))
const files = (folder: string) => readdirSync(new URL(folder, DATA)).sort()
const good = files('encoded/positive')
const bad = files('encoded/negative')

/** What the decoded vectors say of a message. */
interface Described {
  readonly headers: readonly { name: string; type: number; value: unknown }[]
  readonly payload: string
}

const base64 = (text: unknown) => new Uint8Array(Buffer.from(text as string, 'base64'))
const VALUES: readonly ((value: unknown) => HeaderValue)[] = [
  () => header.bool(true),
  () => header.bool(false),
  (value) => header.byte(value as number),
  (value) => header.short(value as number),
  (value) => header.int(value as number),
  (value) => header.long(BigInt(value as number)),
  (value) => header.bytes(base64(value)),
  (value) => header.string(new TextDecoder().decode(base64(value))),
  (value) => header.timestamp(new Date(value as number)),
  (value) =>
    header.uuid(
      Buffer.from(base64(value))
        .toString('hex')
        .replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5'),
    ),
]

describe('the published vectors', () => {
  test('[V1] are five good and four bad ones', () => {
    expect([good.length, bad.length]).toEqual([5, 4])
    expect(files('decoded/positive')).toEqual(good)
    expect(files('decoded/negative')).toEqual(bad)
  })

  test.each(good)('[V1] %s is read as its description says, and written as it was', (name) => {
    const bytes = bytesOf(`encoded/positive/${name}`)
    const described = JSON.parse(readFileSync(new URL(`decoded/positive/${name}`, DATA), 'utf8'))
    const { headers, payload } = described as Described
    const expected = headers.map(({ name, type, value }) => [name, VALUES[type]!(value)])
    const message = decodeMessage(bytes)
    expect([...message.headers]).toEqual(expected)
    expect(message.payload).toEqual(base64(payload))
    expect(encodeMessage(message)).toEqual(bytes)
    expect(
      encodeMessage({ headers: new Map(expected as never), payload: base64(payload) }),
    ).toEqual(bytes)
    expect(joined(encodeMessageParts(message))).toEqual(bytes)
  })

  test.each(bad)('[V1] %s is refused for the reason that it names', (name) => {
    const reason = readFileSync(new URL(`decoded/negative/${name}`, DATA), 'utf8')
    const clause = reason.replace(' mismatch', '').toLowerCase()
    expect(clause).toMatch(/^(prelude|message) checksum$/)
    const bytes = bytesOf(`encoded/negative/${name}`)
    expect(() => decodeMessage(bytes)).toThrow(expect.objectContaining({ clause }))
  })
})
