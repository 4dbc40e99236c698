/**
 * A page that shows what a broker has, live:
 *
 *   npm run dashboard                          with a broker and a plant of its own
 *   npm run dashboard -- --port 9000           at this port; default 8083
 *   npm run dashboard -- --build FOLDER        only writes the page, for any web server
 *
 * Return restarts the broker, and the page shows it.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { buildPage } from './build-page.ts'
import { openDemo } from './demo.ts'
import { runPlant } from './plant.ts'

/** How long the broker is away, in ms. */
const RESTART_MS = 3000

const { values } = parseArgs({
  options: { port: { type: 'string', default: '8083' }, build: { type: 'string' } },
})

async function write(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const [name, { contents }] of await buildPage()) {
    await writeFile(join(folder, name), contents)
    console.log(`${join(folder, name)}: ${contents.length} bytes`)
  }
}

async function serve(port: number): Promise<void> {
  const demo = await openDemo(port)
  const ending = new AbortController()
  const plant = runPlant(demo.brokerUrl, ending.signal)
  console.log(`${demo.pageUrl}\nReturn restarts the broker, Ctrl+C ends.`)
  const keys = createInterface({ input: process.stdin })
  keys.on('line', async () => {
    console.log('the broker restarts')
    await demo.stopBroker()
    setTimeout(() => demo.startBroker(), RESTART_MS)
  })
  process.once('SIGINT', async () => {
    keys.close()
    ending.abort()
    await plant
    await demo.close()
  })
  await plant
}

if (values.build === undefined) await serve(Number(values.port))
else await write(values.build)
