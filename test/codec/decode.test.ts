/** The decoder beyond the table of malformed inputs: shapes, memory, sizes, linear time, properties. */
import { describe, expect, test } from 'vitest'
import { NO_BYTES, utf8Bytes } from '#bytes'
import { Decoder } from '../../src/codec/decode.ts'
import type { ReceivedPublish, ServerPacket } from '../../src/protocol/facts.ts'
import { cuts, feed, hex, NO_LIMIT } from './support.ts'

function publishBytes(topic: string, payload: Uint8Array, properties = Buffer.alloc(0)): Buffer {
  const body = Buffer.concat([
    Buffer.from([topic.length >> 8, topic.length & 255]),
    Buffer.from(topic),
    varint(properties.length),
    properties,
    payload,
  ])
  return Buffer.concat([Buffer.from([0x30]), varint(body.length), body])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0))
    value >>>= 7
  } while (value > 0)
  return Buffer.from(bytes)
}

function userProperty(name: string, value: string): Buffer {
  const field = (text: string) =>
    Buffer.concat([Buffer.from([0, Buffer.byteLength(text)]), Buffer.from(text)])
  return Buffer.concat([Buffer.from([0x26]), field(name), field(value)])
}

function one(bytes: Uint8Array, version: 3 | 4 | 5 = 5): ServerPacket {
  const { packets, error } = feed([bytes], version)
  expect(error).toBeNull()
  expect(packets).toHaveLength(1)
  return packets[0]!
}

describe('memory', () => {
  const held = (view: unknown) => (view as Buffer).buffer.byteLength - (view as Buffer).length

  test('[R5] a payload holds at most 8 KiB beyond its own size, whatever its size and the cuts', () => {
    const sizes = [0, 1, 64, 1023, 1024, 1025, 2048, 4095, 4096, 4097, 8191, 8192, 20_000, 200_000]
    for (const size of sizes) {
      const payload = Buffer.alloc(size, 'x')
      const packet = publishBytes('a/b', payload)
      const stream = Buffer.concat([packet, packet, packet])
      const pieces = [1000, 65_536].map((length) =>
        Array.from({ length: Math.ceil(stream.length / length) }, (_, i) =>
          stream.subarray(i * length, (i + 1) * length),
        ),
      )
      for (const chunks of [...Object.values(size < 5000 ? cuts(stream) : {}), ...pieces]) {
        const { packets, error } = feed(chunks, 5)
        expect(error).toBeNull()
        expect(packets).toHaveLength(3)
        for (const { payload: got } of packets as ReceivedPublish[]) {
          expect(got).toBeInstanceOf(NO_BYTES.constructor)
          expect(payload.equals(got)).toBe(true)
          expect(held(got)).toBeLessThanOrEqual(8192)
        }
      }
    }
  })

  test('[R5] binary properties are copies too, even next to a large payload and a large topic', () => {
    const properties = Buffer.concat([hex('09 0002 6869'), userProperty('k', 'v')])
    for (const [topic, size] of [
      ['t'.repeat(60_000), 10],
      ['t', 100_000],
    ] as const) {
      const bytes = publishBytes(topic, Buffer.alloc(size, 'x'), properties)
      for (const chunks of [[bytes], [bytes.subarray(0, 9), bytes.subarray(9)]]) {
        const [packet] = feed(chunks, 5).packets as ReceivedPublish[]
        expect(String(packet!.properties?.correlationData)).toBe('hi')
        expect(held(packet!.properties?.correlationData)).toBeLessThanOrEqual(8192)
        expect(held(packet!.payload)).toBeLessThanOrEqual(8192)
      }
    }
  })

  test('[R5] what was decoded does not change when the chunk is written over', () => {
    const chunk = Buffer.concat([1, 2, 3].map((n) => publishBytes('a', Buffer.alloc(50, n))))
    const { packets } = feed([chunk], 5)
    chunk.fill(0xff)
    expect((packets as ReceivedPublish[]).map((packet) => packet.payload[49])).toEqual([1, 2, 3])
  })

  test('a payload is a Buffer in full: prototype, toString, slices', () => {
    const { payload } = one(publishBytes('a', Buffer.from('21.5'))) as ReceivedPublish
    expect(Object.getPrototypeOf(payload)).toBe(Buffer.prototype)
    expect(payload).toStrictEqual(Buffer.from('21.5'))
    expect(payload.toString()).toBe('21.5')
  })

  test('[I2] an announced size allocates nothing: a packet that trickles holds what came', () => {
    const decoder = new Decoder(5, NO_LIMIT, 'strict')
    const before = process.memoryUsage().arrayBuffers
    decoder.push(hex('30 ffffff7f 000161'))
    expect(decoder.read([], 1)).toBe(0)
    expect(decoder.bufferedBytes).toBe(8)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000)
  })

  test('[I2] headers are judged before bodies: wrong lengths of acknowledgements and pings at once', () => {
    for (const header of ['4003', '50ffff7f', '7000', '2003', 'b003', 'd001']) {
      expect(feed([hex(header)], 4).error, header).toMatchObject({ reasonCode: 0x81 })
    }
    for (const first of ['00', '36', '41', '60', '82', 'c0', 'f1']) {
      expect(feed([hex(first)], 5).error, first).not.toBeNull()
    }
  })
})

describe('linear time, counted in copied bytes', () => {
  interface Inside {
    readonly chunks: { readonly copiedBytes: number }
  }
  const copied = (decoder: Decoder) => (decoder as unknown as Inside).chunks.copiedBytes

  test('a large packet in chunks is copied once', () => {
    const bytes = publishBytes('a', Buffer.alloc(20_000_000, 'x'))
    const chunks: Buffer[] = []
    for (let at = 0; at < bytes.length; at += 65_536) chunks.push(bytes.subarray(at, at + 65_536))
    const { packets, decoder } = feed(chunks, 5)
    expect((packets[0] as ReceivedPublish).payload.length).toBe(20_000_000)
    expect(copied(decoder)).toBe(bytes.length)
  })

  test('a packet byte by byte is copied twice at most', () => {
    const bytes = publishBytes('a', Buffer.alloc(200_000, 'x'))
    const { packets, decoder } = feed(cuts(bytes)['byte by byte']!, 5)
    expect(Buffer.alloc(200_000, 'x').equals((packets[0] as ReceivedPublish).payload)).toBe(true)
    expect(copied(decoder)).toBeLessThanOrEqual(2 * bytes.length)
  })

  test('chunks that wait for a slow reader are read in order, and let go of', () => {
    const decoder = new Decoder(5, NO_LIMIT, 'strict')
    const packet = publishBytes('a', Buffer.alloc(900, 'x'))
    const stream = Buffer.concat(Array.from({ length: 500 }, () => packet))
    for (let at = 0; at < stream.length; at += 700) decoder.push(stream.subarray(at, at + 700))
    const into: ServerPacket[] = []
    while (decoder.read(into, 1) === 1);
    expect(into).toHaveLength(500)
    expect(decoder.bufferedBytes).toBe(0)
    expect(decoder.read(into, 1)).toBe(0)
    expect(copied(decoder)).toBeLessThanOrEqual(2 * stream.length)
  })

  test('10,000 user properties, with one name and with 10,000', () => {
    for (const many of [false, true]) {
      const names = Array.from({ length: 10_000 }, (_, i) => (many ? `k${i}` : 'k'))
      const properties = Buffer.concat(names.map((name) => userProperty(name, 'v')))
      const packet = one(publishBytes('a', Buffer.alloc(0), properties)) as ReceivedPublish
      const found = packet.properties?.userProperties as { k: string[] }
      if (many) expect(Object.keys(found)).toEqual(names)
      else expect(found.k).toHaveLength(10_000)
    }
  })
})

describe('reading', () => {
  test('read appends at most max, bufferedBytes says how much is left', () => {
    const decoder = new Decoder(4, NO_LIMIT, 'strict')
    decoder.push(hex('d000 d000 d0'))
    const into: ServerPacket[] = []
    expect(decoder.read(into, 1)).toBe(1)
    expect(decoder.bufferedBytes).toBe(3)
    expect(decoder.read(into, 5)).toBe(1)
    expect(decoder.read(into, 5)).toBe(0)
    decoder.push(hex('00'))
    expect(decoder.read(into, 0)).toBe(0)
    expect(decoder.read(into, 5)).toBe(1)
    expect(into).toEqual([{ cmd: 'pingresp' }, { cmd: 'pingresp' }, { cmd: 'pingresp' }])
  })

  test('objects of one kind have one shape', () => {
    const keys = (bytes: string, version: 4 | 5) => Object.keys(one(hex(bytes), version)).join()
    const shape = 'cmd,topic,payload,qos,dup,retain,messageId,properties'
    for (const text of ['300500016100 68', '3207000161000700 68', '300700016102010068']) {
      expect(keys(text, 5)).toBe(shape)
    }
    expect(keys('3004000161 68', 4)).toBe(shape)
    for (const version of [4, 5] as const) {
      expect(keys('40020001', version)).toBe('cmd,messageId,reasonCode,properties,request')
    }
    expect(keys('90040001 00 01', 5)).toBe(keys('b0040001 00 00', 5))
  })

  test('an alias with an empty topic is decoded with the topic left empty', () => {
    expect(one(hex('3008 0000 03 230001 6869'))).toMatchObject({
      topic: '',
      properties: { topicAlias: 1 },
    })
  })

  test('[MQTT-1.5.4-3] EF BB BF is kept as U+FEFF, in topics and in properties', () => {
    expect(one(hex('30090004efbbbf61006869'))).toMatchObject({ topic: '\ufeffa' })
    expect(one(hex('300b 000161 06 03 0003efbbbf 78'))).toMatchObject({
      properties: { contentType: '\ufeff' },
    })
  })

  test('one subscription identifier is a number, several are an array with repeats', () => {
    expect(one(hex('3006 000161 02 0b01'))).toMatchObject({
      properties: { subscriptionIdentifier: 1 },
    })
    expect(one(hex('300a 000161 06 0b01 0b02 0b02'))).toMatchObject({
      properties: { subscriptionIdentifier: [1, 2, 2] },
    })
  })

  test('user properties named as members of Object are names like any other', () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '__proto__']
    const properties = Buffer.concat(names.map((name, i) => userProperty(name, i ? `${i}` : '')))
    const packet = one(publishBytes('a', Buffer.alloc(0), properties)) as ReceivedPublish
    const found = packet.properties?.userProperties as Record<string, unknown>
    expect(Object.keys(found)).toEqual(names.slice(0, 4))
    expect(Object.entries(found)[0]).toEqual(['__proto__', ['', '4']])
    expect(found.toString).toBe('2')
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('topics that share a slot of the cache are told apart', () => {
    const topics = Array.from({ length: 5000 }, (_, i) => `t/${i % 2500}/é`)
    const bytes = topics.map((topic) => {
      const utf8 = Buffer.from(topic)
      const body = Buffer.concat([Buffer.from([0, utf8.length]), utf8, Buffer.from([0])])
      return Buffer.concat([Buffer.from([0x30, body.length]), body])
    })
    const { packets } = feed([Buffer.concat(bytes)], 5)
    expect((packets as ReceivedPublish[]).map((packet) => packet.topic)).toEqual(topics)
  })

  test('MQTT 3.1: QoS 0 with DUP passes, its clauses are those of 3.1.1', () => {
    expect(one(hex('38050001616869'), 3)).toMatchObject({ dup: true, qos: 0 })
    expect(feed([hex('41')], 3).error?.clause).toBe('MQTT-2.2.2-2')
    expect(feed([hex('41')], 5).error?.clause).toBe('MQTT-2.1.3-1')
  })

  test('every property of a CONNACK is told under its name and in its type', () => {
    const block = hex(
      '1100000e10 210014 2400 2500 2700001000 1200027a7a 22000a 1f0002686f 2800 2901 2a00 13003c 1a000172 1c000168 1500014d 16000164',
    )
    const body = Buffer.concat([hex('0100'), varint(block.length), block])
    expect(one(Buffer.concat([hex('20'), varint(body.length), body]))).toEqual({
      cmd: 'connack',
      sessionPresent: true,
      reasonCode: 0,
      properties: {
        sessionExpiryInterval: 3600,
        receiveMaximum: 20,
        maximumQoS: 0,
        retainAvailable: false,
        maximumPacketSize: 4096,
        assignedClientIdentifier: 'zz',
        topicAliasMaximum: 10,
        reasonString: 'ho',
        wildcardSubscriptionAvailable: false,
        subscriptionIdentifiersAvailable: true,
        sharedSubscriptionAvailable: false,
        serverKeepAlive: 60,
        responseInformation: 'r',
        serverReference: 'h',
        authenticationMethod: 'M',
        authenticationData: utf8Bytes('d'),
      },
    })
  })
})
