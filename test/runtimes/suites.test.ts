/**
 * Goal: a run of the tests in another runtime cannot be green by mistake. Method: reports with each
 * thing that may be wrong, and a look at the runtime that runs this.
 */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from './packed.ts'
import { judge } from './suites.ts'

const file = 'test/a.test.ts'
const known = [{ file, title: 'known', reason: 'It is known.' }]

function reportOf(...results: readonly (readonly [title: string, status: string])[]) {
  const assertionResults = results.map(([fullName, status]) => ({
    ...{ fullName, status },
    failureMessages: status === 'failed' ? ['Error: why\n    at once'] : [],
  }))
  const status = results.some(([, one]) => one === 'failed') ? 'failed' : 'passed'
  return { testResults: [{ name: join(ROOT, file), status, assertionResults }] }
}

test('a suite in which only the known tests fail is as good as it should be', () => {
  const report = reportOf(['known: one', 'failed'], ['other', 'passed'], ['third', 'skipped'])
  expect(judge(report, known)).toEqual({ total: 3, passed: 1, skipped: 1, problems: [] })
})

test('an unknown failure, a file that cannot be loaded and a mended test are problems', () => {
  expect(judge(reportOf(['other', 'failed']), []).problems).toEqual([
    `failed: ${file}: other: Error: why`,
  ])
  const unloaded = { name: join(ROOT, file), status: 'failed', message: 'no', assertionResults: [] }
  expect(judge({ testResults: [unloaded] }, []).problems).toEqual([`not loaded: ${file}: no`])
  expect(judge(reportOf(['known', 'passed']), known).problems).toEqual([
    `no longer fails, or is gone: ${file}: known`,
  ])
  expect(judge(reportOf(['other', 'passed']), known).problems).toHaveLength(1)
})

test('a test that fails in some runs only may pass, but has to be there', () => {
  const uncertain = known.map((one) => ({ ...one, mayPass: true }))
  expect(judge(reportOf(['known', 'passed']), uncertain).problems).toEqual([])
  expect(judge(reportOf(['known', 'failed']), uncertain).problems).toEqual([])
  expect(judge(reportOf(['other', 'passed']), uncertain).problems).toHaveLength(1)
})

const asked = process.env['IT_MQTT_RUNTIME']

test.skipIf(asked === undefined)('the tests run in the runtime that was asked for', () => {
  const other = ['bun', 'deno'].find((name) => name in process.versions)
  expect(other ?? `node-${process.versions.node.split('.')[0]}`).toBe(asked)
})
