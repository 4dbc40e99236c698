/**
 * Goal: a loop that edits its state in place steps as `step` does, and what was asked for as a
 * snapshot never changes. Method: any run of a loop, with snapshots taken at any instants.
 */
import { inspect, isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Stepper } from '../../src/loop/stepper.ts'
import type { Effect } from '../../src/protocol/contract.ts'
import { initialSession, initialState } from '../../src/protocol/initial.ts'
import type { State } from '../../src/protocol/state.ts'
import { configs, instructions, play } from '../protocol/story.ts'
import { configOf, frozen } from '../protocol/support.ts'

const stories = fc.array(instructions, { maxLength: 120, size: 'max' })
const LATER = { type: 'start', at: 1e9 } as const
const instants = fc.uniqueArray(fc.nat(200))

const shown = (state: State) => inspect(state, { depth: null, maxArrayLength: null })

describe('Stepper', () => {
  test('it gives the states and effects of `step`, and its snapshots never change', () => {
    fc.assert(
      fc.property(configs, stories, instants, instants, (config, story, kept, others) => {
        const { inputs, state, effects } = play(config, story)
        const first = () => initialState(configOf(config), initialSession('c'))
        const stepper = new Stepper(frozen(first()))
        const taken: { state: State; shown: string }[] = []
        const given: Effect[] = []
        inputs.forEach((input, i) => {
          given.push(...stepper.step([input]))
          if (kept.includes(i)) {
            const snapshot = stepper.snapshot()
            taken.push({ state: snapshot, shown: shown(snapshot) })
          }
          // A loop that steps much later takes the draft away.
          if (others.includes(i)) new Stepper(first()).step([LATER])
        })
        expect(isDeepStrictEqual(given, effects)).toBe(true)
        expect(isDeepStrictEqual(stepper.state, state)).toBe(true)
        for (const one of taken) expect(shown(one.state)).toBe(one.shown)
      }),
      { numRuns: 400 },
    )
  })

  test('loops whose drafts were taken away share the groups that are equal in them', () => {
    const config = configOf()
    const first = () => new Stepper(initialState(config, initialSession('c')))
    const leave = () => {
      for (let n = 0; n < 9; n++) first().step([LATER])
    }
    const steppers = [first(), first()]
    for (const stepper of steppers) stepper.step([])
    const [one, other] = steppers.map((stepper) => stepper.state)
    expect(one!.outgoing).not.toBe(other!.outgoing)
    leave()
    for (const group of ['outgoing', 'incoming', 'counters', 'reconnect'] as const) {
      expect(one![group]).toBe(other![group])
    }
    expect(one!.connection.limits).toBe(other!.connection.limits)
    // A group that is shared is copied before a step changes it.
    const before = shown(other!)
    steppers[0]!.step([{ type: 'start', at: 1 }])
    expect(shown(other!)).toBe(before)
  })
})
