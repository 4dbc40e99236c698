/**
 * Goal: the shop of docs/examples/shop does what its files say, from an order to its letters and the
 * report, and ends in order. Method: `npm run shop` as a process with a customer at its broker; and
 * its page in Chromium. Nothing waits for a time, only for events.
 */
import { once } from 'node:events'
import { expect, onTestFinished, test, vi } from 'vitest'
import { mail, orders, packing, reports } from '../../docs/examples/shop/apis.ts'
import { openShop } from '../../docs/examples/shop/shop.ts'
import { createBus, declaredError } from '../../src/bus/index.ts'
import { launchChromium, requireChromium } from '../support/chromium.ts'
import { CHROMIUM } from '../support/chromium-path.ts'
import { start, temporaryFolder } from '../support/process.ts'

/** What both sides of a call report if an order is refused. */
const REFUSED = ['execute stock take', 'call stock take', 'execute orders place'].map(
  (what) => `${what} failed: SOLD_OUT`,
)

/** Starts the program. @returns the address of its page, and its end. */
async function started() {
  const args = ['--import', 'tsx', 'docs/examples/shop/main.ts', '--port', '0']
  const child = start(process.execPath, args)
  const closed = once(child, 'close')
  onTestFinished(() => void child.kill('SIGKILL'))
  let errors = ''
  child.stderr!.setEncoding('utf8').on('data', (text) => (errors += text))
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout!.setEncoding('utf8').once('data', (text) => resolve(text.split('\n')[0]))
    child.once('close', () => reject(new Error(errors)))
  })
  const end = async () => {
    child.kill('SIGINT')
    const [code] = await closed
    return { code, errors }
  }
  return { url, end }
}

test('an order is taken from the stock, packed, written of and reported; the shop ends in order', async () => {
  const { url, end } = await started()
  const client = new URL('/mqtt', url.replace('http', 'ws'))
  await using bus = createBus({ service: 'customer', process: 'ada', client })
  const { placed } = bus.api(orders)
  const { packed } = bus.api(packing)
  const ports = [placed, packed, bus.api(mail).sent, bus.api(reports).sales] as const
  const events = bus.listen('all', ports, { share: false })
  await events.granted

  const wanted = { item: 'teapot', count: 2, email: 'ada@example.com' } as const
  const order = await bus.api(orders).place(wanted)
  expect(order).toEqual({ ...wanted, id: order.id, packed: false })
  const refused = await bus
    .api(orders)
    .place(wanted)
    .catch((error: unknown) => error)
  expect(declaredError(orders.rpcs.place, refused)).toMatchObject({
    ...{ code: 'SOLD_OUT', data: { left: 1 } },
  })
  const nonsense = bus.api(orders).place({ ...wanted, email: 'ada' })
  await expect(nonsense).rejects.toMatchObject({ code: 'INVALID_INPUT' })

  const seen: unknown[] = []
  const report = { placed: 1, packed: 1 }
  while (JSON.stringify(seen.at(-1)) !== JSON.stringify(report)) {
    const { value: event } = await events.next()
    const value: unknown = event!.value
    // How many reports there are while it is packed depends on when it was ordered.
    if (event!.event !== 'sales') seen.push({ [event!.event]: value })
    else if ((value as typeof report).packed === 1) seen.push(value)
  }
  const { email } = wanted
  expect(seen.at(-1)).toEqual(report)
  expect(seen).toHaveLength(5)
  expect(seen).toEqual(
    expect.arrayContaining([
      { placed: order },
      { packed: { ...order, packed: true } },
      { sent: { email, text: 'Thank you for ordering teapot.' } },
      { sent: { email, text: 'Your teapot is on its way.' } },
    ]),
  )
  expect(await bus.api(orders).list()).toEqual([{ ...order, packed: true }])

  expect(await (await fetch(url)).text()).toContain('<script type="module" src="page.js">')
  expect((await fetch(new URL('/page.js', url))).headers.get('content-type')).toMatch(/javascript/)
  expect((await fetch(new URL('/main.ts', url))).status).toBe(404)
  await bus.close()
  const { code, errors } = await end()
  expect(code).toBe(0)
  // Nothing else went wrong.
  expect(errors).toBe(REFUSED.map((line) => `${line}\n`).join(''))
})

test('the page shows orders of others, and places one', async (context) => {
  requireChromium(context)
  if (CHROMIUM === undefined) return
  const folder = temporaryFolder()
  const shop = await openShop(0, folder.path)
  const browser = await launchChromium()
  onTestFinished(async () => {
    await browser.close()
    await shop.close()
    await shop.ended
    folder.remove()
  })
  const said = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => said.mockRestore())
  const thrown: string[] = []
  const [page, other] = await Promise.all([browser.newPage(), browser.newPage()])
  for (const one of [page, other]) {
    one.on('pageerror', (error) => thrown.push(String(error)))
    await one.goto(shop.pageUrl)
  }
  await page.getByLabel('Item').selectOption('teapot')
  await page.getByRole('button', { name: 'Order' }).click()
  await page.getByText('Thank you! Your order is').waitFor()
  // Both pages hear of it.
  for (const one of [page, other]) {
    await one.locator('li.packed', { hasText: '1 × teapot for ada@example.com' }).waitFor()
    await one.getByText('to ada@example.com: Your teapot is on its way.').waitFor()
  }
  await page.getByLabel('How many').fill('3')
  await page.getByRole('button', { name: 'Order' }).click()
  await page.getByText('Only 2 are left.').waitFor()
  // A page that is opened later asks for what there is.
  await other.reload()
  await other.locator('li.packed', { hasText: '1 × teapot' }).waitFor()
  expect(await other.locator('#orders li').count()).toBe(1)
  expect(new Set(said.mock.calls.flat())).toEqual(new Set(REFUSED))
  expect(thrown).toEqual([])
})
