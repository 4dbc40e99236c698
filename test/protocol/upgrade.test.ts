/**
 * Goal: what a refused WebSocket upgrade, or a stranger at the port, means for the next attempt.
 * Method: failures of attempts, as the loop makes them.
 */
import { describe, expect, test } from 'vitest'
import { configOf, Driver, failureOf, only } from './support.ts'

const always = { reconnect: { ...configOf().reconnect, when: 'always' as const } }
const refusal = (code: string, over: object = {}) =>
  failureOf({ phase: 'dial', source: 'refused', code, retryable: false, statusCode: 400, ...over })

function dialling(config: object = {}): Driver {
  const driver = new Driver({ ...always, ...config })
  driver.feed({ type: 'start' })
  return driver
}

describe('[N1] Retry-After', () => {
  const busy = refusal('SERVER_UNAVAILABLE', { retryable: true, retryAfterMs: 60_000 })
  const waits = (random: number) => {
    const driver = dialling()
    driver.lose({ failure: busy, random })
    return driver.state.connection.retryAt - driver.at
  }

  test('the usual delay is added to it, so that clients do not return together', () => {
    const soon = dialling()
    soon.lose({ failure: { ...busy, retryAfterMs: 0 }, random: 0.5 })
    const usual = soon.state.connection.retryAt - soon.at
    expect(usual).toBeGreaterThan(0)
    expect(waits(0.5)).toBeCloseTo(60_000 + usual)
    expect(waits(1)).toBeGreaterThan(waits(0))
  })

  test('a loop that is suspended meanwhile waits for it, too', () => {
    const driver = dialling()
    driver.lose({ failure: { ...busy, retryAfterMs: 600_000 } })
    const { retryAt } = driver.state.connection
    driver.advance(300_000)
    expect(driver.kind).toBe('suspended')
    expect(driver.state.connection.retryAt).toBe(retryAt)
    driver.advance(retryAt - driver.at)
    expect(driver.kind).toBe('connecting')
  })

  test('other servers of the list are tried meanwhile', () => {
    const driver = dialling({ servers: { ...configOf().servers, hosts: 2 } })
    expect(driver.lose({ failure: busy })).toMatchObject([{ type: 'dial', host: 1 }])
  })
})

describe('[T6] credentials that an HTTP server refused', () => {
  const renews = { servers: { ...configOf().servers, renewsCredentials: true } }
  test.each(['BAD_CREDENTIALS', 'NOT_AUTHORIZED'])('%s: are renewed once', (code) => {
    const driver = dialling(renews)
    expect(driver.lose({ failure: refusal(code) })).toMatchObject([{ type: 'dial' }])
    expect(only(driver.lose({ failure: refusal(code) }), 'dial')).toEqual([])
    expect(driver.kind).toBe('failed')
    expect(driver.state.connection.reason).toMatchObject({ code, statusCode: 400 })
  })

  test('without connectOptions they are final', () => {
    const driver = dialling()
    driver.lose({ failure: refusal('NOT_AUTHORIZED') })
    expect(driver.kind).toBe('failed')
  })
})

describe('[N2] a status that does not pass with time', () => {
  test('ends the loop at the first contact', () => {
    const driver = dialling()
    driver.lose({ failure: refusal('UPGRADE_REFUSED') })
    expect(driver.kind).toBe('failed')
  })

  test('is retried once the server was there: it may be being replaced', () => {
    const driver = new Driver(always)
    driver.connect()
    driver.lose()
    driver.advance(driver.state.connection.retryAt - driver.at)
    driver.lose({ failure: refusal('UPGRADE_REFUSED') })
    expect(driver.kind).toBe('disconnected')
  })

  test('another server of the list may be right', () => {
    const driver = dialling({ servers: { ...configOf().servers, hosts: 2 } })
    const effects = driver.lose({ failure: refusal('UPGRADE_REFUSED') })
    expect(effects).toMatchObject([{ type: 'dial', host: 1 }])
  })
})

describe('[N2] a stranger at the port', () => {
  const strange = { reasonCode: 0x82, clause: 'MQTT-3.2.0-1', message: 'no MQTT server' }
  const meet = (config: object = {}) => {
    const driver = new Driver({ ...always, versionMayFall: true, ...config })
    driver.open()
    driver.feed({ type: 'malformed', ...strange, code: 'NOT_MQTT', packet: { cmd: 'unknown' } })
    return { driver, effects: driver.lose({ byPeer: true }) }
  }

  test('is a retryable failure, and no reason to ask for another version', () => {
    const { driver, effects } = meet()
    expect(effects).toEqual([])
    expect(driver.kind).toBe('disconnected')
    const { reason } = driver.state.connection
    expect(reason).toMatchObject({ source: 'protocol', code: 'NOT_MQTT', retryable: true })
  })

  test('another server of the list may be one of MQTT', () => {
    const { effects } = meet({ servers: { ...configOf().servers, hosts: 2 } })
    expect(effects).toMatchObject([{ type: 'dial', host: 1 }])
  })
})
