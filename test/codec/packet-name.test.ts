/**
 * Goal: a packet that cannot be decoded is named as far as it came, however it was cut. Method:
 * packets with one fault each, in one chunk, behind a good one, and byte by byte.
 */
import { describe, expect, test } from 'vitest'
import { Decoder } from '../../src/codec/decode.ts'
import { packetNameOf } from '../../src/codec/packet-name.ts'
import { ProtocolError } from '../../src/errors.ts'
import type { ServerPacket } from '../../src/protocol/facts.ts'
import { DEFAULT_LIMITS } from '../../src/protocol/handshake.ts'

const PINGRESP = Buffer.from([0xd0, 0x00])

/** A PUBLISH with properties that are longer than the packet. */
const publish = (topic: string, qos: 0 | 1) => {
  const id = qos === 0 ? [] : [0x12, 0x34]
  const body = [0, Buffer.byteLength(topic), ...Buffer.from(topic), ...id, 0x7f]
  return Buffer.from([0x30 | (qos << 1), body.length, ...body])
}

const CASES: readonly (readonly [string, Buffer, object])[] = [
  [
    'a publish at QoS 1',
    publish('plant/7', 1),
    { cmd: 'publish', topic: 'plant/7', messageId: 0x1234 },
  ],
  ['a publish at QoS 0', publish('plant/ü', 0), { cmd: 'publish', topic: 'plant/ü', messageId: 0 }],
  ['a puback', Buffer.from([0x40, 3, 0, 7, 0x01]), { cmd: 'puback', messageId: 7 }],
  ['a suback', Buffer.from([0x90, 4, 1, 2, 0x7f, 0]), { cmd: 'suback', messageId: 0x102 }],
  ['packet type 0', Buffer.from([0x00, 0]), { cmd: 'unknown' }],
]

function refused(...chunks: readonly Uint8Array[]) {
  const decoder = new Decoder(5, DEFAULT_LIMITS.maximumPacketSize, 'strict')
  const packets: ServerPacket[] = []
  expect(() => {
    for (const chunk of chunks) {
      decoder.push(chunk)
      decoder.read(packets, 100)
    }
  }).toThrow(ProtocolError)
  return decoder.refused
}

describe.each(CASES)('[D6] %s', (_, bytes, name) => {
  test('in one chunk', () => expect(refused(bytes)).toEqual(name))
  test('behind good packets', () => {
    expect(refused(Buffer.concat([PINGRESP, PINGRESP, bytes]))).toEqual(name)
  })
  test('in two chunks', () => {
    const cut = bytes.length - 1
    expect(refused(PINGRESP, bytes.subarray(0, cut), bytes.subarray(cut))).toMatchObject({
      cmd: (name as { cmd: string }).cmd,
    })
  })
})

test('[D6] a decoder that refused nothing names nothing', () => {
  expect(new Decoder(5, 100, 'strict').refused).toBeNull()
})

test('[D6] no bytes are read beyond the end, and a long topic is cut', () => {
  for (let length = 0; length < 12; length++) {
    const name = packetNameOf(publish('plant/7', 1).subarray(0, length), 0)
    expect(name.cmd).toBe(length === 0 ? 'unknown' : 'publish')
  }
  const long = Buffer.concat([Buffer.from([0x30, 0xff, 0x7f, 0x40, 0]), Buffer.alloc(16_384, 'a')])
  expect(packetNameOf(long, 0).topic).toHaveLength(200)
})
