/**
 * Goal: a fake bus works in Node's test runner as it does in vitest, and the process ends. Method: a
 * program for that runner, in a process of its own. What vitest needs the other files here show.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../..', import.meta.url))

test('[B17] a fake bus works in node:test, and leaves no handle', async () => {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const args = ['--import', 'tsx', 'test/bus/testing/node-runner.ts']
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    ...{ cwd: root, timeout: 60_000, env: { ...env, NO_COLOR: '1' } },
  })
  expect(stdout).toMatch(/pass 2$/m)
  expect(stdout).toMatch(/fail 0$/m)
})
