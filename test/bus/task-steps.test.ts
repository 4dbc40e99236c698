/**
 * Goal: the decisions about a task are right in every state, whatever the clock does (B22). Method:
 * a table of inputs and what follows; random inputs, after each of which the rules must hold.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  stepTask,
  TASK_AT_REST,
  type TaskInput,
  type TaskRules,
  type TaskState,
} from '../../src/bus/task-steps.ts'

const RULES: TaskRules = { runImmediately: false, runsMax: 1, isRepeatable: true }
const HOUR = 3_600_000

/** Gives inputs, and answers each `ask` with the next full ten. @returns effects as words. */
function play(inputs: readonly TaskInput[], rules: Partial<TaskRules> = {}): string[] {
  let state = TASK_AT_REST
  const words: string[] = []
  const feed = (input: TaskInput) => {
    const step = stepTask({ ...RULES, ...rules }, state, input)
    state = step.state
    for (const effect of step.effects) {
      if (effect.type === 'run') words.push(`run ${effect.dueAt} missed ${effect.missed}`)
      if (effect.type === 'fail') words.push('fail')
      if (effect.type !== 'ask') continue
      words.push(`ask ${effect.after}`)
      const dueAt = (Math.floor(effect.after / 10) + 1) * 10
      feed({ type: 'told', now: input.now, dueAt, delayMs: 0 })
    }
  }
  for (const input of inputs) feed(input)
  return words
}

const begun = (now: number) => ({ type: 'begun', now }) as const
const halted = (now: number) => ({ type: 'halted', now }) as const
const woken = (now: number) => ({ type: 'woken', now }) as const
const ended = (now: number) => ({ type: 'ended', now }) as const

describe('[B22] a task', () => {
  test.each<[string, readonly TaskInput[], string[], Partial<TaskRules>?]>([
    ['asks when it begins', [begun(3)], ['ask 3']],
    ['runs when it is due', [begun(3), woken(10)], ['ask 3', 'run 10 missed 0', 'ask 10']],
    ['sleeps on when it is woken too early', [begun(3), woken(9)], ['ask 3']],
    ['runs at once if asked to', [begun(3)], ['run 3 missed 0', 'ask 3'], { runImmediately: true }],
    [
      'runs at once only the first time',
      [begun(3), ended(3), halted(4), begun(5)],
      ['run 3 missed 0', 'ask 3'],
      { runImmediately: true },
    ],
    [
      'runs once after a sleep',
      [begun(3), woken(57), ended(57), woken(60)],
      ['ask 3', 'run 10 missed 0', 'ask 57', 'run 60 missed 0', 'ask 60'],
    ],
    [
      'runs once for all times of a long run',
      [begun(3), woken(10), woken(20), woken(30), ended(33), ended(34), woken(40)],
      [
        ...['ask 3', 'run 10 missed 0', 'ask 10', 'ask 20', 'ask 30'],
        ...['run 20 missed 1', 'run 40 missed 0', 'ask 40'],
      ],
    ],
    [
      'overlaps itself if it may',
      [begun(3), woken(10), woken(20), woken(30), ended(31)],
      [
        ...['ask 3', 'run 10 missed 0', 'ask 10', 'run 20 missed 0', 'ask 20', 'ask 30'],
        'run 30 missed 0',
      ],
      { runsMax: 2 },
    ],
    [
      'does not run while nobody awaits run()',
      [begun(3), halted(5), woken(10), begun(25)],
      ['ask 3', 'run 10 missed 0', 'ask 25'],
    ],
    [
      'keeps a time that came while run() ended',
      [begun(3), woken(10), woken(20), halted(21), ended(22), begun(23)],
      ['ask 3', 'run 10 missed 0', 'ask 10', 'ask 20', 'run 20 missed 0'],
    ],
    [
      'repeats nothing after a clock that was set back a little',
      [begun(3), woken(10), ended(11), woken(2), woken(12), woken(20)],
      ['ask 3', 'run 10 missed 0', 'ask 10', 'run 20 missed 0', 'ask 20'],
    ],
    [
      'begins again with a clock that was set back a lot',
      [begun(5 * HOUR), woken(5 * HOUR + 10), ended(5 * HOUR + 10), woken(5), woken(10)],
      [
        ...[`ask ${5 * HOUR}`, `run ${5 * HOUR + 10} missed 0`, `ask ${5 * HOUR + 10}`],
        ...['ask 5', 'run 10 missed 0', 'ask 10'],
      ],
    ],
    [
      'waits for the times of an iterable, whatever the clock does',
      [begun(5 * HOUR), woken(5)],
      [`ask ${5 * HOUR}`],
      { isRepeatable: false },
    ],
    [
      'runs once after a clock that was set ahead',
      [begun(3), woken(5 * HOUR), ended(5 * HOUR)],
      ['ask 3', 'run 10 missed 0', `ask ${5 * HOUR}`],
    ],
  ])('%s', (_, inputs, words, rules) => {
    expect(play(inputs, rules)).toEqual(words)
  })

  test('is acted on later by the jitter, and due at its own time', () => {
    const told = { type: 'told', now: 3, dueAt: 10, delayMs: 4 } as const
    const asked = stepTask(RULES, TASK_AT_REST, begun(3)).state
    const waits = stepTask(RULES, asked, told).state
    expect(stepTask(RULES, waits, woken(13)).effects).toEqual([])
    expect(stepTask(RULES, waits, woken(14)).effects[0]).toMatchObject({ type: 'run', dueAt: 10 })
  })

  test('passes over times that a run covers, and gives up those without an end', () => {
    const told = (now: number, dueAt: number) => ({ type: 'told', now, dueAt, delayMs: 0 }) as const
    const rules = { ...RULES, isRepeatable: false }
    let { state, effects } = stepTask(rules, TASK_AT_REST, begun(1000))
    ;({ state, effects } = stepTask(rules, state, told(1000, 1)))
    expect(effects).toMatchObject([{ type: 'run', dueAt: 1 }, { type: 'ask' }])
    ;({ state, effects } = stepTask(rules, state, told(1000, 2)))
    expect(effects).toMatchObject([{ type: 'ask' }])
    for (let i = 0; i < 99_998; i++) ({ state, effects } = stepTask(rules, state, told(1001, 3)))
    expect(effects).toMatchObject([{ type: 'ask' }])
    // A second later they begin to be counted again.
    expect(stepTask(rules, state, told(2002, 3)).effects).toMatchObject([{ type: 'ask' }])
    ;({ state, effects } = stepTask(rules, state, told(1001, 3)))
    expect(effects).toEqual([{ type: 'fail' }])
    expect(state.isOver).toBe(true)
  })

  test('never runs more often at once than it may, and never twice for one time', () => {
    const input = fc.oneof(
      fc.record({ type: fc.constant('begun' as const), now: fc.integer({ min: 0, max: 200 }) }),
      fc.record({ type: fc.constant('halted' as const), now: fc.integer({ min: 0, max: 200 }) }),
      fc.record({ type: fc.constant('woken' as const), now: fc.integer({ min: 0, max: 200 }) }),
      fc.record({ type: fc.constant('ended' as const), now: fc.integer({ min: 0, max: 200 }) }),
    )
    fc.assert(
      fc.property(
        fc.array(input, { maxLength: 60 }),
        fc.integer({ min: 1, max: 3 }),
        (all, most) => {
          const rules = { ...RULES, runsMax: most }
          let state: TaskState = TASK_AT_REST
          let latest = Number.NEGATIVE_INFINITY
          const feed = (given: TaskInput) => {
            if (given.type === 'ended' && state.running === 0) return
            const before = state
            const step = stepTask(rules, Object.freeze(state), given)
            state = step.state
            expect(state.running).toBeLessThanOrEqual(most)
            for (const effect of step.effects) {
              if (effect.type === 'run') {
                expect(state.isActive).toBe(true)
                expect(effect.dueAt).toBeGreaterThan(latest)
                latest = effect.dueAt
              }
              if (effect.type !== 'ask') continue
              expect(before.isAsked && given.type !== 'told').toBe(false)
              const dueAt = (Math.floor(effect.after / 10) + 1) * 10
              feed({ type: 'told', now: given.now, dueAt, delayMs: 0 })
            }
            // While it is active, a next time is known or asked for.
            if (state.isActive) expect(state.next !== null || state.isAsked).toBe(true)
          }
          for (const one of all) feed(one)
        },
      ),
    )
  })
})
