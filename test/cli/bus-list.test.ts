/**
 * Goal: `bus list` and `bus stats` show the processes of a bus, and say when nobody is there.
 * Method: buses in this process at a broker in this process, and the command line as another one.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { type BusOptions, createBus, defineApi } from '../../src/bus/index.ts'
import { broker, cli, type ListeningBroker, start, until } from './support.ts'

const auth = defineApi({
  ...{ name: 'auth', version: '1.2.0', rpcs: { ping: {}, fail: {} }, events: { moved: {} } },
})

/** Later than any test. */
const NOON = new Date('2099-01-01T12:00:00Z')

/** A service that runs until the test ends. */
async function service(peer: ListeningBroker, options: Omit<BusOptions, 'client'>) {
  const bus = createBus({ ...options, client: { url: peer.url, onWarning: () => {} } })
  const served = bus.serve(auth, {
    ping: () => {},
    fail: () => {
      throw new Error('no')
    },
  })
  bus.api(auth).moved.listen('mail', {}, () => {})
  bus.schedule([NOON], () => {}, { name: 'noon' })
  const running = bus.run()
  onTestFinished(async () => {
    await bus.close()
    await running
  })
  await served.granted
  // It subscribes to the control topics behind the others.
  await until(() => {
    const own = peer.broker.sessions.get(`bus.${options.service}@${options.process}`)
    return Object.keys(own?.subscriptions ?? {}).length >= 4
  })
  return bus
}

/** Long enough for a busy machine: it is always waited for. */
const ask = ['--timeout', '1500']

describe('[CLI] bus', { timeout: 60_000 }, () => {
  test.each([[[4]], [[5, 4]]] as const)(
    '[CLI] bus list: processes, APIs and listeners, in order (MQTT %j)',
    async (protocolVersions) => {
      const peer = await broker(() => {}, { protocolVersions })
      await service(peer, { service: 'web', process: 'b' })
      await service(peer, { service: 'mail', process: 'a\u202eb' })
      const list = await cli(['bus', 'list', peer.url, ...ask])
      expect(list).toEqual({
        status: 0,
        stdout:
          'mail/a\\u{202e}b  serves auth 1.2.0; listens as mail; runs noon\n' +
          'web/b  serves auth 1.2.0; listens as mail; runs noon\n',
        stderr: '',
      })
      const json = await cli(['bus', 'list', peer.url, ...ask, '--json', '--service', 'web'])
      expect(JSON.parse(json.stdout)).toMatchObject({
        ...{ service: 'web', process: 'b' },
        apis: [{ name: 'auth', version: '1.2.0', rpcs: ['ping', 'fail'], events: ['moved'] }],
        listeners: [{ name: 'mail', events: ['auth/moved'] }],
        tasks: [{ name: 'noon', nextAt: NOON.getTime() }],
      })
    },
  )

  test('[CLI] bus stats: numbers of each API and listener; --follow until a signal', async () => {
    const peer = await broker(() => {}, { protocolVersions: [5] })
    const bus = await service(peer, { service: 'web', process: 'a' })
    await bus.api(auth).ping()
    await bus
      .api(auth)
      .fail()
      .catch(() => {})
    const lines =
      'web/a  auth 1.2.0: received 2, answered 1, failed 1, running 0, pending 0, busy 0\n' +
      'web/a  mail: handled 0, running 0, waiting 0, retried 0, skipped 0, dead 0\n' +
      'web/a  noon: handled 0, running 0, skipped 0, missed 0, passed 0, next 2099-01-01T12:00:00.000Z\n'
    const once = await cli(['bus', 'stats', peer.url, ...ask])
    expect(once).toEqual({ status: 0, stdout: lines, stderr: '' })
    const words = ['bus', 'stats', '--follow', '--interval', '0.1', ...ask, '--url', peer.url]
    const following = start(words)
    await until(() => following.stdout().startsWith(`${lines}\n${lines}\n`))
    following.process.kill('SIGTERM')
    expect(await following.ended).toMatchObject({ status: 143, stderr: '' })
  })

  test('[CLI] bus list: nobody is status 1, and says so', async () => {
    const peer = await broker(() => {}, { protocolVersions: [5] })
    await service(peer, { service: 'web', process: 'a' })
    const nobody = await cli(['bus', 'list', peer.url, '--timeout', '100', '--api', 'other'])
    expect(nobody).toEqual({
      ...{ status: 1, stdout: '' },
      stderr: 'it-mqtt: no process of a bus has answered within 100 ms\n',
    })
  })

  test('[CLI] bus list: what cannot be used is status 2; without a connection it says why', async () => {
    const url = ['--url', 'mqtt://127.0.0.1:1']
    for (const [words, message] of [
      [['--api', '#'], '--api "#" cannot be used'],
      [['--timeout', '0'], '--timeout must be'],
    ] as const) {
      const ended = await cli(['bus', 'list', ...words, ...url])
      expect(ended).toMatchObject({ status: 2, stdout: '' })
      expect(ended.stderr).toContain(message)
    }
    const nobody = await cli(['bus', 'list', ...url])
    expect(nobody).toMatchObject({ status: 1, stdout: '' })
    expect(nobody.stderr).toContain('connection refused')
  })
})
