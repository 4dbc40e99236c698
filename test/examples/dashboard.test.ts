/**
 * Goal: the dashboard of docs/examples/dashboard shows what a broker has, publishes, survives a
 * restart of the broker, and can be used by keyboard and in a narrow window. Method: the demo as
 * `npm run dashboard` starts it, in Chromium; what a person would see is read from the page.
 * Screenshots are written to output/.
 */
import type { Page } from 'playwright'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Demo, openDemo } from '../../docs/examples/dashboard/demo.ts'
import { runPlant } from '../../docs/examples/dashboard/plant.ts'
import { launchChromium, outputPath, requireChromium } from '../support/chromium.ts'
import { CHROMIUM } from '../support/chromium-path.ts'

const WIDE = { width: 1360, height: 900 }
const NARROW = { width: 390, height: 844 }
/** How many topics the plant has from its first second on. */
const TOPICS = 19

let browser: Awaited<ReturnType<typeof launchChromium>> | null = null

beforeAll(async () => {
  if (CHROMIUM !== undefined) browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
})

interface Opened {
  readonly demo: Demo
  readonly page: Page
  /** What the page threw and nobody caught. */
  readonly thrown: readonly string[]
}

async function open(query = ''): Promise<Opened> {
  const demo = await openDemo(0)
  const ending = new AbortController()
  const plant = runPlant(demo.brokerUrl, ending.signal)
  const page = await browser!.newPage({ viewport: WIDE })
  const thrown: string[] = []
  page.on('pageerror', (error) => thrown.push(String(error)))
  onTestFinished(async () => {
    await page.close()
    ending.abort()
    await plant
    await demo.close()
  })
  await page.goto(demo.pageUrl + query)
  return { demo, page, thrown }
}

const topic = (page: Page, name: string) => page.locator(`[data-topic="${name}"]`)
const topics = (page: Page) => page.locator('[data-topic]').count()
const kind = (page: Page) => page.getByRole('status').getAttribute('data-kind')
const card = (page: Page, name: string) => page.getByRole('region', { name, exact: true })
const until = <T>(look: () => Promise<T>, expected: T) =>
  vi.waitFor(async () => expect(await look()).toEqual(expected), { timeout: 20_000, interval: 50 })

async function publish(page: Page, to: string, payload: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Topic', exact: true }).fill(to)
  await page.getByLabel('Payload').fill(payload)
  await page.getByLabel('Payload').press('Control+Enter')
}

const outcomes = (page: Page) =>
  page
    .locator('.sent li')
    .evaluateAll((items) => items.map((item) => item.getAttribute('data-status')))

async function overflows(page: Page): Promise<boolean> {
  return page.evaluate('document.documentElement.scrollWidth > innerWidth')
}

describe('the dashboard in Chromium', () => {
  test('topics appear by themselves, and a publish comes back', async (context) => {
    requireChromium(context)
    const { page, thrown } = await open()
    await vi.waitFor(async () => expect(await topics(page)).toBeGreaterThanOrEqual(TOPICS), 20_000)
    expect(await kind(page)).toBe('connected')
    await publish(page, 'plant/line-1/setpoint/set', '90')
    await until(() => outcomes(page), ['ok'])
    const setPoint = topic(page, 'plant/line-1/setpoint').locator('.value')
    await vi.waitFor(async () => expect(await setPoint.textContent()).toMatch(/^90/), 20_000)
    // The payload is what was written, in the topic's card too.
    await topic(page, 'plant/line-1/setpoint/set').click()
    expect(await card(page, 'Topic').locator('pre').textContent()).toBe('90')
    const vibration = topic(page, 'plant/line-2/vibration')
    await vi.waitFor(async () => {
      expect(Number(await vibration.locator('.rate').textContent())).toBeGreaterThan(1)
      expect(await vibration.locator('svg polyline').count()).toBe(1)
    }, 20_000)
    expect(thrown).toEqual([])
  })

  test('a restart of the broker is shown, and the page goes on', async (context) => {
    requireChromium(context)
    const { demo, page, thrown } = await open()
    await vi.waitFor(async () => expect(await topics(page)).toBeGreaterThanOrEqual(TOPICS), 20_000)
    await topic(page, 'plant/line-1/temperature').click()
    await demo.stopBroker()
    await until(async () => (await kind(page)) !== 'connected', true)
    await publish(page, 'from/the/page', 'kept')
    await until(() => outcomes(page), ['open'])
    await vi.waitFor(
      async () => expect(await page.locator('.retry').textContent()).toMatch(/^Next attempt in /),
      20_000,
    )
    await page.screenshot({ path: outputPath('dashboard-reconnecting.png') })
    await demo.startBroker()
    await until(() => kind(page), 'connected')
    // What was published meanwhile is there, and the topics go on.
    await until(() => outcomes(page), ['ok'])
    await until(async () => topic(page, 'from/the/page').locator('.value').textContent(), 'kept')
    const changes = page.locator('.changes li')
    const kinds = await changes.evaluateAll((all) => all.map((one) => one.getAttribute('data-to')))
    expect(kinds[0]).toBe('connected')
    expect(kinds).toContain('disconnected')
    expect(await changes.first().locator('time').textContent()).toMatch(/^\d\d:\d\d:\d\d$/)
    const temperature = topic(page, 'plant/line-1/temperature').locator('i')
    await vi.waitFor(async () => {
      expect(
        Number(await temperature.evaluate((dot) => dot.style.getPropertyValue('--glow'))),
      ).toBeGreaterThan(0)
    }, 20_000)
    expect(thrown).toEqual([])
  })

  test('it is used by keyboard, and settings that cannot be used are explained', async (context) => {
    requireChromium(context)
    const { demo, page, thrown } = await open('?filter=plant/%2B/temperature')
    await until(() => topics(page), 3)
    await page.keyboard.press('Tab')
    await page.getByRole('treeitem').first().focus()
    for (const key of ['ArrowDown', 'ArrowDown', 'ArrowDown']) await page.keyboard.press(key)
    await until(() => card(page, 'Topic').locator('h2').textContent(), 'plant/line-2')
    await page.keyboard.press('ArrowRight')
    const chosen = page.locator('[aria-selected=true]')
    await until(() => chosen.getAttribute('data-topic'), 'plant/line-2/temperature')
    await page.keyboard.press('ArrowLeft')
    await page.keyboard.press('ArrowLeft')
    await until(() => topics(page), 2)
    await page.keyboard.press('s')
    const url = page.getByLabel('URL of the WebSocket listener')
    await url.fill('mqtt://localhost')
    await page.keyboard.press('Enter')
    await until(
      async () => /mqtt: needs sockets/.test((await page.getByRole('alert').textContent()) ?? ''),
      true,
    )
    await url.fill('')
    // As slowly as a person: the page is drawn again meanwhile.
    await url.pressSequentially(demo.brokerUrl, { delay: 40 })
    await page.getByLabel('Topic filters').fill('weather/#, energy/#')
    await page.getByLabel('Topic filters').press('Enter')
    await until(() => page.getByRole('dialog').count(), 0)
    await vi.waitFor(async () => expect(await topics(page)).toBe(4), 20_000)
    await page.keyboard.press('/')
    await page.keyboard.type('solar')
    await until(() => topics(page), 1)
    expect(thrown).toEqual([])
  })

  test('it is drawn in light and dark, and nothing sticks out of a narrow window', async (context) => {
    requireChromium(context)
    const { page, thrown } = await open()
    await vi.waitFor(async () => expect(await topics(page)).toBeGreaterThanOrEqual(TOPICS), 20_000)
    await publish(page, 'plant/line-1/setpoint/set', '75')
    await topic(page, 'plant/line-1/temperature').click()
    const values = topic(page, 'plant/line-1/temperature').locator('polyline')
    await vi.waitFor(async () => {
      const points = (await values.getAttribute('points'))?.split(' ') ?? []
      expect(points.length).toBeGreaterThan(12)
    }, 30_000)
    const paper = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
    const papers = new Set<unknown>()
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      papers.add(await paper())
      await page.screenshot({ path: outputPath(`dashboard-${colorScheme}.png`) })
    }
    expect(papers.size).toBe(2)
    expect(await overflows(page)).toBe(false)
    await page.setViewportSize(NARROW)
    await page.screenshot({ path: outputPath('dashboard-narrow.png'), fullPage: true })
    expect(await overflows(page)).toBe(false)
    expect(thrown).toEqual([])
  })
})
