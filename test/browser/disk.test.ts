/**
 * Goal: what a page has pushed to a spool in IndexedDB is delivered, exactly once at QoS 2, however often the page is loaded again
 * meanwhile. Method: Chromium of Debian, a page that is loaded again in the middle of 3,000 messages, mosquitto, and a subscriber
 * on Node that counts.
 */
import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createClient } from '../../src/client/index.ts'
import { WebBroker } from './web-broker.ts'

const CHROMIUM = '/usr/bin/chromium'
const isHere = existsSync(CHROMIUM)
const COUNT = 3000

describe.skipIf(!isHere)('[S1] a page with a disk in Chromium', () => {
  let browser: Browser
  let broker: WebBroker

  beforeAll(async () => {
    broker = await WebBroker.start(['disk'])
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
  })

  afterAll(async () => {
    await browser?.close()
    await broker?.close()
  })

  async function opened(): Promise<Page> {
    const page = await (await browser.newContext()).newPage()
    page.on('pageerror', (error) => console.error(error))
    await page.goto(broker.pageUrl)
    await withPrograms(page)
    return page
  }

  async function withPrograms(page: Page): Promise<void> {
    await page.addScriptTag({ url: '/disk.js', type: 'module' })
    await page.waitForFunction('globalThis.disk !== undefined')
  }

  /** Receives the numbers. @returns how often each of them came. */
  async function received(qos: 1 | 2): Promise<Map<string, number>> {
    const counts = new Map<string, number>()
    const client = createClient({ url: broker.url, clientId: `counter ${qos}` })
    onTestFinished(async () => void (await client.close()))
    const numbers = client.subscribe(`numbers/${qos}`, { qos })
    await numbers.granted
    ;(async () => {
      for await (const { payload } of numbers) {
        const text = String(payload)
        counts.set(text, (counts.get(text) ?? 0) + 1)
      }
    })()
    return counts
  }

  test.each([1, 2] as const)('loaded again three times, at QoS %d', async (qos) => {
    const counts = await received(qos)
    const page = await opened()
    expect(await page.evaluate(`disk.push(${qos}, ${COUNT})`)).toBe(COUNT)
    for (const left of [2400, 1600, 800]) {
      page.evaluate(`disk.send('${broker.url}', ${qos})`).catch(() => {})
      await page.waitForFunction(`globalThis.left < ${left}`)
      await page.reload()
      await withPrograms(page)
    }
    const { size, lost } = (await page.evaluate(`disk.send('${broker.url}', ${qos})`)) as {
      readonly size: number
      readonly lost: number
    }
    expect(size).toBeLessThan(2400)
    expect(size).toBeGreaterThan(0)
    expect(lost).toBe(0)
    await expect.poll(() => counts.size).toBe(COUNT)
    const twice = [...counts.values()].filter((count) => count > 1).length
    console.log(`QoS ${qos}: ${twice} of ${COUNT} came twice`)
    if (qos === 2) expect(twice).toBe(0)
  })

  test('a second tab is told IN_USE, and goes on once the first one is closed', async () => {
    const first = await opened()
    const second = await first.context().newPage()
    await second.goto(broker.pageUrl)
    await withPrograms(second)
    await first.evaluate('disk.push(1, 10)')
    first.evaluate(`disk.send('ws://127.0.0.1:9/mqtt', 1)`).catch(() => {})
    await expect.poll(() => second.evaluate('disk.codeOfSecond(1)')).toBe('IN_USE')
    await first.close()
    expect(await second.evaluate('disk.codeOfSecond(1)')).toBe('none')
    expect(await second.evaluate('disk.codeOfFile()')).toBe('NO_FILES')
    await second.close()
  })

  test.runIf(process.env['IT_MQTT_FIGURES'])('figures', async () => {
    const page = await opened()
    console.log(await page.evaluate('disk.figures()'))
    for (const qos of [1, 2]) {
      await page.evaluate(`disk.push(${qos}, ${COUNT})`)
      const at = performance.now()
      await page.evaluate(`disk.send('${broker.url}', ${qos}, 'figures ${qos}')`)
      console.log(`QoS ${qos}`, Math.round(COUNT / ((performance.now() - at) / 1000)), 'per second')
    }
  })
})
