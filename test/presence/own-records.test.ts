/** What a client writes of itself, where the outcomes come late. */
import { describe, expect, test } from 'vitest'
import { OwnRecords } from '../../src/presence/own-records.ts'
import type { Write } from '../../src/presence/own-steps.ts'

const TERMS = { connection: 'a'.repeat(24), prefix: 'p', ttl: 10, recordTtl: 400 }

/** @returns each write as its topic without the connection, and what it says. */
function shown(writes: readonly Write[]): string[] {
  return writes.map(({ topic, payload }) => {
    const place = topic.replace(TERMS.connection, '*')
    if (payload === '') return `${place} empty`
    const { epoch, seq, state = 'member', left } = JSON.parse(payload)
    return `${place} ${epoch}.${seq} ${left ? 'left' : state}`
  })
}

function entered(): { records: OwnRecords; writes: Write[] } {
  const records = new OwnRecords(TERMS)
  expect(records.connected(1, 'ada', 0)).toEqual([])
  const [, writes] = records.enter('room', null, '1', 0)
  return { records, writes }
}

describe('own records', () => {
  test('[H1] the members are written first, and `up` last', () => {
    const { records, writes } = entered()
    expect(shown(writes)).toEqual(['p/s/room/ada/* 1.1 member', 'p/c/* 1.2 up'])
    expect(shown(records.enter('room', null, '2', 0)[1])).toEqual(['p/s/room/ada/* 1.3 member'])
    records.lost()
    expect(records.enter('room', 'bob', '3', 0)[1]).toEqual([])
    expect(shown(records.connected(2, 'ada', 0))).toEqual([
      'p/s/room/ada/* 2.4 member',
      'p/s/room/bob/* 2.5 member',
      'p/c/* 2.6 up',
    ])
  })

  test('[H4] a record that arrives after a newer one is followed by another', () => {
    const { records, writes } = entered()
    records.lost()
    records.connected(2, 'ada', 0)
    const [member, up] = writes as [Write, Write]
    expect(shown(records.settled(member, 0))).toEqual(['p/s/room/ada/* 2.5 member'])
    expect(shown(records.settled(up, 0))).toEqual(['p/c/* 2.6 up'])
  })

  test('[H4] a record that arrives after its member has left is removed again', () => {
    const { records, writes } = entered()
    records.lost()
    records.connected(2, 'ada', 0)
    const [, left] = records.leave('room', null, undefined, 0)!
    expect(shown(left)).toEqual(['p/s/room/ada/* empty', 'p/c/* 2.6 down', 'p/c/* empty'])
    expect(shown(records.settled(writes[0]!, 0))).toEqual(['p/s/room/ada/* empty'])
  })

  test('[H6] what arrives late and is told without a connection is removed at the next one', () => {
    const { records, writes } = entered()
    records.lost()
    const [, none] = records.leave('room', null, undefined, 0)!
    expect(none).toEqual([])
    const removed = records.connected(2, 'ada', 0)
    expect(shown(removed)).toEqual(['p/s/room/ada/* empty', 'p/c/* empty'])
    for (const write of removed) records.settled(write, 0)
    // The session sends again what was under way; the outcomes are read after the next loss.
    records.lost()
    for (const write of writes) expect(records.settled(write, 0)).toEqual([])
    expect(shown(records.connected(3, 'ada', 0))).toEqual(['p/s/room/ada/* empty', 'p/c/* empty'])
  })

  test('[H6] what has an outcome after its removal is removed, before the next epoch is known', () => {
    const { records, writes } = entered()
    const [, left] = records.leave('room', null, undefined, 0)!
    for (const write of left) expect(records.settled(write, 0)).toEqual([])
    records.lost()
    // The loop sends again what had no PUBACK, and asks what comes first only then.
    for (const write of writes) expect(records.settled(write, 0)).toEqual([])
    expect(shown(records.connected(2, 'ada', 0))).toEqual(['p/s/room/ada/* empty', 'p/c/* empty'])
  })

  test('[H3] what was on its way before the last `up` is no news', () => {
    const { records } = entered()
    const old = { state: 'lost', epoch: 1, seq: 0, client: '', ttl: 10 } as const
    records.lost()
    records.connected(2, 'ada', 0)
    expect(records.read(old, false, 0)).toEqual([])
    records.read({ ...old, state: 'up', epoch: 2, seq: 4 }, false, 0)
    expect(shown(records.read(old, false, 0))).toEqual(['p/c/* 2.5 up'])
  })

  test('[H3] what the server had kept is doubted until the last `up` comes back', () => {
    const { records } = entered()
    const old = { state: 'lost', epoch: 1, seq: 0, client: '', ttl: 10 } as const
    records.lost()
    records.connected(2, 'ada', 0)
    expect(records.read(old, true, 0)).toEqual([])
    expect(records.dueAt).toBe(1000)
    expect(shown(records.refresh(1000))).toEqual(['p/c/* 2.5 up'])
    records.read(old, true, 1000)
    records.read({ ...old, state: 'up', epoch: 2, seq: 5 }, false, 1001)
    expect(records.dueAt).toBe(6000)
  })

  test('[H8] a sign each half of the ttl, and a record before a half of its life is over', () => {
    const { records } = entered()
    const written = new Map<string, number>()
    for (let now = 0; now <= 400_000; now = Math.max(now + 1, records.dueAt)) {
      for (const { topic } of records.refresh(now)) {
        const isMember = topic.startsWith('p/s/')
        const since = now - (written.get(topic) ?? 0)
        expect(since).toBe(isMember ? 100_000 : 5000)
        written.set(topic, now)
      }
    }
    expect(written.get(`p/s/room/ada/${TERMS.connection}`)).toBe(400_000)
  })

  test('[H6] `down` comes with the last who leaves, and nothing is left behind or renewed', () => {
    const { records } = entered()
    records.enter('room', 'bob', '1', 0)
    expect(shown(records.leave('room', 'bob', undefined, 0)![1])).toEqual(['p/s/room/bob/* empty'])
    expect(shown(records.leave('room', null, '"bye"', 0)![1])).toEqual([
      'p/s/room/ada/* 1.5 left',
      'p/s/room/ada/* empty',
      'p/c/* 1.7 down',
      'p/c/* empty',
    ])
    expect(records.dueAt).toBe(Number.POSITIVE_INFINITY)
  })

  test('[H6] what an earlier connection said is removed when all left without a connection', () => {
    const { records } = entered()
    records.lost()
    expect(records.leave('room', null, undefined, 0)![1]).toEqual([])
    const writes = records.connected(2, 'ada', 0)
    expect(shown(writes)).toEqual(['p/s/room/ada/* empty', 'p/c/* empty'])
    for (const write of writes) expect(records.settled(write, 0)).toEqual([])
    records.lost()
    expect(records.connected(3, 'ada', 0)).toEqual([])
  })

  test('[H2] the first who enters a space has the connection say its ttl there', () => {
    const { records } = entered()
    const [, writes] = records.enter('hall', 'bob', '1', 0)
    expect(shown(writes)).toEqual(['p/s/hall/bob/* 1.3 member', 'p/c/* 1.4 up'])
    expect(shown(records.enter('hall', 'eve', '1', 0)[1])).toEqual(['p/s/hall/eve/* 1.5 member'])
  })

  test('[H4] with another client identifier the record with the old one is removed', () => {
    const { records } = entered()
    records.lost()
    expect(shown(records.connected(2, 'bea', 0))).toEqual([
      'p/s/room/ada/* empty',
      'p/s/room/bea/* 2.4 member',
      'p/c/* 2.5 up',
    ])
  })
})

describe('[H3] wrong records', () => {
  const wrong = { epoch: 1, seq: 2, client: '', ttl: 10 }
  const online = () => {
    const { records } = entered()
    records.read({ ...wrong, state: 'up' }, false, 0)
    return records
  }

  test('are answered once in a second, however many there are', () => {
    const records = online()
    expect(shown(records.read({ ...wrong, state: 'lost' }, false, 0))).toEqual(['p/c/* 1.3 up'])
    for (let ms = 1; ms < 1000; ms++) {
      records.read({ ...wrong, state: 'up', seq: 3 }, false, ms)
      expect(records.read({ ...wrong, state: 'lost' }, false, ms)).toEqual([])
    }
    expect(records.dueAt).toBe(1000)
    expect(shown(records.refresh(1000))).toEqual(['p/c/* 1.4 up'])
  })

  test.each([
    ['removed', null],
    ['of a newer epoch', { ...wrong, state: 'up', epoch: 2 } as const],
    ['`down`', { ...wrong, state: 'down' } as const],
  ])('that are %s have the members written once more, too', (_, record) => {
    expect(shown(online().read(record, false, 0))).toEqual([
      'p/s/room/ada/* 1.3 member',
      'p/c/* 1.4 up',
    ])
  })
})

describe('[H4] what the server refuses', () => {
  test('leaves the data that it has accepted, whatever was called since', () => {
    const { records, writes } = entered()
    const [member, [second]] = records.enter('room', null, '2', 0)
    records.acknowledged(writes[0]!)
    records.settled(writes[0]!, 0)
    expect(records.refused(second!, 0)).toEqual([])
    records.settled(second!, 0)
    expect(member).toMatchObject({ isIn: true, dataText: '1' })
    expect(records.countIn('room')).toBe(1)
  })

  test('leaves nothing behind where something was sent before without an outcome', () => {
    const { records } = entered()
    const [, [second]] = records.enter('room', null, '2', 0)
    expect(shown(records.refused(second!, 0))).toEqual([
      'p/s/room/ada/* empty',
      'p/c/* 1.5 down',
      'p/c/* empty',
    ])
    expect(records.countIn('room')).toBe(0)
  })

  test('takes nobody away who has entered since under the same name', () => {
    const { records, writes } = entered()
    const [first] = writes as [Write]
    records.read(null, true, 0)
    const [again] = records.refresh(1000)
    for (const write of [first, again!]) records.settled(write, 0)
    records.leave('room', null, undefined, 0)
    const [newer] = records.enter('room', null, '3', 0)
    records.settled({ ...first, member: { ...newer, isIn: false, open: 1, farewell: null } }, 0)
    expect(records.find('room', null)).toBe(newer)
  })
})
