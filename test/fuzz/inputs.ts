/**
 * Bytes that a server could send but should not: packets of the corpus, mutated, spliced and cut.
 * Each input is a function of a seed and a number, so that a failure can be repeated.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { generate, type Packet } from 'mqtt-packet'
import { hex, jsonLines, type Version } from '../codec/support.ts'

export type Random = (below: number) => number

/** Mulberry32, a generator that is small, fast and good enough to choose bytes. */
export function randomOf(seed: number, number: number): Random {
  let state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(number + 1, 0xc2b2ae35)) >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const everything = {
  reasonString: 'why',
  userProperties: { k: ['v', 'w'], é: 'x' },
}
const whole: readonly Packet[] = [
  {
    cmd: 'publish',
    topic: 'a/é',
    payload: 'hello',
    qos: 1,
    messageId: 10,
    dup: false,
    retain: false,
    properties: {
      messageExpiryInterval: 5,
      contentType: 'c',
      responseTopic: 'r/s',
      correlationData: Buffer.from('x'),
      payloadFormatIndicator: true,
      userProperties: { k: 'v' },
    },
  },
  {
    cmd: 'publish',
    topic: 'a',
    payload: 'x'.repeat(300),
    qos: 2,
    messageId: 2,
    dup: true,
    retain: false,
  },
  { cmd: 'publish', topic: 'a', payload: '', qos: 0, dup: false, retain: true },
  { cmd: 'puback', messageId: 1, reasonCode: 0x10, properties: everything },
  { cmd: 'pubrec', messageId: 1, reasonCode: 0 },
  { cmd: 'pubrel', messageId: 2, reasonCode: 0 },
  { cmd: 'pubcomp', messageId: 1, reasonCode: 0 },
  { cmd: 'suback', messageId: 3, granted: [0, 1, 2, 0x80], properties: everything },
  { cmd: 'unsuback', messageId: 3, granted: [0, 0x11] },
  {
    cmd: 'connack',
    sessionPresent: false,
    reasonCode: 0,
    returnCode: 0,
    properties: { receiveMaximum: 9, topicAliasMaximum: 5, assignedClientIdentifier: 'x' },
  },
  { cmd: 'disconnect', reasonCode: 0x8b, properties: everything },
  { cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'M' } },
  { cmd: 'pingresp' } as unknown as Packet,
]

/** The packets of a corpus, by version. */
function corpusOf(version: Version): Buffer[] {
  const made = whole
    .filter(({ cmd }) => version === 5 || cmd !== 'auth')
    .map((packet) => generate(packet, { protocolVersion: version }))
  const malformed = jsonLines<{ hex_v5: string | null; hex_v311: string | null }>(
    'conformance/malformed.jsonl',
  )
    .map((line) => (version === 5 ? line.hex_v5 : line.hex_v311))
    .filter((text): text is string => typeof text === 'string' && text.length < 4000)
    .map(hex)
  return [...made, ...malformed, ...captured(version)].filter(({ length }) => length > 0)
}

interface Stream {
  readonly version: string
  readonly segments: readonly (readonly [number, string, string | null])[]
}

const CAPTURED_BYTES_MAX = 2000

function captured(version: Version): Buffer[] {
  const root = new URL('../data/captures/', import.meta.url)
  const name = { 3: '3.1', 4: '3.1.1', 5: '5' }[version]
  return readdirSync(root)
    .flatMap((folder) =>
      readdirSync(new URL(`${folder}/`, root)).map((file) => `${folder}/${file}`),
    )
    .filter((path) => path.endsWith('.jsonl'))
    .flatMap((path) =>
      readFileSync(new URL(path, root), 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Stream),
    )
    .filter((stream) => stream.version === name)
    .flatMap(({ segments }) => segments)
    .flatMap(([, from, text]) => (from === 's' && text !== null ? [hex(text)] : []))
    .filter(({ length }) => length <= CAPTURED_BYTES_MAX)
}

const corpora = new Map<Version, Buffer[]>()

function corpus(version: Version): Buffer[] {
  let known = corpora.get(version)
  if (known === undefined) {
    known = corpusOf(version)
    corpora.set(version, known)
  }
  return known
}

const EDGES = [0, 1, 2, 0x7f, 0x80, 0x81, 0xc0, 0xed, 0xf4, 0xff]

function mutated(bytes: Buffer, random: Random, version: Version): Buffer {
  const at = random(bytes.length + 1)
  const length = random(8)
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)]
  switch (random(7)) {
    case 0:
      return Buffer.concat([head, Buffer.of(EDGES[random(EDGES.length)]!), tail.subarray(1)])
    case 1:
      if (tail.length === 0) return bytes
      return Buffer.concat([head, Buffer.of(tail[0]! ^ (1 << random(8))), tail.subarray(1)])
    case 2:
      return Buffer.concat([head, Buffer.from(Array.from({ length }, () => random(256))), tail])
    case 3:
      return Buffer.concat([head, tail.subarray(length)])
    case 4:
      return head
    case 5: {
      const other = corpus(version)[random(corpus(version).length)]!
      const from = random(other.length)
      return Buffer.concat([head, other.subarray(from, from + random(40)), tail])
    }
    default:
      return Buffer.concat([head, tail.subarray(0, length), tail])
  }
}

export interface FuzzInput {
  readonly version: Version
  readonly bytes: Buffer
  /** The same bytes in pieces. */
  readonly chunks: readonly Buffer[]
}

export function inputOf(seed: number, number: number): FuzzInput {
  const random = randomOf(seed, number)
  const version = ([5, 5, 4, 3] as const)[random(4)]!
  const seeds = corpus(version)
  const some = Array.from({ length: 1 + random(3) }, () => seeds[random(seeds.length)]!)
  let bytes = Buffer.concat(some) as Buffer
  for (let left = random(6); left > 0; left--) bytes = mutated(bytes, random, version)
  // With a correct Remaining Length the decoder reads on into the damage.
  if (bytes.length > 1 && bytes.length < 130 && random(3) === 0) bytes[1] = bytes.length - 2
  const chunks: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = random(4) === 0 ? 1 : 1 + random(bytes.length)
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  return { version, bytes, chunks }
}
