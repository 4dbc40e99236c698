/**
 * Goal: `bus redrive` and `bus forget` do what the library does, from a shell. Method: processes at
 * a broker in this process, with the session of a listener that a test makes.
 */
import { expect, test } from 'vitest'
import { createBus, defineApi } from '../../src/bus/index.ts'
import { eventloop, subscribe } from '../../src/index.ts'
import { broker, cli, until } from './support.ts'

const FIVE = { protocolVersions: [5] } as const

/** A listener that is away: its session is at the server. */
async function away(url: string): Promise<void> {
  const options = { url, clientId: 'bus.mail.welcome@p1', sessionExpiryInterval: 1000 }
  const request = subscribe('$share/mail.welcome/bus/_redrive/mail/welcome/#', { qos: 1 })
  for await (const packet of eventloop({ ...options, cleanStart: false }, [request])) {
    if (packet.cmd === 'suback') break
  }
}

test('[CLI] bus: dead letters are put back, and a listener is forgotten', {
  timeout: 60_000,
}, async () => {
  const peer = await broker(() => {}, FIVE)
  const first = await cli(['bus', 'redrive', peer.url, 'mail.welcome', '--idle', '0.2'])
  expect(first).toMatchObject({ status: 0, stdout: '' })
  expect(first.stderr).toContain('from now on the server keeps dead letters')
  const userProperties = { 'itm-key': 'e1', 'itm-code': 'Error', 'itm-message': 'no mail' }
  peer.broker.publish('bus/_dead/mail/welcome/auth/registered', '{}', {
    ...{ qos: 1, properties: { userProperties } },
  })
  const unheard = await cli(['bus', 'redrive', peer.url, 'mail.welcome', '--idle', '0.2'])
  expect(unheard).toMatchObject({ status: 1, stdout: '' })
  expect(unheard.stderr).toContain('what was not put back stays')
  await away(peer.url)
  const second = await cli(['bus', 'redrive', peer.url, 'mail.welcome', '--idle', '0.2', '--quiet'])
  expect(second).toMatchObject({ status: 0, stderr: '' })
  expect(JSON.parse(second.stdout)).toEqual({
    ...{ api: 'auth', event: 'registered', id: 'e1', code: 'Error', message: 'no mail', times: 1 },
  })
  expect(peer.broker.sessions.get('bus.mail.welcome@p1')?.queued).toBe(1)
  const forget = ['bus', 'forget', peer.url, 'mail.welcome', '--process', 'p1', '--dead']
  expect(await cli(forget)).toMatchObject({ status: 0, stdout: '{"session":true,"dead":true}\n' })
  const again = await cli(forget)
  expect(again).toMatchObject({ status: 0, stdout: '{"session":false,"dead":false}\n' })
  expect(again.stderr).toContain('no session of mail.welcome')
  expect(peer.broker.sessions.size).toBe(0)
})

test('[CLI] [B10] bus forget: a listener that runs stays, unless --force', {
  timeout: 60_000,
}, async () => {
  const peer = await broker(() => {}, FIVE)
  const auth = defineApi({ name: 'auth', version: '1.0.0', rpcs: {}, events: { moved: {} } })
  const client = { url: peer.url, onWarning: () => {} }
  await using bus = createBus({ service: 'mail', process: 'p1', client, schema: false })
  bus.api(auth).moved.listen('welcome', {}, () => {})
  const ended = bus.run().catch((error: unknown) => error)
  const filters = (id: string) =>
    Object.keys(peer.broker.sessions.get(id)?.subscriptions ?? {}).length
  await until(() => filters('bus.mail.welcome@p1') > 0 && filters('bus.mail@p1') >= 3)
  const words = ['bus', 'forget', peer.url, 'mail.welcome', '--process', 'p1']
  const refused = await cli(words)
  expect(refused).toMatchObject({ status: 1, stdout: '' })
  expect(refused.stderr).toMatch(/runs the listener welcome now, .*, or use --force$/m)
  const forced = await cli([...words, '--force'])
  expect(forced).toMatchObject({ status: 0, stdout: '{"session":true,"dead":false}\n' })
  expect(await ended).toMatchObject({ code: 'SESSION_TAKEN_OVER' })
})

test('[CLI] bus: a name without a dot cannot be used', async () => {
  const { status, stderr } = await cli(['bus', 'redrive', 'mqtt://127.0.0.1:1', 'welcome'])
  expect(status).toBe(2)
  expect(stderr).toContain('such as mail.welcome')
})
