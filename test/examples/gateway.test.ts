import { expect, test } from 'vitest'
import { finish } from '../support/process.ts'

test('[S1] the gateway, killed and cut off again and again, loses no sample that it had on disk', async () => {
  const { code, stdout, stderr } = await finish(
    process.execPath,
    ['--import', 'tsx', 'docs/examples/gateway/main.ts', '--kills', '8'],
    60_000,
  )
  expect(stderr).toBe('')
  expect(stdout).toMatch(/^killed 8 times: \d+ samples on disk, \d+ arrived, \d+ twice, 0 lost\n$/)
  expect(code).toBe(0)
})
