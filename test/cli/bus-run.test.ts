/**
 * Goal: `bus run` is the process of a service: it answers, comes back after errors, and ends in
 * order (B11, B18). Method: processes with modules of a folder, at a broker in this process.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { createBus, defineApi } from '../../src/bus/index.ts'
import { program } from '../support/built.ts'
import {
  broker,
  cli,
  type ListeningBroker,
  type Running,
  scratch,
  start,
  until,
} from './support.ts'

const FIVE = { protocolVersions: [5, 4] } as const
const DEFINITION = {
  name: 'shop',
  version: '1.0.0',
  rpcs: { echo: { input: {}, output: {} }, slow: { output: {} } },
  events: { sold: { payload: {} } },
} as const
const shop = defineApi(DEFINITION)

/** The code of a service; `log()` writes to standard output. */
const MODULE = `
import { defineApi } from ${JSON.stringify(pathToFileURL(program('bus/index').at(-1)!).href)}
const shop = defineApi(${JSON.stringify(DEFINITION)})
const log = (text) => process.stdout.write(text + '\\n')
let lives = 0
export function register(bus) {
  lives++
  bus.serve(shop, {
    echo: (value) => value,
    slow: () => new Promise((resolve) => { log('slow'); setTimeout(() => resolve(1), 300) }),
  })
  bus.api(shop).sold.listen('count', {}, ({ value }) => {
    log('life ' + lives + ' sold ' + value)
    if (value === 'poison' && lives === 1) throw new Error('cannot sell')
  })
  bus.every({ seconds: 0.05 }, () => log('tick'), { name: 'tick' })
}
`

interface Service {
  readonly folder: string
  readonly words: readonly string[]
}

/** A folder with a service. */
async function service(peer: ListeningBroker, config: object = {}): Promise<Service> {
  const folder = await scratch()
  const settings = { service: 'shop', process: 'p1', client: { url: peer.url }, ...config }
  writeFileSync(join(folder, 'service.mjs'), MODULE)
  writeFileSync(join(folder, 'bus.json'), JSON.stringify(settings))
  const words = ['--module', join(folder, 'service.mjs'), '--config', join(folder, 'bus.json')]
  return { folder, words }
}

const logOf = (text: string): Record<string, unknown>[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

async function client(peer: ListeningBroker) {
  return createBus({ service: 'client', process: 'c', client: { url: peer.url } })
}

const shows = (running: Running, line: string) =>
  until(() => running.stdout().split('\n').includes(line))

describe('[CLI] bus run', { timeout: 60_000 }, () => {
  test('[CLI] [B18] bus run: answers, handles, runs tasks; SIGTERM lets what runs end', async () => {
    const peer = await broker(() => {}, FIVE)
    const { words } = await service(peer)
    const running = start(['bus', 'run', ...words])
    await shows(running, 'tick')
    // Its calls and its listener.
    await until(() => peer.broker.packets('subscribe').length >= 2)
    await using bus = await client(peer)
    const api = bus.api(shop)
    expect(await api.echo({ a: 1 })).toEqual({ a: 1 })
    const slow = api.slow()
    await shows(running, 'slow')
    running.process.kill('SIGTERM')
    // The answer of the call that runs comes, and the process ends without an error.
    expect(await slow).toBe(1)
    const { status, stderr } = await running.ended
    expect(status).toBe(0)
    // On a busy machine a warning may stand between.
    const told = logOf(stderr).filter(({ level }) => level !== 'warn')
    expect(told, stderr).toMatchObject([
      { level: 'info', msg: 'begins', service: 'shop', process: 'p1', life: 1 },
      {
        level: 'info',
        msg: 'runs',
        apis: ['shop 1.0.0'],
        listeners: ['count: shop/sold'],
        tasks: ['tick'],
      },
      { level: 'info', msg: 'connected' },
      { level: 'info', signal: 'SIGTERM', msg: expect.stringContaining('nothing more') },
      { level: 'info', msg: 'ended in order' },
    ])
    expect(logOf(stderr)[0]!['time']).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/)
    expect(peer.broker.packets('disconnect').length).toBeGreaterThanOrEqual(2)
  })

  test('[CLI] [B19] bus run: with `log` there are lines about calls, from the level on', async () => {
    const peer = await broker(() => {}, FIVE)
    const { words } = await service(peer, { apis: { shop: { log: 'debug' } } })
    const running = start(['bus', 'run', ...words, '--only', 'rpcs'])
    await until(() => peer.broker.packets('subscribe').length > 0)
    await using bus = await client(peer)
    await bus.api(shop).echo('hunter2')
    for (const words of ['execute shop echo', 'publish schema shop 1.0.0']) {
      await until(() => running.stderr().includes(words))
    }
    running.process.kill('SIGTERM')
    const { stderr } = await running.ended
    const line = logOf(stderr).find(({ msg }) => msg === 'execute shop echo')
    expect(line).toMatchObject({ level: 'debug', api: 'shop', rpc: 'echo', by: 'client/c' })
    expect(stderr).not.toContain('hunter2')
  })

  test('[CLI] [B16] bus run: settings for what is not there are told', async () => {
    const peer = await broker(() => {}, FIVE)
    const listeners = { count: { concurrency: 2 }, cuont: { concurrency: 3 } }
    const apis = { default: { timeout: 4000 }, shop: { timeout: 1000 }, shpo: { timeout: 1000 } }
    const { words } = await service(peer, { listeners, apis })
    const running = start(['bus', 'run', ...words])
    await shows(running, 'tick')
    running.process.kill('SIGTERM')
    const { stderr } = await running.ended
    const told = logOf(stderr).filter(({ unused }) => unused !== undefined)
    expect(told).toMatchObject([
      { level: 'warn', unused: ['cuont'], listeners: ['count'] },
      { level: 'info', unused: ['shpo'], apis: ['shop'] },
    ])
    expect(told[0]!['msg']).toContain('listeners that register() has not made')
    expect(told[1]!['msg']).toContain('APIs that are neither served nor called yet')
  })

  test('[CLI] bus run: a second signal ends it at once', async () => {
    const peer = await broker(() => {}, FIVE)
    const { folder } = await service(peer)
    const path = join(folder, 'hangs.mjs')
    writeFileSync(
      path,
      `export function register(bus) {
        bus.every({ seconds: 0.01 }, () => new Promise(() => process.stdout.write('hangs\\n')))
      }`,
    )
    const words = ['--module', path, '--config', join(folder, 'bus.json')]
    const running = start(['bus', 'run', ...words])
    await shows(running, 'hangs')
    running.process.kill('SIGINT')
    await until(() => running.stderr().includes('nothing more'))
    running.process.kill('SIGINT')
    expect((await running.ended).status).toBe(130)
  })

  test('[CLI] [B11] bus run: begins again, later, after an event that ended a listener', async () => {
    const peer = await broker(() => {}, FIVE)
    const { words } = await service(peer)
    const running = start(['bus', 'run', ...words, '--only', 'events'])
    await until(() => peer.broker.sessions.has('bus.shop.count@p1'))
    await until(() => peer.broker.packets('subscribe').length > 0)
    await using bus = await client(peer)
    bus.serve(shop, { echo: (value: unknown) => value, slow: () => 1 } as never)
    await bus.fire(shop, 'sold', 'poison' as never)
    // The event comes again in the second life.
    await shows(running, 'life 2 sold poison')
    running.process.kill('SIGTERM')
    const { status, stderr } = await running.ended
    expect(status).toBe(0)
    expect(logOf(stderr)).toContainEqual(
      expect.objectContaining({
        ...{ level: 'warn', code: 'EVENT_FAILED', stack: expect.stringContaining('cannot sell') },
        msg: expect.stringMatching(/the event shop sold \(.*\) failed, and ends the run;/),
      }),
    )
    // That the session is taken over is a warning; `runs` may come before the connection or after.
    const log = logOf(stderr).filter(({ level, msg }) => level !== 'warn' && msg !== 'runs')
    expect(log.map(({ msg }) => msg)).toEqual([
      ...['begins', 'connected', 'the run has ended: cannot sell'],
      ...['the next run begins after a delay', 'begins'],
      ...['takes nothing more, and lets what runs end', 'ended in order'],
    ])
    const [ended, delayed, again] = log.slice(2)
    expect([ended, delayed, again]).toMatchObject([{ life: 1 }, { ms: 1000 }, { life: 2 }])
    const times = [delayed, again].map((line) => Date.parse(String(line!['time'])))
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(990)
  })

  test('[CLI] bus run: says that it has connected again', async () => {
    const peer = await broker(() => {}, FIVE)
    const { words } = await service(peer)
    const running = start(['bus', 'run', ...words, '--only', 'rpcs'])
    await until(() => peer.broker.packets('subscribe').length > 0)
    for (const socket of peer.sockets) socket.destroy()
    await until(() => running.stderr().includes('connected again'))
    running.process.kill('SIGTERM')
    const { status, stderr } = await running.ended
    expect(status).toBe(0)
    const [begins, connected, lost, again] = logOf(stderr).filter(({ msg }) => msg !== 'runs')
    expect([begins, connected, lost, again]).toMatchObject([
      { msg: 'begins' },
      { msg: 'connected' },
      {
        level: 'warn',
        msg: expect.stringMatching(/^the connection is lost: /),
      },
      { msg: 'connected again' },
    ])
  })

  test('[CLI] bus run: a signal ends the delay before the next run', async () => {
    const peer = await broker(() => {}, FIVE)
    const { folder } = await service(peer)
    const path = join(folder, 'fails.mjs')
    writeFileSync(
      path,
      `export const register = (bus) => bus.every({ seconds: 0.01 }, () => { throw new Error('no') })`,
    )
    const running = start(['bus', 'run', '--module', path, '--config', join(folder, 'bus.json')])
    await until(() => running.stderr().includes('after a delay'))
    running.process.kill('SIGTERM')
    expect((await running.ended).status).toBe(0)
  })

  test('[CLI] bus run: --only and --skip choose what it does; the environment comes before the file', async () => {
    const peer = await broker(() => {}, FIVE)
    const { words } = await service(peer, { client: { url: 'mqtt://127.0.0.1:1' } })
    const env = { IT_MQTT_BUS_CLIENT_URL: peer.url, IT_MQTT_BUS_PROCESS: 'other' }
    const running = start(['bus', 'run', ...words, '--skip', 'rpcs,events'], env)
    await shows(running, 'tick')
    await until(() => peer.broker.clients.size > 0)
    expect([...peer.broker.clients.keys()]).toEqual(['bus.shop@other'])
    // Neither calls nor events; who asks which processes run is answered, and schemas are published.
    const filters = peer.broker.packets('subscribe').flatMap((packet) => JSON.stringify(packet))
    expect(filters.filter((filter) => /\/(?:rpc|event|_redrive)\//.test(filter))).toEqual([])
    running.process.kill('SIGTERM')
    expect((await running.ended).status).toBe(0)
  })

  test('[CLI] bus run: without a connection it ends with the status of the reason', async () => {
    const peer = await broker(() => {}, FIVE)
    const { words } = await service(peer)
    peer.broker.refuseConnections(0x86)
    const ended = await cli(['bus', 'run', ...words])
    expect(ended.status).toBe(4)
    expect(logOf(ended.stderr).at(-1)).toMatchObject({ level: 'error', code: 'BAD_CREDENTIALS' })
  })

  test.each<[string, Readonly<Record<string, string>>, string]>([
    ['no module', { 'bus.json': '{}' }, 'there is no module'],
    ['a module that exports nothing', { 'bus.mjs': '' }, 'must export a function register(bus)'],
    [
      'a default export',
      { 'bus.mjs': 'export default () => {}' },
      'must export a function register',
    ],
    ['a package.json that is none', { 'package.json': '{' }, 'package.json is not valid JSON'],
    [
      'a package.json with a number',
      { 'package.json': '{"it-mqtt":{"bus":7}}' },
      'must be the path',
    ],
    [
      'a module of package.json',
      { 'package.json': '{"it-mqtt":{"bus":"x.js"}}' },
      'no module x.js',
    ],
    [
      'a faulty configuration',
      { 'bus.mjs': 'export const register = () => {}', 'bus.json': '{"servise": 1}' },
      'bus.json:1:2: servise is no setting; did you mean service?',
    ],
    [
      'no configuration at all',
      { 'bus.mjs': 'export const register = () => {}' },
      'service is missing',
    ],
  ])('[CLI] bus run: %s is status 2', async (_, files, message) => {
    const folder = await scratch()
    mkdirSync(join(folder, 'sub'))
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    const running = start(['bus', 'run'], {}, folder)
    const ended = await running.ended
    expect(ended).toMatchObject({ status: 2, stdout: '' })
    expect(ended.stderr).toContain(message)
  })

  test('[CLI] bus run: a feature that does not exist is status 2', async () => {
    const ended = await cli(['bus', 'run', '--only', 'cron'])
    expect(ended).toMatchObject({ status: 2, stdout: '' })
    expect(ended.stderr).toContain('rpcs, events, tasks')
  })
})

describe('[CLI] bus dumpconfigschema', { timeout: 60_000 }, () => {
  test('[CLI] bus dumpconfigschema: writes a JSON Schema', async () => {
    const { status, stdout, stderr } = await cli(['bus', 'dumpconfigschema'])
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({ type: 'object', required: ['service', 'client'] })
  })
})
