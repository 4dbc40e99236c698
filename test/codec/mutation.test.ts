/** Broken on purpose: whatever the bytes, the decoder answers with packets or with a ProtocolError, in every cut the same. */
import fc from 'fast-check'
import { generate, type Packet } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { cuts, feed, meaning, theirs, type Version } from './support.ts'

const properties = { reasonString: 'why', userProperties: { k: ['v', 'w'], é: 'x' } }
const seeds: readonly Packet[] = [
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
      userProperties: { k: 'v' },
    },
  },
  { cmd: 'publish', topic: 'a', payload: '', qos: 0, dup: false, retain: true },
  { cmd: 'puback', messageId: 3, reasonCode: 0x10, properties },
  { cmd: 'pubrel', messageId: 3, reasonCode: 0x92 },
  { cmd: 'suback', messageId: 3, granted: [0, 1, 2, 0x80], properties },
  { cmd: 'unsuback', messageId: 3, granted: [0, 0x11] },
  {
    cmd: 'connack',
    sessionPresent: true,
    reasonCode: 0,
    returnCode: 0,
    properties: { receiveMaximum: 9 },
  },
  { cmd: 'disconnect', reasonCode: 0x8b, properties },
  { cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'M' } },
  { cmd: 'pingresp' } as unknown as Packet,
]

const mutation = fc.record({
  kind: fc.constantFrom('set', 'insert', 'remove', 'flip'),
  at: fc.nat(60),
  byte: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xff)),
})

function mutate(
  bytes: Buffer,
  { kind, at, byte }: { kind: string; at: number; byte: number },
): Buffer {
  const place = at % bytes.length
  const head = bytes.subarray(0, place)
  if (kind === 'insert') return Buffer.concat([head, Buffer.of(byte), bytes.subarray(place)])
  if (kind === 'remove') return Buffer.concat([head, bytes.subarray(place + 1)])
  const value = kind === 'set' ? byte : bytes[place]! ^ (1 << (byte & 7))
  return Buffer.concat([head, Buffer.of(value), bytes.subarray(place + 1)])
}

test('[I1] a mutated packet is refused, or understood as mqtt-packet understands it', () => {
  let accepted = 0
  let refused = 0
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.constantFrom<Version>(4, 5),
      fc.array(mutation, { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      (seed, version, mutations, honest) => {
        fc.pre(version === 5 || seed.cmd !== 'auth')
        let bytes = generate(seed, { protocolVersion: version })
        for (const one of mutations) if (bytes.length > 2) bytes = mutate(bytes, one)
        // Half of them with a Remaining Length that is right, so that the damage lies deeper.
        if (honest && bytes.length < 130) bytes[1] = bytes.length - 2
        const whole = feed([bytes], version)
        for (const [cut, chunks] of Object.entries(cuts(bytes))) {
          const again = feed(chunks, version)
          expect(again.packets, cut).toEqual(whole.packets)
          expect(again.error?.reasonCode, cut).toBe(whole.error?.reasonCode)
        }
        if (whole.error !== null) refused++
        if (whole.error !== null || whole.packets.length !== 1 || whole.decoder.bufferedBytes > 0)
          return
        const packet = whole.packets[0]!
        if (packet.cmd === 'connack' && packet.returnCode === 1 && packet.reasonCode) return // C12
        if (packet.cmd === 'auth' && bytes[1] === 0) return
        accepted++
        const other = theirs(bytes, version)
        expect(other).not.toBeInstanceOf(Error)
        // mqtt-packet forgets an empty value when its name is repeated.
        if (packet.cmd !== 'publish' && JSON.stringify(packet).includes('""')) return
        expect(meaning(packet, version)).toEqual(meaning(other as Packet, version))
      },
    ),
    { numRuns: 3000 },
  )
  expect(accepted).toBeGreaterThan(100)
  expect(refused).toBeGreaterThan(500)
})

test('[I1] arbitrary bytes end in packets, in a ProtocolError, or in waiting; every version, every cut', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.constantFrom<Version>(3, 4, 5),
      (bytes, version) => {
        const whole = feed([bytes], version)
        const bit = feed(cuts(bytes)['byte by byte']!, version)
        expect(bit.packets).toEqual(whole.packets)
        expect(bit.error?.message).toBe(whole.error?.message)
      },
    ),
    { numRuns: 2000 },
  )
})
