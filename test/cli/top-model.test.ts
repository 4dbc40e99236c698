/**
 * Goal: `top` counts right, within bounds, and its keys do what the help says. Method: the tree and
 * the keys are pure, so time is a number here.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isUnfolded, rowsOf } from '../../src/cli/top/rows.ts'
import {
  INITIAL,
  pressed,
  type ScreenEffect,
  type ScreenState,
  settled,
} from '../../src/cli/top/screen-state.ts'
import { SlidingRate } from '../../src/cli/top/sliding-rate.ts'
import { type TopicNode, Traffic } from '../../src/cli/top/traffic.ts'
import type { IncomingPublish } from '../../src/index.ts'

type Extra = Partial<Omit<IncomingPublish, 'topic' | 'payload'>>

function message(topic: string, payload: string | Uint8Array = 'x', extra: Extra = {}) {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  const whole = { cmd: 'publish', topic, payload: bytes, qos: 0, retain: false, dup: false }
  return { ...whole, ...extra } as IncomingPublish
}

/** A tree with a message for each of these topics at the instant 0. */
function trafficOf(topics: readonly string[], most = 1_000): Traffic {
  const traffic = new Traffic(most, 0)
  for (const topic of topics) traffic.add(message(topic), 0, false, null)
  return traffic
}

describe('[CLI] top: rates', () => {
  test('[CLI] top: a rate falls as its messages leave the window', () => {
    const rate = new SlidingRate()
    for (let i = 0; i < 20; i++) rate.add(10_500, 3)
    const at = (ms: number) => [rate.lastSecond(ms), rate.messages(ms, 0), rate.bytes(ms, 0)]
    expect(at(10_500)).toEqual([20, 2, 6])
    expect(at(11_500)).toEqual([10, 2, 6])
    expect(at(12_000)).toEqual([0, 2, 6])
    expect(at(20_250)[1]).toBeCloseTo(1.5)
    expect(at(21_000)).toEqual([0, 0, 0])
    expect(at(1e9)).toEqual([0, 0, 0])
  })

  test('[CLI] top: in the first seconds the average is over the time so far', () => {
    const rate = new SlidingRate()
    for (let ms = 5_000; ms < 7_000; ms += 100) rate.add(ms, 1)
    expect(rate.messages(7_000, 5_000)).toBe(10)
    expect(new SlidingRate().messages(5_000, 5_000)).toBe(0)
    const first = new SlidingRate()
    first.add(5_001, 1)
    expect(first.messages(5_001, 5_000)).toBe(1)
  })

  test('[CLI] top: a constant rate is shown as it is, whenever it is looked at', () => {
    const looks = fc.integer({ min: 12_000, max: 30_000 })
    const property = fc.property(looks, fc.integer({ min: 1, max: 50 }), (at, perSecond) => {
      const rate = new SlidingRate()
      for (let i = 0; i * 1000 < at * perSecond; i++)
        rate.add(Math.floor((i * 1000) / perSecond), 2)
      expect(Math.abs(rate.messages(at, 0) - perSecond)).toBeLessThan(1)
      expect(Math.abs(rate.bytes(at, 0) - 2 * perSecond)).toBeLessThan(2)
      expect(Math.abs(rate.lastSecond(at) - perSecond)).toBeLessThan(3)
    })
    fc.assert(property)
  })
})

const topicName = fc.array(fc.constantFrom('a', 'b', '', 'c1'), { minLength: 1, maxLength: 5 })
const topicNames = fc.array(
  topicName.map((levels) => levels.join('/') || 'x'),
  { maxLength: 60 },
)

describe('[CLI] top: the tree', () => {
  test('[CLI] top: each level has the sums of what is below it', () => {
    fc.assert(
      fc.property(topicNames, (topics) => {
        const traffic = trafficOf(topics)
        const below = (prefix: string) =>
          topics.filter((one) => one === prefix || one.startsWith(`${prefix}/`))
        expect(traffic.root.stats.messages).toBe(topics.length)
        expect(traffic.root.stats.topics).toBe(new Set(topics).size)
        const folds = { depth: 99, others: new Map() }
        for (const { path, stats } of rowsOf(traffic, { ...INITIAL, folds }, 0)) {
          expect(stats.messages, path).toBe(below(path).length)
          expect(stats.topics, path).toBe(new Set(below(path)).size)
          expect(stats.own === null, path).toBe(!topics.includes(path))
        }
      }),
    )
  })

  test('[CLI] top: what the server kept is shown and does not count', () => {
    const traffic = new Traffic(10, 0)
    const node = traffic.add(message('a', 'kept', { retain: true }), 0, true, true)!
    expect(node.stats).toMatchObject({ messages: 0, bytes: 0, lastAt: null, topics: 1 })
    expect(node.stats.own).toMatchObject({ messages: 0, isRetained: true })
    traffic.add(message('a', 'new'), 1, false, null)
    expect(node.stats).toMatchObject({ messages: 1, bytes: 3, lastAt: 1 })
    expect(node.stats.own?.isRetained).toBe(true)
    expect(traffic.retainedBelow(traffic.root)).toEqual([node])
    traffic.removed('a')
    expect(traffic.retainedBelow(traffic.root)).toEqual([])
  })

  test('[CLI] top: beyond the limit topics are counted, in the total too, and not kept', () => {
    const traffic = trafficOf(['a', 'b', 'c', 'c', 'd', 'a'], 2)
    expect(traffic.size).toBe(2)
    expect(traffic.root.stats.messages).toBe(6)
    expect(traffic.unkept).toEqual({ messages: 3, topics: 2, isMore: false })
  })

  test('[CLI] top: one message cannot make many levels, nor can long names fill the memory', () => {
    const deep = 'a/'.repeat(30_000)
    const traffic = trafficOf([deep])
    const folds = { depth: 99_999, others: new Map() }
    const rows = rowsOf(traffic, { ...INITIAL, folds }, 0)
    expect(rows).toHaveLength(32)
    expect(rows.at(-1)!.path).toBe(deep)
    const long = trafficOf(
      ['x', 'y'].map((name) => name.repeat(40_000)),
      100,
    )
    expect(long.size).toBe(1)
    expect(long.unkept.topics).toBe(1)
  })

  test('[CLI] top: of values a bounded part is kept, and none shares memory with the packet', () => {
    const traffic = new Traffic(10, 0)
    const chunk = Buffer.alloc(1_000_000, 'y')
    const node = traffic.add(message('a', chunk.subarray(0, 300_000)), 0, false, null)!
    expect(node.stats.own!.last).toMatchObject({ length: 300_000 })
    expect(node.stats.own!.last.bytes.buffer.byteLength).toBe(256)
    for (let i = 0; i < 20; i++)
      traffic.add(message('a', chunk.subarray(0, 60_000)), i, false, null)
    expect(node.stats.own!.last.bytes.buffer.byteLength).toBe(60_000)
    expect(node.stats.own!.earlier).toHaveLength(8)
    for (const { bytes, length } of node.stats.own!.earlier) {
      expect([bytes.buffer.byteLength, length]).toEqual([64, 60_000])
    }
  })

  test('[CLI] top: a frozen tree shows one instant, and counts on', () => {
    fc.assert(
      fc.property(topicNames, topicNames, (before, after) => {
        const traffic = trafficOf(before)
        const seen = () =>
          rowsOf(traffic, { ...INITIAL, folds: { depth: 99, others: new Map() } }, 5_000).map(
            (node) => {
              const stats = traffic.statsOf(node)!
              const { messages, topics, own } = stats
              return [node.path, messages, topics, own?.messages, stats.rate.messages(0, 0)]
            },
          )
        traffic.freeze(0)
        const frozen = structuredClone(seen())
        for (const topic of after) traffic.add(message(topic), 100, false, null)
        expect(seen()).toEqual(frozen)
        expect(traffic.messagesSinceFreeze).toBe(after.length)
        traffic.thaw()
        const whole = trafficOf([...before, ...after])
        expect(traffic.root.stats.messages).toBe(whole.root.stats.messages)
        expect(seen().map(([path, messages]) => [path, messages])).toEqual(
          rowsOf(whole, { ...INITIAL, folds: { depth: 99, others: new Map() } }, 0).map((node) => [
            node.path,
            node.stats.messages,
          ]),
        )
        traffic.freeze(5_000)
        expect(traffic.messagesSinceFreeze).toBe(0)
      }),
    )
  })
})

/** A screen of ten rows that is driven by keys. */
class Keys {
  state: ScreenState = INITIAL
  effects: ScreenEffect[] = []
  readonly traffic: Traffic

  constructor(topics: readonly string[], retained: readonly string[] = []) {
    this.traffic = trafficOf(topics)
    for (const topic of retained) this.traffic.add(message(topic), 0, true, true)
    this.#settle()
  }

  get rows(): readonly TopicNode[] {
    return rowsOf(this.traffic, this.state, 0)
  }

  get paths(): readonly string[] {
    return this.rows.map(({ path }) => path)
  }

  get selected(): string | undefined {
    return this.state.selected?.path
  }

  press(...keys: readonly string[]): this {
    for (const name of keys) {
      const isCharacter = [...name].length === 1
      const key = isCharacter ? { name, sequence: name } : { name, sequence: '\x1b[' }
      const { state, effects } = pressed(this.state, key, {
        rows: this.rows,
        page: 10,
        isTopic: ({ stats }) => stats.own !== null,
        retainedBelow: (node) => this.traffic.retainedBelow(node).map(({ path }) => path),
      })
      this.state = state
      this.effects.push(...effects)
      this.#settle()
    }
    return this
  }

  #settle(): void {
    this.state = settled(this.state, this.rows, 10)
  }
}

const PLANT = ['plant/1/temp', 'plant/1/state', 'plant/2/temp', 'lab/x']

describe('[CLI] top: keys', () => {
  test('[CLI] top: the first level is unfolded; left, right, Enter, + and - fold and unfold', () => {
    const keys = new Keys(PLANT)
    expect(keys.paths).toEqual(['lab', 'lab/x', 'plant', 'plant/1', 'plant/2'])
    keys.press('down', 'j', 'down', 'right')
    expect(keys.paths).toContain('plant/1/temp')
    expect(keys.press('left', 'left').selected).toBe('plant')
    expect(keys.press('return').paths).toEqual(['lab', 'lab/x', 'plant'])
    expect(keys.press('+').paths).toHaveLength(8)
    expect(keys.press('end').selected).toBe('plant/2/temp')
    expect(keys.press('-').selected).toBe('plant')
    expect(keys.paths).toEqual(['lab', 'plant'])
    expect(keys.press('home', 'up').selected).toBe('lab')
  })

  test('[CLI] top: a filter is a text or a topic filter; Esc brings the folds back', () => {
    const keys = new Keys(PLANT)
    const before = keys.paths
    keys.press('/', ...'TEMP')
    const expected = ['plant', 'plant/1', 'plant/1/temp', 'plant/2', 'plant/2/temp']
    expect(keys.paths).toEqual(expected)
    keys.press('return', 'home', 'return')
    expect(keys.paths).toEqual(['plant'])
    expect(keys.press('escape').paths).toEqual(before)
    keys.press('/', ...'+/1/#', 'return')
    expect(keys.paths).toEqual(['plant', 'plant/1', 'plant/1/state', 'plant/1/temp'])
    keys.press('/', 'backspace', ...'zzz', 'escape')
    expect(keys.state).toMatchObject({ filter: '+/1/#', mode: { kind: 'tree' } })
    expect(keys.press('/', ...'qx').effects).toEqual([])
  })

  test('[CLI] top: every filter shows exactly what matches, below its levels', () => {
    const part = fc.constantFrom('a', 'B', '/', 'c1/', '#', '+/a', 'zz')
    fc.assert(
      fc.property(topicNames, part, (topics, filter) => {
        const keys = new Keys(topics).press('/', ...filter)
        const shown = keys.rows.filter(({ stats }) => stats.own !== null).map(({ path }) => path)
        const levels = (path: string) => path.split('/').map((_, i, all) => all.slice(0, i + 1))
        const isHit = (topic: string) => {
          if (filter === '#') return true
          if (filter === '+/a') return /^[^/]*\/a$/.test(topic)
          return topic.toLowerCase().includes(filter.toLowerCase())
        }
        const hits = new Set(topics.filter(isHit))
        const above = new Set([...hits].flatMap((one) => levels(one).map((l) => l.join('/'))))
        expect(new Set(shown)).toEqual(new Set(topics.filter((one) => above.has(one))))
        if (keys.state.selected !== null) expect(keys.rows).toContain(keys.state.selected)
      }),
    )
  })

  test('[CLI] top: whatever keys are pressed, the selection is a row and is on the screen', () => {
    const names = ['up', 'down', 'pageup', 'pagedown', 'home', 'end', 'left', 'right', 'return']
    const key = fc.constantFrom(...names, '+', '-', 's', '/', 'a', 'escape', 'd', 'q', 'x', '?')
    fc.assert(
      fc.property(topicNames, fc.array(key, { maxLength: 40 }), (topics, pressedKeys) => {
        const keys = new Keys(topics, topics.slice(0, 3)).press(...pressedKeys)
        const { selected, top } = keys.state
        const at = selected === null ? -1 : keys.rows.indexOf(selected)
        if (keys.rows.length === 0) {
          expect(selected).toBe(null)
          return
        }
        expect(at).toBeGreaterThanOrEqual(top)
        expect(at).toBeLessThan(top + 10)
        const closed = keys.rows.filter((node) => !isUnfolded(keys.state.folds, node))
        for (const { path } of closed) {
          expect(keys.paths.some((one) => one !== path && one.startsWith(`${path}/`))).toBe(false)
        }
      }),
    )
  })

  test('[CLI] top: s sorts by rate, bytes and age, each the largest first', () => {
    const traffic = new Traffic(10, 0)
    for (const [topic, at, count, bytes] of [
      ...[['old', 0, 5, 1] as const, ['big', 1_000, 1, 900] as const],
      ['new', 2_000, 2, 1] as const,
    ]) {
      const payload = 'x'.repeat(bytes)
      for (let i = 0; i < count; i++) traffic.add(message(topic, payload), at, false, null)
    }
    const order = (sort: ScreenState['sort']) =>
      rowsOf(traffic, { ...INITIAL, sort }, 3_000).map(({ path }) => path)
    expect(order('name')).toEqual(['big', 'new', 'old'])
    expect(order('rate')).toEqual(['old', 'new', 'big'])
    expect(order('bytes')).toEqual(['big', 'old', 'new'])
    expect(order('age')).toEqual(['new', 'big', 'old'])
    const keys = new Keys(['a'])
    const sorts = ['s', 's', 's', 's'].map((key) => keys.press(key).state.sort)
    expect(sorts).toEqual(['rate', 'bytes', 'age', 'name'])
  })

  test('[CLI] top: numbers in names are sorted as numbers', () => {
    expect(new Keys(['s10', 's9', 's2']).paths).toEqual(['s2', 's9', 's10'])
  })

  test('[CLI] top: x asks with the number of retained messages, and only y removes them', () => {
    const keys = new Keys(PLANT, ['plant/1/temp', 'plant/2/temp'])
    keys.press('down', 'down', 'x')
    expect(keys.state.mode).toMatchObject({
      topics: ['plant/2/temp', 'plant/1/temp'],
      question: 'Remove 2 retained messages at and below plant?',
    })
    expect(keys.press('n').effects).toEqual([])
    expect(keys.state.note).toBe('nothing removed')
    keys.press('x', 'y')
    expect(keys.effects).toEqual([{ type: 'clear', topics: ['plant/2/temp', 'plant/1/temp'] }])
    keys.press('home', 'x')
    expect(keys.state.note).toBe('no retained message is known at lab')
    keys.press('down', 'delete')
    expect(keys.state.mode).toMatchObject({ question: 'Remove the retained message of lab/x?' })
  })

  test('[CLI] top: q leaves the details and the help, and ends the tree; Ctrl-C always ends', () => {
    const keys = new Keys(PLANT)
    expect(keys.press('d', 'q', '?', '?', 'd', 'escape').effects).toEqual([])
    expect(keys.state.mode).toEqual({ kind: 'tree' })
    expect(keys.press('q').effects).toEqual([{ type: 'quit' }])
    for (const mode of [INITIAL.mode, { kind: 'filter', before: '' } as const]) {
      const state = { ...INITIAL, mode }
      const context = { rows: [], page: 1, isTopic: () => false, retainedBelow: () => [] }
      const ctrl = (name: string) => pressed(state, { name, ctrl: true }, context).effects
      expect(ctrl('c')).toEqual([{ type: 'interrupt' }])
      expect(ctrl('z')).toEqual([{ type: 'suspend' }])
    }
  })

  test('[CLI] top: p freezes and thaws', () => {
    const keys = new Keys(PLANT).press('p', 'p')
    expect(keys.effects).toEqual([{ type: 'freeze' }, { type: 'thaw' }])
    expect(keys.state.isPaused).toBe(false)
  })
})
