/**
 * Goal: the examples of docs/GUIDE.md for browsers print in Chromium what stands below them. Method:
 * each is bundled as a page of a user would be, with the broker of the dashboard at its URL.
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openDemo } from '../../docs/examples/dashboard/demo.ts'
import { launchChromium, requireChromium } from '../support/chromium.ts'

const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const EXAMPLES = /^```ts browser\n([\s\S]*?)^```\n\n```text\n([\s\S]*?)^```/gm
const URL_OF_GUIDE = 'ws://localhost:9001/mqtt'

const guide = await readFile(file('docs/GUIDE.md'), 'utf8')
const examples = [...guide.matchAll(EXAMPLES)].map(([, code, printed]) => ({ code, printed }))

async function bundled(contents: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: file('docs'), loader: 'ts' },
    tsconfig: file('docs/examples/dashboard/page/tsconfig.json'),
    ...{ bundle: true, format: 'esm', target: 'es2022', write: false, logLevel: 'warning' },
  })
  return outputFiles[0]!.text
}

test('the guide has examples for browsers', () => {
  expect(examples).not.toEqual([])
})

for (const { code, printed } of examples) {
  test(`it prints in Chromium what the guide says: ${printed!.trim()}`, async (context) => {
    requireChromium(context)
    const demo = await openDemo(0)
    const browser = await launchChromium()
    onTestFinished(async () => {
      await browser.close()
      await demo.close()
    })
    const page = await browser.newPage()
    // A page that came from nowhere has neither IndexedDB nor Web Locks.
    await page.goto(`${demo.pageUrl}empty`)
    let lines = ''
    page.on('console', (message) => {
      if (message.type() === 'log') lines += `${message.text()}\n`
    })
    page.on('pageerror', (error) => {
      lines += `${error}\n`
    })
    const program = code!.replace(URL_OF_GUIDE, demo.brokerUrl)
    await page.addScriptTag({ content: await bundled(program), type: 'module' })
    await vi.waitFor(() => expect(lines.length).toBeGreaterThanOrEqual(printed!.length), 20_000)
    expect(lines).toBe(printed)
  })
}
