/**
 * Goal: the examples of README and guide do what they say. Method: each block of code runs as a program of its own against a
 * broker in this process; what it prints is compared with the block of text below it.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Aedes } from 'aedes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
let broker: Aedes
let server: Server
let folder: string
let port: number

beforeAll(async () => {
  broker = await Aedes.createBroker()
  server = createServer(broker.handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  port = typeof address === 'object' && address !== null ? address.port : 0
  folder = await mkdtemp(`${root}test/docs/run-`)
})

afterAll(async () => {
  broker.close()
  server.close()
  await rm(folder, { recursive: true })
})

for (const document of ['README.md', 'docs/GUIDE.md']) {
  describe(document, async () => {
    const text = await readFile(`${root}${document}`, 'utf8')
    let heading = ''
    let number = 0
    for (const match of text.matchAll(
      /^#+ (.*)$|^```ts\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```)?/gm,
    )) {
      const [, title, code, printed] = match
      if (title !== undefined) heading = title
      if (code === undefined) continue
      number++
      const name = `${number}.ts`
      test(`example ${number}, "${heading}", prints what stands below it`, async () => {
        const path = `${folder}/${document.replaceAll('/', '-')}-${name}`
        await writeFile(path, code.replaceAll("'mqtt://localhost'", `'mqtt://127.0.0.1:${port}'`))
        const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', path], {
          cwd: root,
          timeout: 25_000,
        })
        expect(stdout).toBe(printed)
      })
    }
    test('there are examples', () => expect(number).toBeGreaterThan(0))
  })
}
