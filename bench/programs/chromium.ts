/**
 * A program of bench/browser in Chromium, behind a WebSocket listener of this process, against the
 * raw server. Prints messages a second. chromium PORT it-mqtt|mqttjs pub|sub QOS COUNT SIZE
 */
import { build } from 'esbuild'
import { chromium } from 'playwright'
import { Gateway } from '../../test/browser/gateway.ts'
import { freePort } from '../measure.ts'

const [port, peer, mode, qos, count, size] = process.argv.slice(2)
const { outputFiles } = await build({
  entryPoints: [`bench/browser/${peer}.ts`],
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  write: false,
  // Without the paths of tsconfig.json `it-mqtt` is what was built, in the flavour for browsers.
  tsconfigRaw: '{}',
})
const files = new Map([['/work.js', outputFiles[0]!.text]])
const gateway = new Gateway(await freePort(), Number(port), files)
await gateway.listen()
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox'],
})
const page = await browser.newPage()
await page.goto(gateway.pageUrl)
await page.addScriptTag({ url: '/work.js', type: 'module' })
await page.waitForFunction('globalThis.work !== undefined')
const work = { url: gateway.url, mode, qos: Number(qos), count: Number(count), size: Number(size) }
const rate = await page.evaluate(`work(${JSON.stringify(work)})`)
console.log(JSON.stringify({ rate: Math.round(Number(rate)) }))
await browser.close()
await gateway.close()
process.exit(0)
