/** Chromium runs what each bundler makes of pages with the loop, the client, and event streams. */
import { basename } from 'node:path'
import type { Browser } from 'playwright'
import { launchChromium } from '../support/chromium.ts'
import { CHROMIUM } from '../support/chromium-path.ts'
import { BUNDLERS, bundlePage, sizeOf } from './bundlers.ts'
import { install, NotRun } from './packed.ts'
import { exchangeBoth, type Found, type Place } from './place.ts'

const PROGRAMS = { loop: 'loop.js', client: 'client.js', 'event streams': 'events.js' }
const RUN_MS = 30_000

export async function chromiumColumn({ home, servers }: Place): Promise<Found> {
  if (CHROMIUM === undefined) throw new NotRun('Chromium is not installed')
  await install(home, ...Object.values(BUNDLERS).flatMap(({ packages }) => packages))
  const browser = await launchChromium()
  try {
    const cells: Record<string, string> = {}
    for (const name of Object.keys(BUNDLERS)) {
      for (const [kind, program] of Object.entries(PROGRAMS)) {
        const page = await bundlePage(name, home, program)
        const where = `${name}, ${kind}`
        await exchangeBoth(where, servers, (url, version) =>
          titleOf(browser, `${servers.origin}/pages/${basename(page)}/#${url},${version}`),
        )
        const { bytes, gzip, brotli } = sizeOf(page)
        const [min, small, smaller] = [bytes, gzip, brotli].map((size) => size.toLocaleString('en'))
        cells[where] = `${min} B, gzip ${small}, brotli ${smaller}`
      }
    }
    return { title: `Chromium ${browser.version().split('.')[0]}`, cells }
  } finally {
    await browser.close()
  }
}

/** @returns the title of the page once it has one; nothing may go wrong in the page meanwhile. */
async function titleOf(browser: Browser, address: string): Promise<string> {
  const page = await browser.newPage()
  const thrown: string[] = []
  page.on('pageerror', (error) => thrown.push(String(error)))
  try {
    await page.goto(address)
    await page
      .waitForFunction('document.title !== ""', null, { timeout: RUN_MS })
      .catch(() => thrown.push(`no result within ${RUN_MS / 1000} s`))
    return thrown.length > 0 ? thrown.join('\n') : await page.title()
  } finally {
    await page.close()
  }
}
