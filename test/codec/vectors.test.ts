/** Other people's packets, recorded and made up: what we make of them beside what mqtt-packet makes of them. */
import { readdirSync, readFileSync } from 'node:fs'
import { generate, type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { Encoder } from '../../src/codec/encode.ts'
import type { ClientPacket } from '../../src/protocol/packets.ts'
import { cuts, feed, hex, jsonLines, meaning, theirs, type Version } from './support.ts'

/** Types of packets that servers send. */
const FROM_SERVER = new Set([2, 3, 4, 5, 6, 7, 9, 11, 13, 14, 15])

/** Whole packets of a stream; the last, cut one is left out. */
function split(stream: Buffer): Buffer[] {
  const packets: Buffer[] = []
  let at = 0
  while (at + 1 < stream.length) {
    let length = 0
    let body = at + 1
    for (let shift = 0; body < stream.length && shift < 28; shift += 7) {
      const byte = stream[body++]!
      length |= (byte & 127) << shift
      if (byte < 128) break
    }
    if (body + length > stream.length) break
    packets.push(stream.subarray(at, body + length))
    at = body + length
  }
  return packets
}

/** What we accept, mqtt-packet accepts and understands alike. Returns whether we did. */
function compare(bytes: Buffer, version: Version): boolean {
  const ours = feed([bytes], version)
  for (const chunks of Object.values(cuts(bytes))) {
    const again = feed(chunks, version)
    expect(again.packets).toEqual(ours.packets)
    expect(again.error?.reasonCode).toBe(ours.error?.reasonCode)
  }
  if (ours.error !== null || ours.packets.length !== 1) return false
  const packet = ours.packets[0]!
  if (bytes[1] === 0 && packet.cmd === 'auth') return true // mqtt-packet wants a reason code
  if (packet.cmd === 'connack' && packet.reasonCode !== undefined && packet.returnCode) return true
  // mqtt-packet forgets an empty value when its name is repeated.
  if (userPropertiesOf(packet).includes('""')) return true
  const other = theirs(bytes, version)
  if (other instanceof Error)
    throw new Error(`mqtt-packet refuses ${bytes.toString('hex')}: ${other}`)
  expect(meaning(packet, version)).toEqual(meaning(other, version))
  return true
}

function userPropertiesOf(packet: object): string {
  const { properties } = packet as { properties?: { userProperties?: object } }
  return JSON.stringify(Object.values(properties?.userProperties ?? {}).filter(Array.isArray))
}

/** What mqtt-packet read from a client's bytes we write as the same bytes, or as ones that it reads the same way. */
function rewrite(bytes: Buffer, packet: Packet, version: Version): void {
  const encoder = new Encoder(version)
  encoder.packet(packet as ClientPacket)
  const written = Buffer.concat(encoder.take())
  if (packet.cmd === 'disconnect' || packet.cmd === 'auth') {
    expect(meaning(theirs(written, version), version)).toEqual(meaning(packet, version))
  } else {
    expect(written.toString('hex')).toBe(bytes.toString('hex'))
  }
}

describe('vectors', () => {
  interface Vector {
    readonly id: string
    readonly kind?: string
    readonly ver: Version | null
    readonly hex?: string
    readonly expect: string
    readonly name: string
    readonly object?: { cmd?: string; bridgeMode?: boolean }
    readonly decode_error?: string | null
  }

  test('mqtt-packet: what it reads from a server we read alike, what it refuses we refuse', () => {
    let accepted = 0
    for (const vector of jsonLines<Vector>('vectors/mqtt-packet/mqtt-packet.jsonl')) {
      if (vector.hex === undefined || vector.kind === 'generate') continue
      const bytes = hex(vector.hex)
      if (!FROM_SERVER.has(bytes[0]! >> 4)) continue
      for (const version of vector.ver === null ? ([4] as const) : [vector.ver]) {
        // mqtt-packet's corpus shows it parsing things that the standard forbids; what we refuse of it is listed here.
        const ok = compare(bytes, version)
        if (vector.expect === 'error') expect(ok, `${vector.id} ${vector.name}`).toBe(false)
        else if (!STRICTER.has(vector.id)) expect(ok, `${vector.id} ${vector.name}`).toBe(true)
        else expect(ok, `${vector.id} ${vector.name}`).toBe(false)
        if (ok) accepted++
      }
    }
    expect(accepted).toBeGreaterThan(30)
  })

  test('mochi: packets of a broker written in Go', () => {
    let accepted = 0
    for (const vector of jsonLines<Vector>('vectors/mochi/mochi-packets.jsonl')) {
      const bytes = hex(vector.hex!)
      if (!FROM_SERVER.has((bytes[0] ?? 0) >> 4)) continue
      if (compare(bytes, vector.ver ?? 4)) accepted++
      else if (vector.expect === 'ok') expect(STRICTER, vector.id).toContain(vector.id)
    }
    expect(accepted).toBeGreaterThan(35)
  })

  test('nanomq: lines that crashed a broker neither crash nor hang, and are never taken for more than they are', () => {
    const root = new URL('../data/vectors/nanomq/', import.meta.url)
    const lines = readFileSync(new URL('fuzzy_test.txt', root), 'utf8').trim().split('\n')
    expect(lines).toHaveLength(500)
    for (const line of lines) {
      const bytes = hex(line.trim())
      for (const version of [3, 4, 5] as const) {
        feed([bytes], version)
        // The same with a first byte that a server may send.
        for (const first of [0x20, 0x30, 0x32, 0x40, 0x90, 0xb0, 0xe0, 0xf0]) {
          const packets = split(Buffer.concat([Buffer.of(first), bytes.subarray(1)]))
          if (packets.length > 0) compare(packets[0]!, version)
        }
      }
    }
  })

  test('f-secure: packets off the wire, both directions', () => {
    const root = new URL('../data/vectors/f-secure-mqtt_fuzz/valid-cases/', import.meta.url)
    let read = 0
    let rewritten = 0
    for (const folder of readdirSync(root)) {
      for (const file of readdirSync(new URL(`${folder}/`, root))) {
        for (const bytes of split(readFileSync(new URL(`${folder}/${file}`, root)))) {
          const packet = theirs(bytes, 3)
          if (packet instanceof Error) continue
          if (['connect', 'subscribe', 'unsubscribe', 'pingreq'].includes(packet.cmd)) {
            const version = packet.cmd === 'connect' ? packet.protocolVersion! : 3
            rewrite(bytes, packet, version)
            rewritten++
          } else if (packet.cmd !== 'disconnect') {
            expect(compare(bytes, 3), file).toBe(true)
            read++
          }
        }
      }
    }
    expect([read, rewritten].every((count) => count > 20)).toBe(true)
  })

  test('mqtt-packet: what its clients write we write alike', () => {
    let rewritten = 0
    for (const vector of jsonLines<Vector>('vectors/mqtt-packet/mqtt-packet.jsonl')) {
      if (vector.kind !== 'roundtrip' || vector.hex === undefined) continue
      const { cmd = '', bridgeMode } = vector.object ?? {}
      if (!['connect', 'subscribe', 'unsubscribe', 'pingreq', 'auth'].includes(cmd)) continue
      const bytes = hex(vector.hex)
      const packet = theirs(bytes, vector.ver ?? 4)
      if (packet instanceof Error || bridgeMode) continue
      if (
        packet.cmd === 'connect' &&
        packet.protocolId === 'MQIsdp' &&
        packet.protocolVersion !== 3
      )
        continue
      rewrite(bytes, packet, vector.ver ?? 4)
      rewritten++
    }
    expect(rewritten).toBeGreaterThan(15)
  })
})

/** Vectors that are read by others and forbidden by the standard. */
const STRICTER = new Set([
  ...['mqtt-packet/30', 'mqtt-packet/31'], // a CONNACK of MQTT 5 without reason code or Property Length
  ...['mqtt-packet/66', 'mqtt-packet/67'], // Maximum QoS 2
  ...['mqtt-packet/129', 'mochi/TDisconnect'], // a DISCONNECT of 3.1.1 is the client's alone
  ...['mqtt-packet/131', 'mochi/TDisconnectMqtt5'], // a server's DISCONNECT with a Session Expiry Interval
  'mochi/TDisconnectMqtt5DisconnectWithWillMessage', // 0x04 is the client's alone
  'mochi/TPublishDup', // DUP at QoS 0
  ...['mochi/TConnackProtocolViolationNoSession', 'mochi/TConnackBadProtocolVersion'], // codes of MQTT 5 in 3.1.1
  ...['mochi/TConnackBadClientID', 'mochi/TConnackServerUnavailable'],
  ...['mochi/TConnackBadUsernamePassword', 'mochi/TConnackNotAuthorised'],
])

describe('captures', () => {
  interface Stream {
    readonly version: string
    readonly gaps: number
    readonly s2c: {
      readonly packets: { readonly [cmd: string]: number }
      readonly leftover: number
    }
    readonly segments: readonly (readonly [number, string, string | null])[]
  }
  const root = new URL('../data/captures/', import.meta.url)

  for (const folder of readdirSync(root)) {
    for (const file of readdirSync(new URL(`${folder}/`, root))) {
      if (!file.endsWith('.jsonl')) continue
      const broken = /events|truncated|midstream/.test(file)
      test(`${folder}/${file} ${broken ? 'is survived' : 'is read, packet by packet, as captured and byte by byte'}`, () => {
        for (const stream of jsonLines<Stream>(`captures/${folder}/${file}`)) {
          const version = stream.version === '5' ? 5 : stream.version === '3.1' ? 3 : 4
          const segments = stream.segments.filter(([, from, text]) => from === 's' && text !== null)
          const chunks = segments.map(([, , text]) => hex(text!))
          const whole = feed(chunks, version)
          const bytes = Buffer.concat(chunks)
          const bit = feed(cuts(bytes)['byte by byte']!, version)
          expect(bit.packets).toEqual(whole.packets)
          expect(bit.error?.message).toBe(whole.error?.message)
          if (broken || stream.gaps > 0) continue
          expect(whole.error).toBeNull()
          const counts: { [cmd: string]: number } = {}
          for (const { cmd } of whole.packets) {
            counts[cmd.toUpperCase()] = (counts[cmd.toUpperCase()] ?? 0) + 1
          }
          expect(counts).toEqual(stream.s2c.packets)
          for (const packet of split(bytes)) compare(packet, version)
        }
      })
      if (broken) continue
      test(`${folder}/${file}: what its client wrote we write alike`, () => {
        for (const stream of jsonLines<Stream>(`captures/${folder}/${file}`)) {
          if (stream.gaps > 0) continue
          const version = stream.version === '5' ? 5 : stream.version === '3.1' ? 3 : 4
          const client = stream.segments.filter(([, from, text]) => from === 'c' && text !== null)
          for (const bytes of split(Buffer.concat(client.map(([, , text]) => hex(text!))))) {
            const packet = theirs(bytes, version)
            if (packet instanceof Error) throw packet
            if (/^pub/.test(packet.cmd)) compare(bytes, version)
            else rewrite(bytes, packet, version)
          }
        }
      })
    }
  }
})

test('the tests that compare do compare: mqtt-packet reads what it generates', () => {
  const bytes = generate({ cmd: 'puback', messageId: 7, reasonCode: 0x10 }, { protocolVersion: 5 })
  expect(theirs(bytes, 5)).toMatchObject({ messageId: 7, reasonCode: 0x10 })
  expect(compare(bytes, 5)).toBe(true)
})
