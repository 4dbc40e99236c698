/** Every row of conformance/malformed.jsonl that has bytes: refused here if the bytes alone tell, decoded if they do not. */
import { describe, expect, test } from 'vitest'
import { cuts, feed, hex, jsonLines, NO_LIMIT, type Version } from './support.ts'

interface Row {
  readonly id: string
  readonly title: string
  readonly options: string | null
  readonly hex_v5: string | null
  readonly expect_v5: string | null
  readonly codes_v5: readonly (number | null)[]
  readonly hex_v311: string | null
  readonly expect_v311: string | null
}

/** Rows that break a rule only in the state they name: whole packets, left to the reducers. */
const BY_STATE = new Set(
  [
    'C01 C02 C03 C04 C05 C07 C08 C12 C34 C36 C37 C39 C40 C41 P36 P38 P39 P40 P44 P46 P47',
    'A01 A03 A04 A05 A06 A07 A08 A11 A20 S01 S03 S04 S06 S08 D06 D07 D10 D11 D13 D15 D16 D17',
    'P13 P25 T00',
  ]
    .join(' ')
    .split(' '),
)
/** A row that means something else in one version. */
const BY_STATE_IN: { readonly [key: string]: boolean } = { 'F02/5': true, 'C04/4': false }

const TAIL = { 5: hex('d000 3006000161006869'), 4: hex('d000 30050001616869') } as const

const rows = jsonLines<Row>('conformance/malformed.jsonl')

for (const version of [5, 4] as const) {
  describe(`MQTT ${version === 5 ? '5' : '3.1.1'}`, () => {
    for (const row of rows) {
      const text = version === 5 ? row.hex_v5 : row.hex_v311
      if (text !== null) check(row, hex(text), version)
    }
  })
}

function check(row: Row, bytes: Buffer, version: 4 | 5): void {
  const expected = version === 5 ? row.expect_v5 : row.expect_v311
  const byState = BY_STATE_IN[`${row.id}/${version}`] ?? BY_STATE.has(row.id)
  const limit = row.options === 'maxPacket' ? 1000 : NO_LIMIT
  const legal = expected === 'ok' || byState || (row.id === 'F26' && expected === 'gone')
  test(`[I1] ${row.id} ${row.title}: ${legal ? 'is decoded' : 'is refused'}`, () => {
    const tailed = { ...cuts(bytes), 'with a tail': [Buffer.concat([bytes, TAIL[version]])] }
    let before: number | undefined
    for (const [cut, chunks] of Object.entries(tailed)) {
      const tail = cut === 'with a tail'
      if (row.id === 'F26' && tail) continue // an unfinished packet swallows whatever comes
      const { packets, error, decoder } = feed(chunks, version, { limit })
      if (legal) {
        expect(error, cut).toBeNull()
        const count = packets.length - (tail ? 2 : 0)
        before ??= count
        expect(count, cut).toBe(before)
        if (row.id !== 'F26') expect(decoder.bufferedBytes, cut).toBe(0)
      } else {
        expect(error, cut).not.toBeNull()
        expect(error!.clause, cut).not.toBe('')
        if (version === 5) expect(row.codes_v5, cut).toContain(error!.reasonCode)
        expect(decoder.bufferedBytes, cut).toBe(0)
        before ??= packets.length
        expect(packets.length, cut).toBe(before)
        expect(before, 'the good packets before the bad one').toBe(row.id === 'F32' ? 1 : 0)
        // It is the same error for ever, whatever comes.
        decoder.push(TAIL[version])
        expect(() => decoder.read([], 1)).toThrow(error!)
      }
    }
  })
}

test('[I1] C12 a 3.1.1 refusal of version 5 is told as 0x84, whose words it is in as well', () => {
  const { packets } = feed([hex('20020001')], 5)
  expect(packets).toEqual([
    { cmd: 'connack', sessionPresent: false, reasonCode: 0x84, returnCode: 1 },
  ])
})

test('[I1] [I2] P45 a packet of Maximum Packet Size passes, one byte more is refused by its header', () => {
  for (const version of [3, 4, 5] as Version[]) {
    const fits = Buffer.concat([hex('30e507 000161 00'), Buffer.alloc(993, 'x')])
    expect(fits.length).toBe(1000)
    expect(feed([fits], version, { limit: 1000 }).packets).toHaveLength(1)
    const { error } = feed([hex('30e607')], version, { limit: 1000 })
    expect(error).toMatchObject({ reasonCode: 0x95 })
  }
})

test('[I1] D06 a DISCONNECT keeps its code, S12 an UNSUBACK its 0x11, A19 all short forms are one', () => {
  expect(feed([hex('e0018b')], 5).packets).toEqual([{ cmd: 'disconnect', reasonCode: 0x8b }])
  expect(feed([hex('b004eeee0011')], 5).packets).toMatchObject([{ granted: [0x11] }])
  for (const form of ['40020007', '4003000700', '400400070000']) {
    expect(feed([hex(form)], 5).packets).toEqual([{ cmd: 'puback', messageId: 7, reasonCode: 0 }])
  }
})
