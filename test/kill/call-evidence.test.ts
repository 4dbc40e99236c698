/**
 * Goal: the drill that kills services finds what is wrong with a call. Method: stories of one call,
 * one for each fault, and what the evidence says of them.
 */
import { expect, test } from 'vitest'
import { CALL_MS, CallEvidence } from './call-evidence.ts'

type Told = (evidence: CallEvidence) => void

const end = 1000 + CALL_MS

/** The call is made at 1000; one service lives from 500 to 1020, and one from 500 on. */
function problemsOf(result: string, at: number, tell: Told, rpc: 'once' | 'again' = 'once') {
  const evidence = new CallEvidence()
  evidence.ready('s0.0', 500)
  evidence.killed('s0.0', 1020)
  evidence.ready('s1.0', 500)
  evidence.called('c0.0.1', rpc, 1000)
  tell(evidence)
  if (result !== '') evidence.settled('c0.0.1', result, at)
  return evidence.problems()
}

const nothing: Told = () => {}
const executedBy =
  (...by: readonly (readonly [life: string, at: number])[]): Told =>
  (evidence) => {
    for (const [life, at] of by) evidence.executed('c0.0.1', life, at)
  }

test.each<[story: string, result: string, at: number, tell: Told, problem: RegExp]>([
  ['no result', '', 0, nothing, /has no result/],
  ['an answer of nobody', 'ok', 1010, nothing, /executed by nobody/],
  ['a late result', 'ok', end + 9001, executedBy(['s1.0', 1010]), /open for 12001 ms/],
  ['a code for another fault', 'UNKNOWN', 1010, nothing, /nothing here explains/],
  ['busy, but executed', 'BUSY', 1010, executedBy(['s1.0', 1005]), /was executed by s1.0/],
  ['nobody, but one was there', 'NO_RESPONDERS', 1010, nothing, /have had an answer of s0.0/],
  ['an early time-out', 'TIMEOUT', end - 50, nothing, /told so after 2950 ms/],
  [
    'a service that lives and is silent',
    ...(['TIMEOUT', end, executedBy(['s1.0', 1005]), /s1.0, which lives on/] as const),
  ],
  ['a repetition', 'ok', 1010, executedBy(['s1.0', 1005], ['s1.0', 1007]), /by s1.0 twice/],
  [
    'a repetition while the first lives',
    ...(['ok', 1010, executedBy(['s0.0', 1003], ['s1.0', 1007]), /while s0.0, .* lives/] as const),
  ],
])('what is wrong is found: %s', (_, result, at, tell, problem) => {
  const problems = problemsOf(result, at, tell)
  expect(problems).toHaveLength(1)
  expect(problems[0]).toMatch(problem)
})

test.each<[story: string, result: string, at: number, tell: Told]>([
  ['an answer', 'ok', 1010, executedBy(['s1.0', 1005])],
  ['a time-out because its service was killed', 'TIMEOUT', end, executedBy(['s0.0', 1005])],
  ['a repetition after a kill', 'ok', 1050, executedBy(['s0.0', 1005], ['s1.0', 1030])],
  ['busy', 'BUSY', 1010, nothing],
])('what is right has no problem: %s', (_, result, at, tell) => {
  expect(problemsOf(result, at, tell)).toEqual([])
})

test('nobody serves after the last service was killed', () => {
  const killed: Told = (evidence) => evidence.killed('s1.0', 990)
  expect(problemsOf('NO_RESPONDERS', 1040, killed)).toEqual([])
})

test('an idempotent call may be executed by another process as well', () => {
  const both = executedBy(['s0.0', 1003], ['s1.0', 1007])
  expect(problemsOf('ok', 1010, both, 'again')).toEqual([])
})

test('a result that nobody waits for, and an execution that nobody has asked for, are found', () => {
  const evidence = new CallEvidence()
  evidence.settled('c0.0.9', 'ok', 1000)
  evidence.executed('c0.0.8', 's0.0', 1000)
  expect(evidence.problems()).toHaveLength(2)
})

test('each call counts once: answered, told, or its caller was killed', () => {
  const evidence = new CallEvidence()
  for (const i of [1, 2, 3, 4, 5]) evidence.called(`c0.0.${i}`, 'once', 1000)
  evidence.called('c1.0.1', 'once', 1000)
  evidence.executed('c0.0.1', 's0.0', 1001)
  evidence.executed('c0.0.2', 's0.0', 1001)
  evidence.executed('c0.0.4', 's0.0', 1001)
  evidence.executed('c1.0.1', 's0.0', 1001)
  evidence.executed('c1.0.1', 's1.0', 1002)
  evidence.settled('c0.0.1', 'ok', 1002)
  evidence.settled('c0.0.2', 'TIMEOUT', 4000)
  evidence.settled('c0.0.3', 'TIMEOUT', 4000)
  evidence.callerKilled('c0.0.', 4000)
  evidence.settled('c1.0.1', 'ok', 1003)
  expect(evidence.open).toBe(0)
  expect(evidence.figures()).toEqual({
    ...{ calls: 6, answered: 2, told: { TIMEOUT: 2 }, callerKilled: 2, executed: 4 },
    ...{ executedAndTold: 1, executedForNobody: 1, executedTwice: 1 },
  })
})
