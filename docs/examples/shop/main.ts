/**
 * A shop on the bus: services, a worker, a scheduler and a page, with a broker of its own.
 *
 *   npm run shop                    at http://127.0.0.1:8084/, until Ctrl+C
 *   npm run shop -- --port 9000     at this port
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openShop } from './shop.ts'

const { values } = parseArgs({ options: { port: { type: 'string', default: '8084' } } })
const folder = await mkdtemp(join(tmpdir(), 'shop-'))
const shop = await openShop(Number(values.port), folder)
console.log(`${shop.pageUrl}\nCtrl+C ends.`)
try {
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), shop.ended])
} finally {
  await shop.close()
  await rm(folder, { recursive: true })
}
