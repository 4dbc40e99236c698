/**
 * Goal: `bus inspect` shows events, dead letters and schemas, and takes nothing from listeners.
 * Method: a bus at a broker in this process, and the command line as another process.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { createBus, defineApi, dumpSchema, schemaText } from '../../src/bus/index.ts'
import type { ConnectPacket } from '../../src/protocol/packets.ts'
import { broker, cli, type ListeningBroker, start, until } from './support.ts'

const person = { type: 'object', properties: { name: { type: 'string' } } } as const
const auth = defineApi({
  ...{ name: 'auth', version: '1.2.0' },
  rpcs: { check: {} },
  events: { userRegistered: { payload: person }, userLeft: { payload: person }, moved: {} },
})
const SCHEMA = schemaText(dumpSchema(auth, { service: 'web' }))

/** A dead letter as a listener leaves it. */
function bury(peer: ListeningBroker, payload = '{"name":"Bo"}'): void {
  const userProperties = {
    ...{ 'itm-key': 'e0', 'itm-by': 'web/one', 'itm-topic': 'bus/auth/v1/event/userRegistered' },
    ...{ 'itm-code': 'Error', 'itm-message': 'no\u001b mail' },
  }
  peer.broker.publish('bus/_dead/mail/welcome/auth/userRegistered', payload, {
    ...{ qos: 1, retain: true, properties: { userProperties } },
  })
}

function publishSchema(peer: ListeningBroker): void {
  peer.broker.publish('bus/auth/v1/schema/web', SCHEMA, { qos: 1, retain: true })
}

function linesOf(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

const FIVE = { protocolVersions: [5] } as const

describe('[CLI] bus inspect', { timeout: 60_000 }, () => {
  test('[CLI] bus inspect: what is retained, for people, and it says that there is no history', async () => {
    const peer = await broker(() => {}, FIVE)
    publishSchema(peer)
    bury(peer)
    const { status, stdout, stderr } = await cli(['bus', 'inspect', peer.url])
    expect(stderr).toContain('MQTT keeps no history')
    const lines = stdout.trimEnd().split('\n').sort()
    expect(lines).toEqual([
      'dead  mail.welcome  auth userRegistered  id e0  by web/one  13 bytes  retained  ' +
        'Error: no\\x1b mail  {"name":"Bo"}',
      `schema  auth v1 of web  1.2.0  ${SCHEMA.length} bytes  rpcs check  ` +
        'events moved, userLeft, userRegistered',
    ])
    expect(status).toBe(0)
    expect(peer.broker.sessions.size).toBe(0)
  })

  test('[CLI] bus inspect: --dead and --json, with all that is known', async () => {
    const peer = await broker(() => {}, FIVE)
    publishSchema(peer)
    bury(peer)
    const json = await cli(['bus', 'inspect', peer.url, '--dead', '--json', '--quiet'])
    expect(json).toMatchObject({ status: 0, stderr: '' })
    expect(linesOf(json.stdout)).toEqual([
      {
        ...{ kind: 'dead', service: 'mail', listener: 'welcome', api: 'auth' },
        ...{ event: 'userRegistered', id: 'e0', version: null, by: 'web/one', firedAt: null },
        ...{ code: 'Error', message: 'no\u001b mail', redriven: 0, ageMs: null, retained: true },
        ...{ bytes: 13, value: { name: 'Bo' } },
      },
    ])
    const pretty = await cli(['bus', 'inspect', peer.url, '--format', 'pretty', '--quiet'])
    expect(pretty.stdout).toContain('\n  "kind": "schema",\n')
    expect(pretty.stdout).toContain('\n    "version": "1.2.0",\n')
  })

  test('[CLI] [B14] bus inspect: --validate says what fits, in each format', async () => {
    const peer = await broker(() => {}, FIVE)
    publishSchema(peer)
    peer.broker.publish('bus/auth/v1/schema/web2', '{}', { qos: 1, retain: true })
    bury(peer, '{"name":4711}')
    const payloads = { known: '{"name":"Bo"}', text: 'no JSON' }
    for (const [key, payload] of Object.entries(payloads)) {
      const options = { qos: 1, retain: true } as const
      peer.broker.publish(`bus/auth/v1/event/userLeft/${key}`, payload, options)
      peer.broker.publish(`bus/auth/v2/event/userLeft/${key}2`, payload, options)
    }
    const [json, human, pretty] = await Promise.all(
      ['json', 'human', 'pretty'].map((format) =>
        cli(['bus', 'inspect', peer.url, '--validate', '--quiet', '--format', format]),
      ),
    )
    const verdicts = linesOf(json!.stdout).map(({ kind, key, service, validity }) => [
      [kind, key ?? service].join(' '),
      (validity as { verdict: string }).verdict,
    ])
    expect(Object.fromEntries(verdicts)).toEqual({
      ...{ 'schema web': 'valid', 'schema web2': 'invalid', 'dead mail': 'invalid' },
      ...{ 'event known': 'valid', 'event text': 'unknown' },
      ...{ 'event known2': 'unknown', 'event text2': 'unknown' },
    })
    expect(human!.stdout).toMatch(/userLeft {2}key known {2}.* {2}valid {2}\{"name":"Bo"}\n/)
    expect(human!.stdout).toMatch(/invalid \(name: .*"string"\.\) {2}\{"name":4711}\n/)
    expect(human!.stdout).toContain('unknown (no schema document is there)')
    expect(pretty!.stdout).toContain('\n  "validity": {\n    "verdict": "invalid",\n')
    expect(json!.status).toBe(0)
  })

  test('[CLI] [B14] bus inspect: --validate follows what services publish', async () => {
    const peer = await broker(() => {}, FIVE)
    const words = ['bus', 'inspect', peer.url, '--validate', '--follow', '--event', 'user*']
    const following = start([...words, '--json'])
    await until(() => following.stderr().includes('MQTT keeps no history'))
    const fire = () => peer.broker.publish('bus/auth/v1/event/userLeft', '{"name":1}', { qos: 1 })
    const verdicts = () =>
      [...following.stdout().matchAll(/"verdict":"(\w+)"/g)].map(([, verdict]) => verdict)
    fire()
    await until(() => verdicts().length === 1)
    publishSchema(peer)
    fire()
    await until(() => verdicts().length === 2)
    expect(verdicts()).toEqual(['unknown', 'invalid'])
    following.process.kill('SIGINT')
    await following.ended
  })

  test.each([[[4]], [[5]]] as const)(
    '[CLI] bus inspect: --follow shows each event, and its listener gets it too (MQTT %j)',
    async (protocolVersions) => {
      const peer = await broker(() => {}, { protocolVersions })
      const following = start(['bus', 'inspect', peer.url, '--follow', '--json'])
      await until(() => following.stderr().includes('MQTT keeps no history'))
      const [onlooker, ...none] = peer.broker.sessions.values()
      expect(none).toEqual([])
      for (const packet of peer.broker.packets('connect') as ConnectPacket[]) {
        expect(packet.clean).toBe(true)
        expect(packet.properties?.sessionExpiryInterval ?? 0).toBe(0)
      }
      const filters = Object.keys(onlooker!.subscriptions)
      expect(filters).toContain('bus/+/+/event/#')
      expect(filters.filter((filter) => filter.startsWith('$share'))).toEqual([])
      const bus = createBus({ service: 'web', process: 'one', client: peer.url })
      bus.serve(auth, { check: () => {} })
      const heard: unknown[] = []
      const { userRegistered, moved } = bus.api(auth)
      const listener = userRegistered.listen('mail', {}, ({ value }) => void heard.push(value))
      const running = bus.run()
      onTestFinished(async () => {
        await bus.close()
        await running
      })
      await listener.granted
      await userRegistered.fire({ name: 'Ada' }, { id: 'e1', key: 'a/b' })
      await moved.fire(undefined, { id: 'e2' })
      const events = () => linesOf(following.stdout()).filter(({ kind }) => kind === 'event')
      await until(() => following.stdout().split('"kind":"event"').length > 2)
      await until(() => heard.length === 1)
      const isFive = protocolVersions[0] === (5 as number)
      const said = isFive ? { version: '1.2.0', by: 'web/one' } : { version: null, by: null }
      const common = { kind: 'event', api: 'auth', major: 1, retained: false, ...said }
      expect(events()).toMatchObject([
        {
          ...{ ...common, event: 'userRegistered', key: 'a/b', id: isFive ? 'e1' : null },
          ...{ bytes: 14, value: { name: 'Ada' } },
        },
        { ...common, event: 'moved', key: null, bytes: 0 },
      ])
      expect(events()[1]).not.toHaveProperty('value')
      following.process.kill('SIGINT')
      expect((await following.ended).status).toBe(130)
    },
  )

  test('[CLI] bus inspect: --event, --id, --where and --api choose', async () => {
    const peer = await broker(() => {}, FIVE)
    publishSchema(peer)
    const chosen = [
      ['--event', 'user*'],
      ['--id', 'e2'],
      ['--where', 'name=Ada', '--where', 'of.0=3'],
      ['--api', 'shop/cart'],
    ].map((words) => start(['bus', 'inspect', peer.url, '--follow', '--json', ...words]))
    await until(() => chosen.every(({ stderr }) => stderr().includes('no history')))
    const fire = (topic: string, id: string, payload: string) =>
      peer.broker.publish(`bus/${topic}`, payload, {
        ...{ qos: 1, properties: { userProperties: { 'itm-key': id } } },
      })
    fire('auth/v1/event/userLeft', 'e1', '{"name":"Bo","of":[3]}')
    fire('auth/v1/event/moved', 'e2', 'no JSON')
    fire('auth/v2/event/moved/k', 'e3', '{"name":"Ada","of":[3]}')
    fire('auth/v2/event/moved', 'e4', '{"name":"Ada","of":[4]}')
    fire('auth/v1/rpc/check', 'e5', '{}')
    fire('auth/v1/event/a/b/c', 'e6', '{}')
    fire('shop/cart/v1/event/filled', 'e7', '\u0000')
    fire('auth/v1/event/userEnd', 'e8', '{"name":"Ada","of":[3]}')
    fire('shop/cart/v1/event/end', 'e2', '{"name":"Ada","of":[3]}')
    const expected = [
      ['e1', 'e8'],
      ['e2', 'e2'],
      ['e3', 'e8', 'e2'],
      ['e7', 'e2'],
    ]
    for (const [index, running] of chosen.entries()) {
      const ids = () => [...running.stdout().matchAll(/"id":"(\w+)"/g)].map(([, id]) => id)
      await until(() => ids().length >= expected[index]!.length)
      expect(ids()).toEqual(expected[index])
    }
    expect(chosen[0]!.stdout()).not.toContain('"schema"')
    expect(linesOf(chosen[1]!.stdout())[0]).toMatchObject({ text: 'no JSON' })
  })

  test('[CLI] bus inspect: what is no JSON, or too deep, is written as it is', async () => {
    const peer = await broker(() => {}, FIVE)
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`
    const payloads = [Buffer.from([0xff, 0]), '\u0000', deep, '7', '']
    for (const [index, payload] of payloads.entries()) {
      peer.broker.publish(`bus/a/v1/event/e/${index}`, payload, { qos: 1, retain: true })
    }
    const { status, stdout } = await cli(['bus', 'inspect', peer.url, '--json'])
    const byKey = linesOf(stdout).sort((a, b) => Number(a['key']) - Number(b['key']))
    expect(byKey).toMatchObject([
      { base64: '/wA=', retained: true },
      { text: '\u0000' },
      { text: deep },
      { value: 7 },
    ])
    expect(status).toBe(0)
  })

  test('[CLI] bus inspect: nothing is status 1, and what cannot be used 2', async () => {
    const peer = await broker(() => {}, FIVE)
    const nothing = await cli(['bus', 'inspect', peer.url, '--quiet'])
    expect(nothing).toEqual({
      ...{ status: 1, stdout: '' },
      stderr: 'it-mqtt: nothing of this is retained; --follow waits for what comes\n',
    })
    for (const [words, message] of [
      [['--api', 'a/+'], '--api "a/+" cannot be used'],
      [['--where', 'a.b'], 'such as user.age=3'],
      [['--timeout', '0'], '--timeout must be'],
      [['--json', '--format', 'human'], 'cannot be used with'],
      [['--prefix', '#'], '--prefix must be'],
    ] as const) {
      const ended = await cli(['bus', 'inspect', peer.url, ...words])
      expect(ended, words.join(' ')).toMatchObject({ status: 2, stdout: '' })
      expect(ended.stderr).toContain(message)
    }
  })
})
