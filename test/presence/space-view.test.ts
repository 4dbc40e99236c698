/** What a space looks like after syncs, after time, and beyond its bounds. */
import { describe, expect, test } from 'vitest'
import type { ConnectionRecord } from '../../src/presence/records.ts'
import type { ViewEffect, ViewInput } from '../../src/presence/space-steps.ts'
import { SpaceView } from '../../src/presence/space-view.ts'
import { ViewProbe } from './view-probe.ts'

const A = 'a'.repeat(24)
const B = 'b'.repeat(24)

class Seen {
  readonly view: SpaceView
  effects: ViewEffect[] = []
  at = 0

  constructor(limits: { maxMembers?: number; janitor?: boolean } = {}) {
    this.view = new SpaceView({ maxMembers: 100, janitor: false, ...limits })
  }

  step(input: ViewInput): string[] {
    const effects = this.view.step(input)
    this.effects.push(...effects)
    return effects.flatMap((effect) => {
      if (effect.type !== 'change') return []
      const { action, member } = effect.change
      return [`${action} ${member.client} ${member.certainty}`]
    })
  }

  member(connection: string, client: string, epoch: number, seq: number, retained = false) {
    return this.step({
      type: 'member',
      topic: { client, connection },
      record: { epoch, seq, data: seq, left: false },
      arrival: { at: this.at, retained, ageMs: 0 },
    })
  }

  emptied(connection: string, client: string) {
    const arrival = { at: this.at, retained: false, ageMs: 0 }
    return this.step({ type: 'member', topic: { client, connection }, record: null, arrival })
  }

  sign(
    connection: string,
    state: ConnectionRecord['state'],
    epoch: number,
    seq: number,
    { retained = false, ageMs = 0, ttl = 10 } = {},
  ) {
    const record = { state, epoch, seq, client: '', ttl }
    const arrival = { at: this.at, retained, ageMs }
    return this.step({ type: 'connection', connection, record, arrival })
  }

  time(at: number): string[] {
    this.at = at
    return this.step({ type: 'time', at })
  }

  syncBegins = () => this.step({ type: 'syncBegins' })
  syncEnds = () => this.step({ type: 'syncEnds', certainty: 'quiet', at: this.at })
  names = () => this.view.list().map(({ client, certainty }) => `${client} ${certainty}`)
  types = () => this.effects.splice(0).map(({ type }) => type)
}

describe('a connection that is lost between its first member and its own record', () => {
  test('[H2] is over 10 s after its last sign, though it has not said its ttl', () => {
    const seen = new Seen()
    expect(seen.member(A, 'ada', 1, 1)).toEqual(['enter ada seen'])
    expect(seen.time(9_999)).toEqual([])
    expect(seen.time(10_000)).toEqual(['lost ada lease'])
  })

  test('[H2] its own record, if it comes, says how long', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 1)
    seen.sign(A, 'up', 1, 2, { ttl: 300 })
    expect(seen.time(299_999)).toEqual([])
    expect(seen.time(300_000)).toEqual(['lost ada lease'])
  })
})

describe('reconnections', () => {
  test('[H4] who is not entered again by the `up` of a new connection has left', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 1)
    seen.member(A, 'bob', 1, 2)
    seen.sign(A, 'up', 1, 3)
    expect(seen.member(A, 'ada', 2, 4)).toEqual(['update ada seen'])
    expect(seen.sign(A, 'up', 2, 5)).toEqual(['leave bob seen'])
  })

  test('[H1] who comes later does not see what the new connection has not entered again', () => {
    const seen = new Seen()
    seen.member(A, 'bob', 1, 2, true)
    seen.member(A, 'ada', 2, 4, true)
    seen.sign(A, 'up', 2, 5, { retained: true })
    expect(seen.names()).toEqual(['ada seen'])
  })

  test('[H1] [H2] who comes after a late will of the epoch before sees the member, for a ttl', () => {
    const seen = new Seen()
    seen.member(A, 'bob', 1, 2, true)
    seen.member(A, 'ada', 2, 7, true)
    expect(seen.sign(A, 'lost', 1, 0, { retained: true })).toEqual(['present ada seen'])
    expect(seen.sign(A, 'lost', 1, 0)).toEqual([])
    expect(seen.time(9_999)).toEqual([])
    expect(seen.time(10_000)).toEqual(['lost ada lease'])
  })

  test('[H2] the will of the same epoch ends it at once', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 2, 7, true)
    seen.sign(A, 'lost', 1, 0, { retained: true })
    expect(seen.sign(A, 'lost', 2, 0)).toEqual(['lost ada seen'])
  })

  test('[H1] a member of a lost connection comes back with a record of its own', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 1)
    seen.member(A, 'bob', 1, 2)
    expect(seen.sign(A, 'lost', 1, 0)).toEqual(['lost ada seen', 'lost bob seen'])
    expect(seen.member(A, 'ada', 2, 3)).toEqual(['enter ada seen'])
    expect(seen.sign(A, 'up', 2, 4)).toEqual([])
    expect(seen.names()).toEqual(['ada seen'])
  })

  test('[H6] after `down` nobody of the connection is there, and a later record counts', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 1)
    expect(seen.sign(A, 'down', 1, 2)).toEqual(['leave ada seen'])
    expect(seen.member(A, 'ada', 1, 1)).toEqual([])
    expect(seen.member(A, 'bob', 1, 3)).toEqual(['enter bob seen'])
    expect(seen.sign(A, 'up', 1, 4)).toEqual([])
    expect(seen.names()).toEqual(['bob seen'])
  })
})

describe('syncs', () => {
  test('[H5] members stay `before` until the end of the sync, and then leave if not seen', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 1)
    seen.member(B, 'bob', 1, 1)
    seen.syncBegins()
    expect(seen.names()).toEqual(['ada before', 'bob before'])
    seen.member(A, 'ada', 1, 1, true)
    seen.sign(A, 'up', 1, 2, { retained: true })
    seen.sign(B, 'up', 1, 2, { retained: true })
    expect(seen.names()).toEqual(['ada seen', 'bob before'])
    expect(seen.syncEnds()).toEqual(['leave bob quiet'])
    expect(seen.names()).toEqual(['ada seen'])
  })

  test('[H5] a member whose connection has no record any more is lost by the end of the sync', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 1)
    seen.sign(A, 'up', 1, 2)
    seen.syncBegins()
    seen.member(A, 'ada', 1, 1, true)
    expect(seen.syncEnds()).toEqual(['lost ada quiet'])
  })

  test('[H5] a record of a connection that nobody has is not shown', () => {
    const seen = new Seen()
    seen.syncBegins()
    expect(seen.member(A, 'ada', 1, 1, true)).toEqual([])
    expect(seen.syncEnds()).toEqual([])
    expect(seen.names()).toEqual([])
    // Its connection writes again: it was there.
    expect(seen.sign(A, 'up', 1, 2)).toEqual(['present ada seen'])
  })

  test('[H1] an empty message that comes again in a sync does not hide who is there', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 3)
    seen.sign(A, 'up', 1, 4)
    seen.syncBegins()
    expect(seen.emptied(A, 'ada')).toEqual([])
    seen.member(A, 'ada', 1, 3, true)
    seen.sign(A, 'up', 1, 4, { retained: true })
    expect(seen.syncEnds()).toEqual([])
    expect(seen.emptied(A, 'ada')).toEqual(['leave ada seen'])
    expect(seen.member(A, 'ada', 1, 3)).toEqual([])
  })

  test('[H5] who was taken for gone and is still kept by the server is there', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 3)
    seen.sign(A, 'up', 1, 4)
    expect(seen.emptied(A, 'ada')).toEqual(['leave ada seen'])
    seen.syncBegins()
    expect(seen.member(A, 'ada', 1, 3, true)).toEqual(['present ada seen'])
  })
})

describe('leases', () => {
  test('[H2] a connection without a sign for its ttl is lost, and a sign takes it back', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 1)
    seen.member(A, 'bob', 1, 2)
    seen.sign(A, 'up', 1, 3)
    expect(seen.time(9_999)).toEqual([])
    seen.sign(A, 'up', 1, 4)
    expect(seen.time(19_998)).toEqual([])
    expect(seen.time(19_999)).toEqual(['lost ada lease', 'lost bob lease'])
    seen.sign(A, 'up', 1, 4)
    expect(seen.names()).toEqual([])
    // A record of one of them is a sign of their connection.
    expect(seen.member(A, 'ada', 1, 5)).toEqual(['present ada seen', 'present bob seen'])
  })

  test('[H2] a repeat is no sign', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 1)
    seen.sign(A, 'up', 1, 2)
    seen.at = 9_000
    seen.sign(A, 'up', 1, 2, { retained: true })
    expect(seen.time(10_000)).toEqual(['lost ada lease'])
  })

  test('[H2] what the server says of the age of a sign counts', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 1, true)
    expect(seen.sign(A, 'up', 1, 2, { retained: true, ageMs: 4000 })).toEqual(['present ada seen'])
    expect(seen.time(5_999)).toEqual([])
    expect(seen.time(6_000)).toEqual(['lost ada lease'])
    seen.member(B, 'bob', 1, 1, true)
    expect(seen.sign(B, 'up', 1, 2, { retained: true, ageMs: 10_000 })).toEqual([])
  })

  test('[H2] without a ttl only the will tells', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 1)
    seen.sign(A, 'up', 1, 2, { ttl: 0 })
    expect(seen.time(10 ** 9)).toEqual([])
    expect(seen.sign(A, 'lost', 1, 0, { ttl: 0 })).toEqual(['lost ada seen'])
  })

  test('[H2] a janitor removes what a lost connection has left, after twice its ttl', () => {
    const seen = new Seen({ janitor: true })
    seen.member(A, 'ada', 1, 1)
    seen.member(A, 'bob', 1, 2)
    seen.emptied(A, 'bob')
    seen.sign(A, 'up', 1, 3)
    seen.time(10_000)
    seen.types()
    seen.time(29_999)
    expect(seen.types()).toEqual([])
    seen.time(30_000)
    expect(seen.effects.filter(({ type }) => type === 'clear')).toEqual([
      { type: 'clear', members: [{ client: 'ada', connection: A }], connection: A },
    ])
    expect(seen.view).toMatchObject({ records: 0, connections: 0 })
  })

  test('[H3] without a janitor a lost connection is remembered, and comes back', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 1)
    seen.sign(A, 'lost', 1, 0)
    seen.time(3_600_000)
    expect(seen.sign(A, 'up', 1, 2)).toEqual(['present ada seen'])
  })
})

describe('bounds', () => {
  test('[H8] no more members are kept than is said, which is told once; lost ones make room', () => {
    const seen = new Seen({ maxMembers: 2 })
    seen.member(A, 'ada', 1, 1)
    seen.member(B, 'bob', 1, 1)
    seen.types()
    expect(seen.member(B, 'carl', 1, 2)).toEqual([])
    seen.member(B, 'dan', 1, 3)
    expect(seen.types()).toEqual(['full'])
    expect(seen.view.overflowed).toBe(2)
    seen.sign(A, 'lost', 1, 0)
    expect(seen.member(B, 'carl', 1, 2)).toEqual(['enter carl seen'])
    expect(seen.names()).toEqual(['bob seen', 'carl seen'])
  })

  test('[H8] those who have left are remembered within a bound', () => {
    const seen = new Seen()
    for (let i = 1; i <= 10_500; i++) {
      seen.member(A, `m${i}`, 1, i)
      seen.emptied(A, `m${i}`)
    }
    expect(seen.view.records).toBe(0)
    // The oldest were forgotten, the latest are known.
    expect(seen.member(A, 'm10500', 1, 10_500)).toEqual([])
    expect(seen.member(A, 'm1', 1, 1)).toEqual(['enter m1 seen'])
  })

  test('[H8] the topic of a connection is read for as long as it has members', () => {
    const seen = new Seen()
    seen.member(A, 'ada', 1, 1)
    seen.member(A, 'bob', 1, 2)
    seen.emptied(A, 'ada')
    expect(seen.types()).toEqual(['watch', 'change', 'change', 'change'])
    seen.emptied(A, 'bob')
    expect(seen.types()).toEqual(['unwatch', 'change'])
  })
})

test('[H5] a member is certain when its record and that of its connection were seen again', () => {
  const probe = new ViewProbe()
  const certainties = () => probe.view.list().map(({ certainty }) => certainty)
  probe.member('ada', 1)
  probe.up(1)
  expect(certainties()).toEqual(['seen'])
  for (const isMemberFirst of [true, false]) {
    const records = [
      () => probe.member('ada', 1, { retained: true }),
      () => probe.up(1, { retained: true }),
    ]
    if (!isMemberFirst) records.reverse()
    probe.syncBegins()
    expect(certainties()).toEqual(['before'])
    records[0]!()
    expect(certainties()).toEqual(['before'])
    records[1]!()
    expect(certainties()).toEqual(['seen'])
    probe.syncEnds()
    expect(certainties()).toEqual(['seen'])
  }
  expect(probe.news()).toEqual(['enter ada'])
})
