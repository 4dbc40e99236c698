/**
 * Goal: whatever ends a loop, the process exits by itself. Method: a program of its own for each
 * kind of end; a handle that is left would keep it alive until the time-out.
 */
import { execFile } from 'node:child_process'
import { createServer, type Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createBroker } from '../../src/testing/index.ts'

const broker = createBroker()
let server: Server
let url: string

beforeAll(async () => {
  server = createServer((socket) => broker.accept(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  url = `mqtt://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
})

afterAll(() => {
  broker.close()
  server.close()
})

const kinds = [
  ...['done', 'break', 'throw', 'abort', 'disconnect', 'shutdown', 'refused', 'return', 'pending'],
  ...['connect', 'run', 'unreachable', 'never started'],
]

test.each(kinds)('[N4] the process exits by itself after: %s', async (kind) => {
  const program = fileURLToPath(new URL('ends.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', program, kind, url],
    {
      timeout: 20_000,
    },
  )
  expect(stdout).toMatch(/left: $/m)
})
