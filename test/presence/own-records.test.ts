/** What a client writes of itself, where the outcomes come late. */
import { describe, expect, test } from 'vitest'
import { OwnRecords, type Write } from '../../src/presence/own-records.ts'

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
    expect(shown(left)).toEqual(['p/s/room/ada/* empty'])
    expect(shown(records.settled(writes[0]!, 0))).toEqual(['p/s/room/ada/* empty'])
  })

  test('[H3] what was on its way before the last `up` is no news', () => {
    const { records } = entered()
    const old = { state: 'lost', epoch: 1, seq: 0, client: '', ttl: 10 } as const
    records.lost()
    records.connected(2, 'ada', 0)
    expect(records.read(old, false, 0)).toEqual([])
    records.read({ ...old, state: 'up', epoch: 2, seq: 4 }, false, 0)
    expect(shown(records.read(old, false, 0))).toEqual([
      'p/s/room/ada/* 2.5 member',
      'p/c/* 2.6 up',
    ])
  })

  test('[H3] what the server had kept is doubted until the last `up` comes back', () => {
    const { records } = entered()
    const old = { state: 'lost', epoch: 1, seq: 0, client: '', ttl: 10 } as const
    records.lost()
    records.connected(2, 'ada', 0)
    expect(records.read(old, true, 0)).toEqual([])
    expect(records.dueAt).toBe(1000)
    expect(records.refresh(1000)).toHaveLength(2)
    records.read(old, true, 1000)
    records.read({ ...old, state: 'up', epoch: 2, seq: 6 }, false, 1001)
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

  test('[H6] `down` is written when nobody is there any more', () => {
    const { records } = entered()
    expect(records.down(0)).toEqual([])
    records.leave('room', null, '"bye"', 0)
    expect(shown(records.down(0))).toEqual(['p/c/* 1.5 down'])
    expect(records.down(0)).toEqual([])
    expect(records.dueAt).toBe(Number.POSITIVE_INFINITY)
  })
})
