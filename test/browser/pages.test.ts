/**
 * Goal: what the README promises holds in a real browser, in a page, a Worker and a SharedWorker.
 * Method: Chromium of Debian against mosquitto behind a WebSocket listener of this process.
 */
import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClient } from '../../src/client/index.ts'
import * as engine from '../../src/index.ts'
import { presence, withPresence } from '../../src/presence/index.ts'
import { recordingsOf } from '../simulation/digest.ts'
import type * as work from './page/work.ts'
import { WebBroker } from './web-broker.ts'

const CHROMIUM = '/usr/bin/chromium'
const isHere = existsSync(CHROMIUM)
if (!isHere) {
  if (process.env['IT_MQTT_REQUIRE_BROKERS']) throw new Error(`${CHROMIUM} is missing`)
  console.warn(`The tests in a browser did not run: ${CHROMIUM} is missing.`)
}

/** Runs in the page: its timers fire only at the end of each span of `ms`. */
function throttleTimers(ms: number): void {
  const due = new Map<number, () => void>()
  let last = 0
  const { setInterval } = globalThis
  setInterval(() => {
    for (const [timer, callback] of [...due]) {
      due.delete(timer)
      callback()
    }
  }, ms)
  Object.assign(globalThis, {
    setTimeout: (callback: () => void) => due.set(++last, callback) && last,
    clearTimeout: (timer: number) => due.delete(timer),
  })
}

type Programs = typeof work
type Places = 'page' | 'inWorker' | 'inSharedWorker'

describe.skipIf(!isHere)('in Chromium', () => {
  let browser: Browser
  let broker: WebBroker
  let page: Page

  beforeAll(async () => {
    broker = await WebBroker.start(['page', 'worker'])
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
    page = await opened()
  })

  afterAll(async () => {
    await browser?.close()
    await broker?.close()
  })

  /** @returns a page with the programs. */
  async function opened(prepare: (ms: number) => void = () => {}, ms = 0): Promise<Page> {
    const page = await browser.newPage()
    await page.addInitScript(prepare, ms)
    page.on('pageerror', (error) => console.error(error))
    await page.goto(broker.pageUrl)
    await page.addScriptTag({ url: '/page.js', type: 'module' })
    await page.waitForFunction('globalThis.programs !== undefined')
    return page
  }

  /** Runs a program of work.ts in the page or in a worker of it. */
  function run<Name extends keyof Programs>(
    name: Name,
    args: Parameters<Programs[Name]>,
    place: Places = 'page',
    on: Page = page,
  ): Promise<Awaited<ReturnType<Programs[Name]>>> {
    const call = place === 'page' ? `programs.${name}(...` : `programs.${place}('${name}', ...`
    return on.evaluate(`${call}${JSON.stringify(args)})`)
  }

  const PLACES: readonly Places[] = ['page', 'inWorker', 'inSharedWorker']

  test.each(PLACES)('the first program of the README runs: %s', async (place) => {
    expect(await run('firstProgram', [broker.url], place)).toBe('line 7 has 21.5')
  })

  const TRIPS = ([4, 5] as const).flatMap((protocolVersion) =>
    ([0, 1, 2] as const).map((qos) => ({ protocolVersion, qos, count: 200, size: 64 })),
  )

  test.each([...TRIPS, { protocolVersion: 5, qos: 1, count: 3, size: 3_000_000 } as const])(
    '[R1] messages come as they were sent: %j',
    async (options) => {
      const { count } = options
      const result = await run('roundTrips', [broker.url, options])
      expect(result).toEqual({ came: count, different: 0, kind: 'Uint8Array' })
    },
  )

  test.each(PLACES)(
    '[D1] nothing is lost while the broker is away and comes back: %s',
    async (place) => {
      const before = broker.working
      const result = run('numbersAcross', [broker.url, 300, 3], place)
      await expect.poll(() => broker.working, { timeout: 30_000 }).toBe(before + 1)
      await broker.vanish()
      await broker.comeBack()
      const { came, connections } = await result
      expect(came).toBe(300)
      expect(connections).toBeGreaterThan(1)
    },
  )

  test('[K2] a page that is suspended and woken goes on, and loses nothing', async () => {
    const other = await opened()
    const session = await other.context().newCDPSession(other)
    const result = run('numbersAcross', [broker.url, 400, 10], 'page', other)
    await other.waitForFunction('globalThis.progress > 20')
    await session.send('Debugger.enable')
    await session.send('Debugger.pause')
    // The broker gives it up after one and a half times the Keep Alive of 4 s.
    const before = broker.ended
    await expect.poll(() => broker.ended, { timeout: 60_000 }).toBeGreaterThan(before)
    await session.send('Debugger.disable')
    const { came, connections } = await result
    expect(came).toBe(400)
    expect(connections).toBeGreaterThan(1)
    await other.close()
  })

  test('[K2] a hidden tab, whose timers seldom fire, loses no connection by that', async () => {
    // Timers of a page in the background fire once a minute; these fire each 2.5 s, which is late
    // for every PINGREQ of a Keep Alive of 4 s.
    const other = await opened(throttleTimers, 2500)
    const result = run('numbersAcross', [broker.url, 4, 2000], 'page', other)
    expect(await result).toEqual({ came: 4, doubled: 0, connections: 1 })
    await other.close()
  })

  test.each([
    ['closed', 'lost'],
    ['crashed', 'lost'],
  ])('[H2] a member in a page that is %s is lost within the bound', async (how, action) => {
    const times = { keepAlive: 2, ttl: 20, grace: 1 }
    const boundMs = times.keepAlive * 1500 + times.grace * 1000
    const [space, name] = [`room/${how}`, `page-${how}`]
    const client = createClient(withPresence({ url: broker.url }))
    const room = presence(client, space)
    const changes = room.changes()
    const entered = changes.next()
    await room.get()
    const other = await opened()
    await run('entersAndStays', [broker.url, space, name, times], 'page', other)
    expect((await entered).value).toMatchObject({
      ...{ action: 'enter', member: { client: name, data: { from: 'a page' } } },
    })
    const next = changes.next()
    const goneAt = performance.now()
    if (how === 'closed') await other.close()
    else void other.goto('chrome://crash').catch(() => {})
    expect((await next).value).toMatchObject({ action, member: { client: name } })
    // The machine may be busy: half of the bound is added for it.
    expect(performance.now() - goneAt).toBeLessThan(boundMs * 1.5)
    await client.close()
    if (how === 'crashed') await other.close()
  })

  test('what a page cannot have is refused at the door', async () => {
    const url = broker.url
    const failures = await Promise.all([
      run('failureOf', [{ url: 'mqtt://127.0.0.1' }]),
      run('failureOf', [{ url: 'mqtts://127.0.0.1' }]),
      run('failureOf', [{ url, headers: { a: 'b' } }]),
      run('failureOf', [{ url, tls: { ca: 'x' } }]),
    ])
    expect(failures.map((failure) => [failure?.name, failure?.code])).toEqual([
      ['UsageError', 'NO_SOCKETS'],
      ['UsageError', 'NO_SOCKETS'],
      ['UsageError', 'NO_HEADERS'],
      ['UsageError', 'NO_SOCKETS'],
    ])
  })

  test('[N2] a refused dial says what a page can know', async () => {
    const failure = await run('failureOf', [{ url: 'ws://127.0.0.1:9/mqtt' }])
    expect(failure).toMatchObject({ name: 'ConnectionError', code: 'WS_1006' })
    expect(failure?.message).toMatch(/does not say why/)
  })

  test('recorded traces of the simulation replay to the same effects', async () => {
    const seeds = Array.from({ length: 60 }, (_, i) => i + 1)
    let steps = 0
    for (const seed of seeds) {
      const result = await run('replayed', [await recordingsOf(seed, engine)])
      expect(result, `seed ${seed}`).toMatchObject({ differs: null })
      steps += result.steps
    }
    expect(steps).toBeGreaterThan(10_000)
  })

  test('a trace that was changed does not replay', async () => {
    const [recording] = await recordingsOf(1, engine)
    const changed = recording!.replace('"type":"send"', '"type":"sent"')
    const other = recording!.replace(
      /"handle":(\d+)/,
      (_, handle) => `"handle":${Number(handle) + 1}`,
    )
    const results = await run('replayed', [[changed === recording ? other : changed]])
    expect(results.differs).not.toBeNull()
  })
})
