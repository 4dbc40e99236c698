/**
 * Goal: `step` is pure, whatever happens to a loop and in whatever order. Method: the driver
 * freezes everything that goes in and comes out, and the witness checks every step (D2 to D4, R1,
 * one outcome each, nothing sent after DISCONNECT).
 */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Effect, Input, Step } from '../../src/protocol/contract.ts'
import { step } from '../../src/protocol/engine.ts'
import { initialSession, initialState } from '../../src/protocol/initial.ts'
import type { State } from '../../src/protocol/state.ts'
import { nextDeadline } from '../../src/protocol/timers.ts'
import { configs, INSTRUCTIONS, type Instruction, instructions, play } from './story.ts'
import { configOf, connackOf, Driver, frozen, publishOf } from './support.ts'
import { Witness } from './witness.ts'

const stories = fc.array(instructions, { maxLength: 120, size: 'max' })

/** JSON that also keeps Infinity, undefined and bytes. */
function text(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) => {
    if (one === undefined) return { undefined: true }
    if (typeof one === 'number' && !Number.isFinite(one)) return { number: String(one) }
    return one instanceof Uint8Array ? { bytes: [...one] } : one
  })
}

/** Steps the inputs in groups, which end at the cuts. */
function replay(first: State, inputs: readonly Input[], cuts: ReadonlySet<number>): Step {
  let state = first
  const effects: Effect[] = []
  let group: Input[] = []
  inputs.forEach((input, i) => {
    group.push(input)
    if (!cuts.has(i) && i < inputs.length - 1) return
    const result = frozen(step(state, group.length === 1 ? group[0]! : group))
    state = result.state
    effects.push(...result.effects)
    group = []
  })
  return { state, effects }
}

describe('any run of a loop', () => {
  test('[D2] [D3] [D4] [R1] [C19] every step keeps the invariants, and none throws', () => {
    fc.assert(
      fc.property(configs, stories, (config, story) => {
        play(config, story)
      }),
      { numRuns: 1500 },
    )
  })

  test('step(s, [a, b]) is stepping a, then b: the same state, the same effects in the same order', () => {
    fc.assert(
      fc.property(configs, stories, fc.uniqueArray(fc.nat(200)), (config, story, cuts) => {
        const { inputs, state, effects } = play(config, story)
        const first = frozen(initialState(configOf(config), initialSession('c')))
        const grouped = replay(first, inputs, new Set(cuts))
        expect(isDeepStrictEqual(grouped.effects, effects)).toBe(true)
        expect(isDeepStrictEqual(grouped.state, state)).toBe(true)
      }),
      { numRuns: 400 },
    )
  })

  test('a recorded list of inputs replays to the same effects, byte for byte', () => {
    fc.assert(
      fc.property(configs, stories, (config, story) => {
        const { inputs, state, effects } = play(config, story)
        // The inputs go through text and back, so that neither identity nor the order of creation
        // counts.
        const copy = structuredClone(inputs)
        const first = initialState(structuredClone(configOf(config)), initialSession('c'))
        const again = replay(first, copy, new Set(copy.map((_, i) => i)))
        expect(text(again.effects)).toBe(text(effects))
        expect(text(again.state)).toBe(text(state))
      }),
      { numRuns: 200 },
    )
  })

  test('any earlier state goes on as it did: keeping one is taking a snapshot', () => {
    fc.assert(
      fc.property(configs, stories, fc.nat(), (config, story, at) => {
        const { inputs, effects } = play(config, story)
        const first = frozen(initialState(configOf(config), initialSession('c')))
        const half = at % (inputs.length + 1)
        const every = new Set(inputs.map((_, i) => i))
        const kept = replay(first, inputs.slice(0, half), every)
        const once = replay(kept.state, inputs.slice(half), every)
        const twice = replay(kept.state, inputs.slice(half), every)
        expect(text(twice)).toBe(text(once))
        expect(text([...kept.effects, ...once.effects])).toBe(text(effects))
      }),
      { numRuns: 100 },
    )
  })

  test('[K3] a deadline that has come moves when it is ticked: no loop spins', () => {
    fc.assert(
      fc.property(configs, stories, (config, story) => {
        const driver = play(config, story)
        for (let ticks = 0; ticks < 4; ticks++) {
          const due = nextDeadline(driver.state)
          if (due > driver.at) return
          driver.tick()
        }
        expect(nextDeadline(driver.state)).toBeGreaterThan(driver.at)
      }),
      { numRuns: 1000 },
    )
  })

  test('the stories reach every kind of state, every input and every effect', () => {
    const kinds = new Set<string>()
    const inputs = new Set<string>()
    const effects = new Set<string>()
    const codes = new Set<string>()
    for (const story of fc.sample(fc.tuple(configs, stories), { numRuns: 1500, seed: 9 })) {
      const driver = play(...(story as [Parameters<typeof play>[0], Instruction[]]))
      kinds.add(driver.kind)
      for (const { type } of driver.inputs) inputs.add(type)
      for (const effect of driver.effects) {
        effects.add(effect.type)
        if (effect.type === 'settle' && effect.failure) codes.add(effect.failure.code)
      }
    }
    expect([...kinds].sort()).toEqual([
      'closed',
      'closing',
      'connected',
      'connecting',
      'disconnected',
      'failed',
      'suspended',
    ])
    expect(inputs.size).toBe(31)
    expect(effects.size).toBe(29)
    expect([...codes]).toEqual(
      expect.arrayContaining([
        'ACK_TIMEOUT',
        'CANCELLED',
        'MESSAGE_EXPIRED',
        'NEGATIVE_ACKNOWLEDGEMENT',
        'PACKET_TOO_LARGE',
        'QOS_NOT_SUPPORTED',
        'SESSION_LOST',
      ]),
    )
    expect(INSTRUCTIONS.length).toBeGreaterThan(20)
  })
})

describe('the guards refuse what they must', () => {
  const at = 1_000_000
  function connected(): Driver {
    const driver = new Driver()
    driver.connect()
    return driver
  }
  /** @returns what the witness says about a falsified step. */
  function verdict(change: (result: Step) => Step): string {
    const driver = connected()
    const input: Input = { type: 'requests', at, requests: [publishOf(1)], hold: false }
    const witness = new Witness(driver.state)
    // The witness must see the steps of the driver first.
    const first = new Driver()
    const begin = new Witness(first.state)
    let state = first.state
    for (const one of driver.inputs) {
      const result = step(state, one)
      begin.judge(state, one, result)
      state = result.state
    }
    expect(witness).toBeInstanceOf(Witness)
    try {
      begin.judge(driver.state, input, change(step(driver.state, input)))
    } catch (error) {
      return (error as Error).message
    }
    return 'fine'
  }

  const doctored: [string, (result: Step) => Step, RegExp][] = [
    ['nothing', (r) => r, /^fine$/],
    [
      'DUP on what is new',
      ({ state, effects }) => ({
        state,
        effects: effects.map((e) => (e.type === 'publish' ? { ...e, dup: true } : e)),
      }),
      /DUP true/,
    ],
    [
      'a packet twice',
      ({ state, effects }) => ({ state, effects: [...effects, ...effects] }),
      /DUP/,
    ],
    [
      'an outcome that is not counted',
      ({ state, effects }) => ({
        state,
        effects: [
          ...effects,
          { type: 'settle', handle: 1, failure: null, packet: null, outcome: true, release: true },
        ],
      }),
      /outcomes|held after|in flight/,
    ],
    [
      'a quota that leaks',
      ({ state, effects }) => ({
        state: { ...state, outgoing: { ...state.outgoing, inFlight: 0 } },
        effects,
      }),
      /in flight 0/,
    ],
    [
      'a request that is lost',
      ({ state, effects }) => ({
        state: { ...state, session: { ...state.session, owed: 0 } },
        effects,
      }),
      /owed/,
    ],
    [
      'a packet after the goodbye',
      ({ state, effects }) => ({
        state,
        effects: [{ type: 'disconnect', reasonCode: 0, properties: undefined }, ...effects],
      }),
      /after the goodbye/,
    ],
    [
      'a window that is too narrow for what is sent',
      ({ state, effects }) => ({
        state: { ...state, config: { ...state.config, maxInflight: 0 } },
        effects,
      }),
      /in flight of 0/,
    ],
  ]
  for (const [name, change, says] of doctored) {
    test(`the witness and ${name}`, () => expect(verdict(change)).toMatch(says))
  }

  test('a frozen state throws where it is changed', () => {
    const { state } = frozen(step(connected().state, { type: 'ping', at, id: 1 }))
    expect(() => {
      ;(state.connection as { pings: readonly unknown[] }).pings = []
    }).toThrow(TypeError)
    expect(() => (state.session.waiting as unknown[]).push(1)).toThrow(TypeError)
    expect(connackOf().cmd).toBe('connack')
  })
})
