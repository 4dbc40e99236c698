/** The view of a space beside a model that looks through its whole history each time. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PresenceChange } from '../../src/presence/presence-types.ts'
import type { ConnectionRecord } from '../../src/presence/records.ts'
import type { ViewInput } from '../../src/presence/space-steps.ts'
import { SpaceView } from '../../src/presence/space-view.ts'

const CONNECTIONS = ['a'.repeat(24), 'b'.repeat(24)]
const CLIENTS = ['ada', 'bob']

/** A record of one connection; the records of a connection have different (epoch, seq). */
type Input = Extract<ViewInput, { type: 'member' | 'connection' }>

const arrival = (at: number, retained = false) => ({ at, retained, ageMs: 0 })

function member(
  connection: string,
  client: string,
  epoch: number,
  seq: number,
  left = false,
  data: unknown = seq,
): Input {
  return {
    type: 'member',
    topic: { client, connection },
    record: { epoch, seq, data, left },
    arrival: arrival(0),
  }
}

function sign(
  connection: string,
  state: ConnectionRecord['state'],
  epoch: number,
  seq: number,
): Input {
  const record = { state, epoch, seq, client: '', ttl: 0 }
  return { type: 'connection', connection, record, arrival: arrival(0) }
}

/**
 * What one connection writes in its life: connections follow one another, members come, change and
 * go; each epoch may end by a will.
 */
const life = fc
  .array(
    fc.oneof(
      fc.record({ do: fc.constant('enter' as const), who: fc.integer({ min: 0, max: 1 }) }),
      fc.record({ do: fc.constant('leave' as const), who: fc.integer({ min: 0, max: 1 }) }),
      fc.record({ do: fc.constantFrom('up' as const, 'will' as const, 'reconnect' as const) }),
    ),
    { maxLength: 12 },
  )
  .map((steps) => (connection: string): Input[] => {
    let epoch = 1
    let seq = 0
    const entered = new Set<string>()
    const inputs: Input[] = []
    for (const step of steps) {
      if (step.do === 'enter' || step.do === 'leave') {
        const client = CLIENTS[step.who]!
        inputs.push(member(connection, client, epoch, ++seq, step.do === 'leave'))
        if (step.do === 'enter') entered.add(client)
        else entered.delete(client)
      } else if (step.do === 'will') inputs.push(sign(connection, 'lost', epoch, 0))
      else {
        if (step.do === 'reconnect') {
          epoch++
          for (const client of entered) inputs.push(member(connection, client, epoch, ++seq))
        }
        inputs.push(sign(connection, 'up', epoch, ++seq))
      }
    }
    return inputs
  })

const newView = () => new SpaceView({ maxMembers: 1000, janitor: false })

/** @returns the changes, after checking what holds for each of them. */
function play(view: SpaceView, inputs: readonly ViewInput[]): PresenceChange[] {
  return inputs.flatMap((input) =>
    view.step(input).flatMap((effect) => (effect.type === 'change' ? [effect.change] : [])),
  )
}

function listed(view: SpaceView): string[] {
  return view
    .list()
    .map(({ connection, client, data }) => `${connection[0]} ${client} ${data}`)
    .sort()
}

/** Applies changes one by one, and checks that each is possible after those before. */
function followed(changes: readonly PresenceChange[]): string[] {
  const there = new Map<string, unknown>()
  for (const { action, member: one } of changes) {
    const key = `${one.connection[0]} ${one.client}`
    if (action === 'enter' || action === 'present') expect(there.has(key)).toBe(false)
    else expect(there.has(key)).toBe(true)
    if (action === 'leave' || action === 'lost') there.delete(key)
    else there.set(key, one.data)
  }
  return [...there].map(([key, data]) => `${key} ${data}`).sort()
}

type Pair = readonly [epoch: number, seq: number]

function isAfter(a: Pair, b: Pair): boolean {
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1])
}

/** Who is there after a history of live records of one connection, straight from the promise. */
function modelOf(history: readonly Input[]): string[] {
  const pairs = history.map(({ record }): Pair => [record!.epoch, record!.seq])
  const epoch = Math.max(0, ...pairs.map(([one]) => one))
  const wills = history.flatMap(({ type, record }, i) =>
    type === 'connection' &&
    (record as ConnectionRecord).state === 'lost' &&
    record!.epoch === epoch
      ? [i]
      : [],
  )
  const [will] = wills
  if (will !== undefined) {
    const before = pairs.slice(0, will).filter(([one]) => one === epoch)
    const limit = Math.max(0, ...before.map(([, seq]) => seq))
    const isTakenBack = history.slice(wills.at(-1)).some(({ type, record }) => {
      const isUp = type === 'connection' && (record as ConnectionRecord).state === 'up'
      return isUp && record!.epoch === epoch && record!.seq > limit
    })
    if (!isTakenBack) return []
  }
  const last = new Map<string, Input & { type: 'member' }>()
  for (const input of history) {
    if (input.type !== 'member') continue
    const known = last.get(input.topic.client)
    const pair: Pair = [input.record!.epoch, input.record!.seq]
    if (known === undefined || isAfter(pair, [known.record!.epoch, known.record!.seq])) {
      last.set(input.topic.client, input)
    }
  }
  return [...last.values()]
    .filter(({ record }) => !record!.left && record!.epoch === epoch)
    .map(({ topic, record }) => `${topic.connection[0]} ${topic.client} ${record!.data}`)
    .sort()
}

describe('[H1] ', () => {
  test('[H1] in the order of the connection, the view is what the model says', () => {
    fc.assert(
      fc.property(life, (write) => {
        const inputs = write(CONNECTIONS[0]!)
        const view = newView()
        const changes = play(view, inputs)
        // After a reconnection everybody is entered again, so that nobody has an older epoch.
        expect(listed(view)).toEqual(modelOf(inputs))
        expect(followed(changes)).toEqual(listed(view))
      }),
    )
  })

  test('[H1] in any order, with repeats, changes are possible and each record counts once', () => {
    const disorder = fc
      .tuple(life, life)
      .map(([one, other]) => [...one(CONNECTIONS[0]!), ...other(CONNECTIONS[1]!)])
      .chain((inputs) => {
        const often = inputs.flatMap((input) => [input, input])
        return fc.shuffledSubarray(often, { minLength: often.length })
      })
    fc.assert(
      fc.property(disorder, (inputs) => {
        const view = newView()
        const changes = play(view, inputs)
        expect(followed(changes)).toEqual(listed(view))
        const updates = changes.filter(({ action }) => action === 'enter' || action === 'update')
        const keys = updates.map(({ member: one }) => `${one.connection} ${one.client} ${one.data}`)
        expect(keys).toEqual([...new Set(keys)])
      }),
    )
  })

  test('[H1] replays of any part of what has come change nothing', () => {
    const replayed = life.chain((write) => {
      const inputs = write(CONNECTIONS[0]!)
      // A will has no seq: one of this epoch may be a second, and counts until H3 heals it.
      const epoch = Math.max(0, ...inputs.map(({ record }) => record!.epoch))
      const isWill = ({ record }: Input) => 'state' in record! && record.state === 'lost'
      const wills = inputs.filter((input) => isWill(input) && input.record!.epoch === epoch)
      const known = wills.length > 1 ? [] : inputs.filter((input) => !wills.includes(input))
      return fc.tuple(fc.constant(inputs), fc.subarray(known))
    })
    fc.assert(
      fc.property(replayed, ([inputs, again]) => {
        const view = newView()
        play(view, inputs)
        const before = listed(view)
        expect(play(view, again)).toEqual([])
        expect(listed(view)).toEqual(before)
      }),
    )
  })

  test('[H1] a will of an older epoch changes nothing, one of this epoch counts while it is up', () => {
    const [a] = CONNECTIONS as [string]
    const view = newView()
    play(view, [member(a, 'ada', 1, 1), sign(a, 'up', 1, 2), member(a, 'ada', 2, 3)])
    play(view, [sign(a, 'up', 2, 4)])
    expect(play(view, [sign(a, 'lost', 1, 0)])).toEqual([])
    const actions = (inputs: Input[]) => play(view, inputs).map(({ action }) => action)
    expect(actions([sign(a, 'lost', 2, 0)])).toEqual(['lost'])
    expect(actions([sign(a, 'up', 2, 4)])).toEqual([])
    expect(actions([sign(a, 'up', 2, 5)])).toEqual(['present'])
    expect(actions([sign(a, 'lost', 2, 0)])).toEqual(['lost'])
    expect(actions([sign(a, 'lost', 2, 0)])).toEqual([])
  })
})
