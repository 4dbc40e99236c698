import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const MAIN = fileURLToPath(new URL('../../docs/examples/main-job/main.ts', import.meta.url))

function mainJob(...args: string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args])
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) =>
    child.once('close', (status) => resolve({ status, stdout, stderr })),
  )
}

test('[CLI] the main job loses nothing and keeps the order over a link that is cut', async () => {
  const { status, stdout, stderr } = await mainJob('--readings', '2000', '--cuts', '3')
  expect(stdout.trim().split('\n').at(-1)).toBe(
    'published 2000, acknowledged 2000, received 2000, lost 0, out of order 0, reconnections 3',
  )
  expect(status).toBe(0)
  expect(stderr).toContain('100 %')
})

test('[CLI] the main job without a broker is one line and status 1', async () => {
  const { status, stdout, stderr } = await mainJob('mqtt://127.0.0.1:1')
  expect(status).toBe(1)
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^[^\n]*ECONNREFUSED[^\n]*\n$/)
})
