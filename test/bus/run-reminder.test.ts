/**
 * Goal: a program that adds something to a bus and forgets `run()` is told so when it ends. Method:
 * processes of their own, which end because there is nothing left to do.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'

const run = promisify(execFile)
const BUS = `
import { createBus } from './src/bus/index.ts'
const client = 'mqtt://127.0.0.1:1'
const bus = createBus({ service: 'shop', process: 'p1', client })
`
const TOLD = 'what every() has added to the bus shop/p1 was never run; await bus.run()'

describe('a process that ends', () => {
  test.each([
    ['after run() was forgotten', 'bus.every({ seconds: 5 }, () => {})', true],
    ['after its bus was closed', 'bus.every({ seconds: 5 }, () => {}); await bus.close()', false],
    [
      'after a run',
      'bus.every({ seconds: 5 }, () => {}); bus.run({ signal: AbortSignal.abort() })',
      false,
    ],
    ['without anything to run', '', false],
  ])('%s', async (_, words, isTold) => {
    const args = ['--import', 'tsx', '--input-type=module', '-e', BUS + words]
    const { stderr } = await run(process.execPath, args)
    expect(stderr.includes(TOLD)).toBe(isTold)
    expect(stderr.includes('RUN_MISSING')).toBe(isTold)
  })
})
